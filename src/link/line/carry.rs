//! Carries a line over one WebSocket, until that breaks or nobody needs it any more.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, sleep, sleep_until},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    resilience::deadline::{Late, within},
    wire::{envelope::Refused, v1::Frame},
};

use super::{Line, core::Wrong};

/// How long one message may take to be sent; an end that is slower is left.
const SEND: Duration = Duration::from_secs(4);
/// How often the other end is asked for a sign of life, and how long it may give none: while a
/// channel is open, so that who waits goes on elsewhere within five seconds; and while none is.
const BUSY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3));
const CALM: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(45));
/// The same of an end that does not say that it has what was sent to it.
const OVERDUE: Duration = Duration::from_millis(2500);
/// How long what came waits for something that its receipt can be told along with.
const RECEIPT: Duration = Duration::from_millis(25);

/// Why a connection carries the line no longer.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection broke.
    #[error(transparent)]
    Socket(#[from] tungstenite::Error),
    /// The other end is too slow, or silent.
    #[error(transparent)]
    Late(#[from] Late),
    /// It closed the connection, for a reason if it gave one.
    #[error("it was closed{0}")]
    Closed(String),
    /// What it sent is not taken.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It breaks the rules of a line.
    #[error(transparent)]
    Wrong(#[from] Wrong),
}

impl Broken {
    /// Whether another connection could go on with the line.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(self, Self::Socket(_) | Self::Late(_) | Self::Closed(_))
    }
}

/// How one end signs and checks, and what it does with frames.
pub struct Carrier<Seal, Open, Take> {
    /// Seals a payload: its envelope up to it.
    pub seal: Seal,
    /// Opens an envelope.
    pub open: Open,
    /// Takes a frame, in order.
    pub take: Take,
    /// Once cancelled, the connection is closed as soon as all has arrived.
    pub done: CancellationToken,
    /// It is also closed when no channel was open for so long.
    pub idle: Option<Duration>,
}

impl<Seal, Open, Take> Carrier<Seal, Open, Take>
where
    Seal: FnMut(&[u8]) -> Bytes,
    Open: FnMut(Bytes) -> Result<Bytes, Refused>,
    Take: FnMut(Frame) -> Result<(), Wrong>,
{
    /// Carries `line`.
    ///
    /// # Errors
    /// Why not any longer; nothing is wrong if it was closed from here.
    pub async fn carry<S, C>(self, line: &Line<C>, socket: WebSocketStream<S>) -> Result<(), Broken>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { mut seal, mut open, mut take, done, idle } = self;
        let (mut sink, mut stream) = socket.split();
        // When something came last, in milliseconds from here on.
        let (begun, heard) = (Instant::now(), AtomicU64::new(0));
        let read = async {
            loop {
                let next = stream.next().await;
                heard.store(begun.elapsed().as_millis() as u64, Ordering::Relaxed);
                match next {
                    None => return Err(Broken::Closed(String::new())),
                    Some(Ok(Message::Close(frame))) => {
                        let reason = frame.filter(|frame| !frame.reason.is_empty());
                        let reason = reason.map(|frame| format!(": {}", frame.reason));
                        return Err(Broken::Closed(reason.unwrap_or_default()));
                    }
                    Some(Ok(Message::Binary(envelope))) => {
                        let payload = open(envelope)?;
                        let frames = line.state().core.take(&payload)?;
                        for frame in frames {
                            take(frame)?;
                        }
                        line.wake.notify_one();
                        line.room.notify_waiters();
                    }
                    Some(Ok(Message::Text(_))) => return Err(Wrong::Malformed.into()),
                    // Pings are answered by the library; the answer leaves with the next flush.
                    Some(Ok(_)) => line.wake.notify_one(),
                    Some(Err(error)) => return Err(error.into()),
                }
            }
        };
        let write = async {
            let (mut acknowledge, mut busy) = (false, Instant::now());
            // When a channel was opened where none was, and when the last ping went out.
            let (mut was_open, mut opened, mut asked) = (false, busy, busy);
            // When nothing was on its way, as far as is known here.
            let mut calm = Instant::now();
            loop {
                while let Some(payload) = line.next(acknowledge) {
                    let frame = [seal(&payload).as_ref(), &payload].concat();
                    let sent = sink.feed(Message::Binary(frame.into()));
                    within(SEND, "sending on a line", sent).await??;
                }
                within(SEND, "sending on a line", sink.flush()).await??;
                let (open, owes, awaits, is_done) = {
                    let state = line.state();
                    let core = &state.core;
                    (!state.channels.is_empty(), core.owes(), core.awaits(), core.is_done())
                };
                if !awaits {
                    calm = Instant::now();
                }
                let heard = begun + Duration::from_millis(heard.load(Ordering::Relaxed));
                let due = calm.max(heard) + OVERDUE;
                if awaits && due <= Instant::now() {
                    return Err(
                        Late { what: "the receipt of what was sent", after: OVERDUE }.into()
                    );
                }
                if open {
                    busy = Instant::now();
                    opened = if was_open { opened } else { busy };
                }
                was_open = open;
                let (every, silence) = if open { BUSY } else { CALM };
                let ping = asked.max(opened) + every;
                let silent = heard.max(opened) + silence;
                if silent <= Instant::now() {
                    return Err(Late { what: "a sign of life", after: silence }.into());
                }
                let unused = idle.filter(|_| !open).map(|idle| busy + idle);
                let over = done.is_cancelled() || unused.is_some_and(|at| at <= Instant::now());
                if over && !open && !owes && is_done {
                    let code =
                        if done.is_cancelled() { CloseCode::Away } else { CloseCode::Normal };
                    let frame = CloseFrame { code, reason: "".into() };
                    let closed = sink.send(Message::Close(Some(frame)));
                    within(SEND, "closing a line", closed).await??;
                    return Ok(());
                }
                acknowledge = false;
                tokio::select! {
                    () = line.wake.notified() => {}
                    () = sleep(RECEIPT), if owes => acknowledge = true,
                    () = sleep_until(due), if awaits => {}
                    () = sleep_until(unused.unwrap_or(busy)), if unused.is_some() && !over => {}
                    () = done.cancelled(), if !done.is_cancelled() => {}
                    () = sleep_until(silent) => {}
                    () = sleep_until(ping) => {
                        asked = Instant::now();
                        let ping = sink.send(Message::Ping(Bytes::new()));
                        within(SEND, "sending on a line", ping).await??;
                    }
                }
            }
        };
        tokio::select! {
            broken = read => broken,
            ended = write => ended,
        }
    }
}
