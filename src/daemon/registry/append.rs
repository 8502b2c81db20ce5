//! Journals that go on: evaluations of an agent after it was stored.

use std::sync::Arc;

use super::{Registry, error::RegistryError, prepare::What};
use crate::{
    domain::{
        evaluation::Metric,
        id::AgentId,
        journal::{Evaluated, Event},
    },
    provenance::entry::MAX_EVENTS,
};

/// About the most that is recorded all or not at all, in bytes.
const AT_ONCE: usize = 128 << 20;
/// About the most that the evaluations of one entry hold together, in bytes.
const TOGETHER: usize = 8 << 20;

impl Registry {
    /// Records evaluations in an agent's journal, behind what was handed in before; they are
    /// durable when this returns, all of them or, unless they are over 128 MiB, none. The agent's
    /// score and verdict stay what they were.
    ///
    /// # Errors
    /// If there is no such agent, its session's key was destroyed, or its journal is full.
    pub async fn append(
        &self,
        agent: AgentId,
        evaluated: Vec<Evaluated>,
    ) -> Result<(), RegistryError> {
        let row = self.agent(agent).await?;
        let session = self.inner.vault.session(row.session).await?;
        let mut writes: Vec<(Vec<Vec<Event>>, usize)> = Vec::new();
        for (events, size) in portions(evaluated) {
            match writes.last_mut() {
                Some((entries, together)) if *together + size <= AT_ONCE => {
                    entries.push(events);
                    *together += size;
                }
                _ => writes.push((vec![events], size)),
            }
        }
        let mut receipts = Vec::new();
        let last = writes.len();
        for (number, (entries, size)) in (1..).zip(writes) {
            let registry = if number == last { self } else { &self.marked([]) };
            let (count, what) = (entries.len(), What::Entries(agent, entries));
            receipts.push(registry.write(what, Arc::clone(&session), count, size).await?);
        }
        for receipt in receipts {
            receipt.await?;
        }
        Ok(())
    }
}

/// The events of each entry, and the size of their contents: few entries, none too large.
fn portions(evaluated: Vec<Evaluated>) -> Vec<(Vec<Event>, usize)> {
    let mut portions: Vec<(Vec<Event>, usize)> = Vec::new();
    for one in evaluated {
        let size = size(&one);
        match portions.last_mut() {
            Some((events, together))
                if events.len() < MAX_EVENTS && *together + size <= TOGETHER =>
            {
                events.push(Event::Evaluated(one));
                *together += size;
            }
            _ => portions.push((vec![Event::Evaluated(one)], size)),
        }
    }
    portions
}

fn size(evaluated: &Evaluated) -> usize {
    let metric = |(name, metric): (&String, &Metric)| match metric {
        Metric::Text(text) => name.len() + text.len(),
        Metric::Number(_) | Metric::Flag(_) => name.len() + 9,
    };
    let evaluation = &evaluated.evaluation;
    let artifacts = evaluation.artifacts.iter().map(|(name, content)| name.len() + content.len());
    evaluation.metrics.iter().map(metric).chain(artifacts).sum()
}
