//! The daemon's services as a client sees them: over a real link, on a real store.

use std::{sync::Arc, time::Instant};

use darwin::{
    code::Code,
    domain::{evaluation::Isolation, id::RunId},
    link::{
        client::Link,
        endpoint::Endpoint,
        pki::{Pki, SERVER_NAME, Usage},
        tls,
    },
    wire::{
        convert,
        envelope::{IdempotencyKey, Keyed as _},
        fault::Fault,
        v1::{
            self, evaluate_request::What, operations_client::OperationsClient,
            runs_client::RunsClient,
        },
    },
};
use futures_util::StreamExt as _;
use rustix::process::Signal;

use crate::home::{Home, PATIENCE};

const SUITE: &str =
    "name = \"sphere\"\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 4\n";

fn spec(stop: &str) -> String {
    format!(
        "name = \"bowl\"\nseed = 7\n[search]\npopulation = 16\n[stop]\n{stop}\n[suite]\n{SUITE}"
    )
}

fn request(id: RunId, spec: String) -> v1::StartRequest {
    v1::StartRequest {
        run_id: convert::bytes(id.as_bytes()),
        spec_toml: spec,
        ..Default::default()
    }
}

fn id(n: u8) -> RunId {
    RunId::new(1_700_000_000_000, [n; 10])
}

async fn start(link: &Link, id: RunId, spec: String) -> v1::Run {
    link.runs().start(request(id, spec).keyed()).await.unwrap().into_inner()
}

async fn show(link: &Link, run: &str) -> Result<v1::Run, Fault> {
    let answer = link.runs().show(v1::RunRef { run: run.to_owned() }).await;
    Ok(answer.map_err(Fault::from)?.into_inner())
}

/// Every progress of a run until it rests.
async fn follow(link: &Link, id: RunId) -> Vec<v1::Run> {
    let events = link.watch(&id.to_string()).await.unwrap();
    let runs = events.map(|event| event.unwrap().run.unwrap()).collect();
    tokio::time::timeout(PATIENCE, runs).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_followed_to_its_end_and_read_afterwards() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    let begun = Instant::now();
    let started = start(&link, id(1), spec("evaluations = 2000")).await;
    assert_eq!((started.state.as_str(), started.seed), ("running", 7));
    assert!(started.spec_toml.contains("[suite]") && !started.maximize);
    let seen = follow(&link, id(1)).await;
    let most = 2.0 + begun.elapsed().as_secs_f64() * 20.0;
    assert!((seen.len() as f64) <= most, "{} in {:?}", seen.len(), begun.elapsed());
    assert!(seen.windows(2).all(|pair| pair[0].agents <= pair[1].agents));
    let last = seen.last().unwrap();
    assert_eq!((last.state.as_str(), last.agents), ("finished", 2000));

    // By a start of its id, and the same again without a second one.
    let shown = show(&link, &id(1).to_string()[..13]).await.unwrap();
    assert_eq!((shown.best, shown.agents), (last.best, 2000));
    let again = start(&link, id(1), spec("evaluations = 5")).await;
    assert_eq!((again.agents, again.state.as_str()), (2000, "finished"));
    let listed = link.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.runs.len(), 1);

    // Its tree, in pages; its best agent, with all that made it.
    let mut agents = Vec::new();
    let mut cursor = bytes::Bytes::new();
    loop {
        let page = v1::PageRequest { of: id(1).to_string(), limit: 300, cursor };
        let page = link.lineage().tree(page).await.unwrap().into_inner();
        assert!(page.agents.len() <= 300);
        agents.extend(page.agents);
        cursor = page.cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(agents.len(), 2000);
    let best = agents.iter().filter_map(|agent| agent.score).fold(f64::INFINITY, f64::min);
    assert_eq!(Some(best), last.best);
    let name = uuid(&last.best_agent);
    let agent = v1::AgentRef { agent: name.clone() };
    let shown = link.agents().show(agent.clone()).await.unwrap().into_inner();
    assert_eq!((shown.score, shown.genome.len()), (last.best, 64));
    let genome = link.agents().genome(agent.clone()).await.unwrap().into_inner();
    assert_eq!(genome.params.len(), 4);
    let page = v1::PageRequest { of: name.clone(), limit: 1000, ..Default::default() };
    let ancestors = link.lineage().ancestors(page).await.unwrap().into_inner().agents;
    assert!(!ancestors.is_empty() && ancestors.iter().all(|other| other.id != shown.id));
    let found = link.lineage().verify(agent).await.unwrap().into_inner();
    assert_eq!((found.fault.as_str(), found.contents), ("", true));
    assert_eq!(found.agents, ancestors.len() as u64 + 1);
    let export = v1::ExportRequest { agent: name, disclose: false };
    let mut chunks = link.lineage().export(export).await.unwrap().into_inner();
    let mut size = 0;
    while let Some(chunk) = chunks.message().await.unwrap() {
        size += chunk.data.len();
    }
    assert!(size > 1000 * ancestors.len(), "{size}");

    // Its journals, filtered, in pages.
    let mut cursor = bytes::Bytes::new();
    let mut champions = Vec::new();
    loop {
        let only = ["champion", "judged"].map(str::to_owned).to_vec();
        let of = id(1).to_string();
        let request = v1::JournalRequest { of, only, limit: 7, cursor, ..Default::default() };
        let page = link.journals().read(request).await.unwrap().into_inner();
        champions.extend(page.entries);
        cursor = page.cursor;
        if cursor.is_empty() {
            break;
        }
    }
    assert!(!champions.is_empty());
    for entry in champions {
        let [v1::Event { event: Some(v1::event::Event::Judged(judged)) }] = &entry.events[..]
        else {
            panic!("{entry:?}")
        };
        assert_eq!(judged.verdict, "champion");
    }
    let found = link.operations().verify_store(v1::VerifyStoreRequest {}).await.unwrap();
    assert_eq!((found.get_ref().fault.as_str(), found.get_ref().agents), ("", 2000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_stopped_resumed_and_survives_a_drain() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    start(&link, id(1), spec("evaluations = 10000000")).await;
    let named = || v1::RunRef { run: id(1).to_string() };
    let stopped = link.runs().stop(named()).await.unwrap().into_inner();
    assert_eq!(stopped.state, "stopped");
    let fault = Fault::from(link.runs().stop(named()).await.unwrap_err());
    assert_eq!(fault.code(), Code::Conflict);
    assert_eq!(follow(&link, id(1)).await.len(), 1);

    let resume = |evaluations| v1::ResumeRequest {
        run: id(1).to_string(),
        evaluations: Some(evaluations),
        ..Default::default()
    };
    let resumed = link.runs().resume(resume(20_000_000)).await.unwrap().into_inner();
    assert_eq!(resumed.state, "running");
    assert!(resumed.spec_toml.contains("20000000"), "{}", resumed.spec_toml);

    // A drain takes leave of who follows, and the run goes on at the next start.
    let mut events = link.watch(&id(1).to_string()).await.unwrap();
    let first = events.next().await.unwrap().unwrap().run.unwrap();
    home.signal(Signal::TERM);
    let broken = loop {
        match tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap() {
            Ok(progress) => assert_eq!(progress.run.unwrap().state, "running"),
            Err(error) => break error,
        }
    };
    assert_eq!(broken.code(), Code::Unavailable);
    assert_eq!(home.wait().code(), Some(0), "{}", home.log());

    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    let mut events = link.watch(&id(1).to_string()).await.unwrap();
    let later = events.next().await.unwrap().unwrap().run.unwrap();
    assert_eq!(later.state, "running");
    assert!(later.agents >= first.agents, "{} < {}", later.agents, first.agents);
    let status = link.operations().status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.running, 1);
    assert!(status.tiers.iter().all(|tier| tier.healthy), "{:?}", status.tiers);
    link.runs().stop(named()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_refused_with_its_code_and_leaves_nothing() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    let good = || request(id(1), spec("evaluations = 10"));
    let file = |path: &str| v1::File { path: path.to_owned(), ..Default::default() };
    let bad = [
        (v1::StartRequest { run_id: b"short".as_slice().into(), ..good() }, "run_id"),
        (v1::StartRequest { sandbox: "none".to_owned(), ..good() }, "full or reduced"),
        (v1::StartRequest { agent_files: vec![file("../x")], ..good() }, "../x"),
        (v1::StartRequest { spec_toml: "name = \"x\"".to_owned(), ..good() }, "suite"),
        (v1::StartRequest { session_id: vec![1; 16].into(), ..good() }, "session"),
    ];
    for (request, part) in bad {
        let fault = Fault::from(link.runs().start(request.keyed()).await.unwrap_err());
        assert!(matches!(fault.code(), Code::InvalidInput | Code::NotFound), "{fault:?}");
        assert!(fault.message.contains(part), "{fault}");
    }
    assert_eq!(show(&link, "0198").await.unwrap_err().code(), Code::NotFound);
    assert_eq!(show(&link, "").await.unwrap_err().code(), Code::NotFound);
    let only = vec!["divergent".to_owned()];
    let request = v1::JournalRequest { of: "0198".to_owned(), only, ..Default::default() };
    assert!(link.journals().read(request).await.is_err());
    assert_eq!(link.watch("0198").await.err().unwrap().code(), Code::NotFound);
    let runs = link.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    assert_eq!(runs, []);

    // Two whose ids begin alike.
    for n in [1, 2] {
        start(&link, id(n), spec("evaluations = 10")).await;
    }
    let fault = show(&link, &id(1).to_string()[..13]).await.unwrap_err();
    assert!(fault.message.contains("several runs"), "{fault}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_genome_is_evaluated_by_hand_and_recorded() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    let param = |n: usize, value| v1::Param {
        name: format!("x{n}"),
        value: Some(v1::param::Value::Real(value)),
    };
    let genome =
        v1::Genome { params: (0..4).map(|n| param(n, 0.5)).collect(), ..Default::default() };
    let request = v1::EvaluateRequest {
        suite_toml: SUITE.to_owned(),
        what: Some(What::Genome(genome.clone())),
        repeat: 2,
        ..Default::default()
    };
    let answer = link.evaluations().evaluate(request).await.unwrap().into_inner();
    assert_eq!((answer.evaluations.len(), &answer.objectives[..]), (2, &["score".to_owned()][..]));
    for evaluation in &answer.evaluations {
        assert_eq!((evaluation.fitness, &evaluation.scores[..]), (Some(1.0), &[1.0][..]));
        assert_eq!(evaluation.isolation, isolation(Isolation::NoCode));
    }
    let agent = v1::AgentRef { agent: uuid(&answer.agent_id) };
    let stored = link.agents().genome(agent.clone()).await.unwrap().into_inner();
    assert_eq!(stored, genome);
    // The sphere is minimised: no sign of its fitness shows.
    let shown = link.agents().show(agent.clone()).await.unwrap().into_inner();
    assert_eq!((shown.score, shown.verdict.as_str()), (Some(1.0), "scored"));
    assert_eq!(link.lineage().verify(agent).await.unwrap().into_inner().fault, "");
    let nothing = v1::EvaluateRequest { suite_toml: SUITE.to_owned(), ..Default::default() };
    let fault = Fault::from(link.evaluations().evaluate(nothing).await.unwrap_err());
    assert_eq!(fault.code(), Code::InvalidInput);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_made_closed_and_come_back() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    let session_id: bytes::Bytes = vec![3; 16].into();
    let request =
        v1::CreateSessionRequest { session_id: session_id.clone(), name: "one".to_owned() };
    for _ in 0..2 {
        let made = link.sessions().create(request.clone().keyed()).await.unwrap().into_inner();
        assert_eq!((made.name.as_str(), made.user.as_str()), ("one", "ada"));
    }
    // A key that is not the id would be another change.
    let mut other = request.clone().keyed();
    other.extensions_mut().insert(IdempotencyKey([4; 16]));
    let fault = Fault::from(link.sessions().create(other).await.unwrap_err());
    assert_eq!(fault.code(), Code::InvalidInput, "{fault}");
    let run = v1::StartRequest { session_id: session_id.clone(), ..request_of(id(1)) };
    link.runs().start(run.clone().keyed()).await.unwrap();
    follow(&link, id(1)).await;
    let named = v1::SessionRef { session: uuid(&session_id) };
    assert!(link.sessions().close(named.clone()).await.unwrap().into_inner().closed);
    let refused = v1::StartRequest { run_id: convert::bytes(id(2).as_bytes()), ..run };
    let fault = Fault::from(link.runs().start(refused.keyed()).await.unwrap_err());
    assert_eq!(fault.code(), Code::Conflict, "{fault}");
    let all = async |closed_too| {
        let request = v1::ListSessionsRequest { closed_too };
        link.sessions().list(request).await.unwrap().into_inner().sessions.len()
    };
    assert_eq!((all(false).await, all(true).await), (0, 1));
    let back = link.sessions().resume(named).await.unwrap().into_inner();
    assert_eq!((back.closed, back.runs.len()), (false, 1));
    assert_eq!(back.runs[0].state, "finished");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_limit_is_refused() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    let large = v1::File { content: vec![0; 65 << 20].into(), ..Default::default() };
    let request = v1::StartRequest { agent_files: vec![large], ..request_of(id(1)) };
    let fault = Fault::from(link.runs().start(request.keyed()).await.unwrap_err());
    assert_eq!(fault.code(), Code::InvalidInput, "{fault}");
    assert!(fault.message.contains("67108864 bytes"), "{fault}");
    assert_eq!(show(&link, &id(1).to_string()).await.unwrap_err().code(), Code::NotFound);
    // It is as well as before.
    let checks = link.operations().doctor(v1::DoctorRequest {}).await.unwrap();
    assert!(
        checks.get_ref().checks.iter().any(|check| check.name == "store" && check.state == "ok")
    );
}

fn request_of(id: RunId) -> v1::StartRequest {
    request(id, spec("evaluations = 10"))
}

fn uuid(bytes: &[u8]) -> String {
    RunId::try_from(bytes).unwrap().to_string()
}

fn isolation(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::NoCode => "no-code",
        Isolation::Full => "full",
        Isolation::Reduced => "reduced",
    }
}

/// A channel of tonic's own on a connection with this home's certificate: a gRPC client that
/// knows nothing of envelopes.
async fn plain(home: &Home, endpoint: &Endpoint) -> tonic::transport::Channel {
    let identity = Pki::at(home.paths().pki()).identity(Usage::Client).unwrap();
    let config = tls::client(&identity, tls::H2).unwrap();
    let stream = tokio::net::TcpStream::connect(endpoint.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(SERVER_NAME).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.unwrap();
    let mut stream = Some(hyper_util::rt::TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        std::future::ready(stream.take().ok_or_else(|| std::io::Error::other("only once")))
    });
    let target = tonic::transport::Endpoint::from_static("http://darwind");
    target.connect_with_connector(connector).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_grpc_clients_may_read_if_the_operator_says_so_and_never_write() {
    for allowed in [false, true] {
        let mut home = Home::new();
        let mut command = home.darwind(&[]);
        command.env("DARWIN_SERVER__PLAIN_READS", allowed.to_string());
        let endpoint = home.spawn(command);
        let channel = plain(&home, &endpoint).await;
        let mut operations = OperationsClient::new(channel.clone());
        let read = operations.status(v1::StatusRequest {}).await;
        assert_eq!(read.is_ok(), allowed);
        let start = request(id(1), spec("evaluations = 10"));
        let refused = Fault::from(RunsClient::new(channel).start(start).await.unwrap_err());
        assert_eq!(refused.code(), Code::Denied, "{refused}");
        operations.shutdown(v1::ShutdownRequest {}).await.unwrap_err();
        let link = home.link(&endpoint).await;
        let listed = link.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner();
        assert!(listed.runs.is_empty());
    }
}
