//! What can be wrong with a search's set-up or with a stored state.

use crate::code::Code;

/// Why no engine can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The search, the stop rules or the parameters have a mistake.
    #[error("{field}: {problem}")]
    Spec {
        /// The field of the run's specification.
        field: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
    /// The agent offers nothing that an operator could vary.
    #[error(
        "nothing to vary: give the agent parameters ([params]), or a text file with numbers or lines \
         between EVOLVE-BLOCK-START and EVOLVE-BLOCK-END"
    )]
    NothingToVary,
    /// A stored state can't be read.
    #[error(
        "the stored state of the search is damaged ({0}); start again from the recorded results"
    )]
    Damaged(String),
    /// A stored state was written by another version of the engine.
    #[error(
        "the stored state of the search has version {0}, this engine writes {1}; start again from the recorded results"
    )]
    Version(u32, u32),
    /// A stored state belongs to a search with another seed, space, mode or population.
    #[error("the stored state belongs to another search: its {0} differs")]
    Foreign(&'static str),
}

impl EngineError {
    /// Its class.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Spec { .. } | Self::NothingToVary => Code::InvalidInput,
            Self::Damaged(_) => Code::Corrupt,
            Self::Version(..) | Self::Foreign(_) => Code::Conflict,
        }
    }

    pub(super) fn spec(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Spec { field: field.into(), problem: problem.into() }
    }
}
