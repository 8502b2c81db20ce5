//! What can keep an agent from being evaluated that is not the agent's own fault.

use std::path::PathBuf;

use crate::code::Code;

/// Why an evaluation could not be made. A fault of the agent is no such error: it is an
/// evaluation without scores.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluatorError {
    /// The suite cannot be run as it is written.
    #[error("suite “{suite}”: {reason}")]
    Suite {
        /// Its name.
        suite: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The suite's own program does not start.
    #[error("suite “{suite}”: its evaluator cannot be loaded: {reason}")]
    Import {
        /// Its name.
        suite: String,
        /// What the evaluator said, shortened, and what to do if that is known.
        reason: String,
    },
    /// The referee of an arena fails though no agent plays.
    #[error(
        "the referee does not say who wins between {first} and {second}: {why}; mend the suite"
    )]
    Referee {
        /// An opponent.
        first: String,
        /// Another one.
        second: String,
        /// What went wrong.
        why: String,
    },
    /// The agents are to ask models, and cannot.
    #[error("suite “{suite}” lets agents ask models, but {reason}")]
    Models {
        /// Its name.
        suite: String,
        /// What is missing and what to do.
        reason: String,
    },
    /// The interpreter that the suite needs is not there.
    #[error(
        "no usable Python: {reason}; install Python 3.8 or later in a directory of its own, or set \
         evaluator.python to one that is"
    )]
    Python {
        /// What was tried.
        reason: String,
    },
    /// A file of ours lies where every sandbox looks.
    #[error("{place} lies in {shown}, which every agent can read; move it elsewhere", place = place.display())]
    Shown {
        /// What lies there.
        place: PathBuf,
        /// The system's directory that it lies in.
        shown: String,
    },
    /// A layer of the sandbox is missing here.
    #[error("the sandbox cannot be set up, {layer}: {reason}; {hint}")]
    Sandbox {
        /// The layer that failed.
        layer: String,
        /// What the system said.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The machine refused something for now: processes, memory, disk.
    #[error(
        "an evaluation worker could not {what}: {reason}; free some memory or disk and try again"
    )]
    Machine {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The bench was closed while the evaluation waited.
    #[error("the run's evaluation workers were closed; start or resume the run again")]
    Closed,
}

impl EvaluatorError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Suite { .. } | Self::Import { .. } | Self::Referee { .. } => Code::InvalidInput,
            Self::Python { .. } | Self::Models { .. } | Self::Shown { .. } => Code::Config,
            Self::Sandbox { .. } => Code::Sandbox,
            Self::Machine { .. } => Code::Exhausted,
            Self::Closed => Code::Conflict,
        }
    }
}
