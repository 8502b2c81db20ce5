//! The schema in PostgreSQL: its migrations, and who may write.

use sqlx::{Connection as _, PgConnection, Postgres, Row as _, Transaction};
use uuid::Uuid;

use super::connect::Address;
use crate::daemon::store::error::StoreError;

/// The steps from an empty database to the present schema; the version is the place, from 1. Their
/// names are those of SQLite's.
pub const MIGRATIONS: [(&str, &str); 6] = [
    ("0001_initial", include_str!("../../../../../migrations/postgres/0001_initial.sql")),
    ("0002_results", include_str!("../../../../../migrations/postgres/0002_results.sql")),
    (
        "0003_session_names",
        include_str!("../../../../../migrations/postgres/0003_session_names.sql"),
    ),
    ("0004_origins", include_str!("../../../../../migrations/postgres/0004_origins.sql")),
    ("0005_once", include_str!("../../../../../migrations/postgres/0005_once.sql")),
    ("0006_uploads", include_str!("../../../../../migrations/postgres/0006_uploads.sql")),
];

/// The locks of the database that are ours ("DARW"): who migrates, and who writes.
const MIGRATES: i64 = 0x4441_5257_0001;
const WRITES: i64 = 0x4441_5257_0002;
/// How often the lock of who writes is tried: a connection that broke holds it until the server
/// is done with what it was asked for last.
const TRIES: u32 = 100;

/// The version that this program reads and writes.
#[must_use]
pub fn known_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The versions that were applied, rising; none in a database without our schema.
async fn applied(
    address: &Address,
    open: &mut PgConnection,
) -> Result<Vec<(i64, String)>, StoreError> {
    let error = |error| address.error("reading the schema's version", error);
    let there = sqlx::query("SELECT to_regclass('meta.schema_version') IS NOT NULL");
    if !there.fetch_one(&mut *open).await.and_then(|row| row.try_get(0)).map_err(error)? {
        return Ok(Vec::new());
    }
    let rows = sqlx::query("SELECT version, name FROM meta.schema_version ORDER BY version")
        .fetch_all(open)
        .await
        .map_err(error)?;
    let row = |row: &sqlx::postgres::PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
    rows.iter().map(row).collect::<Result<_, _>>().map_err(error)
}

/// Refuses a schema that is none of this program's, or not yet; gives how many of its steps are
/// there.
fn fits(applied: &[(i64, String)]) -> Result<usize, StoreError> {
    for (place, (version, name)) in (1..).zip(applied) {
        let ours = usize::try_from(place - 1).ok().and_then(|at| MIGRATIONS.get(at));
        if *version != place || ours.is_none_or(|(known, _)| known != name) {
            let found = applied.last().map_or(0, |(version, _)| *version);
            return Err(StoreError::Version { found, known: known_version() });
        }
    }
    Ok(applied.len())
}

/// Makes sure that a connection finds the schema that this program knows.
///
/// # Errors
/// If it doesn't.
pub async fn check(address: &Address, open: &mut PgConnection) -> Result<(), StoreError> {
    let found = fits(&applied(address, open).await?)?;
    if found == MIGRATIONS.len() {
        return Ok(());
    }
    let found = i64::try_from(found).unwrap_or(0);
    Err(StoreError::Version { found, known: known_version() })
}

/// The names of the steps that are missing.
///
/// # Errors
/// If the schema is none of this program's.
pub async fn missing(
    address: &Address,
    open: &mut PgConnection,
) -> Result<&'static [(&'static str, &'static str)], StoreError> {
    Ok(&MIGRATIONS[fits(&applied(address, open).await?)?..])
}

/// Brings the schema up to date, one daemon at a time.
///
/// # Errors
/// If a newer program wrote it, or a step fails; then the schema is as it was.
pub async fn migrate(
    address: &Address,
    open: &mut PgConnection,
    now_ms: u64,
) -> Result<(), StoreError> {
    let error = |error| address.error("bringing the schema up to date", error);
    if missing(address, open).await?.is_empty() {
        return Ok(());
    }
    let mut change = open.begin().await.map_err(error)?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATES)
        .execute(&mut *change)
        .await
        .map_err(error)?;
    // Another daemon may have been quicker.
    let steps = missing(address, &mut change).await?;
    if steps.len() == MIGRATIONS.len() {
        empty(address, &mut change).await?;
        sqlx::raw_sql(
            "CREATE SCHEMA IF NOT EXISTS meta;
             CREATE TABLE meta.schema_version (
                 version BIGINT PRIMARY KEY, name TEXT NOT NULL, applied_ms BIGINT NOT NULL
             );
             CREATE TABLE meta.upkeep (
                 one INTEGER PRIMARY KEY CHECK (one = 1), done_ms BIGINT NOT NULL
             )",
        )
        .execute(&mut *change)
        .await
        .map_err(error)?;
    }
    let before = MIGRATIONS.len() - steps.len();
    for (version, (name, text)) in (1_i64..).zip(MIGRATIONS).skip(before) {
        sqlx::raw_sql(text).execute(&mut *change).await.map_err(error)?;
        sqlx::query("INSERT INTO meta.schema_version VALUES ($1, $2, $3)")
            .bind(version)
            .bind(name)
            .bind(now_ms.cast_signed())
            .execute(&mut *change)
            .await
            .map_err(error)?;
        tracing::info!(name, "migrated the database");
    }
    change.commit().await.map_err(error)
}

/// Refuses a database that somebody else has tables in.
async fn empty(
    address: &Address,
    change: &mut Transaction<'_, Postgres>,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')
             AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')",
    )
    .fetch_one(&mut **change)
    .await;
    let error = |error| address.error("looking at the database", error);
    let tables: i64 = row.and_then(|row| row.try_get(0)).map_err(error)?;
    if tables == 0 {
        return Ok(());
    }
    let why =
        format!("{} holds tables of another program: give an empty database", address.shown());
    Err(StoreError::Address { tier: "warm", why })
}

/// Makes this connection the one that writes: it holds a lock of its session as long as it lives,
/// so that what another one was asked for is done or never will be.
///
/// # Errors
/// If another daemon writes.
pub async fn claim(address: &Address, open: &mut PgConnection) -> Result<(), StoreError> {
    let error = |error| address.error("locking the database", error);
    for _ in 0..TRIES {
        let taken = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(WRITES);
        let taken = taken.fetch_one(&mut *open).await.and_then(|row| row.try_get(0));
        if taken.map_err(error)? {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err(StoreError::Locked { dir: format!("the database {}", address.shown()) })
}

/// The id of the store, which `fresh` becomes if it has none yet, and the epoch: the next one, or
/// `mine` if that is given.
///
/// # Errors
/// If another daemon has taken the store over since `mine`.
pub async fn store(
    address: &Address,
    open: &mut PgConnection,
    fresh: [u8; 16],
    mine: Option<i64>,
) -> Result<([u8; 16], i64), StoreError> {
    let error = |error| address.error("reading the store's id", error);
    let row = sqlx::query(
        "INSERT INTO store AS s (one, id, epoch) VALUES (1, $1, 1)
         ON CONFLICT (one) DO UPDATE SET epoch = s.epoch + CASE WHEN $2 THEN 1 ELSE 0 END
         RETURNING id, epoch",
    )
    .bind(Uuid::from_bytes(fresh))
    .bind(mine.is_none())
    .fetch_one(open)
    .await;
    let found: Result<(Uuid, i64), _> = row.and_then(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let (id, epoch) = found.map_err(error)?;
    if mine.is_some_and(|mine| mine != epoch) {
        return Err(StoreError::Locked { dir: format!("the database {}", address.shown()) });
    }
    Ok((id.into_bytes(), epoch))
}
