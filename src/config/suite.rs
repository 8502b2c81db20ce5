//! `suite.toml`: how agents are scored, and the files that it takes.

use std::path::Path;

use serde::Deserialize as _;
use toml::{Table, Value};

use super::{
    arena, cases,
    error::SpecError,
    files::{self, Reader},
    program, table, text,
};
use crate::domain::{
    genome::FilePath,
    repeats::MOST,
    suite::{Bundle, HELD_OUT, Method, Scorer, Suite},
};

/// The kinds of suites.
const KINDS: [&str; 6] = ["arena", "builtin", "cases", "command", "python", "shinka"];
/// The most stages of a Python evaluator.
const STAGES: usize = 3;
/// The most parameters of a run, and dimensions of a function.
pub const MAX_PARAMS: usize = 10_000;

/// Reads a suite from `suite.toml`, or from the directory that holds it.
///
/// # Errors
/// Names the file, the field, and what to do.
pub fn load(path: &Path) -> Result<(Suite, Bundle), SpecError> {
    let inside = path.join("suite.toml");
    let path = if path.is_dir() { inside.as_path() } else { path };
    let text = text::read(path).map_err(|error| SpecError::unread(path, &error))?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let own = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = stem(path, dir);
    table::parse(&text)
        .and_then(|suite| {
            let (suite, named) = read(suite, "", &name)?;
            let files = bundle(&suite, &named, dir, &[own])?;
            check_files(&suite, "", &files)?;
            Ok((suite, files))
        })
        .map_err(|error| error.within(path))
}

/// Reads a suite from text that was checked and inlined before; it names no files.
///
/// # Errors
/// Names the field and what to do.
pub fn parse(text: &str) -> Result<Suite, SpecError> {
    table::parse(text).and_then(|suite| read(suite, "", "suite")).map(|(suite, _)| suite)
}

/// `suite` as text that [`parse`] reads.
///
/// # Errors
/// If a value has no counterpart in TOML.
pub fn to_toml(suite: &Suite) -> Result<String, SpecError> {
    toml::to_string(suite).map_err(|error| SpecError::new("suite", error.to_string()))
}

/// What users call a suite that has no name: its directory's, or its file's.
fn stem(path: &Path, dir: &Path) -> String {
    let dir = dir.canonicalize().ok();
    let name = if path.ends_with("suite.toml") { dir.as_deref() } else { Some(path) };
    let name = name.and_then(Path::file_stem).and_then(|name| name.to_str());
    name.unwrap_or("suite").to_owned()
}

/// The suite in `suite`, and the files that it lists.
pub(super) fn read(
    mut suite: Table,
    place: &str,
    name: &str,
) -> Result<(Suite, Vec<String>), SpecError> {
    let own: &[&str] = match suite.get("kind").and_then(Value::as_str) {
        Some("builtin") => &["function", "dimensions"],
        Some("cases") => &cases::KEYS,
        Some("arena") => &arena::KEYS,
        Some("command") => &["argv", "build"],
        Some("python") => &[
            "evaluator",
            "program",
            "cascade",
            "cascade_thresholds",
            "cascade_times",
            "feature_dimensions",
        ],
        Some("shinka") => &["evaluator", "program", "args"],
        Some(other) => {
            let hint = text::hint(other, &KINDS);
            return Err(fault(place, "kind", format!("there is no kind “{other}”; {hint}")));
        }
        None => {
            let what = format!("is missing; give one of {}", KINDS.join(", "));
            return Err(fault(place, "kind", what));
        }
    };
    let common = ["name", "kind", "objectives", "limits", "models", "files", "repeats", "confirm"];
    table::known(&suite, place, &[&common, own].concat())?;
    let files = match suite.remove("files") {
        None => Vec::new(),
        Some(files) => Vec::<String>::deserialize(files)
            .map_err(|error| fault(place, "files", error.message()))?,
    };
    let objectives = match suite.get("objectives") {
        Some(Value::Array(objectives)) => objectives.as_slice(),
        _ => &[],
    };
    for (at, objective) in objectives.iter().enumerate() {
        let place = table::below(place, &format!("objectives[{at}]"));
        let objective = table::as_table(objective.clone(), &place)?;
        table::known(&objective, &place, &["name", "goal", "weight", "gate"])?;
        table::typed::<crate::domain::objective::Objective>(&objective, &place)?;
    }
    program::known_limits(suite.get("limits"), &table::below(place, "limits"))?;
    program::known_build(suite.get("build"), &table::below(place, "build"))?;
    if suite.get("kind").and_then(Value::as_str) == Some("cases") {
        cases::known(&suite, place)?;
        cases::inherit(&mut suite);
    }
    suite.entry("name").or_insert_with(|| Value::from(name));
    let suite: Suite = table::typed(&suite, place)?;
    check(&suite, place)?;
    Ok((suite, files))
}

/// The files of a suite in `dir`: those that it lists, else all but `not` and its README.
pub(super) fn bundle(
    suite: &Suite,
    named: &[String],
    dir: &Path,
    not: &[&str],
) -> Result<Bundle, SpecError> {
    if matches!(suite.method, Method::Builtin { .. }) {
        return Ok(Bundle::new());
    }
    if named.is_empty() {
        let mut files = files::directory(dir)?;
        files.retain(|path, _| !not.contains(&path.as_str()) && path.as_str() != "README.md");
        return Ok(files);
    }
    let mut reader = Reader::new(dir)?;
    for path in named {
        reader.add(path)?;
    }
    Ok(reader.into_files())
}

fn fault(place: &str, key: &str, what: impl Into<String>) -> SpecError {
    SpecError::new(table::below(place, key), what)
}

/// Whether all values are in their bounds.
fn check(suite: &Suite, place: &str) -> Result<(), SpecError> {
    let fault = |key: &str, what: &str| Err(fault(place, key, what));
    program::check_limits(&suite.limits, &table::below(place, "limits"))?;
    if !(1..=MOST).contains(&suite.repeats) {
        return fault("repeats", &format!("give 1 to {MOST}"));
    }
    if suite.confirm > MOST - suite.repeats {
        return fault("confirm", &format!("with repeats, at most {MOST} are possible"));
    }
    let objectives = suite.objectives();
    for (at, objective) in objectives.iter().enumerate() {
        let key = |name: &str| format!("objectives[{at}].{name}");
        let again = objectives[..at].iter().any(|other| other.name == objective.name);
        if objective.name.is_empty() || again {
            return fault(&key("name"), "must be there, and no other objective's");
        }
        if !(objective.weight >= 0.0 && objective.weight.is_finite()) {
            return fault(&key("weight"), "must be a number of at least 0");
        }
        if objective.gate.is_some_and(|gate| !gate.is_finite()) {
            return fault(&key("gate"), "must be a finite number");
        }
    }
    if objectives.iter().all(|objective| objective.weight == 0.0) {
        return fault("objectives", "all have weight 0, so nothing is selected; give one a weight");
    }
    match &suite.method {
        Method::Builtin { dimensions, .. } => {
            if suite.models {
                return fault("models", "a builtin suite runs nothing that could ask one");
            }
            if *dimensions == 0 || *dimensions as usize > MAX_PARAMS {
                return fault("dimensions", &format!("give 1 to {MAX_PARAMS}"));
            }
            if objectives.len() != 1 || objectives[0].name != "score" {
                return fault("objectives", "a builtin suite has one objective, named “score”");
            }
        }
        Method::Cases(cases) => cases::check(cases, &objectives, place)?,
        Method::Arena(arena) => arena::check(arena, place)?,
        Method::Command { argv, build } => {
            program::check_argv(argv, &table::below(place, "argv"))?;
            program::check_build(build.as_ref(), &table::below(place, "build"))?;
        }
        Method::Shinka { evaluator, program, args } => {
            paths(place, evaluator, program.as_ref())?;
            if !are_arguments(args) {
                return fault("args", ARGUMENTS);
            }
        }
        Method::Python {
            evaluator, program, cascade, cascade_thresholds, cascade_times, ..
        } => {
            paths(place, evaluator, program.as_ref())?;
            if !cascade && !cascade_times.is_empty() {
                return fault("cascade_times", "there are no stages without cascade; leave it out");
            }
            if cascade_times.len() > STAGES {
                return fault("cascade_times", "give at most 3, one for each stage");
            }
            if !cascade_times.iter().all(|time| program::is_time(*time)) {
                return fault("cascade_times", program::TIME);
            }
            if cascade_thresholds.iter().any(|threshold| !threshold.is_finite()) {
                return fault("cascade_thresholds", "must be finite numbers");
            }
        }
    }
    Ok(())
}

const ARGUMENTS: &str = "give at most 256 arguments of at most 4096 bytes";

fn are_arguments(list: &[String]) -> bool {
    list.len() <= 256 && list.iter().all(|arg| arg.len() <= 4096 && !arg.contains('\0'))
}

fn paths(place: &str, evaluator: &str, program: Option<&String>) -> Result<(), SpecError> {
    for (key, path) in [("evaluator", Some(evaluator)), ("program", program.map(String::as_str))] {
        if let Some(Err(error)) = path.map(FilePath::new) {
            return Err(fault(place, key, error.to_string()));
        }
    }
    Ok(())
}

/// Whether the files that `suite` names are among `files`.
///
/// # Errors
/// Names the field and the file that is missing.
pub fn check_files(suite: &Suite, place: &str, files: &Bundle) -> Result<(), SpecError> {
    match &suite.method {
        Method::Builtin { .. } => Ok(()),
        Method::Cases(own) => {
            if let Scorer::Command { argv } = &own.scorer {
                program::check_files(argv, &table::below(place, "scorer.argv"), files)?;
            }
            let none = cases::read(own, place, files)?.held_out.is_empty();
            let named = suite.objectives.iter().any(|objective| objective.name == HELD_OUT);
            if none && named {
                let what = format!("name {HELD_OUT}, but no case is held out; give held_out");
                return Err(fault(place, "objectives", what));
            }
            Ok(())
        }
        Method::Command { argv, .. } => {
            program::check_files(argv, &table::below(place, "argv"), files)
        }
        Method::Arena(arena) => arena::check_files(arena, place, files),
        Method::Python { evaluator, .. } | Method::Shinka { evaluator, .. }
            if program::has(files, evaluator) =>
        {
            Ok(())
        }
        Method::Python { evaluator, .. } | Method::Shinka { evaluator, .. } => {
            Err(program::absent(&table::below(place, "evaluator"), evaluator))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{genome::File, suite::Limits};

    const STAGED: &str = "name = \"s\"\nkind = \"cases\"\nargv = [\"x\"]\n\
                          limits = { time = 9, memory_mib = 99 }\n";

    #[test]
    fn limits_of_a_stage_that_are_not_named_are_those_of_the_suite() {
        let text = "stages = [{ cases = \"a\", limits = { time = 1 } }, { cases = \"b\" }]\n";
        let suite = parse(&format!("{STAGED}{text}")).unwrap();
        let Method::Cases(cases) = &suite.method else { panic!("{suite:?}") };
        let own = Limits { time: 1.0, memory_mib: 99, ..Limits::default() };
        assert_eq!(cases.stages[0].limits, Some(own));
        assert_eq!(cases.stages[1].limits, None);
        assert_eq!(parse(&to_toml(&suite).unwrap()).unwrap(), suite);
    }

    #[test]
    fn mistakes_in_the_limits_of_stages_name_the_field() {
        let python = "kind = \"python\"\nevaluator = \"e.py\"\n";
        for (text, said) in [
            (format!("{python}cascade_times = [1, 0]"), "cascade_times: must lie above 0"),
            (format!("{python}cascade_times = [1, 1, 1, 1]"), "cascade_times: give at most 3"),
            (format!("{python}cascade = false\ncascade_times = [1]"), "no stages without cascade"),
            (format!("{python}cascade_times = 1"), "cascade_times: invalid type"),
            (
                format!("{STAGED}stages = [{{ cases = \"a\", limits = {{ tiem = 1 }} }}]"),
                "stages[0].limits.tiem: no such key; did you mean “time”?",
            ),
            (
                format!("{STAGED}stages = [{{ cases = \"a\", limits = {{ memory_mib = 1 }} }}]"),
                "stages[0].limits.memory_mib: 1 is out of bounds",
            ),
        ] {
            let fault = parse(&text).unwrap_err().to_string();
            assert!(fault.contains(said), "{text}: {fault}");
        }
    }

    const ARENA: &str = "kind = \"arena\"\nname = \"s\"\nargv = [\"./play\"]\n\
                         referee = [\"{suite}/referee\"]\n";

    #[test]
    fn what_is_not_said_is_two_players_who_meet_twice_each() {
        let suite = parse(&format!("{ARENA}opponents = [\"a\", \"b/c\"]")).unwrap();
        let Method::Arena(arena) = &suite.method else { panic!("{suite:?}") };
        assert_eq!((arena.players, arena.matches, arena.rounds), (2, 2, None));
        assert_eq!(suite.objectives()[0].name, "win_rate");
        assert_eq!(parse(&to_toml(&suite).unwrap()).unwrap(), suite);
    }

    #[test]
    fn mistakes_name_the_field_and_what_it_may_be() {
        for (text, said) in [
            ("", "opponents"),
            ("opponents = []", "opponents: give 1 to 64"),
            ("opponents = [\"a\"]\nplayers = 3", "opponents: give 2 to 64"),
            ("opponents = [\"a\"]\nplayers = 1", "players: give 2 to 8"),
            ("opponents = [\"../a\"]", "opponents[0]"),
            ("opponents = [\"a/x\", \"b/x\"]", "opponents[1]: has the name of another one"),
            ("opponents = [\"a\"]\nmatches = 0", "matches: give 1 to 100"),
            ("opponents = [\"a\"]\nrounds = 1", "rounds: belongs to schedule"),
            ("opponents = [\"a\"]\nschedule = \"swiss\"", "rounds: give 1 to 1"),
            ("opponents = [\"a\"]\nschedule = \"swiss\"\nrounds = 2", "some would meet again"),
            (
                "opponents = [\"a\", \"b\"]\nplayers = 3\nschedule = \"swiss\"\nrounds = 1",
                "schedule: a Swiss system is for two players",
            ),
            ("opponents = [\"a\"]\nschedule = \"cup\"", "unknown variant `cup`"),
            ("opponents = [\"a\"]\nopponent = 1", "opponent: no such key"),
        ] {
            let fault = parse(&format!("{ARENA}{text}")).unwrap_err().to_string();
            assert!(fault.contains(said), "{text}: {fault}");
        }
        let suite = parse(&format!("{ARENA}opponents = [\"a\"]")).unwrap();
        let mut files = Bundle::new();
        let file = File { bytes: "x".into(), executable: true };
        files.insert(FilePath::new("referee").unwrap(), file.clone());
        let fault = check_files(&suite, "", &files).unwrap_err().to_string();
        assert!(fault.contains("there is no directory a with files"), "{fault}");
        files.insert(FilePath::new("a/play").unwrap(), file);
        check_files(&suite, "", &files).unwrap();
    }
}
