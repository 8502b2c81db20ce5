//! Envelopes, right and wrong.

use proptest::prelude::*;

use super::*;
use crate::wire::methods;

const NOW: u64 = 1_800_000_000_000;
const ID: MessageId = [5; 16];
const KEY: IdempotencyKey = IdempotencyKey([6; 16]);

fn signer(seed: u8) -> Signer {
    Signer::from_seed(&[seed; 32]).unwrap()
}

fn verifier(seed: u8) -> Verifier {
    Verifier::new(signer(seed).public()).unwrap()
}

fn method(path: &str) -> &'static Method {
    methods::at(path).unwrap()
}

/// Where a request to start a run belongs.
fn place() -> Place {
    Place {
        clusters: Arc::new([[1; 32]]),
        session: [2; 32],
        method: method("/darwin.v1.Runs/Start"),
        stream: Some(7),
        sequence: 0,
        answers: None,
        error: false,
    }
}

/// Where its answer does.
fn answer() -> Place {
    Place { answers: Some(ID), ..place() }
}

fn sealed(place: &Place, payload: &[u8]) -> Bytes {
    let front = seal(&signer(9), place, (ID, true, Some(KEY)), NOW, payload);
    [front.as_ref(), payload].concat().into()
}

fn opened(envelope: Bytes, place: &Place) -> Result<Opened, Refused> {
    open(envelope, &verifier(9), place, NOW)
}

/// A header as the sender could have written it, signed as it is.
fn changed(change: impl FnOnce(&mut Header)) -> Bytes {
    let mut envelope = sealed(&place(), b"x");
    let mut header = Header::decode(take(&mut envelope, HEADER).unwrap()).unwrap();
    change(&mut header);
    let front = wrap(&signer(9), &header.encode_to_vec(), b"x");
    [front.as_ref(), b"x"].concat().into()
}

#[test]
fn what_was_sealed_is_opened() {
    for place in [place(), answer()] {
        for payload in [b"".as_slice(), b"a payload", &[7; 100_000]] {
            let opened = opened(sealed(&place, payload), &place).unwrap();
            let expected = Opened {
                id: ID,
                stream: 7,
                last: true,
                key: Some(KEY),
                cluster: place.clusters[0],
                payload: Bytes::copy_from_slice(payload),
            };
            assert_eq!(opened, expected);
        }
    }
}

#[test]
fn an_envelope_is_the_message_that_its_file_describes() {
    let envelope = sealed(&place(), b"payload");
    let message = Envelope::decode(envelope.clone()).unwrap();
    assert_eq!(message.payload, b"payload".as_slice());
    let header = Header::decode(message.header.clone()).unwrap();
    assert_eq!((header.service.as_str(), header.method.as_str()), ("darwin.v1.Runs", "Start"));
    assert_eq!(header.payload_type, "darwin.v1.StartRequest");
    assert_eq!(message.encode_to_vec(), envelope);
}

#[test]
fn every_flipped_bit_is_refused() {
    for payload in [b"".as_slice(), b"some payload"] {
        let envelope = sealed(&place(), payload);
        for bit in 0..envelope.len() * 8 {
            let mut flipped = envelope.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(opened(flipped.into(), &place()).is_err(), "bit {bit}");
        }
        for length in 0..envelope.len() {
            assert!(opened(envelope.slice(..length), &place()).is_err(), "cut at {length}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_flipped_in_any_envelope_is_refused(
        payload in prop::collection::vec(any::<u8>(), 0..200),
        (stream, sequence, last) in any::<(u64, u64, bool)>(),
        bits in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let place = Place { stream: Some(stream), sequence, ..place() };
        let front = seal(&signer(9), &place, (ID, last, Some(KEY)), NOW, &payload);
        let envelope = Bytes::from([front.as_ref(), &payload].concat());
        prop_assert!(opened(envelope.clone(), &place).is_ok());
        let mut flipped = envelope.to_vec();
        for bit in bits {
            let bit = bit.index(envelope.len() * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
        if flipped != envelope {
            prop_assert!(opened(flipped.into(), &place).is_err());
        }
    }

    #[test]
    fn rubbish_is_refused_and_nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(opened(bytes.into(), &place()).is_err());
    }

    #[test]
    fn rubbish_in_the_header_is_refused_though_it_is_signed(
        header in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let front = wrap(&signer(9), &header, b"");
        prop_assert!(opened(front, &place()).is_err());
    }
}

#[test]
fn another_key_or_none_is_refused() {
    let envelope = sealed(&place(), b"x");
    let other = open(envelope.clone(), &verifier(8), &place(), NOW);
    assert_eq!(other, Err(Refused::Signature));
    // Its signer says that it was somebody else.
    let forged = changed(|header| header.sender = copy(&signer(8).id().0));
    assert_eq!(opened(forged, &place()), Err(Refused::Sender));
    // The signature is left out, or of another length.
    let whole = Envelope::decode(envelope).unwrap();
    for signature in [Bytes::new(), whole.signature.slice(1..), vec![0; 64].into()] {
        let stripped = Envelope { signature, ..whole.clone() };
        let refused = opened(stripped.encode_to_vec().into(), &place()).unwrap_err();
        assert_eq!(refused.code(), Code::Corrupt, "{refused}");
    }
}

#[test]
fn what_is_added_or_written_otherwise_is_refused() {
    let envelope = sealed(&place(), b"x");
    // A field of nobody's, the payload once more, and its length in two bytes.
    let mut long = envelope.to_vec();
    let at = long.len() - 2;
    long.splice(at..=at, [0x81, 0x00]);
    for other in [
        [&envelope, b"\x22\x00".as_slice()].concat(),
        [&envelope, b"\x1a\x01x".as_slice()].concat(),
        long,
    ] {
        assert!(Envelope::decode(other.as_slice()).is_ok());
        assert!(matches!(opened(other.into(), &place()), Err(Refused::Malformed(_))));
    }
    let long = changed(|header| header.payload_type = "x".repeat(MAX_HEADER));
    assert_eq!(opened(long, &place()), Err(Refused::Malformed("its header is too long")));
}

#[test]
fn a_newer_minor_version_is_taken_and_another_major_one_named() {
    // With a field that this version doesn't know: number 100, a varint.
    let mut envelope = sealed(&place(), b"x");
    let mut header = Header::decode(take(&mut envelope, HEADER).unwrap()).unwrap();
    header.minor = MINOR + 1;
    let header = [header.encode_to_vec().as_slice(), &[0xa0, 0x06, 1]].concat();
    let newer = [wrap(&signer(9), &header, b"x").as_ref(), b"x"].concat();
    assert_eq!(opened(newer.into(), &place()).unwrap().payload, b"x".as_slice());
    for major in [0, MAJOR + 1] {
        let other = changed(|header| header.major = major);
        let refused = opened(other, &place()).unwrap_err();
        assert_eq!(refused, Refused::Version(major));
        assert!(refused.to_string().contains("install the same version"), "{refused}");
    }
}

#[test]
fn what_is_for_somebody_else_is_refused() {
    let start = sealed(&place(), b"x");
    let refused = |place: Place| opened(start.clone(), &place).unwrap_err();
    let home = |clusters: &[[u8; 32]]| Place { clusters: clusters.into(), ..place() };
    for elsewhere in [home(&[[9; 32]]), home(&[])] {
        assert_eq!(refused(elsewhere), Refused::Audience("home"));
    }
    // An authority that another one follows is still known.
    assert!(opened(start.clone(), &home(&[[9; 32], [1; 32]])).is_ok());
    let method = |path| Place { method: method(path), ..place() };
    assert_eq!(refused(method("/darwin.v1.Runs/Stop")), Refused::Audience("method"));
    assert_eq!(refused(method("/darwin.v1.Sessions/Create")), Refused::Audience("service"));
    assert_eq!(refused(Place { session: [9; 32], ..place() }), Refused::Session);
    assert_eq!(refused(Place { stream: Some(8), ..place() }), Refused::Answer);
    let order = Refused::Order { expected: 1, found: 0 };
    assert_eq!(refused(Place { sequence: 1, ..place() }), order);
    let other = changed(|header| "darwin.v1.RunRef".clone_into(&mut header.payload_type));
    assert_eq!(opened(other, &place()), Err(Refused::Payload("darwin.v1.RunRef".to_owned())));
}

#[test]
fn a_request_is_no_answer_and_an_answer_no_others() {
    assert_eq!(opened(sealed(&place(), b"x"), &answer()), Err(Refused::Answer));
    assert_eq!(opened(sealed(&answer(), b"x"), &place()), Err(Refused::Answer));
    let other = Place { answers: Some([8; 16]), ..place() };
    assert_eq!(opened(sealed(&answer(), b"x"), &other), Err(Refused::Answer));
}

#[test]
fn times_are_held_to_with_some_tolerance() {
    let at = |now| open(sealed(&place(), b"x"), &verifier(9), &place(), now);
    assert!(at(NOW - SKEW_MS).is_ok());
    assert_eq!(at(NOW - SKEW_MS - 1), Err(Refused::Future(SKEW_MS / 1000)));
    assert!(at(NOW + REQUEST_MS + SKEW_MS).is_ok());
    assert_eq!(at(NOW + REQUEST_MS + SKEW_MS + 1), Err(Refused::Expired(SKEW_MS / 1000)));
    assert!(at(u64::MAX).is_err() && at(0).is_err());
    for expires in [0, NOW - 1, NOW + REQUEST_MS + 1, u64::MAX] {
        let long = changed(|header| header.expires_ms = expires);
        assert_eq!(opened(long, &place()), Err(Refused::Lifetime), "{expires}");
    }
}

#[test]
fn only_what_changes_something_needs_a_key() {
    for key in [Bytes::new(), vec![1; 15].into()] {
        let keyless = changed(|header| header.idempotency_key = key);
        assert_eq!(opened(keyless, &place()), Err(Refused::Keyless));
    }
    let read = Place { method: method("/darwin.v1.Runs/Show"), ..place() };
    let front = seal(&signer(9), &read, (ID, true, None), NOW, b"");
    assert_eq!(opened(front, &read).unwrap().key, None);
}
