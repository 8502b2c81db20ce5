//! What people and their programs write.

use std::{fs, path::Path};

use darwin::{
    config::{cases as case_files, layers, openevolve as problems, spec as specs, suite as suites},
    daemon::evaluator::{frame as frames, metrics, results as outcomes, rpc as lines},
    domain::{
        evaluation::Metric,
        genome::{File, FilePath},
        suite::{Bundle, Cases, Protocol, Scorer},
    },
};
use serde_json::Value;

use super::choice;

thread_local! {
    static DIR: tempfile::TempDir = tempfile::tempdir().expect("a temporary directory");
}

fn within<T>(work: impl FnOnce(&Path) -> T) -> T {
    DIR.with(|dir| work(dir.path()))
}

/// A spec with its suite: what is taken can be written, and then says the same.
pub fn spec(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(spec) = specs::parse(text) else { return false };
    // A seed may have no counterpart in TOML.
    let Ok(written) = specs::to_toml(&spec) else { return false };
    let again = specs::parse(&written).expect("our own");
    assert_eq!(again, spec);
    let _ = specs::check_files(&spec, &Bundle::new(), &Bundle::new());
    true
}

/// A suite: the same.
pub fn suite(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(suite) = suites::parse(text) else { return false };
    let again = suites::parse(&suites::to_toml(&suite).expect("it was read")).expect("our own");
    assert_eq!(again, suite);
    let _ = suites::check_files(&suite, "", &Bundle::new());
    true
}

/// The daemon's configuration: what is taken has no faults, and can be shown.
pub fn config(data: &[u8]) -> bool {
    within(|dir| {
        let file = dir.join("darwind.toml");
        fs::write(&file, data).expect("a file can be written");
        let Ok(loaded) = layers::Loaded::load(&layers::sources(&file, None, Vec::new())) else {
            return false;
        };
        assert!(loaded.config.faults().is_empty() && !loaded.values().is_empty());
        true
    })
}

/// The configuration of an OpenEvolve problem: what is taken is a spec as any other.
pub fn openevolve(data: &[u8]) -> bool {
    within(|dir| {
        let write = |name: &str, content: &[u8]| {
            fs::write(dir.join(name), content).expect("a file can be written");
        };
        write("initial_program.py", b"x = 1\n");
        write("evaluator.py", b"def evaluate(path): return {}\n");
        write("config.yaml", data);
        let Ok(project) = problems::load(dir) else { return false };
        let written = specs::to_toml(&project.spec);
        let Ok(written) = written else { return false };
        assert_eq!(specs::parse(&written).expect("our own").suite, project.spec.suite);
        true
    })
}

/// A file of cases: each has a name of its own and a weight that counts.
pub fn cases(data: &[u8]) -> bool {
    let (how, rest) = choice(data);
    let cases = Cases {
        argv: vec!["{agent}/main".to_owned()],
        cases: Some("cases.jsonl".to_owned()),
        stages: Vec::new(),
        held_out: None,
        protocol: if how % 2 == 0 { Protocol::default() } else { Protocol::JsonRpc },
        scorer: Scorer::default(),
        attempts: 1,
        build: None,
    };
    let path = FilePath::new("cases.jsonl").expect("a path");
    let file = File { bytes: rest.to_vec().into(), executable: false };
    let Ok(set) = case_files::read(&cases, "", &Bundle::from([(path, file)])) else { return false };
    let all: Vec<_> = set.stages.iter().flat_map(|(cases, _)| cases).chain(&set.held_out).collect();
    let mut ids: Vec<_> = all.iter().map(|case| &case.id).collect();
    ids.sort();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    assert!(all.iter().all(|case| case.weight.is_finite() && case.weight > 0.0));
    true
}

/// A line of JSON-RPC that a candidate wrote: what is taken for an answer is in the line.
pub fn rpc(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let answer = lines::answer(text, 1);
    if let Ok(answer) = &answer {
        let line: Value = serde_json::from_str(text).expect("it was taken");
        assert_eq!((&line["result"], &line["id"]), (answer, &Value::from(1)));
    }
    let request = lines::request(1, &Value::from(text));
    assert_eq!(request.iter().position(|byte| *byte == b'\n'), Some(request.len() - 1));
    answer.is_ok()
}

/// A frame between the daemon and a sandbox: never longer than its limit, and what is taken is
/// what was sent.
pub fn frame(data: &[u8]) -> bool {
    const LIMIT: usize = 1 << 16;
    let mut rest = data;
    let Ok(frame) = frames::read(&mut rest, LIMIT) else { return false };
    let used = data.len() - rest.len();
    assert!(used <= LIMIT + 4);
    assert_eq!(frame.bytes().expect("it was read"), data[..used]);
    let _ = frame.header::<Value>();
    let mut whole = data;
    let received = futures_util::FutureExt::now_or_never(frames::receive(&mut whole, LIMIT));
    let received = received.expect("all is there").expect("it was read");
    assert_eq!((received.bytes().expect("the same"), whole), (data[..used].to_vec(), rest));
    true
}

/// What an evaluator left or printed: never more metrics than may be, nor numbers that are none.
pub fn results(data: &[u8]) -> bool {
    let finite = |metric: &Metric| match metric {
        Metric::Number(number) => number.is_finite(),
        Metric::Flag(_) | Metric::Text(_) => true,
    };
    if let Ok(measured) = outcomes::measured(Ok(data)) {
        assert!(measured.metrics.len() <= metrics::MAX_METRICS);
        assert!(measured.metrics.values().all(finite));
    }
    if let Ok(found) = metrics::object(data) {
        assert!(found.len() <= metrics::MAX_METRICS && found.values().all(finite));
    }
    if outcomes::verdict(Ok(data)).is_ok() {
        let members = metrics::members(data).expect("it was taken");
        assert_eq!(members["correct"], Value::Bool(true));
    }
    metrics::object(data).is_ok()
}
