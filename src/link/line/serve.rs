//! The daemon's end: takes calls off a line and has the services answer them, as it does with
//! those of HTTP/2. A line whose connection broke is kept for a while, with its calls at work.

use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, watch},
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
    Status,
    body::Body,
    codegen::http::{Request, Response},
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
        envelope::{MAJOR, MINOR, Refused},
        fault::Fault,
        methods::{self, STREAM},
        v1::{End, Frame, Hello, frame::What},
    },
};

use super::{
    CHANNELS, Line, WINDOW,
    answer::{Answer, Feed, answer},
    calls::hello_of,
    carry::{Broken, Carrier},
    core::Wrong,
    credit,
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
    line: Arc<Line<Answer>>,
    /// The fingerprint of the client's key.
    owner: [u8; 32],
    /// Rises with each connection that carries it: an earlier one then leaves it alone.
    turn: watch::Sender<u64>,
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
        let held = Arc::new(Held { line: Arc::default(), owner, turn: watch::Sender::new(0) });
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
                let feeds = method.is_some_and(|method| method.feeds);
                let (feed, fed) = feeds.then(|| Feed::new(self.line.clone(), id)).unzip();
                let credit = Arc::new(Semaphore::new(WINDOW));
                let (held, way) = (self.clone(), credit.clone());
                let (peer, service) = (peer.clone(), service.clone());
                // It finds its channel, as the lock is held until that is there.
                let work = tokio::spawn(async move {
                    let work = answer(&held.line, id, (open, fed), method, peer, service, &way);
                    let end = match work.await {
                        Ok(()) => Status::ok(""),
                        Err(status) => status,
                    };
                    held.end(id, &end);
                });
                let streams = method.is_some_and(|method| method.streams || method.feeds);
                let work = work.abort_handle();
                state.channels.insert(id, Answer { credit, feed, work, streams });
            }
            What::Credit(more) => {
                credit(state.channels.get(&id).map(|answer| &*answer.credit), more, WINDOW)?;
            }
            What::More(part) => {
                // It may have ended.
                let Some(answer) = state.channels.get_mut(&id) else { return Ok(()) };
                answer.feed.as_ref().ok_or(Wrong::Channel)?.take(part)?;
            }
            What::Done(_) => {
                let answer = state.channels.get_mut(&id);
                if let Some(feed) = answer.and_then(|answer| answer.feed.take()) {
                    feed.done();
                }
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
        self.line.push(id, What::End(End::from(status)));
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
