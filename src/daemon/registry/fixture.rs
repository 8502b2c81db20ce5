//! A registry in a temporary directory, and agents to put into it.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use super::{
    Registry, Settings,
    error::RegistryError,
    model::{Finished, NewRun},
};
use crate::{
    daemon::{
        clock::Clock,
        store::{Places, Stores},
    },
    domain::{
        digest::Digest,
        evaluation::{Evaluation, FailureKind},
        genome::{Genome, Kind, Param, Space},
        id::{AgentId, RunId, SessionId, Slot},
        journal::{Evaluated, Judged, Proposed},
        lifecycle::{RunState, Verdict},
    },
};

pub const ON_DISK: Places<'_> =
    Places { cold: "file:", warm: "sqlite:", hot: "memory:", segment: 64 << 10 };
pub const IN_MEMORY: Places<'_> =
    Places { cold: "memory:", warm: "memory:", hot: "memory:", segment: 64 << 10 };

pub const RUN: u8 = 9;

pub async fn open(dir: &Path, places: &Places<'_>) -> Result<Registry, RegistryError> {
    open_over(dir, Stores::open(dir, places)?).await
}

pub async fn open_over(dir: &Path, stores: Stores) -> Result<Registry, RegistryError> {
    let settings = Settings { group: 16, flush: Duration::from_millis(1), queue: 1024 };
    let clock = Clock::Set(Arc::new(AtomicU64::new(1_700_000_000_000)));
    Registry::open(stores, &dir.join("keys"), None, settings, clock).await
}

pub fn session_id() -> SessionId {
    SessionId::new(1_700_000_000_000, [1; 10])
}

pub fn run_id(number: u8) -> RunId {
    RunId::new(1_700_000_000_000, [number; 10])
}

/// A session and a run in it.
pub async fn with_run(registry: &Registry) -> RunId {
    registry.create_session(session_id(), "mine", "ann").await.unwrap();
    registry.create_run(new_run(RUN)).await.unwrap();
    run_id(RUN)
}

/// Brings the run to rest, closes its session and destroys the key.
pub async fn shred(registry: &Registry) {
    registry.set_run(run_id(RUN), RunState::Stopped, "", 0, None).await.unwrap();
    registry.close_session(session_id(), true).await.unwrap();
    registry.shred_session(session_id(), true).await.unwrap();
}

pub fn new_run(number: u8) -> NewRun {
    NewRun {
        id: run_id(number),
        session: session_id(),
        name: "sphere".to_owned(),
        spec_toml: "name = 'sphere' # secret spec".to_owned(),
        agent_files: BTreeMap::new(),
        suite_files: BTreeMap::new(),
        workers: 2,
        sandbox: "full".to_owned(),
        seed: u64::MAX - 3,
        objective: "score".to_owned(),
        divisor: -1.0,
        origin: None,
    }
}

pub fn space() -> Arc<Space> {
    let kind = Kind::Real { min: -5.0, max: 5.0, log: false };
    let param = |name: &str| Param { name: name.to_owned(), kind: kind.clone(), init: None };
    Arc::new(Space { params: vec![param("x0"), param("x1")] })
}

pub fn id(slot: (u64, u32)) -> AgentId {
    AgentId::in_run(run_id(RUN), Slot { generation: slot.0, index: slot.1 })
}

/// An agent of the run, with parents in it.
pub fn agent(slot: (u64, u32), parents: &[(u64, u32)], fitness: Option<f64>) -> Finished {
    let params: Arc<[f64]> = Arc::from([slot.1 as f64 / 100.0, 0.5]);
    Finished {
        agent: id(slot),
        proposed: Proposed {
            run: Some(run_id(RUN)),
            generation: slot.0,
            slot: slot.1,
            operators: vec!["gaussian".to_owned(), "uniform".to_owned()],
            seed: 7,
            parents: parents.iter().map(|slot| id(*slot)).collect(),
            genome: Genome { params, ..Genome::default() },
            space: space(),
        },
        evaluated: Evaluated {
            suite: Digest([3; 32]),
            seed: 11,
            evaluation: fitness.map_or_else(
                || Evaluation::failed(FailureKind::Crashed, "boom"),
                |fitness| Evaluation::of(vec![-fitness]),
            ),
            fitness,
            at_ms: 1_700_000_000_001,
        },
        repeats: Vec::new(),
        judged: Judged { verdict: Verdict::of(fitness, None, Some(1e9)), delta: None },
    }
}

/// An evaluation that a user asks for later, by another suite.
pub fn measured(seed: u64, score: f64) -> Evaluated {
    let suite = Digest([4; 32]);
    let at_ms = 1_700_000_100_000 + seed;
    Evaluated { suite, seed, evaluation: Evaluation::of(vec![score]), fitness: Some(score), at_ms }
}

/// The fitness of an agent of [`family`].
pub fn fitness(slot: (u64, u32)) -> f64 {
    -f64::from(slot.1) - 1000.0 / (slot.0 as f64 + 1.0)
}

/// `generations` of `width` agents, each with two parents in the generation before.
pub fn family(generations: u64, width: u32) -> Vec<Vec<Finished>> {
    let parents = |generation: u64, index: u32| match generation {
        0 => Vec::new(),
        _ => vec![(generation - 1, index), (generation - 1, (index + 1) % width)],
    };
    let one = |generation, index| {
        let (slot, parents) = ((generation, index), parents(generation, index));
        let own = fitness(slot);
        let mut agent = agent(slot, &parents, Some(own));
        let best = parents.into_iter().map(fitness).reduce(f64::max);
        agent.judged.verdict = Verdict::of(Some(own), best, Some(0.0));
        agent.judged.delta = best.map(|best| own - best);
        agent
    };
    let row = |generation| (0..width).map(|index| one(generation, index)).collect();
    (0..generations).map(row).collect()
}

/// Hands everything in and waits for it to be durable.
pub async fn store(registry: &Registry, batches: Vec<Vec<Finished>>) {
    let mut receipts = Vec::new();
    for batch in batches {
        receipts.push(registry.submit(Some(run_id(RUN)), session_id(), batch).await.unwrap());
    }
    for receipt in receipts {
        receipt.await.unwrap();
    }
}
