//! Many clients of one daemon, over TLS on loopback, each with a line of its own; client and daemon
//! share the machine.
//!
//! `cargo bench --bench load` prints: how many small reads a second 64 clients get when each asks
//! again at once; their latency at half that rate, and when ten times as many ask (of those that are
//! let in); what 1,000 idle connections cost the daemon; and whether 10,000 streams on 64 lines hold
//! while another client asks.

#![allow(clippy::expect_used, clippy::cast_precision_loss, reason = "a benchmark")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use darwin::{
    code::Code,
    config::Paths,
    domain::id::RunId,
    link::{
        client::Link,
        endpoint::Endpoint,
        pki::{Identity, Pki, Usage},
    },
    wire::{envelope::Keyed as _, fault::Fault, v1, v1::sessions_client::SessionsClient},
};
use support::{Home, start_request};
use tokio::{task::JoinSet, time::sleep_until};

/// Clients, each with a connection of its own.
const CLIENTS: usize = 64;
/// How long each load lasts.
const SPAN: Duration = Duration::from_secs(5);
/// Idle connections, two a client.
const IDLE: usize = 1000;
/// Streams that are open at once.
const STREAMS: usize = 10_000;

/// Where the daemon is, and who asks.
struct Daemon {
    endpoint: Endpoint,
    identity: Identity,
}

impl Daemon {
    fn of(home: &Home) -> Self {
        let paths = Paths::under(home.path());
        let endpoint = Endpoint::read(&paths.run_dir).expect("it reads").expect("it runs");
        let identity = Pki::at(paths.pki()).identity(Usage::Client).expect("a certificate");
        Self { endpoint, identity }
    }

    async fn links(&self, count: usize) -> Vec<Link> {
        let mut links = Vec::new();
        for _ in 0..count {
            let link = Link::connect(&self.endpoint, &self.identity).await.expect("a link");
            ask(&link).await.expect("an answer");
            links.push(link);
        }
        links
    }
}

/// A small read, made once, whatever comes of it.
async fn ask(link: &Link) -> Result<(), Fault> {
    let mut sessions = SessionsClient::new(link.channel().inner().clone());
    sessions.list(v1::ListSessionsRequest::default()).await?;
    Ok(())
}

/// What a load came to: the latencies of what was answered, in rising order, and what was turned
/// away.
struct Outcome {
    took: Vec<Duration>,
    shed: usize,
}

impl Outcome {
    fn at(&self, share: f64) -> f64 {
        let last = self.took.len().saturating_sub(1) as f64;
        self.took.get((last * share) as usize).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
    }

    fn rate(&self) -> f64 {
        self.took.len() as f64 / SPAN.as_secs_f64()
    }
}

/// Has each link asked by `each` callers, again at once or, with a rate, that often in all.
async fn load(links: &[Link], each: usize, rate: Option<f64>) -> Outcome {
    let end = tokio::time::Instant::now() + SPAN;
    let callers = links.len() * each;
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let link = links[caller % links.len()].clone();
        tasks.spawn(async move {
            let pause = rate.map(|rate| Duration::from_secs_f64(callers as f64 / rate));
            let mut due = tokio::time::Instant::now();
            due += pause.unwrap_or_default().mul_f64(caller as f64 / callers as f64);
            let (mut took, mut shed) = (Vec::new(), 0);
            while tokio::time::Instant::now() < end {
                if let Some(pause) = pause {
                    sleep_until(due).await;
                    due += pause;
                }
                let begun = Instant::now();
                match ask(&link).await {
                    Ok(()) => took.push(begun.elapsed()),
                    Err(fault) => {
                        assert_eq!(fault.code, Code::Exhausted, "{fault}");
                        shed += 1;
                        // As our client does: not before the daemon says.
                        let after = fault.after.unwrap_or(Duration::from_millis(10));
                        tokio::time::sleep(after).await;
                    }
                }
            }
            (took, shed)
        });
    }
    let mut all = Outcome { took: Vec::new(), shed: 0 };
    for (took, shed) in tasks.join_all().await {
        all.took.extend(took);
        all.shed += shed;
    }
    all.took.sort_unstable();
    all
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test` runs benches too, with this argument: nothing to do there.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let mut home = Home::new();
    let own = home.start().await;
    let daemon = Daemon::of(&home);

    let links = daemon.links(CLIENTS).await;
    let one = load(&links[..1], 1, None).await;
    println!(
        "one client, one call at a time: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms",
        one.rate(),
        one.at(0.5),
        one.at(0.99)
    );
    let most = load(&links, 1, None).await;
    println!(
        "{CLIENTS} clients, again at once: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
        most.rate(),
        most.at(0.5),
        most.at(0.99)
    );
    let half = load(&links, 1, Some(most.rate() / 2.0)).await;
    println!(
        "  at half that rate: {:.0}/s, p50 {:.2} ms, p99 {:.2} ms (goal 5 ms)",
        half.rate(),
        half.at(0.5),
        half.at(0.99)
    );
    let flood = load(&links, 10, None).await;
    println!(
        "  ten times as many callers: {:.0}/s let in, p50 {:.1} ms, p99 {:.1} ms (goal 50 ms), \
         {:.0}/s turned away",
        flood.rate(),
        flood.at(0.5),
        flood.at(0.99),
        flood.shed as f64 / SPAN.as_secs_f64()
    );
    drop(links);

    let before = home.resident();
    let idle = daemon.links(IDLE / 2).await;
    let after = home.resident();
    println!(
        "{IDLE} idle connections: {:.1} MiB more than {:.1} MiB (goal 100 MiB)",
        after.saturating_sub(before) as f64 / 1024.0,
        before as f64 / 1024.0
    );
    drop(idle);

    streams(&home, &daemon, &own).await;
}

/// Opens [`STREAMS`] on [`CLIENTS`] lines, each following a run that rarely changes.
async fn streams(home: &Home, daemon: &Daemon, own: &Link) {
    let id = RunId::new(1_700_000_000_000, [1; 10]);
    let spec = "name = \"slow\"\n[agent]\nfiles = [\"a\"]\n[stop]\nevaluations = 1000000\n[suite]\n\
                name = \"slow\"\nkind = \"command\"\nargv = [\"sleep\", \"600\"]\n\
                [suite.limits]\ntime = 900\n[[suite.objectives]]\nname = \"score\"\n";
    let file = v1::File { path: "a".to_owned(), content: "x".into(), executable: false };
    let request =
        v1::StartRequest { agent_files: vec![file], workers: 1, ..start_request(id, spec) };
    own.runs().start(request.keyed()).await.expect("the run starts");
    let (links, before) = (daemon.links(CLIENTS).await, home.resident());
    let run = v1::RunRef { run: id.to_string() };
    let (begun, mut opening) = (Instant::now(), JoinSet::new());
    for link in links.clone() {
        let run = run.clone();
        opening.spawn(async move {
            let mut open = Vec::new();
            for _ in 0..STREAMS.div_ceil(CLIENTS) {
                let mut stream =
                    link.runs().watch(run.clone()).await.expect("a stream").into_inner();
                stream.message().await.expect("progress").expect("some progress");
                open.push(stream);
            }
            open
        });
    }
    let open = opening.join_all().await;
    let count: usize = open.iter().map(Vec::len).sum();
    println!(
        "{count} streams on {CLIENTS} lines, opened in {:.1} s: {:.1} MiB more than {:.1} MiB",
        begun.elapsed().as_secs_f64(),
        home.resident().saturating_sub(before) as f64 / 1024.0,
        before as f64 / 1024.0
    );
    let other = daemon.links(1).await;
    let asked = load(&other, 1, None).await;
    println!(
        "  another client meanwhile: p50 {:.2} ms, p99 {:.1} ms",
        asked.at(0.5),
        asked.at(0.99)
    );
    own.runs().kill(run).await.expect("the run is killed");
    let mut ending = JoinSet::new();
    for streams in open {
        ending.spawn(async move {
            let mut ended = 0;
            for mut stream in streams {
                while let Some(progress) = stream.message().await.expect("progress") {
                    ended += usize::from(progress.run.is_some_and(|run| run.state == "stopped"));
                }
            }
            ended
        });
    }
    let ended: usize = ending.join_all().await.into_iter().sum();
    println!("  {ended} of them were told of its end");
    drop(links);
}
