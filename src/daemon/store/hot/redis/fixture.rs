//! Tiers of tests, on real servers: `scripts/services up redis` starts them.

use std::{sync::Once, time::Duration};

use super::RedisHot;
use crate::required;

/// What tells where servers of each kind are, and the word by which they are demanded.
const KINDS: [(&str, &str); 3] = [
    ("DARWIN_TEST_REDIS", "redis"),
    ("DARWIN_TEST_REDIS_CLUSTER", "redis-cluster"),
    ("DARWIN_TEST_REDIS_SENTINEL", "redis-sentinel"),
];

/// A tier on each kind of servers that is there, with keys of its own; what is not there is told
/// once, and fails where `DARWIN_TEST_REQUIRE` has the kind among its words.
pub async fn tiers() -> Vec<RedisHot> {
    static TOLD: [Once; 3] = [Once::new(), Once::new(), Once::new()];
    let mut tiers = Vec::new();
    for ((variable, word), told) in KINDS.iter().zip(&TOLD) {
        let Ok(url) = std::env::var(variable) else {
            told.call_once(|| {
                let why = format!("{variable} names no server (scripts/services up redis)");
                required::not_run(word, &why);
            });
            continue;
        };
        let tier = RedisHot::at(&format!("{url}&name={:032x}", rand::random::<u128>())).unwrap();
        // Whoever listens is woken when that happens, which a test may not expect.
        let heard = tokio::time::timeout(Duration::from_secs(30), tier.subscribed()).await;
        assert!(heard.is_ok(), "{variable} names a server that does not answer");
        tiers.push(tier);
    }
    tiers
}
