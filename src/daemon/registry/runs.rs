//! Runs: what they were started with, how far they are, their checkpoints and results.

use super::{
    Registry,
    error::RegistryError,
    model::{Checkpoint, Cursor, NewRun, Results, StoredRun},
};
use crate::{
    daemon::store::warm::{
        PAGE, Runs,
        rows::{Change, NewRunRow, Origin, RunRow, StopOverride},
    },
    domain::{id::RunId, lifecycle::RunState},
    provenance::seal::BlobKind,
};

/// The most results on a page.
pub const RESULTS: usize = 16 * PAGE;
/// The longest name of a run, in bytes.
const MAX_NAME: usize = 256;

impl Registry {
    /// Makes a run, in the state `running`, or `stopped` if it goes on from another one. The same
    /// id again gives the run that is there, and `false`.
    ///
    /// # Errors
    /// If there is no such session or it is closed, the files are too large, or it can't be
    /// stored.
    pub async fn create_run(&self, new: NewRun) -> Result<(RunRow, bool), RegistryError> {
        let _making = self.inner.making.lock().await;
        let rows = self.inner.stores.warm.rows();
        if let Some(row) = rows.run(new.id).await? {
            return Ok((row, false));
        }
        if new.name.len() > MAX_NAME || new.objective.len() > MAX_NAME {
            let what =
                format!("the names of a run and of its objective have at most {MAX_NAME} bytes");
            return Err(RegistryError::Invalid(what));
        }
        if !new.divisor.is_normal() {
            return Err(RegistryError::Invalid("an objective's weight is not usable".to_owned()));
        }
        let session = self.inner.vault.session(new.session).await?;
        if rows.session(new.session).await?.is_some_and(|row| row.closed) {
            return Err(RegistryError::SessionClosed(new.session));
        }
        let NewRun { spec_toml, agent_files, suite_files, .. } = new;
        let stored = StoredRun { spec_toml, agent_files, suite_files };
        let plain = serde_ipld_dagcbor::to_vec(&stored)
            .map_err(|error| RegistryError::Invalid(format!("the run's files: {error}")))?;
        let content = session.seal(BlobKind::Run, &plain)?;
        let (state, reason) = match new.origin {
            None => (RunState::Running, String::new()),
            Some(Origin { run, generation, .. }) => {
                (RunState::Stopped, format!("goes on from generation {generation} of run {run}"))
            }
        };
        let row = NewRunRow {
            id: new.id,
            session: new.session,
            name: new.name,
            objective: new.objective,
            divisor: new.divisor,
            seed: new.seed,
            workers: new.workers,
            sandbox: new.sandbox,
            started_ms: self.inner.clock.millis(),
            content,
            state,
            reason,
            origin: new.origin,
        };
        self.change(Change::NewRun(Box::new(row))).await?;
        Ok((self.need_run(new.id).await?, true))
    }

    /// A run, if there is one of that id.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn run(&self, id: RunId) -> Result<Option<RunRow>, RegistryError> {
        Ok(self.inner.stores.warm.rows().run(id).await?)
    }

    /// At most `limit` runs (and at most 1,000), the last started first.
    ///
    /// # Errors
    /// If they can't be read.
    pub async fn runs(&self, which: Runs, limit: usize) -> Result<Vec<RunRow>, RegistryError> {
        Ok(self.inner.stores.warm.rows().runs(which, limit).await?)
    }

    /// What a run was started with.
    ///
    /// # Errors
    /// If there is no such run, or it can't be opened.
    pub async fn load_run(&self, id: RunId) -> Result<StoredRun, RegistryError> {
        let row = self.need_run(id).await?;
        let session = self.inner.vault.session(row.session).await?;
        let sealed = self.inner.stores.warm.rows().run_content(id).await?;
        let missing = || RegistryError::NotFound { what: "content of run", text: id.to_string() };
        let plain = session.sealer.open(BlobKind::Run, &sealed.ok_or_else(missing)?)?;
        serde_ipld_dagcbor::from_slice(&plain)
            .map_err(|error| RegistryError::Invalid(format!("the stored run {id}: {error}")))
    }

    /// Sets a run's state, its reason and its time at work in milliseconds, and wider limits
    /// where they are given. Done after everything that was handed in before.
    ///
    /// # Errors
    /// If there is no such run, it can't be stored, or it shall run and its session's key was
    /// destroyed.
    pub async fn set_run(
        &self,
        id: RunId,
        state: RunState,
        reason: &str,
        elapsed_ms: u64,
        stop: Option<StopOverride>,
    ) -> Result<(), RegistryError> {
        let row = self.need_run(id).await?;
        let _making = if state == RunState::Running {
            // Its session may be about to be shredded, or was.
            let making = self.inner.making.lock().await;
            self.inner.vault.session(row.session).await?;
            Some(making)
        } else {
            None
        };
        self.change(Change::SetRun(id, state, reason.to_owned(), elapsed_ms, stop)).await?;
        self.inner.stores.hot.signal(&super::commit::topic(id));
        Ok(())
    }

    /// Stores an engine's snapshot, which must know exactly the results that were handed in
    /// before: it becomes durable after they are, or not at all.
    ///
    /// # Errors
    /// If there is no such run, it is over 64 MiB, or it can't be stored.
    pub async fn save_checkpoint(
        &self,
        id: RunId,
        generation: u64,
        snapshot: &[u8],
    ) -> Result<(), RegistryError> {
        let (_, session) = self.running(id).await?;
        let session = self.inner.vault.session(session).await?;
        let sealed = session.seal(BlobKind::Checkpoint, snapshot)?;
        self.change(Change::Checkpoint(id, generation, sealed)).await
    }

    /// The last snapshot of a run, if there is one.
    ///
    /// # Errors
    /// If it can't be read or opened.
    pub async fn load_checkpoint(&self, id: RunId) -> Result<Option<Checkpoint>, RegistryError> {
        let row = self.inner.stores.warm.rows().checkpoint(id).await?;
        let Some(row) = row else { return Ok(None) };
        let session = self.inner.vault.session(row.session).await?;
        let bytes = session.sealer.open(BlobKind::Checkpoint, &row.sealed)?;
        Ok(Some(Checkpoint { generation: row.generation, bytes, after: Cursor(row.after) }))
    }

    /// Committed results of a run behind `after`, in the order of their commits, which is the
    /// order in which they were handed in; at most `limit` (and at most 16,000).
    ///
    /// # Errors
    /// If they can't be read.
    pub async fn results(
        &self,
        id: RunId,
        after: Cursor,
        limit: usize,
    ) -> Result<Results, RegistryError> {
        let limit = limit.clamp(1, RESULTS);
        let rows = self.inner.stores.warm.rows().results(id, after.0, limit).await?;
        let next = rows.last().filter(|_| rows.len() == limit).map(|row| Cursor(row.node));
        let results = rows.into_iter().map(|row| (row.slot, row.fitness)).collect();
        Ok(Results { results, next })
    }
}
