//! The cold tier in memory: the specification of every other back end.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use super::{Appended, Checked, ColdBackend, Extent, Recovered, Wanted, frame};
use crate::{
    daemon::store::error::{Damage, StoreError},
    provenance::block::{Block, DAG_CBOR},
};

/// Blocks in memory, all in one segment.
#[derive(Debug, Default)]
pub struct MemoryCold {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    published: HashMap<Cid, Bytes>,
    pending: Vec<Block>,
    length: u64,
}

fn size(blocks: &[Block]) -> u64 {
    blocks.iter().map(|block| block.bytes.len() as u64).sum()
}

impl State {
    fn publish(&mut self) {
        for block in std::mem::take(&mut self.pending) {
            self.length += block.bytes.len() as u64;
            self.published.insert(block.cid, block.bytes);
        }
    }
}

impl MemoryCold {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ColdBackend for MemoryCold {
    async fn recover(&self, _: [u8; 16], recorded: Vec<Extent>) -> Result<Recovered, StoreError> {
        let mut state = self.state();
        let reached = state.length + size(&state.pending);
        if recorded.iter().any(|extent| extent.length >= reached) {
            state.publish();
        }
        let cut = size(&std::mem::take(&mut state.pending));
        Ok(Recovered { cut, faults: Vec::new() })
    }

    async fn append(&self, blocks: Vec<Block>) -> Result<Appended, StoreError> {
        let mut state = self.state();
        let bytes = size(&blocks);
        state.pending = blocks;
        Ok(Appended { extent: Extent { segment: 1, length: state.length + bytes }, bytes })
    }

    async fn publish(&self) -> Result<(), StoreError> {
        self.state().publish();
        Ok(())
    }

    async fn revoke(&self) -> Result<(), StoreError> {
        self.state().pending.clear();
        Ok(())
    }

    async fn get(&self, wanted: Vec<Wanted>) -> Result<Vec<Option<Bytes>>, StoreError> {
        let state = self.state();
        Ok(wanted.iter().map(|wanted| state.published.get(&wanted.cid).cloned()).collect())
    }

    async fn segments(&self) -> Result<Vec<u32>, StoreError> {
        Ok(vec![1])
    }

    async fn check(&self, _: u32) -> Result<Checked, StoreError> {
        let state = self.state();
        let mut checked = Checked::default();
        for (cid, bytes) in &state.published {
            checked.blocks += 1;
            checked.entries += u64::from(cid.codec() == DAG_CBOR);
            checked.bytes += bytes.len() as u64;
            if !frame::fits(cid, bytes) {
                let what = "the block does not have its digest".to_owned();
                checked.faults.push(Damage { place: cid.to_string(), offset: None, what });
            }
        }
        Ok(checked)
    }

    async fn survey(&self) -> Result<Vec<Damage>, StoreError> {
        Ok(Vec::new())
    }
}
