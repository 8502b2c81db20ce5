//! The questions to the warm tier, as SQL for PostgreSQL: each is one statement, which sees one
//! state of the database.

use bytes::Bytes;
use cid::Cid;
use sqlx::{AssertSqlSafe, Error, PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{Named, Runs, write::id};
use crate::{
    daemon::store::{
        cold::Extent,
        error::Damage,
        warm::{
            marks::Mark,
            rows::{
                AgentRow, CheckpointRow, Node, Opened, ResultRow, RunRow, SessionRow, StopOverride,
            },
            tally::verdict_of,
            uploads::{NewUpload, UploadRow},
        },
    },
    domain::{
        id::{AgentId, RunId, SessionId, Slot},
        lifecycle::RunState,
    },
    provenance::block::{CID_LEN, cid_from_bytes},
};

type Answer<T> = Result<T, Error>;

/// The most that a check of the rows reports of one kind.
const MAX_FAULTS: i64 = 100;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A value in a column that can't be what was stored there.
fn odd(what: &'static str) -> Error {
    Error::Decode(what.into())
}

fn number(row: &PgRow, column: usize) -> Answer<u64> {
    row.try_get(column).map(i64::cast_unsigned)
}

fn small(row: &PgRow, column: usize) -> Answer<u32> {
    u32::try_from(row.try_get::<i64, _>(column)?).map_err(|_| odd("a number out of bounds"))
}

fn bytes(row: &PgRow, column: usize) -> Answer<Bytes> {
    row.try_get::<Vec<u8>, _>(column).map(Bytes::from)
}

fn array<const N: usize>(row: &PgRow, column: usize) -> Answer<[u8; N]> {
    row.try_get::<&[u8], _>(column)?.try_into().map_err(|_| odd("bytes of another length"))
}

fn sixteen(row: &PgRow, column: usize) -> Answer<[u8; 16]> {
    row.try_get(column).map(Uuid::into_bytes)
}

fn maybe(row: &PgRow, column: usize) -> Answer<Option<[u8; 16]>> {
    Ok(row.try_get::<Option<Uuid>, _>(column)?.map(Uuid::into_bytes))
}

/// A bound on rows, as SQL takes it.
fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn each<T>(rows: &[PgRow], row: impl Fn(&PgRow) -> Answer<T>) -> Answer<Vec<T>> {
    rows.iter().map(row).collect()
}

/// A session without its context.
macro_rules! sessions {
    ($context:literal, $rest:literal) => {
        concat!(
            "SELECT node, id, name, \"user\", closed, used_ms,
                 NOT EXISTS (SELECT 1 FROM session_key k WHERE k.session = node), ",
            $context,
            " FROM session ",
            $rest
        )
    };
}

fn session_row(row: &PgRow) -> Answer<SessionRow> {
    Ok(SessionRow {
        node: row.try_get(0)?,
        id: SessionId::from_bytes(sixteen(row, 1)?),
        name: row.try_get(2)?,
        user: row.try_get(3)?,
        closed: row.try_get(4)?,
        used_ms: number(row, 5)?,
        shredded: row.try_get(6)?,
        context: bytes(row, 7)?,
    })
}

pub async fn session(open: &mut PgConnection, of: SessionId) -> Answer<Option<SessionRow>> {
    let query = sqlx::query(sessions!("context", "WHERE id = $1")).bind(id(of.as_bytes()));
    query.fetch_optional(open).await?.as_ref().map(session_row).transpose()
}

pub async fn sessions(
    open: &mut PgConnection,
    closed_too: bool,
    limit: usize,
) -> Answer<Vec<SessionRow>> {
    let query = sqlx::query(sessions!(
        "''::bytea",
        "WHERE $1 OR NOT closed ORDER BY used_ms DESC, node DESC LIMIT $2"
    ));
    each(&query.bind(closed_too).bind(rows(limit)).fetch_all(open).await?, session_row)
}

pub async fn sessions_named(
    open: &mut PgConnection,
    user: Option<&str>,
    name: &str,
    limit: usize,
) -> Answer<Vec<SessionRow>> {
    let query = sqlx::query(sessions!(
        "''::bytea",
        "WHERE name = $1 AND ($2::text IS NULL OR \"user\" = $2)
         ORDER BY closed, used_ms DESC, node DESC LIMIT $3"
    ));
    each(&query.bind(name).bind(user).bind(rows(limit)).fetch_all(open).await?, session_row)
}

pub async fn session_key(open: &mut PgConnection, of: SessionId) -> Answer<Option<Bytes>> {
    let query = sqlx::query(
        "SELECT k.wrapped FROM session_key k JOIN session s ON s.node = k.session WHERE s.id = $1",
    );
    let row = query.bind(id(of.as_bytes())).fetch_optional(open).await?;
    row.map(|row| bytes(&row, 0)).transpose()
}

pub async fn signing_keys(open: &mut PgConnection) -> Answer<Vec<([u8; 32], u64)>> {
    let query = sqlx::query("SELECT public, from_ms FROM signing_key ORDER BY from_ms, id");
    each(&query.fetch_all(open).await?, |row| Ok((array(row, 0)?, number(row, 1)?)))
}

macro_rules! runs {
    ($rest:literal) => {
        concat!(
            "SELECT r.node, r.id, s.id, r.name, r.objective, r.divisor, r.seed, r.workers,
                 r.sandbox, r.state, r.reason, r.started_ms, r.elapsed_ms, r.stop_generations,
                 r.stop_evaluations, r.stop_time, r.stop_target, r.agents, r.failed, r.generation,
                 r.best, a.id, o.id, r.origin_generation
             FROM run r JOIN session s ON s.node = r.session
                 LEFT JOIN agent a ON a.node = r.best_agent LEFT JOIN run o ON o.node = r.origin ",
            $rest
        )
    };
}

fn run_row(row: &PgRow) -> Answer<RunRow> {
    let limit =
        |column| Ok::<_, Error>(row.try_get::<Option<i64>, _>(column)?.map(i64::cast_unsigned));
    let best: Option<f64> = row.try_get(20)?;
    Ok(RunRow {
        node: row.try_get(0)?,
        id: RunId::from_bytes(sixteen(row, 1)?),
        session: SessionId::from_bytes(sixteen(row, 2)?),
        name: row.try_get(3)?,
        objective: row.try_get(4)?,
        divisor: row.try_get(5)?,
        seed: number(row, 6)?,
        workers: small(row, 7)?,
        sandbox: row.try_get(8)?,
        state: RunState::named(row.try_get(9)?).ok_or_else(|| odd("an unknown state"))?,
        reason: row.try_get(10)?,
        started_ms: number(row, 11)?,
        elapsed_ms: number(row, 12)?,
        stop: StopOverride {
            generations: limit(13)?,
            evaluations: limit(14)?,
            time: row.try_get(15)?,
            target: row.try_get(16)?,
        },
        agents: number(row, 17)?,
        failed: number(row, 18)?,
        generation: number(row, 19)?,
        best: best.zip(maybe(row, 21)?.map(AgentId::from_bytes)),
        origin: maybe(row, 22)?.map(RunId::from_bytes).zip(limit(23)?),
    })
}

pub async fn run(open: &mut PgConnection, of: RunId) -> Answer<Option<RunRow>> {
    let query = sqlx::query(runs!("WHERE r.id = $1")).bind(id(of.as_bytes()));
    query.fetch_optional(open).await?.as_ref().map(run_row).transpose()
}

pub async fn runs(open: &mut PgConnection, which: Runs, limit: usize) -> Answer<Vec<RunRow>> {
    let query = match which {
        Runs::All => sqlx::query(runs!("ORDER BY r.started_ms DESC, r.node DESC LIMIT $1")),
        Runs::Of(_) => {
            sqlx::query(runs!("WHERE s.id = $2 ORDER BY r.started_ms DESC, r.node DESC LIMIT $1"))
        }
        Runs::AtWork => sqlx::query(runs!(
            "WHERE r.state = $2 ORDER BY r.started_ms DESC, r.node DESC LIMIT $1"
        )),
    };
    let query = query.bind(rows(limit));
    let query = match which {
        Runs::All => query,
        Runs::Of(of) => query.bind(id(of.as_bytes())),
        Runs::AtWork => query.bind(RunState::Running.as_str()),
    };
    each(&query.fetch_all(open).await?, run_row)
}

pub async fn run_content(open: &mut PgConnection, of: RunId) -> Answer<Option<Bytes>> {
    let query = sqlx::query(
        "SELECT c.sealed FROM run_content c JOIN run r ON r.node = c.run WHERE r.id = $1",
    );
    let row = query.bind(id(of.as_bytes())).fetch_optional(open).await?;
    row.map(|row| bytes(&row, 0)).transpose()
}

pub async fn checkpoint(open: &mut PgConnection, of: RunId) -> Answer<Option<CheckpointRow>> {
    let query = sqlx::query(
        "SELECT s.id, c.generation, c.after, c.sealed FROM checkpoint c
         JOIN run r ON r.node = c.run JOIN session s ON s.node = r.session WHERE r.id = $1",
    );
    let row = query.bind(id(of.as_bytes())).fetch_optional(open).await?;
    let checkpoint = |row: PgRow| {
        Ok(CheckpointRow {
            session: SessionId::from_bytes(sixteen(&row, 0)?),
            generation: number(&row, 1)?,
            after: row.try_get(2)?,
            sealed: bytes(&row, 3)?,
        })
    };
    row.map(checkpoint).transpose()
}

pub async fn find(
    open: &mut PgConnection,
    named: Named,
    from: [u8; 16],
    to: [u8; 16],
    limit: usize,
) -> Answer<Vec<[u8; 16]>> {
    let query = sqlx::query(match named {
        Named::Agent => "SELECT id FROM agent WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3",
        Named::Run => "SELECT id FROM run WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3",
        Named::Session => "SELECT id FROM session WHERE id BETWEEN $1 AND $2 ORDER BY id LIMIT $3",
    });
    let query = query.bind(id(&from)).bind(id(&to)).bind(rows(limit));
    each(&query.fetch_all(open).await?, |row| sixteen(row, 0))
}

macro_rules! agents {
    ($rest:literal) => {
        concat!(
            "SELECT a.node, a.id, s.id, r.id, a.generation, a.slot, o.names, a.fitness, a.verdict,
                 a.delta, a.genome, a.head, a.seq, a.segment, a.at_ms,
                 ARRAY(SELECT p.id FROM edge e JOIN agent p ON p.node = e.parent
                     WHERE e.child = a.node ORDER BY e.ord)
             FROM agent a JOIN session s ON s.node = a.session
                 JOIN operators o ON o.node = a.operators LEFT JOIN run r ON r.node = a.run ",
            $rest
        )
    };
}

fn agent_row(row: &PgRow) -> Answer<AgentRow> {
    let names: &str = row.try_get(6)?;
    let parents: Vec<Uuid> = row.try_get(15)?;
    Ok(AgentRow {
        node: row.try_get(0)?,
        id: AgentId::from_bytes(sixteen(row, 1)?),
        session: SessionId::from_bytes(sixteen(row, 2)?),
        run: maybe(row, 3)?.map(RunId::from_bytes),
        generation: number(row, 4)?,
        slot: small(row, 5)?,
        parents: parents.into_iter().map(|id| AgentId::from_bytes(id.into_bytes())).collect(),
        operators: names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        fitness: row.try_get(7)?,
        verdict: verdict_of(row.try_get(8)?).ok_or_else(|| odd("an unknown verdict"))?,
        delta: row.try_get(9)?,
        genome: array(row, 10)?,
        head: cid(row.try_get(11)?)?,
        seq: number(row, 12)?,
        segment: small(row, 13)?,
        at_ms: number(row, 14)?,
    })
}

fn cid(bytes: &[u8]) -> Answer<Cid> {
    cid_from_bytes(bytes).ok_or_else(|| odd("no CID that Darwin writes"))
}

pub async fn agents(open: &mut PgConnection, ids: &[AgentId]) -> Answer<Vec<AgentRow>> {
    let ids: Vec<_> = ids.iter().map(|of| id(of.as_bytes())).collect();
    // As many rows as ids: one that is asked for twice comes twice.
    let query = sqlx::query(agents!("JOIN unnest($1::uuid[]) AS w (id) ON w.id = a.id"));
    each(&query.bind(ids).fetch_all(open).await?, agent_row)
}

/// The agents of these numbers, in any order.
pub async fn agents_at(open: &mut PgConnection, nodes: &[Node]) -> Answer<Vec<AgentRow>> {
    let query = sqlx::query(agents!("WHERE a.node = ANY($1)")).bind(nodes.to_vec());
    each(&query.fetch_all(open).await?, agent_row)
}

pub async fn agents_after(
    open: &mut PgConnection,
    of: Option<RunId>,
    after: Node,
    limit: usize,
) -> Answer<Vec<AgentRow>> {
    let query = match of {
        Some(of) => sqlx::query(agents!(
            "WHERE a.node > $1 AND a.run = (SELECT node FROM run WHERE id = $3)
             ORDER BY a.node LIMIT $2"
        ))
        .bind(after)
        .bind(rows(limit))
        .bind(id(of.as_bytes())),
        None => sqlx::query(agents!("WHERE a.node > $1 ORDER BY a.node LIMIT $2"))
            .bind(after)
            .bind(rows(limit)),
    };
    each(&query.fetch_all(open).await?, agent_row)
}

pub async fn results(
    open: &mut PgConnection,
    of: RunId,
    after: Node,
    limit: usize,
) -> Answer<Vec<ResultRow>> {
    let query = sqlx::query(
        "SELECT node, generation, slot, fitness FROM agent
         WHERE run = (SELECT node FROM run WHERE id = $1) AND node > $2 ORDER BY node LIMIT $3",
    );
    let query = query.bind(id(of.as_bytes())).bind(after).bind(rows(limit));
    each(&query.fetch_all(open).await?, |row| {
        let slot = Slot { generation: number(row, 1)?, index: small(row, 2)? };
        Ok(ResultRow { node: row.try_get(0)?, slot, fitness: row.try_get(3)? })
    })
}

pub async fn result(open: &mut PgConnection, key: [u8; 32]) -> Answer<Option<AgentId>> {
    let query =
        sqlx::query("SELECT a.id FROM result r JOIN agent a ON a.node = r.agent WHERE r.key = $1");
    let row = query.bind(key.to_vec()).fetch_optional(open).await?;
    row.map(|row| Ok(AgentId::from_bytes(sixteen(&row, 0)?))).transpose()
}

pub async fn blob_cids(open: &mut PgConnection, mac: [u8; 32]) -> Answer<Option<Vec<Cid>>> {
    let query = sqlx::query("SELECT cids FROM blob WHERE mac = $1").bind(mac.to_vec());
    let row = query.fetch_optional(open).await?;
    row.map(|row| row.try_get::<&[u8], _>(0)?.chunks(CID_LEN).map(cid).collect()).transpose()
}

pub async fn mark(
    open: &mut PgConnection,
    sender: [u8; 32],
    key: [u8; 16],
) -> Answer<Option<Mark>> {
    let query =
        sqlx::query("SELECT request, subject, at_ms FROM once WHERE sender = $1 AND key = $2");
    let row = query.bind(sender.to_vec()).bind(id(&key)).fetch_optional(open).await?;
    let mark = |row: PgRow| {
        let (request, subject) = (array(&row, 0)?, sixteen(&row, 1)?);
        Ok(Mark { sender, key, request, subject, at_ms: number(&row, 2)? })
    };
    row.map(mark).transpose()
}

macro_rules! uploads {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, s.id, u.size, u.sealed, u.begun_ms, u.done,
                 (SELECT coalesce(max(number), -1) + 1 FROM upload_part WHERE upload = u.node)
             FROM upload u JOIN session s ON s.node = u.session ",
            $rest
        )
    };
}

fn upload_row(row: &PgRow) -> Answer<UploadRow> {
    let begun = NewUpload {
        id: array(row, 0)?,
        session: SessionId::from_bytes(sixteen(row, 1)?),
        size: number(row, 2)?,
        sealed: bytes(row, 3)?,
        begun_ms: number(row, 4)?,
    };
    Ok(UploadRow { begun, done: row.try_get(5)?, parts: number(row, 6)? })
}

pub async fn upload(open: &mut PgConnection, of: [u8; 32]) -> Answer<Option<UploadRow>> {
    let query = sqlx::query(uploads!("WHERE u.id = $1")).bind(of.to_vec());
    query.fetch_optional(open).await?.as_ref().map(upload_row).transpose()
}

pub async fn uploads(
    open: &mut PgConnection,
    of: SessionId,
    limit: usize,
) -> Answer<Vec<UploadRow>> {
    let query = sqlx::query(uploads!("WHERE s.id = $1 ORDER BY u.node DESC LIMIT $2"));
    let query = query.bind(id(of.as_bytes())).bind(rows(limit));
    each(&query.fetch_all(open).await?, upload_row)
}

pub async fn parts(
    open: &mut PgConnection,
    of: [u8; 32],
    from: u64,
    limit: usize,
) -> Answer<Vec<Cid>> {
    let query = sqlx::query(
        "SELECT cid FROM upload_part WHERE upload = (SELECT node FROM upload WHERE id = $1)
             AND number >= $2 ORDER BY number LIMIT $3",
    );
    let query = query.bind(of.to_vec()).bind(from.cast_signed()).bind(rows(limit));
    each(&query.fetch_all(open).await?, |row| cid(row.try_get(0)?))
}

pub async fn count(open: &mut PgConnection) -> Answer<u64> {
    let query = sqlx::query(
        "SELECT ((SELECT coalesce(sum(agents), 0) FROM run)
             + (SELECT count(*) FROM agent WHERE run IS NULL))::bigint",
    );
    number(&query.fetch_one(open).await?, 0)
}

/// What there is when the store is opened.
pub async fn opened(open: &mut PgConnection, store: [u8; 16]) -> Answer<Opened> {
    let extents = sqlx::query("SELECT number, length FROM segment ORDER BY number");
    let extents = extents.fetch_all(&mut *open).await?;
    let last = sqlx::query("SELECT coalesce(max(node), 0) FROM agent").fetch_one(&mut *open);
    let last = last.await?.try_get(0)?;
    let masters = sqlx::query("SELECT DISTINCT master FROM session_key ORDER BY master");
    let masters = each(&masters.fetch_all(open).await?, |row| array(row, 0))?;
    let extent = |row: &PgRow| Ok(Extent { segment: small(row, 0)?, length: number(row, 1)? });
    Ok(Opened { store, extents: each(&extents, extent)?, last, masters })
}

/// Vacuums and analyzes every table, unless that was done within a day.
pub async fn tend(open: &mut PgConnection) -> Answer<u64> {
    let due = sqlx::query(
        "SELECT NOT EXISTS (SELECT 1 FROM meta.upkeep
             WHERE done_ms > extract(epoch FROM now()) * 1000 - $1)",
    );
    if !due.bind(DAY_MS).fetch_one(&mut *open).await?.try_get::<bool, _>(0)? {
        return Ok(0);
    }
    sqlx::raw_sql("SET statement_timeout = 0").execute(&mut *open).await?;
    let tables = sqlx::query(
        "SELECT format('VACUUM (ANALYZE) %I.%I', schemaname, relname) FROM pg_stat_user_tables
         WHERE schemaname = current_schema() ORDER BY relname",
    );
    let tables: Vec<String> = each(&tables.fetch_all(&mut *open).await?, |row| row.try_get(0))?;
    let count = tables.len() as u64;
    for sql in tables {
        // Names of tables can't be bound; the database itself has quoted these.
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *open).await?;
    }
    let done = sqlx::query(
        "INSERT INTO meta.upkeep (one, done_ms) VALUES (1, extract(epoch FROM now()) * 1000)
         ON CONFLICT (one) DO UPDATE SET done_ms = excluded.done_ms",
    );
    done.execute(open).await?;
    Ok(count)
}

/// What belongs together and does not fit.
pub async fn check(open: &mut PgConnection, place: &str) -> Answer<Vec<Damage>> {
    let query = sqlx::query(
        "(SELECT 'agent ' || a.id || ' is of a session, run or list of operators that is not there'
             FROM agent a LEFT JOIN session s ON s.node = a.session
                 LEFT JOIN operators o ON o.node = a.operators LEFT JOIN run r ON r.node = a.run
             WHERE s.node IS NULL OR o.node IS NULL OR (r.node IS NULL AND a.run IS NOT NULL)
             LIMIT $1)
         UNION ALL
         (SELECT 'agent ' || coalesce(c.id::text, e.child::text)
                 || ' has a parent that is not there, or is not itself there'
             FROM edge e LEFT JOIN agent c ON c.node = e.child
                 LEFT JOIN agent p ON p.node = e.parent
             WHERE c.node IS NULL OR p.node IS NULL OR p.node >= c.node LIMIT $1)
         UNION ALL
         (SELECT 'run ' || r.id || ' counts ' || r.agents || ' agents and has ' || count(a.node)
             FROM run r LEFT JOIN agent a ON a.run = r.node GROUP BY r.node
             HAVING r.agents <> count(a.node) LIMIT $1)",
    );
    let damage = |what: String| Damage { place: place.to_owned(), offset: None, what };
    each(&query.bind(MAX_FAULTS).fetch_all(open).await?, |row| row.try_get(0).map(damage))
}
