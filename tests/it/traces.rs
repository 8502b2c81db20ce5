//! Traces, at a receiver that speaks the real protocol, and what a collector can't do to calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use regex::Regex;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::{
    home::{get, until},
    shell::Shell,
};

const PARENT: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The span of who calls.
const CALLER: &str = "00f067aa0ba902b7";

/// A collector, and what it was sent: the service with each span.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    _runtime: Runtime,
}

#[derive(Clone)]
struct Takes(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Takes {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.0.lock().unwrap();
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = text(&attributes, "service.name").unwrap_or_default();
            let all = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(all.map(|span| (service.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let spans = Arc::default();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = TraceServiceServer::new(Takes(Arc::clone(&spans)));
        let serve = Server::builder().add_service(service);
        runtime.spawn(serve.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, spans, _runtime: runtime }
    }

    fn spans(&self) -> Vec<(String, Span)> {
        self.spans.lock().unwrap().clone()
    }

    /// The spans of a trace, as soon as these are there and none hangs from one that is not: client and
    /// daemon send theirs when they please.
    fn until(&self, trace: &str, names: &[&str]) -> Vec<(String, Span)> {
        until(&format!("{names:?} were sent"), || {
            let spans = self.spans();
            let of: Vec<_> =
                spans.into_iter().filter(|(_, span)| hex(&span.trace_id) == trace).collect();
            let there = |name: &&str| of.iter().any(|(_, span)| span.name == **name);
            let ids: BTreeSet<_> = of.iter().map(|(_, span)| hex(&span.span_id)).collect();
            let hangs = |(_, span): &(String, Span)| {
                let above = hex(&span.parent_span_id);
                above == CALLER || ids.contains(&above)
            };
            (names.iter().all(there) && of.iter().all(hangs)).then_some(of)
        })
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A shell whose daemon sends its traces there, soon.
fn traced(endpoint: &str, more: &str) -> Shell {
    let shell = Shell::with_sphere();
    let telemetry = format!("[telemetry]\nendpoint = \"{endpoint}\"\n{more}");
    fs::create_dir_all(shell.paths().config_file().parent().unwrap()).unwrap();
    fs::write(shell.paths().config_file(), telemetry).unwrap();
    shell
}

fn at(collector: &Collector) -> Shell {
    traced(&format!("http://{}", collector.address), "")
}

fn parent(flags: &str) -> String {
    format!("00-{PARENT}-{CALLER}-{flags}")
}

/// `darwin` with a parent and spans that are sent soon, by the daemon that it starts too.
fn run(shell: &Shell, line: &str, parent: &str) {
    let env = [("TRACEPARENT", parent), ("OTEL_BSP_SCHEDULE_DELAY", "100")];
    let said = shell.run_with(&env, line);
    assert_eq!(said.status, 0, "{line}: {}{}", said.out, said.err);
    assert!(!said.err.contains("trace"), "{}", said.err);
}

#[test]
fn the_parts_of_a_blob_are_stored_in_the_trace_of_its_call() {
    let collector = Collector::new();
    let shell = at(&collector);
    shell.write("weights", vec![7; 3 << 20]);
    run(&shell, "blob put weights", &parent("01"));
    let spans = collector.until(PARENT, &["darwin blob", "registry.commit", "cold.append"]);
    let span = |name: &str| spans.iter().map(|(_, span)| span).find(|span| span.name == name);
    let above = span("registry.commit").unwrap().parent_span_id.clone();
    assert!(spans.iter().any(|(_, span)| span.span_id == above && span.name == "handler"));
}

#[test]
fn one_command_is_one_trace_from_its_caller_to_the_disk() {
    let collector = Collector::new();
    let shell = at(&collector);
    run(&shell, "evolve sphere.toml --seed 1 --max-evaluations 40", &parent("01"));
    let parts = ["admission", "envelope.verify", "envelope.seal", "handler", "warm.transaction"];
    let spans = collector.until(PARENT, &[&parts[..], &["darwin evolve"]].concat());
    let services: BTreeSet<_> = spans.iter().map(|(service, _)| service.as_str()).collect();
    assert_eq!(services, BTreeSet::from(["darwin", "darwind"]));
    let ids: BTreeMap<_, _> =
        spans.iter().map(|(_, span)| (span.span_id.clone(), span.clone())).collect();
    // Each hangs from another one, up to the caller's.
    for span in ids.values() {
        let above = &span.parent_span_id;
        assert!(hex(above) == CALLER || ids.contains_key(above), "{} hangs in the air", span.name);
    }
    let way = |name: &str| {
        let mut at = ids.values().find(|span| span.name == name).cloned();
        let mut names = Vec::new();
        while let Some(span) = at {
            at = ids.get(&span.parent_span_id).cloned();
            names.push(span.name);
        }
        names
    };
    assert_eq!(
        way("cold.append"),
        [
            "cold.append",
            "registry.commit",
            "run.batch",
            "handler",
            "darwin.v1.Runs/Start",
            "darwin.v1.Runs/Start",
            "darwin evolve"
        ]
    );
    let served = |(service, span): &&(String, Span)| {
        service == "darwind" && span.name == "darwin.v1.Runs/Start"
    };
    let server = &spans.iter().find(served).unwrap().1.attributes;
    let protocols: BTreeSet<_> = spans
        .iter()
        .filter_map(|(_, span)| text(&span.attributes, "network.protocol.name"))
        .collect();
    assert_eq!(protocols, BTreeSet::from(["http".to_owned(), "websocket".to_owned()]));
    for (key, value) in [
        ("rpc.system", "grpc"),
        ("rpc.service", "darwin.v1.Runs"),
        ("rpc.method", "Start"),
        ("rpc.grpc.status_code", "0"),
        ("client.address", "127.0.0.1"),
    ] {
        assert_eq!(text(server, key).as_deref(), Some(value), "{key}");
    }
    // Nothing of what was sent, and nobody's name.
    let all = format!("{:?}", collector.spans());
    for secret in ["sphere", "ada", "population"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[test]
fn an_evaluation_shows_what_its_sandbox_took() {
    let collector = Collector::new();
    let shell = at(&collector);
    shell.write("task.py", "def evaluate(path):\n    return {'combined_score': 1.0}\n");
    shell.write("agent/main.py", "x = 1\n");
    shell.write(
        "s.toml",
        "name = \"s\"\nkind = \"python\"\nfiles = [\"task.py\"]\nevaluator = \"task.py\"\n",
    );
    run(&shell, "eval agent --suite s.toml", &parent("01"));
    collector.until(PARENT, &["darwin eval", "evaluation", "sandbox.start", "sandbox.run"]);
}

#[test]
fn what_the_caller_does_not_keep_or_names_wrongly_is_not_followed() {
    let collector = Collector::new();
    let shell = at(&collector);
    run(&shell, "runs list", &parent("00"));
    for wrong in ["rubbish", "00-0-0-01", ""] {
        run(&shell, "runs list", wrong);
    }
    let lists = || {
        let spans = collector.spans();
        let lists = spans.iter().filter(|(_, span)| span.name == "darwin runs");
        lists.map(|(_, span)| (hex(&span.trace_id), span.parent_span_id.len())).collect::<Vec<_>>()
    };
    until("three lists are there", || (lists().len() == 3).then_some(()));
    assert!(lists().iter().all(|(trace, parent)| trace != PARENT && *parent == 0));
    assert!(collector.spans().iter().all(|(_, span)| hex(&span.trace_id) != PARENT));
}

#[test]
fn of_the_traces_that_begin_here_a_share_is_kept() {
    let collector = Collector::new();
    let shell = traced(&format!("http://{}", collector.address), "sample_percent = 0\n");
    for _ in 0..3 {
        let said = shell.run_with(&[("OTEL_BSP_SCHEDULE_DELAY", "100")], "runs list");
        assert_eq!(said.status, 0, "{}", said.err);
    }
    run(&shell, "runs list", &parent("01"));
    let spans = collector.until(PARENT, &["darwin runs"]);
    assert!(!spans.is_empty());
    assert!(collector.spans().iter().all(|(_, span)| hex(&span.trace_id) == PARENT));
}

#[test]
fn a_collector_that_is_away_or_silent_or_talks_rubbish_holds_nothing_up() {
    let quiet = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let rubbish = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let talks = rubbish.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in rubbish.incoming().flatten() {
            let mut stream = stream;
            let _ = std::io::Write::write_all(&mut stream, &[b'?'; 4096]);
        }
    });
    for address in [gone, quiet.local_addr().unwrap(), talks] {
        let shell = traced(&format!("http://{address}"), "");
        let begun = Instant::now();
        for _ in 0..3 {
            let before = Instant::now();
            let said = shell.run("runs list");
            assert_eq!(said.status, 0, "{}", said.err);
            // The start of a daemon is in it, once; the end of `darwin` waits a second at most.
            let most = if before == begun { 20 } else { 3 };
            assert!(before.elapsed() < Duration::from_secs(most), "{:?}", before.elapsed());
        }
        let said = shell.json("evolve sphere.toml --seed 1 --max-evaluations 4000");
        assert_eq!(said["state"], "finished", "{said}");
        shell.good("down");
    }
}

#[test]
fn every_metric_that_is_exposed_is_in_the_table_and_the_other_way_round() {
    let root = env!("CARGO_MANIFEST_DIR");
    let table = fs::read_to_string(format!("{root}/doc/metrics.md")).unwrap();
    let row = Regex::new(r"(?m)^\| `([a-z_]+)` \| (counter|gauge|histogram) \|").unwrap();
    let rows: BTreeMap<_, _> =
        row.captures_iter(&table).map(|row| (row[1].to_owned(), row[2].to_owned())).collect();
    // What the sources name is what there can be.
    let name = Regex::new(r#""((?:darwin|process)_[a-z_]+)""#).unwrap();
    let mut named = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(root).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path)
                && ["counter!", "gauge!", "histogram!"].iter().any(|kind| text.contains(kind))
            {
                named.extend(name.captures_iter(&text).map(|name| name[1].to_owned()));
            }
        }
    }
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), named);
    let shell = Shell::with_sphere();
    shell.good("evolve sphere.toml --seed 1 --max-evaluations 40");
    let missing = shell.run("runs show nothing");
    assert_ne!(missing.status, 0);
    let (_, exposed) = get(shell.daemon().unwrap().admin, "/metrics");
    let kinds = Regex::new(r"(?m)^# TYPE (\S+) (\S+)$").unwrap();
    let exposed: BTreeMap<_, _> = kinds
        .captures_iter(&exposed)
        .map(|kind| (kind[1].to_owned(), kind[2].to_owned()))
        .collect();
    assert!(exposed.len() > 10, "{exposed:?}");
    for (name, kind) in exposed {
        assert_eq!(rows.get(&name), Some(&kind), "{name}");
    }
}
