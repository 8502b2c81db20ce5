//! Contents beside a journal entry's body: files, artefacts, large parameter spaces.
//!
//! Up to [`INLINE`] bytes ride in the body as a byte string: a reference would take as
//! much. What is larger becomes a sealed object of its own, `{cids, size, digest}` in the
//! body, found again through its keyed digest, so that an unchanged file is stored once.

use bytes::Bytes;
use cid::Cid;

use crate::domain::digest::Digest;

use super::{
    block::{Block, read_cid, write_cid},
    cbor::{Kind, Reader, Writer},
    digest::sha256,
    error::{Error, Result},
    seal::{BlobKind, MAX_OBJECT, Sealer, chunks_of},
};

/// The largest content that rides inside a body, in bytes.
pub const INLINE: usize = 256;

/// A sealed object that belongs to a journal entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRef {
    /// What it holds.
    pub kind: BlobKind,
    /// Its path or name; empty for a parameter space.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of its content.
    pub digest: Digest,
    /// Its sealed blocks, in order.
    pub cids: Vec<Cid>,
}

impl BlobRef {
    /// Loads, opens and checks the content.
    ///
    /// # Errors
    /// Those of `get`, and if a block is missing or anything does not fit.
    pub fn load<E: From<Error>>(
        &self,
        sealer: &Sealer,
        get: &mut dyn FnMut(&Cid) -> std::result::Result<Option<Bytes>, E>,
    ) -> std::result::Result<Bytes, E> {
        let plain = sealer.open_blocks(self.kind, &blocks(&self.cids, get)?)?;
        if plain.len() as u64 == self.size && sha256(&plain) == self.digest {
            return Ok(plain.into());
        }
        Err(Error::Digest { what: format!("“{}”", self.name) }.into())
    }
}

/// Loads blocks and checks that each is what its identifier says.
///
/// # Errors
/// Those of `get`, and if one is missing or something else.
pub fn blocks<E: From<Error>>(
    cids: &[Cid],
    get: &mut dyn FnMut(&Cid) -> std::result::Result<Option<Bytes>, E>,
) -> std::result::Result<Vec<Bytes>, E> {
    let load = |cid: &Cid| {
        let bytes = get(cid)?.ok_or_else(|| Error::Missing(cid.to_string()))?;
        Ok(Block::found(*cid, bytes)?.bytes)
    };
    cids.iter().map(load).collect()
}

/// A sealed object that was not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// The keyed digest under which it is found again.
    pub mac: [u8; 32],
    /// Its sealed blocks, in order.
    pub blocks: Vec<Block>,
}

/// Where the contents of an entry go while it is written.
pub(super) struct Sink<'a> {
    pub sealer: &'a Sealer,
    pub salts: &'a mut dyn FnMut() -> [u8; 32],
    pub known: &'a mut dyn FnMut(&[u8; 32]) -> Option<Vec<Cid>>,
    pub new: Vec<NewBlob>,
}

impl Sink<'_> {
    /// Writes `content` itself or a reference to it, and returns its digest.
    pub fn put(&mut self, out: &mut Writer, kind: BlobKind, content: &[u8]) -> Result<Digest> {
        let digest = sha256(content);
        if content.len() <= INLINE {
            out.bytes(content);
            return Ok(digest);
        }
        let cids = self.cids(kind, content, &digest)?;
        out.map(3);
        out.text("cids");
        out.array(cids.len());
        cids.iter().for_each(|cid| write_cid(out, cid));
        out.text("size");
        out.uint(content.len() as u64);
        out.text("digest");
        out.bytes(&digest.0);
        Ok(digest)
    }

    fn cids(&mut self, kind: BlobKind, content: &[u8], digest: &Digest) -> Result<Vec<Cid>> {
        let mac = self.sealer.mac(kind, digest);
        let of = |blob: &NewBlob| blob.blocks.iter().map(|block| block.cid).collect();
        if let Some(twin) = self.new.iter().find(|blob| blob.mac == mac) {
            return Ok(of(twin));
        }
        if let Some(cids) = (self.known)(&mac) {
            if cids.len() == chunks_of(content.len()) as usize {
                return Ok(cids);
            }
            let why = "the index of stored contents names an object of another size";
            return Err(Error::Mismatch(why.to_owned()));
        }
        let blob = NewBlob { mac, blocks: self.sealer.seal_blocks(kind, content, (self.salts)())? };
        let cids = of(&blob);
        self.new.push(blob);
        Ok(cids)
    }
}

/// A content as it was read: itself, or where it is.
#[derive(Debug)]
pub(super) enum Content<'a> {
    Inline(&'a [u8]),
    Stored(BlobRef),
}

/// Reads what [`Sink::put`] writes.
pub(super) fn read<'a>(from: &mut Reader<'a>, kind: BlobKind, name: &str) -> Result<Content<'a>> {
    if from.kind()? == Kind::Bytes {
        let bytes = from.bytes()?;
        if bytes.len() > INLINE {
            return Err(from.fault("a content that is too large to ride in a body"));
        }
        return Ok(Content::Inline(bytes));
    }
    from.map_of(3)?;
    from.key("cids")?;
    let count = from.array()?;
    let cids = (0..count).map(|_| read_cid(from)).collect::<Result<Vec<_>>>()?;
    from.key("size")?;
    let size = from.uint()?;
    let whole = usize::try_from(size).ok().filter(|size| (INLINE + 1..=MAX_OBJECT).contains(size));
    if whole.is_none_or(|size| chunks_of(size) as usize != cids.len()) {
        return Err(from.fault("a size that does not fit its blocks"));
    }
    from.key("digest")?;
    let digest = Digest(from.byte_array()?);
    Ok(Content::Stored(BlobRef { kind, name: name.to_owned(), size, digest, cids }))
}
