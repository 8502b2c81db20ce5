//! The hot tier in this process: the specification of every other back end.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::{HotBackend, Lease, Rate, fits, never_fit, not_a_number, room, topics::Topics};
use crate::daemon::store::error::StoreError;

/// Volatile state in memory.
#[derive(Default)]
pub struct MemoryHot {
    state: Mutex<State>,
    topics: Topics,
}

#[derive(Default)]
struct State {
    sets: HashMap<String, Set>,
    counters: HashMap<String, i64>,
    locks: HashMap<String, Held>,
    buckets: HashMap<String, Bucket>,
    fence: u64,
}

/// A sorted set: by member, and by score.
#[derive(Default)]
struct Set {
    scores: HashMap<Vec<u8>, u64>,
    order: BTreeSet<(u64, Vec<u8>)>,
}

struct Held {
    holder: [u8; 16],
    lease: Lease,
}

struct Bucket {
    tokens: f64,
    at_ms: u64,
}

/// A score as an integer that sorts downwards: the highest first.
fn key(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    let rising = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    !rising
}

fn score(key: u64) -> f64 {
    let rising = !key;
    f64::from_bits(if rising >> 63 == 1 { rising & !(1 << 63) } else { !rising })
}

impl MemoryHot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl HotBackend for MemoryHot {
    async fn put(&self, set: &str, member: &[u8], score: f64) -> Result<(), StoreError> {
        fits(set.as_bytes()).and(fits(member))?;
        if score.is_nan() {
            return Err(not_a_number());
        }
        let mut state = self.state();
        if !state.sets.contains_key(set) {
            room(&state.sets, "sets")?;
        }
        let found = state.sets.entry(set.to_owned()).or_default();
        if !found.scores.contains_key(member) {
            room(&found.scores, "members of a set")?;
        }
        let new = key(score);
        if let Some(old) = found.scores.insert(member.to_vec(), new) {
            found.order.remove(&(old, member.to_vec()));
        }
        found.order.insert((new, member.to_vec()));
        Ok(())
    }

    async fn remove(&self, set: &str, member: &[u8]) -> Result<bool, StoreError> {
        let mut state = self.state();
        let Some(found) = state.sets.get_mut(set) else { return Ok(false) };
        let Some(old) = found.scores.remove(member) else { return Ok(false) };
        found.order.remove(&(old, member.to_vec()));
        if found.scores.is_empty() {
            state.sets.remove(set);
        }
        Ok(true)
    }

    async fn best(&self, set: &str, limit: usize) -> Result<Vec<(Vec<u8>, f64)>, StoreError> {
        let state = self.state();
        let order = state.sets.get(set).into_iter().flat_map(|set| &set.order);
        Ok(order.take(limit).map(|(key, member)| (member.clone(), score(*key))).collect())
    }

    async fn size(&self, set: &str) -> Result<u64, StoreError> {
        Ok(self.state().sets.get(set).map_or(0, |set| set.scores.len() as u64))
    }

    async fn count(&self, counter: &str, by: i64) -> Result<i64, StoreError> {
        fits(counter.as_bytes())?;
        let mut state = self.state();
        if !state.counters.contains_key(counter) {
            room(&state.counters, "counters")?;
        }
        let value = state.counters.entry(counter.to_owned()).or_default();
        *value = value.saturating_add(by);
        Ok(*value)
    }

    async fn lock(
        &self,
        name: &str,
        holder: [u8; 16],
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Option<Lease>, StoreError> {
        fits(name.as_bytes())?;
        let mut state = self.state();
        let held = state.locks.get(name).filter(|held| held.lease.until_ms > now_ms);
        let mine = held.filter(|held| held.holder == holder).map(|held| held.lease.fence);
        if held.is_some() && mine.is_none() {
            return Ok(None);
        }
        if !state.locks.contains_key(name) {
            room(&state.locks, "locks")?;
        }
        let fence = mine.unwrap_or_else(|| {
            state.fence += 1;
            state.fence
        });
        let lease = Lease { fence, until_ms: now_ms.saturating_add(ttl_ms) };
        state.locks.insert(name.to_owned(), Held { holder, lease });
        Ok(Some(lease))
    }

    async fn unlock(&self, name: &str, holder: [u8; 16]) -> Result<bool, StoreError> {
        let mut state = self.state();
        let mine = state.locks.get(name).is_some_and(|held| held.holder == holder);
        if mine {
            state.locks.remove(name);
        }
        Ok(mine)
    }

    async fn take(
        &self,
        bucket: &str,
        rate: Rate,
        tokens: f64,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        fits(bucket.as_bytes())?;
        let never = tokens > rate.capacity || rate.per_second <= 0.0;
        let mut state = self.state();
        if !state.buckets.contains_key(bucket) {
            room(&state.buckets, "buckets")?;
        }
        let fresh = Bucket { tokens: rate.capacity, at_ms: now_ms };
        let found = state.buckets.entry(bucket.to_owned()).or_insert(fresh);
        #[expect(clippy::cast_precision_loss, reason = "a wait is far below 2⁵³ ms")]
        let passed = now_ms.saturating_sub(found.at_ms) as f64 / 1000.0;
        found.tokens = passed.mul_add(rate.per_second, found.tokens).min(rate.capacity);
        found.at_ms = found.at_ms.max(now_ms);
        if tokens <= found.tokens {
            found.tokens -= tokens;
            return Ok(0);
        }
        if never {
            return Err(never_fit(tokens));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        let wait = ((tokens - found.tokens) / rate.per_second * 1000.0).ceil() as u64;
        Ok(wait.max(1))
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        let mut state = self.state();
        state.sets.remove(name);
        state.counters.remove(name);
        state.locks.remove(name);
        state.buckets.remove(name);
        Ok(())
    }

    fn signal(&self, topic: &str) {
        self.topics.signal(topic);
    }

    fn listen(&self, topic: &str) -> Result<broadcast::Receiver<()>, StoreError> {
        self.topics.listen(topic)
    }
}
