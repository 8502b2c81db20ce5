//! Evaluates agents: built-in functions inline, programs in a sandbox.

use std::{path::PathBuf, sync::Arc};

use crate::domain::{
    evaluation::{Evaluation, Isolation},
    genome::{Genome, Space},
    suite::{Bundle, Method, Suite},
};

use self::{builtin::Builtin, error::EvaluatorError};

pub mod error;
pub mod score;
mod builtin;

/// What the evaluator needs to know of its machine.
#[derive(Debug, Clone)]
pub struct EvaluatorConfig {
    /// The Python interpreter, by name or path.
    pub python: PathBuf,
    /// The program that becomes the sandbox's first process: `darwind` itself. It must
    /// call `sandbox::entry` before anything else.
    pub helper: PathBuf,
    /// A directory of ours alone; what is left in it from an earlier life is removed.
    pub scratch: PathBuf,
}

/// How much of the sandbox must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Every mandatory layer, or an error.
    Full,
    /// What the machine has; results are stamped with it.
    Reduced,
}

impl Profile {
    /// Its name, as stored and as users give it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Reduced => "reduced",
        }
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Full, Self::Reduced].into_iter().find(|profile| profile.as_str() == name)
    }

    /// What results made under it are stamped with.
    #[must_use]
    pub fn isolation(self) -> Isolation {
        match self {
            Self::Full => Isolation::Full,
            Self::Reduced => Isolation::Reduced,
        }
    }
}

/// A layer of the sandbox, and whether this machine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: &'static str,
    /// Whether a full sandbox needs it.
    pub mandatory: bool,
    /// `Ok` with what is used, or what is missing and what to do.
    pub state: Result<String, String>,
}

/// Opens suites.
#[derive(Debug, Clone)]
pub struct Evaluator {
    config: Arc<EvaluatorConfig>,
}

impl Evaluator {
    /// An evaluator for this machine.
    #[must_use]
    pub fn new(config: EvaluatorConfig) -> Self {
        Self { config: Arc::new(config) }
    }

    /// Makes `suite` ready for genomes of `space`, on at most `workers` processes at once.
    ///
    /// # Errors
    /// If the suite or the machine is not fit for it; a program is started once to see.
    pub async fn open(
        &self,
        suite: &Suite,
        bundle: &Bundle,
        space: Arc<Space>,
        profile: Profile,
        workers: usize,
    ) -> Result<Bench, EvaluatorError> {
        match &suite.method {
            Method::Builtin { function, dimensions } => {
                let builtin =
                    Builtin::new(&suite.name, function, *dimensions, &space, suite.objectives())?;
                Ok(Bench { kind: Kind::Inline(builtin) })
            }
            Method::Command { .. } | Method::Python { .. } => Err(EvaluatorError::Suite {
                suite: suite.name.clone(),
                reason: format!(
                    "suites that run programs come with the sandbox ({profile:?}, {workers} \
                     workers, {} files, {})",
                    bundle.len(),
                    self.config.helper.display()
                ),
            }),
        }
    }
}

/// A suite made ready.
#[derive(Debug)]
pub struct Bench {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Inline(Builtin),
}

impl Bench {
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
        let _ = seed;
        match &self.kind {
            Kind::Inline(builtin) => Ok(builtin.evaluate(genome)),
        }
    }

    /// Ends all workers and waits until nothing of them is left.
    pub async fn close(self) {}
}
