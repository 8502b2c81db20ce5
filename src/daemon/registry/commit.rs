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
use tracing::{Instrument as _, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    error::RegistryError,
    prepare::{Prepared, Ready, Work},
};
use crate::{
    daemon::store::{
        cold::{Cold, Extent},
        error::StoreError,
        hot::Hot,
        warm::{
            Warm,
            marks::Mark,
            rows::{Change, Group},
        },
    },
    domain::id::RunId,
    resilience::backoff::Backoff,
    telemetry::context,
};

/// A group is committed when its blocks have reached this size, in bytes.
const BYTES: usize = 8 << 20;
/// How long to wait before trying once more to find out what was stored.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
/// The most spans that the span of a commit names.
const LINKS: usize = 32;
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

/// Counts what the writer has got done: whoever waits for it can tell that it gets on.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// How much that is so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
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
    /// Tells that it gets on.
    pub pulse: Pulse,
    /// What is wrong at the moment.
    pub trouble: Trouble,
    /// Set while nobody knows what was stored: nothing more is meanwhile.
    pub broken: Option<Broken>,
}

/// Why the writer stands still, and when it tries to go on.
pub struct Broken {
    error: RegistryError,
    again: Instant,
    backoff: Backoff,
}

impl Committer {
    /// Works until the first stage ends.
    pub async fn run(mut self, mut ready: mpsc::Receiver<Ready>) {
        let mut next = None;
        loop {
            let first = match next.take() {
                Some(first) => first,
                None => match self.next(&mut ready).await {
                    Some(first) => first,
                    None => return,
                },
            };
            match first {
                Ready::Change(changes, epoch, reply) => {
                    let done = self.change(changes, epoch).await;
                    // Whoever asked may have gone; the changes are made all the same.
                    drop(reply.send(done));
                }
                Ready::Ping(reply) => {
                    let stands = self.broken.as_ref().map(|broken| broken.error.clone());
                    drop(reply.send(stands.map_or(Ok(()), Err)));
                    continue;
                }
                Ready::Write(first) => {
                    let group;
                    (group, next) = self.gather(first, &mut ready).await;
                    self.commit(group).await;
                }
            }
            self.pulse.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is to be stored next. A writer that stands still tries to go on meanwhile.
    async fn next(&mut self, ready: &mut mpsc::Receiver<Ready>) -> Option<Ready> {
        while let Some(broken) = &self.broken {
            let again = broken.again;
            if Instant::now() >= again {
                self.recover().await;
                // What was prepared since may not know what is stored.
                self.epoch.fetch_add(1, Ordering::AcqRel);
            } else if let Ok(next) = timeout_at(again.into(), ready.recv()).await {
                return next;
            }
        }
        ready.recv().await
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
            return Some(broken.error.clone());
        }
        let stale = epoch != self.epoch.load(Ordering::Acquire);
        let why = || StoreError::Broken("a commit before this one failed".to_owned()).into();
        stale.then(|| self.trouble.get().unwrap_or_else(why))
    }

    async fn change(&mut self, changes: Vec<Change>, epoch: u64) -> Result<(), RegistryError> {
        if let Some(refusal) = self.refusal(epoch) {
            return Err(refusal);
        }
        self.warm.write(changes).await.map_err(|error| {
            let sure = undone(&error);
            let error = RegistryError::from(error);
            if !sure {
                self.stop(&error);
            }
            error
        })
    }

    async fn commit(&mut self, group: Vec<Prepared>) {
        let began = Instant::now();
        let (mut rows, mut blocks, mut runs) = (Group::default(), Vec::new(), Vec::new());
        let mut marks = Vec::new();
        let mut waiting = Vec::with_capacity(group.len());
        let span = span(&group);
        for prepared in group {
            if let Some(refusal) = self.refusal(prepared.epoch) {
                drop(prepared.reply.send(Err(refusal)));
                continue;
            }
            let Work { rows: more, blocks: more_blocks, heads, marks: more_marks } = prepared.work;
            rows.agents.extend(more.agents);
            rows.appended.extend(more.appended);
            rows.blobs.extend(more.blobs);
            rows.results.extend(more.results);
            rows.parts.extend(more.parts);
            blocks.extend(more_blocks);
            marks.extend(more_marks);
            runs.extend(prepared.run.filter(|run| !runs.contains(run)));
            waiting.push((prepared.reply, heads, prepared.room));
        }
        let (count, nothing) = (rows.agents.len(), blocks.is_empty());
        let done = if nothing {
            Ok(())
        } else {
            span.record("darwin.agents", count);
            self.store(rows, blocks, marks).instrument(span).await
        };
        if self.broken.is_none() && !nothing {
            self.trouble.set(done.as_ref().err().cloned());
        }
        if let Err(error) = &done {
            tracing::error!(%error, agents = count, "a commit failed");
            self.epoch.fetch_add(1, Ordering::AcqRel);
        } else if !nothing {
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
        marks: Vec<Mark>,
    ) -> Result<(), RegistryError> {
        // Until it is on disk.
        let appended = self.cold.append(blocks).instrument(info_span!("cold.append")).await;
        let appended = appended.map_err(|error| self.give_up(error))?;
        rows.extent = Some(appended.extent);
        let marks = marks.into_iter().map(Change::Mark);
        let insert = self.warm.write([Change::Agents(rows)].into_iter().chain(marks).collect());
        match insert.instrument(info_span!("warm.transaction")).await {
            Ok(()) => {
                // Stored and acknowledged, even if this process can't show it yet.
                if let Err(error) = self.cold.publish().await {
                    self.stop(&error.into());
                }
                Ok(())
            }
            Err(error) if undone(&error) => {
                self.cold.revoke().await.map_err(|error| self.give_up(error))?;
                Err(error.into())
            }
            Err(error) => {
                // The rows may be there: their bytes must stay until that is known.
                let error = RegistryError::from(error);
                self.stop(&error);
                let recorded = self.recover().await;
                if recorded.contains(&appended.extent) { Ok(()) } else { Err(error) }
            }
        }
    }

    /// An error of the cold tier, which may have to be opened anew.
    fn give_up(&mut self, error: StoreError) -> RegistryError {
        let reopen = matches!(error, StoreError::Broken(_) | StoreError::Cancelled);
        let error = RegistryError::from(error);
        if reopen {
            self.stop(&error);
        }
        error
    }

    fn stop(&mut self, error: &RegistryError) {
        tracing::error!(%error, "the registry stands still until it knows what was stored");
        let error = RegistryError::from(StoreError::Broken(error.to_string()));
        self.trouble.set(Some(error.clone()));
        self.broken = Some(Broken { error, again: Instant::now(), backoff: BACKOFF });
    }

    /// Finds out what was stored, and goes on from there; what warm has recorded, or nothing
    /// while that can't be told.
    async fn recover(&mut self) -> Vec<Extent> {
        match self.settle().await {
            Ok(recorded) => {
                tracing::info!("the registry knows what was stored, and goes on");
                self.trouble.set(None);
                self.broken = None;
                recorded
            }
            Err(error) => {
                tracing::warn!(%error, "what was stored is not known yet");
                if let Some(broken) = &mut self.broken {
                    broken.again = Instant::now() + broken.backoff.next(rand::random());
                }
                Vec::new()
            }
        }
    }

    /// As at a start: warm tells what was recorded, and cold keeps that and nothing else. First
    /// comes a write of its own, so that what is read then can't change any more.
    async fn settle(&self) -> Result<Vec<Extent>, StoreError> {
        self.warm.write(vec![Change::Settle]).await?;
        let opened = self.warm.rows().open([0; 16], 0).await?;
        let found = self.cold.recover(opened.store, opened.extents.clone()).await?;
        for fault in &found.faults {
            tracing::error!(%fault, "the store is damaged");
        }
        Ok(opened.extents)
    }
}

/// The span of a group's commit: a part of the trace that asked for it; with several, of the first
/// that is kept, and the others are named.
fn span(group: &[Prepared]) -> Span {
    let span = info_span!(parent: None, "registry.commit", darwin.agents = tracing::field::Empty);
    if span.is_disabled() {
        return span;
    }
    let mut causes: Vec<_> = Vec::new();
    for cause in group.iter().map(|prepared| &prepared.cause).filter(|cause| cause.is_valid()) {
        if causes.len() < LINKS && !causes.contains(&cause) {
            causes.push(cause);
        }
    }
    let first = causes.iter().position(|cause| cause.is_sampled()).unwrap_or(0);
    for (at, cause) in causes.into_iter().enumerate() {
        if at == first {
            // It was just made, so nothing was done in it.
            let _ = span.set_parent(context::within(cause.clone()));
        } else {
            span.add_link(cause.clone());
        }
    }
    span
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
