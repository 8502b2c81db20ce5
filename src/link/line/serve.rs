//! The daemon's end: takes calls off a line and has the services answer them, as it does with
//! those of HTTP/2. A line whose connection broke is kept for a while, with its calls at work.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, watch},
    task::AbortHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code as Grpc, Status,
    body::Body,
    codegen::http::{HeaderName, HeaderValue, Request, Response, Uri, header::CONTENT_TYPE},
};
use tower::Service;

use crate::{
    code::Code,
    link::{
        acceptor::Peer,
        session::{Answering, Asked},
    },
    resilience::deadline::within,
    wire::{
        envelope::{IdempotencyKey, MAJOR, MINOR, Refused},
        fault::Fault,
        methods::{self, Method, STREAM},
        v1::{End, Frame, Hello, Open, frame::What},
    },
};

use super::{
    CHANNELS, Line, PART, ROOM, WINDOW,
    calls::hello_of,
    carry::{Broken, Carrier},
    core::Wrong,
    share,
};

/// How long a client may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// How long a line is kept whose connection broke.
const KEPT: Duration = Duration::from_secs(30);
/// The most lines that are kept so; the one that has waited longest goes.
const LINES: usize = 256;

/// The lines of a daemon, by their tokens.
#[derive(Debug, Default)]
pub struct Lines(Mutex<HashMap<[u8; 32], Arc<Held>>>);

/// A line, and whose it is.
#[derive(Debug)]
pub(super) struct Held {
    line: Line<Answer>,
    /// The fingerprint of the client's key.
    owner: [u8; 32],
    /// Rises with each connection that carries it: an earlier one then leaves it alone.
    turn: watch::Sender<u64>,
}

/// What the daemon keeps of a channel.
#[derive(Debug)]
struct Answer {
    credit: Arc<Semaphore>,
    work: AbortHandle,
    streams: bool,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Lines {
    fn table(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Held>>> {
        // Whole between any two statements that hold the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The line that the token names, if it is that client's; else a new one.
    pub(super) fn find(&self, token: &Bytes, owner: [u8; 32]) -> ([u8; 32], Arc<Held>) {
        let mut table = self.table();
        if let Ok(token) = <[u8; 32]>::try_from(token.as_ref())
            && let Some(held) = table.get(&token).filter(|held| held.owner == owner)
        {
            return (token, held.clone());
        }
        let token = rand::random();
        let held = Arc::new(Held { line: Line::default(), owner, turn: watch::Sender::new(0) });
        table.insert(token, held.clone());
        (token, held)
    }

    /// Keeps a line whose connection broke in its turn, if its client may want to go on with it,
    /// and not too many are kept.
    fn left(self: &Arc<Self>, token: [u8; 32], held: Arc<Held>, turn: u64) {
        if !held.is_needed() || self.table().len() > LINES {
            return self.drop_line(&token, &held, turn);
        }
        let lines = self.clone();
        tokio::spawn(async move {
            let mut turns = held.turn.subscribe();
            let again = turns.wait_for(|now| *now != turn);
            if tokio::time::timeout(KEPT, again).await.is_err() {
                lines.drop_line(&token, &held, turn);
            }
        });
    }

    /// Ends a line, unless another connection carries it since that turn.
    fn drop_line(&self, token: &[u8; 32], held: &Held, turn: u64) {
        if *held.turn.borrow() == turn {
            self.table().remove(token);
            held.line.state().channels.clear();
        }
    }
}

/// Serves one connection to its end; `service` answers the calls. At `stop` calls that stream are
/// ended, the others end by themselves.
///
/// # Errors
/// If the client goes before, or what it sends is not taken.
pub async fn serve<S, T>(
    mut socket: WebSocketStream<S>,
    peer: &Peer,
    service: T,
    lines: &Arc<Lines>,
    stop: CancellationToken,
) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    T::Future: Send,
    T::Error: Send,
{
    let greeting = tokio::select! {
        () = stop.cancelled() => return close(&mut socket, CloseCode::Away, "").await,
        greeting = within(HELLO, "a client's hello", socket.next()) => greeting?,
    };
    let envelope = match greeting {
        None | Some(Ok(Message::Close(_))) => return Ok(()),
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(Message::Binary(envelope))) => envelope,
        Some(Ok(_)) => return refuse(&mut socket, Wrong::Malformed.into()).await,
    };
    let (opened, mut asked, mut answering) = match peer.session.begun(&STREAM, envelope, false) {
        Ok(begun) => begun,
        Err(refused) => return refuse(&mut socket, refused.into()).await,
    };
    let Some((hello, seen)) = hello_of(&opened.payload) else {
        return refuse(&mut socket, Wrong::Malformed.into()).await;
    };
    if hello.major != MAJOR {
        return refuse(&mut socket, Refused::Version(hello.major).into()).await;
    }
    let (token, held) = lines.find(&hello.token, peer.session.peer());
    let mut turns = held.turn.subscribe();
    held.turn.send_modify(|turn| *turn += 1);
    let turn = *turns.borrow_and_update();
    let greeting = {
        let mut state = held.line.state();
        // A client that asked for a line that is gone begins a new one.
        let seen = if hello.token == token.as_slice() { seen } else { 0 };
        match state.core.resume(seen) {
            Ok(()) => {
                let token = Bytes::copy_from_slice(&token);
                let hello = Hello { major: MAJOR, minor: MINOR, token };
                let hello = Frame { channel: 0, what: Some(What::Hello(hello)) };
                Ok(state.core.frames(0, vec![hello]))
            }
            Err(wrong) => Err(wrong),
        }
    };
    let greeting = match greeting {
        Ok(greeting) => greeting,
        Err(wrong) => {
            lines.drop_line(&token, &held, turn);
            return refuse(&mut socket, wrong.into()).await;
        }
    };
    let frame = [answering.seal(&greeting, false).as_ref(), &greeting].concat();
    let greeted = within(HELLO, "greeting a client", socket.send(Message::Binary(frame.into())));
    if let Err(broken) = greeted.await.map_err(Broken::from).and_then(|sent| Ok(sent?)) {
        lines.left(token, held, turn);
        return Err(broken);
    }

    let done = CancellationToken::new();
    let (own, ends) = (held.clone(), (&mut asked, &mut answering));
    let carried = carry(own, socket, ends, peer.clone(), service, done.clone());
    let mut carried = pin!(carried);
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = &mut carried => break ended,
            _ = turns.wait_for(|now| *now != turn) => return Ok(()),
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                held.end_streams();
                done.cancel();
            }
        }
    };
    match ended {
        Err(broken) if broken.passes() => {
            lines.left(token, held, turn);
            Err(broken)
        }
        ended => {
            lines.drop_line(&token, &held, turn);
            if let Err(broken @ (Broken::Refused(_) | Broken::Wrong(_))) = &ended {
                tracing::info!(reason = %broken, "refused a message");
                metrics::counter!("darwin_messages_refused_total").increment(1);
            }
            ended
        }
    }
}

async fn carry<S, T>(
    held: Arc<Held>,
    socket: WebSocketStream<S>,
    (asked, answering): (&mut Asked, &mut Answering),
    peer: Peer,
    service: T,
    done: CancellationToken,
) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    T::Future: Send,
    T::Error: Send,
{
    let carrier = Carrier {
        seal: |payload: &[u8]| answering.seal(payload, false),
        open: |envelope| asked.open(envelope).map(|opened| opened.payload),
        take: {
            let held = held.clone();
            move |frame| held.take(frame, &peer, &service)
        },
        done,
        idle: None,
    };
    carrier.carry(&held.line, socket).await
}

impl Held {
    fn take<T>(self: &Arc<Self>, frame: Frame, peer: &Peer, service: &T) -> Result<(), Wrong>
    where
        T: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
        T::Future: Send,
        T::Error: Send,
    {
        let mut state = self.line.state();
        let id = frame.channel;
        match frame.what.ok_or(Wrong::Malformed)? {
            What::Open(open) => {
                if id <= state.last || state.channels.len() >= CHANNELS {
                    return Err(Wrong::Channel);
                }
                state.last = id;
                let method = methods::at(&open.method);
                let credit = Arc::new(Semaphore::new(WINDOW));
                let (held, way) = (self.clone(), credit.clone());
                let (peer, service) = (peer.clone(), service.clone());
                // It finds its channel, as the lock is held until that is there.
                let work = tokio::spawn(async move {
                    let end = match answer(&held, id, open, method, peer, service, &way).await {
                        Ok(()) => Status::ok(""),
                        Err(status) => status,
                    };
                    held.end(id, &end);
                });
                let streams = method.is_some_and(|method| method.streams);
                let work = work.abort_handle();
                state.channels.insert(id, Answer { credit, work, streams });
            }
            What::Credit(more) => {
                let more = usize::try_from(more).map_err(|_| Wrong::Channel)?;
                let Some(answer) = state.channels.get(&id) else { return Ok(()) };
                if more > WINDOW || answer.credit.available_permits() + more > 2 * WINDOW {
                    return Err(Wrong::Channel);
                }
                answer.credit.add_permits(more);
            }
            What::Cancel(_) => drop(state.channels.remove(&id)),
            What::Hello(_) | What::Message(_) | What::Part(_) | What::End(_) => {
                return Err(Wrong::Channel);
            }
        }
        Ok(())
    }

    /// Ends a channel, if it is open still.
    fn end(&self, id: u64, status: &Status) {
        if self.line.state().channels.remove(&id).is_none() {
            return;
        }
        let details = Bytes::copy_from_slice(status.details());
        let (code, message) = (status.code() as i32, status.message().to_owned());
        self.line.push(id, What::End(End { code, message, details }));
    }

    /// Whether its client may want to go on with it: for a call, or for what it has not received.
    fn is_needed(&self) -> bool {
        let state = self.line.state();
        !state.channels.is_empty() || !state.core.is_done()
    }

    fn end_streams(&self) {
        let state = self.line.state();
        let streams = state.channels.iter().filter(|(_, answer)| answer.streams);
        let ids: Vec<_> = streams.map(|(id, _)| *id).collect();
        drop(state);
        let ending = Fault::new(Code::Unavailable, "the daemon is ending").into();
        ids.into_iter().for_each(|id| self.end(id, &ending));
    }
}

/// Has a call answered.
async fn answer<T>(
    held: &Held,
    channel: u64,
    open: Open,
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
    let request = request(open, key, peer)?;
    let work = async {
        let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
        ready.map_err(|_| Status::unavailable("the services are gone"))?;
        let answer = service.call(request).await;
        let answer = answer.map_err(|_| Status::unavailable("the services are gone"))?;
        give(held, channel, answer, credit).await
    };
    match deadline {
        None => work.await,
        Some(at) => tokio::time::timeout_at(at, work)
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("its caller's time was over"))),
    }
}

/// The call as HTTP/2 would bring it.
fn request(open: Open, key: Option<IdempotencyKey>, peer: Peer) -> Result<Request<Body>, Status> {
    let mut framed = BytesMut::with_capacity(5 + open.message.len());
    framed.put_u8(0);
    framed.put_u32(open.message.len() as u32);
    framed.put(open.message);
    let mut request = Request::new(Body::new(Full::new(framed.freeze())));
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
    held: &Held,
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
                room(held, credit, part.len()).await?;
                held.line.push(channel, What::Part(part));
            }
            room(held, credit, message.len()).await?;
            metrics::counter!("darwin_stream_messages_total").increment(1);
            held.line.push(channel, What::Message(message));
        }
    }
    Err(Status::internal("the answer has no end"))
}

/// Waits until the client has room for so many bytes, and the line has.
async fn room(held: &Held, credit: &Semaphore, size: usize) -> Result<(), Status> {
    let room = credit.acquire_many(share(size) as u32).await;
    room.map_err(|_| Status::unavailable("the line is gone"))?.forget();
    loop {
        let mut arrived = pin!(held.line.room.notified());
        // Before the look, so that nothing that arrives after it is missed.
        arrived.as_mut().enable();
        if held.line.state().core.held() < ROOM {
            return Ok(());
        }
        arrived.await;
    }
}

/// Ends a connection on which nothing came that can be answered; the reason goes along, unsigned.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    broken: Broken,
) -> Result<(), Broken> {
    tracing::info!(reason = %broken, "refused a message");
    metrics::counter!("darwin_messages_refused_total").increment(1);
    close(socket, CloseCode::Policy, &broken.to_string()).await
}

async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    code: CloseCode,
    reason: &str,
) -> Result<(), Broken> {
    // A control frame holds 125 bytes (RFC 6455, section 5.5), two of them for the code.
    let reason = reason[..reason.floor_char_boundary(123)].to_owned().into();
    let frame = Message::Close(Some(CloseFrame { code, reason }));
    within(HELLO, "closing a connection", socket.send(frame)).await??;
    Ok(())
}
