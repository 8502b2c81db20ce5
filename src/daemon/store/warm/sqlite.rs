//! The warm tier in SQLite: one writing connection, a few reading ones beside it (WAL).

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{
    Named, PAGE, Runs, WarmBackend, connection,
    marks::{self, Mark},
    read,
    rows::{
        AgentRow, Change, CheckpointRow, Direction, Node, Opened, ResultRow, RunRow, SessionRow,
        Walked,
    },
    uploads::{self, UploadRow},
    write::{self, Operators},
};
use crate::{
    daemon::store::error::{Damage, StoreError},
    domain::id::{AgentId, RunId, SessionId},
};

/// How many connections read at once.
const READERS: usize = 4;

/// A database in a file.
pub struct SqliteWarm {
    shared: Arc<Shared>,
    turns: Semaphore,
}

struct Shared {
    path: PathBuf,
    // Closed before the writer: the last to close moves the log into the file, and must write.
    idle: Mutex<Vec<Connection>>,
    writer: Mutex<Writer>,
}

struct Writer {
    connection: Connection,
    operators: Operators,
}

impl SqliteWarm {
    /// The database in the file `path`, made if need be.
    ///
    /// # Errors
    /// If it can't be opened, or is another program's.
    pub fn file(path: &Path) -> Result<Self, StoreError> {
        let writer =
            Writer { connection: connection::writer(path)?, operators: Operators::default() };
        let shared =
            Shared { path: path.to_owned(), writer: Mutex::new(writer), idle: Mutex::default() };
        Ok(Self { shared: Arc::new(shared), turns: Semaphore::new(READERS) })
    }

    async fn writing<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.shared);
        let task = move || work(&mut shared.writer.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(task).await.unwrap_or(Err(StoreError::Cancelled))
    }

    async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.turns.acquire().await;
        let shared = Arc::clone(&self.shared);
        let task = move || shared.read(work);
        let found = tokio::task::spawn_blocking(task).await.unwrap_or(Err(StoreError::Cancelled));
        drop(turn);
        found
    }

    async fn answer<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.reading(move |open| work(open).map_err(|error| StoreError::sql(doing, error))).await
    }
}

impl Shared {
    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = idle().pop();
        let connection = match ready {
            Some(connection) => connection,
            None => connection::reader(&self.path)?,
        };
        // One transaction: what an answer puts together belongs together.
        let sql = |error| StoreError::sql("reading", error);
        connection.execute_batch("BEGIN").map_err(sql)?;
        let found = work(&connection);
        connection.execute_batch("ROLLBACK").map_err(sql)?;
        idle().push(connection);
        found
    }
}

#[async_trait]
impl WarmBackend for SqliteWarm {
    async fn open(&self, store: [u8; 16], now_ms: u64) -> Result<Opened, StoreError> {
        self.writing(move |writer| {
            let sql = |error| StoreError::sql("opening the database", error);
            writer.operators = Operators::default();
            connection::migrate(&mut writer.connection, now_ms)?;
            let open = &writer.connection;
            Ok(Opened {
                store: connection::store_id(open, store)?,
                extents: read::extents(open).map_err(sql)?,
                last: read::last_node(open).map_err(sql)?,
                masters: read::masters(open).map_err(sql)?,
            })
        })
        .await
    }

    async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.writing(move |writer| {
            write::apply(&mut writer.connection, &mut writer.operators, &changes)?;
            // A key that was destroyed must not survive in the log either.
            if changes.iter().any(|change| matches!(change, Change::Shred(_))) {
                let emptied = connection::empty_log(&writer.connection)
                    .map_err(|error| StoreError::sql("destroying a key", error))?;
                if !emptied {
                    let what = "the key is destroyed, but while others read (a check of the \
                                store, say) a copy of it stays in the database's log: shred the \
                                session once more when they are done";
                    return Err(StoreError::Exhausted { what: what.to_owned() });
                }
            }
            Ok(())
        })
        .await
    }

    async fn session(&self, id: SessionId) -> Result<Option<SessionRow>, StoreError> {
        self.answer("reading a session", move |open| read::session(open, id)).await
    }

    async fn sessions(
        &self,
        closed_too: bool,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let limit = limit.min(PAGE);
        self.answer("listing sessions", move |open| read::sessions(open, closed_too, limit)).await
    }

    async fn sessions_named(
        &self,
        user: Option<&str>,
        name: &str,
        limit: usize,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let (user, name) = (user.map(str::to_owned), name.to_owned());
        let limit = limit.min(PAGE);
        self.answer("looking for sessions", move |open| {
            read::sessions_named(open, user.as_deref(), &name, limit)
        })
        .await
    }

    async fn session_key(&self, id: SessionId) -> Result<Option<Bytes>, StoreError> {
        self.answer("reading a session's key", move |open| read::session_key(open, id)).await
    }

    async fn signing_keys(&self) -> Result<Vec<([u8; 32], u64)>, StoreError> {
        self.answer("listing signing keys", read::signing_keys).await
    }

    async fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError> {
        self.answer("reading a run", move |open| read::run(open, id)).await
    }

    async fn runs(&self, which: Runs, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let limit = limit.min(PAGE);
        self.answer("listing runs", move |open| read::runs(open, which, limit)).await
    }

    async fn run_content(&self, id: RunId) -> Result<Option<Bytes>, StoreError> {
        self.answer("reading a run's content", move |open| read::run_content(open, id)).await
    }

    async fn checkpoint(&self, id: RunId) -> Result<Option<CheckpointRow>, StoreError> {
        self.answer("reading a checkpoint", move |open| read::checkpoint(open, id)).await
    }

    async fn find(
        &self,
        named: Named,
        from: [u8; 16],
        to: [u8; 16],
        limit: usize,
    ) -> Result<Vec<[u8; 16]>, StoreError> {
        let limit = limit.min(PAGE);
        self.answer("looking for ids", move |open| read::find(open, named, from, to, limit)).await
    }

    async fn agents(&self, ids: Vec<AgentId>) -> Result<Vec<AgentRow>, StoreError> {
        self.answer("reading agents", move |open| read::agents(open, &ids)).await
    }

    async fn agents_after(
        &self,
        run: Option<RunId>,
        after: Node,
        limit: usize,
    ) -> Result<Vec<AgentRow>, StoreError> {
        let limit = limit.min(PAGE);
        self.answer("listing agents", move |open| read::agents_after(open, run, after, limit)).await
    }

    async fn results(
        &self,
        run: RunId,
        after: Node,
        limit: usize,
    ) -> Result<Vec<ResultRow>, StoreError> {
        self.answer("reading results", move |open| read::results(open, run, after, limit)).await
    }

    async fn walk(
        &self,
        direction: Direction,
        frontier: Vec<Node>,
        limit: usize,
    ) -> Result<Walked, StoreError> {
        let limit = limit.min(PAGE);
        self.reading(move |open| read::walk(open, direction, &frontier, limit)).await
    }

    async fn blob(&self, mac: [u8; 32]) -> Result<Option<Vec<Cid>>, StoreError> {
        self.answer("looking for a blob", move |open| read::blob_cids(open, mac)).await
    }

    async fn result(&self, key: [u8; 32]) -> Result<Option<AgentId>, StoreError> {
        self.answer("looking for a result", move |open| read::result(open, key)).await
    }

    async fn mark(&self, sender: [u8; 32], key: [u8; 16]) -> Result<Option<Mark>, StoreError> {
        self.answer("looking for a call", move |open| marks::find(open, sender, key)).await
    }

    async fn upload(&self, id: [u8; 32]) -> Result<Option<UploadRow>, StoreError> {
        self.answer("looking for a blob", move |open| uploads::find(open, id)).await
    }

    async fn uploads(
        &self,
        session: SessionId,
        limit: usize,
    ) -> Result<Vec<UploadRow>, StoreError> {
        let limit = limit.min(PAGE);
        self.answer("listing blobs", move |open| uploads::of(open, session, limit)).await
    }

    async fn parts(&self, id: [u8; 32], from: u64, limit: usize) -> Result<Vec<Cid>, StoreError> {
        let limit = limit.min(PAGE);
        self.answer("reading a blob", move |open| uploads::parts(open, id, from, limit)).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.answer("counting agents", read::count).await
    }

    async fn check(&self) -> Result<Vec<Damage>, StoreError> {
        self.answer("checking the database", |open| {
            let rows: Vec<String> = open
                .prepare("PRAGMA integrity_check(100)")?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let damage = |what| Damage { place: "the database".to_owned(), offset: None, what };
            Ok(rows.into_iter().filter(|row| row != "ok").map(damage).collect())
        })
        .await
    }
}
