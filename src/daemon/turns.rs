//! Who may change something: one at a time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// The locks of the things that somebody changes: runs, say, each by its id.
#[derive(Debug)]
pub struct Turns<K>(Mutex<HashMap<K, Weak<AsyncMutex<()>>>>);

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Turns<K> {
    /// Waits until nobody else changes the thing `id`.
    pub async fn wait(&self, id: K) -> OwnedMutexGuard<()> {
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
    async fn each_has_one_turn_at_a_time_and_others_do_not_wait_for_it() {
        let turns = Turns::default();
        let (one, other) = (1, 2);
        let first = turns.wait(one).await;
        let patience = Duration::from_millis(50);
        assert!(timeout(patience, turns.wait(other)).await.is_ok());
        assert!(timeout(patience, turns.wait(one)).await.is_err());
        drop(first);
        assert!(timeout(patience, turns.wait(one)).await.is_ok());
    }
}
