//! The events of an agent's journal.

use serde::{Deserialize, Serialize};

use super::{
    digest::Digest,
    evaluation::Evaluation,
    genome::{Genome, Space},
    id::{AgentId, RunId},
    lifecycle::Verdict,
};

/// One event in an agent's life. An entry of the journal holds the events that were
/// committed together.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The agent was made.
    Proposed(Proposed),
    /// The agent was evaluated.
    Evaluated(Evaluated),
    /// The agent was judged.
    Judged(Judged),
}

/// The kinds of event, as filters and headers name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// [`Event::Proposed`].
    Proposed,
    /// [`Event::Evaluated`].
    Evaluated,
    /// [`Event::Judged`].
    Judged,
}

/// How an agent came to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposed {
    /// The run that made it; none for one that was evaluated by hand.
    pub run: Option<RunId>,
    /// Its generation; 0 is the initial one.
    pub generation: u64,
    /// Its place in the generation.
    pub slot: u32,
    /// The operators that made it, in the order applied.
    pub operators: Vec<String>,
    /// The seed of the run.
    pub seed: u64,
    /// Its parents, in the order that the operators took them.
    pub parents: Vec<AgentId>,
    /// What it is made of.
    pub genome: Genome,
    /// What its parameters mean.
    pub space: std::sync::Arc<Space>,
}

/// How an agent scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The digest of the suite that measured it.
    pub suite: Digest,
    /// The seed that the evaluator was given.
    pub seed: u64,
    /// What came out.
    pub evaluation: Evaluation,
    /// The weighted score, higher is better; none if it failed.
    pub fitness: Option<f64>,
    /// When it ended, in milliseconds since the Unix epoch. It orders nothing.
    pub at_ms: u64,
}

/// How an agent was judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Its fitness less its best parent's, where both have one.
    pub delta: Option<f64>,
}

impl Evaluated {
    /// The fitness in the terms its user thinks in: of one objective, the measured value
    /// itself; of several, the weighted sum.
    #[must_use]
    pub fn shown(&self) -> Option<f64> {
        let fitness = self.fitness?;
        match self.evaluation.scores.as_deref() {
            Ok([only]) => Some(*only),
            _ => Some(fitness),
        }
    }
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Proposed, Self::Evaluated, Self::Judged];

    /// Its name, as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Evaluated => "evaluated",
            Self::Judged => "judged",
        }
    }
}

impl Event {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Proposed(_) => EventKind::Proposed,
            Self::Evaluated(_) => EventKind::Evaluated,
            Self::Judged(_) => EventKind::Judged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::evaluation::FailureKind;

    #[test]
    fn a_score_is_shown_in_the_unit_and_with_the_sign_of_its_objective() {
        let shown = |evaluation, fitness| {
            let suite = Digest::default();
            Evaluated { suite, seed: 0, evaluation, fitness, at_ms: 0 }.shown()
        };
        // Minimised, of weight 2.
        assert_eq!(shown(Evaluation::of(vec![1.5]), Some(-3.0)), Some(1.5));
        assert_eq!(shown(Evaluation::of(vec![1.5, 2.0]), Some(0.5)), Some(0.5));
        let failed = Evaluation::failed(FailureKind::Crashed, "boom");
        assert_eq!(shown(failed, None), None);
    }
}
