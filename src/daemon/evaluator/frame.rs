//! What the daemon and a sandbox say to each other: a JSON header, then raw bytes.
//!
//! Each frame is two big-endian `u32`, the length of all that follows the first and the
//! length of the header, then the header, then the body. Every read has a limit.

use std::io::{self, Read};

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A received frame.
#[derive(Debug)]
pub struct Frame {
    header: Vec<u8>,
    /// The raw bytes after the header.
    pub body: Vec<u8>,
}

impl Frame {
    /// The header as a `T`.
    ///
    /// # Errors
    /// If it is none.
    pub fn header<T: DeserializeOwned>(&self) -> io::Result<T> {
        serde_json::from_slice(&self.header).map_err(io::Error::other)
    }

    /// The frame as it was sent.
    ///
    /// # Errors
    /// If it would not fit the length field.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        join(&self.header, &[&self.body])
    }

    fn split(mut rest: Vec<u8>) -> io::Result<Self> {
        let length =
            rest.first_chunk().map_or(usize::MAX, |four| u32::from_be_bytes(*four) as usize);
        let end = length.saturating_add(4);
        if end > rest.len() {
            return Err(invalid("a frame whose header is longer than itself"));
        }
        let body = rest.split_off(end);
        rest.drain(..4);
        Ok(Self { header: rest, body })
    }
}

/// The bytes of a frame.
///
/// # Errors
/// If it would not fit the length field, or the header is no JSON.
pub fn encode(header: &impl Serialize, blobs: &[&[u8]]) -> io::Result<Vec<u8>> {
    join(&serde_json::to_vec(header).map_err(io::Error::other)?, blobs)
}

fn join(header: &[u8], blobs: &[&[u8]]) -> io::Result<Vec<u8>> {
    let size = blobs.iter().map(|blob| blob.len()).sum::<usize>() + header.len() + 4;
    let narrow = |length| u32::try_from(length).map_err(|_| invalid("a frame over 4 GiB"));
    let mut bytes = Vec::with_capacity(size + 4);
    bytes.extend_from_slice(&narrow(size)?.to_be_bytes());
    bytes.extend_from_slice(&narrow(header.len())?.to_be_bytes());
    bytes.extend_from_slice(header);
    blobs.iter().for_each(|blob| bytes.extend_from_slice(blob));
    Ok(bytes)
}

/// Reads a frame of at most `limit` bytes.
///
/// # Errors
/// If it is longer or malformed, or the stream ends.
pub fn read(stream: &mut impl Read, limit: usize) -> io::Result<Frame> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut rest = vec![0; checked(length, limit)?];
    stream.read_exact(&mut rest)?;
    Frame::split(rest)
}

/// Like [`read`], in the daemon.
///
/// # Errors
/// Like [`read`].
pub async fn receive(stream: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<Frame> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let mut rest = vec![0; checked(length, limit)?];
    stream.read_exact(&mut rest).await?;
    Frame::split(rest)
}

fn checked(length: [u8; 4], limit: usize) -> io::Result<usize> {
    let length = u32::from_be_bytes(length) as usize;
    if length <= limit { Ok(length) } else { Err(invalid("a frame over its limit")) }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let bytes = encode(&vec!["a", "b"], &[b"12", b"", b"3"]).unwrap();
        let frame = read(&mut bytes.as_slice(), 100).unwrap();
        assert_eq!(frame.header::<Vec<String>>().unwrap(), ["a", "b"]);
        assert_eq!(frame.body, b"123");
        assert_eq!(frame.bytes().unwrap(), bytes);
    }

    #[test]
    fn too_long_torn_and_malformed_frames_are_refused() {
        let bytes = encode(&"x", &[b"123"]).unwrap();
        assert!(read(&mut bytes.as_slice(), 9).is_err());
        for end in 0..bytes.len() {
            assert!(read(&mut &bytes[..end], 100).is_err());
        }
        for mut lie in [[0, 0, 0, 4], [0, 0, 0, 3]].map(Vec::from) {
            lie.extend([0xff; 4]);
            assert!(read(&mut lie.as_slice(), 100).is_err());
        }
    }
}
