//! Runs that go back to an earlier generation.

use super::{
    Manager,
    error::ManagerError,
    halt::Back,
    test_resuming::{agents, finished, open, start},
};
use crate::{
    daemon::{
        registry::{Registry, model::Cursor},
        store::warm::rows::StopOverride,
    },
    domain::{
        id::{AgentId, RunId, Slot},
        lifecycle::RunState,
    },
};

/// The generations of what a run made itself.
async fn generations(registry: &Registry, run: RunId) -> Vec<u64> {
    let results = registry.results(run, Cursor::default(), 1000).await.unwrap().results;
    results.into_iter().map(|(slot, _)| slot.generation).collect()
}

/// How many of these are at most `last`.
fn until(generations: &[u64], last: u64) -> usize {
    generations.iter().filter(|generation| **generation <= last).count()
}

async fn resumed(manager: &std::sync::Arc<Manager>, run: RunId) {
    manager.resume(run, StopOverride::default(), None).await.unwrap();
    finished(manager, run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_goes_back_keeps_its_past_and_takes_another_way() {
    for (number, mode) in [(1, "generational"), (3, "steady-state")] {
        let dir = tempfile::tempdir().unwrap();
        let (registry, manager) = open(dir.path()).await;
        let old = manager.start(start(number, mode, 200)).await.unwrap().row.id;
        finished(&manager, old).await;
        let before = agents(&registry, old).await;
        let past = generations(&registry, old).await;

        let new = RunId::new(9, [number + 100; 10]);
        let rested = manager.roll_back(old, new, Back::To(6)).await.unwrap().row;
        assert_eq!((rested.state, rested.origin), (RunState::Stopped, Some((old, 6))));
        // Its best is that of its past, not what was set aside.
        let best = registry.results(old, Cursor::default(), 1000).await.unwrap().results;
        let best = best.into_iter().filter(|(slot, _)| slot.generation <= 6);
        let best = best.filter_map(|(_, fitness)| fitness).reduce(f64::max);
        assert_eq!(rested.best.map(|(fitness, _)| fitness), best);
        let again = manager.roll_back(old, new, Back::To(3)).await.unwrap().row;
        assert_eq!(again, rested, "the same id is the same run");

        resumed(&manager, new).await;
        let own = generations(&registry, new).await;
        assert_eq!(own.len() + until(&past, 6), 200, "the evaluations of its past count");
        assert_eq!(until(&own, 6), 0);
        let made = agents(&registry, new).await;
        assert!(made.iter().all(|(genome, _)| !before.iter().any(|(known, _)| known == genome)));
        // The first of its own has its parents in the past.
        let index = u32::from(mode == "generational");
        let first = AgentId::in_run(new, Slot { generation: 7, index });
        let first = registry.agent(first).await.unwrap();
        assert!(!first.parents.is_empty());
        for parent in first.parents {
            assert_eq!(registry.agent(parent).await.unwrap().run, Some(old));
        }
        // Nothing of the old one is lost.
        assert_eq!(agents(&registry, old).await, before);

        // And back once more, into the old past and into the own.
        for to in [4, 8] {
            let third = RunId::new(10, [to as u8 + 200; 10]);
            let row = manager.roll_back(new, third, Back::To(to)).await.unwrap().row;
            assert_eq!(row.origin, Some((new, to)));
            resumed(&manager, third).await;
            let last = generations(&registry, third).await;
            assert_eq!(until(&last, to), 0);
            assert_eq!(last.len() + until(&own, to) + until(&past, to.min(6)), 200);
        }
        registry.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_nothing_to_go_back_to_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, manager) = open(dir.path()).await;
    let mut ids = Vec::new();
    for number in [1, 2] {
        let run = manager.start(start(number, "generational", 45)).await.unwrap().row.id;
        finished(&manager, run).await;
        ids.push(run);
    }
    let (one, other) = (ids[0], ids[1]);
    let new = RunId::new(9, [9; 10]);
    let at = |run, generation| AgentId::in_run(run, Slot { generation, index: 1 });
    let last = manager.show(one).await.unwrap().row.generation;
    for (back, wrong) in [
        // The evaluations were used up within it.
        (Back::To(last), format!("no whole generation {last}")),
        (Back::To(77), "no whole generation 77".to_owned()),
        (Back::Before(at(one, 0)), "generation 0".to_owned()),
        (Back::Before(at(other, 2)), "is not of run".to_owned()),
        (Back::Before(at(other, 77)), "no agent".to_owned()),
    ] {
        let refused = manager.roll_back(one, new, back).await.unwrap_err();
        assert!(refused.to_string().contains(&wrong), "{back:?}: {refused}");
        assert!(matches!(manager.show(new).await.unwrap_err(), ManagerError::NoRun(_)));
    }
    for (back, generation) in [(Back::Last, last - 1), (Back::Before(at(one, 2)), 1)] {
        let new = RunId::new(9, [generation as u8; 10]);
        let row = manager.roll_back(one, new, back).await.unwrap().row;
        assert_eq!(row.origin, Some((one, generation)));
    }
    registry.close().await;
}
