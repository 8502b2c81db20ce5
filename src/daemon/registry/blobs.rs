//! Blobs of a session: weights, and whatever else is too large for a message.
//!
//! A blob is named by the SHA-256 digest of its content and comes in parts, each of which is durable
//! before it counts. So whoever was interrupted goes on behind the last one. It is there once all of
//! it is, and is what its digest says.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use tokio::sync::OwnedMutexGuard;

use super::{Registry, error::RegistryError, model::Receipt, prepare::What, vault::Session};
use crate::{
    daemon::store::warm::{
        rows::Change,
        uploads::{NewUpload, UploadRow},
    },
    domain::{digest::Digest, id::SessionId},
    provenance::{
        digest::Hasher,
        error::Error as FormatError,
        seal::{BlobKind, MAX_CHUNK, Sealer},
    },
};

/// The content of each part but the last, in bytes: it fills a sealed block.
const PART: usize = MAX_CHUNK;
/// The largest blob, in bytes.
pub const MAX_BLOB: u64 = 256 << 30;
/// The longest name of one, in bytes.
const MAX_NAME: usize = 1024;
/// How many parts may be on their way to the disk.
const AHEAD: usize = 4;

/// A blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The digest of its content.
    pub digest: Digest,
    /// What its user calls it.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// How much of it is stored.
    pub have: u64,
    /// Whether it is there, whole.
    pub done: bool,
    /// When it was begun, in milliseconds since the Unix epoch.
    pub begun_ms: u64,
}

/// A blob that is being stored, by nobody else meanwhile.
pub struct Upload {
    registry: Registry,
    session: Arc<Session>,
    id: [u8; 32],
    digest: Digest,
    size: u64,
    /// How much came, and how much of it is durable.
    came: u64,
    have: u64,
    done: bool,
    hasher: Hasher,
    part: BytesMut,
    /// The number of the next part.
    next: u64,
    receipts: VecDeque<(Receipt, u64)>,
    _turn: OwnedMutexGuard<()>,
}

/// A blob that is read.
pub struct Content {
    registry: Registry,
    session: SessionId,
    id: [u8; 32],
    /// Its size in bytes.
    pub size: u64,
}

impl Registry {
    /// Begins to store a blob, or goes on with it; waits until nobody else does.
    ///
    /// # Errors
    /// If the session is closed or its key destroyed, the blob is too large or was begun with
    /// another size, or the registry fails.
    pub async fn store_blob(
        &self,
        session: SessionId,
        digest: Digest,
        size: u64,
        name: &str,
    ) -> Result<Upload, RegistryError> {
        if size > MAX_BLOB || name.len() > MAX_NAME {
            let what = "a blob has at most 256 GiB, and a name of at most 1,024 bytes";
            return Err(RegistryError::Invalid(what.to_owned()));
        }
        let key = self.inner.vault.session(session).await?;
        let id = key.sealer.mac(BlobKind::Part, &digest);
        let turn = self.inner.uploads.wait(id).await;
        // What somebody who has gone had handed in is stored first.
        self.ping().await?;
        let known = self.inner.stores.warm.rows().upload(id).await?;
        if known.as_ref().is_none_or(|known| !known.done) {
            let _making = self.inner.making.lock().await;
            if self.session(session).await?.closed {
                return Err(RegistryError::SessionClosed(session));
            }
            if known.is_none() {
                let sealed = key.seal(BlobKind::Label, &label(name, digest)?)?;
                let begun_ms = self.inner.clock.millis();
                let new = NewUpload { id, session, size, sealed, begun_ms };
                self.change(Change::NewUpload(new)).await?;
            }
        }
        let known_size = known.as_ref().map_or(size, |known| known.begun.size);
        if known_size != size {
            let what = format!("blob {digest} has {known_size} bytes, and not {size}");
            return Err(RegistryError::Invalid(what));
        }
        let (parts, done) = known.map_or((0, false), |known| (known.parts, known.done));
        let have = (parts * PART as u64).min(size);
        let mut upload = Upload {
            registry: self.clone(),
            session: key,
            id,
            digest,
            size,
            came: have,
            have,
            done,
            hasher: Hasher::default(),
            part: BytesMut::new(),
            next: parts,
            receipts: VecDeque::new(),
            _turn: turn,
        };
        if !done {
            let content = Content { registry: self.clone(), session, id, size };
            for number in 0..parts {
                upload.hasher.update(&content.part(number).await?);
            }
        }
        Ok(upload)
    }

    /// A blob that is there, to be read.
    ///
    /// # Errors
    /// If there is none of that digest in the session, or not all of it yet, or the session's key
    /// is destroyed.
    pub async fn blob(&self, session: SessionId, digest: Digest) -> Result<Content, RegistryError> {
        let key = self.inner.vault.session(session).await?;
        let id = key.sealer.mac(BlobKind::Part, &digest);
        let row = self.inner.stores.warm.rows().upload(id).await?;
        let missing = || RegistryError::NoBlob(digest);
        let row = row.ok_or_else(missing)?;
        if !row.done {
            return Err(RegistryError::Unfinished(digest));
        }
        Ok(Content { registry: self.clone(), session, id, size: row.begun.size })
    }

    /// At most `limit` blobs of a session (and at most 1,000), the last begun first.
    ///
    /// # Errors
    /// If the session's key is destroyed, or they can't be read.
    pub async fn blobs(
        &self,
        session: SessionId,
        limit: usize,
    ) -> Result<Vec<Blob>, RegistryError> {
        let key = self.inner.vault.session(session).await?;
        let rows = self.inner.stores.warm.rows().uploads(session, limit).await?;
        rows.into_iter().map(|row| blob(&key.sealer, &row)).collect()
    }
}

impl Upload {
    /// How much of it is durable, in bytes: the next byte wanted is the one behind.
    #[must_use]
    pub fn have(&self) -> u64 {
        self.have
    }

    /// Its size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it is there already, whole.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    /// Takes the next piece; waits while too much is on its way to the disk.
    ///
    /// # Errors
    /// If it is more than the blob has, or the registry fails.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), RegistryError> {
        self.came += piece.len() as u64;
        if self.came > self.size {
            let what = format!("blob {} has {} bytes, and more came", self.digest, self.size);
            return Err(RegistryError::Invalid(what));
        }
        self.hasher.update(piece);
        self.part.extend_from_slice(piece);
        while self.part.len() >= PART {
            let part = self.part.split_to(PART).freeze();
            self.submit(part).await?;
        }
        Ok(())
    }

    /// Stores what is left of it, and checks the whole.
    ///
    /// # Errors
    /// If not all of it came, or it is not what its digest says, so that it is forgotten; or if the
    /// registry fails.
    pub async fn finish(mut self) -> Result<(), RegistryError> {
        if self.done {
            return Ok(());
        }
        if self.came < self.size {
            let (digest, came, size) = (self.digest, self.came, self.size);
            let what = format!("of blob {digest} only {came} of {size} bytes came");
            return Err(RegistryError::Invalid(what));
        }
        if !self.part.is_empty() {
            let part = self.part.split().freeze();
            self.submit(part).await?;
        }
        while !self.receipts.is_empty() {
            self.settle().await?;
        }
        let whole = std::mem::take(&mut self.hasher).finish() == self.digest;
        self.registry.change(Change::EndUpload(self.id, whole)).await?;
        if whole { Ok(()) } else { Err(RegistryError::Mistaken(self.digest)) }
    }

    async fn submit(&mut self, part: Bytes) -> Result<(), RegistryError> {
        while self.receipts.len() >= AHEAD {
            self.settle().await?;
        }
        let (number, size) = (self.next, part.len());
        self.next += 1;
        let what = What::Part(self.id, number, part);
        let receipt = self.registry.write(what, Arc::clone(&self.session), 1, size).await?;
        self.receipts.push_back((receipt, size as u64));
        Ok(())
    }

    /// Waits until the oldest part on its way is durable.
    async fn settle(&mut self) -> Result<(), RegistryError> {
        if let Some((receipt, size)) = self.receipts.pop_front() {
            receipt.await?;
            self.have += size;
        }
        Ok(())
    }
}

impl Content {
    /// The content from `offset` to the end of the part in which it lies; empty at the end.
    ///
    /// # Errors
    /// If it can't be read or opened.
    pub async fn from(&self, offset: u64) -> Result<Bytes, RegistryError> {
        if offset >= self.size {
            return Ok(Bytes::new());
        }
        let mut part = self.part(offset / PART as u64).await?;
        let skipped = usize::try_from(offset % PART as u64).unwrap_or(usize::MAX);
        Ok(part.split_off(skipped.min(part.len())))
    }

    async fn part(&self, number: u64) -> Result<Bytes, RegistryError> {
        let (session, id) = (self.session, self.id);
        self.registry
            .reading(move |reader| {
                let rows = reader.registry().inner.stores.warm.clone();
                let cids = reader.wait(rows.rows().parts(id, number, 1))?;
                let missing = || FormatError::Missing(format!("part {number} of a blob"));
                let cid = cids.first().ok_or_else(missing)?;
                let block =
                    reader.get(cid)?.ok_or_else(|| FormatError::Missing(cid.to_string()))?;
                let sealer = reader.sealer(session)?.ok_or(RegistryError::Shredded(session))?;
                Ok(sealer.open_blocks(BlobKind::Part, &[block])?.into())
            })
            .await
    }
}

fn blob(sealer: &Sealer, row: &UploadRow) -> Result<Blob, RegistryError> {
    let bytes = sealer.open(BlobKind::Label, &row.begun.sealed)?;
    let odd =
        |error: &dyn std::fmt::Display| RegistryError::Damaged(format!("a blob's label: {error}"));
    let label: (String, String) =
        serde_ipld_dagcbor::from_slice(&bytes).map_err(|error| odd(&error))?;
    let (name, digest) = (label.0, label.1.parse::<Digest>().map_err(|error| odd(&error))?);
    let NewUpload { size, begun_ms, .. } = row.begun;
    let have = (row.parts * PART as u64).min(size);
    Ok(Blob { digest, name, size, have, done: row.done, begun_ms })
}

/// A label as it is sealed, see doc/formats.md.
fn label(name: &str, digest: Digest) -> Result<Vec<u8>, RegistryError> {
    serde_ipld_dagcbor::to_vec(&(name, digest.to_string()))
        .map_err(|error| RegistryError::Invalid(format!("a blob's label: {error}")))
}
