//! The registry: the only writer of journals, lineage and scores, and the way to read them.
//!
//! What it acknowledges is durable, sealed and signed, and survives a kill at any moment. It
//! never shows what is not acknowledged, and stores no agent before its parents.

pub mod error;
pub mod keys;
pub mod model;
mod recent;
mod vault;
mod salts;
mod known;
pub mod measured;
mod prepare;
pub mod commit;
pub mod sessions;
pub mod runs;
pub mod lineage;
pub mod reader;
pub mod append;
pub mod blobs;
pub mod journal;
mod columns;
pub mod verify;
pub mod export;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod test_writing;
#[cfg(test)]
mod test_unknown;
#[cfg(test)]
mod test_append;
#[cfg(test)]
mod test_sessions;
#[cfg(test)]
mod test_reading;
#[cfg(test)]
mod test_blobs;
#[cfg(test)]
mod test_damage;

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    thread,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{Mutex as AsyncMutex, Semaphore, mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    daemon::{
        clock::Clock,
        store::{
            Stores,
            error::Damage,
            warm::{
                marks::Mark,
                rows::{Change, RunRow},
            },
        },
        turns::Turns,
    },
    domain::id::{AgentId, RunId, SessionId, Slot},
    provenance::sign::{KeyRing, Signer},
    resilience::deadline::within,
    telemetry::context,
};

use commit::{Committer, Pulse, Trouble};
use error::RegistryError;
use keys::{Keys, Origins, random};
use model::{Finished, Receipt};
use prepare::{Job, Preparer, Running, What};
use vault::{Session, Vault};

/// The largest batch, in bytes of its genomes' files.
const MAX_BATCH: usize = 256 << 20;
/// The most that waits for a commit, in bytes of genomes' files, and the unit in which it is
/// counted.
const MAX_WAITING: usize = 512 << 20;
const UNIT: usize = 64 << 10;
/// How many jobs lie between the stages of the writer.
const STAGES: usize = 64;

/// How the registry writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many agents are committed together.
    pub group: usize,
    /// How long a group waits to fill.
    pub flush: Duration,
    /// How many agents may wait for a commit.
    pub queue: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { group: 256, flush: Duration::from_millis(5), queue: 4096 }
    }
}

/// The registry. Clones are the same one.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
    /// The calls that the next change makes.
    marks: Vec<Mark>,
}

struct Inner {
    stores: Stores,
    vault: Vault,
    signer: Arc<Signer>,
    ring: KeyRing,
    origins: Origins,
    clock: Clock,
    faults: Vec<Damage>,
    trouble: Trouble,
    pulse: Pulse,
    room: Arc<Semaphore>,
    weight: Arc<Semaphore>,
    queue: usize,
    runs: Mutex<HashMap<RunId, (Running, SessionId)>>,
    input: Mutex<Option<mpsc::Sender<Job>>>,
    committer: AsyncMutex<Option<JoinHandle<()>>>,
    /// Cancelled when the writer has ended, whatever the reason.
    ended: CancellationToken,
    /// How many long reads run at once.
    reads: Semaphore,
    /// Held while something is looked for and then made.
    making: AsyncMutex<()>,
    /// The blobs that are being stored.
    uploads: Turns<[u8; 32]>,
}

/// The most reads of whole journals at once.
const READS: usize = 4;
/// The most runs that are remembered.
const RUNS: usize = 4096;

impl Registry {
    /// Opens the registry over `stores` with the keys in the folder `keys`, which are made if
    /// the store is new, or with those that systemd hands over in the folder `credentials`.
    /// Bytes that were never acknowledged are cut; whatever else is wrong is in
    /// [`Registry::faults`].
    ///
    /// # Errors
    /// If a tier or a key can't be opened, or was made by an incompatible version.
    pub async fn open(
        stores: Stores,
        keys: &Path,
        credentials: Option<&Path>,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, RegistryError> {
        let opened = stores.warm.rows().open(random()?, clock.millis()).await?;
        let found = stores.cold.recover(opened.store, opened.extents.clone()).await?;
        if found.cut > 0 {
            tracing::info!(bytes = found.cut, "cut what an unfinished commit had left");
        }
        for fault in &found.faults {
            tracing::error!(%fault, "the store is damaged");
        }
        let fresh = stores.warm.rows().sessions(true, 1).await?.is_empty();
        let Keys { master, signer, ring, origins } = Keys::open(keys, credentials, fresh)?;
        if !opened.masters.is_empty() && !opened.masters.contains(&master.id().0) {
            return Err(origins.another_master());
        }
        let signer = Arc::new(signer);
        let public = signer.public();
        let change = Change::SigningKey(public.id().0, public.0, clock.millis());
        stores.warm.write(vec![change]).await?;

        let epoch = Arc::new(AtomicU64::new(0));
        let (trouble, pulse) = (Trouble::default(), Pulse::default());
        let (input, jobs) = mpsc::channel(STAGES);
        let (prepared, ready) = mpsc::channel(STAGES);
        let runtime = Handle::current();
        let preparer = Preparer::new(
            stores.warm.clone(),
            Arc::clone(&signer),
            runtime,
            Arc::clone(&epoch),
            opened.last,
        );
        // It ends when `input` is dropped; the committer behind it is waited for.
        thread::Builder::new()
            .name("darwin-seal".to_owned())
            .spawn(move || preparer.run(jobs, prepared))
            .map_err(|error| RegistryError::Invalid(format!("a thread can't start: {error}")))?;
        let committer = Committer {
            cold: stores.cold.clone(),
            warm: stores.warm.clone(),
            hot: stores.hot.clone(),
            group: settings.group.max(1),
            flush: settings.flush,
            epoch,
            pulse: pulse.clone(),
            trouble: trouble.clone(),
            broken: None,
        };
        // It ends when the stage before it does, or panics: either way this is dropped.
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let committer = tokio::spawn(async move {
            let _guard = guard;
            committer.run(ready).await;
        });
        let inner = Inner {
            vault: Vault::new(stores.warm.clone(), master),
            stores,
            signer,
            ring,
            origins,
            clock,
            faults: found.faults,
            trouble,
            pulse,
            room: Arc::new(Semaphore::new(settings.queue.max(1))),
            weight: Arc::new(Semaphore::new(MAX_WAITING / UNIT)),
            queue: settings.queue.max(1),
            runs: Mutex::default(),
            input: Mutex::new(Some(input)),
            committer: AsyncMutex::new(Some(committer)),
            ended,
            reads: Semaphore::new(READS),
            making: AsyncMutex::default(),
            uploads: Turns::default(),
        };
        Ok(Self { inner: Arc::new(inner), marks: Vec::new() })
    }

    /// Commits what was handed in, then ends the writer. Later calls that write are refused.
    pub async fn close(&self) {
        drop(self.inner.input.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(committer) = self.inner.committer.lock().await.take() {
            drop(committer.await);
        }
    }

    /// Waits until the writer has ended: after [`Registry::close`], or because it died.
    pub async fn ended(&self) {
        self.inner.ended.cancelled().await;
    }

    /// What was found damaged when the store was opened.
    #[must_use]
    pub fn faults(&self) -> &[Damage] {
        &self.inner.faults
    }

    /// Why the last commit failed, if it did: for example a full disk.
    #[must_use]
    pub fn trouble(&self) -> Option<RegistryError> {
        self.inner.trouble.get()
    }

    /// Tells whether the writer and the database answer within `limit`. A writer that has much
    /// to do answers late, and lives as long as it gets on.
    ///
    /// # Errors
    /// Why they don't: one is late, or the writer stands still until it knows what was stored.
    pub async fn alive(&self, limit: Duration) -> Result<(), RegistryError> {
        let writer = async {
            let before = self.inner.pulse.count();
            match within(limit, "an answer of the registry's writer", self.ping()).await {
                Ok(answer) => answer,
                Err(_) if self.inner.pulse.count() != before => Ok(()),
                Err(late) => Err(late.into()),
            }
        };
        let database = async {
            let read = self.inner.stores.warm.rows().session(SessionId::from_bytes([0; 16]));
            Ok(within(limit, "an answer of the database", read).await?.map(drop)?)
        };
        tokio::try_join!(writer, database).map(drop)
    }

    async fn ping(&self) -> Result<(), RegistryError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Ping(reply)).await?;
        answer.await.unwrap_or(Err(RegistryError::Closed))
    }

    /// The keys that `verify` trusts here.
    #[must_use]
    pub fn ring(&self) -> &KeyRing {
        &self.inner.ring
    }

    /// Where the secret keys come from.
    #[must_use]
    pub fn origins(&self) -> &Origins {
        &self.inner.origins
    }

    /// The tiers beneath.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.inner.stores
    }

    /// Hands finished agents to the writer, parents before children; waits while the queue is
    /// full. The receipt resolves when all of them are durable, or none is. Batches are
    /// committed in the order handed in: when one fails, those behind it fail with it, so that
    /// no child is stored without its parents. The same agent again is taken for stored; with
    /// another content it is refused.
    ///
    /// # Errors
    /// If the batch is too large or contradicts its run, there is no such run or session, or
    /// the registry is closed.
    pub async fn submit(
        &self,
        run: Option<RunId>,
        session: SessionId,
        batch: Vec<Finished>,
    ) -> Result<Receipt, RegistryError> {
        for one in &batch {
            let slot = Slot { generation: one.proposed.generation, index: one.proposed.slot };
            let fits = one.proposed.run == run
                && run.is_none_or(|run| one.agent == AgentId::in_run(run, slot));
            if !fits {
                let what = format!("agent {} does not belong to its run and place", one.agent);
                return Err(RegistryError::Invalid(what));
            }
        }
        let (run, session) = match run {
            None => (None, session),
            Some(run) => {
                let (running, session) = self.running(run).await?;
                (Some(running), session)
            }
        };
        let session = self.inner.vault.session(session).await?;
        let (count, size) = (batch.len(), weight(&batch));
        self.write(What::Agents(run, batch), session, count, size).await
    }

    /// The registry for one change, with which it is written that these calls were made.
    #[must_use]
    pub fn marked(&self, marks: impl IntoIterator<Item = Mark>) -> Self {
        Self { inner: Arc::clone(&self.inner), marks: marks.into_iter().collect() }
    }

    /// The call of that sender with that idempotency key, if it was made of late.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn mark(
        &self,
        sender: [u8; 32],
        key: [u8; 16],
    ) -> Result<Option<Mark>, RegistryError> {
        Ok(self.inner.stores.warm.rows().mark(sender, key).await?)
    }

    /// Writes that calls were made which change nothing that is stored.
    ///
    /// # Errors
    /// If it can't be stored.
    pub async fn note(&self, mark: Mark) -> Result<(), RegistryError> {
        self.change(Change::Mark(mark)).await
    }

    /// The keyed digest of a request.
    #[must_use]
    pub fn request_mac(&self, method: &str, request: &[u8]) -> [u8; 32] {
        self.inner.vault.request_mac(method, request)
    }

    /// Hands `count` entries with `size` bytes of files to the writer, once it has room.
    async fn write(
        &self,
        what: What,
        session: Arc<Session>,
        count: usize,
        size: usize,
    ) -> Result<Receipt, RegistryError> {
        let inner = &self.inner;
        if count > inner.queue || size > MAX_BATCH {
            let most = inner.queue;
            let what = format!("a batch has at most {most} agents with 256 MiB of files");
            return Err(RegistryError::Invalid(what));
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let room = Arc::clone(&inner.room).acquire_many_owned(count).await;
        let room = room.map_err(|_| RegistryError::Closed)?;
        let weight = u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let weight = Arc::clone(&inner.weight).acquire_many_owned(weight).await;
        let room = (room, weight.map_err(|_| RegistryError::Closed)?);
        let (reply, receipt) = oneshot::channel();
        let cause = context::here();
        let marks = self.marks.clone();
        self.send(Job::Write { what, session, room, cause, marks, reply }).await?;
        Ok(Receipt(receipt))
    }

    async fn send(&self, job: Job) -> Result<(), RegistryError> {
        let input = self.inner.input.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let input = input.ok_or(RegistryError::Closed)?;
        input.send(job).await.map_err(|_| RegistryError::Closed)
    }

    /// Makes a change after everything that was handed in before.
    async fn change(&self, change: Change) -> Result<(), RegistryError> {
        let (reply, answer) = oneshot::channel();
        let marks = self.marks.iter().copied().map(Change::Mark);
        let changes = [change].into_iter().chain(marks).collect();
        self.send(Job::Change(changes, reply)).await?;
        answer.await.unwrap_or(Err(RegistryError::Closed))
    }

    /// A run's number and session.
    async fn running(&self, id: RunId) -> Result<(Running, SessionId), RegistryError> {
        let runs = || self.inner.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = runs().get(&id) {
            return Ok(*known);
        }
        let row = self.need_run(id).await?;
        let known = (Running { id, node: row.node }, row.session);
        let mut runs = runs();
        if runs.len() >= RUNS {
            runs.clear();
        }
        runs.insert(id, known);
        Ok(known)
    }

    async fn need_run(&self, id: RunId) -> Result<RunRow, RegistryError> {
        let row = self.inner.stores.warm.rows().run(id).await?;
        row.ok_or_else(|| RegistryError::NotFound { what: "run", text: id.to_string() })
    }
}

/// The bytes of all files of a batch, those that agents share counted once.
fn weight(batch: &[Finished]) -> usize {
    let mut seen = HashSet::new();
    let files = batch.iter().flat_map(|one| one.proposed.genome.files.values());
    let evaluated = batch.iter().flat_map(|one| one.repeats.iter().chain([&one.evaluated]));
    let artifacts = evaluated.flat_map(|one| one.evaluation.artifacts.values());
    let contents = files.map(|file| &file.bytes).chain(artifacts);
    contents.filter(|bytes| seen.insert((bytes.as_ptr(), bytes.len()))).map(bytes::Bytes::len).sum()
}
