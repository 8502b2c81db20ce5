//! The registry's write path and its lineage pages, beside a plain database and file.
//!
//! `cargo bench --bench registry`. `DARWIN_BENCH_AGENTS` sets the number of agents (default
//! 1,000,000), `DARWIN_BENCH_DIR` the directory (default: a temporary one in `target`),
//! `DARWIN_BENCH_WARM` where the rows are (default `sqlite:`; an empty database of PostgreSQL's).

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Write as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use darwin::{
    daemon::{
        clock::Clock,
        registry::{
            Registry, Settings,
            model::{Finished, NewRun, Receipt},
        },
        store::{Places, Stores},
    },
    domain::{
        digest::Digest,
        evaluation::Evaluation,
        genome::{Genome, Kind, Param, Space},
        id::{AgentId, RunId, SessionId, Slot},
        journal::{Evaluated, Judged, Proposed},
        lifecycle::Verdict,
    },
};
use rusqlite::{Connection, params_from_iter, types::Value};

const WIDTH: u64 = 1000;
const BATCH: usize = 64;
const IN_FLIGHT: usize = 32;
const PARAMS: usize = 10;
const GROUP: usize = 256;

fn main() {
    // `cargo test` runs benches too, with this argument: nothing to do there.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let agents: u64 = number("DARWIN_BENCH_AGENTS").unwrap_or(1_000_000);
    let place = std::env::var_os("DARWIN_BENCH_DIR");
    let place = place.map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(), Into::into);
    let dir = tempfile::tempdir_in(place).expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads");
    let written = runtime.block_on(ours(&dir.path().join("ours"), agents));
    baseline(&dir.path().join("plain"), agents, written);
}

fn run_id() -> RunId {
    RunId::new(1_700_000_000_000, [5; 10])
}

fn space() -> Arc<Space> {
    let param = |at| Param {
        name: format!("x{at}"),
        kind: Kind::Real { min: -5.12, max: 5.12, log: false },
        init: None,
    };
    Arc::new(Space { params: (0..PARAMS).map(param).collect() })
}

/// A number in `[0, 1)` that looks random.
fn mix(seed: u64) -> f64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The place of the `at`th parent of agent `n`: anywhere in the generation before.
fn parent(n: u64, at: u64) -> Option<u64> {
    let before = (n / WIDTH).checked_sub(1)?;
    Some(before * WIDTH + (mix(n * 2 + at) * WIDTH as f64) as u64)
}

fn slot(n: u64) -> Slot {
    Slot { generation: n / WIDTH, index: (n % WIDTH) as u32 }
}

fn agent(n: u64, space: &Arc<Space>) -> Finished {
    let id = |n| AgentId::in_run(run_id(), slot(n));
    let params: Arc<[f64]> = (0..PARAMS as u64).map(|at| mix(n << 4 | at) * 10.24 - 5.12).collect();
    let score: f64 = params.iter().map(|x| x * x).sum();
    let parents: Vec<u64> = (0..2).filter_map(|at| parent(n, at)).collect();
    let Slot { generation, index } = slot(n);
    Finished {
        agent: id(n),
        proposed: Proposed {
            run: Some(run_id()),
            generation,
            slot: index,
            operators: vec!["uniform".to_owned(), "gaussian".to_owned()],
            seed: 1,
            parents: parents.into_iter().map(id).collect(),
            genome: Genome { params, ..Genome::default() },
            space: Arc::clone(space),
        },
        evaluated: Evaluated {
            suite: Digest([7; 32]),
            seed: n,
            evaluation: Evaluation::of(vec![score]),
            fitness: Some(-score),
            at_ms: 1_700_000_000_000 + n,
        },
        repeats: Vec::new(),
        judged: Judged { verdict: Verdict::Scored, delta: Some(-0.5) },
    }
}

/// Resident memory, in bytes.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// Bytes handed to the disk so far.
fn disk() -> u64 {
    let text = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Processor time so far.
fn cpu() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<u64> = text
        .rsplit(") ")
        .next()
        .into_iter()
        .flat_map(|t| t.split(' '))
        .map(|f| f.parse().unwrap_or(0))
        .collect();
    Duration::from_millis(fields.get(11..13).map_or(0, |both| both.iter().sum::<u64>() * 10))
}

async fn ours(dir: &Path, agents: u64) -> u64 {
    let warm = std::env::var("DARWIN_BENCH_WARM").unwrap_or_else(|_| "sqlite:".to_owned());
    let places = Places { cold: "file:", warm: &warm, hot: "memory:", segment: 128 << 20 };
    let stores = Stores::open(dir, &places).expect("stores");
    let registry =
        Registry::open(stores, &dir.join("keys"), None, Settings::default(), Clock::System)
            .await
            .expect("a registry");
    let session = SessionId::new(1, [1; 10]);
    registry.create_session(session, "bench", "bench").await.expect("a session");
    let run = NewRun {
        id: run_id(),
        session,
        name: "bench".to_owned(),
        spec_toml: String::new(),
        agent_files: std::collections::BTreeMap::default(),
        suite_files: std::collections::BTreeMap::default(),
        workers: 0,
        sandbox: "full".to_owned(),
        seed: 1,
        objective: "score".to_owned(),
        divisor: -1.0,
        origin: None,
    };
    registry.create_run(run).await.expect("a run");
    let (memory, bytes, time, began) = (resident(), disk(), cpu(), Instant::now());
    let mut peak = memory;
    let space = space();
    let mut waiting: VecDeque<Receipt> = VecDeque::new();
    let (mut tenth, mut rates) = (Instant::now(), Vec::new());
    let mut next = 0;
    while next < agents {
        let end = (next + BATCH as u64).min(agents).min((next / WIDTH + 1) * WIDTH);
        let batch = (next..end).map(|n| agent(n, &space)).collect();
        waiting.push_back(registry.submit(Some(run_id()), session, batch).await.expect("room"));
        if waiting.len() >= IN_FLIGHT
            && let Some(receipt) = waiting.pop_front()
        {
            receipt.await.expect("a commit");
        }
        if end * 10 / agents > next * 10 / agents {
            for receipt in waiting.drain(..) {
                receipt.await.expect("a commit");
            }
            rates.push(agents as f64 / 10.0 / tenth.elapsed().as_secs_f64());
            peak = peak.max(resident());
            println!(
                "  {:>9} agents: {:>7.0}/s, {} MiB resident",
                end,
                rates.last().unwrap_or(&0.0),
                resident() >> 20
            );
            tenth = Instant::now();
        }
        next = end;
    }
    let took = began.elapsed();
    let (used, written) = (cpu().saturating_sub(time), disk() - bytes);
    println!("registry: {agents} agents, sealed, signed, durable");
    println!(
        "  {:.0} agents/s; first tenth {:.0}/s, last tenth {:.0}/s",
        agents as f64 / took.as_secs_f64(),
        rates[0],
        rates[rates.len() - 1]
    );
    println!(
        "  {:.1} us of processor, {} bytes to disk per agent",
        used.as_secs_f64() * 1e6 / agents as f64,
        written / agents
    );
    println!("  {} MiB resident at its peak, {} MiB before", peak >> 20, memory >> 20);
    pages(&registry, agents).await;
    let began = Instant::now();
    let found = registry.verify_all().await.expect("a check");
    assert_eq!((found.agents, found.faults.len()), (agents, 0));
    let rate = agents as f64 / began.elapsed().as_secs_f64();
    println!(
        "verify everything, contents too: {rate:.0} agents/s, {} MiB resident",
        resident() >> 20
    );
    registry.close().await;
    let size = |path: &Path| -> u64 {
        let entries = fs::read_dir(path).expect("a folder");
        entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|meta| meta.len()).sum()
    };
    println!(
        "  cold {} bytes, warm {} bytes per agent at rest",
        size(&dir.join("cold")) / agents,
        fs::metadata(dir.join("warm.db")).map_or(0, |meta| meta.len()) / agents
    );
    size(&dir.join("cold")) / agents
}

/// Pages of ancestors of the last agent: the first page again and again, then page after page.
async fn pages(registry: &Registry, agents: u64) {
    let last = AgentId::in_run(run_id(), slot(agents - 1));
    let mut first = Vec::new();
    for _ in 0..21 {
        let began = Instant::now();
        let page = registry.ancestors(last, &[], 1000).await.expect("a page");
        first.push(began.elapsed());
        assert!(!page.agents.is_empty());
    }
    let (mut cursor, mut walk, mut widest) = (Vec::new(), Vec::new(), 0);
    loop {
        let began = Instant::now();
        let page = registry.ancestors(last, &cursor, 1000).await.expect("a page");
        walk.push(began.elapsed());
        widest = widest.max(page.cursor.len());
        cursor = page.cursor;
        if cursor.is_empty() || walk.len() >= 200 {
            break;
        }
    }
    let cold = first[0];
    first.sort_unstable();
    walk.sort_unstable();
    println!(
        "ancestors, 1,000 a page: first {cold:.2?}, again {:.2?} (median), {:.2?} (median of {} pages), {:.2?} at most, cursors of up to {widest} bytes",
        first[first.len() / 2],
        walk[walk.len() / 2],
        walk.len(),
        walk[walk.len() - 1],
    );
}

/// The same rows by multi-row inserts into a plain database, and as many bytes appended to a
/// plain file, both synced for each group: no seals, no signatures, no checks.
fn baseline(dir: &Path, agents: u64, bytes: u64) {
    fs::create_dir_all(dir).expect("a folder");
    let mut file = File::create(dir.join("plain.bin")).expect("a file");
    let mut open = Connection::open(dir.join("plain.db")).expect("a database");
    open.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -8192;
         PRAGMA wal_autocheckpoint = 4000;
         CREATE TABLE agent (node INTEGER PRIMARY KEY, id BLOB, session INTEGER, run INTEGER,
             generation INTEGER, slot INTEGER, fitness REAL, verdict INTEGER, delta REAL,
             operators INTEGER, genome BLOB, head BLOB, seq INTEGER, segment INTEGER, at_ms INTEGER);
         CREATE UNIQUE INDEX agent_by_id ON agent (id);
         CREATE INDEX agent_by_run ON agent (run);
         CREATE TABLE edge (child INTEGER, ord INTEGER, parent INTEGER, PRIMARY KEY (child, ord))
             WITHOUT ROWID;
         CREATE INDEX edge_by_parent ON edge (parent, child);",
    )
    .expect("a schema");
    let rows = |columns: usize, count: usize| {
        let row = format!("({})", vec!["?"; columns].join(","));
        vec![row; count].join(",")
    };
    let (many, edges) = (
        format!("INSERT INTO agent VALUES {}", rows(15, 64)),
        format!("INSERT INTO edge VALUES {}", rows(3, 64)),
    );
    let block = vec![0x5a; usize::try_from(bytes).unwrap_or(0) * GROUP];
    let began = Instant::now();
    let mut next = 0;
    while next < agents {
        file.write_all(&block).and_then(|()| file.sync_data()).expect("room");
        let change = open.transaction().expect("a transaction");
        let group: Vec<u64> = (next..(next + GROUP as u64).min(agents)).collect();
        let mut all: Vec<[Value; 3]> = Vec::new();
        for part in group.chunks(64) {
            let mut values: Vec<Value> = Vec::with_capacity(15 * 64);
            for n in part {
                let id = AgentId::in_run(run_id(), slot(*n));
                let int = |n: u64| Value::Integer(n as i64);
                let genome: Vec<u8> = (0..4).flat_map(|at| mix(n * 7 + at).to_be_bytes()).collect();
                let head: Vec<u8> = genome.iter().copied().chain([0; 4]).collect();
                values.extend([
                    int(n + 1),
                    Value::Blob(id.as_bytes().to_vec()),
                    int(1),
                    int(1),
                    int(n / WIDTH),
                    int(n % WIDTH),
                    Value::Real(mix(*n)),
                    int(1),
                    Value::Real(-0.5),
                    int(1),
                    Value::Blob(genome),
                    Value::Blob(head),
                    int(0),
                    int(1),
                    int(1_700_000_000_000 + n),
                ]);
                for at in 0..2 {
                    all.extend(parent(*n, at).map(|p| [int(n + 1), int(at), int(p + 1)]));
                }
            }
            let sql = if part.len() == 64 {
                many.clone()
            } else {
                format!("INSERT INTO agent VALUES {}", rows(15, part.len()))
            };
            change
                .prepare_cached(&sql)
                .and_then(|mut s| s.execute(params_from_iter(values)))
                .expect("rows");
        }
        for part in all.chunks(64) {
            let sql = if part.len() == 64 {
                edges.clone()
            } else {
                format!("INSERT INTO edge VALUES {}", rows(3, part.len()))
            };
            change
                .prepare_cached(&sql)
                .and_then(|mut s| s.execute(params_from_iter(part.iter().flatten())))
                .expect("edges");
        }
        change.commit().expect("a commit");
        next += GROUP as u64;
    }
    println!(
        "plain SQLite and file, neither sealed nor signed: {:.0} agents/s",
        agents as f64 / began.elapsed().as_secs_f64()
    );
}
