//! The cold tier: content-addressed blocks, written once, kept for years.

pub mod frame;
pub mod index;
pub mod segment;
pub mod folder;
pub mod file;
pub mod memory;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod test_damage;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use super::error::{Damage, StoreError};
use crate::provenance::block::{Block, MAX_BLOCK, digest_of};

/// The most wrong things that one check of one segment reports.
pub const MAX_FAULTS: usize = 100;

/// How far a segment reaches: what lies beyond was never acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The segment's number.
    pub segment: u32,
    /// Its length in bytes.
    pub length: u64,
}

/// What an append did. Durable, yet nobody sees it before [`ColdBackend::publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The new length of the segment that took the blocks; to be recorded with the rows that
    /// name them.
    pub extent: Extent,
    /// The bytes written.
    pub bytes: u64,
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Bytes beyond the recorded lengths that were cut.
    pub cut: u64,
    /// What is wrong; nothing of it was changed.
    pub faults: Vec<Damage>,
}

/// What the check of a segment found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Checked {
    /// Blocks read.
    pub blocks: u64,
    /// Of these, entries of journals.
    pub entries: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is wrong, at most [`MAX_FAULTS`].
    pub faults: Vec<Damage>,
}

/// A block to look for, and the segment where it probably lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The block.
    pub cid: Cid,
    /// The segment to look in first.
    pub hint: Option<u32>,
}

/// What a back end of the cold tier does. Appends come from one writer, one at a time.
#[async_trait]
pub trait ColdBackend: Send + Sync {
    /// Makes what is stored agree with the recorded extents: cuts what lies beyond them, shows
    /// what lies within, names whatever else differs. To be called before anything else, and
    /// again when nobody knows what became of the last append.
    async fn recover(
        &self,
        store: [u8; 16],
        recorded: Vec<Extent>,
    ) -> Result<Recovered, StoreError>;

    /// Stores blocks durably, unseen by readers. On an error nothing is stored.
    async fn append(&self, blocks: Vec<Block>) -> Result<Appended, StoreError>;

    /// Shows the blocks of the last append to readers, now that its extent is recorded.
    async fn publish(&self) -> Result<(), StoreError>;

    /// Takes the last append back, because its extent was not recorded.
    async fn revoke(&self) -> Result<(), StoreError>;

    /// The published blocks, in the order asked for; `None` where there is none.
    async fn get(&self, wanted: Vec<Wanted>) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// The numbers of all segments, rising.
    async fn segments(&self) -> Result<Vec<u32>, StoreError>;

    /// Reads all of a segment and checks each block against its CID.
    async fn check(&self, segment: u32) -> Result<Checked, StoreError>;

    /// Looks for what belongs to no segment, and for segments that are gone.
    async fn survey(&self) -> Result<Vec<Damage>, StoreError>;
}

/// The cold tier for callers.
#[derive(Clone)]
pub struct Cold {
    backend: Arc<dyn ColdBackend>,
}

impl Cold {
    /// The tier over `backend`.
    #[must_use]
    pub fn new(backend: Arc<dyn ColdBackend>) -> Self {
        Self { backend }
    }

    /// See [`ColdBackend::recover`].
    ///
    /// # Errors
    /// If the files can't be read or cut.
    pub async fn recover(
        &self,
        store: [u8; 16],
        recorded: Vec<Extent>,
    ) -> Result<Recovered, StoreError> {
        self.backend.recover(store, recorded).await
    }

    /// See [`ColdBackend::append`].
    ///
    /// # Errors
    /// If the blocks can't be stored; then none is.
    pub async fn append(&self, blocks: Vec<Block>) -> Result<Appended, StoreError> {
        let count = blocks.len() as u64;
        let fits =
            |block: &Block| block.bytes.len() <= MAX_BLOCK && digest_of(&block.cid).is_some();
        if let Some(block) = blocks.iter().find(|block| !fits(block)) {
            let what = format!("block {} is not one that this tier takes", block.cid);
            return Err(StoreError::Exhausted { what });
        }
        let appended = self.backend.append(blocks).await?;
        metrics::counter!("darwin_cold_blocks_total").increment(count);
        metrics::counter!("darwin_cold_bytes_total").increment(appended.bytes);
        Ok(appended)
    }

    /// See [`ColdBackend::publish`].
    ///
    /// # Errors
    /// If the back end failed before.
    pub async fn publish(&self) -> Result<(), StoreError> {
        self.backend.publish().await
    }

    /// See [`ColdBackend::revoke`].
    ///
    /// # Errors
    /// If the bytes can't be cut; the back end then refuses further appends.
    pub async fn revoke(&self) -> Result<(), StoreError> {
        self.backend.revoke().await
    }

    /// The block of that CID, checked against it.
    ///
    /// # Errors
    /// If it can't be read, or what is stored is not it.
    pub async fn get(&self, cid: Cid) -> Result<Option<Bytes>, StoreError> {
        Ok(self.get_many(vec![Wanted { cid, hint: None }]).await?.pop().flatten())
    }

    /// Several blocks, in the order asked for, each checked against its CID.
    ///
    /// # Errors
    /// If one can't be read, or what is stored is not it.
    pub async fn get_many(&self, wanted: Vec<Wanted>) -> Result<Vec<Option<Bytes>>, StoreError> {
        let cids: Vec<_> = wanted.iter().map(|wanted| wanted.cid).collect();
        let found = self.get_unchecked(wanted).await?;
        for (cid, bytes) in cids.iter().zip(&found) {
            if bytes.as_ref().is_some_and(|bytes| !frame::fits(cid, bytes)) {
                metrics::counter!("darwin_cold_corrupt_total").increment(1);
                return Err(StoreError::corrupt(
                    format!("block {cid}"),
                    None,
                    "what is stored does not have this digest",
                ));
            }
        }
        Ok(found)
    }

    /// Several blocks, for a caller who checks them against their CIDs.
    ///
    /// # Errors
    /// If one can't be read.
    pub async fn get_unchecked(
        &self,
        wanted: Vec<Wanted>,
    ) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.backend.get(wanted).await
    }

    /// See [`ColdBackend::segments`].
    ///
    /// # Errors
    /// If the back end can't be read.
    pub async fn segments(&self) -> Result<Vec<u32>, StoreError> {
        self.backend.segments().await
    }

    /// See [`ColdBackend::check`].
    ///
    /// # Errors
    /// If the segment can't be read.
    pub async fn check(&self, segment: u32) -> Result<Checked, StoreError> {
        self.backend.check(segment).await
    }

    /// See [`ColdBackend::survey`].
    ///
    /// # Errors
    /// If the back end can't be read.
    pub async fn survey(&self) -> Result<Vec<Damage>, StoreError> {
        self.backend.survey().await
    }
}
