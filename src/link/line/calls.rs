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

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
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
        envelope::{MAJOR, MINOR},
        fault::Fault,
        methods::STREAM,
        v1::{End, Frame, Frames, Hello, frame::What},
    },
};

use super::{
    Line, REQUESTS, WINDOW,
    carry::{Broken, Carrier},
    channel::{Inbox, make},
    core::Wrong,
    credit, share,
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
    line: Arc<Line<Inbox>>,
    /// Whether somebody carries the line, or is about to.
    carried: AtomicBool,
}

impl<D: Dial> Calls<D> {
    /// A line to whom `dialer` connects to.
    pub fn new(dialer: D) -> Self {
        let carried = AtomicBool::new(false);
        Self(Arc::new(Shared { dialer, line: Arc::default(), carried }))
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
        let shared = self.0.clone();
        Box::pin(async move {
            let carry = || {
                if !shared.carried.swap(true, Ordering::AcqRel) {
                    tokio::spawn(shared.clone().drive());
                }
            };
            Ok(match make(&shared.line, request, carry).await {
                Ok(answer) => answer,
                Err(status) => status.into_http(),
            })
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
            // Its caller may have gone.
            let _ = inbox.events.send(What::End(End::from(&Status::from(why.clone()))));
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
        if let What::Credit(more) = what {
            return credit(
                state.channels.get(&frame.channel).map(|inbox| &*inbox.room),
                more,
                REQUESTS,
            );
        }
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
