//! An `OpenEvolve` problem, unmodified: `initial_program.*`, `evaluator.py`, perhaps
//! `config.yaml`, as a project of ours.
//!
//! What means something here is mapped; every other key that is set is named in one warning.

use std::{collections::BTreeSet, path::Path};

use serde_yaml_ng::{Mapping, Value};

use super::{
    check,
    error::SpecError,
    files::{self, Project, Reader},
    space::space,
    suite as suites, text,
};
use crate::domain::{
    spec::{AgentSpec, RunSpec, Search, Stop},
    suite::{Limits, Method, Suite},
};

const EVALUATOR: &str = "evaluator.py";
const INITIAL: &str = "initial_program";

/// `OpenEvolve`'s own defaults (0.3.2), where they differ from ours.
const ITERATIONS: u64 = 10_000;
const SEED: u64 = 42;
const TIMEOUT: f64 = 300.0;

/// Sections that steer a language model: without one they mean nothing.
const OF_MODELS: [&str; 2] = ["llm", "prompt"];

/// Whether the directory looks like such a problem.
///
/// # Errors
/// If it can't be read.
pub fn is(dir: &Path) -> Result<bool, SpecError> {
    Ok(dir.join(EVALUATOR).is_file() || !files::named(dir, INITIAL)?.is_empty())
}

/// Reads the problem in `dir`.
///
/// # Errors
/// Names the file, the key, and what to do.
pub fn load(dir: &Path) -> Result<Project, SpecError> {
    let program = files::only(dir, INITIAL)?;
    if !dir.join(EVALUATOR).is_file() {
        return Err(SpecError::file(
            dir,
            "there is no evaluator.py; add one that defines evaluate(program_path)",
        ));
    }
    let name = files::title(dir, "problem");
    let (config_path, config) = config(dir)?;
    let mut keys = Keys { config, used: BTreeSet::new() };
    let spec = spec(&mut keys, name, &program).map_err(|error| error.within(&config_path))?;
    let workers = keys
        .whole(&["evaluator", "parallel_evaluations"], 1)
        .map_err(|error| error.within(&config_path))?
        .map(|workers| u32::try_from(workers).unwrap_or(u32::MAX));

    let mut reader = Reader::new(dir)?;
    reader.add(&program)?;
    let agent_files = reader.into_files();
    let suite_files = files::directory(dir)?;
    suites::check_files(&spec.suite, "suite", &suite_files).map_err(|error| error.within(dir))?;
    check::fits(&spec, space(&spec)?, &agent_files).map_err(|error| error.within(dir))?;
    let warnings = keys.warning(&config_path).into_iter().collect();
    Ok(Project { spec, agent_files, suite_files, workers, warnings })
}

fn config(dir: &Path) -> Result<(std::path::PathBuf, Mapping), SpecError> {
    let found = ["config.yaml", "config.yml"].map(|name| dir.join(name));
    let Some(path) = found.iter().find(|path| path.exists()) else {
        return Ok((found[0].clone(), Mapping::new()));
    };
    let text = text::read(path).map_err(|error| SpecError::unread(path, &error))?;
    match serde_yaml_ng::from_str(&text) {
        Ok(Value::Mapping(config)) => Ok((path.clone(), config)),
        Ok(Value::Null) => Ok((path.clone(), Mapping::new())),
        Ok(_) => Err(SpecError::file(path, "is no mapping of keys to values")),
        Err(error) => Err(SpecError::file(path, format!("is no YAML: {error}"))),
    }
}

fn spec(keys: &mut Keys, name: String, program: &str) -> Result<RunSpec, SpecError> {
    let iterations = keys.whole(&["max_iterations"], 1)?.unwrap_or(ITERATIONS);
    let seed = keys.whole(&["random_seed"], 0)?.unwrap_or(SEED);
    let defaults = Search::default();
    let wanted = keys.whole(&["database", "population_size"], 1)?;
    let wanted = wanted.unwrap_or(u64::from(defaults.population));
    // Theirs is the size of an archive, usually beyond the number of iterations; ours is a
    // generation, and there should be several.
    let population = wanted.min(iterations / 8).clamp(8, 1000);
    let elitism = keys.number(&["database", "elite_selection_ratio"], 0.0, 0.99)?;
    let search = Search {
        population: u32::try_from(population).unwrap_or(defaults.population),
        elitism: elitism.unwrap_or(0.1),
        ..defaults
    };
    let threshold = keys.number(&["convergence_threshold"], 0.0, f64::MAX)?;
    // Patience counts iterations; a window counts generations.
    let patience = keys.whole(&["early_stopping_patience"], 1)?;
    let stop = Stop {
        evaluations: Some(iterations + 1),
        tau: patience.map(|_| threshold.unwrap_or(0.001)),
        window: patience.map(|patience| patience.div_ceil(population)),
        ..Stop::default()
    };
    let defaults = Limits::default();
    let memory = keys.whole(&["evaluator", "memory_limit_mb"], 16)?;
    let limits = Limits {
        time: keys.number(&["evaluator", "timeout"], 0.001, 86_400.0)?.unwrap_or(TIMEOUT),
        memory_mib: memory.map_or(defaults.memory_mib, |memory| memory.min(1 << 20)),
        ..defaults
    };
    let suite = Suite {
        limits,
        ..Suite::new(
            &*name,
            Method::Python {
                evaluator: EVALUATOR.to_owned(),
                program: Some(program.to_owned()),
                cascade: keys.flag(&["evaluator", "cascade_evaluation"])?.unwrap_or(true),
                cascade_thresholds: keys
                    .numbers(&["evaluator", "cascade_thresholds"])?
                    .unwrap_or_else(|| vec![0.5, 0.75, 0.9]),
                // Their one timeout is that of each stage, as is ours.
                cascade_times: Vec::new(),
                feature_dimensions: keys
                    .names(&["database", "feature_dimensions"])?
                    .unwrap_or_else(|| vec!["complexity".to_owned(), "diversity".to_owned()]),
            },
        )
    };
    let agent = AgentSpec { files: vec![program.to_owned()], ..AgentSpec::default() };
    let params = std::collections::BTreeMap::new();
    let spec = RunSpec { name, seed: Some(seed), agent, params, search, stop, suite };
    Ok(spec)
}

/// The configuration, and which of its keys were used.
struct Keys {
    config: Mapping,
    used: BTreeSet<String>,
}

impl Keys {
    /// The value at `path`, if it is there and not null.
    fn take(&mut self, path: &[&str]) -> Option<Value> {
        self.used.insert(path.join("."));
        let (first, rest) = path.split_first()?;
        let value = rest.iter().try_fold(self.config.get(*first)?, |value, key| value.get(*key))?;
        (!value.is_null()).then(|| value.clone())
    }

    fn read<T>(
        &mut self,
        path: &[&str],
        wanted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, SpecError> {
        self.take(path).map_or(Ok(None), |value| match read(&value) {
            Some(value) => Ok(Some(value)),
            None => Err(SpecError::new(path.join("."), format!("give {wanted}"))),
        })
    }

    fn whole(&mut self, path: &[&str], min: u64) -> Result<Option<u64>, SpecError> {
        let max = i64::MAX.unsigned_abs();
        self.read(path, &format!("a whole number of at least {min}"), |value| {
            value.as_u64().filter(|number| (min..max).contains(number))
        })
    }

    fn number(&mut self, path: &[&str], min: f64, max: f64) -> Result<Option<f64>, SpecError> {
        self.read(path, &format!("a number from {min} to {max}"), |value| {
            value.as_f64().filter(|number| (min..=max).contains(number))
        })
    }

    fn flag(&mut self, path: &[&str]) -> Result<Option<bool>, SpecError> {
        self.read(path, "true or false", Value::as_bool)
    }

    fn numbers(&mut self, path: &[&str]) -> Result<Option<Vec<f64>>, SpecError> {
        self.read(path, "a list of finite numbers", |value| {
            let numbers = value.as_sequence()?.iter().map(Value::as_f64);
            numbers.collect::<Option<Vec<_>>>().filter(|all| all.iter().all(|one| one.is_finite()))
        })
    }

    fn names(&mut self, path: &[&str]) -> Result<Option<Vec<String>>, SpecError> {
        self.read(path, "a list of names", |value| {
            value.as_sequence()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        })
    }

    /// One sentence that names all keys which were set and mean nothing here.
    fn warning(&self, path: &Path) -> Option<String> {
        let mut ignored = Vec::new();
        for (section, value) in &self.config {
            let section = section.as_str().unwrap_or("?");
            match value {
                Value::Mapping(keys) if !OF_MODELS.contains(&section) => {
                    let keys = keys.keys().map(|key| key.as_str().unwrap_or("?"));
                    ignored.extend(keys.map(|key| format!("{section}.{key}")));
                }
                _ => ignored.push(section.to_owned()),
            }
        }
        ignored.retain(|key| !self.used.contains(key));
        (!ignored.is_empty()).then(|| {
            let path = path.display();
            format!("{path}: these keys have no effect here: {}", ignored.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn problem(config: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let program = "# EVOLVE-BLOCK-START\nx = 1.0\n# EVOLVE-BLOCK-END\n";
        fs::write(dir.path().join("initial_program.py"), program).unwrap();
        fs::write(dir.path().join("evaluator.py"), "def evaluate(path): return {}").unwrap();
        fs::write(dir.path().join("config.yaml"), config).unwrap();
        dir
    }

    #[test]
    fn keys_that_mean_something_are_mapped_and_the_others_named_once() {
        let dir = problem(
            "max_iterations: 100\nrandom_seed: 7\nearly_stopping_patience: 40\n\
             log_level: DEBUG\nllm:\n  models: [{name: gpt}]\n  api_key: ${KEY}\n\
             database:\n  population_size: 50\n  num_islands: 3\n  elite_selection_ratio: 0.25\n  \
             feature_dimensions: [size]\n\
             evaluator:\n  timeout: 60\n  cascade_thresholds: [0.1]\n  parallel_evaluations: 4\n\
             max_code_length: 20000\n",
        );
        let Project { spec, agent_files, suite_files, workers, warnings } =
            load(dir.path()).unwrap();
        assert_eq!((spec.seed, spec.stop.evaluations), (Some(7), Some(101)));
        assert_eq!((spec.search.population, spec.search.elitism), (12, 0.25));
        assert_eq!((spec.stop.tau, spec.stop.window), (Some(0.001), Some(4)));
        assert_eq!(spec.suite.limits.time, 60.0);
        let Method::Python { program, cascade, cascade_thresholds, feature_dimensions, .. } =
            &spec.suite.method
        else {
            panic!("{:?}", spec.suite.method);
        };
        assert_eq!(feature_dimensions, &["size"]);
        assert_eq!(program.as_deref(), Some("initial_program.py"));
        assert!(*cascade && cascade_thresholds == &[0.1]);
        assert_eq!((agent_files.len(), suite_files.len()), (1, 3));
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        let keys = warning.rsplit_once(": ").unwrap().1;
        assert_eq!(keys, "log_level, llm, database.num_islands, max_code_length");
        assert_eq!(workers, Some(4));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let fault = |dir: &Path| load(dir).unwrap_err().to_string();
        for (config, part) in [
            ("max_iterations: many", "max_iterations: give a whole number"),
            ("evaluator:\n  timeout: -1", "evaluator.timeout: give a number"),
            ("evaluator:\n  parallel_evaluations: 0", "parallel_evaluations: give a whole number"),
            ("- a\n- b", "is no mapping"),
            ("a: [", "is no YAML"),
        ] {
            let fault = fault(problem(config).path());
            assert!(fault.contains(part) && fault.contains("config.yaml"), "{fault}");
        }
        let dir = problem("");
        assert!(load(dir.path()).is_ok());
        fs::remove_file(dir.path().join("evaluator.py")).unwrap();
        assert!(is(dir.path()).unwrap() && fault(dir.path()).contains("no evaluator.py"));
        fs::write(dir.path().join("evaluator.py"), "").unwrap();
        fs::write(dir.path().join("initial_program.rs"), "").unwrap();
        assert!(fault(dir.path()).contains("more than one initial_program"));
    }
}
