//! What the daemon tells a sandbox, and what it hears back.

use std::{io, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::cgroup::Group;
use crate::domain::suite::Limits;

/// The user that code runs as inside the sandbox; it owns nothing but its own files.
pub const USER: u32 = 1000;

/// The longest plan, in bytes.
pub const MAX_PLAN: usize = 1 << 20;

/// How to build a sandbox and what to start in it: the first message.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Whether to do without what is missing.
    pub reduced: bool,
    /// Directories of the interpreter outside the system's own: at the same path inside, read-only.
    pub binds: Vec<PathBuf>,
    /// The suite's directory, read-only inside.
    pub suite: PathBuf,
    /// The socket by which candidates ask models, if they may.
    pub models: Option<PathBuf>,
    /// A directory for this worker alone, used where there are no mount namespaces.
    pub room: PathBuf,
    /// The control groups to make for it.
    pub group: Group,
    /// What one evaluation may use.
    pub limits: Limits,
    /// What to start.
    pub task: Task,
}

/// What to start in a sandbox.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// Nothing: to see whether the sandbox can be built.
    Probe,
    /// The warm Python harness.
    Python {
        /// The interpreter's executable.
        python: PathBuf,
        /// Where it looks for modules.
        path: Vec<String>,
        /// The evaluator, relative to the suite's directory.
        evaluator: String,
        /// What it does.
        contract: Contract,
    },
    /// Programs: which and how, each request says.
    Programs {
        /// The directory of the interpreter, first on the path.
        bin: Option<PathBuf>,
    },
}

/// What a Python evaluator does with a candidate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Contract {
    /// It has functions that return metrics, as `OpenEvolve` wants it.
    Functions {
        /// Whether to run stages where the evaluator defines them.
        cascade: bool,
        /// What a stage must score for the next to run.
        thresholds: Vec<f64>,
        /// Seconds that stages may take, in turn, where that is not what the limits say.
        times: Vec<f64>,
    },
    /// It is a program that writes its results to files, as `ShinkaEvolve` wants it.
    Script {
        /// Its further arguments.
        args: Vec<String>,
    },
}

impl Task {
    /// Seconds that all stages may take together, each `time` where nothing else is said of it.
    #[must_use]
    pub fn patience(&self, time: f64, stages: u32, staged: bool) -> f64 {
        let times = match self {
            Self::Python { contract: Contract::Functions { times, .. }, .. } if staged => {
                &times[..]
            }
            _ => &[],
        };
        let named = times.iter().copied().map(Some).chain(std::iter::repeat(None));
        (0..stages.max(1)).zip(named).map(|(_, own)| own.unwrap_or(time)).sum()
    }

    /// How many processes of ours an evaluation has beside the candidate's.
    #[must_use]
    pub fn own(&self) -> u32 {
        match self {
            Self::Programs { .. } | Self::Python { contract: Contract::Script { .. }, .. } => 2,
            Self::Probe | Self::Python { .. } => 1,
        }
    }
}

/// How a sandbox started: its first message.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// It takes requests now.
    Ready {
        /// The most stages that one evaluation has.
        stages: u32,
        /// Whether it is run in stages, be it only one.
        staged: bool,
        /// Of programs: whether each place has namespaces of its own.
        #[serde(default)]
        contained: bool,
    },
    /// The suite's own program does not load.
    Import(String),
    /// A layer is missing.
    Fault(Fault),
}

/// A layer of the sandbox that could not be set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The layer.
    pub layer: String,
    /// What the system said.
    pub reason: String,
    /// What to do about it.
    pub hint: String,
}

impl Fault {
    /// That `layer` failed with `error`.
    #[must_use]
    pub fn new(layer: &str, error: &io::Error) -> Self {
        let hint = match layer {
            "namespaces" | "own user" | "mounts" => {
                "allow unprivileged user namespaces (sysctl user.max_user_namespaces, \
                 kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; \
                 in a container --security-opt seccomp=unconfined), or use --sandbox=reduced"
            }
            "system call filter" => {
                "use a kernel with CONFIG_SECCOMP_FILTER, or use --sandbox=reduced"
            }
            _ => "see `darwin doctor`, or use --sandbox=reduced",
        };
        Self { layer: layer.to_owned(), reason: error.to_string(), hint: hint.to_owned() }
    }
}

/// An agent to evaluate. The body holds the files' contents, one after another, and after them
/// the inputs that are to be answered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Request {
    /// Its files.
    pub files: Vec<Item>,
    /// The path to hand to a Python evaluator, relative to the agent's directory; empty: the
    /// directory itself.
    pub program: String,
    /// The seed for the evaluator.
    pub seed: u64,
    /// Of a program: it and its arguments, with their placeholders.
    pub argv: Vec<String>,
    /// Of a program: what it is to do.
    pub job: Job,
}

/// What a program is to do.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Print metrics: it is the suite's, and its place has the suite's files.
    #[default]
    Score,
    /// Make files of the agent's files. The records of the reply are a frame with a [`Tree`].
    Build,
    /// Answer inputs. A reply comes for each, and one more for all.
    Answer {
        /// One process answers all, each with a line; else each has a process of its own.
        lines: bool,
        /// The program is the suite's, and its place has the suite's files.
        judges: bool,
        /// Their lengths.
        inputs: Vec<usize>,
    },
    /// Talk in lines, as they come: [`Turn`]s go to it, and a reply comes for each of its lines,
    /// and one more when it has ended.
    Talk {
        /// The program is the suite's, and its place has the suite's files.
        referees: bool,
    },
}

/// What is said to a program that talks: the body is for its standard input.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Turn {
    /// There is nothing more to talk about: it is to be ended.
    pub over: bool,
}

/// What a build left. The body holds the files' contents, one after another.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tree {
    /// The files that are new or changed.
    Files(Vec<Item>),
    /// Why they cannot be taken.
    Refused(String),
}

/// A file of an agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    /// Its relative path.
    pub path: String,
    /// Its length in bytes.
    pub size: usize,
    /// Whether it may be executed.
    pub executable: bool,
}

/// How one evaluation ended. The body holds the records, the standard output and the
/// standard error, one after another.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Reply {
    /// The wait status of the evaluating process: an exit status, or a signal.
    pub status: Status,
    /// Whether it was killed because its time was over.
    pub timed_out: bool,
    /// Whether it was killed because it reported more than it may.
    pub flooded: bool,
    /// Elapsed time, in microseconds.
    pub wall_us: u64,
    /// Processor time, in microseconds.
    pub cpu_us: u64,
    /// The largest resident memory of one process, in bytes.
    pub max_rss: u64,
    /// The length of the records.
    pub records: usize,
    /// The length of what is kept of the standard output.
    pub stdout: usize,
    /// The length of what is kept of the standard error.
    pub stderr: usize,
    /// Whether some of the standard output was dropped.
    pub stdout_cut: bool,
    /// Of an answer: whether the program spoke before it was asked.
    #[serde(default)]
    pub early: bool,
    /// Of an answer: whether the program has ended.
    #[serde(default)]
    pub ended: bool,
    /// Whether another reply to the same request follows.
    #[serde(default)]
    pub more: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
}

impl Default for Status {
    fn default() -> Self {
        Self::Exited(0)
    }
}
