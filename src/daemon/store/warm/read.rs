//! The questions to the warm tier, as SQL.

use std::collections::BTreeSet;

use bytes::Bytes;
use cid::Cid;
use rusqlite::{
    Connection, Error, OptionalExtension, Row,
    types::{Type, Value},
};

use super::{
    FRONT, Named, Runs,
    rows::{
        AgentRow, CheckpointRow, Direction, Node, ResultRow, RunRow, SessionRow, StopOverride,
        Walked,
    },
    tally::verdict_of,
    too_wide,
};
use crate::{
    daemon::store::{cold::Extent, error::StoreError},
    domain::{
        id::{AgentId, RunId, SessionId, Slot},
        lifecycle::RunState,
    },
    provenance::block::{CID_LEN, cid_from_bytes},
};

type Answer<T> = Result<T, Error>;

/// A value in a column that can't be what was stored there.
fn odd(column: usize, what: &'static str) -> Error {
    Error::FromSqlConversionFailure(column, Type::Blob, what.into())
}

#[expect(clippy::cast_sign_loss, reason = "stored by the same cast; see the schema")]
fn number(row: &Row<'_>, column: usize) -> Answer<u64> {
    Ok(row.get::<_, i64>(column)? as u64)
}

/// A bound on rows, as SQL takes it.
fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn blob(row: &Row<'_>, column: usize) -> Answer<Bytes> {
    Ok(Bytes::from(row.get::<_, Vec<u8>>(column)?))
}

/// A session without its context.
const SESSION: &str = "SELECT node, id, name, user, closed, used_ms,
        NOT EXISTS (SELECT 1 FROM session_key k WHERE k.session = node), x''
    FROM session";

fn session_row(row: &Row<'_>) -> Answer<SessionRow> {
    Ok(SessionRow {
        node: row.get(0)?,
        id: SessionId::from_bytes(row.get(1)?),
        name: row.get(2)?,
        user: row.get(3)?,
        closed: row.get(4)?,
        used_ms: number(row, 5)?,
        shredded: row.get(6)?,
        context: blob(row, 7)?,
    })
}

pub fn session(open: &Connection, id: SessionId) -> Answer<Option<SessionRow>> {
    let whole = SESSION.replace("x''", "context");
    open.prepare_cached(&format!("{whole} WHERE id = ?1"))?
        .query_row([id.as_bytes()], session_row)
        .optional()
}

pub fn sessions(open: &Connection, closed_too: bool, limit: usize) -> Answer<Vec<SessionRow>> {
    let sql = format!("{SESSION} WHERE ?1 OR NOT closed ORDER BY used_ms DESC, node DESC LIMIT ?2");
    open.prepare_cached(&sql)?.query_map((closed_too, rows(limit)), session_row)?.collect()
}

pub fn sessions_named(
    open: &Connection,
    user: Option<&str>,
    name: &str,
    limit: usize,
) -> Answer<Vec<SessionRow>> {
    let of = if user.is_some() { "user = ?2" } else { "?2 IS NULL" };
    let sql = format!(
        "{SESSION} WHERE name = ?1 AND {of} ORDER BY closed, used_ms DESC, node DESC LIMIT ?3"
    );
    open.prepare_cached(&sql)?.query_map((name, user, rows(limit)), session_row)?.collect()
}

pub fn session_key(open: &Connection, id: SessionId) -> Answer<Option<Bytes>> {
    let sql = "SELECT k.wrapped FROM session_key k JOIN session s ON s.node = k.session
               WHERE s.id = ?1";
    open.prepare_cached(sql)?.query_row([id.as_bytes()], |row| blob(row, 0)).optional()
}

pub fn signing_keys(open: &Connection) -> Answer<Vec<([u8; 32], u64)>> {
    open.prepare_cached("SELECT public, from_ms FROM signing_key ORDER BY from_ms, id")?
        .query_map([], |row| Ok((row.get(0)?, number(row, 1)?)))?
        .collect()
}

const RUN: &str = "SELECT r.node, r.id, s.id, r.name, r.objective, r.divisor, r.seed, r.workers,
        r.sandbox, r.state, r.reason, r.started_ms, r.elapsed_ms, r.stop_generations,
        r.stop_evaluations, r.stop_time, r.stop_target, r.agents, r.failed, r.generation, r.best,
        a.id, o.id, r.origin_generation
    FROM run r JOIN session s ON s.node = r.session LEFT JOIN agent a ON a.node = r.best_agent
        LEFT JOIN run o ON o.node = r.origin";

fn run_row(row: &Row<'_>) -> Answer<RunRow> {
    let limit = |column| Ok::<_, Error>(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned));
    let best: Option<f64> = row.get(20)?;
    let whose: Option<[u8; 16]> = row.get(21)?;
    let state: String = row.get(9)?;
    let origin: Option<[u8; 16]> = row.get(22)?;
    Ok(RunRow {
        node: row.get(0)?,
        id: RunId::from_bytes(row.get(1)?),
        session: SessionId::from_bytes(row.get(2)?),
        name: row.get(3)?,
        objective: row.get(4)?,
        divisor: row.get(5)?,
        seed: number(row, 6)?,
        workers: row.get(7)?,
        sandbox: row.get(8)?,
        state: RunState::named(&state).ok_or_else(|| odd(9, "an unknown state"))?,
        reason: row.get(10)?,
        started_ms: number(row, 11)?,
        elapsed_ms: number(row, 12)?,
        stop: StopOverride {
            generations: limit(13)?,
            evaluations: limit(14)?,
            time: row.get(15)?,
            target: row.get(16)?,
        },
        agents: number(row, 17)?,
        failed: number(row, 18)?,
        generation: number(row, 19)?,
        best: best.zip(whose.map(AgentId::from_bytes)),
        origin: origin.map(RunId::from_bytes).zip(limit(23)?),
    })
}

pub fn run(open: &Connection, id: RunId) -> Answer<Option<RunRow>> {
    open.prepare_cached(&format!("{RUN} WHERE r.id = ?1"))?
        .query_row([id.as_bytes()], run_row)
        .optional()
}

pub fn runs(open: &Connection, which: Runs, limit: usize) -> Answer<Vec<RunRow>> {
    let (of, value) = match which {
        Runs::All => ("?1 IS NULL", Value::Null),
        Runs::Of(session) => ("s.id = ?1", Value::Blob(session.as_bytes().to_vec())),
        Runs::AtWork => ("r.state = ?1", Value::Text(RunState::Running.as_str().to_owned())),
    };
    let sql = format!("{RUN} WHERE {of} ORDER BY r.started_ms DESC, r.node DESC LIMIT ?2");
    open.prepare_cached(&sql)?.query_map((value, rows(limit)), run_row)?.collect()
}

pub fn run_content(open: &Connection, id: RunId) -> Answer<Option<Bytes>> {
    let sql = "SELECT c.sealed FROM run_content c JOIN run r ON r.node = c.run WHERE r.id = ?1";
    open.prepare_cached(sql)?.query_row([id.as_bytes()], |row| blob(row, 0)).optional()
}

pub fn checkpoint(open: &Connection, id: RunId) -> Answer<Option<CheckpointRow>> {
    let sql = "SELECT s.id, c.generation, c.after, c.sealed FROM checkpoint c
               JOIN run r ON r.node = c.run JOIN session s ON s.node = r.session WHERE r.id = ?1";
    let row = |row: &Row<'_>| {
        Ok(CheckpointRow {
            session: SessionId::from_bytes(row.get(0)?),
            generation: number(row, 1)?,
            after: row.get(2)?,
            sealed: blob(row, 3)?,
        })
    };
    open.prepare_cached(sql)?.query_row([id.as_bytes()], row).optional()
}

pub fn find(
    open: &Connection,
    named: Named,
    from: [u8; 16],
    to: [u8; 16],
    limit: usize,
) -> Answer<Vec<[u8; 16]>> {
    let sql = match named {
        Named::Agent => "SELECT id FROM agent WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
        Named::Run => "SELECT id FROM run WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
        Named::Session => "SELECT id FROM session WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3",
    };
    open.prepare_cached(sql)?.query_map((from, to, rows(limit)), |row| row.get(0))?.collect()
}

const AGENT: &str = "SELECT a.node, a.id, s.id, r.id, a.generation, a.slot, o.names, a.fitness,
        a.verdict, a.delta, a.genome, a.head, a.seq, a.segment, a.at_ms
    FROM agent a JOIN session s ON s.node = a.session JOIN operators o ON o.node = a.operators
        LEFT JOIN run r ON r.node = a.run";

/// All of an agent but its parents.
fn agent_row(row: &Row<'_>) -> Answer<AgentRow> {
    let names: String = row.get(6)?;
    let head: [u8; CID_LEN] = row.get(11)?;
    Ok(AgentRow {
        node: row.get(0)?,
        id: AgentId::from_bytes(row.get(1)?),
        session: SessionId::from_bytes(row.get(2)?),
        run: row.get::<_, Option<[u8; 16]>>(3)?.map(RunId::from_bytes),
        generation: number(row, 4)?,
        slot: row.get(5)?,
        parents: Vec::new(),
        operators: names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        fitness: row.get(7)?,
        verdict: verdict_of(row.get(8)?).ok_or_else(|| odd(8, "an unknown verdict"))?,
        delta: row.get(9)?,
        genome: row.get(10)?,
        head: cid_from_bytes(&head).ok_or_else(|| odd(11, "no CID that Darwin writes"))?,
        seq: number(row, 12)?,
        segment: row.get(13)?,
        at_ms: number(row, 14)?,
    })
}

/// Adds the parents of each.
fn with_parents(open: &Connection, mut agents: Vec<AgentRow>) -> Answer<Vec<AgentRow>> {
    let sql = "SELECT p.id FROM edge e JOIN agent p ON p.node = e.parent WHERE e.child = ?1
               ORDER BY e.ord";
    let mut query = open.prepare_cached(sql)?;
    for agent in &mut agents {
        let parents = query.query_map([agent.node], |row| row.get(0).map(AgentId::from_bytes))?;
        agent.parents = parents.collect::<Answer<_>>()?;
    }
    Ok(agents)
}

pub fn agents(open: &Connection, ids: &[AgentId]) -> Answer<Vec<AgentRow>> {
    let mut query = open.prepare_cached(&format!("{AGENT} WHERE a.id = ?1"))?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(query.query_row([id.as_bytes()], agent_row).optional()?);
    }
    with_parents(open, found)
}

pub fn agents_after(
    open: &Connection,
    run: Option<RunId>,
    after: Node,
    limit: usize,
) -> Answer<Vec<AgentRow>> {
    let of =
        if run.is_some() { "a.run = (SELECT node FROM run WHERE id = ?1)" } else { "?1 IS NULL" };
    let sql = format!("{AGENT} WHERE {of} AND a.node > ?2 ORDER BY a.node LIMIT ?3");
    let run = run.map(|id| *id.as_bytes());
    let found: Answer<Vec<_>> =
        open.prepare_cached(&sql)?.query_map((run, after, rows(limit)), agent_row)?.collect();
    with_parents(open, found?)
}

pub fn results(open: &Connection, run: RunId, after: Node, limit: usize) -> Answer<Vec<ResultRow>> {
    let sql = "SELECT node, generation, slot, fitness FROM agent
               WHERE run = (SELECT node FROM run WHERE id = ?1) AND node > ?2
               ORDER BY node LIMIT ?3";
    let row = |row: &Row<'_>| {
        let slot = Slot { generation: number(row, 1)?, index: row.get(2)? };
        Ok(ResultRow { node: row.get(0)?, slot, fitness: row.get(3)? })
    };
    open.prepare_cached(sql)?.query_map((run.as_bytes(), after, rows(limit)), row)?.collect()
}

pub fn result(open: &Connection, key: [u8; 32]) -> Answer<Option<AgentId>> {
    let sql = "SELECT a.id FROM result r JOIN agent a ON a.node = r.agent WHERE r.key = ?1";
    let id = |row: &Row<'_>| Ok(AgentId::from_bytes(row.get(0)?));
    open.prepare_cached(sql)?.query_row([key], id).optional()
}

pub fn blob_cids(open: &Connection, mac: [u8; 32]) -> Answer<Option<Vec<Cid>>> {
    let found: Option<Vec<u8>> = open
        .prepare_cached("SELECT cids FROM blob WHERE mac = ?1")?
        .query_row([mac], |row| row.get(0))
        .optional()?;
    let cid =
        |bytes: &[u8]| cid_from_bytes(bytes).ok_or_else(|| odd(0, "no CID that Darwin writes"));
    found.map(|bytes| bytes.chunks(CID_LEN).map(cid).collect()).transpose()
}

pub fn extents(open: &Connection) -> Answer<Vec<Extent>> {
    open.prepare_cached("SELECT number, length FROM segment ORDER BY number")?
        .query_map([], |row| Ok(Extent { segment: row.get(0)?, length: number(row, 1)? }))?
        .collect()
}

pub fn masters(open: &Connection) -> Answer<Vec<[u8; 16]>> {
    open.prepare_cached("SELECT DISTINCT master FROM session_key ORDER BY master")?
        .query_map([], |row| row.get(0))?
        .collect()
}

pub fn last_node(open: &Connection) -> Answer<Node> {
    open.query_row("SELECT coalesce(max(node), 0) FROM agent", [], |row| row.get(0))
}

pub fn count(open: &Connection) -> Answer<u64> {
    open.query_row("SELECT coalesce(sum(agents), 0) FROM run", [], |row| number(row, 0)).and_then(
        |in_runs| {
            let sql = "SELECT count(*) FROM agent WHERE run IS NULL";
            Ok(in_runs + open.query_row(sql, [], |row| number(row, 0))?)
        },
    )
}

/// Walks at most `limit` steps. Upward, parents have lower numbers than their children, so
/// that taking the highest first visits each agent once with no memory of those behind it.
pub fn walk(
    open: &Connection,
    direction: Direction,
    frontier: &[Node],
    limit: usize,
) -> Result<Walked, StoreError> {
    let sql = |error| StoreError::sql("walking the tree of life", error);
    let mut row = open.prepare_cached(&format!("{AGENT} WHERE a.node = ?1")).map_err(sql)?;
    let mut parents = open
        .prepare_cached(
            "SELECT e.parent, p.id FROM edge e JOIN agent p ON p.node = e.parent
             WHERE e.child = ?1 ORDER BY e.ord",
        )
        .map_err(sql)?;
    let mut children =
        open.prepare_cached("SELECT child FROM edge WHERE parent = ?1").map_err(sql)?;
    let mut front: BTreeSet<Node> = frontier.iter().copied().collect();
    let mut walked = Walked::default();
    while walked.agents.len() < limit {
        let taken = match direction {
            Direction::Up => front.pop_last(),
            Direction::Down => front.pop_first(),
        };
        let Some(node) = taken else { break };
        // A number that is none of an agent comes from a cursor that was tampered with.
        let Some(mut found) = row.query_row([node], agent_row).optional().map_err(sql)? else {
            continue;
        };
        let pairs = parents
            .query_map([node], |row| Ok((row.get::<_, Node>(0)?, row.get(1)?)))
            .map_err(sql)?;
        for pair in pairs {
            let (parent, id) = pair.map_err(sql)?;
            found.parents.push(AgentId::from_bytes(id));
            if direction == Direction::Up {
                front.insert(parent);
            }
        }
        if direction == Direction::Down {
            for child in children.query_map([node], |row| row.get::<_, Node>(0)).map_err(sql)? {
                front.insert(child.map_err(sql)?);
                if front.len() > FRONT {
                    break;
                }
            }
        }
        if front.len() > FRONT {
            return Err(too_wide());
        }
        walked.agents.push(found);
    }
    walked.frontier = front.into_iter().collect();
    Ok(walked)
}
