//! The result of evaluating one agent.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What the names of private metrics begin with: people see them, mutation operators never do.
pub const PRIVATE: &str = "private/";

/// A metric as the evaluator gave it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Metric {
    /// A finite number.
    Number(f64),
    /// A truth value, kept apart from numbers.
    Flag(bool),
    /// Anything else, as text: a non-finite number ("NaN", "inf"), a string, nested JSON.
    Text(String),
}

/// Why an agent has no score. The agent is recorded all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The class of failure.
    pub kind: FailureKind,
    /// One sentence for the user.
    pub reason: String,
}

/// What to do about a failure for that reason, where the reason alone does not tell.
#[must_use]
pub fn remedy(reason: &str) -> Option<&'static str> {
    reason.contains("ModuleNotFoundError").then_some(
        "set evaluator.python (DARWIN_EVALUATOR__PYTHON) to an interpreter that has it and start \
         the daemon again (`darwin down`), or add the module to the suite's files",
    )
}

/// The classes of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The program or evaluator ended with an error.
    Crashed,
    /// It did not end within its time.
    TimedOut,
    /// It wanted more memory, processes or disk than it may have.
    OverLimit,
    /// Its answer was missing, malformed, or not a number.
    BadMetrics,
    /// It was measured and missed a mandatory gate.
    GateMissed,
}

/// What an evaluation used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Elapsed time, in microseconds.
    pub wall_us: u64,
    /// Processor time of all its processes, in microseconds.
    pub cpu_us: u64,
    /// The largest resident memory, in bytes.
    pub max_rss: u64,
}

/// How the evaluated code was contained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Nothing of the agent was executed.
    #[default]
    NoCode,
    /// Every mandatory layer of the sandbox.
    Full,
    /// Fewer layers, by the user's explicit wish; never ranked with `Full`.
    Reduced,
}

impl Isolation {
    /// Its name, as stored (never change one) and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCode => "no-code",
            Self::Full => "full",
            Self::Reduced => "reduced",
        }
    }
}

/// The layers of a sandbox that not every machine has. The others stand around every full one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Layers {
    /// Landlock bounded files, devices, TCP and signals once more.
    pub landlock: bool,
    /// A control group bounded the memory of all processes together, not of each by itself.
    pub memory_group: bool,
    /// A control group bounded how many processes there were.
    pub process_group: bool,
}

impl Layers {
    /// The names of those that were there, as stored (never change one) and shown.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.landlock, "landlock"),
            (self.memory_group, "memory-group"),
            (self.process_group, "process-group"),
        ];
        all.into_iter().filter(|(there, _)| *there).map(|(_, name)| name)
    }

    /// Those of that name; none if there is none.
    #[must_use]
    pub fn with(mut self, name: &str) -> Option<Self> {
        match name {
            "landlock" => self.landlock = true,
            "memory-group" => self.memory_group = true,
            "process-group" => self.process_group = true,
            _ => return None,
        }
        Some(self)
    }
}

/// The result of evaluating one agent once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// One finite number per objective of the suite, in the suite's order; or why not.
    pub scores: Result<Vec<f64>, Failure>,
    /// Everything that the evaluator reported, by name.
    pub metrics: BTreeMap<String, Metric>,
    /// What it left for a reader (logs, plots, feedback), by name.
    pub artifacts: BTreeMap<String, Bytes>,
    /// What it cost.
    pub usage: Usage,
    /// How it was contained.
    pub isolation: Isolation,
    /// Which of the layers were there that a machine may lack; none where nothing was executed, and
    /// of what was recorded before they were.
    pub layers: Option<Layers>,
    /// Whether candidate and scorer shared a process, so that the score can be forged.
    pub in_process: bool,
    /// Whether it was taken from an earlier evaluation of the same genome.
    pub cached: bool,
}

impl Evaluation {
    /// A result with these scores that ran no code and reported nothing else.
    #[must_use]
    pub fn of(scores: Vec<f64>) -> Self {
        Self::from(Ok(scores))
    }

    /// A result without scores.
    #[must_use]
    pub fn failed(kind: FailureKind, reason: impl Into<String>) -> Self {
        Self::from(Err(Failure { kind, reason: reason.into() }))
    }

    fn from(scores: Result<Vec<f64>, Failure>) -> Self {
        Self {
            scores,
            metrics: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            usage: Usage::default(),
            isolation: Isolation::default(),
            layers: None,
            in_process: false,
            cached: false,
        }
    }
}
