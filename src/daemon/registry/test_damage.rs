//! A full disk, and damage that only shows when rows and journals are compared.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use rusqlite::Connection;

#[path = "../../../tests/support/disk.rs"]
mod disk;

use disk::SmallDisk;

use super::{
    Registry,
    fixture::{ON_DISK, family, id, open, run_id, session_id, store, with_run},
    model::{Cursor, Finished},
};
use crate::{code::Code, daemon::store::Places, required};

/// Hands in generation after generation until one is refused; the refusal, and how many agents
/// were acknowledged.
async fn fill(
    registry: &Registry,
    batches: &mut std::vec::IntoIter<Vec<Finished>>,
) -> Option<(super::error::RegistryError, Vec<Finished>)> {
    for batch in batches {
        let copy = batch.clone();
        let receipt = registry.submit(Some(run_id(9)), session_id(), batch).await.unwrap();
        if let Err(error) = receipt.await {
            return Some((error, copy));
        }
    }
    None
}

async fn committed(registry: &Registry) -> usize {
    let (mut count, mut cursor) = (0, Some(Cursor::default()));
    while let Some(after) = cursor {
        let page = registry.results(run_id(9), after, 1000).await.unwrap();
        count += page.results.len();
        cursor = page.next;
    }
    count
}

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_and_recovers_when_there_is_room() {
    // Cold and warm apart, so that either is full first.
    for (cold_size, warm_size) in [("600k", "64m"), ("64m", "800k")] {
        let dir = tempfile::tempdir().unwrap();
        let (cold, warm) = (dir.path().join("c"), dir.path().join("w"));
        fs::create_dir_all(&cold).unwrap();
        fs::create_dir_all(&warm).unwrap();
        let Some(cold_disk) = SmallDisk::new(&cold, cold_size) else { return };
        let Some(warm_disk) = SmallDisk::new(&warm, warm_size) else { return };
        let ballast = [cold.join("ballast"), warm.join("ballast")];
        for file in &ballast {
            File::create(file).unwrap().write_all(&vec![1; 200 << 10]).unwrap();
        }
        // The ballast lies beside the folder of segments, not in it.
        let urls = (
            format!("file:{}", cold.join("segments").display()),
            format!("sqlite:{}", warm.join("warm.db").display()),
        );
        let places = Places { cold: &urls.0, warm: &urls.1, ..ON_DISK };
        let registry = open(dir.path(), &places).await.unwrap();
        with_run(&registry).await;
        let mut batches = family(2000, 8).into_iter();
        let (error, mut refused) = fill(&registry, &mut batches).await.expect("it gets full");
        assert_eq!(error.code(), Code::Exhausted, "{error}");
        assert!(registry.trouble().is_some());
        let before = committed(&registry).await;
        assert!(before > 0);
        // Again at once: still full, and the writer is still there.
        let again = registry.submit(Some(run_id(9)), session_id(), refused.clone()).await.unwrap();
        assert_eq!(again.await.unwrap_err().code(), Code::Exhausted);
        assert_eq!(committed(&registry).await, before);

        for file in &ballast {
            fs::remove_file(file).unwrap();
        }
        let receipt = registry.submit(Some(run_id(9)), session_id(), std::mem::take(&mut refused));
        assert_eq!(receipt.await.unwrap().await.unwrap().len(), 8);
        assert!(registry.trouble().is_none());
        assert_eq!(committed(&registry).await, before + 8);
        assert_eq!(registry.verify_all().await.unwrap().faults, Vec::<String>::new());
        registry.close().await;
        drop(registry);

        let registry = open(dir.path(), &places).await.unwrap();
        assert_eq!(registry.faults(), []);
        assert_eq!(committed(&registry).await, before + 8);
        let checked = registry.verify_all().await.unwrap();
        assert_eq!((checked.faults, checked.agents), (vec![], before as u64 + 8));
        drop((registry, cold_disk, warm_disk));
    }
}

/// A closed store of some generations.
async fn closed(dir: &Path) {
    let registry = open(dir, &ON_DISK).await.unwrap();
    with_run(&registry).await;
    store(&registry, family(6, 5)).await;
    registry.save_checkpoint(run_id(9), 5, b"a snapshot").await.unwrap();
    registry.close().await;
}

#[tokio::test]
async fn a_row_that_was_changed_is_named() {
    let changes = [
        ("UPDATE agent SET fitness = fitness + 1 WHERE node = 12", 12),
        ("UPDATE agent SET verdict = 3 WHERE node = 12", 12),
        ("UPDATE agent SET delta = NULL WHERE node = 12", 12),
        ("UPDATE agent SET generation = 1 WHERE node = 12", 12),
        ("UPDATE agent SET genome = zeroblob(32) WHERE node = 12", 12),
        ("UPDATE agent SET head = (SELECT head FROM agent WHERE node = 11) WHERE node = 12", 12),
        ("UPDATE edge SET parent = 1 WHERE child = 12 AND ord = 0", 12),
        ("DELETE FROM edge WHERE child = 12 AND ord = 1", 12),
        ("UPDATE operators SET names = 'other'", 1),
    ];
    for (sql, named) in changes {
        let dir = tempfile::tempdir().unwrap();
        closed(dir.path()).await;
        let changed = Connection::open(dir.path().join("warm.db")).unwrap().execute(sql, []);
        assert!(changed.unwrap() > 0, "{sql}");
        let registry = open(dir.path(), &ON_DISK).await.unwrap();
        let found = registry.verify_all().await.unwrap();
        let slot = ((named - 1) / 5, u32::try_from((named - 1) % 5).unwrap());
        let agent = id((slot.0 as u64, slot.1)).to_string();
        assert!(found.faults.iter().any(|fault| fault.contains(&agent)), "{sql}: {found:?}");
    }
}

#[tokio::test]
async fn a_session_or_run_that_was_changed_is_named() {
    let run = run_id(9).to_string();
    // Another last byte of what is sealed, whichever it was.
    let flip = |column: &str| {
        let other = format!("CASE substr({column}, -1) WHEN x'00' THEN x'01' ELSE x'00' END");
        format!("{column} = CAST(substr({column}, 1, length({column}) - 1) || {other} AS BLOB)")
    };
    for (sql, named) in [
        (format!("UPDATE session SET {}", flip("context")), session_id().to_string()),
        (format!("UPDATE run_content SET {}", flip("sealed")), run.clone()),
        (format!("UPDATE checkpoint SET {}", flip("sealed")), run.clone()),
        ("DELETE FROM run_content".to_owned(), run.clone()),
        ("UPDATE run SET agents = agents + 1".to_owned(), run.clone()),
        ("UPDATE run SET failed = failed + 1".to_owned(), run.clone()),
        ("UPDATE run SET best = best + 1".to_owned(), run.clone()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        closed(dir.path()).await;
        let changed = Connection::open(dir.path().join("warm.db")).unwrap().execute(&sql, []);
        assert!(changed.unwrap() > 0, "{sql}");
        let registry = open(dir.path(), &ON_DISK).await.unwrap();
        let found = registry.verify_all().await.unwrap();
        assert!(found.faults.iter().any(|fault| fault.contains(&named)), "{sql}: {found:?}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_cold_is_named_by_both_checks() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path()).await;
    let path = dir.path().join("cold/segment-000001.car");
    let sound = fs::read(&path).unwrap();
    for at in (200..sound.len()).step_by(701) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let registry = open(dir.path(), &ON_DISK).await.unwrap();
        assert_eq!(registry.faults().len(), 1, "byte {at}");
        let all = registry.verify_all().await.unwrap();
        assert!(all.faults[0].contains("segment-000001.car"), "byte {at}: {all:?}");
        // Whose block it is shows where agents are checked.
        assert!(all.faults.iter().any(|fault| fault.starts_with("agent ")), "byte {at}: {all:?}");
        let mut unsound = 0;
        for index in 0..5 {
            let one = registry.verify_agent(id((5, index))).await.unwrap();
            unsound += one.faults.len();
        }
        assert!(unsound > 0, "byte {at}");
        registry.close().await;
    }
}

#[tokio::test]
async fn a_store_without_its_keys_is_not_opened_with_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path()).await;
    fs::remove_file(dir.path().join("keys/master.key")).unwrap();
    let refused = open(dir.path(), &ON_DISK).await.err().unwrap();
    assert_eq!(refused.code(), Code::Config);
    assert!(refused.to_string().contains("backup"), "{refused}");
    assert!(!dir.path().join("keys/master.key").exists());
}

#[tokio::test]
async fn journals_signed_by_a_stranger_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path()).await;
    fs::remove_file(dir.path().join("keys/signing.key")).unwrap();
    fs::remove_file(dir.path().join("keys/trusted.keys")).unwrap();
    let other = dir.path().join("other");
    drop(super::keys::Keys::open(&other, None, true).unwrap());
    for name in ["signing.key", "trusted.keys"] {
        fs::rename(other.join(name), dir.path().join("keys").join(name)).unwrap();
    }
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    let one = registry.verify_agent(id((3, 1))).await.unwrap();
    assert!(one.faults[0].contains("not trusted"), "{one:?}");
    let all = registry.verify_all().await.unwrap();
    assert_eq!(all.faults.len(), 30);
}
