//! What it costs to seal, sign and write an agent's journal, beside one bare signature.
//!
//! `cargo bench --bench provenance`: processor time of one thread, medians of rounds.

use std::{hint::black_box, sync::Arc, time::Duration};

use aws_lc_rs::signature::Ed25519KeyPair;
use darwin::{
    domain::{
        digest::Digest,
        evaluation::Evaluation,
        genome::{Genome, Kind, Param, Space},
        id::{AgentId, RunId, SessionId, Slot},
        journal::{Evaluated, Event, Judged, Proposed},
        lifecycle::Verdict,
    },
    provenance::{
        block::Block,
        digest::sha256,
        entry::{self, Keys, Link, Written},
        manifest::genome_digest,
        seal::{BlobKind, Sealer, SessionKey},
        sign::{KeyRing, Purpose, Signer},
    },
};

const DIMENSIONS: usize = 10;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(100);

fn main() {
    let signer = Signer::from_seed(&[3; 32]).expect("any seed is a key");
    let run = RunId::new(1_700_000_000_000, [7; 10]);
    let session = SessionId::new(1_700_000_000_000, [9; 10]);
    let sealer = Sealer::new(session, &SessionKey::new([5; 32]));
    let keys = Keys { signer: &signer, sealer: &sealer };
    let sample = write(keys, run, 0);
    let (entry, body) = (&sample.entry, &sample.body[0]);

    let bare = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).expect("any seed is a key");
    let message = vec![7; entry.bytes.len() - 80];
    let signature = median(|_| {
        black_box(bare.sign(black_box(&message)));
    });
    let whole = median(|index| {
        black_box(write(keys, run, index));
    });
    println!("one Ed25519 signature of aws-lc-rs    {signature:7.2} µs   (baseline)");
    println!("agent of {DIMENSIONS} parameters, written       {whole:7.2} µs   (target 15)");
    println!("  of which is not its signature       {:7.2} µs", whole - signature);

    let plain = vec![7; body.bytes.len()];
    let sealing = median(|_| {
        black_box(sealer.seal(BlobKind::Body, &plain, [1; 32]).is_ok());
    });
    println!("  sealing its body                    {sealing:7.2} µs");
    let hashing = median(|_| {
        black_box((sha256(&entry.bytes), sha256(&body.bytes)));
    });
    println!("  digests of its two blocks           {hashing:7.2} µs");
    let genome = genome(0);
    let space = space();
    let digest = median(|_| {
        black_box(genome_digest(&genome, &space).is_ok());
    });
    println!("  its genome's digest                 {digest:7.2} µs");

    let mut ring = KeyRing::new();
    ring.trust(signer.public()).expect("a signer's key is a key");
    let stored = signer.sign(Purpose::Entry, &message);
    let checked = median(|_| {
        black_box(ring.check(Purpose::Entry, &signer.id(), &message, &stored).is_ok());
    });
    println!("one signature checked                 {checked:7.2} µs   (baseline)");
    let read = median(|_| {
        let block = Block::found(entry.cid, entry.bytes.clone()).expect("as it was written");
        let entry = entry::read(&block, &ring).expect("signed by a trusted key");
        let get = &mut |_: &_| Ok::<_, darwin::provenance::error::Error>(Some(body.bytes.clone()));
        black_box(entry::open(&entry, &sealer, get).expect("as it was written"));
    });
    println!("agent read, checked and opened        {read:7.2} µs");
    println!("bytes: entry {}, body {}", entry.bytes.len(), body.bytes.len());
}

fn write(keys: Keys<'_>, run: RunId, index: u32) -> Written {
    let agent = AgentId::in_run(run, Slot { generation: 1, index });
    let parents: Vec<_> =
        (0..2).map(|index| AgentId::in_run(run, Slot { generation: 0, index })).collect();
    let heads = parents.iter().map(|parent| Block::dag_cbor(parent.as_bytes().to_vec()).cid);
    let link = Link { agent, seq: 0, prev: None, parents: heads.collect() };
    let fitness = -0.1 * f64::from(index);
    let events = [
        Event::Proposed(Proposed {
            run: Some(run),
            generation: 1,
            slot: index,
            operators: vec!["differential-evolution".to_owned()],
            seed: 42,
            parents,
            genome: genome(index),
            space: space(),
        }),
        Event::Evaluated(Evaluated {
            suite: Digest([1; 32]),
            seed: 42,
            evaluation: Evaluation::of(vec![fitness]),
            fitness: Some(fitness),
            at_ms: 1_700_000_000_000,
        }),
        Event::Judged(Judged { verdict: Verdict::Scored, delta: Some(-0.1) }),
    ];
    let mut next = index;
    let salts = &mut || {
        next = next.wrapping_add(1 << 20);
        let mut salt = [0; 32];
        salt[..4].copy_from_slice(&next.to_be_bytes());
        salt
    };
    entry::write(keys, &link, &events, salts, &mut |_| None).expect("all is finite")
}

fn genome(index: u32) -> Genome {
    let params = (0..DIMENSIONS).map(|at| 0.1 + f64::from(index) * at as f64);
    Genome { params: params.collect(), ..Genome::default() }
}

fn space() -> Arc<Space> {
    let param = |at| Param {
        name: format!("x{at}"),
        kind: Kind::Real { min: -5.12, max: 5.12, log: false },
        init: None,
    };
    Arc::new(Space { params: (0..DIMENSIONS).map(param).collect() })
}

/// The median over rounds of one call's processor time, in microseconds.
fn median(mut call: impl FnMut(u32)) -> f64 {
    let mut round = |calls: u32| {
        let before = cpu();
        (0..calls).for_each(&mut call);
        cpu().saturating_sub(before)
    };
    let mut calls = 1_000;
    while round(calls) < ROUND {
        calls *= 2;
    }
    let mut rounds: Vec<f64> =
        (0..ROUNDS).map(|_| round(calls).as_secs_f64() * 1e6 / f64::from(calls)).collect();
    rounds.sort_unstable_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// The processor time that this thread has used, as Linux counts it: to a few
/// milliseconds, so that a round must be longer by far.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux has it");
    let nanos = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanos.expect("its first field is nanoseconds"))
}
