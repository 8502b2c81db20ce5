//! The changes of the warm tier, as SQL for PostgreSQL.

use std::collections::{HashMap, HashSet};

use sqlx::{Error, PgConnection, Row as _, postgres::PgArguments, query::Query};
use uuid::Uuid;

use crate::{
    daemon::store::warm::{
        marks::{self, Mark},
        rows::{Change, Group, NewAgent, NewHead, NewRunRow, NewSession, StopOverride},
        tally::{Tally, verdict_number},
        uploads::{NewPart, NewUpload},
    },
    domain::{
        id::{RunId, SessionId},
        lifecycle::RunState,
    },
    provenance::block::cid_bytes,
};

/// The most lists of operators whose numbers are remembered.
const REMEMBERED: usize = 4096;

/// The numbers of the lists of operators that were seen.
#[derive(Debug, Default)]
pub struct Operators(HashMap<String, i64>);

impl Operators {
    /// Forgets them all: what was remembered may have been rolled back.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// A statement and what it is given.
type Statement = Query<'static, sqlx::Postgres, PgArguments>;

/// An id, as the database has it.
pub fn id(bytes: &[u8; 16]) -> Uuid {
    Uuid::from_bytes(*bytes)
}

/// Executes a statement; how many rows it changed.
async fn run(open: &mut PgConnection, statement: Statement) -> Result<u64, Error> {
    Ok(statement.execute(open).await?.rows_affected())
}

/// Executes a statement that is to change so many rows; that it has not is
/// [`Error::RowNotFound`].
async fn exactly(open: &mut PgConnection, rows: usize, statement: Statement) -> Result<(), Error> {
    if run(open, statement).await? == rows as u64 { Ok(()) } else { Err(Error::RowNotFound) }
}

/// Whether a change is one statement, which is a transaction by itself.
pub fn is_one_statement(change: &Change) -> bool {
    match change {
        Change::NewSession(_)
        | Change::Touch(..)
        | Change::Close(..)
        | Change::Context(..)
        | Change::SetRun(..)
        | Change::Checkpoint(..)
        | Change::SigningKey(..)
        | Change::NewUpload(_)
        | Change::EndUpload(..)
        | Change::Settle => true,
        Change::Shred(_) | Change::NewRun(_) | Change::Mark(_) | Change::Agents(_) => false,
    }
}

/// Makes a change, in the transaction that is open, if one is.
///
/// # Errors
/// If it does not fit, or the database refuses: the transaction can't go on.
pub async fn change(
    open: &mut PgConnection,
    operators: &mut Operators,
    change: &Change,
) -> Result<(), Error> {
    let one = |of: &SessionId, sql| sqlx::query(sql).bind(id(of.as_bytes()));
    match change {
        Change::NewSession(session) => new_session(open, session).await,
        Change::Touch(of, used_ms) => {
            let sql = "UPDATE session SET used_ms = greatest(used_ms, $2) WHERE id = $1";
            exactly(open, 1, one(of, sql).bind(used_ms.cast_signed())).await
        }
        Change::Close(of, closed, used_ms) => {
            let sql = "UPDATE session SET closed = $2, used_ms = greatest(used_ms, $3)
                       WHERE id = $1";
            exactly(open, 1, one(of, sql).bind(*closed).bind(used_ms.cast_signed())).await
        }
        Change::Context(of, sealed) => {
            let sql = "UPDATE session SET context = $2 WHERE id = $1";
            exactly(open, 1, one(of, sql).bind(sealed.to_vec())).await
        }
        Change::Shred(of) => {
            let node = one(of, "SELECT node FROM session WHERE id = $1").fetch_one(&mut *open);
            let node: i64 = node.await?.try_get(0)?;
            let sql = "DELETE FROM session_key WHERE session = $1";
            run(open, sqlx::query(sql).bind(node)).await.map(drop)
        }
        Change::NewRun(run) => new_run(open, run).await,
        Change::SetRun(of, state, reason, elapsed_ms, stop) => {
            set_run(open, *of, *state, reason, *elapsed_ms, stop.as_ref()).await
        }
        Change::Checkpoint(of, generation, sealed) => {
            let sql = "INSERT INTO checkpoint (run, generation, after, sealed)
                SELECT node, $2, last_agent, $3 FROM run WHERE id = $1
                ON CONFLICT (run) DO UPDATE SET generation = excluded.generation,
                    after = excluded.after, sealed = excluded.sealed";
            let statement = sqlx::query(sql).bind(id(of.as_bytes()));
            exactly(open, 1, statement.bind(generation.cast_signed()).bind(sealed.to_vec())).await
        }
        Change::SigningKey(fingerprint, public, from_ms) => {
            let sql = "INSERT INTO signing_key (id, public, from_ms) VALUES ($1, $2, $3)
                       ON CONFLICT (id) DO NOTHING";
            let statement = sqlx::query(sql).bind(fingerprint.to_vec()).bind(public.to_vec());
            run(open, statement.bind(from_ms.cast_signed())).await.map(drop)
        }
        Change::NewUpload(new) => begin_upload(open, new).await,
        Change::EndUpload(of, whole) => {
            let sql = if *whole {
                "UPDATE upload SET done = true WHERE id = $1 AND NOT done"
            } else {
                "DELETE FROM upload WHERE id = $1 AND NOT done"
            };
            exactly(open, 1, sqlx::query(sql).bind(of.to_vec())).await
        }
        Change::Mark(mark) => add_mark(open, mark).await,
        // Whoever writes holds the lock of the connection that wrote before: so what that one was
        // asked for is settled already. A commit of its own makes sure that the server takes some.
        Change::Settle => {
            let sql = "UPDATE store SET epoch = epoch";
            run(open, sqlx::query(sql)).await.map(drop)
        }
        Change::Agents(group) => agents(open, operators, group).await,
    }
}

async fn new_session(open: &mut PgConnection, session: &NewSession) -> Result<(), Error> {
    let statement = sqlx::query(
        "WITH made AS (
             INSERT INTO session (node, id, name, \"user\", created_ms, used_ms, context)
             SELECT coalesce(max(node), 0) + 1, $1, $2, $3, $4, $4, $5 FROM session RETURNING node)
         INSERT INTO session_key (session, wrapped, master) SELECT node, $6, $7 FROM made",
    )
    .bind(id(session.id.as_bytes()))
    .bind(session.name.clone())
    .bind(session.user.clone())
    .bind(session.created_ms.cast_signed())
    .bind(session.context.to_vec())
    .bind(session.wrapped.to_vec())
    .bind(session.master.to_vec());
    exactly(open, 1, statement).await
}

async fn new_run(open: &mut PgConnection, new: &NewRunRow) -> Result<(), Error> {
    let made = sqlx::query(
        "INSERT INTO run (node, id, session, name, objective, divisor, seed, workers, sandbox,
             state, reason, started_ms, elapsed_ms)
         SELECT (SELECT coalesce(max(node), 0) + 1 FROM run), $1, s.node, $3, $4, $5, $6, $7, $8,
             $9, $10, $11, 0
         FROM session s WHERE s.id = $2 RETURNING node",
    )
    .bind(id(new.id.as_bytes()))
    .bind(id(new.session.as_bytes()))
    .bind(new.name.clone())
    .bind(new.objective.clone())
    .bind(new.divisor)
    .bind(new.seed.cast_signed())
    .bind(i64::from(new.workers))
    .bind(new.sandbox.clone())
    .bind(new.state.as_str())
    .bind(new.reason.clone())
    .bind(new.started_ms.cast_signed())
    .fetch_one(&mut *open);
    let node: i64 = made.await?.try_get(0)?;
    if let Some(origin) = new.origin {
        let (best, agent) = origin.best.unzip();
        let statement = sqlx::query(
            "UPDATE run SET origin = (SELECT node FROM run WHERE id = $2), origin_generation = $3,
                 generation = $3, best = $4, best_agent = (SELECT node FROM agent WHERE id = $5)
             WHERE node = $1 AND EXISTS (SELECT 1 FROM run WHERE id = $2 AND node <> $1)",
        )
        .bind(node)
        .bind(id(origin.run.as_bytes()))
        .bind(origin.generation.cast_signed())
        .bind(best)
        .bind(agent.map(|agent| id(agent.as_bytes())));
        exactly(open, 1, statement).await?;
    }
    let statement = sqlx::query("INSERT INTO run_content (run, sealed) VALUES ($1, $2)");
    exactly(open, 1, statement.bind(node).bind(new.content.to_vec())).await
}

async fn set_run(
    open: &mut PgConnection,
    of: RunId,
    state: RunState,
    reason: &str,
    elapsed_ms: u64,
    stop: Option<&StopOverride>,
) -> Result<(), Error> {
    let stop = stop.copied().unwrap_or_default();
    let statement = sqlx::query(
        "UPDATE run SET state = $2, reason = $3, elapsed_ms = $4,
             stop_generations = coalesce($5, stop_generations),
             stop_evaluations = coalesce($6, stop_evaluations),
             stop_time = coalesce($7, stop_time), stop_target = coalesce($8, stop_target)
         WHERE id = $1",
    )
    .bind(id(of.as_bytes()))
    .bind(state.as_str())
    .bind(reason.to_owned())
    .bind(elapsed_ms.cast_signed())
    .bind(stop.generations.map(u64::cast_signed))
    .bind(stop.evaluations.map(u64::cast_signed))
    .bind(stop.time)
    .bind(stop.target);
    exactly(open, 1, statement).await
}

async fn begin_upload(open: &mut PgConnection, new: &NewUpload) -> Result<(), Error> {
    let statement = sqlx::query(
        "INSERT INTO upload (node, id, session, size, sealed, begun_ms)
         SELECT (SELECT coalesce(max(node), 0) + 1 FROM upload), $1, node, $3, $4, $5
         FROM session WHERE id = $2",
    )
    .bind(new.id.to_vec())
    .bind(id(new.session.as_bytes()))
    .bind(new.size.cast_signed())
    .bind(new.sealed.to_vec())
    .bind(new.begun_ms.cast_signed());
    exactly(open, 1, statement).await
}

async fn add_mark(open: &mut PgConnection, mark: &Mark) -> Result<(), Error> {
    let statement = sqlx::query(
        "DELETE FROM once WHERE node <= (SELECT max(node) FROM once) + 1 - $1
             OR node IN (SELECT node FROM once ORDER BY node LIMIT $2) AND at_ms < $3",
    )
    .bind(i64::from(marks::MARKS))
    .bind(i64::from(marks::AT_ONCE))
    .bind(mark.at_ms.saturating_sub(marks::MARK_MS).cast_signed());
    run(open, statement).await?;
    let statement = sqlx::query(
        "INSERT INTO once (node, sender, key, request, subject, at_ms)
         SELECT coalesce(max(node), 0) + 1, $1, $2, $3, $4, $5 FROM once",
    )
    .bind(mark.sender.to_vec())
    .bind(id(&mark.key))
    .bind(mark.request.to_vec())
    .bind(id(&mark.subject))
    .bind(mark.at_ms.cast_signed());
    exactly(open, 1, statement).await
}

/// How many of those numbers there are, in a table that has each once.
async fn there(open: &mut PgConnection, sql: &'static str, nodes: Vec<i64>) -> Result<(), Error> {
    let wanted = nodes.len() as i64;
    if wanted == 0 {
        return Ok(());
    }
    let found: i64 = sqlx::query(sql).bind(nodes).fetch_one(open).await?.try_get(0)?;
    if found == wanted { Ok(()) } else { Err(Error::RowNotFound) }
}

async fn agents(
    open: &mut PgConnection,
    operators: &mut Operators,
    group: &Group,
) -> Result<(), Error> {
    let segment = i64::from(group.extent.map_or(0, |extent| extent.segment));
    insert_agents(open, operators, &group.agents, segment).await?;
    append(open, &group.appended, segment).await?;
    if !group.blobs.is_empty() {
        let statement = sqlx::query(
            "INSERT INTO blob (mac, cids) SELECT * FROM unnest($1::bytea[], $2::bytea[])
             ON CONFLICT (mac) DO NOTHING",
        )
        .bind(group.blobs.iter().map(|row| row.mac.to_vec()).collect::<Vec<_>>())
        .bind(group.blobs.iter().map(|row| cids(&row.cids)).collect::<Vec<_>>());
        run(open, statement).await?;
    }
    if !group.results.is_empty() {
        let statement = sqlx::query(
            "INSERT INTO result (key, agent) SELECT * FROM unnest($1::bytea[], $2::bigint[])
             ON CONFLICT (key) DO NOTHING",
        )
        .bind(group.results.iter().map(|row| row.key.to_vec()).collect::<Vec<_>>())
        .bind(group.results.iter().map(|row| row.agent).collect::<Vec<_>>());
        run(open, statement).await?;
    }
    add_parts(open, &group.parts).await?;
    let Some(extent) = group.extent else { return Ok(()) };
    let statement = sqlx::query(
        "INSERT INTO segment (number, length) VALUES ($1, $2)
         ON CONFLICT (number) DO UPDATE SET length = excluded.length",
    );
    exactly(open, 1, statement.bind(segment).bind(extent.length.cast_signed())).await
}

/// CIDs, one after the other.
fn cids(all: &[cid::Cid]) -> Vec<u8> {
    all.iter().flat_map(cid_bytes).collect()
}

async fn insert_agents(
    open: &mut PgConnection,
    operators: &mut Operators,
    agents: &[NewAgent],
    segment: i64,
) -> Result<(), Error> {
    if agents.is_empty() {
        return Ok(());
    }
    let (mut sessions, mut fresh, mut old) = (HashSet::new(), HashSet::new(), HashSet::new());
    let (mut children, mut ords, mut parents) = (Vec::new(), Vec::new(), Vec::new());
    let mut lists = Vec::with_capacity(agents.len());
    for agent in agents {
        sessions.insert(agent.session);
        for (ord, node) in (0_i32..).zip(&agent.parents) {
            // Parents have lower numbers, so that every walk ends.
            if *node >= agent.node {
                return Err(Error::RowNotFound);
            }
            if !fresh.contains(node) {
                old.insert(*node);
            }
            children.push(agent.node);
            ords.push(ord);
            parents.push(*node);
        }
        fresh.insert(agent.node);
        lists.push(operators.number(open, &agent.operators).await?);
    }
    let sql = "SELECT count(*) FROM session WHERE node = ANY($1)";
    there(open, sql, sessions.into_iter().collect()).await?;
    let sql = "SELECT count(*) FROM agent WHERE node = ANY($1)";
    there(open, sql, old.into_iter().collect()).await?;

    fn all<T>(agents: &[NewAgent], of: impl Fn(&NewAgent) -> T) -> Vec<T> {
        agents.iter().map(of).collect()
    }
    let statement = sqlx::query(
        "INSERT INTO agent (node, id, session, run, generation, slot, fitness, verdict, delta,
             operators, genome, head, seq, at_ms, segment)
         SELECT *, $15::bigint FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::bigint[],
             $5::bigint[], $6::bigint[], $7::float8[], $8::smallint[], $9::float8[],
             $10::bigint[], $11::bytea[], $12::bytea[], $13::bigint[], $14::bigint[])",
    )
    .bind(all(agents, |agent| agent.node))
    .bind(all(agents, |agent| id(agent.id.as_bytes())))
    .bind(all(agents, |agent| agent.session))
    .bind(all(agents, |agent| agent.run))
    .bind(all(agents, |agent| agent.generation.cast_signed()))
    .bind(all(agents, |agent| i64::from(agent.slot)))
    .bind(all(agents, |agent| agent.fitness))
    .bind(all(agents, |agent| verdict_number(agent.verdict)))
    .bind(all(agents, |agent| agent.delta))
    .bind(lists)
    .bind(all(agents, |agent| agent.genome.to_vec()))
    .bind(all(agents, |agent| cid_bytes(&agent.head).to_vec()))
    .bind(all(agents, |agent| agent.seq.cast_signed()))
    .bind(all(agents, |agent| agent.at_ms.cast_signed()))
    .bind(segment);
    exactly(open, agents.len(), statement).await?;
    if !children.is_empty() {
        let statement = sqlx::query(
            "INSERT INTO edge (child, ord, parent)
             SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[])",
        );
        run(open, statement.bind(children).bind(ords).bind(parents)).await?;
    }
    for (of, tally) in Tally::of(agents) {
        add_to_run(open, of, &tally).await?;
    }
    Ok(())
}

async fn add_to_run(open: &mut PgConnection, of: i64, tally: &Tally) -> Result<(), Error> {
    let (best, whose) = tally.best.unzip();
    let statement = sqlx::query(
        "UPDATE run SET agents = agents + $2, failed = failed + $3,
             generation = greatest(generation, $4), last_agent = greatest(last_agent, $5),
             best_agent = CASE WHEN $6 > coalesce(best, '-infinity') THEN $7 ELSE best_agent END,
             best = CASE WHEN $6 > coalesce(best, '-infinity') THEN $6 ELSE best END
         WHERE node = $1",
    )
    .bind(of)
    .bind(tally.agents)
    .bind(tally.failed)
    .bind(tally.generation.cast_signed())
    .bind(tally.last)
    .bind(best)
    .bind(whose);
    exactly(open, 1, statement).await
}

/// Continues journals: of each, all new entries at once, which must follow each other and its head.
async fn append(open: &mut PgConnection, heads: &[NewHead], segment: i64) -> Result<(), Error> {
    let mut journals: Vec<(i64, u64, &NewHead)> = Vec::new();
    let mut places = HashMap::new();
    for new in heads {
        match places.get(&new.node) {
            None => {
                places.insert(new.node, journals.len());
                journals.push((new.node, new.seq.wrapping_sub(1), new));
            }
            Some(at) => {
                let (_, _, last): &mut (i64, u64, &NewHead) = &mut journals[*at];
                if new.seq != last.seq + 1 {
                    return Err(Error::RowNotFound);
                }
                *last = new;
            }
        }
    }
    if journals.is_empty() {
        return Ok(());
    }
    let statement = sqlx::query(
        "UPDATE agent SET head = n.head, seq = n.seq, segment = $5
         FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[])
             AS n (node, before, head, seq)
         WHERE agent.node = n.node AND agent.seq = n.before",
    )
    .bind(journals.iter().map(|(node, ..)| *node).collect::<Vec<_>>())
    .bind(journals.iter().map(|(_, before, _)| before.cast_signed()).collect::<Vec<_>>())
    .bind(journals.iter().map(|(.., new)| cid_bytes(&new.head).to_vec()).collect::<Vec<_>>())
    .bind(journals.iter().map(|(.., new)| new.seq.cast_signed()).collect::<Vec<_>>())
    .bind(segment);
    exactly(open, journals.len(), statement).await
}

/// Adds parts of blobs, each the next one of its own.
async fn add_parts(open: &mut PgConnection, parts: &[NewPart]) -> Result<(), Error> {
    for part in parts {
        let statement = sqlx::query(
            "INSERT INTO upload_part (upload, number, cid) SELECT node, $2, $3 FROM upload u
             WHERE id = $1 AND NOT done AND $2 = (SELECT coalesce(max(number), -1) + 1
                 FROM upload_part WHERE upload = u.node)",
        )
        .bind(part.of.to_vec())
        .bind(part.number.cast_signed())
        .bind(cid_bytes(&part.cid).to_vec());
        exactly(open, 1, statement).await?;
    }
    Ok(())
}

impl Operators {
    /// The number of a list of operators, made if it is new.
    async fn number(&mut self, open: &mut PgConnection, names: &str) -> Result<i64, Error> {
        if let Some(number) = self.0.get(names) {
            return Ok(*number);
        }
        let known = sqlx::query("SELECT node FROM operators WHERE names = $1")
            .bind(names.to_owned())
            .fetch_optional(&mut *open)
            .await?;
        let row = match known {
            Some(row) => row,
            None => {
                sqlx::query(
                    "INSERT INTO operators (node, names)
                     SELECT coalesce(max(node), 0) + 1, $1 FROM operators RETURNING node",
                )
                .bind(names.to_owned())
                .fetch_one(open)
                .await?
            }
        };
        let number = row.try_get(0)?;
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(names.to_owned(), number);
        Ok(number)
    }
}
