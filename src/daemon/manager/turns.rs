//! Who may change a run: one at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::domain::id::RunId;

/// The locks of the runs that somebody starts, stops, resumes or ends.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<RunId, Weak<AsyncMutex<()>>>>);

impl Turns {
    /// Waits until nobody else changes the run `id`.
    pub async fn wait(&self, id: RunId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, lock| lock.strong_count() > 0);
            let known: Option<Arc<_>> = turns.get(&id).and_then(Weak::upgrade);
            let lock = known.unwrap_or_default();
            turns.insert(id, Arc::downgrade(&lock));
            lock
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_run_has_one_turn_at_a_time_and_others_do_not_wait_for_it() {
        let turns = Turns::default();
        let [one, other] = [1, 2].map(|number| RunId::new(1, [number; 10]));
        let first = turns.wait(one).await;
        let patience = Duration::from_millis(50);
        assert!(timeout(patience, turns.wait(other)).await.is_ok());
        assert!(timeout(patience, turns.wait(one)).await.is_err());
        drop(first);
        assert!(timeout(patience, turns.wait(one)).await.is_ok());
    }
}
