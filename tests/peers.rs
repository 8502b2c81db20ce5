//! Examples of OpenEvolve and ShinkaEvolve, unmodified: `darwin eval` measures what their own
//! code measures, and `darwin evolve` runs to its end.
//!
//! Their code is not in this repository. `DARWIN_PEER_OPENEVOLVE` and `DARWIN_PEER_SHINKA` name
//! checkouts of it, `DARWIN_PEER_PYTHON` a Python that has NumPy, SciPy and what their packages
//! import.

#![expect(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

#[path = "support/guard.rs"]
mod guard;
#[path = "support/required.rs"]
mod required;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use required::{not_run, tell};
use serde_json::Value;
use tempfile::TempDir;

use guard::Guard;

/// Evaluations of each run.
const EVALUATIONS: &str = "200";
/// How much two equal measurements may differ.
const TOLERANCE: f64 = 1e-9;

/// Those of OpenEvolve's examples whose evaluators and programs need nothing but NumPy and SciPy.
const OPENEVOLVE: [&str; 11] = [
    "circle_packing",
    "function_minimization",
    "alphaevolve_math_problems/circle_packing_rect",
    "alphaevolve_math_problems/heilbronn_convex/13",
    "alphaevolve_math_problems/heilbronn_convex/14",
    "alphaevolve_math_problems/heilbronn_triangle",
    "alphaevolve_math_problems/hexagon_packing/11",
    "alphaevolve_math_problems/hexagon_packing/12",
    "alphaevolve_math_problems/kissing_number",
    "alphaevolve_math_problems/minimizing_max_min_dist/2",
    "alphaevolve_math_problems/minimizing_max_min_dist/3",
];
const SHINKA: [&str; 2] = ["circle_packing", "game_2048"];

/// OpenEvolve's own evaluator, with the random numbers that ours begins with.
const OPENEVOLVE_RUNNER: &str = "
import asyncio, json, os, random, sys
peer, problem = sys.argv[1:]
sys.path.insert(0, peer)
import numpy
from openevolve.config import Config, load_config
from openevolve.evaluator import Evaluator
config = os.path.join(problem, 'config.yaml')
config = load_config(config) if os.path.exists(config) else Config()
evaluator = Evaluator(config.evaluator, os.path.join(problem, 'evaluator.py'), suffix='.py')
program = open(os.path.join(problem, 'initial_program.py')).read()
random.seed(0)
numpy.random.seed(0)
metrics = asyncio.run(evaluator.evaluate_program(program, 'initial'))
print('\\n' + json.dumps(metrics))
";

/// A task's evaluate.py as ShinkaEvolve starts it, with ShinkaEvolve's own modules.
const SHINKA_RUNNER: &str = "
import json, os, random, runpy, sys, tempfile
peer, task = sys.argv[1:]
sys.path[:0] = [task, peer]
import numpy
script, results = os.path.join(task, 'evaluate.py'), tempfile.mkdtemp()
program = os.path.join(task, 'initial.py')
sys.argv[:] = [script, '--program_path', program, '--results_dir', results]
import shinka.core
random.seed(0)
numpy.random.seed(0)
runpy.run_path(script, run_name='__main__')
correct, found = [json.load(open(os.path.join(results, n + '.json'))) for n in ('correct', 'metrics')]
assert correct['correct'], correct
metrics = {**found.pop('public'), **{'private/' + n: v for n, v in found.pop('private').items()}, **found}
print('\\n' + json.dumps(metrics))
";

/// `darwin` in a home of its own, and the daemon that it starts there.
struct Darwin {
    _guard: Guard,
    home: TempDir,
    python: PathBuf,
}

impl Darwin {
    fn new(python: PathBuf) -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { _guard: Guard::of(home.path()), home, python }
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_darwin"));
        command.env_clear().env("DARWIN_HOME", self.home.path()).env("USER", "ada");
        command.env("DARWIN_EVALUATOR__PYTHON", &self.python);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.arg(verb).arg("--json");
        command
    }

    fn json(&self, verb: &str, dir: &Path, flags: &[&str]) -> Value {
        let said = self.command(verb).arg(dir).args(flags).output().unwrap();
        let talk = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{verb} {}: {talk}", dir.display());
        serde_json::from_slice(&said.stdout).unwrap()
    }
}

impl Drop for Darwin {
    fn drop(&mut self) {
        let _ended = self.command("down").output();
    }
}

/// The checkout that `variable` names; says so where there is none, and fails where it must be.
fn peer(variable: &str) -> Option<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from);
    if found.is_none() {
        not_run("peers", &format!("{variable} names no checkout of a peer to compare with"));
    }
    found
}

/// The metrics that the peer's own code finds.
fn theirs(python: &Path, runner: &str, peer: &Path, dir: &Path) -> BTreeMap<String, Value> {
    let scratch = tempfile::tempdir().unwrap();
    let said = Command::new(python)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONHASHSEED", "0")
        .env("OMP_NUM_THREADS", "1")
        .env("OPENBLAS_NUM_THREADS", "1")
        .env("TMPDIR", scratch.path())
        .args(["-c", runner])
        .args([peer, dir])
        .current_dir(scratch.path())
        .output()
        .unwrap();
    let talk = String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success(), "{}: {talk}", dir.display());
    let said = String::from_utf8(said.stdout).unwrap();
    serde_json::from_str(said.lines().next_back().unwrap()).unwrap()
}

/// Compares all numbers that are no times. How many there were, and what was not compared.
fn compare(name: &str, theirs: &BTreeMap<String, Value>, ours: &Value) -> (usize, Vec<String>) {
    let (mut count, mut skipped) = (0, Vec::new());
    for (metric, value) in theirs {
        let expected = match value.as_f64() {
            Some(_) if metric.contains("time") => {
                skipped.push(format!("{metric} (a time)"));
                continue;
            }
            Some(expected) => expected,
            None => {
                skipped.push(format!("{metric} (no number)"));
                continue;
            }
        };
        let found = ours[metric].as_f64();
        let close = found.is_some_and(|found| (found - expected).abs() <= TOLERANCE);
        assert!(close, "{name}: {metric} is {found:?}, theirs {expected}\n{theirs:?}\n{ours}");
        count += 1;
    }
    assert!(count > 0 && theirs.contains_key("combined_score"), "{name}: {theirs:?}");
    (count, skipped)
}

fn check(variable: &str, runner: &str, below: &str, examples: &[&str]) {
    let Some(peer) = peer(variable) else { return };
    let python = std::env::var_os("DARWIN_PEER_PYTHON").unwrap_or_else(|| "python3".into());
    let python = PathBuf::from(python);
    let darwin = Darwin::new(python.clone());
    for name in examples {
        let dir = peer.join(below).join(name);
        assert!(fs::exists(&dir).unwrap(), "{} is not there", dir.display());
        let theirs = theirs(&python, runner, &peer, &dir);
        let ours = darwin.json("eval", &dir, &["--seed", "0"]);
        let evaluation = &ours["evaluations"][0];
        assert_eq!(evaluation["isolation"], "full", "{name}");
        let (count, skipped) = compare(name, &theirs, &evaluation["metrics"]);
        let begun = Instant::now();
        let flags = ["--seed", "1", "--max-evaluations", EVALUATIONS];
        let run = darwin.json("evolve", &dir, &flags);
        assert_eq!(run["state"], "finished", "{name}: {run}");
        assert_eq!(run["agents"].to_string(), EVALUATIONS, "{name}: {run}");
        tell(&format!(
            "{name}: {count} metrics equal, not compared: {}; combined_score {} theirs, {} ours; {EVALUATIONS} \
             evaluations in {:.1} s, best {}, {} without a score",
            if skipped.is_empty() { "none".to_owned() } else { skipped.join(", ") },
            theirs["combined_score"],
            ours["score"],
            begun.elapsed().as_secs_f64(),
            run["best"],
            run["failed"],
        ));
    }
}

#[test]
fn openevolves_examples_measure_what_openevolve_measures() {
    check("DARWIN_PEER_OPENEVOLVE", OPENEVOLVE_RUNNER, "examples", &OPENEVOLVE);
}

#[test]
fn shinkas_tasks_measure_what_shinkaevolve_measures() {
    check("DARWIN_PEER_SHINKA", SHINKA_RUNNER, "examples", &SHINKA);
}
