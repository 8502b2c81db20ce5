//! A benchmark suite: how an agent is scored. The schema of `suite.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::objective::{Goal, Objective};

/// How an agent is scored.
// Unknown keys are refused by `config`: serde can't where a field is flattened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// What users call it.
    pub name: String,
    /// What is measured; the first is the one shown. May be left out for `builtin` and
    /// `python` and `shinka`, which then have `score` (minimised) and `combined_score`
    /// (maximised).
    #[serde(default)]
    pub objectives: Vec<Objective>,
    /// How it is measured.
    #[serde(flatten)]
    pub method: Method,
    /// What one evaluation may use.
    #[serde(default)]
    pub limits: Limits,
    /// How often every agent is evaluated, each time with another seed; its score is the mean.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub repeats: u32,
    /// How often an agent that would be a champion is evaluated beside that, with fresh seeds.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub confirm: u32,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
fn is_once(times: &u32) -> bool {
    *times == 1
}

/// How a suite measures. Chosen by `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Method {
    /// A numeric function of the agent's real parameters.
    Builtin {
        /// The function's name, for example `sphere`.
        function: String,
        /// How many parameters it takes.
        dimensions: u32,
    },
    /// A program that gets the agent's directory and prints its metrics as one JSON object.
    Command {
        /// The program and its arguments; `{agent}` stands for the agent's directory,
        /// `{suite}` for the suite's. The working directory is the agent's.
        argv: Vec<String>,
    },
    /// A Python file that defines `evaluate(program_path)`: the contract of OpenEvolve.
    Python {
        /// The file, relative to the suite's directory.
        evaluator: String,
        /// The agent's file whose path `evaluate` gets; if left out, its only file or its
        /// directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
        /// Run `evaluate_stage1`, `2`, `3` in turn where they are defined.
        #[serde(default = "yes")]
        cascade: bool,
        /// What a stage must score for the next to run.
        #[serde(default = "thresholds")]
        cascade_thresholds: Vec<f64>,
        /// Metrics that describe an agent and do not score it: they are not in the mean that
        /// stands for a missing `combined_score`.
        #[serde(default = "features")]
        feature_dimensions: Vec<String>,
    },
    /// A Python program that scores a candidate and writes the result to files: the contract of
    /// ShinkaEvolve.
    Shinka {
        /// The program, relative to the suite's directory. It gets `--program_path` and
        /// `--results_dir`.
        #[serde(default = "script")]
        evaluator: String,
        /// The agent's file whose path it gets; if left out, its only file or its directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        program: Option<String>,
        /// More arguments.
        #[serde(default)]
        args: Vec<String>,
    },
}

impl Method {
    /// The agent's file that the evaluator gets, if one is named.
    #[must_use]
    pub fn program(&self) -> Option<&str> {
        match self {
            Self::Python { program, .. } | Self::Shinka { program, .. } => program.as_deref(),
            Self::Builtin { .. } | Self::Command { .. } => None,
        }
    }
}

fn script() -> String {
    "evaluate.py".to_owned()
}

fn yes() -> bool {
    true
}

/// Those of `OpenEvolve`.
fn features() -> Vec<String> {
    vec!["complexity".to_owned(), "diversity".to_owned()]
}

fn thresholds() -> Vec<f64> {
    vec![0.5, 0.75, 0.9]
}

/// What one evaluation may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Elapsed time, in seconds (of each stage, where there are stages).
    pub time: f64,
    /// Memory of all processes together, in MiB.
    pub memory_mib: u64,
    /// Processes and threads at once.
    pub processes: u32,
    /// What it may write, in MiB.
    pub disk_mib: u64,
    /// What is kept of its output and artefacts, in KiB.
    pub output_kib: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: 300.0, memory_mib: 2048, processes: 64, disk_mib: 256, output_kib: 1024 }
    }
}

impl Suite {
    /// A suite that measures once, within the usual limits, what its kind implies.
    #[must_use]
    pub fn new(name: impl Into<String>, method: Method) -> Self {
        Self {
            name: name.into(),
            objectives: Vec::new(),
            method,
            limits: Limits::default(),
            repeats: 1,
            confirm: 1,
        }
    }

    /// The objectives, those that its kind implies included.
    #[must_use]
    pub fn objectives(&self) -> Vec<Objective> {
        match (&self.method, self.objectives.is_empty()) {
            (Method::Builtin { .. }, true) => vec![Objective::new("score", Goal::Minimize)],
            (_, true) => vec![Objective::new("combined_score", Goal::Maximize)],
            (_, false) => self.objectives.clone(),
        }
    }
}

/// The files beside `suite.toml` that it needs, by path relative to it.
pub type Bundle = BTreeMap<super::genome::FilePath, super::genome::File>;
