//! The client's end: a transport for the generated clients, as tonic's channel is one. It connects
//! when it is needed, goes on after a break, and takes leave when nobody needs it.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use http_body::{Body as HttpBody, Frame as BodyFrame};
use http_body_util::BodyExt as _;
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE},
};
use tower::Service;

use crate::{
    code::Code,
    link::{
        error::LinkError,
        session::{Answers, Asking, Session},
    },
    resilience::{backoff::Backoff, deadline::within},
    wire::{
        envelope::{IdempotencyKey, MAJOR, MINOR},
        fault::Fault,
        limits::MAX_GRPC_MESSAGE,
        methods::{self, STREAM},
        v1::{End, Frame, Frames, Hello, Open, frame::What},
    },
};

use super::{
    CHANNELS, Line, MAX_MESSAGE, WINDOW,
    carry::{Broken, Carrier},
    core::Wrong,
    share,
};

/// How long the other end may take to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// For how long a connection that broke is made anew.
const RESUME: Duration = Duration::from_secs(20);
/// The first and the longest wait between two attempts.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a line without channels is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Makes connections: a WebSocket, and who is at its other end.
pub trait Dial: Send + Sync + 'static {
    /// What the WebSocket runs over.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// Makes one.
    ///
    /// # Errors
    /// If it can't be made.
    fn dial(
        &self,
    ) -> impl Future<Output = Result<(WebSocketStream<Self::Stream>, Arc<Session>), LinkError>> + Send;
}

/// A transport whose calls are channels of a line. Clones share it.
pub struct Calls<D>(Arc<Shared<D>>);

impl<D> Clone for Calls<D> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<D> fmt::Debug for Calls<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

struct Shared<D> {
    dialer: D,
    line: Line<Inbox>,
    /// Whether somebody carries the line, or is about to.
    carried: AtomicBool,
}

/// What the client keeps of a channel: the way to its caller, and how much is in it.
#[derive(Debug)]
struct Inbox {
    events: mpsc::UnboundedSender<What>,
    held: usize,
}

impl<D: Dial> Calls<D> {
    /// A line to whom `dialer` connects to.
    pub fn new(dialer: D) -> Self {
        Self(Arc::new(Shared { dialer, line: Line::default(), carried: AtomicBool::new(false) }))
    }

    /// Opens a channel.
    fn open(&self, open: Open) -> Result<Channel<D>, Status> {
        let (events, inbox) = mpsc::unbounded_channel();
        let id = {
            let mut state = self.0.line.state();
            if state.channels.len() >= CHANNELS {
                let text = format!("{CHANNELS} calls are open on this line; wait for one to end");
                return Err(Fault::new(Code::Exhausted, text).into());
            }
            state.last += 1;
            let id = state.last;
            state.channels.insert(id, Inbox { events, held: 0 });
            state.core.push(Frame { channel: id, what: Some(What::Open(open)) });
            // Under the lock, so that whoever takes leave sees the channel.
            if !self.0.carried.swap(true, Ordering::AcqRel) {
                tokio::spawn(self.0.clone().drive());
            }
            id
        };
        self.0.line.wake.notify_one();
        Ok(Channel { calls: self.clone(), id, inbox, taken: 0, ended: false })
    }
}

impl<D: Dial> Service<Request<Body>> for Calls<D> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let calls = self.clone();
        Box::pin(async move {
            Ok(match calls.make(request).await {
                Ok(answer) => answer,
                Err(status) => status.into_http(),
            })
        })
    }
}

impl<D: Dial> Calls<D> {
    async fn make(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        // The prefix of gRPC's one message; what it says is known.
        let message = body.get(5..).map(|message| body.slice_ref(message)).unwrap_or_default();
        if message.len() > MAX_MESSAGE {
            return Err(too_large());
        }
        let header = |name| {
            let value = parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        // Without a key of the caller's, the call is no other's repetition.
        let own = parts.extensions.get::<IdempotencyKey>().copied();
        let writes = methods::at(parts.uri.path()).is_some_and(|method| method.writes);
        let key = own.or_else(|| writes.then(|| IdempotencyKey(rand::random())));
        let mut channel = self.open(Open {
            method: parts.uri.path().to_owned(),
            message,
            idempotency_key: key.map(|key| Bytes::copy_from_slice(&key.0)).unwrap_or_default(),
            timeout_ms: timeout_ms(&header("grpc-timeout")),
            traceparent: header("traceparent"),
            tracestate: header("tracestate"),
        })?;
        let first = match channel.inbox.recv().await {
            Some(What::End(end)) => {
                channel.ended = true;
                let status = status(end);
                if status.code() != tonic::Code::Ok {
                    return Err(status);
                }
                // An empty stream.
                What::End(End::default())
            }
            Some(what) => what,
            None => return Err(gone()),
        };
        let incoming = Incoming { channel, first: Some(first), parts: BytesMut::new() };
        let mut answer = Response::new(Body::new(incoming));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        Ok(answer)
    }
}

/// What a request is told that is too large for a line.
fn too_large() -> Status {
    let text = format!("a request over a line has at most {MAX_MESSAGE} bytes");
    Status::out_of_range(text)
}

fn gone() -> Status {
    Fault::new(Code::Unavailable, "the line to the daemon ended; `darwin status` tells more").into()
}

fn status(end: End) -> Status {
    Status::with_details(tonic::Code::from_i32(end.code), end.message, end.details)
}

/// The milliseconds of gRPC's header: up to eight digits and a unit.
fn timeout_ms(text: &str) -> u64 {
    let Some((digits, unit)) = text.split_at_checked(text.len().saturating_sub(1)) else {
        return 0;
    };
    let Ok(count) = digits.parse::<u64>() else { return 0 };
    let ms = match unit {
        "H" => count.saturating_mul(3_600_000),
        "M" => count.saturating_mul(60_000),
        "S" => count.saturating_mul(1000),
        "m" => count,
        "u" => count / 1000,
        "n" => count / 1_000_000,
        _ => return 0,
    };
    ms.max(1)
}

/// A caller's end of a channel.
struct Channel<D: Dial> {
    calls: Calls<D>,
    id: u64,
    inbox: mpsc::UnboundedReceiver<What>,
    /// Taken off, and not yet told of.
    taken: usize,
    ended: bool,
}

impl<D: Dial> Channel<D> {
    /// Makes room for more.
    fn taken(&mut self, size: usize) {
        self.taken += share(size);
        let line = &self.calls.0.line;
        if let Some(inbox) = line.state().channels.get_mut(&self.id) {
            inbox.held -= share(size);
        }
        if self.taken >= WINDOW / 2 {
            line.push(self.id, What::Credit(std::mem::take(&mut self.taken) as u64));
        }
    }
}

impl<D: Dial> Drop for Channel<D> {
    fn drop(&mut self) {
        let line = &self.calls.0.line;
        if line.state().channels.remove(&self.id).is_some() && !self.ended {
            line.push(self.id, What::Cancel(true));
        }
        // Whoever waits for the last channel to end.
        line.wake.notify_one();
    }
}

/// The answer's body, as gRPC frames it.
struct Incoming<D: Dial> {
    channel: Channel<D>,
    first: Option<What>,
    /// Those of an answer whose rest has not come.
    parts: BytesMut,
}

impl<D: Dial> HttpBody for Incoming<D> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Status>>> {
        let next = loop {
            let next = match self.first.take() {
                Some(first) => Some(first),
                None if self.channel.ended => return Poll::Ready(None),
                None => std::task::ready!(self.channel.inbox.poll_recv(cx)),
            };
            match next {
                Some(What::Part(part)) if self.parts.len() + part.len() <= MAX_GRPC_MESSAGE => {
                    self.channel.taken(part.len());
                    self.parts.put(part);
                }
                next => break next,
            }
        };
        Poll::Ready(match next {
            Some(What::Message(message)) => {
                self.channel.taken(message.len());
                let parts = std::mem::take(&mut self.parts);
                let size = parts.len() + message.len();
                let mut framed = BytesMut::with_capacity(5 + size);
                framed.put_u8(0);
                framed.put_u32(size as u32);
                framed.put(parts);
                framed.put(message);
                Some(Ok(BodyFrame::data(framed.freeze())))
            }
            Some(What::End(end)) => {
                self.channel.ended = true;
                let mut trailers = HeaderMap::new();
                Some(match status(end).add_header(&mut trailers) {
                    Ok(()) => Ok(BodyFrame::trailers(trailers)),
                    Err(status) => Err(status),
                })
            }
            _ => Some(Err(gone())),
        })
    }
}

impl<D: Dial> Shared<D> {
    /// Connects, and carries the line as long as somebody needs it.
    async fn drive(self: Arc<Self>) {
        let mut token = Bytes::new();
        let mut backoff = Backoff::new(WAITS.0, WAITS.1);
        let mut broke: Option<Instant> = None;
        loop {
            let mut closed = false;
            let why: Fault = match self.connect(&mut token).await {
                Ok((socket, asking, answers)) => {
                    (backoff, broke) = (Backoff::new(WAITS.0, WAITS.1), None);
                    match self.carry(socket, asking, answers).await {
                        // Nobody needed it. Who comes in that moment gets a new one.
                        Ok(()) => {
                            self.line.state().core.renew();
                            (token, closed) = (Bytes::new(), true);
                            lost("it was closed")
                        }
                        Err(broken) => {
                            if !broken.passes() {
                                token.clear();
                            }
                            lost(&broken.to_string())
                        }
                    }
                }
                Err(error) => {
                    let passes = error.code() == Code::Unavailable && !token.is_empty();
                    let since = *broke.get_or_insert_with(Instant::now);
                    if !passes || since.elapsed() > RESUME {
                        token.clear();
                    }
                    Fault::new(error.code(), error.to_string())
                }
            };
            {
                let mut state = self.line.state();
                if token.is_empty() && !closed {
                    self.forget(&mut state, &why);
                }
                if state.channels.is_empty() {
                    self.forget(&mut state, &why);
                    self.carried.store(false, Ordering::Release);
                    return;
                }
            }
            broke.get_or_insert_with(Instant::now);
            tokio::time::sleep(backoff.next(rand::random())).await;
        }
    }

    /// Ends all channels, and begins a new line. Numbers of channels rise on.
    fn forget(&self, state: &mut super::State<Inbox>, why: &Fault) {
        state.core = super::core::Core::default();
        for (_, inbox) in std::mem::take(&mut state.channels) {
            let status = Status::from(why.clone());
            let details = Bytes::copy_from_slice(status.details());
            let (code, message) = (status.code() as i32, status.message().to_owned());
            // Its caller may have gone.
            let _ = inbox.events.send(What::End(End { code, message, details }));
        }
    }

    async fn connect(
        &self,
        token: &mut Bytes,
    ) -> Result<(WebSocketStream<D::Stream>, Asking, Answers), LinkError> {
        let (mut socket, session) = self.dialer.dial().await?;
        let (mut asking, mut answers) = session.begin(&STREAM, None);
        let hello = Hello { major: MAJOR, minor: MINOR, token: token.clone() };
        let hello = Frame { channel: 0, what: Some(What::Hello(hello)) };
        let hello = self.line.state().core.frames(0, vec![hello]);
        let frame = [asking.seal(&hello, false).as_ref(), &hello].concat();
        let greet = async {
            let broken = |error: &dyn fmt::Display| LinkError::Broken(error.to_string());
            socket.send(Message::Binary(frame.into())).await.map_err(|error| broken(&error))?;
            loop {
                match socket.next().await {
                    Some(Ok(Message::Binary(envelope))) => {
                        let opened = answers.open(envelope).map_err(Fault::from)?;
                        return Ok(opened.payload);
                    }
                    Some(Ok(Message::Close(Some(frame)))) if !frame.reason.is_empty() => {
                        return Err(Fault::new(Code::Denied, frame.reason.as_str()).into());
                    }
                    None | Some(Ok(Message::Close(_))) => return Err(broken(&"it was closed")),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(broken(&error)),
                }
            }
        };
        let greeting = within(HELLO, "the daemon's hello", greet).await??;
        let (hello, seen) = hello_of(&greeting).ok_or_else(|| {
            LinkError::Broken("the daemon does not greet as one of this version".to_owned())
        })?;
        let mut state = self.line.state();
        if !token.is_empty() && hello.token != *token {
            let why = lost("the daemon does not know the line any more: it was restarted");
            self.forget(&mut state, &why);
        } else if token.is_empty() && seen != 0 {
            return Err(LinkError::Broken("the daemon greets with another's line".to_owned()));
        } else if let Err(wrong) = state.core.resume(seen) {
            self.forget(&mut state, &lost(&wrong.to_string()));
            token.clear();
            return Err(LinkError::Broken(wrong.to_string()));
        }
        *token = hello.token;
        drop(state);
        Ok((socket, asking, answers))
    }

    async fn carry(
        &self,
        socket: WebSocketStream<D::Stream>,
        mut asking: Asking,
        mut answers: Answers,
    ) -> Result<(), Broken> {
        let carrier = Carrier {
            seal: |payload: &[u8]| asking.seal(payload, false),
            open: |envelope| answers.open(envelope).map(|opened| opened.payload),
            take: |frame| self.take(frame),
            done: CancellationToken::new(),
            idle: Some(IDLE),
        };
        carrier.carry(&self.line, socket).await
    }

    fn take(&self, frame: Frame) -> Result<(), Wrong> {
        let mut state = self.line.state();
        let what = frame.what.ok_or(Wrong::Malformed)?;
        let size = match &what {
            What::Message(message) | What::Part(message) => share(message.len()),
            What::End(_) => 0,
            _ => return Err(Wrong::Channel),
        };
        if frame.channel == 0 || frame.channel > state.last {
            return Err(Wrong::Channel);
        }
        // It may have been given up.
        let Some(inbox) = state.channels.get_mut(&frame.channel) else { return Ok(()) };
        inbox.held += size;
        if inbox.held > 2 * WINDOW {
            return Err(Wrong::Channel);
        }
        let ends = matches!(what, What::End(_));
        // Its caller takes it off, or has gone.
        let _ = inbox.events.send(what);
        if ends {
            state.channels.remove(&frame.channel);
        }
        Ok(())
    }
}

/// The greeting in a message, and the last message that its sender has seen.
pub(super) fn hello_of(message: &Bytes) -> Option<(Hello, u64)> {
    let Frames { number: 0, seen, frames } = Frames::decode(message.clone()).ok()? else {
        return None;
    };
    match <[Frame; 1]>::try_from(frames) {
        Ok([Frame { channel: 0, what: Some(What::Hello(hello)) }]) => Some((hello, seen)),
        _ => None,
    }
}

fn lost(why: &str) -> Fault {
    let text = format!("the connection to the daemon broke ({why}); `darwin status` tells more");
    Fault::new(Code::Unavailable, text)
}
