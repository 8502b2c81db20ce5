//! What the registry is given, and what it gives back.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use cid::Cid;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::error::RegistryError;
use crate::{
    daemon::store::warm::rows::{Node, Origin},
    domain::{
        id::{AgentId, RunId, SessionId, Slot},
        journal::{Evaluated, Judged, Proposed},
        suite::Bundle,
    },
};

/// The longest journal, in entries.
pub const MAX_ENTRIES: u64 = 10_000;

/// An agent with its whole life so far, to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Its id; of a run, [`AgentId::in_run`].
    pub agent: AgentId,
    /// How it was made.
    pub proposed: Proposed,
    /// How it scored.
    pub evaluated: Evaluated,
    /// The evaluations that this is the mean of, if it is one.
    pub repeats: Vec<Evaluated>,
    /// How it was judged.
    pub judged: Judged,
}

/// A run to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// Its id, chosen by the caller: the same again is the same run.
    pub id: RunId,
    /// The session that it joins.
    pub session: SessionId,
    /// What users call it.
    pub name: String,
    /// Its specification, with the suite inlined.
    pub spec_toml: String,
    /// The files of the initial agent.
    pub agent_files: Bundle,
    /// The files of the suite.
    pub suite_files: Bundle,
    /// How many evaluations run at once; 0: as many as processors.
    pub workers: u32,
    /// The sandbox that was asked for.
    pub sandbox: String,
    /// The seed of its random choices.
    pub seed: u64,
    /// The name of what is shown as its score.
    pub objective: String,
    /// What a fitness is divided by to be shown: the weight of the only objective, negative if
    /// it is minimised; else 1.
    pub divisor: f64,
    /// What it goes on from, if it goes on from another run; then it rests until it is resumed.
    pub origin: Option<Origin>,
}

/// What a run was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredRun {
    /// Its specification, with the suite inlined.
    pub spec_toml: String,
    /// The files of the initial agent.
    pub agent_files: Bundle,
    /// The files of the suite.
    pub suite_files: Bundle,
}

/// A place in the order of commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Cursor(pub(super) Node);

/// An engine's snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The generation in which it was made.
    pub generation: u64,
    /// The snapshot.
    pub bytes: Vec<u8>,
    /// The last result that it knows: replay goes on behind it.
    pub after: Cursor,
}

/// One page of committed results, in the order of their commits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Results {
    /// Each agent's place in its run and its fitness.
    pub results: Vec<(Slot, Option<f64>)>,
    /// Where the next page starts; `None` if this was the last.
    pub next: Option<Cursor>,
}

/// Resolves when a batch is durable: to the CIDs of the agents' journals' heads, in order.
#[derive(Debug)]
pub struct Receipt(pub(super) oneshot::Receiver<Result<Vec<Cid>, RegistryError>>);

impl Future for Receipt {
    type Output = Result<Vec<Cid>, RegistryError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or(Err(RegistryError::Closed)))
    }
}
