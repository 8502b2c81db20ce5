//! Connections to SQLite: how they are set up, and the migrations of the schema.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use rustix::{
    fs::{Access, access},
    io::Errno,
};

use crate::daemon::store::error::StoreError;

/// Marks a file as a database of ours ("DARW").
const APPLICATION: i64 = 0x4441_5257;
/// How long a connection waits for another's lock.
const BUSY: Duration = Duration::from_secs(10);
/// How long the log's cut waits for those who read; what is read for a listing takes less.
const READERS: Duration = Duration::from_secs(2);

/// The steps from an empty database to the present schema; the version is the place, from 1.
const MIGRATIONS: [(&str, &str); 6] = [
    ("0001_initial", include_str!("../../../../migrations/sqlite/0001_initial.sql")),
    ("0002_results", include_str!("../../../../migrations/sqlite/0002_results.sql")),
    ("0003_session_names", include_str!("../../../../migrations/sqlite/0003_session_names.sql")),
    ("0004_origins", include_str!("../../../../migrations/sqlite/0004_origins.sql")),
    ("0005_once", include_str!("../../../../migrations/sqlite/0005_once.sql")),
    ("0006_uploads", include_str!("../../../../migrations/sqlite/0006_uploads.sql")),
];

/// The schema version that this program reads and writes.
#[must_use]
pub fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Opens the database at `path` for writing, made if need be.
///
/// # Errors
/// If it can't be opened, or is none of ours.
pub fn writer(path: &Path) -> Result<Connection, StoreError> {
    let sql = |error| StoreError::sql("opening the database", error);
    // The database would say no more than that it can't open the file.
    if let Err(error) = access(path, Access::READ_OK | Access::WRITE_OK)
        && error != Errno::NOENT
    {
        return Err(StoreError::io("opening", path, error.into()));
    }
    let connection = Connection::open(path).map_err(sql)?;
    connection.busy_timeout(BUSY).map_err(sql)?;
    ours(&connection)?;
    connection
        .execute_batch(
            "PRAGMA page_size = 4096;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA wal_autocheckpoint = 4000;
             PRAGMA journal_size_limit = 67108864;
             PRAGMA secure_delete = ON;
             PRAGMA foreign_keys = ON;
             PRAGMA cell_size_check = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -2048;",
        )
        .map_err(sql)?;
    connection.set_prepared_statement_cache_capacity(64);
    // If the last daemon was killed while it destroyed a key, this takes it out of the log. On a
    // full disk it can't; the next start will.
    let _ = empty_log(&connection);
    Ok(connection)
}

/// Moves the log into the database and cuts it to nothing, so that no older row is left in it.
/// Says whether it could: a reader that is slow hinders it.
///
/// # Errors
/// If the database refuses.
pub fn empty_log(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.busy_timeout(READERS)?;
    let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
    let emptied = connection.query_row(sql, [], |row| Ok(row.get::<_, i64>(0)? == 0));
    connection.busy_timeout(BUSY)?;
    emptied
}

/// Opens the database at `path` for reading only.
///
/// # Errors
/// If it can't be opened.
pub fn reader(path: &Path) -> Result<Connection, StoreError> {
    let sql = |error| StoreError::sql("opening the database", error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sql)?;
    connection.busy_timeout(BUSY).map_err(sql)?;
    connection.execute_batch("PRAGMA cache_size = -1024; PRAGMA query_only = ON;").map_err(sql)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Refuses a database that somebody else made.
fn ours(connection: &Connection) -> Result<(), StoreError> {
    let sql = |error| StoreError::sql("reading the database's header", error);
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let marked = number("PRAGMA application_id").map_err(sql)?;
    let tables = number("SELECT count(*) FROM sqlite_schema").map_err(sql)?;
    if marked == APPLICATION || (marked == 0 && tables == 0) {
        return Ok(());
    }
    Err(StoreError::corrupt("the database", None, "it is a database of another program"))
}

/// Brings the schema up to date.
///
/// # Errors
/// If a newer program wrote it, or a step fails; then the schema is as it was.
pub fn migrate(connection: &mut Connection, now_ms: u64) -> Result<(), StoreError> {
    let sql = |error| StoreError::sql("bringing the schema up to date", error);
    let change =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    change
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION};
             CREATE TABLE IF NOT EXISTS meta_schema_version (
                 version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_ms INTEGER NOT NULL
             ) STRICT;"
        ))
        .map_err(sql)?;
    let mut rows = change
        .prepare("SELECT version, name FROM meta_schema_version ORDER BY version")
        .map_err(sql)?;
    let applied: Vec<(i64, String)> = rows
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .and_then(Iterator::collect)
        .map_err(sql)?;
    drop(rows);
    for (place, (version, name)) in (1..).zip(&applied) {
        let ours = usize::try_from(place - 1).ok().and_then(|at| MIGRATIONS.get(at));
        if *version != place || ours.is_none_or(|(known, _)| known != name) {
            let found = applied.last().map_or(0, |(version, _)| *version);
            return Err(StoreError::Version { found, known: known_version() });
        }
    }
    for (place, (name, text)) in (1_i64..).zip(MIGRATIONS).skip(applied.len()) {
        change.execute_batch(text).map_err(sql)?;
        change
            .execute(
                "INSERT INTO meta_schema_version (version, name, applied_ms) VALUES (?1, ?2, ?3)",
                (place, name, i64::try_from(now_ms).unwrap_or(i64::MAX)),
            )
            .map_err(sql)?;
    }
    change.commit().map_err(sql)
}

/// The id of the store; `fresh` becomes it if it has none yet.
///
/// # Errors
/// If the database refuses.
pub fn store_id(connection: &Connection, fresh: [u8; 16]) -> Result<[u8; 16], StoreError> {
    let sql = |error| StoreError::sql("reading the store's id", error);
    let known = connection
        .query_row("SELECT id FROM store", [], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    if let Some(known) = known {
        return Ok(known);
    }
    connection.execute("INSERT INTO store (one, id) VALUES (1, ?1)", [fresh]).map_err(sql)?;
    Ok(fresh)
}
