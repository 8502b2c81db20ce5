//! The hot tier in Redis: one server, sentinels, or a cluster, over TLS 1.3 with certificates on
//! both sides. Several daemons with the same address share what is there.
//!
//! Replication is asynchronous: when a master is lost, what it acknowledged last may be lost as
//! well. So nothing here is the only copy of anything, and a fence is good for noticing that a lock
//! was lost, not for deciding who may write: the warm tier decides that. Fences rise nevertheless as
//! long as the daemons' clocks do, also after everything here was lost, because none is lower than
//! its holder's time.

mod address;
mod node;
mod slots;
mod servers;
pub mod scripts;
mod signals;
mod report;
#[cfg(test)]
pub mod fixture;

use std::sync::Arc;

use async_trait::async_trait;
use redis::{FromRedisValue, RedisError, Value};
use tokio::sync::broadcast;

use super::{Finding, HotBackend, Lease, Rate, fits, never_fit, not_a_number};
use crate::daemon::store::error::StoreError;
use address::Address;
use scripts::{COUNT, KEPT_MS, LOCK, LONGEST_MS, Of, PUT, SPARE_MS, TAKE, UNLOCK, key};
use servers::{Request, Servers, Verb};
use signals::Signals;

/// The hot tier in Redis.
pub struct RedisHot {
    servers: Arc<Servers>,
    signals: Signals,
}

impl RedisHot {
    /// The tier at a URL, which `default.toml` tells more about. It is connected to when it is
    /// needed, and again and again when that fails.
    ///
    /// # Errors
    /// If the URL can't be used.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn at(url: &str) -> Result<Self, StoreError> {
        let servers = Arc::new(Servers::new(Address::parse(url)?));
        let signals = Signals::start(servers.clone());
        Ok(Self { servers, signals })
    }

    /// Waits until the signals of other daemons are heard.
    pub async fn subscribed(&self) {
        self.signals.subscribed().await;
    }

    fn key(&self, name: &str, of: Of) -> Vec<u8> {
        key(&self.servers.address().space, name, of)
    }

    /// Has a request done; the answer as what it should be.
    async fn ask<T: FromRedisValue>(&self, request: Request<'_>) -> Result<T, StoreError> {
        let answer: Value = self.servers.ask(request).await?;
        T::from_redis_value(answer)
            .map_err(|error| self.servers.refused(request.doing, RedisError::from(error)))
    }
}

#[async_trait]
impl HotBackend for RedisHot {
    async fn put(&self, set: &str, member: &[u8], score: f64) -> Result<(), StoreError> {
        fits(set.as_bytes()).and(fits(member))?;
        if score.is_nan() {
            return Err(not_a_number());
        }
        // Redis has equal ones in the order of their bytes when the lowest is first; this also
        // makes one zero of both.
        let lowest = format!("{:e}", 0.0 - score);
        self.ask(Request {
            doing: "putting into a set",
            verb: PUT,
            key: &self.key(set, Of::Set),
            arguments: &[lowest.as_bytes(), member, KEPT_MS.to_string().as_bytes()],
            again: true,
        })
        .await
    }

    async fn remove(&self, set: &str, member: &[u8]) -> Result<bool, StoreError> {
        self.ask(Request {
            doing: "taking out of a set",
            verb: Verb::Plain("ZREM"),
            key: &self.key(set, Of::Set),
            arguments: &[member],
            again: false,
        })
        .await
    }

    async fn best(&self, set: &str, limit: usize) -> Result<Vec<(Vec<u8>, f64)>, StoreError> {
        let Some(last) = limit.checked_sub(1) else { return Ok(Vec::new()) };
        let last = i64::try_from(last).unwrap_or(i64::MAX).to_string();
        let found: Vec<(Vec<u8>, f64)> = self
            .ask(Request {
                doing: "reading a set",
                verb: Verb::Plain("ZRANGE"),
                key: &self.key(set, Of::Set),
                arguments: &[b"0", last.as_bytes(), b"WITHSCORES"],
                again: true,
            })
            .await?;
        Ok(found.into_iter().map(|(member, lowest)| (member, 0.0 - lowest)).collect())
    }

    async fn size(&self, set: &str) -> Result<u64, StoreError> {
        self.ask(Request {
            doing: "counting a set",
            verb: Verb::Plain("ZCARD"),
            key: &self.key(set, Of::Set),
            arguments: &[],
            again: true,
        })
        .await
    }

    async fn count(&self, counter: &str, by: i64) -> Result<i64, StoreError> {
        fits(counter.as_bytes())?;
        let end = if by < 0 { i64::MIN } else { i64::MAX };
        let [by, kept, end] = [by.to_string(), KEPT_MS.to_string(), end.to_string()];
        self.ask(Request {
            doing: "counting",
            verb: COUNT,
            key: &self.key(counter, Of::Counter),
            arguments: &[by.as_bytes(), kept.as_bytes(), end.as_bytes()],
            again: false,
        })
        .await
    }

    async fn lock(
        &self,
        name: &str,
        holder: [u8; 16],
        ttl_ms: u64,
        now_ms: u64,
    ) -> Result<Option<Lease>, StoreError> {
        fits(name.as_bytes())?;
        let until_ms = now_ms.saturating_add(ttl_ms);
        let [now, until] = [now_ms, until_ms].map(|time| format!("{time:020}"));
        let kept = ttl_ms.saturating_add(SPARE_MS).clamp(KEPT_MS, LONGEST_MS).to_string();
        // Beyond that, the server's numbers have holes.
        let least = now_ms.min(LONGEST_MS).to_string();
        let [now, until, kept, least] = [&now, &until, &kept, &least].map(String::as_bytes);
        let fence: Option<u64> = self
            .ask(Request {
                doing: "taking a lock",
                verb: LOCK,
                key: &self.key(name, Of::Lock),
                arguments: &[&holder, now, until, kept, least],
                again: true,
            })
            .await?;
        Ok(fence.map(|fence| Lease { fence, until_ms }))
    }

    async fn unlock(&self, name: &str, holder: [u8; 16]) -> Result<bool, StoreError> {
        self.ask(Request {
            doing: "giving a lock back",
            verb: UNLOCK,
            key: &self.key(name, Of::Lock),
            arguments: &[&holder],
            again: false,
        })
        .await
    }

    async fn take(
        &self,
        bucket: &str,
        rate: Rate,
        tokens: f64,
        now_ms: u64,
    ) -> Result<u64, StoreError> {
        fits(bucket.as_bytes())?;
        let numbers = [rate.capacity, rate.per_second, tokens].map(|number| format!("{number:e}"));
        let times = [now_ms, SPARE_MS, LONGEST_MS].map(|time| time.to_string());
        let arguments: Vec<&[u8]> = numbers.iter().chain(&times).map(String::as_bytes).collect();
        let left: Option<f64> = self
            .ask(Request {
                doing: "taking tokens",
                verb: TAKE,
                key: &self.key(bucket, Of::Bucket),
                arguments: &arguments,
                again: false,
            })
            .await?;
        match left {
            None => Ok(0),
            Some(_) if tokens > rate.capacity || rate.per_second <= 0.0 => Err(never_fit(tokens)),
            // Saturates.
            Some(left) => Ok((((tokens - left) / rate.per_second * 1000.0).ceil() as u64).max(1)),
        }
    }

    async fn forget(&self, name: &str) -> Result<(), StoreError> {
        let remove = async |of| {
            let doing = "forgetting a name";
            let (key, verb) = (self.key(name, of), Verb::Plain("DEL"));
            let request = Request { doing, verb, key: &key, arguments: &[], again: true };
            self.ask::<u64>(request).await
        };
        // A lock's fence stays: who takes it next gets a higher one.
        let free = async {
            let (key, doing) = (self.key(name, Of::Lock), "forgetting a lock");
            let request =
                Request { doing, verb: UNLOCK, key: &key, arguments: &[b""], again: true };
            self.ask::<u64>(request).await
        };
        let [set, counter, bucket] = [Of::Set, Of::Counter, Of::Bucket].map(remove);
        tokio::try_join!(set, counter, bucket, free).map(drop)
    }

    fn signal(&self, topic: &str) {
        self.signals.signal(topic);
    }

    fn listen(&self, topic: &str) -> Result<broadcast::Receiver<()>, StoreError> {
        self.signals.listen(topic)
    }

    async fn findings(&self) -> Vec<Finding> {
        report::findings(&self.servers).await
    }
}
