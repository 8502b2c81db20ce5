//! What the tests of the warm tier's back ends begin with.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Warm, WarmBackend,
    memory::MemoryWarm,
    postgres::fixture::Database,
    rows::{Change, Group, NewAgent, NewRunRow, NewSession, Origin},
    sqlite::SqliteWarm,
};
use crate::{
    daemon::store::cold::Extent,
    domain::{
        id::{AgentId, RunId, SessionId, Slot},
        lifecycle::{RunState, Verdict},
    },
    provenance::block::Block,
};

pub const STORE: [u8; 16] = [8; 16];

pub fn session() -> SessionId {
    SessionId::new(5, [1; 10])
}

pub fn run() -> RunId {
    RunId::new(6, [2; 10])
}

pub fn id(n: i64) -> AgentId {
    AgentId::in_run(run(), Slot { generation: n as u64 / 10, index: n as u32 % 10 })
}

pub fn agent(n: i64, parents: &[i64], fitness: Option<f64>) -> NewAgent {
    NewAgent {
        node: n,
        id: id(n),
        session: 1,
        run: Some(1),
        generation: n as u64 / 10,
        slot: n as u32 % 10,
        parents: parents.to_vec(),
        operators: "gaussian,uniform".to_owned(),
        fitness,
        verdict: Verdict::of(fitness, None, Some(1e9)),
        delta: None,
        genome: [n as u8; 32],
        head: Block::dag_cbor(n.to_be_bytes().to_vec()).cid,
        seq: 0,
        at_ms: 1000 + n as u64,
    }
}

pub fn group(agents: Vec<NewAgent>, extent: Extent) -> Change {
    Change::Agents(Group { agents, extent: Some(extent), ..Group::default() })
}

pub fn new_session(id: SessionId, used_ms: u64) -> Change {
    Change::NewSession(NewSession {
        id,
        name: "mine".to_owned(),
        user: "ann".to_owned(),
        created_ms: used_ms,
        context: Bytes::from_static(b"sealed context"),
        wrapped: Bytes::from_static(b"the wrapped key of a session"),
        master: [4; 16],
    })
}

pub fn new_run() -> Change {
    Change::NewRun(Box::new(NewRunRow {
        id: run(),
        session: session(),
        name: "sphere".to_owned(),
        objective: "score".to_owned(),
        divisor: -0.5,
        seed: u64::MAX,
        workers: 3,
        sandbox: "full".to_owned(),
        started_ms: 77,
        content: Bytes::from_static(b"sealed content"),
        state: RunState::Running,
        reason: String::new(),
        origin: None,
    }))
}

/// A run that goes on from generation 1 of another one.
pub fn going_on(from: RunId) -> Change {
    let Change::NewRun(mut row) = new_run() else { unreachable!() };
    row.id = RunId::new(7, [7; 10]);
    row.origin = Some(Origin { run: from, generation: 1, best: Some((2.5, id(3))) });
    Change::NewRun(row)
}

/// Runs a case on every back end, with a session and a run in it.
pub async fn each(case: impl AsyncFn(Warm)) {
    let dir = tempfile::tempdir().unwrap();
    let file = SqliteWarm::file(&dir.path().join("warm.db")).unwrap();
    let server = Database::new().await;
    let mut backends: Vec<Arc<dyn WarmBackend>> =
        vec![Arc::new(MemoryWarm::default()), Arc::new(file)];
    backends.extend(server.iter().map(|server| server.warm.clone() as _));
    for backend in backends {
        let warm = Warm::new(backend);
        let opened = warm.rows().open(STORE, 1).await.unwrap();
        assert_eq!((opened.store, opened.extents.len(), opened.last), (STORE, 0, 0));
        warm.write(vec![new_session(session(), 10), new_run()]).await.unwrap();
        case(warm).await;
    }
    if let Some(server) = server {
        server.end().await;
    }
}
