//! What was once sent can be read for ever: the schema only grows, and messages that earlier
//! versions encoded still decode.
//!
//! After an addition, `DARWIN_TEST_WRITE=1 cargo test --test schema` brings
//! `proto/descriptor.bin` up to date (a break it refuses), and writes vectors that are new.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data should stop")]
#![allow(clippy::needless_update, reason = "later versions have more fields")]

use std::{collections::BTreeMap, fmt::Debug, fs, path::PathBuf};

use bytes::Bytes;
use darwin::{
    provenance::sign::{Signer, Verifier},
    wire::{
        envelope::{self, IdempotencyKey, Place},
        methods::{DESCRIPTORS, at},
        v1,
    },
};
use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet, field_descriptor_proto::Label};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn writes() -> bool {
    std::env::var_os("DARWIN_TEST_WRITE").is_some()
}

/// What of a schema is seen on the wire, each thing with how it looks there.
fn seen(set: &FileDescriptorSet) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for file in &set.file {
        for message in &file.message_type {
            fields(&format!("{}.{}", file.package(), message.name()), message, &mut out);
        }
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}.{}/{}", file.package(), service.name(), method.name());
                let level =
                    method.options.as_ref().map(prost_types::MethodOptions::idempotency_level);
                let look = format!(
                    "takes {}, answers {} {}, {level:?}",
                    method.input_type(),
                    if method.server_streaming() { "with a stream of" } else { "with" },
                    method.output_type(),
                );
                out.insert(name, look);
            }
        }
        assert!(file.enum_type.is_empty(), "teach this test about enums");
    }
    out
}

fn fields(name: &str, message: &DescriptorProto, out: &mut BTreeMap<String, String>) {
    out.insert(name.to_owned(), "message".to_owned());
    for field in &message.field {
        let repeated = field.label() == Label::Repeated;
        let oneof = field.oneof_index.map(|index| message.oneof_decl[index as usize].name());
        let oneof = oneof.unwrap_or_default();
        let kind = format!("{:?} {}", field.r#type(), field.type_name());
        let presence = if field.proto3_optional() { "optional" } else { oneof };
        let look = format!("{kind} repeated:{repeated} in:{presence} called {}", field.name());
        out.insert(format!("{name} = {}", field.number()), look);
    }
    for nested in &message.nested_type {
        fields(&format!("{name}.{}", nested.name()), nested, out);
    }
    assert!(message.enum_type.is_empty(), "teach this test about enums");
}

/// What of `old` is gone or looks otherwise in `new`.
fn breaks(old: &FileDescriptorSet, new: &FileDescriptorSet) -> Vec<String> {
    let new = seen(new);
    let gone = |(name, look): (String, String)| match new.get(&name) {
        None => Some(format!("{name} is gone")),
        Some(other) if *other != look => Some(format!("{name}: was {look}, is {other}")),
        Some(_) => None,
    };
    seen(old).into_iter().filter_map(gone).collect()
}

fn current() -> FileDescriptorSet {
    FileDescriptorSet::decode(DESCRIPTORS).unwrap()
}

#[test]
fn the_schema_breaks_nothing_that_was_committed() {
    let file = path("proto/descriptor.bin");
    let committed = fs::read(&file).unwrap_or_default();
    let found = breaks(&FileDescriptorSet::decode(committed.as_slice()).unwrap(), &current());
    assert!(found.is_empty(), "a new major version is needed:\n{}", found.join("\n"));
    if writes() {
        fs::write(&file, DESCRIPTORS).unwrap();
    }
    let now = fs::read(&file).unwrap();
    assert!(now == DESCRIPTORS, "run: DARWIN_TEST_WRITE=1 cargo test --test schema");
}

#[test]
fn every_kind_of_break_is_noticed_and_no_addition() {
    let whole = current();
    let names = seen(&whole);
    assert!(names.len() > 200 && names.contains_key("darwin.v1.Session.ContextEntry = 1"));
    let broken = |change: &dyn Fn(&mut prost_types::FileDescriptorProto)| {
        let mut new = whole.clone();
        let file = new.file.iter_mut().find(|file| file.name().ends_with("darwin.proto")).unwrap();
        change(file);
        breaks(&whole, &new)
    };
    let first = |file: &mut prost_types::FileDescriptorProto, name: &str| {
        file.message_type.iter().position(|message| message.name() == name).unwrap()
    };
    macro_rules! message {
        ($name:literal, $message:ident => $change:expr) => {
            broken(&|file| {
                let at = first(file, $name);
                let $message = &mut file.message_type[at];
                $change;
            })
        };
    }
    let refused = [
        message!("Run", it => it.field.remove(1)),
        message!("Run", it => it.field[1].number = Some(99)),
        message!("Run", it => it.field[5].set_type(prost_types::field_descriptor_proto::Type::Sint64)),
        message!("Run", it => it.field[8].proto3_optional = None),
        message!("Run", it => it.field[1].name = Some("label".to_owned())),
        message!("Run", it => it.field[1].set_label(Label::Repeated)),
        message!("Event", it => it.field[0].oneof_index = None),
        message!("Event", it => it.field[0].type_name = Some(".darwin.v1.Judged".to_owned())),
        broken(&|file| drop(file.message_type.remove(0))),
        broken(&|file| drop(file.service.remove(0))),
        broken(&|file| drop(file.service[0].method.remove(0))),
        broken(&|file| file.service[0].method[0].output_type = Some(".darwin.v1.RunRef".into())),
        broken(&|file| file.service[0].method[0].server_streaming = Some(true)),
        broken(&|file| file.service[0].method[1].options = None),
    ];
    for (at, found) in refused.iter().enumerate() {
        assert!(!found.is_empty(), "break {at}");
    }
    let added = message!("Run", it => {
        let field = prost_types::FieldDescriptorProto { number: Some(99), ..it.field[0].clone() };
        it.field.push(field);
    });
    assert!(added.is_empty(), "{added:?}");
    let added = broken(&|file| {
        let method = file.service[0].method[0].clone();
        let name = Some("Begin".to_owned());
        file.service[0].method.push(prost_types::MethodDescriptorProto { name, ..method });
    });
    assert!(added.is_empty(), "{added:?}");
}

/// Compares a message with how a version encoded it; the file is never written twice.
fn holds<M: Message + Default + PartialEq + Debug>(version: &str, name: &str, expected: &M) {
    let file = path("tests/vectors/messages").join(version).join(format!("{name}.bin"));
    if writes() && !file.exists() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, expected.encode_to_vec()).unwrap();
    }
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.is_empty(), "{name} tells nothing");
    assert_eq!(&M::decode(bytes.as_slice()).unwrap(), expected, "{name}");
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn id(n: u8) -> Bytes {
    vec![n; 16].into()
}

fn file() -> v1::File {
    v1::File { path: text("a/b.py"), content: b"print(1)\n".as_slice().into(), executable: true }
}

fn params() -> Vec<v1::Param> {
    use v1::param::Value::{Category, Integer, Real};
    let values = [("x", Real(-0.5)), ("n", Integer(i64::MIN)), ("mode", Category(text("fast")))];
    values.map(|(name, value)| v1::Param { name: text(name), value: Some(value) }).into()
}

fn run() -> v1::Run {
    v1::Run {
        id: id(1),
        name: text("bowl"),
        session_id: id(2),
        state: text("finished"),
        reason: text("evaluations"),
        generation: 3,
        agents: u64::MAX,
        failed: 1,
        best: Some(0.0),
        best_agent: id(4),
        seed: 7,
        started_ms: 1_800_000_000_000,
        elapsed_ms: 5,
        objective: text("fitness"),
        spec_toml: text("name = \"bowl\"\n"),
        waiting: text("a full disk"),
        maximize: true,
        shredded: true,
        ..Default::default()
    }
}

fn evaluation() -> v1::Evaluation {
    use v1::metric::Value::{Flag, Number, Text};
    let metric = |name, value| v1::Metric { name: text(name), value: Some(value) };
    v1::Evaluation {
        scores: vec![1.0, -2.5],
        fitness: Some(1.0),
        failure: text("timed-out"),
        reason: text("took over 3 s"),
        metrics: vec![
            metric("a", Number(0.1)),
            metric("b", Flag(false)),
            metric("c", Text(text("ü"))),
        ],
        artifacts: vec![file()],
        wall_us: 1,
        cpu_us: 2,
        max_rss: 3,
        isolation: text("full"),
        in_process: true,
        cached: true,
        ..Default::default()
    }
}

#[test]
fn what_version_1_0_encoded_still_decodes() {
    let is = |name, message: &dyn Fn(&str, &str)| message("1.0", name);
    is("start-request", &|version, name| {
        let expected = v1::StartRequest {
            run_id: id(1),
            session_id: id(2),
            spec_toml: text("name = \"bowl\"\n"),
            agent_files: vec![file()],
            suite_files: vec![file(), file()],
            workers: 2,
            sandbox: text("reduced"),
        };
        holds(version, name, &expected);
    });
    is("run", &|version, name| holds(version, name, &run()));
    is("resume-request", &|version, name| {
        let expected = v1::ResumeRequest {
            run: text("0198"),
            generations: Some(0),
            evaluations: None,
            time_seconds: Some(1.5),
            target: Some(-1.0),
        };
        holds(version, name, &expected);
    });
    is("evaluate-request", &|version, name| {
        let genome = v1::Genome {
            files: vec![file()],
            params: params(),
            model: text("small"),
            template: text("t"),
        };
        let expected = v1::EvaluateRequest {
            // Since then.
            agent_id: Vec::new().into(),
            suite_toml: text("kind = \"builtin\"\n"),
            suite_files: vec![file()],
            what: Some(v1::evaluate_request::What::Genome(genome)),
            repeat: 3,
            seed: 9,
            sandbox: text("full"),
        };
        holds(version, name, &expected);
    });
    is("journal-response", &|version, name| {
        use v1::event::Event::{Evaluated, Judged, Proposed};
        let proposed = v1::Proposed {
            run_id: id(1),
            generation: 2,
            slot: 3,
            operators: vec![text("gaussian")],
            seed: 4,
            parents: vec![id(5), id(6)],
            genome: text("ab"),
            params: params(),
            files: vec![text("a/b.py")],
        };
        let evaluated =
            v1::Evaluated { suite: text("cd"), seed: 8, evaluation: Some(evaluation()), at_ms: 9 };
        let judged = v1::Judged { verdict: text("champion"), delta: Some(-0.25) };
        let events = [Proposed(proposed), Evaluated(evaluated), Judged(judged)];
        let entry = v1::JournalEntry {
            agent_id: id(7),
            seq: 1,
            cid: text("bafy"),
            signer: text("ef"),
            events: events.map(|event| v1::Event { event: Some(event) }).into(),
            shredded: true,
            ..Default::default()
        };
        holds(version, name, &v1::JournalResponse { entries: vec![entry], cursor: id(8) });
    });
    is("session", &|version, name| {
        let expected = v1::Session {
            id: id(1),
            name: text("one"),
            user: text("ada"),
            closed: true,
            used_ms: 2,
            context: [(text("key"), text("value"))].into(),
            runs: vec![run()],
            shredded: true,
            ..Default::default()
        };
        holds(version, name, &expected);
    });
    is("stream-request", &|version, name| {
        let watch = v1::stream_request::Request::Watch(v1::RunRef { run: text("0198") });
        holds(version, name, &v1::StreamRequest { request: Some(watch) });
    });
    is("stream-event-progress", &|version, name| {
        let progress = v1::Progress { run: Some(run()), rate: 12.5 };
        let event = Some(v1::stream_event::Event::Progress(progress));
        holds(version, name, &v1::StreamEvent { event });
    });
    is("stream-event-error", &|version, name| {
        let error = v1::Error { code: text("not-found"), message: text("no run there") };
        let event = Some(v1::stream_event::Event::Error(error));
        holds(version, name, &v1::StreamEvent { event });
    });
}

#[test]
fn what_version_1_0_sealed_is_still_opened() {
    const NOW: u64 = 1_800_000_000_000;
    let signer = Signer::from_seed(&[9; 32]).unwrap();
    let place = Place {
        clusters: [[1; 32]].into(),
        session: [2; 32],
        method: at("/darwin.v1.Sessions/Close").unwrap(),
        stream: Some(7),
        sequence: 0,
        answers: None,
        error: false,
    };
    let payload = v1::SessionRef { session: text("0198") }.encode_to_vec();
    let meta = ([5; 16], true, Some(IdempotencyKey([6; 16])));
    let front = envelope::seal(&signer, &place, meta, NOW, &payload);
    let sealed = Bytes::from([front.as_ref(), &payload].concat());
    let message = v1::Envelope::decode(sealed.clone()).unwrap();
    holds("1.0", "envelope", &message);
    // A daemon of that version sent these very bytes.
    let file = path("tests/vectors/messages/1.0/envelope.bin");
    let stored = Bytes::from(fs::read(file).unwrap());
    let verifier = Verifier::new(signer.public()).unwrap();
    let opened = envelope::open(stored, &verifier, &place, NOW).unwrap();
    assert_eq!((opened.payload.as_ref(), opened.last), (payload.as_slice(), true));
}
