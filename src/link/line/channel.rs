//! A call of the client's, on its channel: its requests go out as the daemon has room for them,
//! and its answers come as a body, as gRPC frames it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame as BodyFrame};
use http_body_util::BodyExt as _;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE},
};

use crate::{
    code::Code,
    wire::{
        envelope::{IdempotencyKey, Refused},
        fault::Fault,
        limits::MAX_GRPC_MESSAGE,
        methods,
        v1::{End, Frame, Open, frame::What},
    },
};

use super::{CHANNELS, Line, MAX_MESSAGE, REQUESTS, WINDOW, share};

/// What a line keeps of a channel: the way to its caller, and how many bytes are in it; how many of
/// further requests the daemon has room for.
#[derive(Debug)]
pub struct Inbox {
    pub(super) events: mpsc::UnboundedSender<What>,
    pub(super) held: usize,
    pub(super) room: Arc<Semaphore>,
}

/// Makes a call, and waits for its first answer; `carry` has the line carried if it isn't.
///
/// # Errors
/// As the daemon ends it, or if the line is gone.
pub(super) async fn make(
    line: &Arc<Line<Inbox>>,
    request: Request<Body>,
    carry: impl FnOnce(),
) -> Result<Response<Body>, Status> {
    let (parts, mut body) = request.into_parts();
    let method = methods::at(parts.uri.path());
    let feeds = method.is_some_and(|method| method.feeds);
    let (message, rest) = first(&mut body, feeds).await?;
    let header = |name| {
        let value = parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    // Without a key of the caller's, the call is no other's repetition.
    let own = parts.extensions.get::<IdempotencyKey>().copied();
    let writes = method.is_some_and(|method| method.writes);
    let key = own.or_else(|| writes.then(|| IdempotencyKey(rand::random())));
    let open = Open {
        method: parts.uri.path().to_owned(),
        message,
        idempotency_key: key.map(|key| Bytes::copy_from_slice(&key.0)).unwrap_or_default(),
        timeout_ms: timeout_ms(&header("grpc-timeout")),
        traceparent: header("traceparent"),
        tracestate: header("tracestate"),
    };
    let mut channel = Channel::open(line, open, carry)?;
    if feeds {
        channel.feed(rest, body);
    }
    let first = match channel.inbox.recv().await {
        Some(What::End(end)) => {
            channel.ended = true;
            let status = Status::from(end);
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

/// A call's only request; of a stream the first one, and what came along with it.
async fn first(body: &mut Body, feeds: bool) -> Result<(Bytes, Bytes), Status> {
    let mut came = BytesMut::new();
    loop {
        let prefix = came.first_chunk::<5>();
        let whole = prefix.map(|[_, size @ ..]| 5 + u32::from_be_bytes(*size) as usize);
        if whole.is_some_and(|whole| whole > 5 + MAX_MESSAGE) {
            return Err(too_large());
        }
        if let Some(whole) = whole.filter(|whole| *whole <= came.len()) {
            let mut message = came.split_to(whole).freeze();
            message.advance(5);
            return Ok((message, came.freeze()));
        }
        match body.frame().await.transpose()? {
            Some(frame) => came.extend(frame.into_data().ok()),
            // A stream of none; what has only one request has it.
            None if feeds => return Err(Refused::Cut.into()),
            None => return Ok(Default::default()),
        }
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
struct Channel {
    line: Arc<Line<Inbox>>,
    id: u64,
    inbox: mpsc::UnboundedReceiver<What>,
    /// For further requests.
    room: Arc<Semaphore>,
    /// Ends what sends them.
    gone: CancellationToken,
    /// Taken off, and not yet told of.
    taken: usize,
    ended: bool,
}

impl Channel {
    fn open(line: &Arc<Line<Inbox>>, open: Open, carry: impl FnOnce()) -> Result<Self, Status> {
        let (events, inbox) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(REQUESTS));
        let id = {
            let mut state = line.state();
            if state.channels.len() >= CHANNELS {
                let text = format!("{CHANNELS} calls are open on this line; wait for one to end");
                return Err(Fault::new(Code::Exhausted, text).into());
            }
            state.last += 1;
            let id = state.last;
            state.channels.insert(id, Inbox { events, held: 0, room: room.clone() });
            state.core.push(Frame { channel: id, what: Some(What::Open(open)) });
            // Under the lock, so that whoever takes leave sees the channel.
            carry();
            id
        };
        line.wake.notify_one();
        let (line, gone) = (line.clone(), CancellationToken::new());
        Ok(Self { line, id, inbox, room, gone, taken: 0, ended: false })
    }

    /// Sends further requests as there is room for them, until there are no more or the channel ends.
    fn feed(&self, rest: Bytes, mut body: Body) {
        let (line, id, room) = (self.line.clone(), self.id, self.room.clone());
        let feeding = async move {
            let mut next = rest;
            loop {
                while !next.is_empty() {
                    let part = next.split_to(next.len().min(REQUESTS / 2));
                    if let Ok(room) = room.acquire_many(part.len() as u32).await {
                        room.forget();
                    }
                    line.push_open(id, What::More(part));
                }
                match body.frame().await {
                    Some(Ok(frame)) => next = frame.into_data().unwrap_or_default(),
                    // Not done: the daemon must not take it for whole.
                    Some(Err(_)) => return give_up(&line, id),
                    None => return line.push_open(id, What::Done(true)),
                }
            }
        };
        tokio::spawn(self.gone.clone().run_until_cancelled_owned(feeding));
    }

    /// Makes room for more.
    fn taken(&mut self, size: usize) {
        self.taken += share(size);
        let line = &self.line;
        if let Some(inbox) = line.state().channels.get_mut(&self.id) {
            inbox.held -= share(size);
        }
        if self.taken >= WINDOW / 2 {
            line.push(self.id, What::Credit(std::mem::take(&mut self.taken) as u64));
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.gone.cancel();
        if !self.ended {
            give_up(&self.line, self.id);
        }
        // Whoever waits for the last channel to end.
        self.line.wake.notify_one();
    }
}

/// Its caller wants no more of it.
fn give_up(line: &Line<Inbox>, channel: u64) {
    line.push_open(channel, What::Cancel(true));
    line.state().channels.remove(&channel);
}

/// The answer's body, as gRPC frames it.
struct Incoming {
    channel: Channel,
    first: Option<What>,
    /// Those of an answer whose rest has not come.
    parts: BytesMut,
}

impl HttpBody for Incoming {
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
                Some(match Status::from(end).add_header(&mut trailers) {
                    Ok(()) => Ok(BodyFrame::trailers(trailers)),
                    Err(status) => Err(status),
                })
            }
            _ => Some(Err(gone())),
        })
    }
}
