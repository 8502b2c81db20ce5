//! One segment: a CAR v1 file whose root is a block that says whose segment it is.

use std::{fs::File, io, os::unix::fs::FileExt};

use cid::Cid;
use ipld_core::ipld::Ipld;

use super::frame::{self, Head};
use crate::provenance::{
    block::{Block, CID_LEN},
    car,
};

/// The version of the segment's root block.
const VERSION: i128 = 1;
/// How much of a segment is read at once.
const READ: usize = 256 << 10;

/// The file name of a segment.
#[must_use]
pub fn file_name(number: u32) -> String {
    format!("segment-{number:06}.car")
}

/// The file name of its sidecar.
#[must_use]
pub fn sidecar_name(number: u32) -> String {
    format!("segment-{number:06}.idx")
}

/// The number of the segment that a file name belongs to, and whether it is its sidecar.
#[must_use]
pub fn named(name: &str) -> Option<(u32, bool)> {
    let (stem, extension) = name.strip_prefix("segment-")?.rsplit_once('.')?;
    let number = stem.parse().ok().filter(|number| *number > 0)?;
    let sidecar = extension == "idx";
    let expected = if sidecar { sidecar_name(number) } else { file_name(number) };
    (expected == name).then_some((number, sidecar))
}

/// The first bytes of a segment: the CAR header and the root block. They follow from the
/// store's id and the number, so that they can be checked byte by byte.
#[must_use]
pub fn header(store: [u8; 16], number: u32) -> Vec<u8> {
    let entries = [
        ("darwin", Ipld::String("segment".to_owned())),
        ("number", Ipld::Integer(i128::from(number))),
        ("store", Ipld::Bytes(store.to_vec())),
        ("version", Ipld::Integer(VERSION)),
    ];
    let map = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let root = serde_ipld_dagcbor::to_vec(&Ipld::Map(map)).unwrap_or_default();
    let root = Block::dag_cbor(root);
    let mut out = car::header(&[root.cid]);
    car::append(&mut out, &root);
    out
}

/// Whether the file starts with that header.
///
/// # Errors
/// If it can't be read.
pub fn starts_with(file: &File, header: &[u8]) -> io::Result<bool> {
    let mut found = vec![0; header.len()];
    match file.read_exact_at(&mut found, 0) {
        Ok(()) => Ok(found == header),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// What a scan comes across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A block whose digest fits.
    Block(Cid),
    /// A block whose digest does not fit its CID; the scan goes on behind it.
    Damaged(Cid),
    /// No frame where one should be; the scan ends.
    Unreadable(&'static str),
}

/// Reads the frames in `[from, to)` and hands each with its offset to `visit`.
///
/// # Errors
/// If the file can't be read.
pub fn scan(file: &File, from: u64, to: u64, visit: &mut dyn FnMut(u64, Found)) -> io::Result<()> {
    let mut buffer: Vec<u8> = Vec::new();
    // `buffer` holds what lies from `at` on.
    let (mut at, mut used) = (from, 0);
    loop {
        let left = usize::try_from(to - at - used as u64).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(());
        }
        // The frame at `used` must be in the buffer whole, or the file end before it does.
        let have = buffer.len() - used;
        let found = frame::head(&buffer[used..]);
        let enough = match &found {
            Ok(head) => have >= head.end,
            Err(_) => have >= (CID_LEN + frame::MAX_VARINT).min(left),
        };
        if !enough && have < left {
            let want = found.map_or(0, |head| head.end).max(READ).min(left);
            buffer.drain(..used);
            at += used as u64;
            used = 0;
            let old = buffer.len();
            buffer.resize(want.max(old), 0);
            let got = read_at(file, &mut buffer[old..], at + old as u64)?;
            buffer.truncate(old + got);
            if got == 0 {
                visit(at, Found::Unreadable("the file ends before its recorded length"));
                return Ok(());
            }
            continue;
        }
        let offset = at + used as u64;
        match found {
            Ok(head) if head.end <= have.min(left) => {
                let bytes = &buffer[used + head.start..used + head.end];
                let fits = frame::fits(&head.cid, bytes);
                visit(offset, if fits { Found::Block(head.cid) } else { Found::Damaged(head.cid) });
                used += head.end;
            }
            Ok(_) => {
                visit(offset, Found::Unreadable("a frame that reaches beyond the segment's end"));
                return Ok(());
            }
            Err(what) => {
                visit(offset, Found::Unreadable(what));
                return Ok(());
            }
        }
    }
}

/// Reads until `buffer` is full or the file ends; returns how much.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read_at(&mut buffer[got..], offset + got as u64) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// The head and the bytes of the frame at `offset` of a segment of that length.
///
/// # Errors
/// What is wrong with it, or why it can't be read.
pub fn read(
    file: &File,
    offset: u64,
    length: u64,
) -> io::Result<Result<(Head, Vec<u8>), &'static str>> {
    let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; left.min(4096)];
    let got = read_at(file, &mut bytes, offset)?;
    bytes.truncate(got);
    let head = match frame::head(&bytes) {
        Ok(head) if head.end <= left => head,
        Ok(_) => return Ok(Err("a frame that reaches beyond the segment's end")),
        Err(what) => return Ok(Err(what)),
    };
    let old = bytes.len();
    bytes.resize(head.end, 0);
    if head.end > old {
        let got = read_at(file, &mut bytes[old..], offset + old as u64)?;
        if old + got < head.end {
            return Ok(Err("the file ends before its recorded length"));
        }
    }
    Ok(Ok((head, bytes.split_off(head.start))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_numbers_and_strangers_do_not() {
        assert_eq!(named(&file_name(7)), Some((7, false)));
        assert_eq!(named(&sidecar_name(1_234_567)), Some((1_234_567, true)));
        for stranger in ["segment-7.car", "segment-000000.car", "x.car", "segment-000007.txt", ""] {
            assert_eq!(named(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn a_header_is_a_car_header_with_its_root_block() {
        // Test vector, computed by hand from the DAG-CBOR specification: the durable format may not change unnoticed.
        let header = header([0x11; 16], 1);
        let (length, rest) = unsigned_varint::decode::usize(&header).unwrap();
        let head: Ipld = serde_ipld_dagcbor::from_slice(&rest[..length]).unwrap();
        let root = frame::head(&rest[length..]).unwrap();
        assert!(frame::fits(&root.cid, &rest[length + root.start..]));
        let Ipld::Map(map) = head else { panic!("no map") };
        assert_eq!(map["roots"], Ipld::List(vec![Ipld::Link(root.cid)]));
        assert_eq!(map["version"], Ipld::Integer(1));
        assert_eq!(
            root.cid.to_string(),
            "bafyreiaybrk5ij76m6uj5e6btwfnc2v3khiqbjbsepns7mtdoqkez2g2zq",
        );
    }
}
