//! Waits for the first bytes that an HTTP/2 server sends of its own accord (its SETTINGS).
//!
//! In TLS 1.3 a client's handshake is over before the server has looked at its certificate. A
//! client that waits for these bytes knows that it was accepted; one that writes at once may
//! find its connection reset instead of being told why.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// The header of an HTTP/2 frame (RFC 9113, section 4.1).
const HEADER: usize = 9;

/// A stream whose first bytes were read already and are given out again.
pub struct Greeted<S> {
    first: [u8; HEADER],
    given: usize,
    stream: S,
}

/// Waits for the server's first bytes.
///
/// # Errors
/// If the server ends the connection instead, with the reason where it says one.
pub async fn greeted<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<Greeted<S>> {
    let mut first = [0; HEADER];
    stream.read_exact(&mut first).await?;
    Ok(Greeted { first, given: 0, stream })
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.first[self.given..];
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.given += count;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
