//! What a run had committed after its last checkpoint, and what the runs that it goes on from
//! had before, told to the engine again instead of being evaluated again.

use std::collections::HashMap;

use super::error::ManagerError;
use crate::{
    daemon::registry::{Registry, model::Cursor},
    domain::id::{AgentId, RunId, Slot},
    evolution::engine::Engine,
};

/// How many results are read at once.
const PAGE: usize = 4096;

/// The runs that a run goes on from, the nearest first, each with the last generation of it
/// that counts.
#[derive(Debug, Default)]
pub(super) struct Past(Vec<(RunId, u64)>);

impl Past {
    /// That of a run which goes on from `origin`, if it does from any.
    pub async fn of(
        registry: &Registry,
        mut origin: Option<(RunId, u64)>,
    ) -> Result<Self, ManagerError> {
        let mut past: Vec<(RunId, u64)> = Vec::new();
        while let Some((run, generation)) = origin {
            // A run that went on from an earlier generation than it is left at has a shorter past.
            let until = past.last().map_or(generation, |(_, last)| generation.min(*last));
            past.push((run, until));
            origin = registry.run(run).await?.ok_or(ManagerError::NoRun(run))?.origin;
        }
        Ok(Self(past))
    }

    /// The agent at `slot` of `run`, or of the run of which it was a part then.
    pub fn agent(&self, run: RunId, slot: Slot) -> AgentId {
        let in_it = |(_, last): &&(RunId, u64)| slot.generation <= *last;
        let owner = self.0.iter().take_while(in_it).last();
        AgentId::in_run(owner.map_or(run, |(owner, _)| *owner), slot)
    }

    /// Tells a new engine all of it.
    pub async fn adopt(
        &self,
        registry: &Registry,
        engine: &mut Engine,
    ) -> Result<(), ManagerError> {
        let mut from = 0;
        for (run, last) in self.0.iter().rev() {
            let mut replay = Replay::behind(*run, Cursor::default());
            while replay.next.is_some() && replay.read <= *last {
                replay.page(registry).await?;
                replay.known.retain(|slot, _| (from..=*last).contains(&slot.generation));
                replay.told(registry, engine).await?;
            }
            from = last + 1;
        }
        Ok(())
    }
}

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
        let mut replay = Self::behind(run, after);
        if adopts {
            while replay.next.is_some() {
                replay.page(registry).await?;
                replay.told(registry, engine).await?;
            }
        }
        Ok(replay)
    }

    fn behind(run: RunId, after: Cursor) -> Self {
        Self { run, known: HashMap::new(), next: Some(after), read: 0 }
    }

    /// Has the engine adopt all that is known, in the order of slots.
    async fn told(&mut self, registry: &Registry, engine: &mut Engine) -> Result<(), ManagerError> {
        let mut page: Vec<_> = self.known.drain().collect();
        page.sort_unstable_by_key(|(slot, _)| *slot);
        for (slot, fitness) in page {
            let (genome, _) = registry.genome(AgentId::in_run(self.run, slot)).await?;
            engine.adopt(slot, genome, fitness);
        }
        Ok(())
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
