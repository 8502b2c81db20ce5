//! What an engine is made from, and what it says.

use std::sync::Arc;

use crate::domain::{
    genome::{Genome, Space},
    id::Slot,
    objective::Objective,
    spec::{Search, Stop},
};

/// What an engine is made from. Equal set-ups search alike.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How new agents are found.
    pub search: Search,
    /// When to stop; `time` is the caller's to watch.
    pub stop: Stop,
    /// What is measured: tells what [`Stop::target`] means.
    pub objectives: Vec<Objective>,
    /// The parameters of every genome.
    pub space: Arc<Space>,
    /// The seed of all random choices.
    pub seed: u64,
    /// The agent that the run starts from. Without `params`, they are taken from the
    /// space's initial values, and drawn at random where it has none.
    pub initial: Genome,
}

/// An agent to evaluate.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its place in the run.
    pub slot: Slot,
    /// What it is made of.
    pub genome: Genome,
    /// Its parents, in the order that the operators took them; all have been evaluated.
    pub parents: Vec<Slot>,
    /// The operators that made it, in the order applied.
    pub operators: Vec<&'static str>,
    /// The fitness of the best of its parents.
    pub parent_fitness: Option<f64>,
    /// The best fitness of earlier generations (steady-state: so far).
    pub best_before: Option<f64>,
}

/// The best agent so far; the first of equals.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Its place in the run.
    pub slot: Slot,
    /// Its fitness; higher is better.
    pub fitness: f64,
    /// What it is made of.
    pub genome: Genome,
}

/// Why a search has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// `n_max` generations are done.
    Generations,
    /// The evaluations are used up.
    Evaluations,
    /// The score is good enough.
    Target,
    /// The best gained less than τ over the window.
    Stagnation,
    /// The time is used up.
    Time,
}

impl StopReason {
    /// All reasons.
    pub const ALL: [Self; 5] =
        [Self::Generations, Self::Evaluations, Self::Target, Self::Stagnation, Self::Time];

    /// Its name, as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generations => "generations",
            Self::Evaluations => "evaluations",
            Self::Target => "target",
            Self::Stagnation => "stagnation",
            Self::Time => "time",
        }
    }

    /// The reason of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}
