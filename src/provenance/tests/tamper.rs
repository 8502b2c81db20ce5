//! Entries and sealed objects that somebody changed are refused.

use bytes::Bytes;

use crate::{
    domain::id::SessionId,
    provenance::{
        block::{Block, MAX_BLOCK},
        entry,
        error::Error,
        seal::{BlobKind, MAX_CHUNK, MAX_OBJECT, MasterKey, OVERHEAD, Sealer, SessionKey},
        sign::{KeyRing, Purpose, Signer},
    },
};

use super::fixture::*;

#[test]
fn every_changed_byte_of_an_entry_is_found_though_it_is_named_anew() {
    let own = agent(0, 0);
    let written = write(&first(own, vec![]), &life(own, &[], 1.0, None)).unwrap();
    entry::read(&written.entry, &ring()).unwrap();
    for at in 0..written.entry.bytes.len() {
        for bits in [1 << (at % 8), 0xff] {
            let mut bad = written.entry.bytes.to_vec();
            bad[at] ^= bits;
            let read = entry::read(&Block::dag_cbor(bad), &ring());
            assert!(read.is_err(), "byte {at} changed by {bits:#x} passes");
        }
    }
    for end in 0..written.entry.bytes.len() {
        let cut = written.entry.bytes.slice(..end);
        assert!(entry::read(&Block::dag_cbor(cut), &ring()).is_err());
    }
}

#[test]
fn a_signature_for_one_purpose_is_none_for_another() {
    let (signer, ring) = (signer(), ring());
    let signature = signer.sign(Purpose::Entry, b"payload");
    ring.check(Purpose::Entry, &signer.id(), b"payload", &signature).unwrap();
    let other = ring.check(Purpose::Export, &signer.id(), b"payload", &signature);
    assert!(matches!(other, Err(Error::Signature { .. })));
    let pair = Signer::from_seed(&[4; 32]).unwrap();
    let other = KeyRing::new().check(Purpose::Entry, &pair.id(), b"payload", &signature);
    assert!(matches!(other, Err(Error::Untrusted { .. })));
    let mut pinned = KeyRing::new();
    pinned.pin(signer.id());
    pinned.learn(pair.public()).unwrap();
    assert!(!pinned.trusts(&pair.id()));
    let unknown = pinned.check(Purpose::Entry, &signer.id(), b"payload", &signature);
    assert!(matches!(unknown, Err(Error::BadKey { .. })));
    pinned.learn(signer.public()).unwrap();
    pinned.check(Purpose::Entry, &signer.id(), b"payload", &signature).unwrap();
}

#[test]
fn every_changed_byte_of_a_sealed_block_is_found() {
    let sealer = sealer();
    let sealed = sealer.seal(BlobKind::File, b"content", [1; 32]).unwrap();
    assert_eq!(sealed.len(), b"content".len() + OVERHEAD);
    assert_eq!(sealer.open(BlobKind::File, &sealed).unwrap(), b"content");
    for at in 0..sealed.len() {
        let mut bad = sealed.to_vec();
        bad[at] ^= 1 << (at % 8);
        assert!(sealer.open(BlobKind::File, &bad).is_err(), "byte {at} changed passes");
    }
    for end in 0..sealed.len() {
        assert!(sealer.open(BlobKind::File, &sealed[..end]).is_err());
    }
}

#[test]
fn a_sealed_block_opens_with_its_own_key_kind_and_session_only() {
    let sealed = sealer().seal(BlobKind::File, b"content", [1; 32]).unwrap();
    let other = Sealer::new(session(), &SessionKey::new([6; 32]));
    let wrong = other.open(BlobKind::File, &sealed);
    assert_eq!(wrong, Err(Error::WrongKey { what: "file of a genome" }));
    let wrong = sealer().open(BlobKind::Artifact, &sealed);
    assert!(matches!(wrong, Err(Error::Malformed { at: 5, .. })));
    let session = SessionId::new(1, [1; 10]);
    let other = Sealer::new(session, &SessionKey::new([5; 32]));
    let wrong = other.open(BlobKind::File, &sealed);
    assert_eq!(wrong, Err(Error::Tampered { what: "file of a genome" }));
    // The kind in the header is changed along.
    let mut kind = sealed.to_vec();
    kind[5] = BlobKind::Artifact as u8;
    let wrong = sealer().open(BlobKind::Artifact, &kind);
    assert_eq!(wrong, Err(Error::Tampered { what: "artefact" }));
    let mut newer = sealed.to_vec();
    newer[4] = 2;
    let wrong = sealer().open(BlobKind::File, &newer);
    assert_eq!(wrong, Err(Error::Newer { what: "file of a genome", format: 2 }));
}

#[test]
fn chunks_of_a_large_object_keep_their_number_and_order() {
    let sealer = sealer();
    let plain: Vec<u8> = (0..2 * MAX_CHUNK + 5).map(|at| (at % 251) as u8).collect();
    let seal = |salt| -> Vec<Bytes> {
        let blocks = sealer.seal_blocks(BlobKind::File, &plain, [salt; 32]).unwrap();
        blocks.into_iter().map(|block| block.bytes).collect()
    };
    let chunks = seal(1);
    let lengths: Vec<_> = chunks.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [MAX_BLOCK, MAX_BLOCK, 5 + OVERHEAD]);
    let open = |chunks: &[Bytes]| sealer.open_blocks(BlobKind::File, chunks);
    assert_eq!(open(&chunks).unwrap(), plain);
    assert_eq!(sealer.open(BlobKind::File, &chunks.concat()).unwrap(), plain);

    let [a, b, c] = <[Bytes; 3]>::try_from(chunks).unwrap();
    let foreign = seal(2);
    for wrong in [
        vec![],
        vec![a.clone(), b.clone()],
        vec![b.clone(), c.clone()],
        vec![a.clone(), c.clone()],
        vec![b.clone(), a.clone(), c.clone()],
        vec![a.clone(), a.clone(), c.clone()],
        vec![a.clone(), b.clone(), c.clone(), c.clone()],
        vec![a.clone(), foreign[1].clone(), c.clone()],
        vec![a.clone(), b.clone(), c.slice(..c.len() - 1)],
        vec![a.clone(), b.slice(..b.len() - 1), c.clone()],
    ] {
        assert!(open(&wrong).is_err());
    }
    // A list that was cut, with its number changed along in what remains.
    let cut: Vec<Bytes> = [&a, &b]
        .map(|chunk| {
            let mut chunk = chunk.to_vec();
            chunk[13] = 2;
            chunk.into()
        })
        .to_vec();
    assert_eq!(open(&cut), Err(Error::Tampered { what: "file of a genome" }));
    // Two that changed places, with their numbers changed along.
    let moved: Vec<Bytes> = [(&b, 0), (&a, 1), (&c, 2)]
        .map(|(chunk, at)| {
            let mut chunk = chunk.to_vec();
            chunk[9] = at;
            chunk.into()
        })
        .to_vec();
    assert_eq!(open(&moved), Err(Error::Tampered { what: "file of a genome" }));
}

#[test]
fn sizes_at_the_edges_are_sealed_and_opened() {
    let sealer = sealer();
    for size in [0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1, 2 * MAX_CHUNK] {
        let plain = vec![7; size];
        let blocks = sealer.seal_blocks(BlobKind::File, &plain, [1; 32]).unwrap();
        assert_eq!(blocks.len(), size.div_ceil(MAX_CHUNK).max(1));
        let blocks: Vec<Bytes> = blocks.into_iter().map(|block| block.bytes).collect();
        assert!(blocks.iter().all(|block| block.len() <= MAX_BLOCK));
        assert_eq!(sealer.open_blocks(BlobKind::File, &blocks).unwrap(), plain);
    }
    let large = vec![0; MAX_OBJECT + 1];
    let refused = sealer.seal(BlobKind::File, &large, [1; 32]);
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
}

#[test]
fn a_session_key_is_unwrapped_by_its_master_and_for_its_session_only() {
    let (master, key) = (MasterKey::new([1; 32]), SessionKey::new([5; 32]));
    let wrapped = master.wrap(&key, session(), [2; 32]);
    assert_eq!(master.unwrap(&wrapped, session()).unwrap().disclose(), key.disclose());
    let wrong = MasterKey::new([2; 32]).unwrap(&wrapped, session()).unwrap_err();
    assert_eq!(wrong, Error::WrongKey { what: "session key" });
    let elsewhere = SessionId::new(2, [2; 10]);
    let wrong = master.unwrap(&wrapped, elsewhere).unwrap_err();
    assert_eq!(wrong, Error::Tampered { what: "session key" });
    assert!(MasterKey::from_slice(&[1; 31]).is_err());
    assert_ne!(master.id(), MasterKey::new([2; 32]).id());
    assert_eq!(format!("{master:?} {key:?}"), "MasterKey(…) SessionKey(…)");
}

#[test]
fn an_entry_opens_with_the_key_that_its_header_names_only() {
    let own = agent(0, 0);
    let written = write(&first(own, vec![]), &life(own, &[], 1.0, None)).unwrap();
    let entry = entry::read(&written.entry, &ring()).unwrap();
    let other = Sealer::new(session(), &SessionKey::new([6; 32]));
    let opened = entry::open::<Error>(&entry, &other, &mut |_| Ok(None));
    assert_eq!(opened, Err(Error::WrongKey { what: "journal entry" }));
}
