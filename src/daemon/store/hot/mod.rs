//! The hot tier: volatile state, fast. Nothing in it is needed to recover.

mod topics;
pub mod memory;
pub mod redis;
#[cfg(test)]
mod conformance;

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::error::StoreError;

/// The longest key or member, in bytes.
pub const MAX_KEY: usize = 512;
/// How many signals of a topic wait for a slow listener before it misses some.
pub const SIGNALS: usize = 64;

/// The most names of each kind, and the most members of one set, in this process.
const MOST: usize = 1 << 20;

/// A lock that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Rises with each new holder; what is done under the lock carries it, so that a holder
    /// that lost it without noticing is refused.
    pub fence: u64,
    /// When it ends by itself, in milliseconds since the Unix epoch.
    pub until_ms: u64,
}

/// How a token bucket fills.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// The most tokens that it holds; it starts full.
    pub capacity: f64,
    /// Tokens a second.
    pub per_second: f64,
}

/// One thing that is to be known of the tier: what it is about, and what was found, or what should
/// be otherwise and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub about: &'static str,
    /// What was found; or what should be otherwise, and what to do.
    pub found: Result<String, (String, String)>,
}

/// What a back end of the hot tier does. Times are milliseconds since the Unix epoch.
#[async_trait]
pub trait HotBackend: Send + Sync {
    /// Puts a member with its score into a sorted set, or gives it another score.
    async fn put(&self, set: &str, member: &[u8], score: f64) -> Result<(), StoreError>;

    /// Takes a member out; whether it was there.
    async fn remove(&self, set: &str, member: &[u8]) -> Result<bool, StoreError>;

    /// At most `limit` members, the highest score first, equal ones by their bytes.
    async fn best(&self, set: &str, limit: usize) -> Result<Vec<(Vec<u8>, f64)>, StoreError>;

    /// How many members a set has.
    async fn size(&self, set: &str) -> Result<u64, StoreError>;

    /// Adds to a counter, which starts at 0; its new value.
    async fn count(&self, counter: &str, by: i64) -> Result<i64, StoreError>;

    /// Takes a lock for some time, or prolongs it for who holds it; `None` if another does.
    async fn lock(
        &self,
        name: &str,
        holder: [u8; 16],
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Option<Lease>, StoreError>;

    /// Gives a lock back; whether it was held.
    async fn unlock(&self, name: &str, holder: [u8; 16]) -> Result<bool, StoreError>;

    /// Takes tokens from a bucket: 0 if they were there, else in how many milliseconds they
    /// will be, and none is taken.
    async fn take(
        &self,
        bucket: &str,
        rate: Rate,
        tokens: f64,
        now_ms: u64,
    ) -> Result<u64, StoreError>;

    /// Removes a set, counter, lock or bucket of that name.
    async fn forget(&self, name: &str) -> Result<(), StoreError>;

    /// Wakes those who listen to a topic.
    fn signal(&self, topic: &str);

    /// Listens to a topic. A listener that lags misses signals, and is told so: a signal says
    /// only that something changed.
    ///
    /// # Errors
    /// If the topic's name is too long, or the back end can't be reached.
    fn listen(&self, topic: &str) -> Result<broadcast::Receiver<()>, StoreError>;

    /// What is to be known of the servers behind it; nothing where there are none.
    async fn findings(&self) -> Vec<Finding> {
        Vec::new()
    }
}

fn room<K, V>(map: &HashMap<K, V>, what: &str) -> Result<(), StoreError> {
    if map.len() < MOST {
        return Ok(());
    }
    Err(StoreError::Exhausted { what: format!("the hot tier holds {MOST} {what} already") })
}

fn fits(name: &[u8]) -> Result<(), StoreError> {
    if name.len() <= MAX_KEY {
        return Ok(());
    }
    Err(StoreError::Exhausted {
        what: format!("a name in the hot tier has at most {MAX_KEY} bytes"),
    })
}

fn not_a_number() -> StoreError {
    StoreError::Exhausted { what: "NaN has no place in an order".to_owned() }
}

fn never_fit(tokens: f64) -> StoreError {
    StoreError::Exhausted { what: format!("{tokens} tokens never fit there") }
}

/// The hot tier for callers.
#[derive(Clone)]
pub struct Hot {
    backend: Arc<dyn HotBackend>,
}

impl Hot {
    /// The tier over `backend`.
    #[must_use]
    pub fn new(backend: Arc<dyn HotBackend>) -> Self {
        Self { backend }
    }

    /// What it can do.
    #[must_use]
    pub fn state(&self) -> &dyn HotBackend {
        &*self.backend
    }

    /// Wakes those who listen to a topic.
    pub fn signal(&self, topic: &str) {
        metrics::counter!("darwin_hot_signals_total").increment(1);
        self.backend.signal(topic);
    }

    /// Listens to a topic.
    ///
    /// # Errors
    /// If there are too many topics.
    pub fn listen(&self, topic: &str) -> Result<broadcast::Receiver<()>, StoreError> {
        self.backend.listen(topic)
    }
}
