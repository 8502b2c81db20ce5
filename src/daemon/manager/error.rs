//! What can go wrong with a run.

use crate::{
    code::{Code, Retry},
    config::error::SpecError,
    daemon::{evaluator::error::EvaluatorError, registry::error::RegistryError},
    domain::{
        id::{AgentId, RunId},
        lifecycle::Impossible,
    },
    evolution::error::EngineError,
};

/// Why a run cannot be started, changed or continued.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// The specification cannot be used.
    #[error("{0}")]
    Spec(#[from] SpecError),
    /// The engine refuses the specification, or its checkpoint.
    #[error("{0}")]
    Engine(#[from] EngineError),
    /// The evaluator cannot work.
    #[error("{0}")]
    Evaluator(#[from] EvaluatorError),
    /// A store failed.
    #[error("{0}")]
    Registry(#[from] RegistryError),
    /// The run is not in a state for that.
    #[error("run {run}: {source}; `darwin runs show {run}` tells more")]
    State {
        /// The run.
        run: RunId,
        /// What cannot happen in which state.
        source: Impossible,
    },
    /// There is no such run.
    #[error("there is no run {0} here; `darwin runs list` shows all")]
    NoRun(RunId),
    /// The run was started in a sandbox of a kind that is not known here, so that its results
    /// could be compared with none.
    #[error(
        "run {run} was started in a sandbox of kind “{stored}”, which this version does not know; \
         resume it with the version that started it, or start a new run"
    )]
    Profile {
        /// The run.
        run: RunId,
        /// The kind.
        stored: String,
    },
    /// There is no such generation of the run to go back to.
    #[error("run {run} has no whole generation {generation} to go back to: {hint}")]
    NoGeneration {
        /// The run.
        run: RunId,
        /// The generation.
        generation: u64,
        /// What to do.
        hint: &'static str,
    },
    /// The agent is not one of the run's.
    #[error("agent {agent} is not of run {run}: name one of `darwin lineage tree {run}`")]
    Stranger {
        /// The run.
        run: RunId,
        /// The agent.
        agent: AgentId,
    },
    /// The daemon drives as many runs as it may.
    #[error("{0} runs are at work, the most that `manager.max_runs` allows; stop one or wait")]
    TooMany(usize),
    /// The daemon is about to end.
    #[error("the daemon is shutting down; try again when it is back")]
    ShuttingDown,
    /// The daemon ends, or its store fails, before the end of a run is on disk.
    #[error(
        "run {0} came to rest, but that is not recorded: the daemon is shutting down, or its store \
         fails (`darwin doctor` tells more); it is taken up again at the next start"
    )]
    Unrecorded(RunId),
    /// The engine neither proposes nor stops.
    #[error("the engine of run {0} neither proposes nor stops; please report this")]
    Stalled(RunId),
    /// A task of the daemon died.
    #[error("the task of run {0} died; `darwin runs resume {0}` takes it up again")]
    Died(RunId),
}

impl ManagerError {
    /// Whether the run may go on after a while: a full disk, a lack of memory, a store that is
    /// away. What became of what was handed to it is found out then.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.code().retry() == Retry::Temporary || self.is_away()
    }

    /// Whether a store can't be reached, or stands still until it knows what it has.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Registry(error) if error.is_away())
    }

    /// Why a run failed, as it is recorded: the code's name, and a sentence.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("{}: {self}", self.code().name())
    }

    /// What kind of error it is.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Spec(error) => error.code(),
            Self::Engine(error) => error.code(),
            Self::Evaluator(error) => error.code(),
            Self::Registry(error) => error.code(),
            Self::State { .. } | Self::Profile { .. } => Code::Conflict,
            Self::NoRun(_) | Self::NoGeneration { .. } | Self::Stranger { .. } => Code::NotFound,
            Self::TooMany(_) => Code::Exhausted,
            Self::ShuttingDown | Self::Unrecorded(_) => Code::Unavailable,
            Self::Stalled(_) | Self::Died(_) => Code::Bug,
        }
    }
}
