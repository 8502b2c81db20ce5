//! The database as a file: versions, strangers, damage, and a key that is destroyed.

use std::{collections::BTreeSet, fs, path::Path};

use bytes::Bytes;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
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
    const STEPS: [&str; 6] = [
        "21a858eeefe896f49bc198ebf23a8ae574cb230148379315fb7f7b047652585c",
        "050aa03ed79c6f32d82003268feba007b4595e1be604464c7c6c680ffea4210a",
        "820a5114fbb833856c46f7d989048db8b65077d45c9ad8cc302deae9aea8a4ed",
        "aaedf508a48a2e5da5ffe91f5c5a3fde5b15656bf584c4eb4acd047a0d7fb4ad",
        "ef224818f016daa01d8f0955a7f166e428e5d3d262c48ee561ba1083b5a75f3a",
        "1bd925aa214bb5c12aad54841827a99cddee63026e2ddaa3dd63b975a465b397",
    ];
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let digests = files.iter().map(|file| sha256(&fs::read(file).unwrap()).to_string());
    assert_eq!(digests.collect::<Vec<_>>(), STEPS);
}

#[tokio::test]
async fn a_database_of_an_older_version_is_brought_up_to_date_with_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("warm.db");
    let id = SessionId::new(1, [1; 10]);
    let warm = make(&path).await;
    warm.write(vec![session(id)]).await.unwrap();
    drop(warm);
    let back = "ALTER TABLE run DROP COLUMN origin; ALTER TABLE run DROP COLUMN origin_generation;
        DROP INDEX session_by_name; DROP TABLE once; DROP TABLE upload_part; DROP TABLE upload; DELETE FROM meta_schema_version WHERE version >= 3";
    Connection::open(&path).unwrap().execute_batch(back).unwrap();
    let warm = make(&path).await;
    assert_eq!(warm.sessions_named(Some("ann"), "mine", 9).await.unwrap()[0].id, id);
    let indexes = "SELECT count(*) FROM sqlite_schema WHERE name = 'session_by_name'";
    let open = Connection::open(&path).unwrap();
    assert_eq!(open.query_row(indexes, [], |row| row.get(0)), Ok(1_i64));
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
        wrapped: wrapped(id),
        master: [4; 16],
    })
}

/// As long as a wrapped key is.
fn wrapped(id: SessionId) -> Bytes {
    Bytes::from(format!("the wrapped key of {id}{}", "k".repeat(71)))
}

/// The sessions of which a wrapped key is in a file of the database.
fn keys_in_files(dir: &Path) -> BTreeSet<SessionId> {
    let mut found = BTreeSet::new();
    for file in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        let bytes = fs::read(file).unwrap();
        let marks =
            bytes.windows(19).enumerate().filter(|(_, mark)| mark == b"the wrapped key of ");
        for (at, _) in marks {
            // Even a piece of one is a find; its start tells whose it is.
            let id = bytes.get(at + 19..at + 55).and_then(|id| std::str::from_utf8(id).ok());
            found.extend(id.and_then(|id| id.parse::<SessionId>().ok()));
        }
    }
    found
}

#[tokio::test]
async fn a_destroyed_key_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("warm.db");
    let warm = make(&path).await;
    let id = SessionId::new(1, [1; 10]);
    warm.write(vec![session(id)]).await.unwrap();
    assert_eq!(keys_in_files(dir.path()), [id].into());
    assert!(warm.session_key(id).await.unwrap().is_some());
    warm.write(vec![Change::Shred(id)]).await.unwrap();
    assert_eq!(warm.session_key(id).await.unwrap(), None);
    assert_eq!(keys_in_files(dir.path()), [].into());
}

/// Rows move between pages when others come and go: what they leave behind is overwritten too.
#[tokio::test]
async fn no_destroyed_key_is_left_however_many_came_and_went() {
    let dir = tempfile::tempdir().unwrap();
    let warm = make(&dir.path().join("warm.db")).await;
    let mut chance = ChaCha8Rng::seed_from_u64(20_261_126);
    let (mut kept, mut made) = (BTreeSet::new(), 0_u64);
    for turn in 0..40 {
        let more = chance.random_range(0..60_u64);
        let new: Vec<_> = (made..made + more).map(|n| SessionId::new(n, [n as u8; 10])).collect();
        made += more;
        warm.write(new.iter().map(|id| session(*id)).collect()).await.unwrap();
        kept.extend(new);
        let share = chance.random_range(0.0..1.0);
        let gone: Vec<_> = kept.iter().copied().filter(|_| chance.random_bool(share)).collect();
        warm.write(gone.iter().map(|id| Change::Shred(*id)).collect()).await.unwrap();
        gone.iter().for_each(|id| assert!(kept.remove(id)));
        if !gone.is_empty() {
            assert_eq!(keys_in_files(dir.path()), kept, "turn {turn}");
        }
    }
    assert!(made > 500, "{made}");
}

#[tokio::test]
async fn a_key_stays_in_the_log_no_longer_than_somebody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("warm.db");
    let warm = make(&path).await;
    let id = SessionId::new(1, [1; 10]);
    warm.write(vec![session(id)]).await.unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let sessions = || reader.query_row("SELECT count(*) FROM session", [], |row| row.get(0));
    assert_eq!(sessions(), Ok(1_i64));
    let refused = warm.write(vec![Change::Shred(id)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Exhausted, "{refused}");
    // It is gone for everybody else, and in the log only.
    assert_eq!(warm.session_key(id).await.unwrap(), None);
    assert_eq!(keys_in_files(dir.path()), [id].into());
    reader.execute_batch("ROLLBACK").unwrap();
    warm.write(vec![Change::Shred(id)]).await.unwrap();
    assert_eq!(keys_in_files(dir.path()), [].into());
}

#[tokio::test]
async fn a_key_that_a_kill_left_in_the_log_is_gone_at_the_next_start() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = dir.path().join("warm.db");
    let warm = make(&path).await;
    let id = SessionId::new(1, [1; 10]);
    warm.write(vec![session(id)]).await.unwrap();
    // What is on disk if it is killed between the commit and the cut of the log.
    let sql = "PRAGMA secure_delete = ON; DELETE FROM session_key";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    for name in ["warm.db", "warm.db-wal"] {
        fs::copy(dir.path().join(name), copy.path().join(name)).unwrap();
    }
    assert_eq!(keys_in_files(copy.path()), [id].into());
    let warm = make(&copy.path().join("warm.db")).await;
    assert_eq!(warm.session_key(id).await.unwrap(), None);
    assert!(warm.session(id).await.unwrap().unwrap().shredded);
    assert_eq!(keys_in_files(copy.path()), [].into());
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
