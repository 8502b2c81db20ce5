//! The warm tier in memory: the specification of every other back end.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    ops::Bound::{Excluded, Unbounded},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use super::{
    FRONT, Named, PAGE, Runs, WarmBackend,
    marks::{Mark, Marks},
    rows::{
        AgentRow, BlobRow, Change, CheckpointRow, Direction, Group, NewAgent, NewResult, NewRunRow,
        NewSession, Node, Opened, ResultRow, RunRow, SessionRow, StopOverride, Walked,
    },
    too_wide,
};
use crate::{
    daemon::store::{
        cold::Extent,
        error::{Damage, StoreError},
    },
    domain::{
        id::{AgentId, RunId, SessionId, Slot},
        lifecycle::RunState,
    },
};

/// Rows in memory.
#[derive(Debug, Default)]
pub struct MemoryWarm {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    store: Option<[u8; 16]>,
    tables: Tables,
    agents: BTreeMap<Node, AgentRow>,
    nodes: BTreeMap<AgentId, Node>,
    /// A parent, then its child.
    edges: BTreeSet<(Node, Node)>,
    blobs: BTreeMap<[u8; 32], Vec<Cid>>,
    results: BTreeMap<[u8; 32], Node>,
}

/// The small tables: a write changes a copy.
#[derive(Debug, Clone, Default)]
struct Tables {
    sessions: BTreeMap<SessionId, Session>,
    runs: BTreeMap<RunId, Run>,
    signing_keys: BTreeMap<[u8; 32], ([u8; 32], u64)>,
    extents: BTreeMap<u32, u64>,
    marks: Marks,
}

#[derive(Debug, Clone)]
struct Session {
    row: SessionRow,
    key: Option<Bytes>,
    master: [u8; 16],
}

#[derive(Debug, Clone)]
struct Run {
    row: RunRow,
    content: Bytes,
    checkpoint: Option<CheckpointRow>,
    last: Node,
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
fn listed(row: &SessionRow) -> SessionRow {
    SessionRow { context: Bytes::new(), ..row.clone() }
}

fn missing(what: &str) -> StoreError {
    StoreError::Conflict { what: format!("there is no such {what}") }
}

fn taken(what: &str) -> StoreError {
    StoreError::Conflict { what: format!("{what} of that id is there already") }
}

impl State {
    fn write(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
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

    fn after(&self, run: Option<RunId>, after: Node) -> impl Iterator<Item = &AgentRow> {
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

impl MemoryWarm {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl WarmBackend for MemoryWarm {
    async fn open(&self, store: [u8; 16], _: u64) -> Result<Opened, StoreError> {
        let mut state = self.state();
        let store = *state.store.get_or_insert(store);
        let extent =
            |(segment, length): (&u32, &u64)| Extent { segment: *segment, length: *length };
        let extents = state.tables.extents.iter().map(extent).collect();
        let last = state.agents.keys().next_back().copied().unwrap_or(0);
        let sessions = state.tables.sessions.values().filter(|session| session.key.is_some());
        let masters: BTreeSet<_> = sessions.map(|session| session.master).collect();
        Ok(Opened { store, extents, last, masters: masters.into_iter().collect() })
    }

    async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.state().write(changes)
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        Ok(self.state().tables.sessions.get(&id).map(|session| session.row.clone()))
    }

    async fn sessions(
        &self,
        closed_too: bool,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let state = self.state();
        let rows = state.tables.sessions.values().map(|session| &session.row);
        let wanted = |row: &&SessionRow| closed_too || !row.closed;
        let mut rows: Vec<_> = rows.filter(wanted).map(listed).collect();
        rows.sort_by_key(|row| Reverse((row.used_ms, row.node)));
        rows.truncate(limit.min(PAGE));
        Ok(rows)
    }

    async fn sessions_named(
        &self,
        user: Option<&str>,
        name: &str,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let state = self.state();
        let rows = state.tables.sessions.values().map(|session| &session.row);
        let wanted = |row: &&SessionRow| row.name == name && user.is_none_or(|it| it == row.user);
        let mut rows: Vec<_> = rows.filter(wanted).map(listed).collect();
        rows.sort_by_key(|row| (row.closed, Reverse((row.used_ms, row.node))));
        rows.truncate(limit.min(PAGE));
        Ok(rows)
    }

    async fn session_key(&self, id: SessionId) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state().tables.sessions.get(&id).and_then(|session| session.key.clone()))
    }

    async fn signing_keys(&self) -> Result<Vec<([u8; 32], u64)>, StoreError> {
        let mut keys: Vec<_> = self.state().tables.signing_keys.values().copied().collect();
        // Stable: those of one time stay in the order of their ids.
        keys.sort_by_key(|(_, from_ms)| *from_ms);
        Ok(keys)
    }

    async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError> {
        Ok(self.state().tables.runs.get(&id).map(|run| run.row.clone()))
    }

    async fn runs(&self, which: Runs, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let wanted = |row: &&RunRow| match which {
            Runs::All => true,
            Runs::Of(session) => row.session == session,
            Runs::AtWork => row.state == RunState::Running,
        };
        let state = self.state();
        let rows = state.tables.runs.values().map(|run| &run.row);
        let mut rows: Vec<_> = rows.filter(wanted).cloned().collect();
        rows.sort_by_key(|row| Reverse((row.started_ms, row.node)));
        rows.truncate(limit.min(PAGE));
        Ok(rows)
    }

    async fn run_content(&self, id: RunId) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state().tables.runs.get(&id).map(|run| run.content.clone()))
    }

    async fn checkpoint(&self, id: RunId) -> Result<Option<CheckpointRow>, StoreError> {
        Ok(self.state().tables.runs.get(&id).and_then(|run| run.checkpoint.clone()))
    }

    async fn find(
        &self,
        named: Named,
        from: [u8; 16],
        to: [u8; 16],
        limit: usize,
    ) -> Result<Vec<[u8; 16]>, StoreError> {
        let state = self.state();
        let ids: Vec<_> = match named {
            Named::Agent => state.nodes.keys().map(AgentId::as_bytes).collect(),
            Named::Run => state.tables.runs.keys().map(RunId::as_bytes).collect(),
            Named::Session => state.tables.sessions.keys().map(SessionId::as_bytes).collect(),
        };
        let found = ids.into_iter().filter(|id| (from..=to).contains(id));
        Ok(found.take(limit.min(PAGE)).copied().collect())
    }

    async fn agents(&self, ids: Vec<AgentId>) -> Result<Vec<AgentRow>, StoreError> {
        let state = self.state();
        let row = |id| state.agents.get(state.nodes.get(&id)?).cloned();
        Ok(ids.into_iter().filter_map(row).collect())
    }

    async fn agents_after(
        &self,
        run: Option<RunId>,
        after: Node,
        limit: usize,
    ) -> Result<Vec<AgentRow>, StoreError> {
        Ok(self.state().after(run, after).take(limit.min(PAGE)).cloned().collect())
    }

    async fn results(
        &self,
        run: RunId,
        after: Node,
        limit: usize,
    ) -> Result<Vec<ResultRow>, StoreError> {
        let result = |row: &AgentRow| ResultRow {
            node: row.node,
            slot: Slot { generation: row.generation, index: row.slot },
            fitness: row.fitness,
        };
        Ok(self.state().after(Some(run), after).take(limit).map(result).collect())
    }

    async fn walk(
        &self,
        direction: Direction,
        frontier: Vec<Node>,
        limit: usize,
    ) -> Result<Walked, StoreError> {
        let state = self.state();
        let (mut front, mut agents) = (BTreeSet::from_iter(frontier), Vec::new());
        while agents.len() < limit.min(PAGE) {
            let next = match direction {
                Direction::Up => front.pop_last(),
                Direction::Down => front.pop_first(),
            };
            let Some(node) = next else { break };
            let Some(row) = state.agents.get(&node) else { continue };
            match direction {
                Direction::Up => front.extend(row.parents.iter().map(|id| state.nodes[id])),
                Direction::Down => {
                    let children = state.edges.range((node, Node::MIN)..=(node, Node::MAX));
                    front.extend(children.map(|(_, child)| *child));
                }
            }
            if front.len() > FRONT {
                return Err(too_wide());
            }
            agents.push(row.clone());
        }
        Ok(Walked { agents, frontier: front.into_iter().collect() })
    }

    async fn blob(&self, mac: [u8; 32]) -> Result<Option<Vec<Cid>>, StoreError> {
        Ok(self.state().blobs.get(&mac).cloned())
    }

    async fn result(&self, key: [u8; 32]) -> Result<Option<AgentId>, StoreError> {
        let state = self.state();
        Ok(state.results.get(&key).and_then(|node| Some(state.agents.get(node)?.id)))
    }

    async fn mark(&self, sender: [u8; 32], key: [u8; 16]) -> Result<Option<Mark>, StoreError> {
        Ok(self.state().tables.marks.find(sender, key))
    }

    async fn count(&self) -> Result<u64, StoreError> {
        Ok(self.state().agents.len() as u64)
    }

    async fn check(&self) -> Result<Vec<Damage>, StoreError> {
        Ok(Vec::new())
    }
}
