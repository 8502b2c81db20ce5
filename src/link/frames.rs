//! Changes the messages within a gRPC body on their way: each is gathered, within its limit, given
//! to a step, and what the step makes of it is sent on. Trailers wait until everything before
//! them is out.

use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::{Body as _, Frame};
use tonic::{Status, body::Body, codegen::http::HeaderMap};

use crate::{
    code::Code,
    wire::{
        fault::Fault,
        limits::{MAX_ENVELOPE, MAX_GRPC_MESSAGE, MIN_COMPRESSED},
    },
};

/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// The largest message with its envelope.
const LIMIT: usize = MAX_GRPC_MESSAGE + MAX_ENVELOPE;
/// How many bytes one of LZ4 can stand for.
const RATIO: usize = 255;

/// What happens to a body's messages.
pub trait Step: Send + Unpin + 'static {
    /// The largest message that is gathered, in bytes.
    const LIMIT: usize = LIMIT;

    /// Takes a message and gives the chunks to send instead, its prefix included.
    ///
    /// # Errors
    /// If the body is to end there.
    fn message(&mut self, compressed: bool, message: Bytes) -> Result<Vec<Bytes>, Status>;

    /// The body ends, with these trailers if it has some, which it may change: gives what is to be
    /// sent before them.
    ///
    /// # Errors
    /// If it may not end there.
    fn end(&mut self, trailers: Option<&mut HeaderMap>) -> Result<Vec<Bytes>, Status>;
}

/// A body whose messages take a step.
pub struct Reframed<S> {
    inner: Body,
    step: S,
    gathered: BytesMut,
    out: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl<S: Step> Reframed<S> {
    /// That body.
    pub fn new(inner: Body, step: S) -> Self {
        let (gathered, out) = (BytesMut::new(), VecDeque::new());
        Self { inner, step, gathered, out, trailers: None, ended: false }
    }

    /// Waits until its first message took its step. Nothing is lost: the body begins with it.
    ///
    /// # Errors
    /// If there is none, or it can't.
    pub async fn begun(&mut self) -> Result<&mut S, Status> {
        poll_fn(|cx| self.poll_out(cx)).await?;
        Ok(&mut self.step)
    }

    /// Reads on until there is something to give out, or nothing more will come.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        while self.out.is_empty() && !self.ended {
            let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                // Tonic takes this error of requests for their good end.
                Some(Err(status)) if status.code() == tonic::Code::Cancelled => {
                    let gone = Status::unavailable("the other end has gone");
                    return Poll::Ready(Err(gone));
                }
                Some(Err(status)) => return Poll::Ready(Err(status)),
                None => {
                    self.end(None)?;
                    continue;
                }
            };
            match frame.into_data() {
                Ok(data) => self.gather(data)?,
                Err(frame) => self.end(frame.into_trailers().ok())?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn gather(&mut self, mut data: Bytes) -> Result<(), Status> {
        if self.gathered.is_empty() {
            // Messages that came in one piece need no copy.
            while let Some(length) = whole(&data, S::LIMIT)? {
                self.step(data.split_to(length))?;
            }
        }
        self.gathered.extend_from_slice(&data);
        while let Some(length) = whole(&self.gathered, S::LIMIT)? {
            let message = self.gathered.split_to(length).freeze();
            self.step(message)?;
        }
        Ok(())
    }

    fn step(&mut self, mut message: Bytes) -> Result<(), Status> {
        let compressed = match message[0] {
            0 => false,
            1 => true,
            _ => return Err(torn("a message's first byte is neither 0 nor 1")),
        };
        message.advance(PREFIX);
        self.out.extend(self.step.message(compressed, message)?);
        Ok(())
    }

    fn end(&mut self, mut trailers: Option<HeaderMap>) -> Result<(), Status> {
        self.ended = true;
        if !self.gathered.is_empty() {
            return Err(torn("a message was cut on its way"));
        }
        self.out.extend(self.step.end(trailers.as_mut())?);
        self.trailers = trailers;
        Ok(())
    }
}

impl<S: Step> http_body::Body for Reframed<S> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Err(status) = ready!(self.poll_out(cx)) {
            (self.ended, self.inner) = (true, Body::empty());
            return Poll::Ready(Some(Err(status)));
        }
        let data = self.out.pop_front().map(Frame::data);
        let frame = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.ended && self.out.is_empty() && self.trailers.is_none()
    }
}

/// The length of the message at the front, with its prefix, if it is there whole. One over the
/// limit is refused before it is gathered.
fn whole(bytes: &[u8], limit: usize) -> Result<Option<usize>, Status> {
    let Some(prefix) = bytes.first_chunk::<PREFIX>() else { return Ok(None) };
    let [_, length @ ..] = *prefix;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(too_large(length));
    }
    Ok((bytes.len() >= PREFIX + length).then_some(PREFIX + length))
}

/// A message's chunks with their prefix before them.
#[must_use]
pub fn plain(chunks: [Bytes; 2]) -> Vec<Bytes> {
    let length = chunks.iter().map(Bytes::len).sum();
    let chunks = chunks.into_iter().filter(|chunk| !chunk.is_empty());
    [prefix(false, length)].into_iter().chain(chunks).collect()
}

/// The same, compressed if that makes it smaller: as an LZ4 block after its size (four bytes,
/// little-endian).
#[must_use]
pub fn compressed(chunks: [Bytes; 2]) -> Vec<Bytes> {
    let length: usize = chunks.iter().map(Bytes::len).sum();
    if length < MIN_COMPRESSED {
        return plain(chunks);
    }
    let block = match &chunks {
        [whole, rest] if rest.is_empty() => lz4_flex::block::compress_prepend_size(whole),
        chunks => lz4_flex::block::compress_prepend_size(&chunks.concat()),
    };
    if block.len() >= length {
        return plain(chunks);
    }
    vec![prefix(true, block.len()), block.into()]
}

/// What such a message was: its size is checked before room is made for it.
///
/// # Errors
/// If it is too large, or not what it says.
pub fn decompressed(message: &[u8]) -> Result<Bytes, Status> {
    let bad = |_| torn("a message's compressed form is damaged");
    let (size, block) = lz4_flex::block::uncompressed_size(message).map_err(bad)?;
    if size > LIMIT {
        return Err(too_large(size));
    }
    if size > block.len() * RATIO {
        return Err(torn("a message says that it is larger than it can be"));
    }
    let mut out = vec![0; size];
    let found = lz4_flex::block::decompress_into(block, &mut out).map_err(bad)?;
    if found == size { Ok(out.into()) } else { Err(torn("a message is not as large as it says")) }
}

fn prefix(compressed: bool, length: usize) -> Bytes {
    let [a, b, c, d] = (length as u32).to_be_bytes();
    Bytes::copy_from_slice(&[u8::from(compressed), a, b, c, d])
}

fn too_large(size: usize) -> Status {
    let text = format!(
        "a message of {size} bytes is over the limit of {MAX_GRPC_MESSAGE} bytes; send less"
    );
    Fault::new(Code::InvalidInput, text).into()
}

fn torn(what: &str) -> Status {
    Fault::new(Code::Corrupt, format!("{what}; try again, and check the network")).into()
}

#[cfg(test)]
mod tests;
