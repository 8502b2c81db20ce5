//! Suites that run programs, in a real sandbox.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

#[path = "../support/required.rs"]
mod required;
mod contract;
mod shinka;
mod faults;
mod wear;
mod contained;
mod cases;
mod arena;
mod stages;
mod split;
mod machines;
mod models;
mod attacks;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use darwin::{
    daemon::evaluator::{
        Bench, Evaluator, EvaluatorConfig, Profile, error::EvaluatorError, private::Private,
        worker::Wear,
    },
    domain::{
        evaluation::{Evaluation, Failure, FailureKind, Isolation},
        genome::{File, FilePath, Genome, Space},
        suite::{Bundle, Limits, Method, Suite},
    },
};
use tempfile::TempDir;

/// The program under test.
const DARWIND: &str = env!("CARGO_BIN_EXE_darwind");

/// An evaluator with a scratch directory of its own.
struct World {
    evaluator: Evaluator,
    scratch: TempDir,
}

impl World {
    fn new() -> Self {
        Self::with("python3", Path::new(DARWIND))
    }

    fn with(python: &str, helper: &Path) -> Self {
        Self::of(python, helper, None)
    }

    /// One that knows a proxy to models.
    fn of(python: &str, helper: &Path, models: Option<PathBuf>) -> Self {
        Self::hiding(Private::default(), python, helper, models)
    }

    /// One whose sandboxes are replaced so.
    fn wearing(wear: Wear) -> Self {
        Self::made(|config| config.wear = wear)
    }

    /// One of an installation with secrets.
    fn hiding(private: Private, python: &str, helper: &Path, models: Option<PathBuf>) -> Self {
        Self::made(|config| {
            config.private = private;
            config.python = python.into();
            config.helper = helper.into();
            config.models = models;
        })
    }

    fn made(change: impl FnOnce(&mut EvaluatorConfig)) -> Self {
        let scratch = TempDir::new().unwrap();
        let mut config = config(scratch.path());
        change(&mut config);
        Self { evaluator: Evaluator::new(config), scratch }
    }

    async fn open(&self, suite: &Suite, files: &[(&str, &str)]) -> Result<Bench, EvaluatorError> {
        let space = Arc::new(Space::default());
        self.evaluator.open(suite, &bundle(files), space, Profile::Full, 2).await
    }

    /// A bench of an evaluator with this text, under the usual limits.
    async fn python(&self, evaluator: &str) -> Result<Bench, EvaluatorError> {
        self.open(&python(limits()), &[("evaluator.py", evaluator)]).await
    }

    /// What a candidate with too much memory is told: without a control group each process is
    /// bounded by itself, and so learns of it itself.
    fn too_much(&self, memory: &'static str) -> &'static str {
        if self.evaluator.optional().memory_group { memory } else { "MemoryError" }
    }

    /// A bench of a shell script that scores.
    async fn shell(&self, script: &str, limits: Limits) -> Bench {
        let argv = ["sh", "{suite}/score.sh"].map(str::to_owned).to_vec();
        let method = Method::Command { argv, build: None };
        let objectives = vec![objective("score")];
        let suite = Suite { objectives, limits, ..Suite::new("test", method) };
        self.open(&suite, &[("score.sh", script)]).await.unwrap()
    }
}

/// What an evaluator of this machine is told.
fn config(scratch: &Path) -> EvaluatorConfig {
    EvaluatorConfig {
        python: "python3".into(),
        helper: DARWIND.into(),
        scratch: scratch.to_owned(),
        models: None,
        private: Private::default(),
        wear: Wear::default(),
    }
}

fn objective(name: &str) -> darwin::domain::objective::Objective {
    darwin::domain::objective::Objective::new(name, darwin::domain::objective::Goal::Maximize)
}

fn bundle(files: &[(&str, &str)]) -> Bundle {
    let file = |(path, text): &(&str, &str)| {
        let bytes = (*text).to_owned().into();
        (
            FilePath::new(path).unwrap(),
            File { bytes, executable: Path::new(path).extension().is_some_and(|ext| ext == "sh") },
        )
    };
    files.iter().map(file).collect()
}

fn genome(files: &[(&str, &str)]) -> Genome {
    Genome { files: Arc::new(bundle(files)), ..Genome::default() }
}

/// An agent of one file with this text.
fn program(text: &str) -> Genome {
    genome(&[("agent.py", text)])
}

fn limits() -> Limits {
    Limits { time: 20.0, memory_mib: 256, processes: 32, disk_mib: 16, output_kib: 64 }
}

fn python(limits: Limits) -> Suite {
    let method = Method::Python {
        evaluator: "evaluator.py".into(),
        program: None,
        cascade: true,
        cascade_thresholds: vec![0.5, 0.75, 0.9],
        cascade_times: Vec::new(),
        feature_dimensions: vec!["complexity".into()],
    };
    Suite { limits, ..Suite::new("test", method) }
}

/// An evaluator that runs its candidate, which must set `score`.
const RUN: &str = "
import runpy
def evaluate(path):
    return {'combined_score': runpy.run_path(path)['score']}
";

fn failure(evaluation: Evaluation) -> Failure {
    evaluation.scores.unwrap_err()
}

fn assert_failed(evaluation: Evaluation, kind: FailureKind, said: &str) {
    let failure = failure(evaluation);
    assert!(failure.kind == kind && failure.reason.contains(said), "{failure:?}");
}

/// All processes below this one, with the names of their programs.
fn processes() -> Vec<(u32, String)> {
    processes_below(std::process::id())
}

fn processes_below(root: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        for task in fs::read_dir(proc.join("task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            next.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
        }
        if pid != root
            && let Ok(name) = fs::read_to_string(proc.join("comm"))
        {
            found.push((pid, name.trim().to_owned()));
        }
    }
    found
}
