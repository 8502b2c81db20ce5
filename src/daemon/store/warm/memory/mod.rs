//! The warm tier in memory: the specification of every other back end.

mod state;

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use super::{
    FRONT, Named, PAGE, Runs, WarmBackend,
    marks::Mark,
    rows::{
        AgentRow, Change, CheckpointRow, Direction, Node, Opened, ResultRow, RunRow, SessionRow,
        Walked,
    },
    too_wide,
    uploads::UploadRow,
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

use state::{State, listed};

/// Rows in memory.
#[derive(Debug, Default)]
pub struct MemoryWarm {
    state: Mutex<State>,
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

    async fn upload(&self, id: [u8; 32]) -> Result<Option<UploadRow>, StoreError> {
        Ok(self.state().tables.uploads.find(id).cloned())
    }

    async fn uploads(
        &self,
        session: SessionId,
        limit: usize,
    ) -> Result<Vec<UploadRow>, StoreError> {
        Ok(self.state().tables.uploads.of(session, limit.min(PAGE)))
    }

    async fn parts(&self, id: [u8; 32], from: u64, limit: usize) -> Result<Vec<Cid>, StoreError> {
        Ok(self.state().tables.uploads.parts(id, from, limit.min(PAGE)))
    }

    async fn count(&self) -> Result<u64, StoreError> {
        Ok(self.state().agents.len() as u64)
    }

    async fn check(&self) -> Result<Vec<Damage>, StoreError> {
        Ok(Vec::new())
    }
}
