//! kill -9 at any moment loses nothing that was acknowledged, and a run that was killed ends
//! exactly as one that was not.

#![expect(clippy::expect_used, reason = "a test that cannot go on should stop")]

mod support;

use std::{collections::BTreeMap, time::Duration};

use darwin::{
    domain::id::{AgentId, RunId, SessionId},
    link::client::Link,
    wire::{
        envelope::{IdempotencyKey, Keyed as _},
        v1::{self, evaluate_request::What, event::Event},
    },
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{Home, PATIENCE, finished, results, show, start_request};

/// How often the daemon is killed.
const KILLS: usize = 100;
/// At how many of these the run that is at work measures programs.
const NOISY_KILLS: usize = 36;
/// How often it is killed right behind an answer.
const SHARP_KILLS: usize = 48;
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
evaluations = {AGENTS}
[suite]
name = "rastrigin"
kind = "builtin"
function = "rastrigin"
dimensions = 60
"#
    )
}

/// A run that measures programs several times each, with noise that follows from the seed.
fn noisy(id: RunId, seed: usize) -> v1::StartRequest {
    let spec = format!(
        r#"
name = "noisy"
seed = {seed}
[agent]
files = ["program.py"]
[search]
population = 8
[stop]
evaluations = {NOISY_AGENTS}
[suite]
name = "noisy"
kind = "python"
evaluator = "evaluator.py"
repeats = 2
confirm = 2
"#
    );
    let file = |path: &str, content: &'static str| v1::File {
        path: path.to_owned(),
        content: content.into(),
        executable: false,
    };
    v1::StartRequest {
        agent_files: vec![file("program.py", "X = 1.0\nY = 2.0\n")],
        suite_files: vec![file("evaluator.py", NOISE)],
        ..start_request(id, &spec)
    }
}

/// How many agents a run makes.
const AGENTS: usize = 10_000;
const NOISY_AGENTS: usize = 400;

const NOISE: &str = "
import os, random, runpy
def evaluate(path):
    found = runpy.run_path(path)
    noise = random.Random(int(os.environ['DARWIN_SEED'])).gauss(0, 1)
    return {'combined_score': noise - abs(found['X'] - 3) - abs(found['Y'] + 1)}
";

/// Runs of their own until the daemon was killed [`KILLS`] times while one was at work.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_that_were_killed_a_hundred_times_end_as_those_that_were_not() {
    let mut chaos = ChaCha8Rng::seed_from_u64(SEED);
    let (mut calm, mut stormy) = (Home::new(), Home::new());
    let undisturbed = calm.start().await;
    let mut link = stormy.start().await;
    let (mut kills, mut runs, mut made, mut midway) = (0, 0, 0, 0);
    while kills < KILLS {
        // Agents of runs that begin a millisecond apart are told apart by these bytes alone.
        let id =
            RunId::new(1_700_000_000_000 + runs as u64, [7 + u8::try_from(runs).unwrap_or(0); 10]);
        // Until programs are measured at all, Python must have started.
        let (request, agents_made, until, pause) = if kills < NOISY_KILLS {
            (noisy(id, runs), NOISY_AGENTS, NOISY_KILLS, 400_000)
        } else {
            (start_request(id, &spec(runs)), AGENTS, KILLS, 40_000)
        };
        undisturbed.runs().start(request.clone().keyed()).await.expect("the run starts");
        link.runs().start(request.keyed()).await.expect("the run starts");
        while kills < until {
            tokio::time::sleep(Duration::from_micros(chaos.random_range(0..pause))).await;
            // What a client was told before the kill must be there after it.
            let told = show(&link, id).await;
            if told.state != "running" {
                break;
            }
            stormy.kill();
            kills += 1;
            midway += usize::from(until == NOISY_KILLS && told.agents > 0);
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
        assert_eq!(expected.state, "finished", "{}\n{}", expected.reason, calm.log());
        assert_eq!(
            (run.state, run.reason, run.best, run.agents),
            (expected.state, expected.reason, expected.best, expected.agents),
            "run {runs} after {kills} kills, seed {SEED}\n{}",
            stormy.log()
        );
        let (expected, got) = (results(&undisturbed, id).await, results(&link, id).await);
        assert_eq!(expected.len(), agents_made);
        assert_eq!(got.len(), expected.len());
        for (slot, result) in &expected {
            assert_eq!(got.get(slot), Some(result), "{slot:?} of run {runs}, seed {SEED}");
        }
        runs += 1;
        made += agents_made as u64;
    }
    assert!(midway > NOISY_KILLS / 4, "{midway} kills hit a run that had measured programs");
    let verified = link.operations().verify_store(v1::VerifyStoreRequest {}).await;
    let verified = verified.expect("the store can be checked").into_inner();
    assert_eq!(verified.fault, "", "seed {SEED}");
    assert!(verified.contents && verified.agents == made, "{verified:?}");
}

async fn agents(link: &Link, id: RunId) -> u64 {
    show(link, id).await.agents
}

/// What a session is after all that was acknowledged.
#[derive(Debug, Clone, PartialEq, Default)]
struct Known {
    name: String,
    context: String,
    closed: bool,
    shredded: bool,
}

/// Changes of which one was acknowledged when the daemon is killed: it, and all before, are there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlasts_a_kill_that_comes_at_once() {
    let mut chaos = ChaCha8Rng::seed_from_u64(SEED);
    let mut home = Home::new();
    let mut link = home.start().await;
    let run = RunId::new(1_700_000_000_000, [7; 10]);
    let spec = spec(1).replace(&format!("evaluations = {AGENTS}"), "evaluations = 32");
    link.runs().start(start_request(run, &spec).keyed()).await.expect("the run starts");
    let agent = finished(&link, run, PATIENCE).await.best_agent;
    let agent = AgentId::try_from(&agent[..]).expect("a best agent").to_string();
    let (mut sessions, mut seeds) = (BTreeMap::<SessionId, Known>::new(), Vec::new());
    for kill in 0..SHARP_KILLS {
        for more in (0..chaos.random_range(1..4)).rev() {
            change(&link, &mut chaos, &mut sessions, &mut seeds, &agent).await;
            if more == 0 {
                home.kill();
            }
        }
        link = home.start().await;
        for (id, known) in &sessions {
            let session = v1::SessionRef { session: id.to_string() };
            let found = link.sessions().show(session).await.expect("it is there").into_inner();
            let text = found.context.get("text").cloned().unwrap_or_default();
            let v1::Session { name, closed, shredded, .. } = found;
            let found = Known { name, context: text, closed, shredded };
            assert_eq!(found, *known, "session {id} after kill {kill}, seed {SEED}");
        }
        let found = later_seeds(&link, &agent).await;
        assert_eq!(found, seeds, "evaluations after kill {kill}, seed {SEED}");
    }
    assert!(sessions.len() > 9 && seeds.len() > 9, "{} {}", sessions.len(), seeds.len());
    assert!(sessions.values().any(|known| known.shredded), "{sessions:?}");
    let verified = link.operations().verify_store(v1::VerifyStoreRequest {}).await;
    assert_eq!(verified.expect("the store can be checked").into_inner().fault, "", "seed {SEED}");
}

/// Makes one change, and notes it once it is acknowledged.
async fn change(
    link: &Link,
    chaos: &mut ChaCha8Rng,
    sessions: &mut BTreeMap<SessionId, Known>,
    seeds: &mut Vec<u64>,
    agent: &str,
) {
    let mut calls = link.sessions();
    let open: Vec<_> = sessions.iter().filter(|(_, known)| !known.closed).collect();
    let picked = open.get(chaos.random_range(0..8_usize)).map(|(id, _)| **id);
    match (chaos.random_range(0..4), picked) {
        (0, Some(id)) => {
            let size = chaos.random_range(0..100_000);
            let text: String = (0..size).map(|_| chaos.random_range('a'..='z')).collect();
            let request = v1::SetContextRequest { session: id.to_string(), text: text.clone() };
            calls.set_context(request).await.expect("the context is stored");
            sessions.entry(id).or_default().context = text;
        }
        (1, Some(id)) => {
            let session = v1::SessionRef { session: id.to_string() };
            calls.close(session).await.expect("the session is closed");
            sessions.entry(id).or_default().closed = true;
            if chaos.random_bool(0.5) {
                let request = v1::ShredRequest { session: id.to_string(), confirmed: true };
                calls.shred(request).await.expect("the session is shredded");
                let known = sessions.entry(id).or_default();
                (known.shredded, known.context) = (true, String::new());
            }
        }
        (2, _) => {
            let seed = seeds.len() as u64;
            let request = v1::EvaluateRequest {
                suite_toml: "name = \"other\"\nkind = \"builtin\"\nfunction = \"sphere\"\n\
                             dimensions = 60\n"
                    .to_owned(),
                what: Some(What::Agent(agent.to_owned())),
                repeat: 1,
                seed,
                ..Default::default()
            };
            link.evaluations().evaluate(request).await.expect("the evaluation is recorded");
            seeds.push(seed);
        }
        _ => {
            let id = SessionId::new(sessions.len() as u64, [5; 10]);
            let name = format!("session {}", sessions.len());
            let session_id = id.as_bytes().to_vec().into();
            let request = v1::CreateSessionRequest { session_id, name: name.clone() };
            calls.create(request.keyed()).await.expect("the session is made");
            sessions.insert(id, Known { name, ..Known::default() });
        }
    }
}

/// The seeds of an agent's evaluations after its first entry, in the order of its journal.
async fn later_seeds(link: &Link, agent: &str) -> Vec<u64> {
    let request =
        v1::JournalRequest { of: agent.to_owned(), limit: 1000, ..v1::JournalRequest::default() };
    let page = link.journals().read(request).await.expect("the journal reads").into_inner();
    let events = page.entries.into_iter().skip(1).flat_map(|entry| entry.events);
    let seed = |event: v1::Event| match event.event {
        Some(Event::Evaluated(evaluated)) => Some(evaluated.seed),
        _ => None,
    };
    events.filter_map(seed).collect()
}

/// The longest that a kill waits for, in microseconds.
const LONGEST: f64 = 4e6;
/// How often the daemon is killed while a run goes back.
const ROLLBACK_KILLS: usize = 16;

/// A way back that was asked for is made whole, or not at all, and asking again makes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_goes_back_once_whenever_the_daemon_is_killed() {
    let mut chaos = ChaCha8Rng::seed_from_u64(SEED);
    let mut home = Home::new();
    let mut link = home.start().await;
    let (mut at_once, mut window) = (0, 200_000.0);
    for kill in 0..ROLLBACK_KILLS {
        let number = u8::try_from(kill).unwrap_or(0);
        let [old, new] =
            [7, 107].map(|kind| RunId::new(1_700_000_000_000 + kill as u64, [kind + number; 10]));
        let spec = spec(kill).replace(&format!("evaluations = {AGENTS}"), "generations = 1000000");
        link.runs().start(start_request(old, &spec).keyed()).await.expect("the run starts");
        let made = async {
            while show(&link, old).await.generation < 9 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, made).await.expect("the run gets on");
        let to = Some(v1::rollback_request::To::Generation(5));
        let run_id = new.as_bytes().to_vec().into();
        let back = v1::RollbackRequest { run_id, run: old.to_string(), to };
        let (mut runs, request) = (link.runs(), back.clone().keyed());
        let asked = tokio::spawn(async move { runs.rollback(request).await });
        tokio::time::sleep(Duration::from_micros(chaos.random_range(0..window as u64))).await;
        home.kill();
        drop(asked.await);
        link = home.start().await;
        let there = v1::RunRef { run: new.to_string() };
        let made = link.runs().show(there).await.is_ok();
        at_once += usize::from(made);
        // However fast the machine is, some kills come before and some after.
        window = f64::min(window * if made { 0.5 } else { 2.0 }, LONGEST);
        let run = link.runs().rollback(back.keyed()).await.expect("it goes back").into_inner();
        assert_eq!(run.origin, old.as_bytes().to_vec(), "kill {kill}, seed {SEED}");
        assert_eq!((run.state.as_str(), run.origin_generation), ("stopped", 5));
        assert_eq!(show(&link, old).await.state, "stopped", "kill {kill}, seed {SEED}");
        let resume = v1::ResumeRequest {
            run: new.to_string(),
            generations: Some(9),
            ..v1::ResumeRequest::default()
        };
        link.runs().resume(resume).await.expect("it goes on");
        let run = finished(&link, new, PATIENCE).await;
        assert_eq!((run.state.as_str(), run.generation), ("finished", 9), "{}", run.reason);
        let agent = AgentId::try_from(&run.best_agent[..]).expect("a best agent").to_string();
        let verified = link.lineage().verify(v1::AgentRef { agent }).await;
        assert_eq!(verified.expect("its lineage is checked").into_inner().fault, "");
    }
    assert!((1..ROLLBACK_KILLS).contains(&at_once), "{at_once} of {ROLLBACK_KILLS} were made");
    let verified = link.operations().verify_store(v1::VerifyStoreRequest {}).await;
    assert_eq!(verified.expect("the store can be checked").into_inner().fault, "", "seed {SEED}");
}

/// How often the daemon is killed while it records an evaluation.
const APPEND_KILLS: usize = 24;

/// One more evaluation of an agent is recorded once or not at all, and asking again with the same
/// key tells which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evaluation_of_an_agent_is_recorded_once_whenever_the_daemon_is_killed() {
    let mut chaos = ChaCha8Rng::seed_from_u64(SEED);
    let mut home = Home::new();
    let mut link = home.start().await;
    let id = RunId::new(1_700_000_000_000, [8; 10]);
    let spec = spec(1).replace(&format!("evaluations = {AGENTS}"), "generations = 2");
    link.runs().start(start_request(id, &spec).keyed()).await.expect("the run starts");
    let run = finished(&link, id, PATIENCE).await;
    let agent = AgentId::try_from(&run.best_agent[..]).expect("a best agent").to_string();
    let (mut recorded, mut window) = (0, 20_000.0);
    for kill in 0..APPEND_KILLS {
        let request = || {
            let request = v1::EvaluateRequest {
                suite_toml: "name = \"other\"\nkind = \"builtin\"\nfunction = \"sphere\"\n\
                             dimensions = 60\n"
                    .to_owned(),
                what: Some(What::Agent(agent.clone())),
                repeat: 1,
                seed: kill as u64,
                ..v1::EvaluateRequest::default()
            };
            let mut request = tonic::Request::new(request);
            request.extensions_mut().insert(IdempotencyKey([kill as u8; 16]));
            request
        };
        let (mut calls, first) = (link.evaluations(), request());
        let asked = tokio::spawn(async move { calls.evaluate(first).await });
        tokio::time::sleep(Duration::from_micros(chaos.random_range(0..window as u64))).await;
        home.kill();
        let told = asked.await.expect("the call ends").ok();
        link = home.start().await;
        let before = later_seeds(&link, &agent).await;
        let there = before.contains(&(kill as u64));
        assert!(there || told.is_none(), "kill {kill}, seed {SEED}");
        recorded += usize::from(there);
        // However fast the machine is, some kills come before and some after.
        window = f64::min(window * if there { 0.5 } else { 2.0 }, LONGEST);
        for _ in 0..2 {
            let again = link.evaluations().evaluate(request()).await.expect("the evaluation");
            assert_eq!(again.into_inner().evaluations.len(), 1);
        }
        let seeds: Vec<_> = (0..=kill as u64).collect();
        assert_eq!(later_seeds(&link, &agent).await, seeds, "kill {kill}, seed {SEED}");
    }
    assert!((1..APPEND_KILLS).contains(&recorded), "{recorded} of {APPEND_KILLS} were recorded");
}

/// How often an evaluation is cut off.
const CUT_OFF: usize = 16;

/// What an evaluation that is asked for by an id is told.
async fn evaluated(link: &Link, id: AgentId, seed: u64) -> Result<Option<f64>, tonic::Status> {
    // No two have the same score.
    let suite = "name = \"noise\"\nkind = \"command\"\n\
                 argv = [\"sh\", \"-c\", \"echo '{\\\"combined_score\\\": '1$(date +%N)'}'\"]\n";
    let file = v1::File { path: "a.txt".to_owned(), ..v1::File::default() };
    let genome = v1::Genome { files: vec![file], ..v1::Genome::default() };
    let request = v1::EvaluateRequest {
        suite_toml: suite.to_owned(),
        what: Some(What::Genome(genome)),
        repeat: 2,
        seed,
        agent_id: id.as_bytes().to_vec().into(),
        ..v1::EvaluateRequest::default()
    };
    let answer = link.evaluations().evaluate(request.keyed()).await?.into_inner();
    assert_eq!((&answer.agent_id[..], answer.evaluations.len()), (&id.as_bytes()[..], 2));
    Ok(answer.whole.expect("the evaluations come to something").fitness)
}

/// An evaluation is made once or not at all, whoever is killed, and asking again tells which.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evaluation_is_made_once_whoever_is_killed_meanwhile() {
    let mut chaos = ChaCha8Rng::seed_from_u64(SEED);
    let mut home = Home::new();
    let mut link = home.start().await;
    let (mut kept, mut lost, mut window) = (0, 0, 100_000.0);
    for round in 0..CUT_OFF {
        let id = AgentId::new(1_700_000_000_000 + round as u64, [6; 10]);
        let asked = link.clone();
        let first = tokio::spawn(async move { evaluated(&asked, id, 1).await });
        tokio::time::sleep(Duration::from_micros(chaos.random_range(0..window as u64))).await;
        let told = if round % 2 == 0 {
            home.kill();
            let told = first.await.expect("the call ends");
            link = home.start().await;
            told.ok()
        } else {
            // The client goes; what it asked for may be at work still.
            first.abort();
            first.await.ok().and_then(Result::ok)
        };
        let again = evaluated(&link, id, 1).await.expect("the evaluation");
        assert!(again.is_some(), "round {round}, seed {SEED}");
        match told {
            Some(told) => {
                assert_eq!(told, again, "round {round}, seed {SEED}");
                (kept, window) = (kept + 1, window * 0.5);
            }
            None => (lost, window) = (lost + 1, f64::min(window * 2.0, LONGEST)),
        }
        assert_eq!(evaluated(&link, id, 1).await.expect("it is on record"), again);
        // Another evaluation by that id is refused.
        let other = evaluated(&link, id, 7).await.expect_err("another evaluation");
        assert_eq!(other.code(), tonic::Code::FailedPrecondition, "{other}");
    }
    assert!(kept > 0 && lost > 0, "{kept} were told of, {lost} not");
    let status = link.operations().status(v1::StatusRequest {}).await.expect("the status");
    assert_eq!(status.into_inner().agents, CUT_OFF as u64, "seed {SEED}");
}
