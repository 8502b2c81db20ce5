//! What a suite measures, and how several measures become one fitness.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Higher is better.
    #[default]
    Maximize,
    /// Lower is better.
    Minimize,
}

/// One axis on which a suite scores an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// The name of the metric.
    pub name: String,
    /// Which way is better.
    #[serde(default)]
    pub goal: Goal,
    /// Its share in the fitness; 0 reports it without selecting on it.
    #[serde(default = "one")]
    pub weight: f64,
    /// A bound that must be met for the agent to count at all: at least this much when
    /// maximised, at most this much when minimised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<f64>,
}

fn one() -> f64 {
    1.0
}

impl Objective {
    /// An objective of weight 1 without a gate.
    #[must_use]
    pub fn new(name: &str, goal: Goal) -> Self {
        Self { name: name.to_owned(), goal, weight: 1.0, gate: None }
    }

    /// `score`, turned so that higher is better.
    #[must_use]
    pub fn oriented(&self, score: f64) -> f64 {
        match self.goal {
            Goal::Maximize => score,
            Goal::Minimize => -score,
        }
    }

    /// Whether `score` meets the gate, if there is one.
    #[must_use]
    pub fn passes(&self, score: f64) -> bool {
        self.gate.is_none_or(|gate| self.oriented(score) >= self.oriented(gate))
    }
}

/// The weighted sum of `scores`, turned so that higher is better.
///
/// `scores[i]` belongs to `objectives[i]`.
#[must_use]
pub fn fitness(objectives: &[Objective], scores: &[f64]) -> f64 {
    objectives.iter().zip(scores).map(|(o, score)| o.weight * o.oriented(*score)).sum()
}

/// A fitness in the terms its user thinks in: of one objective, the measured value
/// itself; of several, the weighted sum.
#[must_use]
pub fn displayed(objectives: &[Objective], fitness: f64) -> f64 {
    match objectives {
        [only] if only.weight != 0.0 => only.oriented(fitness / only.weight),
        _ => fitness,
    }
}
