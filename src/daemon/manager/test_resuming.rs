//! Runs that are taken up again.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

use super::{Manager, Start};
use crate::{
    config::section,
    daemon::{
        clock::Clock,
        evaluator::{Evaluator, EvaluatorConfig, Profile, private::Private, worker::Wear},
        registry::{
            Registry, Settings,
            model::{Cursor, NewRun},
        },
        store::{Places, Stores, warm::rows::StopOverride},
    },
    domain::{
        genome::Genome,
        id::{AgentId, RunId, SessionId},
        lifecycle::RunState,
    },
};

const PLACES: Places<'_> =
    Places { cold: "memory:", warm: "memory:", hot: "memory:", segment: 64 << 10 };

fn session() -> SessionId {
    SessionId::new(1, [1; 10])
}

pub async fn open(dir: &Path) -> (Registry, Arc<Manager>) {
    let stores = Stores::open(dir, &PLACES).unwrap();
    let settings = Settings { group: 16, flush: Duration::from_millis(1), queue: 1024 };
    let registry =
        Registry::open(stores, &dir.join("keys"), None, settings, Clock::System).await.unwrap();
    registry.create_session(session(), "mine", "ann").await.unwrap();
    let evaluator = Evaluator::new(EvaluatorConfig {
        python: "python3".into(),
        helper: "darwind".into(),
        scratch: dir.join("scratch"),
        models: None,
        private: Private::default(),
        wear: Wear::default(),
    });
    let config = section::Manager { max_runs: 4, in_flight: 64, checkpoint_seconds: 60 };
    (registry.clone(), Manager::new(registry, evaluator, config, 1))
}

pub fn start(number: u8, mode: &str, evaluations: u64) -> Start {
    let spec_toml = format!(
        "name = \"r\"\nseed = 4\n[search]\nmode = \"{mode}\"\npopulation = 10\n\
         [stop]\nevaluations = {evaluations}\n\
         [suite]\nkind = \"builtin\"\nname = \"s\"\nfunction = \"sphere\"\ndimensions = 3\n"
    );
    Start {
        id: RunId::new(1, [number; 10]),
        session: session(),
        spec_toml,
        agent_files: BTreeMap::new(),
        suite_files: BTreeMap::new(),
        workers: 1,
        profile: Profile::Full,
    }
}

pub async fn finished(manager: &Manager, id: RunId) {
    if let Some(mut view) = manager.watch(id) {
        drop(view.wait_for(|view| view.row.state != RunState::Running).await);
    }
    let view = manager.show(id).await.unwrap();
    assert_eq!(view.row.state, RunState::Finished, "{}", view.row.reason);
}

/// All agents of a run, in the order of their slots.
pub async fn agents(registry: &Registry, run: RunId) -> Vec<(Genome, Option<f64>)> {
    let mut results = registry.results(run, Cursor::default(), 1000).await.unwrap().results;
    results.sort_unstable_by_key(|(slot, _)| *slot);
    let mut all = Vec::new();
    for (slot, fitness) in results {
        all.push((registry.genome(AgentId::in_run(run, slot)).await.unwrap().0, fitness));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_checkpoint_is_of_an_older_version_goes_on_from_its_results() {
    for (number, mode) in [(1, "generational"), (3, "steady-state")] {
        let dir = tempfile::tempdir().unwrap();
        let (registry, manager) = open(dir.path()).await;
        let unbroken = manager.start(start(number, mode, 200)).await.unwrap().row.id;
        finished(&manager, unbroken).await;
        let broken = manager.start(start(number + 1, mode, 95)).await.unwrap().row.id;
        finished(&manager, broken).await;
        // {"version": 1}
        registry.save_checkpoint(broken, 9, b"\xa1\x67version\x01").await.unwrap();
        let more = StopOverride { evaluations: Some(200), ..StopOverride::default() };
        manager.resume(broken, more, None).await.unwrap();
        finished(&manager, broken).await;
        let (one, other) = (agents(&registry, unbroken).await, agents(&registry, broken).await);
        assert_eq!((one.len(), other.len()), (200, 200));
        if mode == "generational" {
            assert_eq!(one, other);
        }
        registry.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_an_unknown_sandbox_is_not_taken_for_a_full_one() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, manager) = open(dir.path()).await;
    let runs = [(1, "full"), (2, "reduced"), (3, "fuller"), (4, "")];
    for (number, sandbox) in runs {
        let Start { id, session, spec_toml, .. } = start(number, "generational", 20);
        let new = NewRun {
            id,
            session,
            name: "r".to_owned(),
            spec_toml,
            agent_files: BTreeMap::new(),
            suite_files: BTreeMap::new(),
            workers: 1,
            sandbox: sandbox.to_owned(),
            seed: 4,
            objective: "score".to_owned(),
            divisor: 1.0,
            origin: None,
        };
        registry.create_run(new).await.unwrap();
    }
    assert_eq!(manager.recover().await.unwrap(), 4);
    for (number, sandbox) in runs {
        let id = RunId::new(1, [number; 10]);
        if ["full", "reduced"].contains(&sandbox) {
            finished(&manager, id).await;
            continue;
        }
        let row = manager.show(id).await.unwrap().row;
        assert_eq!((row.state, row.agents), (RunState::Failed, 0), "{sandbox}");
        let named = row.reason.contains(&format!("“{sandbox}”"));
        assert!(named && row.reason.contains("start a new run"), "{}", row.reason);
    }
    registry.close().await;
}
