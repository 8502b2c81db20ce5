//! What is stored, or was written to be read elsewhere.

use std::{cell::RefCell, fs::File, io::Cursor, os::unix::fs::FileExt as _, sync::Arc};

use darwin::{
    daemon::store::cold::{
        frame,
        segment::{self, Found},
    },
    domain::{
        genome::{Genome, Kind, Param, Space},
        id::SessionId,
        journal::{Event, EventKind},
        objective::{Goal, Objective},
        spec::{Search, Stop},
    },
    evolution::{engine::Engine, setup::Setup},
    provenance::{
        block::{Block, cid_bytes},
        car::{self, CarReader},
        cbor::Writer,
        entry,
        error::Error,
        export::Export,
        seal::{BlobKind, MasterKey, OVERHEAD, Sealer, SessionKey},
        sign::{KeyRing, Purpose, Signer},
    },
};

use super::{choice, flipped};

thread_local! {
    static FILE: RefCell<File> = RefCell::new(tempfile::tempfile().expect("a temporary file"));
}

/// The key of the vectors in `tests/vectors`.
#[must_use]
pub fn signer() -> Signer {
    Signer::from_seed(&[3; 32]).expect("any seed is good")
}

fn ring() -> KeyRing {
    let mut ring = KeyRing::new();
    ring.trust(signer().public()).expect("its own key is one");
    ring
}

/// What opens the contents of the vectors.
#[must_use]
pub fn sealer() -> Sealer {
    Sealer::new(SessionId::new(1_700_000_000_000, [9; 10]), &SessionKey::new([5; 32]))
}

/// A CAR file: what is read whole is what our own writer makes of its blocks; and a scan of a
/// segment, which reads another way, finds the same blocks at the same places.
pub fn car(data: &[u8]) -> bool {
    let Ok((mut reader, roots)) = CarReader::new(Cursor::new(data)) else { return false };
    let mut again = car::header(&roots);
    let start = reader.at();
    let (mut blocks, mut whole) = (Vec::new(), true);
    loop {
        match reader.next() {
            Ok(Some(framed)) => {
                let place = framed.content as usize;
                assert_eq!(data[place..place + framed.block.bytes.len()], framed.block.bytes);
                car::append(&mut again, &framed.block);
                blocks.push((framed.at, framed.block.cid));
            }
            Ok(None) => break,
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    assert!(!whole || again == data, "another encoding is taken for ours");
    FILE.with_borrow(|file| {
        file.set_len(0).and_then(|()| file.write_all_at(data, 0)).expect("a file can be written");
        let length = data.len() as u64;
        let mut found = Vec::new();
        let visit = &mut |at, what| match what {
            Found::Block(cid) => found.push((at, cid)),
            Found::Damaged(_) | Found::Unreadable(_) => {}
        };
        segment::scan(file, start, length, visit).expect("it can be read");
        for (at, cid) in &found {
            let read = segment::read(file, *at, length).expect("it can be read");
            let (head, bytes) = read.expect("it was found");
            assert!(head.cid == *cid && frame::fits(cid, &bytes));
        }
        assert_eq!(&found[..blocks.len()], &blocks[..]);
    });
    whole
}

/// `{"sig", WHAT}`, signed with the key that is trusted.
fn signed(purpose: Purpose, what: &str, own: &[u8]) -> Block {
    let mut out = Writer::with_capacity(own.len() + 100);
    out.map(2);
    out.text("sig");
    out.bytes(&signer().sign(purpose, own));
    out.text(what);
    out.bytes(own);
    Block::dag_cbor(out.into_bytes())
}

/// A journal's entry: as it comes; a header that was signed, whatever it says; and a body that was
/// sealed, whatever it holds.
pub fn entry(data: &[u8]) -> bool {
    let (how, rest) = choice(data);
    let block = match how % 3 {
        0 => Block::dag_cbor(rest.to_vec()),
        1 => signed(Purpose::Entry, "header", rest),
        _ => return body(rest),
    };
    let Ok(read) = entry::read(&block, &ring()) else { return false };
    assert_eq!((read.cid, read.header.signer), (block.cid, signer().id()));
    let other = Block::dag_cbor(flipped(&block.bytes, data));
    assert!(entry::read(&other, &ring()).is_err(), "a bit does not count");
    true
}

/// Opens a body in an entry whose header fits it as far as the first byte says: three bits for the
/// kinds of events, the others for the number of parents.
fn body(data: &[u8]) -> bool {
    let (kinds, plain) = choice(data);
    let parents = kinds >> 3;
    let sealer = sealer();
    let sealed = sealer.seal_blocks(BlobKind::Body, plain, [7; 32]).expect("it is small");
    let kinds: Vec<_> = (0..3).filter(|bit| kinds & (1 << bit) != 0).collect();
    let mut out = Writer::with_capacity(256);
    out.map(10);
    out.text("v");
    out.uint(entry::FORMAT);
    out.text("key");
    out.bytes(&sealer.id().0);
    out.text("seq");
    out.uint(0);
    out.text("body");
    out.array(sealed.len());
    sealed.iter().for_each(|block| out.bytes(&cid_bytes(&block.cid)));
    out.text("prev");
    out.null();
    out.text("agent");
    out.bytes(&[8; 16]);
    out.text("kinds");
    out.array(kinds.len());
    kinds.iter().for_each(|kind| out.text(EventKind::ALL[*kind].as_str()));
    out.text("signer");
    out.bytes(&signer().id().0);
    out.text("parents");
    out.array(parents.into());
    (0..parents).for_each(|n| out.bytes(&cid_bytes(&Block::dag_cbor(vec![n]).cid)));
    out.text("session");
    out.bytes(sealer.session().as_bytes());
    let block = signed(Purpose::Entry, "header", &out.into_bytes());
    let Ok(entry) = entry::read(&block, &ring()) else { return false };
    let get = &mut |cid: &cid::Cid| {
        let block = sealed.iter().find(|block| block.cid == *cid);
        Ok::<_, Error>(block.map(|block| block.bytes.clone()))
    };
    let Ok(events) = entry::open(&entry, &sealer, get) else { return false };
    assert!(events.iter().map(Event::kind).eq(entry.header.kinds));
    true
}

/// An export: as it comes, or behind a statement that was signed, whatever it says.
pub fn export(data: &[u8]) -> bool {
    let (how, rest) = choice(data);
    let file = if how % 2 == 0 {
        rest.to_vec()
    } else {
        let [high, low, rest @ ..] = rest else { return false };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (statement, rest) = rest.split_at(rest.len().min(length));
        let root = signed(Purpose::Export, "statement", statement);
        let mut file = car::header(&[root.cid]);
        car::append(&mut file, &root);
        file.extend(rest);
        file
    };
    let verified = |file: Vec<u8>| {
        let mut export = Export::open(Cursor::new(file), &ring()).ok()?;
        let agents = export.heads().len();
        export.verify(&mut |_| None).ok().map(|_| agents)
    };
    let good = verified(file.clone()).is_some();
    if good {
        assert_eq!(verified(flipped(&file, data)), None, "a bit does not count");
    }
    good
}

/// Sealed contents and keys: only what was sealed opens, and with one bit turned it doesn't.
pub fn sealed(data: &[u8]) -> bool {
    let (kind, rest) = choice(data);
    let kind = if kind % 2 == 0 { BlobKind::File } else { BlobKind::Context };
    let sealer = sealer();
    let master = MasterKey::new([1; 32]);
    let _ = master.unwrap(rest, sealer.session());
    let opened = sealer.open(kind, rest);
    if let Ok(plain) = &opened {
        assert_eq!(plain.len() + OVERHEAD, rest.len());
    }
    let sealed = sealer.seal(kind, rest, [2; 32]).expect("it is small");
    assert_eq!(sealer.open(kind, &sealed).expect("our own"), rest);
    let other = flipped(&sealed, data);
    assert!(sealer.open(kind, &other).is_err(), "a bit does not count");
    opened.is_ok()
}

/// What the snapshots of the corpus are of.
#[must_use]
pub fn setup() -> Setup {
    let kind = Kind::Real { min: -5.0, max: 5.0, log: false };
    let param = |name: &str| Param { name: name.to_owned(), kind: kind.clone(), init: None };
    Setup {
        search: Search { population: 8, ..Search::default() },
        stop: Stop { generations: Some(50), ..Stop::default() },
        objectives: vec![Objective::new("score", Goal::Minimize)],
        space: Arc::new(Space { params: vec![param("x"), param("y")] }),
        seed: 7,
        initial: Genome::default(),
    }
}

/// A checkpoint of a search: one that is taken can be gone on with, and written again.
pub fn snapshot(data: &[u8]) -> bool {
    let Ok(mut engine) = Engine::restore(setup(), data) else { return false };
    let first = engine.snapshot().expect("it was read");
    let again = Engine::restore(setup(), &first).expect("our own").snapshot();
    assert_eq!(again.expect("it was read"), first);
    for proposal in engine.ask(16) {
        engine.tell(proposal.slot, proposal.genome.params.first().copied());
    }
    true
}
