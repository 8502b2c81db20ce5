//! Checks of what the warm tier holds beside agents: that each sealed column can be opened, and
//! that each run counts the agents that are there.

use super::{Registry, error::RegistryError, model::Cursor, runs::RESULTS};
use crate::{
    daemon::store::warm::{Named, PAGE},
    domain::id::{RunId, SessionId},
    provenance::error::Error as FormatError,
};

/// What a check of sessions and runs found.
#[derive(Debug, Default)]
pub struct Columns {
    /// What is wrong.
    pub faults: Vec<String>,
    /// How many sessions can't be opened any more, because their keys were destroyed.
    pub shredded: u64,
}

impl Registry {
    /// Checks sessions and runs. What a destroyed key sealed can't be checked, and is no fault.
    ///
    /// # Errors
    /// If something can't be read at all.
    pub(super) async fn check_columns(&self) -> Result<Columns, RegistryError> {
        let Columns { mut faults, mut shredded } = Columns::default();
        for id in self.all(Named::Session).await?.into_iter().map(SessionId::from_bytes) {
            let checked = self.session(id).await;
            let checked = checked.map(|session| shredded += u64::from(session.shredded));
            faults.extend(fault("session", &id, checked)?);
        }
        for id in self.all(Named::Run).await?.into_iter().map(RunId::from_bytes) {
            let content = self.load_run(id).await.map(|_| ());
            faults.extend(fault("run", &id, content)?);
            let checkpoint = self.load_checkpoint(id).await.map(|_| ());
            faults.extend(fault("the checkpoint of run", &id, checkpoint)?);
            let counts = self.check_counts(id).await;
            faults.extend(fault("run", &id, counts)?);
        }
        Ok(Columns { faults, shredded })
    }

    /// Compares a run's counters with its results, but for a run that goes on meanwhile.
    async fn check_counts(&self, id: RunId) -> Result<(), RegistryError> {
        let before = self.need_run(id).await?;
        let (agents, failed, mut best) = self.count(id, u64::MAX).await?;
        // The best of its past is its own until there is a better one.
        let mut past = before.origin;
        while let Some((run, last)) = past {
            best = best.max(self.count(run, last).await?.2);
            let origin = self.need_run(run).await?.origin;
            past = origin.map(|(run, before)| (run, before.min(last)));
        }
        let row = self.need_run(id).await?;
        let counted = (row.agents, row.failed, row.best.map_or(f64::NEG_INFINITY, |best| best.0));
        if before.agents == row.agents && counted != (agents, failed, best) {
            let (agents, failed) = (agents - failed, failed);
            let why = format!(
                "it counts other agents than the {agents} with a score and {failed} without one \
                 that are there"
            );
            return Err(FormatError::Mismatch(why).into());
        }
        Ok(())
    }

    /// The agents that a run made up to a generation, those without a score, and the best fitness.
    async fn count(&self, id: RunId, last: u64) -> Result<(u64, u64, f64), RegistryError> {
        let (mut agents, mut failed, mut best) = (0, 0, f64::NEG_INFINITY);
        let mut cursor = Some(Cursor::default());
        while let Some(after) = cursor {
            let page = self.results(id, after, RESULTS).await?;
            for (_, fitness) in page.results.iter().filter(|(slot, _)| slot.generation <= last) {
                agents += 1;
                failed += u64::from(fitness.is_none());
                best = best.max(fitness.unwrap_or(best));
            }
            cursor = page.next;
        }
        Ok((agents, failed, best))
    }

    /// The ids of all sessions or runs.
    pub(super) async fn all(&self, named: Named) -> Result<Vec<[u8; 16]>, RegistryError> {
        let rows = self.inner.stores.warm.rows();
        let (mut all, mut from) = (Vec::new(), [0; 16]);
        loop {
            let page = rows.find(named, from, [255; 16], PAGE).await?;
            let last = page.last().copied().filter(|_| page.len() == PAGE);
            all.extend(page);
            let Some(last) = last else { return Ok(all) };
            from = u128::from_be_bytes(last).saturating_add(1).to_be_bytes();
        }
    }
}

/// The fault that a check came to, if it is one; what can't be read at all ends the check.
fn fault(
    what: &str,
    id: &impl std::fmt::Display,
    checked: Result<(), RegistryError>,
) -> Result<Option<String>, RegistryError> {
    match checked {
        Ok(()) | Err(RegistryError::Shredded(_)) => Ok(None),
        Err(error @ (RegistryError::Format(_) | RegistryError::NotFound { .. })) => {
            Ok(Some(format!("{what} {id}: {error}")))
        }
        Err(error) => Err(error),
    }
}
