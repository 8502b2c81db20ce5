//! The agents that children are made from.

use crate::domain::{genome::Genome, id::Slot};

use super::setup::Proposal;

/// Below every score: the fitness of an agent that has none.
pub(super) const UNSCORED: f64 = f64::NEG_INFINITY;

/// An evaluated agent.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub slot: Slot,
    pub genome: Genome,
    pub fitness: f64,
    /// When it joined: the youngest has the highest number.
    pub joined: u64,
}

/// A child as it is made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub proposal: Proposal,
    /// The position of the member that it competes with.
    pub rival: Option<usize>,
}

impl Member {
    pub fn scored(&self) -> bool {
        self.fitness > UNSCORED
    }
}

/// A fitness as told, as it is compared: what is no finite number counts as no score.
pub(super) fn comparable(fitness: Option<f64>) -> f64 {
    fitness.filter(|fitness| fitness.is_finite()).unwrap_or(UNSCORED)
}
