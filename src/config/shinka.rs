//! A `ShinkaEvolve` task, unmodified: `evaluate.py` and one `initial.*`, as a project of ours.

use std::path::Path;

use super::{
    check,
    error::SpecError,
    files::{self, Project, Reader},
    space::space,
    suite as suites,
};
use crate::domain::{
    spec::{AgentSpec, RunSpec, Search, Stop},
    suite::{Method, Suite},
};

const EVALUATOR: &str = "evaluate.py";
const INITIAL: &str = "initial";

/// `ShinkaEvolve`'s own default (0.0.7): what it calls a generation is one program.
const PROGRAMS: u64 = 50;
/// So that so few programs are several generations of ours.
const POPULATION: u32 = 8;

/// Whether the directory looks like such a task.
///
/// # Errors
/// If it can't be read.
pub fn is(dir: &Path) -> Result<bool, SpecError> {
    Ok(dir.join(EVALUATOR).is_file() || !files::named(dir, INITIAL)?.is_empty())
}

/// Reads the task in `dir`.
///
/// # Errors
/// Names the file, and what to do.
pub fn load(dir: &Path) -> Result<Project, SpecError> {
    let program = files::only(dir, INITIAL)?;
    if !dir.join(EVALUATOR).is_file() {
        return Err(SpecError::file(
            dir,
            "there is no evaluate.py; add one that takes --program_path and --results_dir",
        ));
    }
    let name = files::title(dir, "task");
    let method = Method::Shinka {
        evaluator: EVALUATOR.to_owned(),
        program: Some(program.clone()),
        args: Vec::new(),
    };
    let suite = Suite::new(&*name, method);
    let spec = RunSpec {
        name,
        seed: None,
        agent: AgentSpec { files: vec![program.clone()], ..AgentSpec::default() },
        params: std::collections::BTreeMap::new(),
        search: Search { population: POPULATION, ..Search::default() },
        stop: Stop { evaluations: Some(PROGRAMS), ..Stop::default() },
        suite,
    };
    let mut reader = Reader::new(dir)?;
    reader.add(&program)?;
    let agent_files = reader.into_files();
    let suite_files = files::directory(dir)?;
    suites::check_files(&spec.suite, "suite", &suite_files).map_err(|error| error.within(dir))?;
    check::fits(&spec, space(&spec)?, &agent_files).map_err(|error| error.within(dir))?;
    Ok(Project { spec, agent_files, suite_files, workers: None, warnings: Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn task(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in files {
            fs::write(dir.path().join(name), "# EVOLVE-BLOCK-START\nx = 1.0\n").unwrap();
        }
        dir
    }

    #[test]
    fn a_task_is_recognised_and_its_program_is_the_agent() {
        let dir = task(&["evaluate.py", "initial.py", "env.py", "initial.py.orig", "run_evo.py"]);
        assert!(is(dir.path()).unwrap());
        let Project { spec, agent_files, suite_files, warnings, .. } = load(dir.path()).unwrap();
        let Method::Shinka { evaluator, program, args } = &spec.suite.method else {
            panic!("{:?}", spec.suite.method);
        };
        assert_eq!((evaluator.as_str(), program.as_deref()), ("evaluate.py", Some("initial.py")));
        assert!(args.is_empty() && warnings.is_empty());
        assert_eq!((agent_files.len(), suite_files.len()), (1, 5));
        assert_eq!(spec.stop.evaluations, Some(50));
    }

    #[test]
    fn what_is_missing_or_double_is_named() {
        for (files, part) in [
            (&["evaluate.py"][..], "there is no initial.*"),
            (&["initial.py"], "there is no evaluate.py"),
            (&["evaluate.py", "initial.py", "initial.go"], "more than one initial.*"),
        ] {
            let dir = task(files);
            let fault = load(dir.path()).unwrap_err().to_string();
            assert!(is(dir.path()).unwrap() && fault.contains(part), "{fault}");
        }
    }
}
