//! What is acknowledged is stored, once, in order, and survives a restart.

use super::{
    fixture::{
        IN_MEMORY, ON_DISK, RUN, agent, family, id, new_run, open, run_id, session_id, store,
        with_run,
    },
    model::Cursor,
};
use crate::{
    code::Code,
    daemon::store::warm::{PAGE, rows::StopOverride},
    domain::{
        id::{SessionId, Slot},
        lifecycle::RunState,
    },
};

#[tokio::test]
async fn results_come_back_in_the_order_of_commits_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let run = with_run(&registry).await;
    store(&registry, family(20, 10)).await;
    registry.close().await;
    drop(registry);

    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    assert_eq!(registry.faults(), []);
    let row = registry.run(run).await.unwrap().unwrap();
    assert_eq!((row.agents, row.failed, row.generation), (200, 0, 19));
    assert_eq!(row.best, Some((-50.0, id((19, 0)))));
    assert_eq!((row.seed, row.shown(-2.0), row.maximize()), (u64::MAX - 3, 2.0, false));
    assert_eq!(registry.load_run(run).await.unwrap().spec_toml, new_run(RUN).spec_toml);
    let mut slots = Vec::new();
    let mut cursor = Some(Cursor::default());
    while let Some(after) = cursor {
        let page = registry.results(run, after, 64).await.unwrap();
        slots.extend(page.results);
        cursor = page.next;
    }
    let expected: Vec<_> = family(20, 10)
        .into_iter()
        .flatten()
        .map(|one| {
            let slot = Slot { generation: one.proposed.generation, index: one.proposed.slot };
            (slot, one.evaluated.fitness)
        })
        .collect();
    assert_eq!(slots, expected);
}

#[tokio::test]
async fn the_same_agent_again_is_the_one_that_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let id_of_run = with_run(&registry).await;
    let run = Some(id_of_run);
    let batch = || family(2, 5).into_iter().flatten().collect::<Vec<_>>();
    let first = registry.submit(run, session_id(), batch()).await.unwrap().await.unwrap();
    let again = registry.submit(run, session_id(), batch()).await.unwrap().await.unwrap();
    assert_eq!(first, again);
    registry.close().await;
    drop(registry);
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let mut more = batch();
    more[3].evaluated.at_ms += 5;
    more.push(agent((2, 0), &[(1, 4)], None));
    let third = registry.submit(run, session_id(), more).await.unwrap().await.unwrap();
    assert_eq!(third[..10], first);
    let row = registry.run(id_of_run).await.unwrap().unwrap();
    assert_eq!((row.agents, row.failed), (11, 1));

    let other = vec![agent((1, 0), &[(0, 0), (0, 1)], Some(5.0))];
    let refused = registry.submit(run, session_id(), other).await.unwrap().await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
}

#[tokio::test]
async fn a_child_is_refused_before_its_parent_and_the_batch_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    let run = Some(with_run(&registry).await);
    let batch = vec![agent((0, 0), &[], Some(1.0)), agent((2, 0), &[(1, 0)], Some(1.0))];
    let refused = registry.submit(run, session_id(), batch).await.unwrap().await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(refused.to_string().contains(&id((1, 0)).to_string()), "{refused}");
    assert_eq!(registry.run(run_id(RUN)).await.unwrap().unwrap().agents, 0);
    // And it can be stored once the parent is.
    let batch = vec![
        agent((0, 0), &[], Some(1.0)),
        agent((1, 0), &[(0, 0)], Some(1.0)),
        agent((2, 0), &[(1, 0)], Some(1.0)),
    ];
    registry.submit(run, session_id(), batch).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_knows_what_was_handed_in_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let run = with_run(&registry).await;
    assert_eq!(registry.load_checkpoint(run).await.unwrap(), None);
    let mut batches = family(4, 8).into_iter();
    for batch in batches.by_ref().take(2) {
        drop(registry.submit(Some(run), session_id(), batch).await.unwrap());
    }
    registry.save_checkpoint(run, 2, b"snapshot").await.unwrap();
    store(&registry, batches.collect()).await;
    registry.close().await;
    drop(registry);
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let checkpoint = registry.load_checkpoint(run).await.unwrap().unwrap();
    assert_eq!((checkpoint.generation, checkpoint.bytes), (2, b"snapshot".to_vec()));
    let rest = registry.results(run, checkpoint.after, 1000).await.unwrap();
    let generations: Vec<_> = rest.results.iter().map(|(slot, _)| slot.generation).collect();
    assert_eq!(generations, [[2; 8], [3; 8]].concat());
}

#[tokio::test]
async fn a_run_is_made_once_and_its_state_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let run = with_run(&registry).await;
    let (row, new) = registry.create_run(new_run(RUN)).await.unwrap();
    assert!(!new && row.state == RunState::Running);
    let stop = StopOverride { target: Some(0.5), ..Default::default() };
    registry.set_run(run, RunState::Finished, "target", 1234, Some(stop)).await.unwrap();
    let row = registry.run(run).await.unwrap().unwrap();
    assert_eq!(
        (row.state, row.reason.as_str(), row.elapsed_ms),
        (RunState::Finished, "target", 1234)
    );
    assert_eq!((row.stop.target, row.stop.time), (Some(0.5), None));
    let missing = registry.set_run(run_id(3), RunState::Failed, "", 0, None).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert_eq!(registry.find_run(&run.to_string()[..10]).await.unwrap(), run);
    registry.close_session(session_id(), true).await.unwrap();
    let refused = registry.create_run(new_run(4)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
}

/// The number as the random part of an id.
fn u80(n: u64) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[2..].copy_from_slice(&n.to_be_bytes());
    bytes
}

#[tokio::test]
async fn a_user_has_one_default_session_however_many_others_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    let (one, two) = tokio::join!(registry.default_session("ada"), registry.default_session("ada"));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one, two, "two calls at once made two");
    let now = registry.session(one).await.unwrap().used_ms + 1;
    for n in 0..=PAGE as u64 {
        let name = if n % 2 == 0 { "other" } else { "default" };
        registry.create_session(SessionId::new(now, u80(n)), name, "bob").await.unwrap();
    }
    let newest = registry.sessions(false, PAGE).await.unwrap();
    assert!(newest.len() == PAGE && newest.iter().all(|session| session.user == "bob"));
    assert_eq!(registry.default_session("ada").await.unwrap(), one);
    // A closed one is none.
    registry.close_session(one, true).await.unwrap();
    let next = registry.default_session("ada").await.unwrap();
    assert!(next != one && registry.session(next).await.unwrap().user == "ada");
}

#[tokio::test]
async fn two_processes_cannot_share_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let refused = open(dir.path(), &ON_DISK).await.err().unwrap();
    assert_eq!(refused.code(), Code::Conflict);
    registry.close().await;
    drop(registry);
    open(dir.path(), &ON_DISK).await.unwrap();
}
