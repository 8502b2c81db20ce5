//! Reads one block of a segment, wherever it lies: CAR v1, varint of the length, CID, bytes.

use cid::Cid;

use crate::provenance::{
    block::{CID_LEN, MAX_BLOCK, cid_from_bytes, digest_of},
    digest::sha256,
};

/// The longest varint of a frame's length.
pub const MAX_VARINT: usize = 4;

/// A frame's head: where its parts lie, in bytes from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The block's CID.
    pub cid: Cid,
    /// Where the block's bytes start.
    pub start: usize,
    /// Where they end: the frame's length.
    pub end: usize,
}

/// The head of the frame at the start of `bytes`, which may end within the block but not
/// within the head.
///
/// # Errors
/// What is wrong with it.
pub fn head(bytes: &[u8]) -> Result<Head, &'static str> {
    let (length, rest) = unsigned_varint::decode::usize(&bytes[..bytes.len().min(MAX_VARINT)])
        .map_err(|_| "no frame starts here")?;
    let varint = bytes.len().min(MAX_VARINT) - rest.len();
    if !(CID_LEN..=MAX_BLOCK + CID_LEN).contains(&length) {
        return Err("a frame of an impossible length");
    }
    let id = bytes.get(varint..varint + CID_LEN).ok_or("the frame is cut off")?;
    let cid = cid_from_bytes(id).ok_or("a frame without a CID that Darwin writes")?;
    Ok(Head { cid, start: varint + CID_LEN, end: varint + length })
}

/// Whether `bytes` have the digest that `cid` names.
#[must_use]
pub fn fits(cid: &Cid, bytes: &[u8]) -> bool {
    digest_of(cid).is_some_and(|digest| digest == sha256(bytes))
}

/// The part of a CID's digest by which indices are sorted.
#[must_use]
pub fn key(cid: &Cid) -> u64 {
    let mut key = [0; 8];
    if let Some(front) = cid.hash().digest().get(..8) {
        key.copy_from_slice(front);
    }
    u64::from_be_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provenance::{block::Block, car};

    #[test]
    fn a_frame_is_read_as_it_was_written_and_every_flipped_bit_of_its_head_shows() {
        let block = Block::raw(vec![7u8; 300]);
        let mut bytes = Vec::new();
        car::append(&mut bytes, &block);
        let found = head(&bytes).unwrap();
        assert_eq!((found.cid, &bytes[found.start..found.end]), (block.cid, &block.bytes[..]));
        for bit in 0..found.start * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let same = head(&bad).is_ok_and(|head| {
                bad.get(head.start..head.end).is_some_and(|block| fits(&head.cid, block))
                    && head.cid == found.cid
            });
            assert!(!same, "bit {bit}");
        }
    }

    #[test]
    fn a_frame_that_is_cut_off_is_refused() {
        let block = Block::raw(vec![1u8, 2, 3]);
        let mut bytes = Vec::new();
        car::append(&mut bytes, &block);
        for length in 0..CID_LEN {
            assert!(head(&bytes[..length]).is_err(), "{length}");
        }
    }
}
