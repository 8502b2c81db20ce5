//! Sessions: their names, their contexts, and their end.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{
    error::RegistryError,
    fixture::{
        IN_MEMORY, ON_DISK, RUN, family, id, new_run, open, run_id, session_id, shred, store,
        with_run,
    },
    sessions::DEFAULT,
};
use crate::{
    code::Code,
    daemon::store::warm::PAGE,
    domain::{id::SessionId, lifecycle::RunState, session::MAX_CONTEXT},
};

fn other(n: u64) -> SessionId {
    SessionId::new(n, [3; 10])
}

#[tokio::test]
async fn a_session_is_found_by_its_name_however_many_were_used_since() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    let make = async |n, name: &str, user: &str| {
        registry.create_session(other(n), name, user).await.unwrap().0.id
    };
    let (first, hers) = (make(1, "packing", "ann").await, make(2, "packing", "bob").await);
    let bobs = make(3, "bobs", "bob").await;
    let own = registry.default_session("ann").await.unwrap();
    for n in 0..PAGE as u64 + 5 {
        make(1000 + n, &format!("later {n}"), "ann").await;
    }
    let find = async |user, text: &str| registry.find_session(user, text).await;
    assert_eq!(find("ann", "packing").await.unwrap(), first);
    assert_eq!(find("bob", "packing").await.unwrap(), hers);
    assert_eq!(find("ann", "bobs").await.unwrap(), bobs);
    assert_eq!(find("ann", DEFAULT).await.unwrap(), own);
    assert_eq!(registry.default_session("ann").await.unwrap(), own);
    assert_eq!(find("cid", "packing").await.unwrap_err().code(), Code::InvalidInput);
    assert_eq!(find("ann", "Packing").await.unwrap_err().code(), Code::NotFound);
    for id in [first, hers] {
        assert_eq!(find("cid", &id.to_string()).await.unwrap(), id);
        assert_eq!(find("cid", &id.to_string()[..13]).await.unwrap(), id);
    }
    // Nobody can take the place of a session by calling another by its id.
    let (whole, start) = (first.to_string(), first.to_string()[..13].to_owned());
    let impostor = make(5, &whole, "ann").await;
    let starts = [make(6, &start, "bob").await, make(7, &start, "ann").await];
    for user in ["ann", "bob", "cid"] {
        assert_eq!(find(user, &whole).await.unwrap(), first);
        assert_eq!(find(user, &impostor.to_string()).await.unwrap(), impostor);
    }
    assert_eq!(find("bob", &start).await.unwrap(), starts[0]);
    assert_eq!(find("ann", &start).await.unwrap(), starts[1]);
    assert_eq!(find("cid", &start).await.unwrap(), first);
    make(4, "packing", "ann").await;
    let several = find("ann", "packing").await.unwrap_err();
    assert!(matches!(several, RegistryError::Namesakes(_)), "{several}");
}

#[tokio::test]
async fn a_context_is_there_again_until_it_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (long, over) = ("é".repeat(MAX_CONTEXT / 2), "x".repeat(MAX_CONTEXT + 1));
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    registry.create_session(session_id(), "mine", "ann").await.unwrap();
    assert_eq!(registry.session(session_id()).await.unwrap().context, "");
    for text in ["pack the\ncircles", &long] {
        assert_eq!(registry.set_context(session_id(), text).await.unwrap().context, text);
    }
    let refused = registry.set_context(session_id(), &over).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidInput);
    registry.close().await;
    drop(registry);
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    assert_eq!(registry.session(session_id()).await.unwrap().context, long);
    // What is listed comes without.
    assert_eq!(registry.sessions(true, 9).await.unwrap()[0].context, "");
    assert_eq!(registry.set_context(session_id(), "").await.unwrap().context, "");
    registry.set_context(session_id(), "last").await.unwrap();
    registry.close_session(session_id(), true).await.unwrap();
    let refused = registry.set_context(session_id(), "more").await.unwrap_err();
    assert!(matches!(refused, RegistryError::SessionClosed(_)), "{refused}");
    assert_eq!(registry.session(session_id()).await.unwrap().context, "last");
}

#[tokio::test]
async fn a_session_is_shredded_only_when_it_is_closed_and_its_runs_are_at_rest() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    with_run(&registry).await;
    let shred = async |confirmed| registry.shred_session(session_id(), confirmed).await;
    let at_rest = async |state| registry.set_run(run_id(RUN), state, "", 0, None).await;
    for confirmed in [false, true] {
        let open = shred(confirmed).await.unwrap_err();
        assert!(open.to_string().contains("`darwin session close "), "{open}");
    }
    registry.close_session(session_id(), true).await.unwrap();
    let running = shred(true).await.unwrap_err();
    assert!(running.to_string().contains("`darwin runs stop "), "{running}");
    at_rest(RunState::Stopped).await.unwrap();
    // Another session's run is no hindrance.
    registry.create_session(other(7), "other", "ann").await.unwrap();
    let mut run = new_run(8);
    run.session = other(7);
    registry.create_run(run).await.unwrap();
    // Nothing happens unless it is confirmed.
    assert!(!shred(false).await.unwrap().shredded);
    registry.load_run(run_id(RUN)).await.unwrap();
    for _ in 0..2 {
        assert!(shred(true).await.unwrap().shredded);
    }
    assert!(shred(false).await.unwrap().shredded);
    // It stays closed, and nothing goes on in it.
    let reopened = registry.close_session(session_id(), false).await.unwrap_err();
    let resumed = at_rest(RunState::Running).await.unwrap_err();
    let noted = registry.set_context(session_id(), "x").await.unwrap_err();
    for error in [reopened, resumed, noted] {
        assert!(matches!(error, RegistryError::Shredded(_)), "{error}");
    }
    at_rest(RunState::Stopped).await.unwrap();
    let missing = registry.shred_session(other(9), true).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn a_shredded_session_is_listed_and_verified_after_a_restart_and_no_key_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    with_run(&registry).await;
    store(&registry, family(3, 4)).await;
    registry.create_session(other(7), "other", "ann").await.unwrap();
    registry.set_context(session_id(), "secret").await.unwrap();
    let rows = || registry.inner.stores.warm.rows();
    let wrapped = rows().session_key(session_id()).await.unwrap().unwrap();
    let kept = rows().session_key(other(7)).await.unwrap().unwrap();
    assert!(holds(dir.path(), &wrapped) && holds(dir.path(), &kept));
    shred(&registry).await;
    assert!(!holds(dir.path(), &wrapped) && holds(dir.path(), &kept));
    registry.close().await;
    drop(registry);
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    assert!(!holds(dir.path(), &wrapped) && holds(dir.path(), &kept));
    let listed = registry.sessions(true, 9).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|one| (one.name.as_str(), one.shredded)).collect();
    assert_eq!(listed, [("other", false), ("mine", true)]);
    let shown = registry.session(session_id()).await.unwrap();
    assert_eq!((shown.shredded, shown.closed, shown.context.as_str()), (true, true, ""));
    let agent = registry.agent(id((2, 1))).await.unwrap();
    assert_eq!((agent.parents.len(), agent.fitness.is_some()), (2, true));
    let all = registry.verify_all().await.unwrap();
    assert_eq!((all.faults, all.agents, all.entries), (vec![], 12, 12));
    assert_eq!((all.contents, all.shredded), (false, 1));
}

/// Whether a file below `dir` holds these bytes.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        if path.is_dir() {
            return holds(&path, bytes);
        }
        fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    })
}

#[tokio::test]
async fn a_store_is_not_opened_with_another_master_key() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    with_run(&registry).await;
    registry.close().await;
    drop(registry);
    let key = dir.path().join("keys/master.key");
    let right = fs::read(&key).unwrap();
    let replace = |bytes: &[u8]| {
        fs::remove_file(&key).unwrap();
        fs::write(&key, bytes).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    };
    replace(&[9; 32]);
    let refused = open(dir.path(), &ON_DISK).await.err().unwrap();
    assert_eq!(refused.code(), Code::Config);
    assert!(refused.to_string().contains("master.key: it is not the master key"), "{refused}");
    replace(&right);
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    registry.load_run(run_id(RUN)).await.unwrap();
}
