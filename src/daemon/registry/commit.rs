//! The second stage of the writer: group commit.
//!
//! Cold first: the group's blocks are appended and synced; then one transaction of the warm
//! tier inserts the rows and records the segment's new length. That commit acknowledges. Only
//! then do readers see the blocks, callers their receipts, and listeners a signal.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::timeout_at};

use super::{
    error::RegistryError,
    prepare::{Prepared, Ready, Work},
};
use crate::{
    daemon::store::{
        cold::Cold,
        error::StoreError,
        hot::Hot,
        warm::{
            Warm,
            rows::{Change, Group},
        },
    },
    domain::id::RunId,
};

/// A group is committed when its blocks have reached this size, in bytes.
const BYTES: usize = 8 << 20;
/// By how much a group may exceed its usual size when more is ready already.
const BURST: usize = 4;

/// Why the writer does not get on, if it does not.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Mutex<Option<RegistryError>>>);

impl Trouble {
    /// What is wrong.
    #[must_use]
    pub fn get(&self) -> Option<RegistryError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, trouble: Option<RegistryError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// The topic on which a run's commits are signalled.
#[must_use]
pub fn topic(run: RunId) -> String {
    format!("run/{run}")
}

/// The second stage.
pub struct Committer {
    /// Takes the blocks.
    pub cold: Cold,
    /// Takes the rows.
    pub warm: Warm,
    /// Tells listeners.
    pub hot: Hot,
    /// How many agents make a group.
    pub group: usize,
    /// How long a group waits to fill.
    pub flush: Duration,
    /// Counts the commits that failed.
    pub epoch: Arc<AtomicU64>,
    /// What is wrong at the moment.
    pub trouble: Trouble,
    /// After this error nobody knows what was stored: nothing more is.
    pub broken: Option<RegistryError>,
}

impl Committer {
    /// Works until the first stage ends.
    pub async fn run(mut self, mut ready: mpsc::Receiver<Ready>) {
        let mut next = None;
        loop {
            let first = match next.take() {
                Some(first) => first,
                None => match ready.recv().await {
                    Some(first) => first,
                    None => return,
                },
            };
            match first {
                Ready::Change(change, epoch, reply) => {
                    let done = self.change(change, epoch).await;
                    // Whoever asked may have gone; the change is made all the same.
                    drop(reply.send(done));
                }
                Ready::Write(first) => {
                    let group;
                    (group, next) = self.gather(first, &mut ready).await;
                    self.commit(group).await;
                }
            }
        }
    }

    /// Fills a group, and takes what must come behind it.
    async fn gather(
        &self,
        first: Prepared,
        ready: &mut mpsc::Receiver<Ready>,
    ) -> (Vec<Prepared>, Option<Ready>) {
        let until = tokio::time::Instant::now() + self.flush;
        let (mut agents, mut bytes) = (first.work.rows.agents.len(), first.bytes);
        let mut group = vec![first];
        loop {
            let more = if agents >= self.group * BURST || bytes >= BYTES {
                None
            } else if agents >= self.group {
                ready.try_recv().ok()
            } else {
                timeout_at(until, ready.recv()).await.unwrap_or(None)
            };
            match more {
                Some(Ready::Write(more)) => {
                    agents += more.work.rows.agents.len();
                    bytes += more.bytes;
                    group.push(more);
                }
                other => return (group, other),
            }
        }
    }

    /// Why nothing of that epoch can be stored, if so.
    fn refusal(&self, epoch: u64) -> Option<RegistryError> {
        if let Some(broken) = &self.broken {
            return Some(broken.clone());
        }
        let stale = epoch != self.epoch.load(Ordering::Acquire);
        stale.then(|| self.trouble.get().unwrap_or(RegistryError::Closed))
    }

    async fn change(&mut self, change: Change, epoch: u64) -> Result<(), RegistryError> {
        if let Some(refusal) = self.refusal(epoch) {
            return Err(refusal);
        }
        match self.warm.write(vec![change]).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let sure = undone(&error);
                let error = RegistryError::from(error);
                if !sure {
                    self.stop(&error);
                }
                Err(error)
            }
        }
    }

    async fn commit(&mut self, group: Vec<Prepared>) {
        let began = Instant::now();
        let (mut rows, mut blocks, mut runs) = (Group::default(), Vec::new(), Vec::new());
        let mut waiting = Vec::with_capacity(group.len());
        for prepared in group {
            if let Some(refusal) = self.refusal(prepared.epoch) {
                drop(prepared.reply.send(Err(refusal)));
                continue;
            }
            let Work { rows: more, blocks: more_blocks, heads } = prepared.work;
            rows.agents.extend(more.agents);
            rows.appended.extend(more.appended);
            rows.blobs.extend(more.blobs);
            blocks.extend(more_blocks);
            runs.extend(prepared.run.filter(|run| !runs.contains(run)));
            waiting.push((prepared.reply, heads, prepared.room));
        }
        let (count, nothing) = (rows.agents.len(), blocks.is_empty());
        let done = if nothing { Ok(()) } else { self.store(rows, blocks).await };
        if let Err(error) = &done {
            tracing::error!(%error, agents = count, "a commit failed");
            self.epoch.fetch_add(1, Ordering::AcqRel);
            self.trouble.set(Some(error.clone()));
        } else if !nothing {
            self.trouble.set(None);
            metrics::counter!("darwin_agents_committed_total").increment(count as u64);
            metrics::histogram!("darwin_commit_seconds").record(began.elapsed().as_secs_f64());
        }
        for (reply, heads, room) in waiting {
            drop(reply.send(done.clone().map(|()| heads)));
            drop(room);
        }
        for run in runs {
            self.hot.signal(&topic(run));
        }
    }

    async fn store(
        &mut self,
        mut rows: Group,
        blocks: Vec<crate::provenance::block::Block>,
    ) -> Result<(), RegistryError> {
        let appended = self.cold.append(blocks).await?;
        rows.extent = Some(appended.extent);
        if let Err(error) = self.warm.write(vec![Change::Agents(rows)]).await {
            if !undone(&error) {
                // The rows may be there: their bytes must stay until a new start tells.
                let error = RegistryError::from(error);
                self.stop(&error);
                return Err(error);
            }
            self.cold.revoke().await?;
            return Err(error.into());
        }
        let published = self.cold.publish().await;
        if let Err(error) = published {
            // Stored and acknowledged, but this process can't show it.
            let error = RegistryError::from(error);
            self.stop(&error);
        }
        Ok(())
    }

    fn stop(&mut self, error: &RegistryError) {
        tracing::error!(%error, "the registry stops: nobody knows whether the last commit was made");
        let why = StoreError::Broken(error.to_string());
        self.broken = Some(why.into());
        self.trouble.set(self.broken.clone());
    }
}

/// Whether an error of the warm tier means that nothing was changed.
fn undone(error: &StoreError) -> bool {
    match error {
        StoreError::Full { .. } | StoreError::Conflict { .. } => true,
        // Another program holds the database: the transaction did not even begin.
        StoreError::Sql { source, .. } => {
            source.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
        }
        _ => false,
    }
}
