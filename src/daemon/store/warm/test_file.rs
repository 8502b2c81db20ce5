//! The database as a file: versions, strangers, damage, and a key that is destroyed.

use std::{fs, path::Path};

use bytes::Bytes;
use rusqlite::Connection;

use super::{
    WarmBackend,
    connection::known_version,
    rows::{Change, NewSession},
    sqlite::SqliteWarm,
};
use crate::{
    code::Code, daemon::store::error::StoreError, domain::id::SessionId, provenance::digest::sha256,
};

async fn make(path: &Path) -> SqliteWarm {
    let warm = SqliteWarm::file(path).unwrap();
    warm.open([1; 16], 1).await.unwrap();
    warm
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("warm.db");
    drop(make(&path).await);
    let newer = known_version() + 1;
    let insert = "INSERT INTO meta_schema_version (version, name, applied_ms) VALUES (?1, 'x', 1)";
    Connection::open(&path).unwrap().execute(insert, [newer]).unwrap();
    let refused = SqliteWarm::file(&path).unwrap().open([1; 16], 1).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Version { found, known } if found == newer && known < found)
    );
    assert_eq!(refused.code(), Code::Config);
    assert!(refused.to_string().contains("newer program"), "{refused}");
}

/// A step that was ever applied somewhere can't change: what comes next is a new step.
#[test]
fn no_step_of_the_schema_is_changed() {
    const STEPS: [&str; 2] = [
        "21a858eeefe896f49bc198ebf23a8ae574cb230148379315fb7f7b047652585c",
        "050aa03ed79c6f32d82003268feba007b4595e1be604464c7c6c680ffea4210a",
    ];
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let digests = files.iter().map(|file| sha256(&fs::read(file).unwrap()).to_string());
    assert_eq!(digests.collect::<Vec<_>>(), STEPS);
}

#[tokio::test]
async fn a_database_of_an_unknown_history_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("warm.db");
    drop(make(&path).await);
    let rename = "UPDATE meta_schema_version SET name = 'another' WHERE version = 1";
    Connection::open(&path).unwrap().execute(rename, []).unwrap();
    let refused = SqliteWarm::file(&path).unwrap().open([1; 16], 1).await.unwrap_err();
    assert_eq!(refused.code(), Code::Config);
}

#[tokio::test]
async fn another_programs_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert_eq!(SqliteWarm::file(&path).err().unwrap().code(), Code::Corrupt);
    let path = dir.path().join("text.db");
    fs::write(&path, vec![b'x'; 5000]).unwrap();
    assert_eq!(SqliteWarm::file(&path).err().unwrap().code(), Code::Corrupt);
    assert_eq!(fs::read(&path).unwrap(), vec![b'x'; 5000]);
}

#[tokio::test]
async fn damage_of_a_page_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("warm.db");
    let id = SessionId::new(1, [1; 10]);
    let warm = make(&path).await;
    warm.write(vec![session(id)]).await.unwrap();
    assert_eq!(warm.check().await.unwrap(), []);
    drop(warm);
    // The log is moved into the file when the last connection closes.
    let mut bytes = fs::read(&path).unwrap();
    let root: usize = Connection::open(&path)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'session'", [], |row| {
            row.get(0)
        })
        .map(|page: i64| page as usize)
        .unwrap();
    let page = (root - 1) * 4096;
    bytes[page..page + 12].fill(0xee);
    fs::write(&path, &bytes).unwrap();
    let warm = SqliteWarm::file(&path).unwrap();
    let opened = warm.open([1; 16], 1).await;
    let named = match opened {
        Err(error) => error.code() == Code::Corrupt,
        Ok(_) => match warm.check().await {
            Ok(damages) => !damages.is_empty(),
            Err(error) => error.code() == Code::Corrupt,
        },
    };
    assert!(named);
}

fn session(id: SessionId) -> Change {
    Change::NewSession(NewSession {
        id,
        name: "mine".to_owned(),
        user: "ann".to_owned(),
        created_ms: 1,
        context: Bytes::from_static(b"sealed context"),
        wrapped: Bytes::from_static(b"the wrapped key of this session"),
        master: [4; 16],
    })
}

#[tokio::test]
async fn a_destroyed_key_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("warm.db");
    let warm = make(&path).await;
    let id = SessionId::new(1, [1; 10]);
    warm.write(vec![session(id)]).await.unwrap();
    let key = b"the wrapped key of this session";
    let files_with_key = || {
        let files = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|file| fs::read(file).unwrap().windows(key.len()).any(|w| w == key)).count()
    };
    assert!(files_with_key() > 0);
    assert!(warm.session_key(id).await.unwrap().is_some());
    warm.write(vec![Change::Shred(id)]).await.unwrap();
    assert_eq!(warm.session_key(id).await.unwrap(), None);
    assert_eq!(files_with_key(), 0);
}

#[tokio::test]
async fn to_settle_is_to_write_although_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let warm = make(&dir.path().join("warm.db")).await;
    let log = || fs::read(dir.path().join("warm.db-wal")).unwrap();
    let before = log();
    warm.write(vec![Change::Settle]).await.unwrap();
    assert_ne!(log(), before, "the log must have been written");
    assert_eq!(warm.open([1; 16], 2).await.unwrap().extents, []);
}
