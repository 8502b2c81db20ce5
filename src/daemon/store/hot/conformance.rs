//! What every back end of the hot tier does, case by case, and random sequences against a
//! plain model.

use std::{collections::HashMap, sync::Arc};

use proptest::prelude::*;
use tokio::sync::broadcast::error::TryRecvError;

use super::{Hot, MAX_KEY, Rate, memory::MemoryHot, redis::fixture};
use crate::code::Code;

const ANN: [u8; 16] = [1; 16];
const BOB: [u8; 16] = [2; 16];

/// Runs a case on every back end: in memory, and on each kind of servers that is there.
async fn each(case: impl AsyncFn(Hot)) {
    case(Hot::new(Arc::new(MemoryHot::default()))).await;
    for tier in fixture::tiers().await {
        case(Hot::new(Arc::new(tier))).await;
    }
}

#[tokio::test]
async fn a_set_is_sorted_by_score_then_member() {
    each(async |hot| {
        let hot = hot.state();
        for (member, score) in [("b", 1.0), ("a", 1.0), ("c", f64::INFINITY), ("d", -0.0)] {
            hot.put("set", member.as_bytes(), score).await.unwrap();
        }
        hot.put("set", b"e", -2.5).await.unwrap();
        hot.put("set", b"b", 3.0).await.unwrap();
        let best = hot.best("set", 9).await.unwrap();
        let names: Vec<_> = best.iter().map(|(name, _)| name.as_slice()).collect();
        assert_eq!(names, [b"c", b"b", b"a", b"d", b"e"]);
        assert_eq!(best[1].1, 3.0);
        assert_eq!(hot.best("set", 2).await.unwrap().len(), 2);
        assert!(hot.remove("set", b"c").await.unwrap());
        assert!(!hot.remove("set", b"c").await.unwrap());
        assert_eq!((hot.size("set").await.unwrap(), hot.size("none").await.unwrap()), (4, 0));
        assert!(hot.put("set", b"x", f64::NAN).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_lock_has_one_holder_at_a_time_and_a_rising_fence() {
    each(async |hot| {
        let hot = hot.state();
        let first = hot.lock("run", ANN, 100, 1000).await.unwrap().unwrap();
        assert_eq!(first.until_ms, 1100);
        assert_eq!(hot.lock("run", BOB, 100, 1099).await.unwrap(), None);
        // Its holder may prolong it, and keeps the fence.
        let longer = hot.lock("run", ANN, 100, 1050).await.unwrap().unwrap();
        assert_eq!((longer.fence, longer.until_ms), (first.fence, 1150));
        // When it has run out, another gets it with a higher fence.
        let second = hot.lock("run", BOB, 100, 1150).await.unwrap().unwrap();
        assert!(second.fence > first.fence);
        assert_eq!(hot.lock("run", ANN, 100, 1160).await.unwrap(), None);
        assert!(!hot.unlock("run", ANN).await.unwrap(), "not his any more");
        assert!(hot.unlock("run", BOB).await.unwrap());
        let third = hot.lock("run", ANN, 100, 1170).await.unwrap().unwrap();
        assert!(third.fence > second.fence);
    })
    .await;
}

#[tokio::test]
async fn a_bucket_fills_with_time_and_never_beyond_its_capacity() {
    each(async |hot| {
        let hot = hot.state();
        let rate = Rate { capacity: 10.0, per_second: 5.0 };
        assert_eq!(hot.take("b", rate, 10.0, 0).await.unwrap(), 0);
        assert_eq!(hot.take("b", rate, 1.0, 0).await.unwrap(), 200);
        assert_eq!(hot.take("b", rate, 1.0, 200).await.unwrap(), 0);
        assert_eq!(hot.take("b", rate, 10.0, 3_600_000).await.unwrap(), 0);
        assert_eq!(hot.take("b", rate, 2.0, 3_600_000).await.unwrap(), 400);
        // A clock that goes back gives nothing.
        assert_eq!(hot.take("b", rate, 1.0, 0).await.unwrap(), 200);
        assert_eq!(hot.take("b", rate, 11.0, 0).await.unwrap_err().code(), Code::Exhausted);
    })
    .await;
}

#[tokio::test]
async fn a_signal_wakes_those_who_listen_to_its_topic() {
    each(async |hot| {
        hot.signal("nobody");
        let (mut one, mut two) = (hot.listen("run").unwrap(), hot.listen("run").unwrap());
        let mut other = hot.listen("other").unwrap();
        hot.signal("run");
        one.recv().await.unwrap();
        two.recv().await.unwrap();
        assert_eq!(other.try_recv(), Err(TryRecvError::Empty));
        for _ in 0..1000 {
            hot.signal("run");
        }
        // Who lags is told so and goes on.
        assert!(matches!(one.try_recv(), Err(TryRecvError::Lagged(_))));
        assert_eq!(one.try_recv(), Ok(()));
        drop((one, two));
        hot.signal("run");
        let mut late = hot.listen("run").unwrap();
        assert_eq!(late.try_recv(), Err(TryRecvError::Empty));
    })
    .await;
}

#[tokio::test]
async fn a_name_that_is_too_long_is_refused() {
    each(async |hot| {
        let name = "x".repeat(MAX_KEY + 1);
        assert_eq!(hot.state().count(&name, 1).await.unwrap_err().code(), Code::Exhausted);
        assert!(hot.listen(&name).is_err());
        assert!(hot.state().put(&name, b"", 0.0).await.is_err());
    })
    .await;
}

/// One step of a random sequence.
#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8, f64),
    Remove(u8, u8),
    Count(u8, i64),
    Forget(u8),
    Best(u8, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let name = || 0..3_u8;
    prop_oneof![
        4 => (name(), 0..9_u8, -5.0..5.0).prop_map(|(s, m, f)| Step::Put(s, m, f)),
        2 => (name(), 0..9_u8).prop_map(|(s, m)| Step::Remove(s, m)),
        2 => (name(), -9..9_i64).prop_map(|(c, by)| Step::Count(c, by)),
        1 => name().prop_map(Step::Forget),
        3 => (name(), 0..9_usize).prop_map(|(s, n)| Step::Best(s, n)),
    ]
}

proptest! {
    #[test]
    fn it_does_what_a_plain_model_does(steps in prop::collection::vec(step(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(each(async |hot| {
            let hot = hot.state();
            let mut sets: HashMap<u8, HashMap<u8, f64>> = HashMap::new();
            let mut counters: HashMap<u8, i64> = HashMap::new();
            for step in steps.clone() {
                match step {
                    Step::Put(set, member, score) => {
                        sets.entry(set).or_default().insert(member, score);
                        hot.put(&set.to_string(), &[member], score).await.unwrap();
                    }
                    Step::Remove(set, member) => {
                        let there = sets.entry(set).or_default().remove(&member).is_some();
                        assert_eq!(hot.remove(&set.to_string(), &[member]).await.unwrap(), there);
                    }
                    Step::Count(counter, by) => {
                        let value = counters.entry(counter).or_default();
                        *value += by;
                        assert_eq!(hot.count(&counter.to_string(), by).await.unwrap(), *value);
                    }
                    Step::Forget(name) => {
                        sets.remove(&name);
                        counters.remove(&name);
                        hot.forget(&name.to_string()).await.unwrap();
                    }
                    Step::Best(set, limit) => {
                        let mut all: Vec<(Vec<u8>, f64)> = sets
                            .get(&set)
                            .into_iter()
                            .flatten()
                            .map(|(member, score)| (vec![*member], *score))
                            .collect();
                        all.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                        all.truncate(limit);
                        assert_eq!(hot.best(&set.to_string(), limit).await.unwrap(), all);
                    }
                }
            }
        }));
    }
}
