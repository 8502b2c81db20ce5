//! What is in memory, and how it is changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    daemon::store::{
        error::StoreError,
        warm::{
            marks::Marks,
            rows::{
                AgentRow, BlobRow, Change, CheckpointRow, Group, NewAgent, NewResult, NewRunRow,
                NewSession, Node, RunRow, SessionRow, StopOverride,
            },
            uploads::{Uploads, Wrong},
        },
    },
    domain::id::{AgentId, RunId, SessionId},
};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) store: Option<[u8; 16]>,
    pub(super) tables: Tables,
    pub(super) agents: BTreeMap<Node, AgentRow>,
    pub(super) nodes: BTreeMap<AgentId, Node>,
    /// A parent, then its child.
    pub(super) edges: BTreeSet<(Node, Node)>,
    pub(super) blobs: BTreeMap<[u8; 32], Vec<Cid>>,
    pub(super) results: BTreeMap<[u8; 32], Node>,
}

/// The small tables: a write changes a copy.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) runs: BTreeMap<RunId, Run>,
    pub(super) signing_keys: BTreeMap<[u8; 32], ([u8; 32], u64)>,
    pub(super) extents: BTreeMap<u32, u64>,
    pub(super) marks: Marks,
    pub(super) uploads: Uploads,
}

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) row: SessionRow,
    pub(super) key: Option<Bytes>,
    pub(super) master: [u8; 16],
}

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) row: RunRow,
    pub(super) content: Bytes,
    pub(super) checkpoint: Option<CheckpointRow>,
    pub(super) last: Node,
}

/// A write that is not made yet: the small tables as they will be, and of the large ones what is
/// new or changes.
struct Draft<'a> {
    old: &'a State,
    tables: Tables,
    agents: BTreeMap<Node, AgentRow>,
    blobs: Vec<BlobRow>,
    results: Vec<NewResult>,
}

/// A session as it is listed.
pub(super) fn listed(row: &SessionRow) -> SessionRow {
    SessionRow { context: Bytes::new(), ..row.clone() }
}

fn missing(what: &str) -> StoreError {
    StoreError::Conflict { what: format!("there is no such {what}") }
}

fn taken(what: &str) -> StoreError {
    StoreError::Conflict { what: format!("{what} of that id is there already") }
}

fn upload(wrong: Wrong) -> StoreError {
    match wrong {
        Wrong::There => taken("a blob"),
        Wrong::Missing => missing("blob"),
    }
}

impl State {
    pub(super) fn write(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        let tables = self.tables.clone();
        let (agents, blobs, results) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut draft = Draft { old: self, tables, agents, blobs, results };
        changes.into_iter().try_for_each(|change| draft.change(change))?;
        let Draft { tables, agents, blobs, results, .. } = draft;
        self.tables = tables;
        self.nodes.extend(agents.values().map(|row| (row.id, row.node)));
        for row in agents.values() {
            self.edges.extend(row.parents.iter().map(|id| (self.nodes[id], row.node)));
        }
        self.agents.extend(agents);
        for BlobRow { mac, cids } in blobs {
            self.blobs.entry(mac).or_insert(cids);
        }
        for NewResult { key, agent } in results {
            self.results.entry(key).or_insert(agent);
        }
        Ok(())
    }

    pub(super) fn after(&self, run: Option<RunId>, after: Node) -> impl Iterator<Item = &AgentRow> {
        let rows = self.agents.range((Excluded(after), Unbounded)).map(|(_, row)| row);
        rows.filter(move |row| run.is_none() || row.run == run)
    }
}

impl Draft<'_> {
    fn change(&mut self, change: Change) -> Result<(), StoreError> {
        match change {
            Change::NewSession(new) => return self.new_session(new),
            Change::Touch(id, used_ms) => {
                let row = &mut self.session(id)?.row;
                row.used_ms = row.used_ms.max(used_ms);
            }
            Change::Close(id, closed, used_ms) => {
                let row = &mut self.session(id)?.row;
                row.closed = closed;
                row.used_ms = row.used_ms.max(used_ms);
            }
            Change::Context(id, sealed) => self.session(id)?.row.context = sealed,
            Change::Shred(id) => {
                let session = self.session(id)?;
                session.key = None;
                session.row.shredded = true;
            }
            Change::NewRun(new) => return self.new_run(*new),
            Change::SetRun(id, state, reason, elapsed_ms, stop) => {
                let row = &mut self.run(id)?.row;
                (row.state, row.reason, row.elapsed_ms) = (state, reason, elapsed_ms);
                let (new, old) = (stop.unwrap_or_default(), row.stop);
                row.stop = StopOverride {
                    generations: new.generations.or(old.generations),
                    evaluations: new.evaluations.or(old.evaluations),
                    time: new.time.or(old.time),
                    target: new.target.or(old.target),
                };
            }
            Change::Checkpoint(id, generation, sealed) => {
                let run = self.run(id)?;
                let (session, after) = (run.row.session, run.last);
                run.checkpoint = Some(CheckpointRow { session, generation, after, sealed });
            }
            Change::SigningKey(id, public, from_ms) => {
                self.tables.signing_keys.entry(id).or_insert((public, from_ms));
            }
            Change::NewUpload(new) => {
                self.session(new.session)?;
                self.tables.uploads.begin(new).map_err(upload)?;
            }
            Change::EndUpload(id, whole) => self.tables.uploads.end(id, whole).map_err(upload)?,
            Change::Mark(mark) if self.tables.marks.add(mark) => {}
            Change::Mark(_) => return Err(taken("a call")),
            Change::Settle => {}
            Change::Agents(group) => return self.group(group),
        }
        Ok(())
    }

    fn session(&mut self, id: SessionId) -> Result<&mut Session, StoreError> {
        self.tables.sessions.get_mut(&id).ok_or_else(|| missing("session"))
    }

    fn run(&mut self, id: RunId) -> Result<&mut Run, StoreError> {
        self.tables.runs.get_mut(&id).ok_or_else(|| missing("run"))
    }

    fn new_session(&mut self, new: NewSession) -> Result<(), StoreError> {
        let node = self.tables.sessions.len() as i64 + 1;
        let NewSession { id, name, user, created_ms: used_ms, context, wrapped, master } = new;
        let (closed, shredded) = (false, false);
        let row = SessionRow { node, id, name, user, closed, used_ms, shredded, context };
        let session = Session { row, key: Some(wrapped), master };
        match self.tables.sessions.insert(id, session) {
            None => Ok(()),
            Some(_) => Err(taken("a session")),
        }
    }

    fn new_run(&mut self, new: NewRunRow) -> Result<(), StoreError> {
        self.session(new.session)?;
        if let Some(origin) = new.origin {
            self.tables.runs.get(&origin.run).ok_or_else(|| missing("run"))?;
        }
        let row = RunRow {
            node: self.tables.runs.len() as i64 + 1,
            id: new.id,
            session: new.session,
            name: new.name,
            objective: new.objective,
            divisor: new.divisor,
            seed: new.seed,
            workers: new.workers,
            sandbox: new.sandbox,
            state: new.state,
            reason: new.reason,
            started_ms: new.started_ms,
            elapsed_ms: 0,
            stop: StopOverride::default(),
            agents: 0,
            failed: 0,
            generation: new.origin.map_or(0, |origin| origin.generation),
            best: new.origin.and_then(|origin| origin.best),
            origin: new.origin.map(|origin| (origin.run, origin.generation)),
        };
        let run = Run { row, content: new.content, checkpoint: None, last: 0 };
        match self.tables.runs.insert(new.id, run) {
            None => Ok(()),
            Some(_) => Err(taken("a run")),
        }
    }

    fn group(&mut self, group: Group) -> Result<(), StoreError> {
        let segment = group.extent.map_or(0, |extent| extent.segment);
        for new in group.agents {
            self.agent(new, segment)?;
        }
        for next in group.appended {
            let row = self.agent_at(next.node).ok_or_else(|| missing("agent"))?;
            if row.seq.checked_add(1) != Some(next.seq) {
                return Err(missing("entry to go on from"));
            }
            let row = AgentRow { head: next.head, seq: next.seq, segment, ..row.clone() };
            self.agents.insert(next.node, row);
        }
        group.parts.iter().try_for_each(|part| self.tables.uploads.add(part)).map_err(upload)?;
        self.blobs.extend(group.blobs);
        self.results.extend(group.results);
        self.tables.extents.extend(group.extent.map(|extent| (extent.segment, extent.length)));
        Ok(())
    }

    fn agent_at(&self, node: Node) -> Option<&AgentRow> {
        self.agents.get(&node).or_else(|| self.old.agents.get(&node))
    }

    fn agent(&mut self, new: NewAgent, segment: u32) -> Result<(), StoreError> {
        let known = self.old.nodes.contains_key(&new.id)
            || self.agents.values().any(|row| row.id == new.id)
            || self.agent_at(new.node).is_some();
        if known {
            return Err(taken("an agent"));
        }
        // Parents have lower numbers, so that every walk ends.
        let parent = |node: &Node| self.agent_at(*node).filter(|row| row.node < new.node);
        let parents: Option<_> = new.parents.iter().map(|node| Some(parent(node)?.id)).collect();
        let parents = parents.ok_or_else(|| missing("parent"))?;
        let session = self.tables.sessions.values().find(|known| known.row.node == new.session);
        let session = session.ok_or_else(|| missing("session"))?.row.id;
        let mut run = None;
        if let Some(node) = new.run {
            let mut runs = self.tables.runs.values_mut();
            let found = runs.find(|known| known.row.node == node);
            let Run { row, last, .. } = found.ok_or_else(|| missing("run"))?;
            row.agents += 1;
            row.failed += u64::from(new.fitness.is_none());
            row.generation = row.generation.max(new.generation);
            *last = new.node.max(*last);
            // Of equals, the first stays the best.
            if let Some(fitness) = new.fitness
                && row.best.is_none_or(|(best, _)| fitness > best)
            {
                row.best = Some((fitness, new.id));
            }
            run = Some(row.id);
        }
        let names = new.operators.split(',').filter(|name| !name.is_empty());
        let row = AgentRow {
            node: new.node,
            id: new.id,
            session,
            run,
            generation: new.generation,
            slot: new.slot,
            parents,
            operators: names.map(str::to_owned).collect(),
            fitness: new.fitness,
            verdict: new.verdict,
            delta: new.delta,
            genome: new.genome,
            head: new.head,
            seq: new.seq,
            segment,
            at_ms: new.at_ms,
        };
        self.agents.insert(new.node, row);
        Ok(())
    }
}
