//! CAR version 1: blocks one after another in a file, each with its identifier.
//!
//! `varint(length) header`, then for each block `varint(length) CID bytes`. Only CIDs that
//! Darwin makes are written and read. The reader checks every digest, names the offset of
//! the first fault, and never allocates more than one block, whatever it is given.

use std::io::{ErrorKind, Read};

use bytes::Bytes;
use cid::Cid;
use unsigned_varint::{decode, encode};

use crate::code::Code;

use super::{
    block::{Block, CID_LEN, MAX_BLOCK, cid_bytes, cid_from_bytes},
    cbor::{self, Writer},
    error::Error,
};

/// The most roots that are read.
const MAX_ROOTS: usize = 64;
/// The largest header that is read.
const MAX_HEADER: u64 = 64 + 41 * MAX_ROOTS as u64;
const MAX_FRAME: u64 = (CID_LEN + MAX_BLOCK) as u64;
const WHAT: &str = "CAR file";

/// Why a CAR file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CarError {
    /// The file is not what it should be.
    #[error("{}", at_byte(*at, error))]
    Fault {
        /// The offset of the first fault, in bytes from the file's start.
        at: u64,
        /// What is wrong.
        error: Error,
    },
    /// It could not be read.
    #[error("the CAR file cannot be read: {0}")]
    Io(#[from] std::io::Error),
}

impl CarError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Fault { error, .. } => error.code(),
            Self::Io(error) if error.kind() == ErrorKind::PermissionDenied => Code::Denied,
            Self::Io(_) => Code::Unavailable,
        }
    }
}

fn at_byte(at: u64, error: &Error) -> String {
    match error {
        // It names the place itself.
        Error::Malformed { .. } => error.to_string(),
        _ => format!("at byte {at} of the CAR file: {error}"),
    }
}

/// The first bytes of a CAR file with these roots, of which it needs one at least.
#[must_use]
pub fn header(roots: &[Cid]) -> Vec<u8> {
    let mut own = Writer::with_capacity(20 + 41 * roots.len());
    own.map(2);
    own.text("roots");
    own.array(roots.len());
    roots.iter().for_each(|root| own.link(&cid_bytes(root)));
    own.text("version");
    own.uint(1);
    let own = own.into_bytes();
    let mut out = varint(own.len());
    out.extend(own);
    out
}

/// Appends a block to a CAR file, and returns how many bytes of it precede the content.
pub fn append(out: &mut Vec<u8>, block: &Block) -> usize {
    let head = varint(CID_LEN + block.bytes.len());
    out.extend(&head);
    out.extend(cid_bytes(&block.cid));
    out.extend(&block.bytes);
    head.len() + CID_LEN
}

fn varint(value: usize) -> Vec<u8> {
    encode::usize(value, &mut encode::usize_buffer()).to_vec()
}

/// A block and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framed {
    /// The offset of its frame, in bytes from the file's start.
    pub at: u64,
    /// The offset of its content, in bytes from the file's start.
    pub content: u64,
    /// The block, whose digest was checked.
    pub block: Block,
}

/// Reads a CAR file block by block.
#[derive(Debug)]
pub struct CarReader<R> {
    input: R,
    at: u64,
}

impl<R: Read> CarReader<R> {
    /// Reads the header, and returns the roots that it names.
    ///
    /// # Errors
    /// If there is none, or it is malformed.
    pub fn new(input: R) -> Result<(Self, Vec<Cid>), CarError> {
        let mut reader = Self { input, at: 0 };
        let Some(length) = reader.length(1, MAX_HEADER)? else {
            return Err(malformed(0, "it is empty"));
        };
        let start = reader.at;
        let bytes = reader.take(length)?;
        let roots = parse_header(&bytes, start)?;
        Ok((reader, roots))
    }

    /// Goes on in a file whose header was read, from `at`, the offset of a frame.
    pub fn resume(input: R, at: u64) -> Self {
        Self { input, at }
    }

    /// What it reads from.
    pub fn into_inner(self) -> R {
        self.input
    }

    /// The offset of the next frame.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next block, or none at the end.
    ///
    /// # Errors
    /// If the frame is cut or malformed, or the block is not what its identifier says.
    #[expect(clippy::should_implement_trait, reason = "an iterator would go on after a fault")]
    pub fn next(&mut self) -> Result<Option<Framed>, CarError> {
        let at = self.at;
        let Some(length) = self.length(CID_LEN as u64, MAX_FRAME)? else { return Ok(None) };
        let start = self.at;
        let cid = self.take(CID_LEN)?;
        let cid = cid_from_bytes(&cid)
            .ok_or_else(|| malformed(start, "a CID that this file should not hold"))?;
        let content = self.at;
        let bytes = Bytes::from(self.take(length - CID_LEN)?);
        let block = Block::found(cid, bytes).map_err(|error| CarError::Fault { at, error })?;
        Ok(Some(Framed { at, content, block }))
    }

    /// Reads the length of a frame, or finds the end.
    fn length(&mut self, least: u64, most: u64) -> Result<Option<usize>, CarError> {
        let start = self.at;
        let mut buffer = Vec::with_capacity(4);
        loop {
            let mut byte = [0];
            if read_full(&mut self.input, &mut byte)? == 0 {
                if buffer.is_empty() {
                    return Ok(None);
                }
                return Err(malformed(self.at, "it ends within a length"));
            }
            self.at += 1;
            buffer.push(byte[0]);
            if byte[0] < 0x80 {
                break;
            }
            if buffer.len() == 4 {
                return Err(malformed(start, "a length that cannot be"));
            }
        }
        let length = decode::u64(&buffer).ok().map(|(length, _)| length);
        let length = length.filter(|length| (least..=most).contains(length));
        let length = length.and_then(|length| usize::try_from(length).ok());
        length.map(Some).ok_or_else(|| malformed(start, "a length that cannot be"))
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, CarError> {
        let mut out = vec![0; length];
        let got = read_full(&mut self.input, &mut out)?;
        if got < length {
            return Err(malformed(self.at + got as u64, "it ends within a block"));
        }
        self.at += length as u64;
        Ok(out)
    }
}

/// Fills `out` as far as the input goes.
fn read_full(input: &mut impl Read, out: &mut [u8]) -> std::io::Result<usize> {
    let mut got = 0;
    while got < out.len() {
        match input.read(&mut out[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

fn malformed(at: u64, why: &'static str) -> CarError {
    CarError::Fault { at, error: Error::Malformed { what: WHAT, at, why } }
}

fn parse_header(bytes: &[u8], start: u64) -> Result<Vec<Cid>, CarError> {
    let mut from = cbor::Reader::new(bytes, WHAT);
    parse_roots(&mut from).map_err(|error| match error {
        Error::Malformed { what, at, why } => {
            let at = start + at;
            CarError::Fault { at, error: Error::Malformed { what, at, why } }
        }
        error => CarError::Fault { at: start, error },
    })
}

fn parse_roots(from: &mut cbor::Reader<'_>) -> super::error::Result<Vec<Cid>> {
    from.map_of(2)?;
    from.key("roots")?;
    let count = from.array()?;
    if !(1..=MAX_ROOTS).contains(&count) {
        return Err(from.fault("no root, or too many"));
    }
    let mut roots = Vec::with_capacity(count);
    for _ in 0..count {
        let link = cid_from_bytes(&from.link()?);
        roots.push(link.ok_or_else(|| from.fault("a CID that this file should not hold"))?);
    }
    from.key("version")?;
    match from.uint()? {
        1 if from.left() == 0 => Ok(roots),
        1 => Err(from.fault("more than belongs here")),
        format => Err(Error::Newer { what: WHAT, format }),
    }
}
