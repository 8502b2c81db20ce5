//! A suite made ready, whatever its kind.

use tracing::{Instrument as _, info_span};

use super::{arena::Arena, builtin::Builtin, cases::Cases, error::EvaluatorError, pool::Pool};
use crate::domain::{evaluation::Evaluation, genome::Genome};

/// A suite made ready.
#[derive(Debug)]
pub struct Bench {
    kind: Kind,
}

/// What it is made of.
#[derive(Debug)]
pub enum Kind {
    /// A function, which executes nothing.
    Inline(Builtin),
    /// Cases that the agent answers.
    Cases(Box<Cases>),
    /// Matches that it plays.
    Arena(Box<Arena>),
    /// Programs that score it.
    Pool(Box<Pool>),
}

impl Bench {
    /// One of that kind.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self { kind }
    }

    /// Whether [`Bench::evaluate_now`] works: nothing is executed, nothing waits.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        matches!(self.kind, Kind::Inline(_))
    }

    /// Evaluates `genome` in this thread, where the suite is built in.
    #[must_use]
    pub fn evaluate_now(&self, genome: &Genome) -> Option<Evaluation> {
        match &self.kind {
            Kind::Inline(builtin) => Some(builtin.evaluate(genome)),
            Kind::Cases(_) | Kind::Arena(_) | Kind::Pool(_) => None,
        }
    }

    /// Evaluates `genome`, waiting for a free worker. `seed` is given to the evaluator.
    ///
    /// Dropping the future kills what was started for it.
    ///
    /// # Errors
    /// If the machine or the suite's own program fails; a fault of the agent is an
    /// evaluation without scores.
    pub async fn evaluate(&self, genome: &Genome, seed: u64) -> Result<Evaluation, EvaluatorError> {
        match &self.kind {
            Kind::Inline(builtin) => Ok(builtin.evaluate(genome)),
            Kind::Cases(cases) => {
                let span = info_span!("evaluation", darwin.suite.kind = "cases");
                cases.evaluate(genome, seed).instrument(span).await
            }
            Kind::Arena(arena) => {
                let span = info_span!("evaluation", darwin.suite.kind = "arena");
                arena.evaluate(genome, seed).instrument(span).await
            }
            Kind::Pool(pool) => {
                let span = info_span!("evaluation", darwin.suite.kind = pool.kind());
                pool.evaluate(genome, seed).instrument(span).await
            }
        }
    }

    /// Ends all workers and waits until nothing of them is left.
    pub async fn close(self) {
        match self.kind {
            Kind::Inline(_) => {}
            Kind::Cases(cases) => cases.close().await,
            Kind::Arena(arena) => arena.close().await,
            Kind::Pool(pool) => pool.close().await,
        }
    }
}
