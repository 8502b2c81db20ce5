//! A call on a channel, at the daemon's end: answered by the services as one of HTTP/2 is.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame as BodyFrame};
use http_body_util::{BodyExt as _, Full};
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};
use tonic::{
    Code as Grpc, Status,
    body::Body,
    codegen::http::{HeaderName, HeaderValue, Request, Response, Uri, header::CONTENT_TYPE},
};
use tower::Service;

use crate::{
    link::acceptor::Peer,
    wire::{
        envelope::{IdempotencyKey, Refused},
        methods::Method,
        v1::{Open, frame::What},
    },
};

use super::{Line, PART, REQUESTS, ROOM, core::Wrong, share};

/// What the daemon keeps of a channel.
#[derive(Debug)]
pub struct Answer {
    pub(super) credit: Arc<Semaphore>,
    /// For further requests, if there can be some.
    pub(super) feed: Option<Feed>,
    pub(super) work: AbortHandle,
    pub(super) streams: bool,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Further requests of a call, on their way to its method.
#[derive(Debug)]
pub(super) struct Feed {
    way: mpsc::UnboundedSender<Option<Bytes>>,
    /// The bytes that were not taken off.
    held: Arc<AtomicUsize>,
}

/// Their other end: the body of the call. It ends well only after the client has said so.
pub(super) struct Fed {
    line: Arc<Line<Answer>>,
    channel: u64,
    /// The first request.
    first: Option<Bytes>,
    way: Option<mpsc::UnboundedReceiver<Option<Bytes>>>,
    held: Arc<AtomicUsize>,
    /// Taken off, and not yet told of.
    taken: usize,
}

impl Feed {
    /// Of a call on that channel, and its body.
    pub fn new(line: Arc<Line<Answer>>, channel: u64) -> (Self, Fed) {
        let (way, end) = mpsc::unbounded_channel();
        let held = Arc::new(AtomicUsize::new(0));
        let fed = Fed { line, channel, first: None, way: Some(end), held: held.clone(), taken: 0 };
        (Self { way, held }, fed)
    }

    /// Takes some.
    ///
    /// # Errors
    /// If there is no room for it, and so none was granted.
    pub fn take(&self, part: Bytes) -> Result<(), Wrong> {
        let held = self.held.fetch_add(part.len(), Ordering::AcqRel) + part.len();
        if part.is_empty() || held > REQUESTS {
            return Err(Wrong::Channel);
        }
        // Its method may have done with it.
        let _ = self.way.send(Some(part));
        Ok(())
    }

    /// There are no more.
    pub fn done(self) {
        let _ = self.way.send(None);
    }
}

impl HttpBody for Fed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(BodyFrame::data(first))));
        }
        let Some(way) = &mut self.way else { return Poll::Ready(None) };
        Poll::Ready(match ready!(way.poll_recv(cx)) {
            Some(Some(part)) => {
                self.held.fetch_sub(part.len(), Ordering::AcqRel);
                self.taken += part.len();
                if self.taken >= REQUESTS / 2 {
                    let taken = std::mem::take(&mut self.taken) as u64;
                    self.line.push(self.channel, What::Credit(taken));
                }
                Some(Ok(BodyFrame::data(part)))
            }
            Some(None) => {
                self.way = None;
                None
            }
            None => {
                self.way = None;
                // Not “cancelled”: tonic takes that for a good end.
                Some(Err(Status::unavailable("its caller has gone")))
            }
        })
    }
}

/// Has a call answered.
pub(super) async fn answer<T>(
    line: &Line<Answer>,
    channel: u64,
    (open, fed): (Open, Option<Fed>),
    method: Option<&'static Method>,
    peer: Peer,
    mut service: T,
    credit: &Semaphore,
) -> Result<(), Status>
where
    T: Service<Request<Body>, Response = Response<Body>>,
{
    let method = method.ok_or_else(|| Status::unimplemented("there is no such method"))?;
    let key = <[u8; 16]>::try_from(open.idempotency_key.as_ref()).ok().map(IdempotencyKey);
    if method.writes && key.is_none() {
        return Err(Refused::Keyless.into());
    }
    let deadline = (open.timeout_ms > 0 && !method.writes)
        .then(|| tokio::time::Instant::now() + Duration::from_millis(open.timeout_ms));
    let request = request(open, fed, key, peer)?;
    let work = async {
        let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
        ready.map_err(|_| Status::unavailable("the services are gone"))?;
        let answer = service.call(request).await;
        let answer = answer.map_err(|_| Status::unavailable("the services are gone"))?;
        give(line, channel, answer, credit).await
    };
    match deadline {
        None => work.await,
        Some(at) => tokio::time::timeout_at(at, work)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("its caller's time was over"))),
    }
}

/// The call as HTTP/2 would bring it.
fn request(
    open: Open,
    fed: Option<Fed>,
    key: Option<IdempotencyKey>,
    peer: Peer,
) -> Result<Request<Body>, Status> {
    let mut framed = BytesMut::with_capacity(5 + open.message.len());
    framed.put_u8(0);
    framed.put_u32(open.message.len() as u32);
    framed.put(open.message);
    let message = framed.freeze();
    let mut request = Request::new(match fed {
        Some(fed) => Body::new(Fed { first: Some(message), ..fed }),
        None => Body::new(Full::new(message)),
    });
    *request.method_mut() = tonic::codegen::http::Method::POST;
    let bad = |_| Status::unimplemented("there is no such method");
    *request.uri_mut() = Uri::try_from(open.method).map_err(bad)?;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("te", HeaderValue::from_static("trailers"));
    for (name, value) in [("traceparent", open.traceparent), ("tracestate", open.tracestate)] {
        // What is no header is no trace context either.
        let value = HeaderValue::try_from(value).ok().filter(|value| !value.is_empty());
        headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
    }
    let extensions = request.extensions_mut();
    extensions.insert(peer);
    if let Some(key) = key {
        extensions.insert(key);
    }
    Ok(request)
}

/// Sends the answer's messages as there is room for them.
async fn give(
    line: &Line<Answer>,
    channel: u64,
    answer: Response<Body>,
    credit: &Semaphore,
) -> Result<(), Status> {
    let (parts, mut body) = answer.into_parts();
    if let Some(status) = Status::from_header_map(&parts.headers)
        && status.code() != Grpc::Ok
    {
        return Err(status);
    }
    let mut framed = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                let status = frame.trailers_ref().and_then(Status::from_header_map);
                let failed = status.filter(|status| status.code() != Grpc::Ok);
                return failed.map_or(Ok(()), Err);
            }
        };
        framed.put(data);
        while let Some(size) = framed.get(1..5) {
            let size = size.iter().fold(0, |size, byte| (size << 8) | usize::from(*byte));
            if framed.len() < 5 + size {
                break;
            }
            framed.advance(5);
            let mut message = framed.split_to(size).freeze();
            while message.len() > PART {
                let part = message.split_to(PART);
                room(line, credit, part.len()).await?;
                line.push(channel, What::Part(part));
            }
            room(line, credit, message.len()).await?;
            metrics::counter!("darwin_stream_messages_total").increment(1);
            line.push(channel, What::Message(message));
        }
    }
    Err(Status::internal("the answer has no end"))
}

/// Waits until the client has room for so many bytes, and the line has.
async fn room(line: &Line<Answer>, credit: &Semaphore, size: usize) -> Result<(), Status> {
    let room = credit.acquire_many(share(size) as u32).await;
    room.map_err(|_| Status::unavailable("the line is gone"))?.forget();
    loop {
        let mut arrived = pin!(line.room.notified());
        // Before the look, so that nothing that arrives after it is missed.
        arrived.as_mut().enable();
        if line.state().core.held() < ROOM {
            return Ok(());
        }
        arrived.await;
    }
}
