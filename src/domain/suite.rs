//! A benchmark suite: how an agent is scored. The schema of `suite.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::objective::{Goal, Objective};

/// The metric of a suite of cases: the weighted mean of all scores.
pub const ACCURACY: &str = "accuracy";
/// The same of its held-out cases; nothing is selected by it.
pub const HELD_OUT: &str = "held_out_accuracy";

/// The metrics of an arena: the share of matches won, a draw counting half; the rating by Elo's
/// scale.
pub const WIN_RATE: &str = "win_rate";
/// See [`WIN_RATE`].
pub const ELO: &str = "elo";

/// How an agent is scored.
// Unknown keys are refused by `config`: serde can't where a field is flattened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// What users call it.
    pub name: String,
    /// What is measured; the first is the one shown. May be left out for `builtin`, `cases`,
    /// `arena`, `python` and `shinka`, which then have `score` (minimised), `accuracy`, `win_rate`
    /// and `combined_score` (maximised).
    #[serde(default)]
    pub objectives: Vec<Objective>,
    /// How it is measured.
    #[serde(flatten)]
    pub method: Method,
    /// What one evaluation may use.
    #[serde(default)]
    pub limits: Limits,
    /// Whether agents may ask language models, by the proxy that the daemon knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub models: bool,
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
        /// What is made of the agent's files before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        build: Option<Build>,
    },
    /// Inputs that the agent's own program answers, and answers that are expected.
    Cases(Cases),
    /// Matches of the agent's own program against opponents, before a referee.
    Arena(Arena),
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
        /// What stages may take, in turn and in seconds; those beyond have `limits.time`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cascade_times: Vec<f64>,
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
            Self::Builtin { .. } | Self::Cases(_) | Self::Arena(_) | Self::Command { .. } => None,
        }
    }
}

fn script() -> String {
    "evaluate.py".to_owned()
}

/// Cases, and how the agent's program answers them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cases {
    /// The agent's program and its arguments; `{agent}` stands for the agent's directory,
    /// which is the working directory.
    pub argv: Vec<String>,
    /// The file of cases, relative to the suite's directory: one stage without a threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<String>,
    /// Several files of cases in turn, instead of `cases`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// A file of cases that are all held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<String>,
    /// How inputs and answers travel.
    #[serde(default)]
    pub protocol: Protocol,
    /// How an answer is scored, where the case itself does not say.
    #[serde(default)]
    pub scorer: Scorer,
    /// How often each case is tried, with another seed each time.
    #[serde(default = "one")]
    pub attempts: u32,
    /// What is made of the agent's files before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
}

/// Matches, and who plays them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arena {
    /// The program of every player and its arguments; `{agent}` stands for the player's directory,
    /// which is the working directory.
    pub argv: Vec<String>,
    /// The program that says what is played, and who has won; `{suite}` stands for the suite's
    /// directory.
    pub referee: Vec<String>,
    /// Directories of the suite, each with the files of an agent to play against.
    pub opponents: Vec<String>,
    /// How many play one match.
    #[serde(default = "two")]
    pub players: u32,
    /// Who plays whom.
    #[serde(default)]
    pub schedule: Schedule,
    /// With the Swiss system: how many rounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounds: Option<u32>,
    /// How often the same play each other, with seats changed and another seed each time.
    #[serde(default = "two")]
    pub matches: u32,
    /// Whether players may talk to each other, and not only to the referee.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub talk: bool,
    /// What is made of a player's files before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
}

/// Who plays whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The agent plays all opponents.
    #[default]
    RoundRobin,
    /// In each round it plays one that has fared as well so far, and none twice.
    Swiss,
}

/// Cases that are run only if those of the stage before went well enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// The file, relative to the suite's directory.
    pub cases: String,
    /// The accuracy in this stage that the next one asks for.
    #[serde(default)]
    pub threshold: f64,
    /// What an answer in this stage may use, if not what the suite says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// How inputs and answers travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// A process for each case: the input is its standard input, the answer its standard output.
    #[default]
    Stdio,
    /// One process for all cases, and lines of JSON-RPC 2.0.
    JsonRpc,
}

/// How an answer is scored. Chosen by `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Scorer {
    /// The answer is the expected one.
    Exact {
        /// Space around either does not count.
        #[serde(default = "yes")]
        trim: bool,
    },
    /// The expected text is a regular expression that matches the answer.
    Regex {
        /// It must match the whole answer, less space around it, and not only a part.
        #[serde(default)]
        full: bool,
    },
    /// The answer is a number near the expected one.
    Numeric {
        /// So far off it may be, at least.
        #[serde(default)]
        absolute: f64,
        /// Or so far, as a share of the expected number.
        #[serde(default = "tolerance")]
        relative: f64,
    },
    /// The answer is JSON that holds all that is expected, and perhaps more.
    Json {},
    /// A program of the suite decides; it gets input, expected and output as JSON.
    Command {
        /// The program and its arguments; `{suite}` stands for the suite's directory.
        argv: Vec<String>,
    },
}

impl Default for Scorer {
    fn default() -> Self {
        Self::Exact { trim: true }
    }
}

impl Cases {
    /// The stages; `cases` alone is one.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let only = self.cases.iter().map(|cases| Stage {
            cases: cases.clone(),
            threshold: 0.0,
            limits: None,
        });
        only.chain(self.stages.iter().cloned()).collect()
    }

    /// The files of cases.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let stages = self.cases.iter().chain(self.stages.iter().map(|stage| &stage.cases));
        stages.chain(&self.held_out).map(String::as_str)
    }
}

/// What is made of an agent's files, once, before it is evaluated: it is run in the agent's
/// directory, and what it leaves there is added to the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The program and its arguments; `{agent}` stands for the agent's directory.
    pub argv: Vec<String>,
    /// What it may use.
    #[serde(default)]
    pub limits: Limits,
}

fn two() -> u32 {
    2
}

fn one() -> u32 {
    1
}

fn tolerance() -> f64 {
    1e-9
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
            models: false,
            repeats: 1,
            confirm: 1,
        }
    }

    /// The objectives, those that its kind implies included.
    #[must_use]
    pub fn objectives(&self) -> Vec<Objective> {
        match (&self.method, self.objectives.is_empty()) {
            (Method::Builtin { .. }, true) => vec![Objective::new("score", Goal::Minimize)],
            (Method::Cases(_), true) => vec![Objective::new(ACCURACY, Goal::Maximize)],
            (Method::Arena(_), true) => vec![Objective::new(WIN_RATE, Goal::Maximize)],
            (_, true) => vec![Objective::new("combined_score", Goal::Maximize)],
            (_, false) => self.objectives.clone(),
        }
    }
}

/// The files beside `suite.toml` that it needs, by path relative to it.
pub type Bundle = BTreeMap<super::genome::FilePath, super::genome::File>;
