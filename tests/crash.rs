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

fn spec(seed: usize) -> String {
    format!(
        r#"
name = "killed"
seed = {seed}
[search]
population = 32
[stop]
evaluations = 10000
[suite]
name = "rastrigin"
kind = "builtin"
function = "rastrigin"
dimensions = 60
"#
    )
}

/// Runs of their own until the daemon was killed [`KILLS`] times while one was at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_were_killed_a_hundred_times_end_as_those_that_were_not() {
    let mut chaos = ChaCha8Rng::seed_from_u64(SEED);
    let (mut calm, mut stormy) = (Home::new(), Home::new());
    let undisturbed = calm.start().await;
    let mut link = stormy.start().await;
    let (mut kills, mut runs) = (0, 0);
    while kills < KILLS {
        let id = RunId::new(1_700_000_000_000 + runs as u64, [7; 10]);
        let request = start_request(id, &spec(runs));
        undisturbed.runs().start(request.clone()).await.expect("the run starts");
        link.runs().start(request).await.expect("the run starts");
        while kills < KILLS {
            tokio::time::sleep(Duration::from_micros(chaos.random_range(0..40_000))).await;
            // What a client was told before the kill must be there after it.
            let told = show(&link, id).await;
            if told.state != "running" {
                break;
            }
            stormy.kill();
            kills += 1;
            link = stormy.start().await;
            let now = agents(&link, id).await;
            assert!(
                now >= told.agents,
                "kill {kills}, seed {SEED}: {} told, {now} left",
                told.agents
            );
        }
        let (expected, run) =
            (finished(&undisturbed, id, PATIENCE).await, finished(&link, id, PATIENCE).await);
        assert_eq!(expected.state, "finished", "{}", calm.log());
        assert_eq!(
            (run.state, run.reason, run.best, run.agents),
            (expected.state, expected.reason, expected.best, expected.agents),
            "run {runs} after {kills} kills, seed {SEED}\n{}",
            stormy.log()
        );
        let (expected, got) = (results(&undisturbed, id).await, results(&link, id).await);
        assert_eq!(expected.len(), 10_000);
        assert_eq!(got.len(), expected.len());
        for (slot, result) in &expected {
            assert_eq!(got.get(slot), Some(result), "{slot:?} of run {runs}, seed {SEED}");
        }
        runs += 1;
    }
    let verified = link.operations().verify_store(v1::VerifyStoreRequest {}).await;
    let verified = verified.expect("the store can be checked").into_inner();
    assert_eq!(verified.fault, "", "seed {SEED}");
    assert!(verified.contents && verified.agents == runs as u64 * 10_000, "{verified:?}");
}

async fn agents(link: &Link, id: RunId) -> u64 {
    show(link, id).await.agents
}
