//! `darwin.toml`: a run specification with its suite, its parameters and its files.

use std::path::Path;

use toml::{Table, Value};

use super::{check, error::SpecError, files::Reader, openevolve, shinka, suite, table, text};
use crate::domain::{
    genome::{FilePath, MAX_PATH},
    spec::{AgentSpec, OperatorSpec, RunSpec, Search, Selection, Stop},
    suite::Bundle,
};

pub use super::{files::Project, space::space};

/// The generations of a run whose spec has no stop rule.
pub const DEFAULT_GENERATIONS: u64 = 200;

/// Reads a project: a `darwin.toml`, the directory of one, or the directory of an
/// OpenEvolve problem or a ShinkaEvolve task.
///
/// # Errors
/// Names the file, the field, and what to do.
pub fn load(path: &Path) -> Result<Project, SpecError> {
    if !path.is_dir() {
        return project(path);
    }
    let spec = path.join("darwin.toml");
    // What may not be looked into is not empty.
    if spec.try_exists().map_err(|error| SpecError::unread(path, &error))? {
        project(&spec)
    } else if openevolve::is(path)? {
        openevolve::load(path)
    } else if shinka::is(path)? {
        shinka::load(path)
    } else {
        Err(SpecError::file(
            path,
            "there is neither a darwin.toml nor an OpenEvolve problem (initial_program.* and \
             evaluator.py) nor a ShinkaEvolve task (initial.* and evaluate.py) here; write a \
             darwin.toml, or name another directory",
        ))
    }
}

fn project(path: &Path) -> Result<Project, SpecError> {
    let text = text::read(path).map_err(|error| SpecError::unread(path, &error))?;
    let dir = path.parent().unwrap_or(Path::new(""));
    let full = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let name = full.file_name().and_then(|name| name.to_str()).unwrap_or("run");
    let own = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let mut run = table::parse(&text).map_err(|error| error.within(path))?;
    run.entry("name").or_insert_with(|| Value::from(name));
    // A suite beside the spec speaks for itself in its errors.
    let elsewhere = match run.get("suite") {
        Some(Value::String(file)) => {
            let inside = Path::new(file).is_relative() && !file.split('/').any(|part| part == "..");
            if !inside || file.len() > MAX_PATH {
                let what = format!("“{file}”: give a path below the directory of this file");
                return Err(SpecError::new("suite", what).within(path));
            }
            Some(suite::load(&dir.join(file))?)
        }
        _ => None,
    };
    let read = || {
        let (spec, listed, suite_files) = match elsewhere {
            Some((suite, files)) => {
                run.insert("suite".to_owned(), Value::try_from(&suite).map_err(unwritable)?);
                (read(run)?.0, Vec::new(), Some(files))
            }
            None => {
                let (spec, listed) = read(run)?;
                (spec, listed, None)
            }
        };
        let mut reader = Reader::new(dir)?;
        for file in &spec.agent.files {
            reader.add(file)?;
        }
        let agent_files = reader.into_files();
        let suite_files = match suite_files {
            Some(files) => files,
            None => {
                let agent = agent_files.keys().map(FilePath::as_str);
                let not: Vec<_> = agent.chain([own]).collect();
                suite::bundle(&spec.suite, &listed, dir, &not)?
            }
        };
        check_files(&spec, &agent_files, &suite_files)?;
        Ok(Project { spec, agent_files, suite_files, workers: None, warnings: Vec::new() })
    };
    read().map_err(|error: SpecError| error.within(path))
}

/// Reads a spec that was sent: its suite is inline. Where no stop rule is given, it stops
/// after [`DEFAULT_GENERATIONS`].
///
/// # Errors
/// Names the field and what to do.
pub fn parse(text: &str) -> Result<RunSpec, SpecError> {
    let mut run = table::parse(text)?;
    run.entry("name").or_insert_with(|| Value::from("run"));
    let (mut spec, _) = read(run)?;
    let Stop { generations, evaluations, time, target, tau, window: _ } = &spec.stop;
    if generations.is_none()
        && evaluations.is_none()
        && time.is_none()
        && target.is_none()
        && tau.is_none()
    {
        spec.stop.generations = Some(DEFAULT_GENERATIONS);
    }
    Ok(spec)
}

/// `spec` as text that [`parse`] reads.
///
/// # Errors
/// If a value has no counterpart in TOML: a seed of 2⁶³ or more.
pub fn to_toml(spec: &RunSpec) -> Result<String, SpecError> {
    toml::to_string(spec).map_err(unwritable)
}

fn unwritable(error: toml::ser::Error) -> SpecError {
    SpecError::new("spec", format!("{error}; a seed must be below 2⁶³"))
}

/// Whether the files that `spec` needs are there, and each operator has something to work on.
///
/// # Errors
/// Names the field and what is missing.
pub fn check_files(spec: &RunSpec, agent: &Bundle, suite: &Bundle) -> Result<(), SpecError> {
    suite::check_files(&spec.suite, "suite", suite)?;
    check::hides(&spec.suite, agent, suite)?;
    check::fits(spec, space(spec)?, agent)
}

/// What stands in no section.
#[derive(serde::Deserialize)]
struct Head {
    name: String,
    seed: Option<u64>,
}

/// The spec in `run`, and the files that its suite lists.
fn read(mut run: Table) -> Result<(RunSpec, Vec<String>), SpecError> {
    table::known(&run, "", &["name", "seed", "agent", "params", "search", "stop", "suite"])?;
    let agent = table::section(&mut run, "agent", "")?;
    table::known(&agent, "agent", &["files", "model", "template"])?;
    let agent: AgentSpec = table::typed(&agent, "agent")?;
    let params = super::space::params(table::section(&mut run, "params", "")?)?;
    let search = search(table::section(&mut run, "search", "")?)?;
    let stop = table::section(&mut run, "stop", "")?;
    let known = ["generations", "evaluations", "time", "target", "tau", "window"];
    table::known(&stop, "stop", &known)?;
    let stop: Stop = table::typed(&stop, "stop")?;
    let Some(suite) = run.remove("suite") else {
        return Err(SpecError::new(
            "suite",
            "is missing; write a table [suite], or suite = \"suite.toml\"",
        ));
    };
    let suite = table::as_table(suite, "suite")?;
    let Head { name, seed } = table::typed(&run, "")?;
    if name.is_empty() || name.len() > 200 || name.contains(char::is_control) {
        return Err(SpecError::new("name", "give 1 to 200 printable characters"));
    }
    let (suite, listed) = suite::read(suite, "suite", &name)?;
    let spec = RunSpec { name, seed, agent, params, search, stop, suite };
    space(&spec)?;
    Ok((spec, listed))
}

fn search(mut search: Table) -> Result<Search, SpecError> {
    let known = ["mode", "population", "elitism", "selection", "operators"];
    table::known(&search, "search", &known)?;
    let place = "search.selection";
    let selection = table::section(&mut search, "selection", "search")?;
    let own: &[&str] = match selection.get("kind").and_then(Value::as_str) {
        Some("tournament") => &["kind", "size"],
        Some("rank") => &["kind", "pressure"],
        _ => &["kind"],
    };
    table::known(&selection, place, own)?;
    let selection: Selection =
        if selection.is_empty() { Selection::default() } else { table::typed(&selection, place)? };
    let operators = match search.remove("operators") {
        None => Vec::new(),
        Some(Value::Array(operators)) => operators,
        Some(_) => {
            return Err(SpecError::new(
                "search.operators",
                "is a list: write [[search.operators]]",
            ));
        }
    };
    let operators = operators.into_iter().enumerate().map(|(at, value)| operator(at, value));
    let operators = operators.collect::<Result<Vec<_>, _>>()?;
    let search = Search { selection, operators, ..table::typed(&search, "search")? };
    Ok(search)
}

fn operator(at: usize, value: Value) -> Result<OperatorSpec, SpecError> {
    let place = format!("search.operators[{at}]");
    // A name alone stands for the operator with its defaults.
    let operator = match value {
        Value::String(name) => Table::from_iter([("name".to_owned(), Value::from(name))]),
        other => table::as_table(other, &place)?,
    };
    let own: &[&str] = match operator.get("name").and_then(Value::as_str) {
        Some("gaussian") => &["sigma", "rate"],
        Some("polynomial") => &["eta", "rate"],
        Some("differential-evolution") => &["f", "cr", "best"],
        Some("constant-tweak" | "cma-es") => &["sigma"],
        _ => &[],
    };
    table::known(&operator, &place, &[&["name", "weight"], own].concat())?;
    table::typed(&operator, &place)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::{genome::Kind, suite::Method};

    const SPHERE: &str = "[suite]\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 3\n";

    fn write(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn a_few_lines_are_enough_and_survive_the_journey() {
        let dir = write(&[("darwin.toml", SPHERE)]);
        let project = load(dir.path()).unwrap();
        assert_eq!(project.spec.search, Search::default());
        let text = to_toml(&project.spec).unwrap();
        let spec = parse(&text).unwrap();
        assert_eq!(spec.stop.generations, Some(DEFAULT_GENERATIONS));
        assert_eq!(RunSpec { stop: Stop::default(), ..spec.clone() }, project.spec);
        let space = space(&spec).unwrap();
        assert_eq!(space.params.len(), 3);
        assert!(matches!(space.params[0].kind, Kind::Real { min, .. } if min < 0.0));
    }

    #[test]
    fn everything_a_spec_can_say_survives_the_journey() {
        let suite = "kind = \"python\"\nevaluator = \"score.py\"\nprogram = \"agent/a.py\"\n\
                     [[objectives]]\nname = \"speed\"\ngoal = \"minimize\"\nweight = 2\ngate = 10\n\
                     [limits]\ntime = 5\n";
        let dir = write(&[
            (
                "darwin.toml",
                "name = \"all\"\nseed = 7\nsuite = \"bench/suite.toml\"\n\
                 [agent]\nfiles = [\"agent\"]\nmodel = \"m\"\n\
                 [params.lr]\ntype = \"real\"\nmin = 1e-5\nmax = 1\nlog = true\ninit = 0.1\n\
                 [params.n]\ntype = \"integer\"\nmin = 1\nmax = 9\ncount = 2\ninit = [1, 9]\n\
                 [params.how]\ntype = \"categorical\"\nchoices = [\"a\", \"b\"]\ninit = \"b\"\n\
                 [search]\nmode = \"steady-state\"\npopulation = 8\nelitism = 0\n\
                 selection = { kind = \"rank\", pressure = 1.5 }\n\
                 operators = [\"uniform\", { name = \"gaussian\", sigma = 0.2, weight = 3 }]\n\
                 [stop]\ntau = 0.01\nwindow = 5\ntime = 60\n",
            ),
            ("bench/suite.toml", suite),
            ("bench/score.py", ""),
            ("bench/README.md", ""),
            ("agent/a.py", "x"),
        ]);
        let project = load(&dir.path().join("darwin.toml")).unwrap();
        assert_eq!(parse(&to_toml(&project.spec).unwrap()).unwrap(), project.spec);
        let space = space(&project.spec).unwrap();
        let params: Vec<_> =
            space.params.iter().map(|param| (param.name.as_str(), param.init)).collect();
        let expected = [("how", 1.0), ("lr", 0.1), ("n0", 1.0), ("n1", 9.0)];
        assert_eq!(params, expected.map(|(name, init)| (name, Some(init))));
        assert_eq!(project.agent_files.keys().next().unwrap().as_str(), "agent/a.py");
        assert_eq!(project.suite_files.keys().next().unwrap().as_str(), "score.py");
        assert_eq!(project.suite_files.len(), 1);
        assert_eq!(project.spec.suite.name, "bench");
        assert!(matches!(project.spec.suite.method, Method::Python { cascade: true, .. }));
    }

    #[test]
    fn files_beside_an_inline_suite_are_its_own_unless_they_are_the_agents() {
        let spec = "[agent]\nfiles = [\"p.txt\"]\n[suite]\nkind = \"command\"\n\
                    argv = [\"python3\", \"{suite}/score.py\", \"{agent}\"]\n";
        let dir = write(&[
            ("darwin.toml", spec),
            ("p.txt", "prompt"),
            ("score.py", ""),
            ("data/cases.jsonl", ""),
            ("README.md", ""),
        ]);
        let project = load(dir.path()).unwrap();
        let names: Vec<_> = project.suite_files.keys().map(FilePath::as_str).collect();
        assert_eq!(names, ["data/cases.jsonl", "score.py"]);
        let listed = spec.to_owned() + "files = [\"score.py\"]\n";
        fs::write(dir.path().join("darwin.toml"), listed).unwrap();
        assert_eq!(load(dir.path()).unwrap().suite_files.len(), 1);
    }

    /// That a spec with this text, beside an agent's file and cases, is refused with that.
    fn assert_fault(text: &str, parts: &str) {
        let case = "{\"input\": \"x\", \"expected\": \"y\"}";
        let dir = write(&[("darwin.toml", text), ("a.py", case), ("c.jsonl", case)]);
        let fault = load(dir.path()).expect_err(text).to_string();
        let named = fault.starts_with(dir.path().to_str().unwrap());
        assert!(fault.contains(parts) && named, "{fault}");
    }

    #[test]
    fn mistakes_in_a_suite_of_cases_name_the_field_and_the_way_out() {
        let cases = "[agent]\nfiles = [\"a.py\"]\n\
                     [suite]\nkind = \"cases\"\nargv = [\"x\"]\ncases = \"c.jsonl\"\n";
        for (text, parts) in [
            (&cases.to_owned(), "the file of cases “c.jsonl”"),
            (&format!("{cases}scorer = {{ kind = \"fuzy\" }}\n"), "suite.scorer.kind: there"),
            (&format!("{cases}scorer = {{ kind = \"exact\", tirm = 1 }}\n"), "suite.scorer.tirm"),
            (
                &format!("{cases}scorer = {{ kind = \"numeric\", absolute = -1 }}\n"),
                "suite.scorer: absolute",
            ),
            (
                &format!("{cases}scorer = {{ kind = \"command\", argv = [\"{{agent}}\"] }}\n"),
                "never sees",
            ),
            (&format!("{cases}attempts = 0\n"), "suite.attempts: give 1 to"),
            (&format!("{cases}protocol = \"grpc\"\n"), "suite.protocol: unknown variant"),
            (&format!("{cases}held_out = \"no.jsonl\"\n"), "suite.held_out: there is no file"),
            (
                &format!("{cases}stages = [{{ cases = \"c.jsonl\" }}]\n"),
                "suite.stages: stand instead",
            ),
            (&format!("{cases}[suite.build]\nargv = []\n"), "suite.build.argv: is empty"),
            (
                &format!("{cases}[suite.build]\nargv = [\"{{suite}}/x\"]\n"),
                "suite.build.argv: names {suite}",
            ),
            (
                &format!("{cases}[suite.build]\nargv = [\"x\"]\nlimits = {{ tiem = 1 }}\n"),
                "did you mean “time”?",
            ),
            (
                &format!("{cases}[suite.build]\nargv = [\"x\"]\nlimits = {{ time = 0 }}\n"),
                "suite.build.limits.time: must",
            ),
            (
                &format!("{cases}[[suite.objectives]]\nname = \"acuracy\"\n"),
                "did you mean “accuracy”?",
            ),
            (
                &format!(
                    "{cases}[[suite.objectives]]\nname = \"accuracy\"\n[[suite.objectives]]\nname = \"held_out_accuracy\"\n"
                ),
                "nothing may be selected",
            ),
            (
                &format!(
                    "{cases}[[suite.objectives]]\nname = \"accuracy\"\n[[suite.objectives]]\nname = \"held_out_accuracy\"\nweight = 0\n"
                ),
                "no case is held out",
            ),
        ] {
            assert_fault(text, parts);
        }
    }

    #[test]
    fn mistakes_name_the_file_the_field_and_the_way_out() {
        let files = "[agent]\nfiles = [\"a.py\"]\n";
        let real = "[params.x]\ntype = \"real\"\nmin = 0\nmax = 1\n";
        for (text, parts) in [
            ("seed = ", "line 1"),
            ("nmae = \"x\"", "nmae: no such key; did you mean “name”?"),
            ("seed = 1", "suite: is missing"),
            ("suite = 3", "suite: is of type integer"),
            ("suite = \"../suite.toml\"", "suite: “../suite.toml”"),
            ("suite = \"gone.toml\"", "gone.toml: cannot be read"),
            (&format!("seed = -1\n{SPHERE}"), "seed: invalid value"),
            (&format!("[search]\npopulation = 1\n{SPHERE}"), "search.population: 1 is not between"),
            (&format!("[search]\npopulation = \"x\"\n{SPHERE}"), "search.population: invalid type"),
            (&format!("[search]\npopluation = 1\n{SPHERE}"), "did you mean “population”?"),
            (&format!("[search]\nelitism = 1.0\n{SPHERE}"), "search.elitism: a share from 0"),
            (
                &format!(
                    "[search]\npopulation = 3\noperators = [\"differential-evolution\"]\n{SPHERE}"
                ),
                "search.population: differential evolution needs at least 4",
            ),
            (
                &format!("[[search.operators]]\nname = \"gaussian\"\nsigma = -1\n{SPHERE}"),
                "search.operators[0] (gaussian): its sigma",
            ),
            (
                &format!("[[search.operators]]\nname = \"gaussian\"\nsgima = 1\n{SPHERE}"),
                "search.operators[0].sgima: no such key; did you mean “sigma”?",
            ),
            (
                &format!("[[search.operators]]\nname = \"gauss\"\n{SPHERE}"),
                "search.operators[0].name: unknown variant",
            ),
            (
                &format!("[search.selection]\nkind = \"rank\"\npressure = 3\n{SPHERE}"),
                "search.selection.pressure: 1 to 2",
            ),
            (&format!("[stop]\ntime = 0\n{SPHERE}"), "stop.time: "),
            (&format!("[stop]\nwindow = 9\n{SPHERE}"), "stop.window: is the window of tau"),
            (&format!("{SPHERE}bogus = 1\n"), "suite.bogus: no such key"),
            (&SPHERE.replace("sphere", "sphare"), "did you mean “sphere”?"),
            (&SPHERE.replace("dimensions = 3", "dimensions = 0"), "suite.dimensions: give 1 to"),
            (&format!("{SPHERE}{real}"), "params: suite"),
            (&format!("{SPHERE}{real}count = 3\ninit = 2\n"), "params.x: init: 2 is not a value"),
            (&format!("{SPHERE}{real}count = 3\ninit = [0]\n"), "params.x: init: holds 1 values"),
            (&format!("{SPHERE}{real}log = true\n"), "params.x: log: needs a min above 0"),
            (&format!("{SPHERE}[params.x]\ntype = \"reel\"\n"), "params.x.type: give “real”"),
            (
                &format!("{SPHERE}[suite.limits]\ntime = -1\n"),
                "suite.limits.time: must lie above 0",
            ),
            (
                &format!("{files}[suite]\nkind = \"python\"\nevaluator = \"e.py\"\n"),
                "suite.evaluator: there is no file “e.py”",
            ),
            (
                &format!("{files}[suite]\nkind = \"command\"\nargv = [\"{{suite}}/s.py\"]\n"),
                "suite.argv: there is no file “s.py”",
            ),
            (
                "[agent]\nfiles = [\"b.py\"]\n[suite]\nkind = \"command\"\nargv = [\"true\"]\n",
                "b.py: there is no such file",
            ),
            ("[suite]\nkind = \"command\"\nargv = [\"true\"]\n", "there is nothing to evolve"),
            (
                &format!(
                    "{files}[suite]\nkind = \"command\"\nargv = [\"true\"]\n\
                     [search]\noperators = [\"constant-tweak\"]\n"
                ),
                "search.operators[0] (constant-tweak): ",
            ),
        ] {
            assert_fault(text, parts);
        }
        let fault = load(tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
        assert!(fault.contains("neither a darwin.toml nor"), "{fault}");
    }
}
