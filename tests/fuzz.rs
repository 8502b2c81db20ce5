//! The decoders on the committed corpus and on what is near it, without a fuzzer: the checks are
//! those of `fuzz/`, which `scripts/fuzz` drives for longer and by coverage.
//!
//! `DARWIN_TEST_WRITE=1` writes anew what our own encoders make for the corpus.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data should stop")]

#[path = "../fuzz/src/lib.rs"]
mod checks;

use std::{
    collections::BTreeMap,
    fs,
    io::Cursor,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use darwin::{
    domain::{
        digest::Digest,
        evaluation::{Evaluation, Metric},
        genome::{File, FilePath, Genome},
        id::AgentId,
        journal::{Evaluated, Event, Judged, Proposed},
        lifecycle::Verdict,
    },
    evolution::engine::Engine,
    link::{frames, pki::Pki},
    provenance::{
        car::CarReader,
        cbor::Reader,
        entry::{self, Keys, Link},
        seal::BlobKind,
        sign::KeyRing,
    },
    wire::{
        fault::Fault,
        v1::{self, Frame, Frames, frame::What},
    },
};
use prost::Message as _;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// How many inputs near the corpus each check gets, and how long that may take.
const NEAR: (usize, Duration) = (2000, Duration::from_millis(400));
/// The largest input, in bytes.
const MOST: usize = 64 << 10;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let files = fs::read_dir(folder(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs a check, and tells whether the input was taken; names the one that it does not hold for.
fn hold((name, check): (&str, checks::Check), input: &[u8]) -> bool {
    catch_unwind(|| check(input)).unwrap_or_else(|_| {
        let file = std::env::temp_dir().join(format!("darwin-fuzz-{name}"));
        fs::write(&file, input).unwrap();
        panic!("{name} does not hold for the {} bytes of {}", input.len(), file.display());
    })
}

#[test]
fn every_check_holds_for_the_corpus_and_for_what_is_near_it() {
    let mut tried = BTreeMap::new();
    for (number, check) in checks::CHECKS.into_iter().enumerate() {
        let seeds = corpus(check.0);
        assert!(!seeds.is_empty(), "{} has no corpus", check.0);
        for seed in &seeds {
            hold(check, seed);
        }
        let mut draw = ChaCha8Rng::seed_from_u64(number as u64);
        let begun = Instant::now();
        let near = (0..NEAR.0).take_while(|_| begun.elapsed() < NEAR.1);
        let near = near.map(|_| hold(check, &mutated(&seeds, &mut draw))).count();
        tried.insert(check.0, near);
    }
    assert!(tried.values().all(|tried| *tried > 0), "{tried:?}");
}

#[test]
fn every_decoder_has_its_check_its_target_and_its_corpus() {
    assert_eq!(checks::wire::unchecked_requests(), Vec::<&str>::new());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in checks::CHECKS {
        assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is no target");
        assert!(root.join(format!("fuzz/targets/{name}.rs")).exists(), "{name} is no target");
        let size: usize = corpus(name).iter().map(Vec::len).sum();
        assert!((1..64 << 10).contains(&size), "the corpus of {name} has {size} bytes");
    }
}

/// Something near one of the seeds.
fn mutated(seeds: &[Vec<u8>], draw: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = seeds[draw.random_range(0..seeds.len())].clone();
    for _ in 0..draw.random_range(1..4) {
        let at = draw.random_range(0..=bytes.len());
        let end = draw.random_range(at..=bytes.len().min(at + 64));
        match draw.random_range(0..7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << draw.random_range(0..8),
            1 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][draw.random_range(0..5)],
            2 => bytes.insert(at, draw.random()),
            3 => drop(bytes.drain(at..end)),
            4 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            5 => {
                let other = &seeds[draw.random_range(0..seeds.len())];
                let from = draw.random_range(0..=other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            _ => {
                let mut noise = [0; 8];
                draw.fill_bytes(&mut noise);
                bytes.splice(at..end, noise);
            }
        }
    }
    bytes.truncate(MOST);
    bytes
}

/// The corpus that our own encoders make.
fn made() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let mut made = Vec::new();
    wire(&mut |check, name, bytes| made.push((check, name, bytes)));
    durable(&mut |check, name, bytes| made.push((check, name, bytes)));
    texts(&mut |check, name, bytes| made.push((check, name, bytes)));
    made
}

type Put<'a> = &'a mut dyn FnMut(&'static str, &'static str, Vec<u8>);

fn spec_toml() -> String {
    "name = \"bowl\"\nseed = 7\n[search]\npopulation = 16\n[stop]\nevaluations = 100\n[suite]\n\
     name = \"sphere\"\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 4\n"
        .to_owned()
}

const SUITE: &str = "name = \"words\"\nkind = \"cases\"\nargv = [\"{agent}/main\"]\n\
    cases = \"cases.jsonl\"\nattempts = 3\n[limits]\ntime = 2.5\n[scorer]\nkind = \"exact\"\n";

fn wire(put: Put<'_>) {
    let start = v1::StartRequest {
        run_id: vec![5; 16].into(),
        spec_toml: spec_toml(),
        agent_files: vec![v1::File { path: "a/b.py".to_owned(), ..Default::default() }],
        ..Default::default()
    };
    let payload = start.encode_to_vec();
    put("envelope", "request", checks::wire::sealed(&payload));
    put("envelope", "empty", checks::wire::sealed(b""));
    let envelope = v1::Envelope::decode(&checks::wire::sealed(b"payload")[..]).unwrap();
    put("header", "request", [&[7][..], b"payload", &envelope.header].concat());
    let message =
        |bytes: &[u8]| frames::plain([bytes.to_vec().into(), Default::default()]).concat();
    let packed =
        |bytes: &[u8]| frames::compressed([bytes.to_vec().into(), Default::default()]).concat();
    put(
        "frames",
        "plain",
        [&[3][..], &message(b"one"), &message(b""), &message(&[9; 300])].concat(),
    );
    let text = spec_toml().repeat(20);
    put("frames", "packed", [&[200][..], &packed(text.as_bytes()), &message(b"two")].concat());
    let sent = |number, seen, whats: Vec<What>| {
        let frames = whats.into_iter().map(|what| Frame { channel: 1, what: Some(what) });
        let bytes = Frames { number, seen, frames: frames.collect() }.encode_to_vec();
        [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()
    };
    let open = v1::Open {
        method: "/darwin.v1.Runs/Start".to_owned(),
        message: payload.clone().into(),
        idempotency_key: vec![6; 16].into(),
        ..Default::default()
    };
    let hello = v1::Hello { major: 1, minor: 0, token: vec![8; 32].into() };
    let line = [
        sent(0, 0, vec![What::Hello(hello)]),
        sent(1, 1, vec![What::Open(open), What::More(vec![1; 9].into()), What::Done(true)]),
        sent(2, 2, vec![What::Credit(131_072), What::Cancel(true)]),
        sent(0, 3, vec![]),
        sent(3, 3, vec![What::Part(vec![2; 40].into()), What::End(v1::End::default())]),
    ];
    put("line", "whole", line.concat());
    put("line", "repeated", [&line[1..3].concat()[..], &line[1..].concat()].concat());
    let numbers = [1_u64, 3, 2, 2, 65_538, 3, 4, u64::MAX, 0].map(u64::to_be_bytes);
    put("replay", "numbers", numbers.concat());
    let status = tonic::Status::from(Fault::new(darwin::code::Code::Exhausted, "it is full"));
    put("fault", "details", [&[8][..], status.details()].concat());
    let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\0a=b,c=d";
    put("fault", "trace", [&[8][..], parent].concat());
    let genome = v1::Genome {
        files: vec![v1::File { path: "x".to_owned(), content: "y".into(), executable: true }],
        params: [("r", v1::param::Value::Real(0.5)), ("i", v1::param::Value::Integer(-3))]
            .map(|(name, value)| v1::Param { name: name.to_owned(), value: Some(value) })
            .to_vec(),
        ..Default::default()
    };
    let evaluate = v1::EvaluateRequest {
        suite_toml: SUITE.to_owned(),
        what: Some(v1::evaluate_request::What::Genome(genome)),
        ..Default::default()
    };
    let rollback = v1::RollbackRequest { run_id: vec![1; 16].into(), ..Default::default() };
    let context = v1::SetContextRequest { session: "s".to_owned(), text: "é".to_owned() };
    for (name, bytes) in [
        ("StartRequest", payload),
        ("EvaluateRequest", evaluate.encode_to_vec()),
        ("RollbackRequest", rollback.encode_to_vec()),
        ("SetContextRequest", context.encode_to_vec()),
    ] {
        let which = checks::wire::REQUESTS.iter().position(|(it, _)| *it == name).unwrap();
        put("requests", name, [&[which as u8][..], &bytes].concat());
    }
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    pki.init(std::time::SystemTime::now()).unwrap();
    let ca = fs::read(dir.path().join("ca.pem")).unwrap();
    put("certificate", "authority", pem::parse(ca).unwrap().contents().to_vec());
    let (role, days) = (darwin::domain::role::Role::User, Duration::from_hours(24));
    let bob = pki.issue("bob", role, days, std::time::SystemTime::now()).unwrap();
    put("certificate", "client", bob.certificate.to_vec());
}

/// The blocks of the export among the test vectors, and its file.
fn vector() -> (Vec<u8>, Vec<darwin::provenance::block::Block>) {
    let hex = include_str!("vectors/export.hex");
    let digits: Vec<_> = hex.bytes().filter_map(|digit| (digit as char).to_digit(16)).collect();
    let file: Vec<u8> = digits.chunks(2).map(|two| (two[0] * 16 + two[1]) as u8).collect();
    let (mut car, _) = CarReader::new(Cursor::new(&file)).unwrap();
    let mut blocks = Vec::new();
    while let Some(framed) = car.next().unwrap() {
        blocks.push(framed.block);
    }
    (file, blocks)
}

fn durable(put: Put<'_>) {
    let (file, blocks) = vector();
    put("car", "export", file.clone());
    put("export", "whole", [&[0][..], &file].concat());
    let mut from = Reader::new(&blocks[0].bytes, "vector");
    from.map_of(2).unwrap();
    from.key("sig").unwrap();
    from.bytes().unwrap();
    from.key("statement").unwrap();
    let statement = from.bytes().unwrap();
    let length = (statement.len() as u16).to_be_bytes();
    // Behind its root, whose frame begins behind the header.
    let (mut car, _) = CarReader::new(Cursor::new(&file)).unwrap();
    car.next().unwrap();
    let rest = &file[car.at() as usize..];
    put("export", "signed", [&[1][..], &length, statement, rest].concat());
    let mut ring = KeyRing::new();
    ring.trust(checks::durable::signer().public()).unwrap();
    let sealer = checks::durable::sealer();
    let read = blocks.iter().find_map(|block| Some((block, entry::read(block, &ring).ok()?)));
    let (block, _) = read.unwrap();
    put("entry", "whole", [&[0][..], &block.bytes].concat());
    let mut from = Reader::new(&block.bytes, "vector");
    from.map_of(2).unwrap();
    from.key("sig").unwrap();
    from.bytes().unwrap();
    from.key("header").unwrap();
    put("entry", "header", [&[1][..], from.bytes().unwrap()].concat());
    put("entry", "body", [&[2, 0b111][..], &body()].concat());
    let sealed = sealer.seal(BlobKind::File, b"abc", [1; 32]).unwrap();
    put("sealed", "file", [&[0][..], &sealed].concat());
    put("sealed", "empty", vec![1]);
    let mut engine = Engine::new(checks::durable::setup()).unwrap();
    for _ in 0..3 {
        for proposal in engine.ask(8) {
            let fitness = proposal.genome.params.iter().map(|x| -x * x).sum();
            engine.tell(proposal.slot, Some(fitness));
        }
    }
    put("snapshot", "later", engine.snapshot().unwrap());
}

/// The body of a small agent's first entry, unsealed.
fn body() -> Vec<u8> {
    let path = FilePath::new("main.py").unwrap();
    let file = File { bytes: "x = 1".into(), executable: true };
    let files = Arc::new(BTreeMap::from([(path, file)]));
    let genome = Genome { files, params: vec![0.5, -1.0].into(), ..Genome::default() };
    let metrics = BTreeMap::from([("n".to_owned(), Metric::Number(2.0))]);
    let evaluation = Evaluation { metrics, ..Evaluation::of(vec![0.25]) };
    let agent = AgentId::from_bytes([8; 16]);
    let events = [
        Event::Proposed(Proposed {
            run: None,
            generation: 0,
            slot: 0,
            operators: vec!["uniform".to_owned()],
            seed: 7,
            parents: Vec::new(),
            genome,
            space: checks::durable::setup().space,
        }),
        Event::Evaluated(Evaluated {
            suite: Digest([1; 32]),
            seed: 42,
            evaluation,
            fitness: Some(0.25),
            at_ms: checks::wire::NOW,
        }),
        Event::Judged(Judged { verdict: Verdict::Champion, delta: None }),
    ];
    let (signer, sealer) = (checks::durable::signer(), checks::durable::sealer());
    let keys = Keys { signer: &signer, sealer: &sealer };
    let link = Link { agent, seq: 0, prev: None, parents: Vec::new() };
    let written = entry::write(keys, &link, &events, &mut || [7; 32], &mut |_| None).unwrap();
    assert_eq!((written.body.len(), written.blobs.len()), (1, 0));
    sealer.open(BlobKind::Body, &written.body[0].bytes).unwrap()
}

fn texts(put: Put<'_>) {
    put("spec", "builtin", spec_toml().into());
    put("suite", "cases", SUITE.into());
    let python = "kind = \"python\"\nevaluator = \"e.py\"\ncascade_thresholds = [0.5]\n";
    put("suite", "python", python.into());
    let config =
        "[server]\nlisten = \"127.0.0.1:0\"\nplain_reads = true\n[log]\nlevel = \"info\"\n";
    put("config", "some", config.into());
    let yaml = "max_iterations: 100\nrandom_seed: 42\ndatabase:\n  population_size: 50\n  \
                elite_selection_ratio: 0.2\nevaluator:\n  timeout: 30\n  cascade_thresholds: [0.5]\n";
    put("openevolve", "some", yaml.into());
    let cases = "{\"id\": \"a\", \"input\": [1, 2], \"expected\": 3}\n\n{\"input\": \"x\", \
                 \"expected\": \"y\", \"weight\": 2, \"held_out\": true}\n";
    put("cases", "two", [&[0][..], cases.as_bytes()].concat());
    put("rpc", "result", br#"{"jsonrpc": "2.0", "id": 1, "result": null}"#.to_vec());
    put("rpc", "error", br#"{"jsonrpc": "2.0", "id": 1, "error": {"message": "no"}}"#.to_vec());
    let frame = darwin::daemon::evaluator::frame::encode(&vec!["a"], &[b"12", b"3"]).unwrap();
    put("frame", "whole", frame);
    let metrics = br#"{"combined_score": 2.5, "public": {"n": 3}, "private": {"n": NaN}}"#;
    put("results", "metrics", metrics.to_vec());
    put("results", "correct", br#"{"correct": true, "error": null}"#.to_vec());
}

#[test]
fn what_our_own_encoders_make_is_taken_and_is_in_the_corpus() {
    let write = std::env::var_os("DARWIN_TEST_WRITE").is_some();
    for (check, name, bytes) in made() {
        let held = checks::CHECKS.into_iter().find(|(it, _)| *it == check).unwrap();
        let refused = [("rpc", "error"), ("sealed", "empty")].contains(&(check, name));
        assert_eq!(hold(held, &bytes), !refused, "{check}/{name}");
        let file = folder(check).join(name);
        if write {
            fs::create_dir_all(folder(check)).unwrap();
            fs::write(&file, &bytes).unwrap();
        }
        // A certificate is another each time.
        let kept = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert!(
            check == "certificate" || kept == bytes,
            "{} is of another version",
            file.display()
        );
    }
}
