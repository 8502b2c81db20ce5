//! Random writes, right and wrong ones: every back end takes what memory takes, and answers what
//! memory answers.

use std::fmt::Debug;

use bytes::Bytes;
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::{Index, select},
};

use super::{
    Named, PAGE, Runs, WarmBackend,
    marks::Mark,
    memory::MemoryWarm,
    postgres::fixture::Database,
    rows::{
        AgentRow, BlobRow, Change, Direction, Group, NewAgent, NewHead, NewResult, NewRunRow,
        NewSession, Node, Origin, StopOverride,
    },
    sqlite::SqliteWarm,
    uploads::NewUpload,
};
use crate::{
    code::Code,
    daemon::store::{cold::Extent, error::StoreError},
    domain::{
        id::{AgentId, RunId, SessionId},
        lifecycle::{RunState, Verdict},
    },
    provenance::block::Block,
};

// Ids of sessions, runs and agents rise in another order than their numbers.
fn session(n: u8) -> SessionId {
    SessionId::new(9 - u64::from(n), [n; 10])
}

fn run(n: u8) -> RunId {
    RunId::new(9 - u64::from(n), [n; 10])
}

fn agent(n: Node) -> AgentId {
    AgentId::new((n * 7).rem_euclid(64) as u64, [n as u8; 10])
}

/// A change, as far as it can be told before it is known which agents there are.
#[derive(Debug, Clone)]
enum Step {
    Plain(Change),
    /// A group without its agents; these; whose journals go on, by how many entries; and whose
    /// results can be found again, by which keys.
    Group(Group, Vec<Child>, Vec<(Index, u64)>, Vec<(Index, u8)>),
}

#[derive(Debug, Clone)]
struct Child {
    /// Its number is the distance from the one before.
    new: NewAgent,
    parents: Vec<Index>,
    slip: Option<Slip>,
}

/// What is wrong with an agent; numbers and ids of agents by their distance from the right one.
#[derive(Debug, Clone, Copy)]
enum Slip {
    Node(Node),
    Id(Node),
    Session(i64),
    Run(i64),
    Parent(Node),
}

/// A number of a session or a run: the first two are made before the first step.
fn number() -> impl Strategy<Value = u8> {
    prop_oneof![20 => 0..2_u8, 1 => 2..4_u8]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..3).prop_map(Bytes::from)
}

fn ms() -> impl Strategy<Value = u64> {
    0..9_u64
}

fn new_session(n: u8, created_ms: u64, context: Bytes, wrapped: Bytes) -> Change {
    let (name, user) =
        (format!("session {}", n / 2), ["ann", "bob"][usize::from(n / 3)].to_owned());
    let (id, master) = (session(n), [n; 16]);
    Change::NewSession(NewSession { id, name, user, created_ms, context, wrapped, master })
}

fn new_run(n: u8, of: u8, seed: u64, started_ms: u64, content: Bytes) -> Change {
    // Every other one goes on from another, which may not be there.
    let origin = (seed % 2 == 1).then_some((seed % 5) as u8);
    Change::NewRun(Box::new(NewRunRow {
        id: run(n),
        session: session(of),
        name: format!("run {n}"),
        objective: String::new(),
        divisor: -0.5,
        seed,
        workers: n.into(),
        sandbox: "full".to_owned(),
        started_ms,
        content,
        state: RunState::Running,
        reason: String::new(),
        origin: origin.map(|of| Origin { run: run(of), generation: u64::from(of), best: None }),
    }))
}

fn set_run() -> impl Strategy<Value = Change> {
    let whole = || option::of(any::<u64>());
    let float = || option::of(select(&[0.5, -1.5, 1e300][..]));
    let stop = (whole(), whole(), float(), float()).prop_map(
        |(generations, evaluations, time, target)| StopOverride {
            generations,
            evaluations,
            time,
            target,
        },
    );
    (number(), select(&RunState::ALL[..]), "[a-z]{0,2}", any::<u64>(), option::of(stop)).prop_map(
        |(n, state, reason, elapsed, stop)| Change::SetRun(run(n), state, reason, elapsed, stop),
    )
}

fn plain() -> impl Strategy<Value = Change> {
    let id = || number().prop_map(session);
    let made = || (1..4_u8, number(), any::<u64>(), ms(), bytes());
    prop_oneof![
        1 => made().prop_map(|(n, _, _, ms, sealed)| new_session(n, ms, sealed.clone(), sealed)),
        1 => made().prop_map(|(n, of, seed, ms, sealed)| new_run(n, of, seed, ms, sealed)),
        3 => (id(), ms()).prop_map(|(id, ms)| Change::Touch(id, ms)),
        3 => (id(), any::<bool>(), ms()).prop_map(|(id, to, ms)| Change::Close(id, to, ms)),
        2 => (id(), bytes()).prop_map(|(id, sealed)| Change::Context(id, sealed)),
        1 => id().prop_map(Change::Shred),
        6 => set_run(),
        4 => (number(), any::<u64>(), bytes())
            .prop_map(|(n, generation, sealed)| Change::Checkpoint(run(n), generation, sealed)),
        3 => (0..3_u8, ms()).prop_map(|(n, ms)| Change::SigningKey([n; 32], [9 - n; 32], ms)),
        2 => (0..3_u8, 0..3_u8, ms()).prop_map(|(sender, key, at_ms)| Change::Mark(mark(sender, key, at_ms))),
        2 => (0..2_u8, number(), ms()).prop_map(|(id, of, begun_ms)| Change::NewUpload(NewUpload {
            id: [id; 32], session: session(of), size: 9, sealed: Bytes::new(), begun_ms,
        })),
        1 => (0..2_u8, any::<bool>()).prop_map(|(id, whole)| Change::EndUpload([id; 32], whole)),
        1 => Just(Change::Settle),
    ]
}

fn mark(sender: u8, key: u8, at_ms: u64) -> Mark {
    Mark { sender: [sender; 32], key: [key; 16], request: [1; 32], subject: [2; 16], at_ms }
}

fn child() -> impl Strategy<Value = Child> {
    let fitness = option::weighted(0.8, select(&[-1.0, 0.0, 0.5, 0.5, 2.0][..]));
    let operators = select(&["", "gaussian", "uniform,gaussian", ",odd,,"][..]);
    let gap = prop_oneof![2 => Just(1), 1 => 2..4_i64];
    let new = (gap, 1..3_i64, option::weighted(0.9, 1..3_i64), 0..4_u64, fitness, operators)
        .prop_map(|(node, session, run, generation, fitness, operators)| NewAgent {
            node,
            id: agent(0),
            session,
            run,
            generation,
            slot: 3,
            parents: Vec::new(),
            operators: operators.to_owned(),
            fitness,
            verdict: Verdict::of(fitness, None, Some(1.0)),
            delta: fitness.map(|fitness| fitness - 0.25),
            genome: [5; 32],
            head: Block::raw(vec![generation as u8]).cid,
            seq: 0,
            at_ms: 7,
        });
    let slip = prop_oneof![
        (-5..3_i64).prop_map(Slip::Node),
        (-5..3_i64).prop_map(Slip::Id),
        (0..5_i64).prop_map(Slip::Session),
        (0..5_i64).prop_map(Slip::Run),
        (-5..3_i64).prop_map(Slip::Parent),
    ];
    (new, vec(any::<Index>(), 0..3), option::weighted(0.06, slip))
        .prop_map(|(new, parents, slip)| Child { new, parents, slip })
}

fn step() -> impl Strategy<Value = Step> {
    let extent = (1..3_u32, 0..99_u64).prop_map(|(segment, length)| Extent { segment, length });
    let blob = (0..4_u8, 0..3_u8).prop_map(|(n, count)| BlobRow {
        mac: [n; 32],
        cids: (0..count).map(|n| Block::raw(vec![n]).cid).collect(),
    });
    let group = (vec(blob, 0..3), option::weighted(0.8, extent))
        .prop_map(|(blobs, extent)| Group { blobs, extent, ..Group::default() });
    let more = prop_oneof![30 => Just(1_u64), 1 => select(&[0, 2][..])];
    let appended = vec((any::<Index>(), more), 0..3);
    let results = vec((any::<Index>(), 0..6_u8), 0..3);
    prop_oneof![
        plain().prop_map(Step::Plain),
        (group, vec(child(), 0..6), appended, results)
            .prop_map(|(group, new, more, found)| Step::Group(group, new, more, found)),
    ]
}

/// The change that a step comes to. `heads` has the numbers of all agents, and of the last
/// entries of their journals: first those that are there, then those of the same write as well.
fn change(step: Step, heads: &mut Vec<(Node, u64)>) -> Change {
    let (mut group, children, appended, results) = match step {
        Step::Plain(change) => return change,
        Step::Group(group, new, more, found) => (group, new, more, found),
    };
    for Child { mut new, parents, slip } in children {
        new.node += heads.iter().map(|(node, _)| *node).max().unwrap_or(0);
        new.id = agent(new.node);
        if !heads.is_empty() {
            new.parents = parents.iter().map(|at| at.get(heads).0).collect();
        }
        match slip {
            Some(Slip::Node(by)) => new.node = (new.node + by).max(1),
            Some(Slip::Id(by)) => new.id = agent(new.node + by),
            Some(Slip::Session(other)) => new.session = other,
            Some(Slip::Run(other)) => new.run = Some(other),
            Some(Slip::Parent(by)) => new.parents.push(new.node + by),
            None => {}
        }
        heads.push((new.node, new.seq));
        group.agents.push(new);
    }
    for (whose, more) in appended {
        if heads.is_empty() {
            break;
        }
        let at = whose.index(heads.len());
        let (node, seq) = &mut heads[at];
        *seq += more;
        let head = Block::dag_cbor(vec![*seq as u8]).cid;
        group.appended.push(NewHead { node: *node, head, seq: *seq });
    }
    if !heads.is_empty() {
        let result =
            |(whose, key): (Index, u8)| NewResult { key: [key; 32], agent: whose.get(heads).0 };
        group.results = results.into_iter().map(result).collect();
    }
    Change::Agents(group)
}

/// An answer as text, beside its question; of an error, the code.
fn told<T: Debug>(out: &mut Vec<String>, question: &str, answer: Result<T, StoreError>) {
    out.push(format!("{question}: {:?}", answer.map_err(|error| error.code())));
}

/// What a back end answers to every question.
async fn answers(rows: &dyn WarmBackend) -> Vec<String> {
    let mut out = Vec::new();
    told(&mut out, "open", rows.open([9; 16], 9).await);
    told(&mut out, "count", rows.count().await);
    told(&mut out, "check", rows.check().await);
    told(&mut out, "signing keys", rows.signing_keys().await);
    for (sender, key) in (0..3).flat_map(|sender| (0..3).map(move |key| (sender, key))) {
        told(&mut out, "a call", rows.mark([sender; 32], [key; 16]).await);
    }
    for id in 0..2 {
        told(&mut out, "a blob", rows.upload([id; 32]).await);
        told(&mut out, "blobs", rows.uploads(session(id), 9).await);
    }
    for limit in [0, 1, 2, usize::MAX] {
        for closed_too in [false, true] {
            told(&mut out, "sessions", rows.sessions(closed_too, limit).await);
        }
        for (user, name) in [None, Some("ann"), Some("bob")]
            .into_iter()
            .flat_map(|user| ["session 0", "session 1"].map(|name| (user, name)))
        {
            let found = rows.sessions_named(user, name, limit).await;
            told(&mut out, &format!("{name} of {user:?}"), found);
        }
        for which in [Runs::All, Runs::AtWork, Runs::Of(session(0)), Runs::Of(session(3))] {
            told(&mut out, "runs", rows.runs(which, limit).await);
        }
        for named in [Named::Agent, Named::Run, Named::Session] {
            let ids = [[0; 16], *agent(5).as_bytes(), *run(1).as_bytes(), [255; 16]];
            for (from, to) in ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to))) {
                told(&mut out, &format!("find {named:?}"), rows.find(named, from, to, limit).await);
            }
        }
        for (n, after) in (0..4).flat_map(|n| [-1, 0, 3, 8, Node::MAX].map(|after| (n, after))) {
            let of = (n < 3).then(|| run(n));
            told(&mut out, "agents after", rows.agents_after(of, after, limit).await);
            told(&mut out, "results", rows.results(run(n), after, limit).await);
        }
        for direction in [Direction::Up, Direction::Down] {
            for front in [vec![], vec![1], vec![2, 5, 2], vec![Node::MAX, 9, 3, -1, 0], vec![20]] {
                let question = format!("{direction:?} from {front:?}");
                told(&mut out, &question, rows.walk(direction, front, limit).await);
            }
        }
    }
    for n in 0..4 {
        told(&mut out, "session", rows.session(session(n)).await);
        told(&mut out, "key", rows.session_key(session(n)).await);
        told(&mut out, "run", rows.run(run(n)).await);
        told(&mut out, "content", rows.run_content(run(n)).await);
        told(&mut out, "checkpoint", rows.checkpoint(run(n)).await);
        told(&mut out, "blob", rows.blob([n; 32]).await);
    }
    for n in 0..6 {
        told(&mut out, "result", rows.result([n; 32]).await);
    }
    let ids = (0..40).chain([7, 7]).map(agent).collect();
    let sorted = |mut rows: Vec<AgentRow>| {
        rows.sort_by_key(|row| row.node);
        rows
    };
    told(&mut out, "agents", rows.agents(ids).await.map(sorted));
    out
}

async fn codes(backend: &dyn WarmBackend, changes: &[Change]) -> Result<(), Code> {
    backend.write(changes.to_vec()).await.map_err(|error| error.code())
}

async fn in_file(writes: Vec<Vec<Step>>) {
    let dir = tempfile::tempdir().unwrap();
    compare(&SqliteWarm::file(&dir.path().join("warm.db")).unwrap(), writes).await;
}

async fn on_server(writes: Vec<Vec<Step>>) {
    if let Some(server) = Database::new().await {
        compare(&*server.warm, writes).await;
        server.end().await;
    }
}

async fn compare(other: &dyn WarmBackend, writes: Vec<Vec<Step>>) {
    let memory = MemoryWarm::default();
    for backend in [&memory as &dyn WarmBackend, other] {
        backend.open([8; 16], 1).await.unwrap();
        let sessions = (0..2).map(|n| new_session(n, 1, Bytes::new(), Bytes::new()));
        let runs = (0..2).map(|n| new_run(n, n, 2, 2, Bytes::new()));
        backend.write(sessions.chain(runs).collect()).await.unwrap();
    }
    for steps in writes {
        let known = memory.agents_after(None, 0, PAGE).await.unwrap();
        let mut heads = known.iter().map(|row| (row.node, row.seq)).collect();
        let changes: Vec<_> = steps.into_iter().map(|step| change(step, &mut heads)).collect();
        assert_eq!(codes(&memory, &changes).await, codes(other, &changes).await, "{changes:#?}");
        let (expected, found) = (memory.runs(Runs::All, 9).await, other.runs(Runs::All, 9).await);
        assert_eq!(found.unwrap(), expected.unwrap(), "after {changes:#?}");
    }
    for (expected, found) in answers(&memory).await.iter().zip(answers(other).await) {
        assert_eq!(found, *expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_file_does_what_memory_does(writes in vec(vec(step(), 1..4), 0..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(in_file(writes));
    }

    #[test]
    fn a_server_does_what_memory_does(writes in vec(vec(step(), 1..4), 0..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(on_server(writes));
    }
}
