//! A whole run through the daemon: every agent sealed, signed, journaled and durable.
//!
//! `cargo bench --bench daemon [-- AGENTS]` prints, for a `builtin` suite, the agents a second
//! (first and last tenth, and all), the daemon's resident memory and the page of a thousand
//! ancestors; beside it, in the same run, the rate at which this disk takes the bare syncs that
//! durability needs.

#![allow(clippy::expect_used, clippy::cast_precision_loss, reason = "a benchmark")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

use darwin::{
    domain::id::{AgentId, RunId, Slot},
    link::client::Link,
    wire::{envelope::Keyed as _, v1},
};
use futures_util::StreamExt;
use support::{Home, show, start_request};

fn spec(agents: u64) -> String {
    format!(
        r#"
name = "bench"
seed = 1
[search]
population = 64
[stop]
evaluations = {agents}
[suite]
name = "sphere"
kind = "builtin"
function = "sphere"
dimensions = 10
"#
    )
}

#[tokio::main]
async fn main() {
    let asked = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let agents: u64 = asked.unwrap_or(1_000_000);
    let mut home = Home::new();
    println!("bare: {:.0} fdatasync/s of 64 KiB appends on this disk", syncs(&home));
    let link = home.start().await;
    let id = RunId::new(1_700_000_000_000, [1; 10]);
    let started = Instant::now();
    link.runs().start(start_request(id, &spec(agents)).keyed()).await.expect("the run starts");
    let (samples, peak) = follow(&link, &home, id, started).await;
    let run = show(&link, id).await;
    assert_eq!(run.state, "finished", "{}", home.log());
    assert_eq!(run.agents, agents);
    let at = |share: f64| when(&samples, agents as f64 * share);
    let tenth = agents as f64 / 10.0;
    let (first, last) = (tenth / (at(0.1) - at(0.0)), tenth / (at(1.0) - at(0.9)));
    println!("daemon: {agents} agents, {:.0} agents/s", agents as f64 / at(1.0));
    println!("  first tenth {first:.0}/s, last tenth {last:.0}/s ({:.0} %)", last / first * 100.0);
    println!(
        "  resident at the most {} MiB, {:.2} KiB on disk an agent",
        peak >> 10,
        kib(&home) / agents as f64
    );
    ancestors(&link, id, &run).await;
}

/// (seconds, agents committed) as the run goes on, and the most resident memory in KiB.
async fn follow(link: &Link, home: &Home, id: RunId, started: Instant) -> (Vec<(f64, f64)>, u64) {
    let mut samples = vec![(0.0, 0.0)];
    let mut peak = 0;
    let mut watch = link.watch(&id.to_string()).await.expect("the run can be watched");
    while let Some(progress) = watch.next().await {
        let run = progress.expect("the stream holds").run.expect("a run");
        samples.push((started.elapsed().as_secs_f64(), run.agents as f64));
        peak = peak.max(home.resident());
    }
    (samples, peak)
}

/// When the count first reached `agents`, interpolated.
fn when(samples: &[(f64, f64)], agents: f64) -> f64 {
    let after = samples.iter().position(|s| s.1 >= agents).unwrap_or(samples.len() - 1);
    let (Some(a), b) = (samples.get(after.wrapping_sub(1)), samples[after]) else {
        return samples[after].0;
    };
    let share = if b.1 > a.1 { (agents - a.1) / (b.1 - a.1) } else { 1.0 };
    a.0 + (b.0 - a.0) * share
}

/// The page of the youngest generation's first agent: the deepest there is.
async fn ancestors(link: &Link, id: RunId, run: &v1::Run) {
    let slot = Slot { generation: run.generation, index: 0 };
    let of = AgentId::in_run(id, slot).to_string();
    let (mut times, mut found) = (Vec::new(), 0);
    for _ in 0..15 {
        let request = v1::PageRequest { of: of.clone(), limit: 1000, ..Default::default() };
        let began = Instant::now();
        let page = link.lineage().ancestors(request).await.expect("ancestors read").into_inner();
        times.push(began.elapsed());
        assert!(!page.agents.is_empty() && page.agents.len() <= 1000);
        found = page.agents.len();
    }
    times.sort();
    println!(
        "  ancestors of generation {}, {found} on a page: {:.1} ms",
        run.generation,
        ms(times[times.len() / 2])
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn kib(home: &Home) -> f64 {
    fn size(dir: &std::path::Path) -> u64 {
        let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
        entries
            .flatten()
            .map(|entry| match entry.metadata() {
                Ok(data) if data.is_dir() => size(&entry.path()),
                Ok(data) => data.len(),
                Err(_) => 0,
            })
            .sum()
    }
    size(home.path()) as f64 / 1024.0
}

fn syncs(home: &Home) -> f64 {
    let mut file = File::create(home.path().join("syncs")).expect("a file");
    let mut times = Vec::new();
    for _ in 0..200 {
        file.write_all(&vec![1; 64 << 10]).expect("room");
        let began = Instant::now();
        file.sync_data().expect("a sync");
        times.push(began.elapsed());
    }
    std::fs::remove_file(home.path().join("syncs")).expect("the file goes");
    times.sort();
    1.0 / times[times.len() / 2].as_secs_f64()
}
