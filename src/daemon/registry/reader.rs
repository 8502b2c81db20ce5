//! Reads whole journals: blocks and keys for the pure checks in `provenance`.
//!
//! These are synchronous; they run on a thread that may block.

use bytes::Bytes;
use cid::Cid;
use std::{collections::HashMap, sync::Arc};
use tokio::runtime::Handle;

use super::{Registry, error::RegistryError, model::MAX_ENTRIES};
use crate::{
    daemon::store::{cold::Wanted, error::StoreError, warm::rows::AgentRow},
    domain::{
        genome::{Genome, Space},
        id::{AgentId, SessionId},
        journal::Event,
    },
    provenance::{
        block::Block,
        entry::{self, Entry},
        error::Error as FormatError,
        seal::Sealer,
        verify::Source,
    },
};

/// How many blocks are read ahead at once.
const PORTION: usize = 100;
/// Nothing more is read ahead beyond this, in bytes.
const AHEAD: usize = 16 << 20;

/// Reads blocks, heads and keys.
pub struct Reader {
    registry: Registry,
    runtime: Handle,
    /// The segment where the last agent was looked for.
    hint: Option<u32>,
    /// Blocks that were read ahead.
    ahead: HashMap<Cid, Bytes>,
}

impl Reader {
    /// The block of that CID.
    ///
    /// # Errors
    /// If it can't be read, or is damaged.
    pub fn get(&mut self, cid: &Cid) -> Result<Option<Bytes>, RegistryError> {
        if let Some(bytes) = self.ahead.get(cid) {
            return Ok(Some(bytes.clone()));
        }
        let wanted = vec![Wanted { cid: *cid, hint: self.hint }];
        let found = self.runtime.block_on(self.registry.inner.stores.cold.get_many(wanted))?;
        Ok(found.into_iter().next().flatten())
    }

    /// Reads blocks ahead, all at once, in place of those read ahead before. What can't be
    /// read is left to be asked for alone, so that an error names it.
    pub fn read_ahead(&mut self, wanted: &[Wanted]) {
        self.ahead.clear();
        let (mut size, cold) = (0, &self.registry.inner.stores.cold);
        for portion in wanted.chunks(PORTION) {
            let Ok(found) = self.runtime.block_on(cold.get_many(portion.to_vec())) else { return };
            for (wanted, bytes) in portion.iter().zip(found) {
                let Some(bytes) = bytes else { continue };
                size += bytes.len();
                self.ahead.insert(wanted.cid, bytes);
            }
            if size > AHEAD {
                return;
            }
        }
    }

    /// Looks in that segment first from now on.
    pub fn near(&mut self, segment: u32) {
        self.hint = Some(segment);
    }

    /// What opens a session's contents; `None` if its key was destroyed.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn sealer(&self, session: SessionId) -> Result<Option<Arc<Sealer>>, RegistryError> {
        match self.runtime.block_on(self.registry.inner.vault.session(session)) {
            Ok(session) => Ok(Some(Arc::clone(&session.sealer))),
            Err(RegistryError::Shredded(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Rows of agents.
    ///
    /// # Errors
    /// If they can't be read.
    pub fn agents(&self, ids: Vec<AgentId>) -> Result<Vec<AgentRow>, RegistryError> {
        Ok(self.runtime.block_on(self.registry.inner.stores.warm.rows().agents(ids))?)
    }

    /// The registry.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Waits for something.
    pub fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    /// An entry, its signature checked.
    ///
    /// # Errors
    /// If it is missing, damaged, or not signed by a trusted key.
    pub fn entry(&mut self, cid: &Cid) -> Result<Entry, RegistryError> {
        let bytes = self.get(cid)?.ok_or_else(|| FormatError::Missing(cid.to_string()))?;
        let block = Block { cid: *cid, bytes };
        Ok(entry::read(&block, &self.registry.inner.ring)?)
    }

    /// The entries of an agent's journal, the first first.
    ///
    /// # Errors
    /// If one is missing or damaged, or they are not a journal of that agent.
    pub fn journal(&mut self, row: &AgentRow) -> Result<Vec<Entry>, RegistryError> {
        self.near(row.segment);
        let mut entries = Vec::new();
        let mut next = Some(row.head);
        while let Some(cid) = next {
            let entry = self.entry(&cid)?;
            let expected = row.seq.checked_sub(entries.len() as u64);
            let link = &entry.header.link;
            if link.agent != row.id || Some(link.seq) != expected || link.seq >= MAX_ENTRIES {
                let why = format!("entry {cid} is not the one that belongs there in the journal");
                return Err(FormatError::Mismatch(why).into());
            }
            next = link.prev;
            entries.push(entry);
        }
        entries.reverse();
        Ok(entries)
    }
}

impl Source for Reader {
    type Error = RegistryError;

    fn get(&mut self, cid: &Cid) -> Result<Option<Bytes>, RegistryError> {
        // The check that asks compares digests itself, and names whose block it is.
        let wanted = vec![Wanted { cid: *cid, hint: self.hint }];
        let cold = &self.registry.inner.stores.cold;
        match self.runtime.block_on(cold.get_unchecked(wanted)) {
            Err(StoreError::Corrupt(_)) => Ok(None),
            found => Ok(found?.into_iter().next().flatten()),
        }
    }

    fn head(&mut self, agent: AgentId) -> Result<Option<Cid>, RegistryError> {
        let row = self.agents(vec![agent])?.pop();
        Ok(row.map(|row| {
            self.near(row.segment);
            row.head
        }))
    }
}

impl Registry {
    /// Does work that reads whole journals, on a thread that may block.
    pub(super) async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Reader) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let turn = self.inner.reads.acquire().await;
        let runtime = Handle::current();
        let registry = self.clone();
        let mut reader = Reader { registry, runtime, hint: None, ahead: HashMap::new() };
        let done = tokio::task::spawn_blocking(move || work(&mut reader)).await;
        drop(turn);
        done.unwrap_or(Err(RegistryError::Store(Arc::new(StoreError::Cancelled))))
    }

    /// What an agent is made of.
    ///
    /// # Errors
    /// If there is no such agent, its contents can't be opened, or something is damaged.
    pub async fn genome(&self, id: AgentId) -> Result<(Genome, Arc<Space>), RegistryError> {
        let row = self.agent(id).await?;
        self.reading(move |reader| {
            let missing = || FormatError::Missing(format!("the proposal of agent {id}"));
            let first = reader.journal(&row)?.into_iter().next().ok_or_else(missing)?;
            let sealer = reader.sealer(row.session)?;
            let sealer = sealer.ok_or(RegistryError::Shredded(row.session))?;
            let events = entry::open(&first, &sealer, &mut |cid| reader.get(cid))?;
            let proposed = events.into_iter().find_map(|event| match event {
                Event::Proposed(proposed) => Some(proposed),
                _ => None,
            });
            let proposed = proposed.ok_or_else(missing)?;
            Ok((proposed.genome, proposed.space))
        })
        .await
    }
}
