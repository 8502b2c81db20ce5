//! The envelope and LZ4 on gRPC: one layer for the client and one for the daemon, for all
//! methods. Out: signed, then compressed where that pays. In: decompressed within limits, then
//! verified, then parsed.
//!
//! A call in envelopes has a content type of its own. What it answers with is sealed too: the
//! answers name their request and their place, and the last one is marked. The error that a call
//! ends with is sealed in a header of its own beside gRPC's. Who is turned away before the request
//! was opened gets an error that is not: it may say that, and nothing of what the daemon has.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use arc_swap::ArcSwapOption;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use bytes::Bytes;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE},
};
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::wire::{
    access,
    envelope::{IdempotencyKey, Refused},
    methods::{self, Method},
};

use super::{
    acceptor::Peer,
    frames::{Reframed, Step, compressed, decompressed, plain},
    session::{Answering, Answers, Asked, Asking, Session},
};

/// The content type of a call in envelopes.
pub const ENVELOPES: HeaderValue = HeaderValue::from_static("application/grpc+envelope");
const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPTED: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The error that a call ends with: its envelope, in base64 as gRPC's binary headers are.
const ERROR: HeaderName = HeaderName::from_static("darwin-error-bin");
const LZ4: HeaderValue = HeaderValue::from_static("lz4");

/// What an error may say that is not sealed.
const SAYABLE: [Code; 9] = [
    Code::Cancelled,
    Code::DataLoss,
    Code::DeadlineExceeded,
    Code::InvalidArgument,
    Code::PermissionDenied,
    Code::ResourceExhausted,
    Code::Unauthenticated,
    Code::Unavailable,
    Code::Unimplemented,
];

/// The newest connection of a client, from which and to whom it seals.
pub type Current = Arc<ArcSwapOption<Session>>;

type Pending<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// A client's channel whose calls are in envelopes.
#[derive(Debug, Clone)]
pub struct Sealed<S> {
    inner: S,
    session: Current,
}

impl<S> Sealed<S> {
    /// Seals for the connection that `session` holds when a call goes out.
    pub fn new(inner: S, session: Current) -> Self {
        Self { inner, session }
    }
}

impl<S> Service<Request<Body>> for Sealed<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pending<Response<Body>, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(method) = methods::at(request.uri().path()) else {
            // Not one of ours; the daemon takes it without an envelope or not at all.
            return Box::pin(self.inner.call(request));
        };
        let key = request.extensions_mut().remove();
        let answers = Arc::new(Mutex::new(None));
        let session = self.session.clone();
        let ask = Ask { method, key, session, asking: None, answers: answers.clone() };
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, ENVELOPES);
        headers.insert(ENCODING, LZ4);
        headers.insert(ACCEPTED, LZ4);
        let answer = self.inner.call(request.map(|body| Body::new(Reframed::new(body, ask))));
        Box::pin(async move {
            let mut answer = answer.await?;
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner).take();
            if failed(answer.headers()) {
                return Ok(heard(answer.headers(), answers.as_mut()).into_http());
            }
            if answer.headers().get(CONTENT_TYPE) != Some(&ENVELOPES) {
                return Ok(Status::from(Refused::Unsigned).into_http());
            }
            let Some(answers) = answers else {
                // It came before the request was sent.
                return Ok(Status::from(Refused::Answer).into_http());
            };
            answer.headers_mut().remove(ENCODING);
            let open = Open { answers, streams: method.streams };
            Ok(answer.map(|body| Body::new(Reframed::new(body, open))))
        })
    }
}

/// Whether the answer is an error and nothing else.
fn failed(headers: &HeaderMap) -> bool {
    headers.get(STATUS).is_some_and(|status| status != "0")
}

/// The error that these headers or trailers tell: the sealed one, or that nothing was opened.
fn heard(headers: &HeaderMap, answers: Option<&mut Answers>) -> Status {
    let sealed = headers.get(ERROR).map(|sealed| BASE64.decode(sealed));
    match (sealed, answers) {
        (Some(Ok(sealed)), Some(answers)) => {
            return answers.failed(sealed.into()).unwrap_or_else(Status::from);
        }
        (Some(_), _) => return Refused::Malformed("its error").into(),
        (None, _) => {}
    }
    let plain = Status::from_header_map(headers).filter(|status| SAYABLE.contains(&status.code()));
    plain.unwrap_or_else(|| Refused::Unsigned.into())
}

/// Seals requests, for the connection that takes them.
struct Ask {
    method: &'static Method,
    key: Option<IdempotencyKey>,
    session: Current,
    asking: Option<Asking>,
    answers: Arc<Mutex<Option<Answers>>>,
}

impl Step for Ask {
    // It is this process's own and there already: the daemon says what is too large.
    const LIMIT: usize = usize::MAX;

    fn message(&mut self, _: bool, message: Bytes) -> Result<Vec<Bytes>, Status> {
        let asking = match &mut self.asking {
            Some(asking) => asking,
            asking => {
                // The body is read when its connection is there, not before: a call that had to
                // connect anew is sealed for the new connection.
                let session = self.session.load_full();
                let session =
                    session.ok_or_else(|| Status::unavailable("there is no connection"))?;
                let (begun, answers) = session.begin(self.method, self.key);
                *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = Some(answers);
                asking.insert(begun)
            }
        };
        let envelope = asking.seal(&message, !self.method.feeds);
        Ok(compressed([envelope, message]))
    }

    fn end(&mut self, _: Option<&mut HeaderMap>) -> Result<Vec<Bytes>, Status> {
        Ok(match &mut self.asking {
            Some(asking) if self.method.feeds => plain([asking.seal(&[], true), Bytes::new()]),
            _ => Vec::new(),
        })
    }
}

/// Opens answers.
struct Open {
    answers: Answers,
    streams: bool,
}

impl Step for Open {
    fn message(&mut self, compressed: bool, message: Bytes) -> Result<Vec<Bytes>, Status> {
        let message = if compressed { decompressed(&message)? } else { message };
        let opened = self.answers.open(message)?;
        // The mark of a stream's end is no message of its own.
        if self.streams && opened.last && opened.payload.is_empty() {
            return Ok(Vec::new());
        }
        Ok(plain([opened.payload, Bytes::new()]))
    }

    fn end(&mut self, trailers: Option<&mut HeaderMap>) -> Result<Vec<Bytes>, Status> {
        match trailers.filter(|trailers| failed(trailers)) {
            Some(trailers) => Err(heard(trailers, Some(&mut self.answers))),
            None => self.answers.end().map(|()| Vec::new()).map_err(Status::from),
        }
    }
}

/// The daemon's side.
#[derive(Debug, Clone, Copy)]
pub struct Envelopes {
    /// Whether calls that only read are taken without an envelope, from other gRPC clients.
    pub plain_reads: bool,
}

impl<S> Layer<S> for Envelopes {
    type Service = Opening<S>;

    fn layer(&self, inner: S) -> Opening<S> {
        Opening { inner, plain_reads: self.plain_reads }
    }
}

/// A service whose calls are opened before they reach it.
#[derive(Debug, Clone)]
pub struct Opening<S> {
    inner: S,
    plain_reads: bool,
}

impl<S> Service<Request<Body>> for Opening<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pending<Response<Body>, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let next = self.inner.clone();
        // The one that was asked whether it is ready.
        let mut inner = std::mem::replace(&mut self.inner, next);
        let Some(method) = methods::at(request.uri().path()) else {
            if request.uri().path().starts_with(access::HEALTH) {
                return Box::pin(async move { inner.call(request).await });
            }
            let status = Status::unimplemented("there is no such method");
            return Box::pin(async { Ok(status.into_http()) });
        };
        // What is packed otherwise, tonic refuses.
        let packed = request.headers().get(ENCODING) == Some(&LZ4);
        if packed {
            request.headers_mut().remove(ENCODING);
        }
        let packs = accepts(request.headers());
        if request.headers().get(CONTENT_TYPE) != Some(&ENVELOPES) {
            if method.writes || !self.plain_reads {
                return Box::pin(async { Ok(refuse(method, Refused::Unsigned.into())) });
            }
            let take = Take { packed, opening: None };
            let request = request.map(|body| Body::new(Reframed::new(body, take)));
            let answer = inner.call(request);
            return Box::pin(async move { Ok(give(answer.await?, Give { packs, seal: None })) });
        }
        Box::pin(async move {
            let Some(session) = request.extensions().get().map(|peer: &Peer| peer.session.clone())
            else {
                return Ok(refuse(method, Refused::Session.into()));
            };
            let opening = Opens { session, method, asked: None, opened: None };
            let take = Take { packed, opening: Some(opening) };
            let (mut parts, body) = request.into_parts();
            let mut body = Reframed::new(body, take);
            // Nothing of the service runs before the request was verified.
            let verify = tracing::info_span!("envelope.verify");
            let begun = body.begun().instrument(verify).await.map(Take::opened);
            let (key, seal) = match begun {
                Ok(Some(opened)) => opened,
                Ok(None) => return Ok(refuse(method, Refused::Cut.into())),
                Err(status) => return Ok(refuse(method, status)),
            };
            if let Some(key) = key {
                parts.extensions.insert::<IdempotencyKey>(key);
            }
            let answer = inner.call(Request::from_parts(parts, Body::new(body))).await?;
            Ok(give(answer, Give { packs, seal: Some(seal) }))
        })
    }
}

/// The answer to a call that is not let through.
fn refuse(method: &Method, status: Status) -> Response<Body> {
    let Method { service, name, .. } = method;
    tracing::info!(service, method = name, reason = status.message(), "refused a message");
    metrics::counter!("darwin_messages_refused_total").increment(1);
    status.into_http()
}

/// Whether the caller takes LZ4.
fn accepts(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPTED).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|name| name.trim() == "lz4")
}

/// An answer on its way out.
fn give(mut answer: Response<Body>, mut step: Give) -> Response<Body> {
    if failed(answer.headers()) {
        step.fail(answer.headers_mut());
    }
    if answer.headers().contains_key(STATUS) || (step.seal.is_none() && !step.packs) {
        return answer;
    }
    if step.seal.is_some() {
        answer.headers_mut().insert(CONTENT_TYPE, ENVELOPES);
    }
    if step.packs {
        answer.headers_mut().insert(ENCODING, LZ4);
    }
    answer.map(|body| Body::new(Reframed::new(body, step)))
}

/// Takes requests in.
struct Take {
    packed: bool,
    opening: Option<Opens>,
}

struct Opens {
    session: Arc<Session>,
    method: &'static Method,
    asked: Option<Asked>,
    opened: Option<Verified>,
}

type Verified = (Option<IdempotencyKey>, Answering);

impl Take {
    fn opened(&mut self) -> Option<Verified> {
        self.opening.as_mut()?.opened.take()
    }
}

impl Step for Take {
    fn message(&mut self, compressed: bool, message: Bytes) -> Result<Vec<Bytes>, Status> {
        let message = match (compressed, self.packed) {
            (false, _) => message,
            (true, true) => decompressed(&message)?,
            (true, false) => {
                return Err(Refused::Malformed("it is compressed in no named way").into());
            }
        };
        let Some(opens) = &mut self.opening else { return Ok(plain([message, Bytes::new()])) };
        let opened = match &mut opens.asked {
            Some(asked) => asked.open(message)?,
            asked => {
                let feeds = opens.method.feeds;
                let (opened, next, answering) =
                    opens.session.begun(opens.method, message, !feeds)?;
                opens.opened = Some((opened.key, answering));
                *asked = Some(next);
                opened
            }
        };
        // The mark of a stream's end is no message of its own.
        if opens.method.feeds && opened.last && opened.payload.is_empty() {
            return Ok(Vec::new());
        }
        Ok(plain([opened.payload, Bytes::new()]))
    }

    fn end(&mut self, _: Option<&mut HeaderMap>) -> Result<Vec<Bytes>, Status> {
        if let Some(asked) = self.opening.as_ref().and_then(|opens| opens.asked.as_ref()) {
            asked.end()?;
        }
        Ok(Vec::new())
    }
}

/// Gives answers out.
struct Give {
    packs: bool,
    seal: Option<Answering>,
}

impl Give {
    fn pack(&self, chunks: [Bytes; 2]) -> Vec<Bytes> {
        if self.packs { compressed(chunks) } else { plain(chunks) }
    }

    /// Seals the error that these headers or trailers tell.
    fn fail(&mut self, headers: &mut HeaderMap) {
        let Some((seal, status)) = self.seal.as_mut().zip(Status::from_header_map(headers)) else {
            return;
        };
        let sealed = BASE64.encode(seal.fail(&status));
        headers.extend(HeaderValue::try_from(sealed).map(|sealed| (ERROR, sealed)));
    }
}

impl Step for Give {
    fn message(&mut self, _: bool, message: Bytes) -> Result<Vec<Bytes>, Status> {
        let envelope = match &mut self.seal {
            Some(seal) => {
                let _span = tracing::info_span!("envelope.seal").entered();
                let last = !seal.method().streams;
                seal.seal(&message, last)
            }
            None => Bytes::new(),
        };
        Ok(self.pack([envelope, message]))
    }

    fn end(&mut self, trailers: Option<&mut HeaderMap>) -> Result<Vec<Bytes>, Status> {
        if let Some(trailers) = trailers.filter(|trailers| failed(trailers)) {
            self.fail(trailers);
            return Ok(Vec::new());
        }
        match &mut self.seal {
            Some(seal) if seal.method().streams => {
                let mark = seal.seal(&[], true);
                Ok(self.pack([mark, Bytes::new()]))
            }
            _ => Ok(Vec::new()),
        }
    }
}
