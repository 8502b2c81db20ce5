//! More calls than the daemon can work on, and what it says of its health.

use std::time::{Duration, Instant};

use darwin::{
    code::Code,
    wire::{
        fault::Fault,
        v1::{self, evaluate_request::What},
    },
};
use rustix::process::Signal;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::home::{Home, PATIENCE, get, until};

/// Evaluations at once: ten times what is let in and may wait.
const FLOOD: usize = 60;

fn evaluation(seconds: f64) -> v1::EvaluateRequest {
    let script = format!("sleep {seconds}; echo '{{\\\"score\\\": 1}}'");
    v1::EvaluateRequest {
        suite_toml: format!(
            "name = \"slow\"\nkind = \"command\"\nargv = [\"sh\", \"-c\", \"{script}\"]\n\
             [[objectives]]\nname = \"score\"\n"
        ),
        what: Some(What::Genome(v1::Genome::default())),
        sandbox: "reduced".to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_batch_calls_is_turned_away_and_holds_up_nobody_else() {
    let mut home = Home::new();
    let mut command = home.darwind(&[]);
    command.env("DARWIN_SERVER__MAX_CALLS", "4");
    let endpoint = home.spawn(command);
    let (flooded, other) = (home.link(&endpoint).await, home.link(&endpoint).await);
    let flood: Vec<_> = (0..FLOOD)
        .map(|_| {
            let mut calls = flooded.evaluations();
            tokio::spawn(async move { calls.evaluate(evaluation(1.0)).await.map(|_| ()) })
        })
        .collect();
    until("some are turned away", || {
        get(endpoint.admin, "/metrics")
            .1
            .contains("darwin_calls_shed_total{class=\"batch\"}")
            .then_some(())
    });
    // Who waits for an answer gets it meanwhile.
    while flood.iter().any(|call| !call.is_finished()) {
        let begun = Instant::now();
        other.operations().status(v1::StatusRequest {}).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    let (mut done, mut shed) = (0, 0);
    for call in flood {
        match call.await.unwrap().map_err(Fault::from) {
            Ok(()) => done += 1,
            Err(fault) => {
                assert_eq!(fault.code, Code::Exhausted, "{fault}");
                assert_eq!(fault.after, Some(Duration::from_millis(500)));
                assert!(fault.message.contains("too much to do"), "{fault}");
                shed += 1;
            }
        }
    }
    // Three at once, and none waits longer than half a second for the first three.
    assert!(done >= 3 && shed >= FLOOD - 11, "{done} done, {shed} turned away");
    let begun = Instant::now();
    other.evaluations().evaluate(evaluation(0.0)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standard_health_service_tells_whether_it_serves() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    let mut client = HealthClient::new(link.channel());
    let check = async |client: &mut HealthClient<_>, service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        client.check(request).await.map(|answer| answer.into_inner().status())
    };
    for service in ["", "darwin.v1.Runs", "darwin.v1.Operations"] {
        assert_eq!(check(&mut client, service).await.unwrap(), ServingStatus::Serving);
    }
    let unknown = check(&mut client, "darwin.v1.Walks").await.unwrap_err();
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    // A watcher hears of the drain before the connection ends.
    let request = HealthCheckRequest { service: String::new() };
    let mut watch = client.watch(request).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    home.signal(Signal::TERM);
    let next = tokio::time::timeout(PATIENCE, watch.message()).await.unwrap();
    assert_eq!(next.unwrap().unwrap().status(), ServingStatus::NotServing);
    drop(watch);
    assert_eq!(home.wait().code(), Some(0), "{}", home.log());
}
