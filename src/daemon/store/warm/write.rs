//! The changes of the warm tier, as SQL.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, Error, OptionalExtension, TransactionBehavior, params};

use super::{
    marks,
    rows::{Change, Group, NewHead, NewRunRow, NewSession, StopOverride},
    tally::{Tally, verdict_number},
    uploads,
};
use crate::{
    daemon::store::error::StoreError,
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

/// Makes all the changes, or none.
///
/// # Errors
/// If one can't be made.
pub fn apply(
    connection: &mut Connection,
    operators: &mut Operators,
    changes: &[Change],
) -> Result<(), StoreError> {
    let mut all = |operators: &mut Operators| -> Result<(), Error> {
        let open = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for change in changes {
            one(&open, operators, change)?;
        }
        open.commit()
    };
    all(operators).map_err(|error| {
        // What was remembered may have been rolled back.
        operators.0.clear();
        match error {
            Error::QueryReturnedNoRows => StoreError::Conflict {
                what: "what is to be changed or referred to is not there".to_owned(),
            },
            Error::SqliteFailure(code, Some(ref what))
                if code.code == rusqlite::ErrorCode::ConstraintViolation =>
            {
                StoreError::Conflict { what: format!("such a row is there already ({what})") }
            }
            error => StoreError::sql("storing rows", error),
        }
    })
}

#[expect(clippy::cast_possible_wrap, reason = "read back by the same cast; see the schema")]
fn int(number: u64) -> i64 {
    number as i64
}

/// A change of exactly one row; that it has not is [`Error::QueryReturnedNoRows`].
fn exactly_one(changed: usize) -> Result<(), Error> {
    if changed == 1 { Ok(()) } else { Err(Error::QueryReturnedNoRows) }
}

fn one(open: &Connection, operators: &mut Operators, change: &Change) -> Result<(), Error> {
    match change {
        Change::NewSession(session) => new_session(open, session),
        Change::Touch(id, used_ms) => exactly_one(open.execute(
            "UPDATE session SET used_ms = max(used_ms, ?2) WHERE id = ?1",
            params![id.as_bytes(), int(*used_ms)],
        )?),
        Change::Close(id, closed, used_ms) => exactly_one(open.execute(
            "UPDATE session SET closed = ?2, used_ms = max(used_ms, ?3) WHERE id = ?1",
            params![id.as_bytes(), closed, int(*used_ms)],
        )?),
        Change::Context(id, sealed) => exactly_one(open.execute(
            "UPDATE session SET context = ?2 WHERE id = ?1",
            params![id.as_bytes(), &sealed[..]],
        )?),
        Change::Shred(id) => {
            let node = session_node(open, *id)?;
            open.execute("DELETE FROM session_key WHERE session = ?1", [node]).map(drop)
        }
        Change::NewRun(run) => new_run(open, run),
        Change::SetRun(id, state, reason, elapsed_ms, stop) => {
            set_run(open, *id, *state, reason, *elapsed_ms, stop.as_ref())
        }
        Change::Checkpoint(run, generation, sealed) => exactly_one(open.execute(
            "INSERT INTO checkpoint (run, generation, after, sealed)
             SELECT node, ?2, last_agent, ?3 FROM run WHERE id = ?1
             ON CONFLICT (run) DO UPDATE SET generation = excluded.generation,
                 after = excluded.after, sealed = excluded.sealed",
            params![run.as_bytes(), int(*generation), &sealed[..]],
        )?),
        Change::SigningKey(id, public, from_ms) => {
            let sql = "INSERT INTO signing_key (id, public, from_ms) VALUES (?1, ?2, ?3)
                       ON CONFLICT (id) DO NOTHING";
            open.execute(sql, params![id, public, int(*from_ms)]).map(drop)
        }
        Change::NewUpload(new) => uploads::begin(open, new),
        Change::EndUpload(id, whole) => uploads::end(open, *id, *whole),
        Change::Mark(mark) => marks::add(open, mark),
        // What changes nothing is not written, so this takes back what it has written. It takes
        // the place in the log where a commit that failed may have left its pages.
        Change::Settle => open.execute_batch(
            "INSERT INTO segment (number, length) VALUES (-1, 0);
             DELETE FROM segment WHERE number = -1;",
        ),
        Change::Agents(group) => agents(open, operators, group),
    }
}

fn new_session(open: &Connection, session: &NewSession) -> Result<(), Error> {
    open.execute(
        "INSERT INTO session (id, name, user, created_ms, used_ms, context)
         VALUES (?1, ?2, ?3, ?4, ?4, ?5)",
        params![
            session.id.as_bytes(),
            session.name,
            session.user,
            int(session.created_ms),
            &session.context[..]
        ],
    )?;
    open.execute(
        "INSERT INTO session_key (session, wrapped, master) VALUES (?1, ?2, ?3)",
        params![open.last_insert_rowid(), &session.wrapped[..], session.master],
    )
    .map(drop)
}

fn session_node(open: &Connection, id: SessionId) -> Result<i64, Error> {
    open.query_row("SELECT node FROM session WHERE id = ?1", [id.as_bytes()], |row| row.get(0))
}

fn new_run(open: &Connection, run: &NewRunRow) -> Result<(), Error> {
    open.execute(
        "INSERT INTO run (id, session, name, objective, divisor, seed, workers, sandbox, state,
             reason, started_ms, elapsed_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0)",
        params![
            run.id.as_bytes(),
            session_node(open, run.session)?,
            run.name,
            run.objective,
            run.divisor,
            int(run.seed),
            run.workers,
            run.sandbox,
            run.state.as_str(),
            run.reason,
            int(run.started_ms),
        ],
    )?;
    let node = open.last_insert_rowid();
    if let Some(origin) = run.origin {
        let (best, agent) = origin.best.unzip();
        exactly_one(open.execute(
            "UPDATE run SET origin = (SELECT node FROM run WHERE id = ?2), origin_generation = ?3,
                 generation = ?3, best = ?4, best_agent = (SELECT node FROM agent WHERE id = ?5)
             WHERE node = ?1 AND EXISTS (SELECT 1 FROM run WHERE id = ?2 AND node <> ?1)",
            params![
                node,
                origin.run.as_bytes(),
                int(origin.generation),
                best,
                agent.map(|agent| *agent.as_bytes()),
            ],
        )?)?;
    }
    open.execute(
        "INSERT INTO run_content (run, sealed) VALUES (?1, ?2)",
        params![node, &run.content[..]],
    )
    .map(drop)
}

fn set_run(
    open: &Connection,
    id: RunId,
    state: RunState,
    reason: &str,
    elapsed_ms: u64,
    stop: Option<&StopOverride>,
) -> Result<(), Error> {
    exactly_one(open.execute(
        "UPDATE run SET state = ?2, reason = ?3, elapsed_ms = ?4 WHERE id = ?1",
        params![id.as_bytes(), state.as_str(), reason, int(elapsed_ms)],
    )?)?;
    let Some(stop) = stop else { return Ok(()) };
    exactly_one(open.execute(
        "UPDATE run SET stop_generations = coalesce(?2, stop_generations),
             stop_evaluations = coalesce(?3, stop_evaluations),
             stop_time = coalesce(?4, stop_time), stop_target = coalesce(?5, stop_target)
         WHERE id = ?1",
        params![
            id.as_bytes(),
            stop.generations.map(int),
            stop.evaluations.map(int),
            stop.time,
            stop.target
        ],
    )?)
}

fn agents(open: &Connection, operators: &mut Operators, group: &Group) -> Result<(), Error> {
    let segment = group.extent.map_or(0, |extent| extent.segment);
    let mut insert = open.prepare_cached(
        "INSERT INTO agent (node, id, session, run, generation, slot, fitness, verdict, delta,
             operators, genome, head, seq, segment, at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    let mut edge =
        open.prepare_cached("INSERT INTO edge (child, ord, parent) VALUES (?1, ?2, ?3)")?;
    // What agents refer to is looked for once a group.
    let mut session = open.prepare_cached("SELECT 1 FROM session WHERE node = ?1")?;
    let mut parent = open.prepare_cached("SELECT 1 FROM agent WHERE node = ?1")?;
    let (mut sessions, mut there) = (HashSet::new(), HashSet::new());
    for agent in &group.agents {
        if sessions.insert(agent.session) && !session.exists([agent.session])? {
            return Err(Error::QueryReturnedNoRows);
        }
        insert.execute(params![
            agent.node,
            agent.id.as_bytes(),
            agent.session,
            agent.run,
            int(agent.generation),
            agent.slot,
            agent.fitness,
            verdict_number(agent.verdict),
            agent.delta,
            operators.number(open, &agent.operators)?,
            agent.genome,
            cid_bytes(&agent.head),
            int(agent.seq),
            segment,
            int(agent.at_ms),
        ])?;
        for (ord, node) in (0_i64..).zip(&agent.parents) {
            // Parents have lower numbers, so that every walk ends.
            if *node >= agent.node || there.insert(*node) && !parent.exists([node])? {
                return Err(Error::QueryReturnedNoRows);
            }
            edge.execute((agent.node, ord, node))?;
        }
        there.insert(agent.node);
    }
    for (run, tally) in Tally::of(&group.agents) {
        add_to_run(open, run, &tally)?;
    }
    let mut append = open.prepare_cached(
        "UPDATE agent SET head = ?2, seq = ?3, segment = ?4 WHERE node = ?1 AND seq = ?3 - 1",
    )?;
    for NewHead { node, head, seq } in &group.appended {
        exactly_one(append.execute(params![node, cid_bytes(head), int(*seq), segment])?)?;
    }
    let mut blob = open.prepare_cached(
        "INSERT INTO blob (mac, cids) VALUES (?1, ?2) ON CONFLICT (mac) DO NOTHING",
    )?;
    for row in &group.blobs {
        let cids: Vec<u8> = row.cids.iter().flat_map(cid_bytes).collect();
        blob.execute((row.mac, cids))?;
    }
    let mut result = open.prepare_cached(
        "INSERT INTO result (key, agent) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING",
    )?;
    for row in &group.results {
        result.execute((row.key, row.agent))?;
    }
    uploads::add(open, &group.parts)?;
    let Some(extent) = group.extent else { return Ok(()) };
    open.prepare_cached(
        "INSERT INTO segment (number, length) VALUES (?1, ?2)
         ON CONFLICT (number) DO UPDATE SET length = excluded.length",
    )?
    .execute((extent.segment, int(extent.length)))
    .map(drop)
}

fn add_to_run(open: &Connection, run: i64, tally: &Tally) -> Result<(), Error> {
    let (best, whose) = tally.best.unzip();
    let sql = "UPDATE run SET agents = agents + ?2, failed = failed + ?3,
                   generation = max(generation, ?4), last_agent = max(last_agent, ?5),
                   best_agent = CASE WHEN ?6 > coalesce(best, -9e999) THEN ?7 ELSE best_agent END,
                   best = CASE WHEN ?6 > coalesce(best, -9e999) THEN ?6 ELSE best END
               WHERE node = ?1";
    exactly_one(open.prepare_cached(sql)?.execute(params![
        run,
        tally.agents,
        tally.failed,
        int(tally.generation),
        tally.last,
        best,
        whose
    ])?)
}

impl Operators {
    /// The number of a list of operators, made if it is new.
    fn number(&mut self, open: &Connection, names: &str) -> Result<i64, Error> {
        if let Some(number) = self.0.get(names) {
            return Ok(*number);
        }
        let known = open
            .query_row("SELECT node FROM operators WHERE names = ?1", [names], |row| row.get(0))
            .optional()?;
        let number = match known {
            Some(number) => number,
            None => {
                open.execute("INSERT INTO operators (names) VALUES (?1)", [names])?;
                open.last_insert_rowid()
            }
        };
        if self.0.len() >= REMEMBERED {
            self.0.clear();
        }
        self.0.insert(names.to_owned(), number);
        Ok(number)
    }
}
