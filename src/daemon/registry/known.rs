//! What the writer remembers of agents.

use std::hash::{DefaultHasher, Hash, Hasher};

use cid::Cid;

use super::model::Finished;
use crate::{
    daemon::store::warm::rows::{AgentRow, Node},
    domain::{digest::Digest, id::AgentId},
    provenance::block::{DAG_CBOR, cid_of, digest_of},
};

/// What is remembered of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its number.
    pub node: Node,
    /// The digest of its journal's head; a CID takes twice the room, and there are many.
    head: Digest,
    /// That head's number.
    pub seq: u64,
    /// Tells whether another agent of that id is the same.
    pub same: u64,
}

impl Known {
    /// What there is to know.
    #[must_use]
    pub fn new(node: Node, head: &Cid, seq: u64, same: u64) -> Self {
        Self { node, head: digest_of(head).unwrap_or_default(), seq, same }
    }

    /// Its journal's head.
    #[must_use]
    pub fn head(&self) -> Cid {
        cid_of(DAG_CBOR, self.head)
    }
}

impl From<&AgentRow> for Known {
    fn from(row: &AgentRow) -> Self {
        let same = fingerprint(&row.genome, row.fitness, row.verdict.as_str(), &row.parents);
        Self::new(row.node, &row.head, row.seq, same)
    }
}

/// What must be equal for a repeated agent to be the same. Times are not: an evaluation that
/// was repeated after a crash takes another while.
#[must_use]
pub fn same(finished: &Finished, genome: &[u8; 32]) -> u64 {
    let verdict = finished.judged.verdict.as_str();
    fingerprint(genome, finished.evaluated.fitness, verdict, &finished.proposed.parents)
}

/// The same of the parts that count.
#[must_use]
pub fn fingerprint(
    genome: &[u8; 32],
    fitness: Option<f64>,
    verdict: &str,
    parents: &[AgentId],
) -> u64 {
    let mut hasher = DefaultHasher::new();
    (genome, fitness.map(f64::to_bits), verdict, parents).hash(&mut hasher);
    hasher.finish()
}
