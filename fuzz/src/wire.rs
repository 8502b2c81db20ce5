//! What comes over the network.

use std::{collections::HashSet, convert::Infallible};

use bytes::{Buf as _, Bytes};
use darwin::{
    code::Code,
    domain::genome::FilePath,
    link::{
        certificate,
        frames::{Reframed, Step, compressed, decompressed, plain},
        line::core::Core,
    },
    provenance::{
        digest::sha256,
        sign::{Purpose, Signer, Verifier},
    },
    telemetry::context,
    wire::{
        convert,
        envelope::{self, IdempotencyKey, MAJOR, Place},
        fault::Fault,
        limits::{MAX_ENVELOPE, MAX_GRPC_MESSAGE, MAX_HEADER},
        methods::{self, METHODS},
        replay::Window,
        v1::{self, Frame, Frames, Header, frame::What},
    },
};
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, StreamBody};
use prost::Message;
use rustls::pki_types::CertificateDer;
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderValue},
};

use super::{Check, choice, flipped};

/// When the checks' messages are from, in milliseconds since the Unix epoch.
pub const NOW: u64 = 1_700_000_000_000;

/// Who seals what the checks open.
#[must_use]
pub fn signer() -> Signer {
    Signer::from_seed(&[1; 32]).expect("any seed is good")
}

/// Where it belongs.
#[must_use]
pub fn place() -> Place {
    Place {
        clusters: [[3; 32]].into(),
        session: [4; 32],
        method: methods::at("/darwin.v1.Runs/Start").expect("it is there"),
        stream: Some(1),
        sequence: 0,
        answers: None,
        error: false,
    }
}

fn verifier() -> Verifier {
    Verifier::new(signer().public()).expect("its own key is one")
}

/// An envelope as it comes: only the bytes that its sender would have made are taken.
pub fn envelope(data: &[u8]) -> bool {
    let Ok(opened) = envelope::open(data.to_vec().into(), &verifier(), &place(), NOW) else {
        return false;
    };
    let meta = (opened.id, opened.last, opened.key);
    let again =
        [&envelope::seal(&signer(), &place(), meta, NOW, &opened.payload)[..], &opened.payload];
    assert_eq!(again.concat(), data, "another encoding is taken for what was signed");
    true
}

/// A header that its sender did sign, whatever it says: it is taken only if all of it fits, and
/// with one bit turned never.
pub fn header(data: &[u8]) -> bool {
    let (size, rest) = choice(data);
    let (payload, header) = rest.split_at(rest.len().min(size.into()));
    let signed = [header, &sha256(payload).0].concat();
    let signature = signer().sign(Purpose::Message, &signed);
    let sealed = v1::Envelope {
        header: Bytes::copy_from_slice(header),
        signature: Bytes::copy_from_slice(&signature),
        payload: Bytes::copy_from_slice(payload),
    };
    let sealed = sealed.encode_to_vec();
    let open = |envelope: Vec<u8>| envelope::open(envelope.into(), &verifier(), &place(), NOW);
    let Ok(opened) = open(sealed.clone()) else { return false };
    let said = Header::decode(header).expect("it was taken");
    let Place { session, method, .. } = place();
    assert!(header.len() <= MAX_HEADER && said.major == MAJOR);
    assert_eq!((&said.session[..], said.stream, said.sequence), (&session[..], 1, 0));
    assert_eq!((said.service.as_str(), said.method.as_str()), (method.service, method.name));
    assert_eq!((said.payload_type.as_str(), &opened.payload[..]), (method.request, payload));
    assert_eq!(Some(&said.idempotency_key[..]), opened.key.as_ref().map(|key| &key.0[..]));
    assert!(open(flipped(&sealed, data)).is_err(), "a bit does not count");
    true
}

/// Gathers messages, as they are after their compression.
struct Gather;

impl Step for Gather {
    fn message(&mut self, packed: bool, message: Bytes) -> Result<Vec<Bytes>, Status> {
        let message = if packed { decompressed(&message)? } else { message };
        assert!(message.len() <= MAX_GRPC_MESSAGE + MAX_ENVELOPE);
        Ok(plain([message, Bytes::new()]))
    }

    fn end(&mut self, _: Option<&mut HeaderMap>) -> Result<Vec<Bytes>, Status> {
        Ok(Vec::new())
    }
}

fn gathered(chunks: Vec<Bytes>) -> Option<Bytes> {
    let frames = chunks.into_iter().map(|chunk| Ok::<_, Infallible>(http_body::Frame::data(chunk)));
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let all = Reframed::new(body, Gather).collect().now_or_never();
    all.expect("everything is there").ok().map(http_body_util::Collected::to_bytes)
}

/// The body of a call: it says the same however it is cut, and what is packed comes back.
pub fn frames(data: &[u8]) -> bool {
    let (size, rest) = choice(data);
    let bytes = Bytes::copy_from_slice(rest);
    let pieces = rest.chunks(usize::from(size).max(1)).map(Bytes::copy_from_slice).collect();
    let whole = gathered(vec![bytes.clone()]);
    assert_eq!(gathered(pieces), whole, "it depends on how it is cut");
    let half = bytes.len() / 2;
    let mut packed = Bytes::from(compressed([bytes.slice(..half), bytes.slice(half..)]).concat());
    assert_eq!(gathered(vec![packed.clone()]), gathered(plain([bytes.clone(), Bytes::new()])));
    if packed[0] == 1 {
        packed.advance(5);
        assert!(packed.len() < bytes.len(), "it was packed for nothing");
        assert_eq!(decompressed(&packed).expect("our own"), bytes);
    }
    whole.is_some()
}

/// The messages of a line, one behind the other, each after its length in two bytes; between
/// them it is sent from here, and goes on with another connection.
pub fn line(data: &[u8]) -> bool {
    let (mut core, mut rest) = (Core::default(), data);
    let mut taken = 0_u64;
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (message, behind) = behind.split_at(behind.len().min(length));
        rest = behind;
        let message = Bytes::copy_from_slice(message);
        core.push(Frame { channel: taken + 1, what: Some(What::Message(message.clone())) });
        let ours = core.next(true).expect("something was pushed");
        let Frames { number, frames, .. } = Frames::decode(ours).expect("our own");
        assert!(number > 0 && !frames.is_empty());
        let held = core.held();
        if core.take(&message).is_err() {
            // It may not go on, as its connection is left then; a new one may.
            let _ = core.resume(taken);
            continue;
        }
        assert!(core.held() <= held);
        let Frames { number, .. } = Frames::decode(message.clone()).expect("it was taken");
        assert!(number <= taken + 1, "a gap was not noticed");
        taken = taken.max(number);
        let again = core.take(&message).expect("what came before is only left out");
        assert!(again.is_empty(), "it came twice");
    }
    taken > 0
}

/// Numbers of streams, as a model admits them.
pub fn replay(data: &[u8]) -> bool {
    const SPAN: u64 = 1 << 16;
    let (mut window, mut seen, mut newest) = (Window::default(), HashSet::new(), 0_u64);
    for number in data.chunks_exact(8).take(24) {
        let number = u64::from_be_bytes(number.try_into().expect("eight bytes"));
        let fresh = number > newest || (number > 0 && newest - number < SPAN);
        let expected = fresh && seen.insert(number);
        assert_eq!(window.admit(number).is_ok(), expected, "{number} after {newest}");
        newest = newest.max(number);
    }
    newest > 0
}

/// The details of an error, and the words that go with it.
pub fn fault(data: &[u8]) -> bool {
    let (code, rest) = choice(data);
    let text = String::from_utf8_lossy(&rest[..rest.len().min(20)]).into_owned();
    let details = Bytes::copy_from_slice(rest);
    let status = Status::with_details(tonic::Code::from_i32(code.into()), text, details);
    let fault = Fault::from(status);
    assert_eq!(Fault::from(Status::from(fault.clone())).code, fault.code);
    let mut headers = HeaderMap::new();
    for (name, value) in ["traceparent", "tracestate"].into_iter().zip(rest.split(|c| *c == 0)) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    context::extract(&headers).is_some() || fault.code == Code::Exhausted
}

/// A certificate that somebody shows.
pub fn certificate(data: &[u8]) -> bool {
    let der = CertificateDer::from(data.to_vec());
    let facts = certificate::read(&der);
    assert!(facts.as_ref().is_none_or(|facts| facts.name.len() <= data.len()));
    facts.is_some()
}

/// A request, and what the daemon's services make of it before they do anything.
pub fn requests(data: &[u8]) -> bool {
    let (which, rest) = choice(data);
    let (_, check) = REQUESTS[usize::from(which) % REQUESTS.len()];
    check(rest)
}

/// Each kind of request, by its name.
pub const REQUESTS: [(&str, Check); 23] = [
    ("AgentRef", decoded::<v1::AgentRef>),
    ("CreateSessionRequest", creation),
    ("DoctorRequest", decoded::<v1::DoctorRequest>),
    ("EvaluateRequest", evaluation),
    ("ExportRequest", decoded::<v1::ExportRequest>),
    ("InviteRequest", decoded::<v1::InviteRequest>),
    ("JournalRequest", decoded::<v1::JournalRequest>),
    ("ListRoomsRequest", decoded::<v1::ListRoomsRequest>),
    ("ListRunsRequest", decoded::<v1::ListRunsRequest>),
    ("ListSessionsRequest", decoded::<v1::ListSessionsRequest>),
    ("PageRequest", decoded::<v1::PageRequest>),
    ("ResumeRequest", decoded::<v1::ResumeRequest>),
    ("RollbackRequest", rollback),
    ("RunRef", decoded::<v1::RunRef>),
    ("Say", decoded::<v1::Say>),
    ("SessionRef", decoded::<v1::SessionRef>),
    ("SetContextRequest", decoded::<v1::SetContextRequest>),
    ("ShredRequest", decoded::<v1::ShredRequest>),
    ("StartRequest", start),
    ("StatusRequest", decoded::<v1::StatusRequest>),
    // New ones come last: the corpus names them by their place.
    ("BlobPart", decoded::<v1::BlobPart>),
    ("GetBlobRequest", decoded::<v1::GetBlobRequest>),
    ("ListBlobsRequest", decoded::<v1::ListBlobsRequest>),
];

/// The requests that a method takes, and none of which is checked; none, if all is well.
#[must_use]
pub fn unchecked_requests() -> Vec<&'static str> {
    // These have no fields.
    let empty = ["VerifyStoreRequest", "ShutdownRequest"];
    let names = METHODS.iter().filter_map(|method| method.request.strip_prefix("darwin.v1."));
    let known = |name: &&str| REQUESTS.iter().any(|(it, _)| it == name) || empty.contains(name);
    names.filter(|name| !known(name)).collect()
}

/// Decodes a message that says the same after it was written and read again.
fn read<T: Message + Default>(data: &[u8]) -> Option<T> {
    let message = T::decode(data).ok()?;
    let written = message.encode_to_vec();
    let again = T::decode(&written[..]).expect("our own");
    // Not the messages: a NaN is no other.
    assert_eq!(again.encode_to_vec(), written);
    Some(message)
}

fn decoded<T: Message + Default>(data: &[u8]) -> bool {
    read::<T>(data).is_some()
}

fn id_is_sixteen_bytes(id: &[u8]) -> bool {
    let found = convert::id::<darwin::domain::id::RunId>("id", id);
    assert_eq!(found.is_ok(), id.len() == 16);
    assert!(found.is_err() || found.is_ok_and(|found| found.as_bytes()[..] == *id));
    id.len() == 16
}

fn creation(data: &[u8]) -> bool {
    let Some(request) = read::<v1::CreateSessionRequest>(data) else { return false };
    id_is_sixteen_bytes(&request.session_id)
}

fn rollback(data: &[u8]) -> bool {
    let Some(request) = read::<v1::RollbackRequest>(data) else { return false };
    id_is_sixteen_bytes(&request.run_id)
}

fn start(data: &[u8]) -> bool {
    let Some(request) = read::<v1::StartRequest>(data) else { return false };
    let good = [
        id_is_sixteen_bytes(&request.run_id),
        files(request.suite_files),
        files(request.agent_files),
        super::texts::spec(request.spec_toml.as_bytes()),
    ];
    good == [true; 4]
}

/// Files are taken once each, and none of them leads out of its directory.
fn files(files: Vec<v1::File>) -> bool {
    let Ok(bundle) = convert::bundle("files", files.clone()) else { return false };
    for path in bundle.keys().map(FilePath::as_str) {
        let mut parts = path.split('/');
        assert!(parts.all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
    }
    let mut sorted = files;
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut again = convert::files(&bundle);
    again.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(again, sorted);
    true
}

fn evaluation(data: &[u8]) -> bool {
    let Some(request) = read::<v1::EvaluateRequest>(data) else { return false };
    let good = super::texts::suite(request.suite_toml.as_bytes()) & files(request.suite_files);
    let Some(v1::evaluate_request::What::Genome(message)) = request.what else { return good };
    let Ok((genome, space)) = convert::genome(message) else { return false };
    let again = convert::genome(convert::genome_message(&genome, &space)).expect("our own");
    assert_eq!(again, (genome, space));
    good
}

/// Requests and envelopes as our own clients make them, for the corpus.
#[must_use]
pub fn sealed(payload: &[u8]) -> Vec<u8> {
    let meta = ([5; 16], true, Some(IdempotencyKey([6; 16])));
    [&envelope::seal(&signer(), &place(), meta, NOW, payload)[..], payload].concat()
}
