//! The warm tier in PostgreSQL, beside the same done by its library alone.
//!
//! `scripts/services up postgres; . target/services.env; cargo bench --bench warm`.
//! `DARWIN_BENCH_AGENTS` sets how many agents there are when pages are read (default 1,000,000).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use darwin::{
    daemon::store::{
        cold::Extent,
        warm::{
            Warm, WarmBackend as _,
            postgres::{PostgresWarm, connect::Address},
            rows::{Change, Direction, Group, NewAgent, NewRunRow, NewSession, Node},
        },
    },
    domain::{
        id::{AgentId, RunId, SessionId, Slot},
        lifecycle::{RunState, Verdict},
    },
    provenance::block::{Block, cid_bytes},
};
use sqlx::{AssertSqlSafe, PgConnection};

/// Agents of a group, and of a generation.
const GROUP: usize = 256;
const WIDTH: i64 = 1000;
const GROUPS: i64 = 200;
const WRITES: usize = 2000;
/// Single writes a second while groups are written.
const PACE: u64 = 500;
const PAGES: usize = 200;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test` runs benches too, with this argument: nothing to do there.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let Ok(server) = std::env::var("DARWIN_TEST_POSTGRES") else {
        eprintln!("warm: DARWIN_TEST_POSTGRES names no server: scripts/services up postgres");
        return;
    };
    let place = Database::new(server).await;
    groups(&place).await;
    singles(&place).await;
    pages(&place).await;
    place.end().await;
}

/// A database of its own.
struct Database {
    server: String,
    name: String,
    warm: Arc<PostgresWarm>,
}

impl Database {
    async fn new(server: String) -> Self {
        let name = format!("bench_{:016x}", rand::random::<u64>());
        execute(&mut connect(&server).await, format!("CREATE DATABASE {name}")).await;
        let url = server.replacen("/darwin?", &format!("/{name}?"), 1);
        let warm = Arc::new(PostgresWarm::at(&url).expect("a URL"));
        warm.open([1; 16], 1).await.expect("a store");
        let place = Self { server, name, warm };
        place.warm.write(vec![session(1), run()]).await.expect("a run");
        place
    }

    async fn end(self) {
        let Self { server, name, .. } = self;
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        execute(&mut connect(&server).await, sql).await;
    }
}

async fn connect(url: &str) -> PgConnection {
    Address::parse(url).expect("a URL").connect().await.expect("a connection")
}

async fn execute(open: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(open).await.expect("SQL");
}

fn session(n: u64) -> Change {
    Change::NewSession(NewSession {
        id: SessionId::new(n, [1; 10]),
        name: "bench".to_owned(),
        user: "bench".to_owned(),
        created_ms: 1,
        context: Bytes::new(),
        wrapped: Bytes::from_static(&[1; 60]),
        master: [1; 16],
    })
}

fn run_id() -> RunId {
    RunId::new(1_700_000_000_000, [5; 10])
}

fn run() -> Change {
    Change::NewRun(Box::new(NewRunRow {
        id: run_id(),
        session: SessionId::new(1, [1; 10]),
        name: "bench".to_owned(),
        objective: "score".to_owned(),
        divisor: 1.0,
        seed: 1,
        workers: 1,
        sandbox: "full".to_owned(),
        started_ms: 1,
        content: Bytes::new(),
        state: RunState::Running,
        reason: String::new(),
        origin: None,
    }))
}

/// Agent number `n`: its parents are two of the generation before.
fn agent(n: Node) -> NewAgent {
    let (generation, index) = (n / WIDTH, n % WIDTH);
    let parent = |at: i64| (generation - 1) * WIDTH + (index * 7 + at * 13) % WIDTH;
    let slot = Slot { generation: generation.cast_unsigned(), index: index as u32 };
    NewAgent {
        node: n,
        id: AgentId::in_run(run_id(), slot),
        session: 1,
        run: Some(1),
        generation: slot.generation,
        slot: slot.index,
        parents: (0..2).map(parent).filter(|node| *node > 0).collect(),
        operators: "gaussian,uniform".to_owned(),
        fitness: Some(n as f64),
        verdict: Verdict::Scored,
        delta: Some(1.0),
        genome: [n as u8; 32],
        head: Block::dag_cbor(n.to_be_bytes().to_vec()).cid,
        seq: 0,
        at_ms: 1_700_000_000_000,
    }
}

fn group(first: Node) -> Vec<NewAgent> {
    (first..first + GROUP as i64).map(agent).collect()
}

fn change(agents: Vec<NewAgent>) -> Change {
    let extent = Some(Extent { segment: 1, length: 1 });
    Change::Agents(Group { agents, extent, ..Group::default() })
}

/// Groups of agents, and the same rows by multi-row inserts and nothing else, turn by turn.
async fn groups(place: &Database) {
    let mut raw = connect_as(place).await;
    execute(
        &mut raw,
        "CREATE TABLE raw_agent (LIKE agent INCLUDING ALL); CREATE TABLE raw_edge (LIKE edge INCLUDING ALL)"
            .to_owned(),
    )
    .await;
    let (mut ours, mut plain) = (Duration::ZERO, Duration::ZERO);
    for turn in 0..GROUPS {
        let agents = group(1 + turn * GROUP as i64);
        let begun = Instant::now();
        insert(&mut raw, &agents).await;
        plain += begun.elapsed();
        let begun = Instant::now();
        place.warm.write(vec![change(agents)]).await.expect("a group");
        ours += begun.elapsed();
    }
    let rate = |took: Duration| (GROUPS as f64 * GROUP as f64) / took.as_secs_f64();
    println!("groups of {GROUP} agents, committed one after the other:");
    println!("  sqlx, two inserts and a commit   {:8.0} agents/s", rate(plain));
    println!("  darwin's, checked and counted    {:8.0} agents/s", rate(ours));
    println!("    {:.0} % of the library's", 100.0 * rate(ours) / rate(plain));
}

async fn connect_as(place: &Database) -> PgConnection {
    connect(&place.server.replacen("/darwin?", &format!("/{}?", place.name), 1)).await
}

async fn insert(open: &mut PgConnection, agents: &[NewAgent]) {
    fn all<T>(agents: &[NewAgent], of: impl Fn(&NewAgent) -> T) -> Vec<T> {
        agents.iter().map(of).collect()
    }
    sqlx::raw_sql("BEGIN").execute(&mut *open).await.expect("a transaction");
    sqlx::query(
        "INSERT INTO raw_agent (node, id, session, run, generation, slot, fitness, verdict, delta,
             operators, genome, head, seq, at_ms, segment)
         SELECT *, 1 FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[],
             $5::bigint[], $6::bigint[], $7::float8[], $8::smallint[], $9::float8[],
             $10::bigint[], $11::bytea[], $12::bytea[], $13::bigint[], $14::bigint[])",
    )
    .bind(all(agents, |agent| agent.node))
    .bind(all(agents, |agent| uuid::Uuid::from_bytes(*agent.id.as_bytes())))
    .bind(all(agents, |agent| agent.session))
    .bind(all(agents, |agent| agent.run))
    .bind(all(agents, |agent| agent.generation.cast_signed()))
    .bind(all(agents, |agent| i64::from(agent.slot)))
    .bind(all(agents, |agent| agent.fitness))
    .bind(all(agents, |_| 1_i16))
    .bind(all(agents, |agent| agent.delta))
    .bind(all(agents, |_| 1_i64))
    .bind(all(agents, |agent| agent.genome.to_vec()))
    .bind(all(agents, |agent| cid_bytes(&agent.head).to_vec()))
    .bind(all(agents, |agent| agent.seq.cast_signed()))
    .bind(all(agents, |agent| agent.at_ms.cast_signed()))
    .execute(&mut *open)
    .await
    .expect("agents");
    let edges = agents.iter().flat_map(|agent| {
        (0_i32..).zip(&agent.parents).map(|(ord, parent)| (agent.node, (ord, *parent)))
    });
    let (children, (ords, parents)): (Vec<i64>, (Vec<i32>, Vec<i64>)) = edges.unzip();
    sqlx::query(
        "INSERT INTO raw_edge (child, ord, parent)
         SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[])",
    )
    .bind(children)
    .bind(ords)
    .bind(parents)
    .execute(&mut *open)
    .await
    .expect("edges");
    sqlx::raw_sql("COMMIT").execute(open).await.expect("a commit");
}

fn told(name: &str, mut took: Vec<Duration>) -> f64 {
    took.sort_unstable();
    let at = |share: f64| took[(took.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("  {name:<32} p50 {:6.2} ms   p99 {:6.2} ms", at(0.5), at(0.99));
    at(0.5)
}

/// One write after the other; then at a steady pace while a run writes its groups.
async fn singles(place: &Database) {
    println!("single writes, each acknowledged:");
    let id = SessionId::new(1, [1; 10]);
    let mut raw = connect_as(place).await;
    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    for n in 0..WRITES as i64 {
        let begun = Instant::now();
        sqlx::query("UPDATE session SET used_ms = greatest(used_ms, $2) WHERE id = $1")
            .bind(uuid::Uuid::from_bytes(*id.as_bytes()))
            .bind(n)
            .execute(&mut raw)
            .await
            .expect("a write");
        plain.push(begun.elapsed());
        let begun = Instant::now();
        let touch = Change::Touch(id, n.cast_unsigned());
        place.warm.write(vec![touch]).await.expect("a write");
        ours.push(begun.elapsed());
    }
    let (plain, ours) = (told("sqlx", plain), told("darwin's", ours));
    println!("    {:+.0} % over the library's median", 100.0 * (ours / plain - 1.0));

    let (warm, done) = (Warm::new(place.warm.clone()), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&done);
    let writer = warm.clone();
    let groups = tokio::spawn(async move {
        let mut next = 1 + GROUPS * GROUP as i64;
        while !ended.load(Ordering::Relaxed) {
            writer.write(vec![change(group(next))]).await.expect("a group");
            next += GROUP as i64;
        }
        next
    });
    let (mut tasks, begun) = (Vec::new(), Instant::now());
    for n in 0..PACE * 10 {
        let due = begun + Duration::from_micros(n * 1_000_000 / PACE);
        tokio::time::sleep_until(due.into()).await;
        let warm = warm.clone();
        tasks.push(tokio::spawn(async move {
            warm.write(vec![Change::Touch(id, 1_000_000 + n)]).await.expect("a write");
            due.elapsed()
        }));
    }
    let mut took = Vec::new();
    for task in tasks {
        took.push(task.await.expect("a write"));
    }
    done.store(true, Ordering::Relaxed);
    let agents = groups.await.expect("groups") - 1 - GROUPS * GROUP as i64;
    told(&format!("{PACE}/s while a run writes"), took);
    println!("    and {:.0} agents/s", agents as f64 / begun.elapsed().as_secs_f64());
}

/// Pages of ancestors, 1,000 agents each, of agents a thousand generations deep.
async fn pages(place: &Database) {
    let agents = std::env::var("DARWIN_BENCH_AGENTS").ok().and_then(|text| text.parse().ok());
    let agents: i64 = agents.unwrap_or(1_000_000);
    let mut raw = connect_as(place).await;
    // The server makes the rest of them itself.
    let begun = Instant::now();
    execute(
        &mut raw,
        format!(
            "SET statement_timeout = 0;
             INSERT INTO agent (node, id, session, run, generation, slot, fitness, verdict, delta,
                 operators, genome, head, seq, at_ms, segment)
             SELECT n, gen_random_uuid(), 1, 1, n / {WIDTH}, n % {WIDTH}, n, 1, 1, 1,
                 (SELECT genome FROM agent LIMIT 1), (SELECT head FROM agent LIMIT 1), 0, 1, 1
             FROM generate_series((SELECT max(node) + 1 FROM agent), {agents}) AS n;
             INSERT INTO edge (child, ord, parent)
             SELECT n, o, (n / {WIDTH} - 1) * {WIDTH} + (n % {WIDTH} * 7 + o * 13) % {WIDTH}
             FROM generate_series((SELECT max(child) + 1 FROM edge), {agents}) AS n,
                 generate_series(0, 1) AS o;
             ANALYZE agent; ANALYZE edge"
        ),
    )
    .await;
    println!("pages of 1,000 ancestors among {agents} agents (made in {:.0?}):", begun.elapsed());
    let (mut first, mut deep) = (Vec::new(), Vec::new());
    for page in 0..PAGES {
        let from = agents - 1 - page as i64 * 37;
        let begun = Instant::now();
        let walked = place.warm.walk(Direction::Up, vec![from], 1000).await.expect("a page");
        first.push(begun.elapsed());
        assert_eq!(walked.agents.len(), 1000);
        // A line of descent: each page is a thousand generations.
        let begun = Instant::now();
        let walked = place.warm.walk(Direction::Up, walked.frontier, 1000).await.expect("a page");
        deep.push(begun.elapsed());
        assert_eq!(walked.agents.len(), 1000);
    }
    told("the first", first);
    told("the next", deep);
    line(place, &mut raw).await;
}

/// The ancestors of the last one of a line, each of which has one parent.
async fn line(place: &Database, raw: &mut PgConnection) {
    let first = 1_i64 << 40;
    execute(
        raw,
        format!(
            "INSERT INTO agent (node, id, session, run, generation, slot, fitness, verdict, delta,
                 operators, genome, head, seq, at_ms, segment)
             SELECT {first} + n, gen_random_uuid(), 1, 1, n, 0, n, 1, 1, 1,
                 (SELECT genome FROM agent LIMIT 1), (SELECT head FROM agent LIMIT 1), 0, 1, 1
             FROM generate_series(0, 5000) AS n;
             INSERT INTO edge (child, ord, parent)
             SELECT {first} + n, 0, {first} + n - 1 FROM generate_series(1, 5000) AS n;
             ANALYZE agent; ANALYZE edge"
        ),
    )
    .await;
    let mut took = Vec::new();
    for page in 0..PAGES as i64 {
        let begun = Instant::now();
        let from = vec![first + 5000 - page];
        let walked = place.warm.walk(Direction::Up, from, 1000).await.expect("a page");
        took.push(begun.elapsed());
        assert_eq!(walked.agents.len(), 1000);
    }
    told("of a line 1,000 deep", took);
}
