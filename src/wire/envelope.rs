//! The envelope of every message: sealed by its sender, opened by its receiver, both pure.
//!
//! What is opened was verified before it was parsed, and the bytes that were verified are the
//! bytes that are used.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use prost::{
    Message as _,
    encoding::{encode_varint, encoded_len_varint},
};

use crate::{
    code::Code,
    provenance::{
        digest::sha256,
        sign::{Purpose, SIGNATURE, Signer, Verifier},
    },
};

use super::{
    fault::Fault,
    limits::MAX_HEADER,
    methods::Method,
    v1::{CreateSessionRequest, EvaluateRequest, Header, RollbackRequest, StartRequest},
};

#[cfg(test)]
use super::v1::Envelope;

/// The schema's version. Minor versions add; a major version breaks.
pub const MAJOR: u32 = 1;
/// See [`MAJOR`].
pub const MINOR: u32 = 0;

/// How far the clocks of both ends may differ, in milliseconds.
pub const SKEW_MS: u64 = 30_000;
/// How long a request is good for: the time to send its largest over a slow line.
pub const REQUEST_MS: u64 = 120_000;
/// How long an answer is good for. Its request's id makes it fresh; this bounds how long it may
/// wait for a reader that is slow.
pub const ANSWER_MS: u64 = 3_600_000;

// The tags of the envelope's three fields.
const HEADER: u8 = 0x0a;
const SIGNED: u8 = 0x12;
const PAYLOAD: u8 = 0x1a;

/// The message type of the error that a call ends with.
const ERROR: &str = "darwin.v1.End";

/// The id of a message.
pub type MessageId = [u8; 16];

/// Says that calls with the same key are the same change. In a request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdempotencyKey(pub [u8; 16]);

/// A request for a change that its caller's id makes one, however often it is asked for: the id
/// is its idempotency key, and is stored with the change.
pub trait Keyed: Sized {
    /// The id.
    fn id(&self) -> &[u8];

    /// The request with its key; none if the id is none.
    fn keyed(self) -> tonic::Request<Self> {
        let key = self.id().try_into().ok().map(IdempotencyKey);
        let mut request = tonic::Request::new(self);
        if let Some(key) = key {
            request.extensions_mut().insert(key);
        }
        request
    }
}

impl Keyed for StartRequest {
    fn id(&self) -> &[u8] {
        &self.run_id
    }
}

impl Keyed for RollbackRequest {
    fn id(&self) -> &[u8] {
        &self.run_id
    }
}

impl Keyed for EvaluateRequest {
    fn id(&self) -> &[u8] {
        &self.agent_id
    }
}

impl Keyed for CreateSessionRequest {
    fn id(&self) -> &[u8] {
        &self.session_id
    }
}

/// Where a message belongs: the sender writes it, the receiver expects it.
#[derive(Debug, Clone)]
pub struct Place {
    /// The home: the SHA-256 digests of its authorities' certificates. The sender names the first;
    /// the receiver takes each, so that an authority can be followed by another.
    pub clusters: Arc<[[u8; 32]]>,
    /// The connection's TLS exporter value.
    pub session: [u8; 32],
    /// What is called.
    pub method: &'static Method,
    /// The call or channel; whoever takes a request learns it from there.
    pub stream: Option<u64>,
    /// The message's place in its direction of the stream.
    pub sequence: u64,
    /// The request, if this is an answer.
    pub answers: Option<MessageId>,
    /// Whether it is the error that a call ends with, in place of an answer.
    pub error: bool,
}

impl Place {
    /// The message type of what stands here.
    fn payload_type(&self) -> &'static str {
        match (self.answers, self.error) {
            (_, true) => ERROR,
            (Some(_), false) => self.method.answer,
            (None, false) => self.method.request,
        }
    }
}

/// What is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The message's id.
    pub id: MessageId,
    /// The stream that it belongs to.
    pub stream: u64,
    /// Whether it is the last one of its direction.
    pub last: bool,
    /// What makes its change one with another's.
    pub key: Option<IdempotencyKey>,
    /// The home, by the authority that the sender named.
    pub cluster: [u8; 32],
    /// The message.
    pub payload: Bytes,
}

/// Why a message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no envelope where one has to be.
    #[error(
        "the message is not signed: the other side is not of this version; restart the daemon with `darwin down` and `darwin up`, and call it with the `darwin` beside it"
    )]
    Unsigned,
    /// It is no envelope.
    #[error("this is no signed message ({0}): it was damaged or made by another program")]
    Malformed(&'static str),
    /// The peer's key did not sign it.
    #[error(
        "a message's signature is not that of the key in its sender's certificate: it was damaged or forged"
    )]
    Signature,
    /// It names another key than its signer's.
    #[error("a message names another sender than the one that signed it: it was forged")]
    Sender,
    /// It is of a version that nobody here understands.
    #[error(
        "the message is of schema version {0}, this side speaks {MAJOR}: install the same version of darwind and darwin"
    )]
    Version(u32),
    /// It is for somebody else.
    #[error("a message is for another {0} than this one: it was sent on by somebody")]
    Audience(&'static str),
    /// It is of another connection.
    #[error("a message belongs to another connection: it is a replay, or was sent on by somebody")]
    Session,
    /// Its payload is not what the method takes.
    #[error(
        "a message holds a {0}, which its method doesn't take: its sender is of another version, or hostile"
    )]
    Payload(String),
    /// It answers something else.
    #[error("a message does not answer what was asked: it was mixed up or sent on by somebody")]
    Answer,
    /// It came before.
    #[error("the message came before: it is a replay")]
    Replayed,
    /// It comes at another place than it was sent.
    #[error(
        "messages were reordered, repeated or left out on their way ({expected} was due, not {found})"
    )]
    Order {
        /// The place that is due.
        expected: u64,
        /// The message's.
        found: u64,
    },
    /// The last message did not come, or not as the last.
    #[error("a stream of messages was cut or continued on its way; try again")]
    Cut,
    /// It is too old.
    #[error("the message expired {0} s ago: check both machines' clocks, and try again")]
    Expired(u64),
    /// It is not from now.
    #[error("the message comes from a clock that is {0} s ahead: set both machines' clocks right")]
    Future(u64),
    /// It would be good for too long.
    #[error(
        "the message claims to be good for longer than any may be: its sender is of another version, or hostile"
    )]
    Lifetime,
    /// It changes something and has no key.
    #[error("a call that changes something needs an idempotency key of 16 bytes")]
    Keyless,
}

impl Refused {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Version(_) => Code::Conflict,
            Self::Keyless => Code::InvalidInput,
            Self::Malformed(_) | Self::Signature | Self::Order { .. } | Self::Cut => Code::Corrupt,
            _ => Code::Denied,
        }
    }
}

impl From<Refused> for Fault {
    fn from(error: Refused) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<Refused> for tonic::Status {
    fn from(error: Refused) -> Self {
        Fault::from(error).into()
    }
}

/// Seals `payload` and returns the envelope up to its payload's bytes, which follow.
#[must_use]
pub fn seal(
    signer: &Signer,
    place: &Place,
    (id, last, key): (MessageId, bool, Option<IdempotencyKey>),
    now_ms: u64,
    payload: &[u8],
) -> Bytes {
    let Place { method, answers, .. } = place;
    let life = if answers.is_some() { ANSWER_MS } else { REQUEST_MS };
    let header = Header {
        major: MAJOR,
        minor: MINOR,
        id: copy(&id),
        sender: copy(&signer.id().0),
        cluster: place.clusters.first().map(|cluster| copy(cluster)).unwrap_or_default(),
        service: method.service.to_owned(),
        method: method.name.to_owned(),
        session: copy(&place.session),
        stream: place.stream.unwrap_or_default(),
        sequence: place.sequence,
        last,
        issued_ms: now_ms,
        expires_ms: now_ms + life,
        idempotency_key: key.map(|key| copy(&key.0)).unwrap_or_default(),
        payload_type: place.payload_type().to_owned(),
        answers: answers.as_ref().map(|id| copy(id)).unwrap_or_default(),
    };
    wrap(signer, &header.encode_to_vec(), payload)
}

/// Signs a header as it is, with the digest of its payload.
fn wrap(signer: &Signer, header: &[u8], payload: &[u8]) -> Bytes {
    let signature = signer.sign(Purpose::Message, &signed(header, payload));
    let mut out = Vec::with_capacity(header.len() + SIGNATURE + 24);
    put(&mut out, HEADER, header.len());
    out.extend(header);
    put(&mut out, SIGNED, SIGNATURE);
    out.extend(signature);
    if !payload.is_empty() {
        put(&mut out, PAYLOAD, payload.len());
    }
    out.into()
}

/// Opens an envelope that `sender` should have sealed for `place`.
///
/// # Errors
/// Why it is not taken. The window of the connection is not asked.
pub fn open(
    mut envelope: Bytes,
    sender: &Verifier,
    place: &Place,
    now_ms: u64,
) -> Result<Opened, Refused> {
    let header = take(&mut envelope, HEADER)?;
    if header.len() > MAX_HEADER {
        return Err(Refused::Malformed("its header is too long"));
    }
    let signature = take(&mut envelope, SIGNED)?;
    let signature: &[u8; SIGNATURE] =
        signature.as_ref().try_into().map_err(|_| Refused::Malformed("its signature"))?;
    let payload = if envelope.is_empty() { Bytes::new() } else { take(&mut envelope, PAYLOAD)? };
    if !envelope.is_empty() {
        return Err(Refused::Malformed("something follows"));
    }
    sender
        .check(Purpose::Message, &signed(&header, &payload), signature)
        .map_err(|_| Refused::Signature)?;
    let header =
        Header::decode(header).map_err(|_| Refused::Malformed("its header can't be read"))?;
    check(&header, sender, place, now_ms)?;
    Ok(Opened {
        id: header.id.as_ref().try_into().map_err(|_| Refused::Malformed("its id"))?,
        stream: header.stream,
        last: header.last,
        key: header.idempotency_key.as_ref().try_into().ok().map(IdempotencyKey),
        cluster: header.cluster.as_ref().try_into().map_err(|_| Refused::Audience("home"))?,
        payload,
    })
}

fn check(header: &Header, sender: &Verifier, place: &Place, now_ms: u64) -> Result<(), Refused> {
    let Place { method, answers, .. } = place;
    let demand = |holds, otherwise| if holds { Ok(()) } else { Err(otherwise) };
    demand(header.major == MAJOR, Refused::Version(header.major))?;
    demand(header.sender == sender.id().0.as_slice(), Refused::Sender)?;
    let home = place.clusters.iter().any(|cluster| header.cluster == cluster.as_slice());
    demand(home, Refused::Audience("home"))?;
    demand(header.service == method.service, Refused::Audience("service"))?;
    demand(header.method == method.name, Refused::Audience("method"))?;
    demand(header.session == place.session.as_slice(), Refused::Session)?;
    let request = answers.as_ref().map(MessageId::as_slice).unwrap_or_default();
    demand(header.answers == request, Refused::Answer)?;
    demand(place.stream.is_none_or(|stream| stream == header.stream), Refused::Answer)?;
    let order = Refused::Order { expected: place.sequence, found: header.sequence };
    demand(header.sequence == place.sequence, order)?;
    let payload = Refused::Payload(header.payload_type.clone());
    demand(header.payload_type == place.payload_type(), payload)?;
    let life = if answers.is_some() { ANSWER_MS } else { REQUEST_MS };
    let good = header.expires_ms.checked_sub(header.issued_ms);
    demand(good.is_some_and(|good| good <= life), Refused::Lifetime)?;
    let ahead = header.issued_ms.saturating_sub(now_ms);
    demand(ahead <= SKEW_MS, Refused::Future(ahead / 1000))?;
    let late = now_ms.saturating_sub(header.expires_ms);
    demand(late <= SKEW_MS, Refused::Expired(late / 1000))?;
    let keyed = answers.is_some() || !method.writes || header.idempotency_key.len() == 16;
    demand(keyed, Refused::Keyless)
}

/// What the signature covers: a digest, so that a large payload is read only once.
fn signed(header: &[u8], payload: &[u8]) -> Vec<u8> {
    [header, &sha256(payload).0].concat()
}

fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

fn put(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    encode_varint(length as u64, out);
}

/// Takes the field with that tag from the front: neither left out, nor empty, nor of a length in
/// more bytes than it needs. So no two encodings say the same.
fn take(bytes: &mut Bytes, tag: u8) -> Result<Bytes, Refused> {
    let short = Refused::Malformed("it is too short");
    let mut rest = bytes.strip_prefix(&[tag]).ok_or(Refused::Malformed("its fields"))?;
    let before = rest.len();
    let length = prost::encoding::decode_varint(&mut rest).map_err(|_| short.clone())?;
    let skip = before - rest.len();
    if length == 0 || encoded_len_varint(length) != skip {
        return Err(Refused::Malformed("its lengths"));
    }
    if length > rest.len() as u64 {
        return Err(short);
    }
    bytes.advance(1 + skip);
    Ok(bytes.split_to(length as usize))
}

#[cfg(test)]
mod tests;
