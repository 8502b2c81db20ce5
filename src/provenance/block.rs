//! Blocks and the content identifiers that name them: CID version 1, SHA-256.

use bytes::Bytes;
use cid::{Cid, multihash::Multihash};

use crate::domain::digest::Digest;

use super::{
    cbor::{Reader, Writer},
    digest::sha256,
    error::{Error, Result},
};

/// The largest block, in bytes, whatever it holds.
pub const MAX_BLOCK: usize = 1 << 20;
/// The bytes of a CID as it is stored: version, codec, hash function, length, digest.
pub const CID_LEN: usize = 36;

/// The multicodec of bytes without a structure of their own.
pub const RAW: u64 = 0x55;
/// The multicodec of DAG-CBOR.
pub const DAG_CBOR: u64 = 0x71;
const SHA2_256: u64 = 0x12;

/// Bytes and the identifier that follows from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its identifier.
    pub cid: Cid,
    /// Its content.
    pub bytes: Bytes,
}

impl Block {
    /// A block without a structure that others can see, for example a sealed one.
    #[must_use]
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self::of(RAW, bytes.into())
    }

    /// A block of DAG-CBOR.
    #[must_use]
    pub fn dag_cbor(bytes: impl Into<Bytes>) -> Self {
        Self::of(DAG_CBOR, bytes.into())
    }

    fn of(codec: u64, bytes: Bytes) -> Self {
        Self { cid: cid_of(codec, sha256(&bytes)), bytes }
    }

    /// A block that was found under `cid`.
    ///
    /// # Errors
    /// If it is not what `cid` names, or larger than a block may be.
    pub fn found(cid: Cid, bytes: Bytes) -> Result<Self> {
        if bytes.len() > MAX_BLOCK {
            let size = bytes.len() as u64;
            return Err(Error::TooLarge { what: "a block", size, limit: MAX_BLOCK as u64 });
        }
        if digest_of(&cid).is_some_and(|digest| digest == sha256(&bytes)) {
            return Ok(Self { cid, bytes });
        }
        Err(Error::Digest { what: format!("block {cid}") })
    }
}

/// The identifier with this codec and digest; the codec is [`RAW`] or [`DAG_CBOR`].
#[must_use]
pub fn cid_of(codec: u64, digest: Digest) -> Cid {
    let hash = Multihash::wrap(SHA2_256, &digest.0);
    Cid::new_v1(codec, hash.expect("64 bytes hold 32"))
}

/// The SHA-256 digest in `cid`, if it is one that Darwin makes.
#[must_use]
pub fn digest_of(cid: &Cid) -> Option<Digest> {
    let known = cid.version() == cid::Version::V1
        && matches!(cid.codec(), RAW | DAG_CBOR)
        && cid.hash().code() == SHA2_256;
    let digest = cid.hash().digest().try_into().ok()?;
    known.then_some(Digest(digest))
}

/// The bytes of `cid` as they are stored; of one that Darwin makes.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "the codecs that Darwin uses are below 128")]
pub fn cid_bytes(cid: &Cid) -> [u8; CID_LEN] {
    let mut out = [0; CID_LEN];
    out[..4].copy_from_slice(&[1, cid.codec() as u8, SHA2_256 as u8, 32]);
    if let Some(digest) = digest_of(cid) {
        out[4..].copy_from_slice(&digest.0);
    }
    out
}

/// The identifier of which these are the bytes, if it is one that Darwin makes.
#[must_use]
pub fn cid_from_bytes(bytes: &[u8]) -> Option<Cid> {
    let bytes: &[u8; CID_LEN] = bytes.try_into().ok()?;
    let (head, digest) = bytes.split_at(4);
    let codec = match head {
        [1, codec, 0x12, 32] if matches!(u64::from(*codec), RAW | DAG_CBOR) => u64::from(*codec),
        _ => return None,
    };
    Some(cid_of(codec, Digest(digest.try_into().ok()?)))
}

/// Writes `cid` as a byte string: not a link, which a recursive pin would follow.
pub fn write_cid(out: &mut Writer, cid: &Cid) {
    out.bytes(&cid_bytes(cid));
}

/// Reads what [`write_cid`] writes.
///
/// # Errors
/// If another value stands there.
pub fn read_cid(from: &mut Reader<'_>) -> Result<Cid> {
    let bytes: [u8; CID_LEN] = from.byte_array()?;
    cid_from_bytes(&bytes).ok_or_else(|| from.fault("a CID of SHA-256 is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_follow_from_the_specification() {
        // Computed with Python's hashlib and base64: "b" and the base32 of 01 55 12 20 and
        // the SHA-256 digest.
        let block = Block::raw(&b"hello world"[..]);
        let text = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
        assert_eq!(block.cid.to_string(), text);
        assert_eq!(cid_bytes(&block.cid).as_slice(), block.cid.to_bytes());
        assert_eq!(cid_from_bytes(&block.cid.to_bytes()), Some(block.cid));
    }

    #[test]
    fn other_identifiers_are_refused() {
        let good = cid_bytes(&Block::dag_cbor(&b"\xa0"[..]).cid);
        for at in 0..4 {
            let mut bad = good;
            bad[at] ^= 1;
            assert_eq!(cid_from_bytes(&bad), None);
        }
        assert_eq!(cid_from_bytes(&good[..35]), None);
        let v0 = Cid::new_v0(Multihash::wrap(SHA2_256, &[7; 32]).unwrap()).unwrap();
        assert!(Block::found(v0, Bytes::new()).is_err());
    }
}
