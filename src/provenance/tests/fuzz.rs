//! Properties: what is written is read, what is read is what would be written, and no
//! bytes at all make a decoder panic.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use ipld_core::ipld::Ipld;
use proptest::{collection::vec, prelude::*};

use crate::{
    domain::{
        digest::Digest,
        evaluation::{Evaluation, FailureKind, Isolation, Layers, Metric, Usage},
        genome::{File, FilePath, Genome, Kind, Param, Space},
        id::AgentId,
        journal::{Evaluated, Event, Judged, Proposed},
        lifecycle::Verdict,
    },
    provenance::{
        blob::Sink,
        block::{Block, MAX_BLOCK},
        body,
        car::{self, CarError, CarReader},
        cbor::{Reader, Writer},
        entry,
        error::{Error, Result},
        manifest::genome_digest,
        seal::BlobKind,
        statement::Statement,
    },
};

use super::fixture::*;

fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |value| value.is_finite()),
        Just(0.0),
        Just(-0.0)
    ]
}

fn content() -> impl Strategy<Value = Bytes> {
    prop_oneof![4 => vec(any::<u8>(), 0..300), 1 => vec(any::<u8>(), 300..3000)]
        .prop_map(Bytes::from)
}

fn param(index: usize) -> impl Strategy<Value = (Param, f64)> {
    let real = (finite(), finite(), any::<bool>(), finite())
        .prop_map(|(min, max, log, value)| (Kind::Real { min, max, log }, value));
    let integer = (any::<i64>(), any::<i64>(), any::<bool>(), -(1_i64 << 53)..=1 << 53)
        .prop_map(|(min, max, log, value)| (Kind::Integer { min, max, log }, value as f64));
    let categorical = vec(".{0,8}", 1..5).prop_flat_map(|choices| {
        let count = choices.len();
        (0..count).prop_map(move |at| (Kind::Categorical { choices: choices.clone() }, at as f64))
    });
    let typed = prop_oneof![real, integer, categorical];
    (".{0,12}", typed, proptest::option::of(finite())).prop_map(
        move |(name, (kind, value), init)| {
            (Param { name: format!("{name}{index}"), kind, init }, value)
        },
    )
}

fn genomes() -> impl Strategy<Value = (Genome, Arc<Space>)> {
    let path = "[a-zäø0-9]{1,9}(/[A-Z_.]{3,9}){0,2}";
    let file =
        (content(), any::<bool>()).prop_map(|(bytes, executable)| File { bytes, executable });
    let files = proptest::collection::btree_map(path, file, 0..6).prop_map(|files| {
        files.into_iter().map(|(path, file)| (FilePath::new(&path).unwrap(), file)).collect()
    });
    let params = (0..8_usize).prop_flat_map(|count| (0..count).map(param).collect::<Vec<_>>());
    let name = || proptest::option::of(".{0,9}");
    (files, params, name(), name()).prop_map(|(files, params, model, template)| {
        let files: BTreeMap<_, _> = files;
        let (params, values): (Vec<_>, Vec<_>) = params.into_iter().unzip();
        let genome = Genome {
            files: Arc::new(files),
            params: values.into(),
            model: model.map(Arc::from),
            template: template.map(Arc::from),
        };
        (genome, Arc::new(Space { params }))
    })
}

fn evaluations() -> impl Strategy<Value = Event> {
    let metric = prop_oneof![
        finite().prop_map(Metric::Number),
        any::<bool>().prop_map(Metric::Flag),
        ".{0,40}".prop_map(Metric::Text),
    ];
    let failure = (0..5_usize, ".{0,40}").prop_map(|(kind, reason)| {
        let kinds = [
            FailureKind::Crashed,
            FailureKind::TimedOut,
            FailureKind::OverLimit,
            FailureKind::BadMetrics,
            FailureKind::GateMissed,
        ];
        Evaluation::failed(kinds[kind], reason)
    });
    let outcome = prop_oneof![vec(finite(), 0..4).prop_map(Evaluation::of), failure];
    let isolation =
        prop_oneof![Just(Isolation::NoCode), Just(Isolation::Full), Just(Isolation::Reduced),];
    let metrics = proptest::collection::btree_map(".{0,30}", metric, 0..5);
    let artifacts = proptest::collection::btree_map(".{0,30}", content(), 0..4);
    let layers = proptest::option::of(any::<[bool; 3]>());
    let rest = (any::<[u64; 3]>(), isolation, layers, any::<[bool; 2]>());
    let around = (any::<[u8; 32]>(), any::<u64>(), proptest::option::of(finite()), any::<u64>());
    (outcome, metrics, artifacts, rest, around).prop_map(
        |(outcome, metrics, artifacts, (used, isolation, layers, [in_process, cached]), around)| {
            let (suite, seed, fitness, at_ms) = around;
            let usage = Usage { wall_us: used[0], cpu_us: used[1], max_rss: used[2] };
            let scores = outcome.scores;
            let layers = layers.map(|[landlock, memory_group, process_group]| Layers {
                landlock,
                memory_group,
                process_group,
            });
            let evaluation = Evaluation {
                scores,
                metrics,
                artifacts,
                usage,
                isolation,
                layers,
                in_process,
                cached,
            };
            let suite = Digest(suite);
            Event::Evaluated(Evaluated { suite, seed, evaluation, fitness, at_ms })
        },
    )
}

fn lives() -> impl Strategy<Value = Vec<Event>> {
    let numbers = (any::<u64>(), any::<u32>(), any::<u64>(), any::<bool>());
    let names = (vec(".{0,20}", 0..4), vec(any::<[u8; 16]>(), 0..4));
    let proposed =
        (genomes(), numbers, names).prop_map(|((genome, space), numbers, (operators, parents))| {
            let (generation, slot, seed, run) = numbers;
            let parents = parents.into_iter().map(AgentId::from_bytes).collect();
            let run = run.then(super::fixture::run);
            let event = Proposed { run, generation, slot, operators, seed, parents, genome, space };
            Event::Proposed(event)
        });
    let judged = (0..4_usize, proptest::option::of(finite()))
        .prop_map(|(at, delta)| Event::Judged(Judged { verdict: Verdict::ALL[at], delta }));
    (proposed, vec(prop_oneof![evaluations(), judged], 0..4)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

/// Encodes a body, with all its contents kept in order.
fn encoded(events: &[Event]) -> Result<Vec<u8>> {
    let sealer = sealer();
    let (mut salts, mut known) = (salts(), |_: &[u8; 32]| None);
    let mut sink = Sink { sealer: &sealer, salts: &mut salts, known: &mut known, new: vec![] };
    Ok(body::encode(events, &mut sink)?.0)
}

/// Decodes a body whose contents are all inside.
fn decoded(bytes: &[u8]) -> Result<Vec<Event>> {
    body::decode(bytes, &mut |_| Err(Error::Missing("stored apart".to_owned())))
}

/// What another implementation of DAG-CBOR writes after reading `bytes`.
fn by_others(bytes: &[u8]) -> Vec<u8> {
    let value: Ipld = serde_ipld_dagcbor::from_slice(bytes).unwrap();
    serde_ipld_dagcbor::to_vec(&value).unwrap()
}

/// A body that has everything and keeps all of it inside.
fn rich() -> Vec<u8> {
    let mut events = life(agent(1, 2), &[agent(0, 1)], 1.5, Some(-0.5));
    for event in &mut events {
        match event {
            Event::Proposed(event) => {
                let files = event.genome.files.iter();
                let files = files.map(|(path, _)| (path.clone(), file("x")));
                event.genome.files = Arc::new(files.collect());
            }
            Event::Evaluated(event) => {
                event.evaluation.artifacts.remove("trace");
            }
            Event::Judged(_) => {}
        }
    }
    encoded(&events).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_life_is_read_as_it_was_written(events in lives()) {
        let Event::Proposed(proposed) = &events[0] else { unreachable!() };
        let cids = proposed.parents.iter().map(|id| Block::dag_cbor(id.as_bytes().to_vec()).cid);
        let link = first(agent(0, 0), cids.collect());
        let written = write(&link, &events).unwrap();
        let digest = genome_digest(&proposed.genome, &proposed.space).unwrap();
        prop_assert_eq!(written.genome, Some(digest));
        let entry = entry::read(&written.entry, &ring()).unwrap();
        prop_assert_eq!(&entry.header.link, &link);
        let find = |cid: &cid::Cid| written.blocks().find(|block| block.cid == *cid);
        let get = &mut |cid: &_| -> Result<_> { Ok(find(cid).map(|block| block.bytes.clone())) };
        prop_assert_eq!(&entry::open(&entry, &sealer(), get).unwrap(), &events);
        // Another implementation finds it canonical, too.
        let plain = encoded(&events).unwrap();
        prop_assert_eq!(by_others(&plain), plain);
        prop_assert_eq!(by_others(&written.entry.bytes), written.entry.bytes.to_vec());
    }

    #[test]
    fn equal_genomes_and_no_others_have_equal_digests(
        (a, space) in genomes(),
        (b, other) in genomes(),
    ) {
        let digest = genome_digest(&a, &space).unwrap();
        prop_assert_eq!(genome_digest(&a.clone(), &space).unwrap(), digest);
        let same = a == b && space.params.is_empty() && other.params.is_empty();
        prop_assert_eq!(genome_digest(&b, &other).unwrap() == digest, same);
        // The order of parameters says nothing; their values do.
        let mut turned = (*space).clone();
        turned.params.reverse();
        let mut params: Vec<f64> = a.params.to_vec();
        params.reverse();
        let reversed = Genome { params: params.into(), ..a.clone() };
        prop_assert_eq!(genome_digest(&reversed, &turned).unwrap(), digest);
        let renamed = Genome { model: Some("another model".into()), ..a };
        prop_assert_ne!(genome_digest(&renamed, &space).unwrap(), digest);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in vec(any::<u8>(), 0..600)) {
        let block = Block::dag_cbor(bytes.clone());
        prop_assert!(entry::read(&block, &ring()).is_err());
        prop_assert!(Statement::read(&block, &mut ring()).is_err());
        prop_assert!(sealer().open(BlobKind::Body, &bytes).is_err());
        prop_assert!(decoded(&bytes).is_err());
        if let Ok((mut reader, _)) = CarReader::new(&bytes[..]) {
            while let Ok(Some(_)) = reader.next() {}
        }
    }

    #[test]
    fn a_body_that_is_read_is_the_one_that_would_be_written(
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..4),
    ) {
        let mut bytes = rich();
        prop_assert_eq!(encoded(&decoded(&bytes).unwrap()).unwrap(), bytes.clone());
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        if let Ok(events) = decoded(&bytes) {
            prop_assert_eq!(encoded(&events).unwrap(), bytes);
        }
    }

    #[test]
    fn numbers_have_one_form(uint in any::<u64>(), int in any::<i64>(), float in finite()) {
        let mut out = Writer::default();
        out.array(3);
        out.uint(uint);
        out.int(int);
        out.float(float, String::new).unwrap();
        let bytes = out.into_bytes();
        let theirs = serde_ipld_dagcbor::to_vec(&(uint, int, float)).unwrap();
        prop_assert_eq!(&bytes, &theirs);
        let mut from = Reader::new(&bytes, "test");
        from.array_of(3).unwrap();
        prop_assert_eq!(from.uint().unwrap(), uint);
        prop_assert_eq!(from.int().unwrap(), int);
        prop_assert_eq!(from.float().unwrap().to_bits(), (float + 0.0).to_bits());
        from.end().unwrap();
    }

    #[test]
    fn a_car_file_is_read_as_it_was_written_and_a_fault_is_placed(
        contents in vec(vec(any::<u8>(), 0..300), 1..6),
        flip in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let blocks: Vec<_> = contents.into_iter().map(Block::raw).collect();
        let mut file = car::header(&[blocks[0].cid]);
        let mut starts = vec![0, file.len() as u64];
        for block in &blocks {
            let before = car::append(&mut file, block);
            let content = file.len() - block.bytes.len();
            prop_assert_eq!(starts[starts.len() - 1] + before as u64, content as u64);
            starts.push(file.len() as u64);
        }
        let (mut reader, roots) = CarReader::new(&file[..]).unwrap();
        prop_assert_eq!(roots, vec![blocks[0].cid]);
        for (block, start) in blocks.iter().zip(&starts[1..]) {
            let framed = reader.next().unwrap().unwrap();
            prop_assert_eq!((&framed.block, framed.at), (block, *start));
        }
        prop_assert!(reader.next().unwrap().is_none());

        let at = flip.index(file.len());
        file[at] ^= 1 << bit;
        let fault = CarReader::new(&file[..]).and_then(|(mut reader, roots)| {
            while reader.next()?.is_some() {}
            Ok(roots)
        });
        // A changed root is sound in itself: whoever uses the file knows which it wants.
        let Err(error) = fault else {
            prop_assert!(fault.unwrap() != vec![blocks[0].cid] && (at as u64) < starts[1]);
            return Ok(());
        };
        let CarError::Fault { at: place, .. } = error else { panic!("{error}") };
        let frame = starts.iter().rposition(|start| *start <= at as u64).unwrap();
        let end = starts.get(frame + 1).copied().unwrap_or(file.len() as u64);
        let cut = place == file.len() as u64;
        prop_assert!(cut || (starts[frame] <= place && place <= end), "{} for {}", place, at);
    }
}

#[test]
fn lengths_that_cannot_be_are_refused_before_anything_is_allocated() {
    let start = car::header(&[Block::raw(&b""[..]).cid]);
    let lengths: [&[u8]; 7] = [
        &[0x00],
        &[35],
        // One more than the largest frame.
        &[0xa5, 0x80, 0x40],
        &[0xff, 0xff, 0xff, 0x7f],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        // 36, longer than it need be.
        &[0xa4, 0x00],
        &[0x80],
    ];
    for length in lengths {
        let file = [&start[..], length, &[0; 64]].concat();
        let mut reader = CarReader::new(&file[..]).unwrap().0;
        let error = reader.next().unwrap_err();
        let CarError::Fault { at, .. } = error else { panic!("{error}") };
        assert_eq!(at, start.len() as u64, "{length:?}: {error}");
    }
    let largest = Block::raw(vec![7; MAX_BLOCK]);
    let mut file = start.clone();
    car::append(&mut file, &largest);
    let mut reader = CarReader::new(&file[..]).unwrap().0;
    assert_eq!(reader.next().unwrap().unwrap().block, largest);
}

#[test]
fn lists_longer_than_their_bytes_are_refused_before_anything_is_allocated() {
    for huge in [&b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x9a\xff\xff\xff\xff\x00"] {
        assert!(Reader::new(huge, "test").array().is_err());
        let map: Vec<u8> =
            huge.iter().enumerate().map(|(at, b)| b + if at == 0 { 0x20 } else { 0 }).collect();
        assert!(Reader::new(&map, "test").map().is_err());
        let text: Vec<u8> =
            huge.iter().enumerate().map(|(at, b)| b - if at == 0 { 0x20 } else { 0 }).collect();
        assert!(Reader::new(&text, "test").text().is_err());
    }
}
