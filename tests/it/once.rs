//! A change that is asked for again with the same idempotency key is not made again, whoever did
//! what in between, and after a restart neither.

use std::time::{Duration, SystemTime};

use darwin::{
    code::Code,
    domain::{
        id::{AgentId, RunId},
        role::Role,
    },
    link::{client::Link, endpoint::Endpoint, pki::Pki},
    wire::{
        convert,
        envelope::{IdempotencyKey, Keyed as _},
        fault::Fault,
        v1::{self, evaluate_request::What},
    },
};
use rustix::process::Signal;
use tonic::Request;

use crate::home::Home;

const SPEC: &str = "name = \"bowl\"\nseed = 7\n[search]\npopulation = 16\n[stop]\ntime = 600\n\
                    [suite]\nname = \"sphere\"\nkind = \"builtin\"\nfunction = \"sphere\"\n\
                    dimensions = 4\n";

fn id() -> RunId {
    RunId::new(1_700_000_000_000, [1; 10])
}

fn run() -> v1::RunRef {
    v1::RunRef { run: id().to_string() }
}

/// The message with the key of these bytes.
fn keyed<T>(key: u8, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(IdempotencyKey([key; 16]));
    request
}

fn resume() -> v1::ResumeRequest {
    v1::ResumeRequest { run: id().to_string(), ..Default::default() }
}

async fn started(home: &mut Home) -> Link {
    let endpoint = home.start(&[]);
    home.link(&endpoint).await
}

async fn with_run(home: &mut Home) -> Link {
    let link = started(home).await;
    let run_id = convert::bytes(id().as_bytes());
    let request =
        v1::StartRequest { run_id, spec_toml: SPEC.to_owned(), ..v1::StartRequest::default() };
    link.runs().start(request.keyed()).await.unwrap();
    link
}

fn is_another_call<T: std::fmt::Debug>(answer: Result<T, tonic::Status>) {
    let fault = Fault::from(answer.unwrap_err());
    assert_eq!(fault.code(), Code::Conflict, "{fault}");
    assert!(fault.message.contains("idempotency key"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_resumed_is_not_stopped_by_what_stopped_it_before() {
    let mut home = Home::new();
    let mut link = with_run(&mut home).await;
    let state = |answer: tonic::Response<v1::Run>| answer.into_inner().state;
    assert_eq!(state(link.runs().stop(keyed(1, run())).await.unwrap()), "stopped");
    assert_eq!(state(link.runs().stop(keyed(1, run())).await.unwrap()), "stopped");
    // With another key it is another change, which does not fit.
    let fault = Fault::from(link.runs().stop(keyed(2, run())).await.unwrap_err());
    assert_eq!(fault.code(), Code::Conflict, "{fault}");
    assert_eq!(state(link.runs().resume(keyed(3, resume())).await.unwrap()), "running");
    for _ in 0..2 {
        assert_eq!(state(link.runs().stop(keyed(1, run())).await.unwrap()), "running");
        assert_eq!(state(link.runs().resume(keyed(3, resume())).await.unwrap()), "running");
        home.signal(Signal::KILL);
        home.wait();
        link = started(&mut home).await;
    }
    // A key is one call's, of one method, and of one sender.
    is_another_call(link.runs().kill(keyed(1, run())).await);
    let other = v1::RunRef { run: id().to_string()[..13].to_owned() };
    is_another_call(link.runs().stop(keyed(1, other)).await);
    let pki = Pki::at(home.paths().pki());
    let day = Duration::from_secs(86_400);
    let eve = pki.issue("eve", Role::Operator, day, SystemTime::now()).unwrap();
    let endpoint = Endpoint::read(&home.paths().run_dir).unwrap().unwrap();
    let eve = Link::connect(&endpoint, &eve).await.unwrap();
    assert_eq!(state(eve.runs().kill(keyed(1, run())).await.unwrap()), "stopped");
    assert_eq!(state(eve.runs().kill(keyed(1, run())).await.unwrap()), "stopped");
    // Nor does what resumed it resume it again.
    assert_eq!(state(link.runs().resume(keyed(3, resume())).await.unwrap()), "stopped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_not_closed_or_written_again() {
    let mut home = Home::new();
    let link = started(&mut home).await;
    let session_id: bytes::Bytes = vec![3; 16].into();
    let made = v1::CreateSessionRequest { session_id, name: "mine".to_owned() };
    link.sessions().create(made.keyed()).await.unwrap();
    let session = || v1::SessionRef { session: "mine".to_owned() };
    let closed = |answer: tonic::Response<v1::Session>| answer.into_inner().closed;
    assert!(closed(link.sessions().close(keyed(1, session())).await.unwrap()));
    assert!(!closed(link.sessions().resume(keyed(2, session())).await.unwrap()));
    assert!(!closed(link.sessions().close(keyed(1, session())).await.unwrap()));
    let say = |text: &str| v1::SetContextRequest { session: "mine".into(), text: text.into() };
    let context =
        |answer: tonic::Response<v1::Session>| answer.into_inner().context["text"].clone();
    for (key, text, then) in [(3, "one", "one"), (4, "two", "two"), (3, "one", "two")] {
        let set = link.sessions().set_context(keyed(key, say(text))).await.unwrap();
        assert_eq!(context(set), then);
    }
    is_another_call(link.sessions().set_context(keyed(3, say("three"))).await);
    assert!(closed(link.sessions().close(keyed(5, session())).await.unwrap()));
    assert!(closed(link.sessions().resume(keyed(2, session())).await.unwrap()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evaluation_of_an_agent_is_recorded_once_and_told_again() {
    let mut home = Home::new();
    let mut link = with_run(&mut home).await;
    let run = link.runs().stop(run()).await.unwrap().into_inner();
    let agent = AgentId::try_from(&run.best_agent[..]).unwrap().to_string();
    let request = || v1::EvaluateRequest {
        suite_toml: "name = \"noise\"\nkind = \"command\"\n\
                     argv = [\"sh\", \"-c\", \"echo '{\\\"combined_score\\\": '1$(date +%N)'}'\"]\n"
            .to_owned(),
        what: Some(What::Agent(agent.clone())),
        repeat: 3,
        seed: 5,
        ..v1::EvaluateRequest::default()
    };
    let first = link.evaluations().evaluate(keyed(1, request())).await.unwrap().into_inner();
    assert_eq!(first.evaluations.len(), 3);
    for _ in 0..2 {
        let again = link.evaluations().evaluate(keyed(1, request())).await.unwrap().into_inner();
        assert_eq!(again, first);
        home.signal(Signal::TERM);
        home.wait();
        link = started(&mut home).await;
    }
    let journal = v1::JournalRequest { of: agent.clone(), limit: 9, ..Default::default() };
    let page = link.journals().read(journal).await.unwrap().into_inner();
    assert_eq!(page.entries.len(), 2, "{page:?}");
    let other = v1::EvaluateRequest { seed: 6, ..request() };
    is_another_call(link.evaluations().evaluate(keyed(1, other)).await);
}

/// A daemon that was started since is another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_daemon_that_was_asked_for_ends_no_later_one() {
    let mut home = Home::new();
    let end = || keyed(1, v1::ShutdownRequest::default());
    started(&mut home).await.operations().shutdown(end()).await.unwrap();
    assert!(home.wait().success());
    let link = started(&mut home).await;
    link.operations().shutdown(end()).await.unwrap();
    let asked = || home.log().matches("asked to end").count();
    assert_eq!(asked(), 1, "{}", home.log());
    link.operations().shutdown(v1::ShutdownRequest::default()).await.unwrap();
    assert_eq!(asked(), 2, "{}", home.log());
    assert!(home.wait().success());
}
