//! The warm tier: rows about sessions, runs and agents, and the edges between agents.

pub mod marks;
pub mod uploads;
pub mod rows;
mod tally;
pub mod connection;
mod write;
mod read;
pub mod sqlite;
pub mod postgres;
pub mod memory;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod test_random;
#[cfg(test)]
mod test_file;
#[cfg(test)]
mod test_server;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use super::error::{Damage, StoreError};
use crate::domain::id::{AgentId, RunId, SessionId};
use marks::Mark;
use rows::{
    AgentRow, Change, CheckpointRow, Direction, Node, Opened, ResultRow, RunRow, SessionRow, Walked,
};
use uploads::UploadRow;

/// The most rows that one question is answered with, but for [`WarmBackend::agents`] and
/// [`WarmBackend::results`].
pub const PAGE: usize = 1000;
/// The widest front on which the tree of life is walked.
pub const FRONT: usize = 1 << 18;

fn too_wide() -> StoreError {
    StoreError::Exhausted { what: format!("more than {FRONT} agents stand side by side there") }
}

/// What is looked up by the start of its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Agents.
    Agent,
    /// Runs.
    Run,
    /// Sessions.
    Session,
}

/// Which runs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// All.
    All,
    /// A session's.
    Of(SessionId),
    /// Those that are at work, or were when the daemon ended.
    AtWork,
}

/// What a back end of the warm tier does. Whoever reads sees whole changes only.
#[async_trait]
pub trait WarmBackend: Send + Sync {
    /// Brings the schema up to date and says what there is. `store` is the id that a new store
    /// gets, `now_ms` the time.
    async fn open(&self, store: [u8; 16], now_ms: u64) -> Result<Opened, StoreError>;

    /// Makes all the changes in order, durably, or none. One that does not fit what is there,
    /// a row that exists already or a reference to none, is a conflict.
    async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError>;

    /// A session.
    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError>;

    /// At most `limit` sessions, the last used first, without contexts.
    async fn sessions(&self, closed_too: bool, limit: usize)
    -> Result<Vec<SessionRow>, StoreError>;

    /// At most `limit` sessions that are called exactly so, of that user or of all, without
    /// contexts: the open ones first, of these the last used.
    async fn sessions_named(
        &self,
        user: Option<&str>,
        name: &str,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError>;

    /// The wrapped key of a session, unless it was shredded.
    async fn session_key(&self, id: SessionId) -> Result<Option<Bytes>, StoreError>;

    /// All public signing keys with the time of their first use, the first used first.
    async fn signing_keys(&self) -> Result<Vec<([u8; 32], u64)>, StoreError>;

    /// A run.
    async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError>;

    /// At most `limit` runs, the last started first.
    async fn runs(&self, which: Runs, limit: usize) -> Result<Vec<RunRow>, StoreError>;

    /// The sealed specification and files of a run.
    async fn run_content(&self, id: RunId) -> Result<Option<Bytes>, StoreError>;

    /// The checkpoint of a run.
    async fn checkpoint(&self, id: RunId) -> Result<Option<CheckpointRow>, StoreError>;

    /// At most `limit` ids in `[from, to]`, rising.
    async fn find(
        &self,
        named: Named,
        from: [u8; 16],
        to: [u8; 16],
        limit: usize,
    ) -> Result<Vec<[u8; 16]>, StoreError>;

    /// The agents of these ids, in any order; those that there are.
    async fn agents(&self, ids: Vec<AgentId>) -> Result<Vec<AgentRow>, StoreError>;

    /// At most `limit` agents, of a run if one is given, with numbers above `after`, rising.
    async fn agents_after(
        &self,
        run: Option<RunId>,
        after: Node,
        limit: usize,
    ) -> Result<Vec<AgentRow>, StoreError>;

    /// The same of one run, with only what a replay needs, and as many as are asked for.
    async fn results(
        &self,
        run: RunId,
        after: Node,
        limit: usize,
    ) -> Result<Vec<ResultRow>, StoreError>;

    /// At most `limit` agents from a frontier on, and the frontier behind them. Numbers of no
    /// agent are passed over; a frontier that grows beyond [`FRONT`] is refused.
    async fn walk(
        &self,
        direction: Direction,
        frontier: Vec<Node>,
        limit: usize,
    ) -> Result<Walked, StoreError>;

    /// The blocks of a blob that is stored.
    async fn blob(&self, mac: [u8; 32]) -> Result<Option<Vec<Cid>>, StoreError>;

    /// The agent whose journal records the result of that keyed digest.
    async fn result(&self, key: [u8; 32]) -> Result<Option<AgentId>, StoreError>;

    /// The call of that sender with that idempotency key, if it was made: one of the last
    /// [`marks::MARKS`], within [`marks::MARK_MS`].
    async fn mark(&self, sender: [u8; 32], key: [u8; 16]) -> Result<Option<Mark>, StoreError>;

    /// The blob whose content has that keyed digest.
    async fn upload(&self, id: [u8; 32]) -> Result<Option<UploadRow>, StoreError>;

    /// At most `limit` blobs of a session, the last begun first.
    async fn uploads(&self, session: SessionId, limit: usize)
    -> Result<Vec<UploadRow>, StoreError>;

    /// At most `limit` blocks of a blob's parts, from number `from` on.
    async fn parts(&self, id: [u8; 32], from: u64, limit: usize) -> Result<Vec<Cid>, StoreError>;

    /// How many agents there are.
    async fn count(&self) -> Result<u64, StoreError>;

    /// Takes away what changes left behind, and renews what the planner knows, if that was not
    /// done within a day; of how many tables.
    async fn tend(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    /// Checks the back end's own structures.
    async fn check(&self) -> Result<Vec<Damage>, StoreError>;
}

/// The warm tier for callers.
#[derive(Clone)]
pub struct Warm {
    backend: Arc<dyn WarmBackend>,
}

impl Warm {
    /// The tier over `backend`.
    #[must_use]
    pub fn new(backend: Arc<dyn WarmBackend>) -> Self {
        Self { backend }
    }

    /// What there is to read.
    #[must_use]
    pub fn rows(&self) -> &dyn WarmBackend {
        &*self.backend
    }

    /// Makes all the changes, durably, or none.
    ///
    /// # Errors
    /// If they can't be made; then none was, unless the error is of the database or the disk
    /// itself.
    pub async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let agents: usize = changes
            .iter()
            .map(|change| if let Change::Agents(group) = change { group.agents.len() } else { 0 })
            .sum();
        self.backend.write(changes).await?;
        metrics::counter!("darwin_warm_commits_total").increment(1);
        metrics::counter!("darwin_warm_agents_total").increment(agents as u64);
        Ok(())
    }
}
