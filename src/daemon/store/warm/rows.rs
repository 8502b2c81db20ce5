//! The rows of the warm tier as values, and the changes that are made to them.

use bytes::Bytes;
use cid::Cid;

use super::{
    marks::Mark,
    uploads::{NewPart, NewUpload},
};
use crate::{
    daemon::store::cold::Extent,
    domain::{
        id::{AgentId, RunId, SessionId},
        lifecycle::{RunState, Verdict},
    },
};

/// An agent's number inside the warm tier: rises in the order of commits.
pub type Node = i64;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// Its number.
    pub node: i64,
    /// Its id.
    pub id: SessionId,
    /// What its user calls it.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// Whether no new run may join it.
    pub closed: bool,
    /// When it was last used, in milliseconds since the Unix epoch.
    pub used_ms: u64,
    /// Whether its key was destroyed.
    pub shredded: bool,
    /// Its context, sealed; empty in a list: there are many of them, and each may be large.
    pub context: Bytes,
}

/// Wider limits than the specification's, given when a run was resumed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct StopOverride {
    /// Generations after the initial one.
    pub generations: Option<u64>,
    /// Evaluations.
    pub evaluations: Option<u64>,
    /// Time at work, in seconds.
    pub time: Option<f64>,
    /// The score that is good enough.
    pub target: Option<f64>,
}

/// A run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its number.
    pub node: i64,
    /// Its id.
    pub id: RunId,
    /// The session that it belongs to.
    pub session: SessionId,
    /// What users call it.
    pub name: String,
    /// The name of what is shown as its score.
    pub objective: String,
    /// What a fitness is divided by to be shown; negative if lower is better.
    pub divisor: f64,
    /// The seed of its random choices.
    pub seed: u64,
    /// How many evaluations run at once; 0: as many as processors.
    pub workers: u32,
    /// The sandbox that was asked for.
    pub sandbox: String,
    /// Where it is in its life.
    pub state: RunState,
    /// Why it ended; empty while it runs.
    pub reason: String,
    /// When it was started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Its time at work, in milliseconds.
    pub elapsed_ms: u64,
    /// Limits that take the place of its specification's.
    pub stop: StopOverride,
    /// Agents committed.
    pub agents: u64,
    /// Of these, without a score.
    pub failed: u64,
    /// The latest generation of which an agent is committed.
    pub generation: u64,
    /// The best fitness, and whose it is.
    pub best: Option<(f64, AgentId)>,
    /// The run that it goes on from, if it goes on from one, and the last generation of that
    /// run which is its own past.
    pub origin: Option<(RunId, u64)>,
}

impl RunRow {
    /// A fitness as the user reads it.
    #[must_use]
    pub fn shown(&self, fitness: f64) -> f64 {
        fitness / self.divisor
    }

    /// Whether a higher score is better.
    #[must_use]
    pub fn maximize(&self) -> bool {
        self.divisor > 0.0
    }
}

/// An agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentRow {
    /// Its number.
    pub node: Node,
    /// Its id.
    pub id: AgentId,
    /// The session that it belongs to.
    pub session: SessionId,
    /// The run that made it, if one did.
    pub run: Option<RunId>,
    /// Its generation.
    pub generation: u64,
    /// Its place in the generation.
    pub slot: u32,
    /// Its parents, in order.
    pub parents: Vec<AgentId>,
    /// The operators that made it, in order.
    pub operators: Vec<String>,
    /// Its fitness, if it has one.
    pub fitness: Option<f64>,
    /// How it was judged.
    pub verdict: Verdict,
    /// Its fitness less its best parent's.
    pub delta: Option<f64>,
    /// The keyed digest of its genome.
    pub genome: [u8; 32],
    /// The last entry of its journal.
    pub head: Cid,
    /// The number of that entry.
    pub seq: u64,
    /// The segment that holds it.
    pub segment: u32,
    /// When it was evaluated, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// An agent to be inserted; its references are numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAgent {
    /// Its number.
    pub node: Node,
    /// Its id.
    pub id: AgentId,
    /// Its session's number.
    pub session: i64,
    /// Its run's number.
    pub run: Option<i64>,
    /// Its generation.
    pub generation: u64,
    /// Its place in the generation.
    pub slot: u32,
    /// Its parents' numbers, in order.
    pub parents: Vec<Node>,
    /// The names of its operators, with commas between them.
    pub operators: String,
    /// Its fitness, if it has one.
    pub fitness: Option<f64>,
    /// How it was judged.
    pub verdict: Verdict,
    /// Its fitness less its best parent's.
    pub delta: Option<f64>,
    /// The keyed digest of its genome.
    pub genome: [u8; 32],
    /// The last entry of its journal.
    pub head: Cid,
    /// The number of that entry.
    pub seq: u64,
    /// When it was evaluated, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// An entry that continues the journal of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHead {
    /// The agent's number.
    pub node: Node,
    /// The entry.
    pub head: Cid,
    /// Its number: one more than that of the head until now.
    pub seq: u64,
}

/// A blob that cold holds: its keyed digest, and its blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobRow {
    /// The keyed digest of its content.
    pub mac: [u8; 32],
    /// The blocks that hold it, in order.
    pub cids: Vec<Cid>,
}

/// A result that can be found again: its keyed digest, and the agent whose journal records it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewResult {
    /// The keyed digest of all that it depends on.
    pub key: [u8; 32],
    /// The agent's number.
    pub agent: Node,
}

/// A session to be inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// What its user calls it.
    pub name: String,
    /// Whose it is.
    pub user: String,
    /// When it is made, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// Its context, sealed.
    pub context: Bytes,
    /// Its key, wrapped by the master key.
    pub wrapped: Bytes,
    /// Which master key wrapped it.
    pub master: [u8; 16],
}

/// A run to be inserted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRunRow {
    /// Its id.
    pub id: RunId,
    /// The session that it joins.
    pub session: SessionId,
    /// What users call it.
    pub name: String,
    /// The name of what is shown as its score.
    pub objective: String,
    /// What a fitness is divided by to be shown.
    pub divisor: f64,
    /// The seed of its random choices.
    pub seed: u64,
    /// How many evaluations run at once.
    pub workers: u32,
    /// The sandbox that was asked for.
    pub sandbox: String,
    /// When it is started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
    /// Its specification and files, sealed.
    pub content: Bytes,
    /// Where it is in its life.
    pub state: RunState,
    /// Why it rests; empty while it runs.
    pub reason: String,
    /// The run that it goes on from, if it goes on from one, and how far.
    pub origin: Option<Origin>,
}

/// What a run goes on from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    /// The other run, of the same session.
    pub run: RunId,
    /// The last generation of it which is the new run's past.
    pub generation: u64,
    /// The best of that past, in whichever run it was made.
    pub best: Option<(f64, AgentId)>,
}

/// A change of the warm tier.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Inserts a session and its key.
    NewSession(NewSession),
    /// Notes that a session was used.
    Touch(SessionId, u64),
    /// Closes or reopens a session, at that time.
    Close(SessionId, bool, u64),
    /// Replaces a session's context, sealed.
    Context(SessionId, Bytes),
    /// Destroys a session's key, if it is there still: nothing sealed with it can be read again.
    Shred(SessionId),
    /// Inserts a run.
    NewRun(Box<NewRunRow>),
    /// Sets a run's state, reason and time at work, and its limits where they are given.
    SetRun(RunId, RunState, String, u64, Option<StopOverride>),
    /// Replaces a run's checkpoint (its generation, then its sealed snapshot), which knows all
    /// agents of the run that are committed so far.
    Checkpoint(RunId, u64, Bytes),
    /// Notes a public signing key with its fingerprint and the time of its first use.
    SigningKey([u8; 32], [u8; 32], u64),
    /// Begins a blob.
    NewUpload(NewUpload),
    /// Says of a blob that is not done whether it is whole; what is not is forgotten.
    EndUpload([u8; 32], bool),
    /// Notes that a call was made. A second one of that sender and key is a conflict.
    Mark(Mark),
    /// Changes nothing. Once it is durable, a write that failed before it with an outcome that
    /// nobody knows is there for good, or gone for good.
    Settle,
    /// Inserts agents, parents before children, continues journals, and records the extent that
    /// holds their entries.
    Agents(Group),
}

/// What is committed together.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Group {
    /// New agents, parents before children.
    pub agents: Vec<NewAgent>,
    /// New entries of journals, in the order of their numbers.
    pub appended: Vec<NewHead>,
    /// The blobs that came with them.
    pub blobs: Vec<BlobRow>,
    /// The results that can be found again; what was there before stays.
    pub results: Vec<NewResult>,
    /// The next parts of blobs, in their order.
    pub parts: Vec<NewPart>,
    /// The segment that holds their blocks, and its new length.
    pub extent: Option<Extent>,
}

/// A run's checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The session whose key sealed it.
    pub session: SessionId,
    /// Its generation.
    pub generation: u64,
    /// The last agent of the run that it knows.
    pub after: Node,
    /// The snapshot, sealed.
    pub sealed: Bytes,
}

/// A result, for replay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResultRow {
    /// The agent's number.
    pub node: Node,
    /// Its place in its run.
    pub slot: crate::domain::id::Slot,
    /// Its fitness, if it has one.
    pub fitness: Option<f64>,
}

/// What the warm tier knows when it is opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opened {
    /// The id of the store, made when its first version was.
    pub store: [u8; 16],
    /// What the cold tier has acknowledged.
    pub extents: Vec<Extent>,
    /// The highest number of an agent.
    pub last: Node,
    /// The master keys that wrapped the keys of sessions, by their ids, rising.
    pub masters: Vec<[u8; 16]>,
}

/// Which way to walk the tree of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From children to parents: highest number first.
    Up,
    /// From parents to children: lowest number first.
    Down,
}

/// One page of a walk.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Walked {
    /// The agents of this page.
    pub agents: Vec<AgentRow>,
    /// The numbers of those that come next; empty at the end.
    pub frontier: Vec<Node>,
}
