//! What both ends of a connection know of each other, and the signed messages that they exchange
//! on it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use prost::Message as _;
use rustls::{ConnectionCommon, pki_types::CertificateDer};
use tonic::Status;

use crate::{
    provenance::{
        digest::sha256,
        sign::{Signer, Verifier},
    },
    wire::{
        envelope::{self, IdempotencyKey, MessageId, Opened, Place, Refused},
        methods::Method,
        replay::Window,
        v1::End,
    },
};

use super::{
    error::LinkError,
    pki::{self, Identity},
};

/// RFC 9266, section 2.
const BINDING: &[u8] = b"EXPORTER-Channel-Binding";

/// With what one side signs, and for which home.
#[derive(Debug)]
pub struct Credentials {
    signer: Signer,
    clusters: Arc<[[u8; 32]]>,
}

impl Credentials {
    /// Those of an identity: it signs with its certificate's key, for its authority's home.
    ///
    /// # Errors
    /// If that is no Ed25519 key.
    pub fn of(identity: &Identity) -> Result<Self, LinkError> {
        let signer = Signer::from_pkcs8(identity.key.secret_der())
            .map_err(|_| LinkError::Outdated { whose: "this user's" })?;
        Ok(Self {
            signer,
            clusters: identity.authorities.iter().map(|own| sha256(own).0).collect(),
        })
    }
}

/// A connection: both keys, and what ties messages to it.
pub struct Session {
    own: Arc<Credentials>,
    peer: Verifier,
    binding: [u8; 32],
    /// The streams begun from here.
    begun: AtomicU64,
    /// And those begun from there.
    window: Mutex<Window>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("peer", &self.peer.id()).finish_non_exhaustive()
    }
}

impl Session {
    /// Of a connection whose handshake is over.
    ///
    /// # Errors
    /// If the peer showed no certificate with an Ed25519 key.
    pub fn new<D>(
        own: Arc<Credentials>,
        connection: &ConnectionCommon<D>,
    ) -> Result<Arc<Self>, LinkError> {
        let shown = connection.peer_certificates().and_then(<[CertificateDer]>::first);
        let peer = shown.and_then(pki::public_key).and_then(|key| Verifier::new(key).ok());
        let peer = peer.ok_or(LinkError::Outdated { whose: "the peer's" })?;
        let binding = connection
            .export_keying_material([0; 32], BINDING, None)
            .map_err(|error| LinkError::Setup(error.to_string()))?;
        Ok(Self::bound(own, peer, binding))
    }

    fn bound(own: Arc<Credentials>, peer: Verifier, binding: [u8; 32]) -> Arc<Self> {
        let (begun, window) = (AtomicU64::new(0), Mutex::default());
        Arc::new(Self { own, peer, binding, begun, window })
    }

    /// Both ends of a connection that is only thought of, the client's first.
    #[cfg(test)]
    pub(crate) fn pair() -> (Arc<Self>, Arc<Self>) {
        let [client, server] = [1, 2].map(|seed| {
            let signer = Signer::from_seed(&[seed; 32]).unwrap();
            Arc::new(Credentials { signer, clusters: [[3; 32]].into() })
        });
        let end = |own: &Arc<Credentials>, peer: &Arc<Credentials>| {
            let peer = Verifier::new(peer.signer.public()).unwrap();
            Self::bound(own.clone(), peer, [4; 32])
        };
        (end(&client, &server), end(&server, &client))
    }

    fn place(&self, method: &'static Method) -> Place {
        Place {
            clusters: self.own.clusters.clone(),
            session: self.binding,
            method,
            stream: None,
            sequence: 0,
            answers: None,
            error: false,
        }
    }

    /// Begins a new stream: how its requests are sealed, and how its answers are opened.
    #[must_use]
    pub fn begin(
        self: &Arc<Self>,
        method: &'static Method,
        key: Option<IdempotencyKey>,
    ) -> (Asking, Answers) {
        let stream = Some(self.begun.fetch_add(1, Ordering::Relaxed) + 1);
        let place = Place { stream, ..self.place(method) };
        let id = rand::random();
        // Without a key of the caller's, the call is no other's repetition.
        let key = key.or_else(|| method.writes.then(|| IdempotencyKey(rand::random())));
        let answers = Place { answers: Some(id), ..place.clone() };
        let asking = Asking { session: self.clone(), place, id, key };
        (asking, Answers { session: self.clone(), place: answers, ended: false })
    }

    /// Opens a stream's first request, which may be its last or must not be; tells how the next ones
    /// are opened, and how the answers are sealed.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn begun(
        self: &Arc<Self>,
        method: &'static Method,
        envelope: Bytes,
        last: bool,
    ) -> Result<(Opened, Asked, Answering), Refused> {
        let mut place = self.place(method);
        let opened = envelope::open(envelope, &self.peer, &place, now_ms())?;
        if opened.last != last {
            return Err(Refused::Cut);
        }
        // Only now: what isn't the peer's own must not use up a number.
        self.window.lock().unwrap_or_else(PoisonError::into_inner).admit(opened.stream)?;
        // Named as the peer does: it may not know an authority that is newer.
        place.clusters = [opened.cluster].into();
        place.stream = Some(opened.stream);
        let answers = Place { answers: Some(opened.id), ..place.clone() };
        place.sequence = 1;
        let asked = Asked { session: self.clone(), place, ended: last };
        Ok((opened, asked, Answering { session: self.clone(), place: answers }))
    }

    /// The fingerprint of the peer's key.
    #[must_use]
    pub fn peer(&self) -> [u8; 32] {
        self.peer.id().0
    }
}

/// Seals the requests of a stream.
#[derive(Debug)]
pub struct Asking {
    session: Arc<Session>,
    place: Place,
    /// The next one's; that of the first one is what answers name.
    id: MessageId,
    key: Option<IdempotencyKey>,
}

impl Asking {
    /// Seals the next one: its envelope up to the payload.
    pub fn seal(&mut self, payload: &[u8], last: bool) -> Bytes {
        let meta = (self.id, last, self.key);
        let signer = &self.session.own.signer;
        let envelope = envelope::seal(signer, &self.place, meta, now_ms(), payload);
        self.place.sequence += 1;
        self.id = rand::random();
        envelope
    }
}

/// Opens the requests of a stream after the first one.
#[derive(Debug)]
pub struct Asked {
    session: Arc<Session>,
    place: Place,
    ended: bool,
}

impl Asked {
    /// Opens the next one.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn open(&mut self, envelope: Bytes) -> Result<Opened, Refused> {
        next(&self.session, &mut self.place, &mut self.ended, envelope)
    }

    /// Makes sure that the last one came.
    ///
    /// # Errors
    /// If it didn't.
    pub fn end(&self) -> Result<(), Refused> {
        if self.ended { Ok(()) } else { Err(Refused::Cut) }
    }
}

/// Opens the next message of a direction.
fn next(
    session: &Session,
    place: &mut Place,
    ended: &mut bool,
    envelope: Bytes,
) -> Result<Opened, Refused> {
    let opened = envelope::open(envelope, &session.peer, place, now_ms())?;
    if *ended {
        return Err(Refused::Cut);
    }
    place.sequence += 1;
    *ended = opened.last;
    Ok(opened)
}

/// Opens the answers to a request.
#[derive(Debug)]
pub struct Answers {
    session: Arc<Session>,
    place: Place,
    ended: bool,
}

impl Answers {
    /// Opens the next one.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn open(&mut self, envelope: Bytes) -> Result<Opened, Refused> {
        next(&self.session, &mut self.place, &mut self.ended, envelope)
    }

    /// Opens the error that the call ended with.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn failed(&mut self, envelope: Bytes) -> Result<Status, Refused> {
        self.place.error = true;
        let payload = self.open(envelope)?.payload;
        let end = End::decode(payload).map_err(|_| Refused::Malformed("its error"))?;
        Ok(end.into())
    }

    /// Makes sure that the last one came.
    ///
    /// # Errors
    /// If it didn't.
    pub fn end(&self) -> Result<(), Refused> {
        if self.ended { Ok(()) } else { Err(Refused::Cut) }
    }
}

/// Seals the answers to a request.
#[derive(Debug)]
pub struct Answering {
    session: Arc<Session>,
    place: Place,
}

impl Answering {
    /// Seals the next one: its envelope up to the payload.
    pub fn seal(&mut self, payload: &[u8], last: bool) -> Bytes {
        let meta = (rand::random(), last, None);
        let signer = &self.session.own.signer;
        let envelope = envelope::seal(signer, &self.place, meta, now_ms(), payload);
        self.place.sequence += 1;
        envelope
    }

    /// Seals the error that the call ends with: a whole envelope.
    pub fn fail(&mut self, status: &Status) -> Vec<u8> {
        self.place.error = true;
        let payload = End::from(status).encode_to_vec();
        [&self.seal(&payload, true), payload.as_slice()].concat()
    }

    /// What is answered.
    #[must_use]
    pub fn method(&self) -> &'static Method {
        self.place.method
    }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
