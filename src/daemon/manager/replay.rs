//! What a run had committed after its last checkpoint, told to the engine again instead of
//! being evaluated again.

use std::collections::HashMap;

use super::error::ManagerError;
use crate::{
    daemon::registry::{Registry, model::Cursor},
    domain::id::{AgentId, RunId, Slot},
    evolution::engine::Engine,
};

/// How many results are read at once.
const PAGE: usize = 4096;

/// The committed results that the engine may not know.
pub(super) struct Replay {
    run: RunId,
    known: HashMap<Slot, Option<f64>>,
    /// Where the next page begins; none once all is read.
    next: Option<Cursor>,
    /// The generation up to which everything is read: commits are in their order.
    read: u64,
}

impl Replay {
    /// Makes ready to replay what was committed behind `after`. An engine that may not make
    /// the same agents again adopts them at once.
    pub async fn open(
        registry: &Registry,
        run: RunId,
        after: Cursor,
        engine: &mut Engine,
        adopts: bool,
    ) -> Result<Self, ManagerError> {
        let mut replay = Self { run, known: HashMap::new(), next: Some(after), read: 0 };
        if adopts {
            while replay.next.is_some() {
                replay.page(registry).await?;
                let mut page: Vec<_> = replay.known.drain().collect();
                page.sort_unstable_by_key(|(slot, _)| *slot);
                for (slot, fitness) in page {
                    let (genome, _) = registry.genome(AgentId::in_run(run, slot)).await?;
                    engine.adopt(slot, genome, fitness);
                }
            }
        }
        Ok(replay)
    }

    /// The committed result of `slot`: `Some(None)` is one without a score.
    pub async fn result(
        &mut self,
        registry: &Registry,
        slot: Slot,
    ) -> Result<Option<Option<f64>>, ManagerError> {
        while self.next.is_some() && self.read <= slot.generation {
            // Results of earlier generations are told already, or never will be asked for.
            self.known.retain(|known, _| known.generation >= slot.generation);
            self.page(registry).await?;
        }
        Ok(self.known.remove(&slot))
    }

    async fn page(&mut self, registry: &Registry) -> Result<(), ManagerError> {
        let Some(after) = self.next else { return Ok(()) };
        let page = registry.results(self.run, after, PAGE).await?;
        if let Some((slot, _)) = page.results.last() {
            self.read = slot.generation;
        }
        self.known.extend(page.results);
        self.next = page.next;
        Ok(())
    }
}
