//! kill -9 at any moment loses nothing that was acknowledged, and a run that was killed ends
//! exactly as one that was not.

#![expect(clippy::expect_used, reason = "a test that cannot go on should stop")]

mod support;

use std::time::Duration;

use darwin::{domain::id::RunId, link::client::Link, wire::v1};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{Home, PATIENCE, finished, results, show, start_request};

/// How often the daemon is killed.
const KILLS: usize = 100;
/// The schedule of the kills; printed when the test fails.
const SEED: u64 = 20_261_123;

const SPEC: &str = r#"
name = "killed"
seed = 7
[search]
population = 32
[stop]
evaluations = 400000
[suite]
name = "rastrigin"
kind = "builtin"
function = "rastrigin"
dimensions = 8
"#;

/// The same run, short enough to be compared agent by agent.
fn short() -> String {
    SPEC.replace("400000", "20000")
}

fn run_id(n: u8) -> RunId {
    RunId::new(1_700_000_000_000, [n; 10])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_killed_a_hundred_times_ends_as_one_that_was_not() {
    let mut calm = Home::new();
    let link = calm.start().await;
    let id = run_id(1);
    link.runs().start(start_request(id, &short())).await.expect("the run starts");
    let expected_run = finished(&link, id, PATIENCE).await;
    assert_eq!(expected_run.state, "finished", "{expected_run:?}\n{}", calm.log());
    let expected = results(&link, id).await;
    assert_eq!(expected.len(), 20_000);

    let mut chaos = ChaCha8Rng::seed_from_u64(SEED);
    let mut stormy = Home::new();
    let link = stormy.start().await;
    // A long run beside it is at work whenever the daemon is killed.
    let long = run_id(2);
    link.runs().start(start_request(long, SPEC)).await.expect("the long run starts");
    link.runs().start(start_request(id, &short())).await.expect("the run starts");
    let mut link = link;
    let mut seen = 0;
    let mut grew = 0;
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_micros(chaos.random_range(0..60_000))).await;
        // What a client was told before the kill must be there after it.
        let told = (agents(&link, id).await, agents(&link, long).await);
        stormy.kill();
        link = stormy.start().await;
        let now = (agents(&link, id).await, agents(&link, long).await);
        let kept = now.0 >= told.0 && now.1 >= told.1;
        assert!(kept, "kill {kill}, seed {SEED}: told {told:?}, now {now:?}");
        grew += usize::from(now.1 > seen);
        seen = now.1;
    }
    assert!(grew > KILLS / 2, "the kills hit an idle daemon: the run grew only {grew} times");
    let run = finished(&link, id, PATIENCE).await;
    assert_eq!((run.state.as_str(), run.best), ("finished", expected_run.best), "seed {SEED}");
    let got = results(&link, id).await;
    assert_eq!(got.len(), expected.len(), "seed {SEED}");
    for (slot, result) in &expected {
        assert_eq!(got.get(slot), Some(result), "{slot:?}, seed {SEED}");
    }
    let verified = link.operations().verify_store(v1::VerifyStoreRequest {}).await;
    let verified = verified.expect("the store can be checked").into_inner();
    assert_eq!(verified.fault, "", "seed {SEED}");
    assert!(verified.contents && verified.agents >= 20_000 + seen);
}

async fn agents(link: &Link, id: RunId) -> u64 {
    show(link, id).await.agents
}
