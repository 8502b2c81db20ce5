//! The warm tier in PostgreSQL: one connection writes, a few others read.
//!
//! The one that writes holds a lock of the database for as long as it lives, so that no other
//! daemon writes, and none of its own predecessors can still be at work. When it breaks, nobody
//! knows what became of its last commit: the registry finds out, as after a crash.

pub mod connect;
pub mod schema;
mod write;
mod read;
mod walk;
#[cfg(test)]
pub mod fixture;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use sqlx::PgConnection;
use tokio::sync::Semaphore;

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
    daemon::store::error::{Damage, StoreError},
    domain::id::{AgentId, RunId, SessionId},
};
use connect::Address;
use write::Operators;

/// How many connections read at once.
const READERS: usize = 4;

/// A database on a server.
pub struct PostgresWarm {
    address: Address,
    writer: tokio::sync::Mutex<Writer>,
    idle: Mutex<Vec<PgConnection>>,
    turns: Semaphore,
}

#[derive(Default)]
struct Writer {
    /// None after an error: the next one begins anew.
    connection: Option<PgConnection>,
    /// Once the store was opened: its id, and the epoch that it has as long as it is this daemon's.
    opened: Option<([u8; 16], i64)>,
    operators: Operators,
}

impl PostgresWarm {
    /// The database at `url`; nothing is asked of it yet.
    ///
    /// # Errors
    /// If the URL is wrong.
    pub fn at(url: &str) -> Result<Self, StoreError> {
        Ok(Self {
            address: Address::parse(url)?,
            writer: tokio::sync::Mutex::default(),
            idle: Mutex::default(),
            turns: Semaphore::new(READERS),
        })
    }

    /// The connection that writes, made anew if need be.
    async fn claimed(&self, writer: &mut Writer) -> Result<PgConnection, StoreError> {
        if let Some(connection) = writer.connection.take() {
            return Ok(connection);
        }
        let mut connection = self.address.connect().await?;
        schema::claim(&self.address, &mut connection).await?;
        writer.operators.clear();
        if let Some((store, epoch)) = writer.opened {
            // What is known of the store holds only if nobody else has written since.
            schema::check(&self.address, &mut connection).await?;
            schema::store(&self.address, &mut connection, store, Some(epoch)).await?;
        }
        Ok(connection)
    }

    /// The connection that writes, in a transaction that has begun.
    async fn begun(&self, writer: &mut Writer) -> Result<PgConnection, StoreError> {
        let reused = writer.connection.is_some();
        let mut connection = self.claimed(writer).await?;
        match begin(&mut connection).await {
            Ok(()) => Ok(connection),
            // It broke while nothing was asked of it.
            Err(_) if reused => {
                drop(connection);
                let mut connection = self.claimed(writer).await?;
                let begun = begin(&mut connection).await;
                begun.map_err(|error| self.address.error("storing rows", error))?;
                Ok(connection)
            }
            Err(error) => Err(self.address.error("storing rows", error)),
        }
    }

    async fn apply(
        &self,
        open: &mut PgConnection,
        operators: &mut Operators,
        changes: &[Change],
    ) -> Result<(), StoreError> {
        let error = |error| self.address.error("storing rows", error);
        for change in changes {
            if let Err(found) = write::change(open, operators, change).await {
                let found = error(found);
                // Only so is it known that nothing was changed.
                sqlx::raw_sql("ROLLBACK").execute(open).await.map_err(error)?;
                return Err(found);
            }
        }
        sqlx::raw_sql("COMMIT").execute(&mut *open).await.map_err(error)?;
        // A key that was destroyed must not survive in what the table leaves behind.
        if changes.iter().any(|change| matches!(change, Change::Shred(_))) {
            sqlx::query("VACUUM (FULL) session_key").execute(open).await.map_err(error)?;
        }
        Ok(())
    }

    /// A connection to read on, and whether it was used before: then it may have broken since.
    async fn reader(&self) -> Result<(PgConnection, bool), StoreError> {
        let ready = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = ready {
            return Ok((connection, true));
        }
        let mut connection = self.address.connect().await?;
        schema::check(&self.address, &mut connection).await?;
        Ok((connection, false))
    }
}

/// Asks a question on a connection of its own. On an error, or if nobody waits any more, that
/// connection is dropped: it may be in the middle of an answer.
macro_rules! ask {
    ($self:ident, $doing:literal, |$open:ident| $question:expr) => {{
        let _turn = $self.turns.acquire().await.map_err(|_| StoreError::Cancelled)?;
        loop {
            let (mut connection, reused) = $self.reader().await?;
            let $open = &mut connection;
            match $question.await.map_err(|error| $self.address.error($doing, error)) {
                Ok(found) => {
                    $self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                    break Ok(found);
                }
                Err(StoreError::Unreachable { .. }) if reused => {}
                Err(error) => break Err(error),
            }
        }
    }};
}

async fn begin(open: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("BEGIN").execute(open).await.map(drop)
}

#[async_trait]
impl WarmBackend for PostgresWarm {
    async fn open(&self, store: [u8; 16], now_ms: u64) -> Result<Opened, StoreError> {
        let mut writer = self.writer.lock().await;
        let mut connection = self.claimed(&mut writer).await?;
        schema::migrate(&self.address, &mut connection, now_ms).await?;
        let mine = writer.opened.map(|(_, epoch)| epoch);
        let (store, epoch) = schema::store(&self.address, &mut connection, store, mine).await?;
        writer.opened = Some((store, epoch));
        writer.operators.clear();
        let opened = read::opened(&mut connection, store).await;
        let opened = opened.map_err(|error| self.address.error("opening the database", error))?;
        writer.connection = Some(connection);
        Ok(opened)
    }

    async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let (connection, done) = if let [change] = &changes[..]
            && write::is_one_statement(change)
        {
            let mut connection = self.claimed(&mut writer).await?;
            let done = write::change(&mut connection, &mut writer.operators, change).await;
            (connection, done.map_err(|error| self.address.error("storing rows", error)))
        } else {
            let mut connection = self.begun(&mut writer).await?;
            let done = self.apply(&mut connection, &mut writer.operators, &changes).await;
            (connection, done)
        };
        // A connection that broke is not used again; one on which a change was refused is.
        match &done {
            Ok(()) | Err(StoreError::Conflict { .. } | StoreError::Full { .. }) => {
                writer.connection = Some(connection);
            }
            Err(_) => {}
        }
        if done.is_err() {
            writer.operators.clear();
        }
        done
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        ask!(self, "reading a session", |open| read::session(open, id))
    }

    async fn sessions(
        &self,
        closed_too: bool,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let limit = limit.min(PAGE);
        ask!(self, "listing sessions", |open| read::sessions(open, closed_too, limit))
    }

    async fn sessions_named(
        &self,
        user: Option<&str>,
        name: &str,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let limit = limit.min(PAGE);
        ask!(self, "looking for sessions", |open| read::sessions_named(open, user, name, limit))
    }

    async fn session_key(&self, id: SessionId) -> Result<Option<Bytes>, StoreError> {
        ask!(self, "reading a key", |open| read::session_key(open, id))
    }

    async fn signing_keys(&self) -> Result<Vec<([u8; 32], u64)>, StoreError> {
        ask!(self, "reading keys", |open| read::signing_keys(open))
    }

    async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError> {
        ask!(self, "reading a run", |open| read::run(open, id))
    }

    async fn runs(&self, which: Runs, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let limit = limit.min(PAGE);
        ask!(self, "listing runs", |open| read::runs(open, which, limit))
    }

    async fn run_content(&self, id: RunId) -> Result<Option<Bytes>, StoreError> {
        ask!(self, "reading a run", |open| read::run_content(open, id))
    }

    async fn checkpoint(&self, id: RunId) -> Result<Option<CheckpointRow>, StoreError> {
        ask!(self, "reading a checkpoint", |open| read::checkpoint(open, id))
    }

    async fn find(
        &self,
        named: Named,
        from: [u8; 16],
        to: [u8; 16],
        limit: usize,
    ) -> Result<Vec<[u8; 16]>, StoreError> {
        let limit = limit.min(PAGE);
        ask!(self, "looking for ids", |open| read::find(open, named, from, to, limit))
    }

    async fn agents(&self, ids: Vec<AgentId>) -> Result<Vec<AgentRow>, StoreError> {
        ask!(self, "reading agents", |open| read::agents(open, &ids))
    }

    async fn agents_after(
        &self,
        run: Option<RunId>,
        after: Node,
        limit: usize,
    ) -> Result<Vec<AgentRow>, StoreError> {
        let limit = limit.min(PAGE);
        ask!(self, "listing agents", |open| read::agents_after(open, run, after, limit))
    }

    async fn results(
        &self,
        run: RunId,
        after: Node,
        limit: usize,
    ) -> Result<Vec<ResultRow>, StoreError> {
        ask!(self, "reading results", |open| read::results(open, run, after, limit))
    }

    async fn walk(
        &self,
        direction: Direction,
        frontier: Vec<Node>,
        limit: usize,
    ) -> Result<Walked, StoreError> {
        let limit = limit.min(PAGE);
        ask!(self, "walking the tree of life", |open| walk::walk(
            open, direction, &frontier, limit
        ))?
        .ok_or_else(too_wide)
    }

    async fn blob(&self, mac: [u8; 32]) -> Result<Option<Vec<Cid>>, StoreError> {
        ask!(self, "looking for a blob", |open| read::blob_cids(open, mac))
    }

    async fn result(&self, key: [u8; 32]) -> Result<Option<AgentId>, StoreError> {
        ask!(self, "looking for a result", |open| read::result(open, key))
    }

    async fn mark(&self, sender: [u8; 32], key: [u8; 16]) -> Result<Option<Mark>, StoreError> {
        ask!(self, "looking for a call", |open| read::mark(open, sender, key))
    }

    async fn upload(&self, id: [u8; 32]) -> Result<Option<UploadRow>, StoreError> {
        ask!(self, "looking for a blob", |open| read::upload(open, id))
    }

    async fn uploads(
        &self,
        session: SessionId,
        limit: usize,
    ) -> Result<Vec<UploadRow>, StoreError> {
        let limit = limit.min(PAGE);
        ask!(self, "listing blobs", |open| read::uploads(open, session, limit))
    }

    async fn parts(&self, id: [u8; 32], from: u64, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let limit = limit.min(PAGE);
        ask!(self, "reading a blob", |open| read::parts(open, id, from, limit))
    }

    async fn count(&self) -> Result<u64, StoreError> {
        ask!(self, "counting agents", |open| read::count(open))
    }

    async fn tend(&self) -> Result<u64, StoreError> {
        let _turn = self.turns.acquire().await.map_err(|_| StoreError::Cancelled)?;
        // Of its own: it may take long, and what is set for it is not for others.
        let mut connection = self.address.connect().await?;
        schema::check(&self.address, &mut connection).await?;
        let tended = read::tend(&mut connection).await;
        tended.map_err(|error| self.address.error("taking care of the database", error))
    }

    async fn check(&self) -> Result<Vec<Damage>, StoreError> {
        let place = format!("the database {}", self.address.shown());
        ask!(self, "checking the database", |open| read::check(open, &place))
    }
}
