//! Suites of cases: their settings, and the files that hold the cases, a JSON object a line.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;
use toml::{Table, Value as Toml};

use super::{error::SpecError, program, table, text};
use crate::domain::{
    answer::Check,
    genome::FilePath,
    objective::Objective,
    suite::{ACCURACY, Bundle, Cases, HELD_OUT, Scorer, Stage},
};

/// The most cases of a suite.
const MAX_CASES: usize = 10_000;
/// The longest line in a file of cases, in bytes.
const MAX_LINE: usize = 1 << 20;
/// The most attempts at each case.
const MAX_ATTEMPTS: u32 = 100;
/// The most stages.
const MAX_STAGES: usize = 16;
/// The longest id of a case, in characters.
const MAX_ID: usize = 100;
/// The keys of such a suite, beside those of all suites.
pub(super) const KEYS: [&str; 8] =
    ["argv", "cases", "stages", "held_out", "protocol", "scorer", "attempts", "build"];

/// A case, made ready.
#[derive(Debug, Clone)]
pub struct Case {
    /// What results call it.
    pub id: String,
    /// What the agent's program gets.
    pub input: Value,
    /// How its answer is scored.
    pub check: Check,
    /// Its share in the accuracy.
    pub weight: f64,
}

/// All cases of a suite.
#[derive(Debug, Clone, Default)]
pub struct CaseSet {
    /// The cases of each stage, and what accuracy the next one asks for.
    pub stages: Vec<(Vec<Case>, f64)>,
    /// Those that nobody who changes an agent may see.
    pub held_out: Vec<Case>,
}

/// The names of the metrics that such a suite measures.
#[must_use]
pub fn metrics(cases: &Cases) -> Vec<String> {
    let several = if cases.attempts > 1 { cases.attempts } else { 0 };
    let at_k = (1..=several).map(|k| format!("pass@{k}"));
    [ACCURACY, "passed", "total", HELD_OUT].map(str::to_owned).into_iter().chain(at_k).collect()
}

/// Refuses unknown keys and wrong types in what `suite` says of its cases.
pub(super) fn known(suite: &Table, place: &str) -> Result<(), SpecError> {
    if let Some(Toml::Array(stages)) = suite.get("stages") {
        for (at, stage) in stages.iter().enumerate() {
            let place = table::below(place, &format!("stages[{at}]"));
            let stage = table::as_table(stage.clone(), &place)?;
            table::known(&stage, &place, &["cases", "threshold", "limits"])?;
            program::known_limits(stage.get("limits"), &table::below(&place, "limits"))?;
            table::typed::<Stage>(&stage, &place)?;
        }
    }
    if let Some(scorer) = suite.get("scorer") {
        known_scorer(scorer, &table::below(place, "scorer"))?;
    }
    // By itself, so that the field to blame is known.
    let own = suite.iter().filter(|(key, _)| KEYS.contains(&key.as_str()));
    let own: Table = own.map(|(key, value)| (key.clone(), value.clone())).collect();
    table::typed::<Cases>(&own, place).map(drop)
}

/// Completes the limits of stages that have some of their own by those of the suite.
pub(super) fn inherit(suite: &mut Table) {
    let common = suite.get("limits").and_then(Toml::as_table).cloned().unwrap_or_default();
    let stages = suite.get_mut("stages").and_then(Toml::as_array_mut);
    for stage in stages.into_iter().flatten() {
        if let Some(Toml::Table(own)) = stage.get_mut("limits") {
            let own_only = std::mem::replace(own, common.clone());
            own.extend(own_only);
        }
    }
}

fn known_scorer(scorer: &Toml, place: &str) -> Result<(), SpecError> {
    let scorer = table::as_table(scorer.clone(), place)?;
    let own: &[&str] = match scorer.get("kind").and_then(Toml::as_str) {
        Some("exact") => &["trim"],
        Some("regex") => &["full"],
        Some("numeric") => &["absolute", "relative"],
        Some("json") => &[],
        Some("command") => &["argv"],
        other => {
            let kinds = ["exact", "regex", "numeric", "json", "command"];
            let what = match other {
                None => format!("is missing; known are: {}", kinds.join(", ")),
                Some(other) => {
                    format!("there is no scorer “{other}”; {}", text::hint(other, &kinds))
                }
            };
            return Err(SpecError::new(table::below(place, "kind"), what));
        }
    };
    table::known(&scorer, place, &[&["kind"], own].concat())?;
    table::typed::<Scorer>(&scorer, place).map(drop)
}

/// Whether all settings are in their bounds.
pub(super) fn check(cases: &Cases, objectives: &[Objective], place: &str) -> Result<(), SpecError> {
    let at = |key: &str| table::below(place, key);
    let fault = |key: &str, what: &str| Err(SpecError::new(at(key), what));
    program::check_argv(&cases.argv, &at("argv"))?;
    program::without_suite(&cases.argv, &at("argv"))?;
    program::check_build(cases.build.as_ref(), &at("build"))?;
    match (&cases.cases, cases.stages.len()) {
        (None, 0) => {
            return fault("cases", "is missing; name a file of cases, a JSON object a line");
        }
        (Some(_), 1..) => return fault("stages", "stand instead of cases; leave one of them out"),
        (_, n) if n > MAX_STAGES => return fault("stages", "give at most 16"),
        _ => {}
    }
    for (stage, number) in cases.stages.iter().zip(0..) {
        if !(0.0..=1.0).contains(&stage.threshold) {
            return fault(&format!("stages[{number}].threshold"), "give an accuracy from 0 to 1");
        }
        if let Some(limits) = &stage.limits {
            program::check_limits(limits, &at(&format!("stages[{number}].limits")))?;
        }
    }
    for name in cases.files() {
        FilePath::new(name).map_err(|error| SpecError::new(at("cases"), error.to_string()))?;
    }
    if !(1..=MAX_ATTEMPTS).contains(&cases.attempts) {
        return fault("attempts", &format!("give 1 to {MAX_ATTEMPTS}"));
    }
    scorer(&cases.scorer).map_err(|what| SpecError::new(at("scorer"), what))?;
    let measured = metrics(cases);
    for (number, objective) in objectives.iter().enumerate() {
        let at = format!("objectives[{number}]");
        if !measured.contains(&objective.name) {
            let names: Vec<_> = measured.iter().map(String::as_str).collect();
            let hint = text::hint(&objective.name, &names);
            let what = format!("a suite of cases does not measure “{}”; {hint}", objective.name);
            return fault(&format!("{at}.name"), &what);
        }
        if objective.name == HELD_OUT && (objective.weight != 0.0 || objective.gate.is_some()) {
            let what = "nothing may be selected by held-out cases; give it weight 0 and no gate";
            return fault(&format!("{at}.weight"), what);
        }
    }
    Ok(())
}

/// Whether a scorer's settings make sense, in words.
fn scorer(scorer: &Scorer) -> Result<(), String> {
    match scorer {
        Scorer::Numeric { absolute, relative } => {
            let fine = |tolerance: f64| tolerance >= 0.0 && tolerance.is_finite();
            if fine(*absolute) && fine(*relative) {
                return Ok(());
            }
            Err("absolute and relative must be numbers of at least 0".to_owned())
        }
        Scorer::Command { argv } => {
            program::check_argv(argv, "argv").map_err(|error| error.to_string())?;
            if argv.iter().any(|argument| argument.contains("{agent}")) {
                return Err(
                    "argv: names {agent}, which a scorer never sees; it gets the answer on \
                            its standard input"
                        .to_owned(),
                );
            }
            Ok(())
        }
        Scorer::Exact { .. } | Scorer::Regex { .. } | Scorer::Json {} => Ok(()),
    }
}

/// The cases in the files that `cases` names, each checked.
///
/// # Errors
/// Names the file, the line, the field, and what to do.
pub fn read(cases: &Cases, place: &str, files: &Bundle) -> Result<CaseSet, SpecError> {
    let mut set = CaseSet::default();
    let mut ids = HashSet::new();
    let mut count = 0;
    let stages = cases.stages();
    let held_out = cases.held_out.iter().map(|name| (name.as_str(), None));
    let all = stages.iter().map(|stage| (stage.cases.as_str(), Some(stage.threshold)));
    for (name, threshold) in all.chain(held_out) {
        let key = match (threshold, &cases.cases) {
            (None, _) => "held_out",
            (_, Some(_)) => "cases",
            (_, None) => "stages",
        };
        let file = files.iter().find(|(path, _)| path.as_str() == name).map(|(_, file)| file);
        let file = file.ok_or_else(|| program::absent(&table::below(place, key), name))?;
        let mut stage = Vec::new();
        for (number, line) in file.bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let at = format!("{name}:{}", number + 1);
            let fault = |what: String| SpecError::new(&at, what);
            let (case, hidden) = case(line, &at, cases, files).map_err(fault)?;
            if !ids.insert(case.id.clone()) {
                return Err(fault(format!("id: “{}” is another case's; change one", case.id)));
            }
            count += 1;
            if count > MAX_CASES {
                return Err(fault(format!("with it, there are more than {MAX_CASES} cases")));
            }
            if hidden || threshold.is_none() { &mut set.held_out } else { &mut stage }.push(case);
        }
        if let Some(threshold) = threshold {
            if stage.is_empty() {
                let what = "holds no case to select by; write one JSON object a line";
                return Err(SpecError::new(name, what));
            }
            set.stages.push((stage, threshold));
        }
    }
    Ok(set)
}

/// A line of a file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: Option<Value>,
    input: Value,
    #[serde(default, deserialize_with = "some")]
    expected: Option<Value>,
    check: Option<serde_json::Map<String, Value>>,
    weight: Option<f64>,
    #[serde(default)]
    held_out: bool,
}

/// A value that is there, be it null.
fn some<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// The case in `line`, and whether it is held out; or what is wrong, in words.
fn case(line: &[u8], at: &str, cases: &Cases, files: &Bundle) -> Result<(Case, bool), String> {
    if line.len() > MAX_LINE {
        return Err("is longer than 1 MiB".to_owned());
    }
    let line: Line = serde_json::from_slice(line).map_err(|error| plain(&error))?;
    let id = match line.id {
        None => at.to_owned(),
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => id.to_string(),
        Some(_) => return Err("id: give a text or a number".to_owned()),
    };
    if id.is_empty() || id.chars().count() > MAX_ID || id.contains(char::is_control) {
        return Err(format!("id: give 1 to {MAX_ID} printable characters"));
    }
    let weight = line.weight.unwrap_or(1.0);
    if !(weight > 0.0 && weight <= 1e9) {
        return Err("weight: give a number above 0 and not beyond 1e9".to_owned());
    }
    let (own, expected) = match line.check {
        None => (None, line.expected),
        Some(mut check) => {
            let inner = check.remove("expected");
            if inner.is_some() && line.expected.is_some() {
                return Err("expected: is there twice; leave it out of check".to_owned());
            }
            let own = Scorer::deserialize(Value::Object(check));
            let own = own.map_err(|error| format!("check: {}", plain(&error)))?;
            scorer(&own).map_err(|what| format!("check: {what}"))?;
            (Some(own), inner.or(line.expected))
        }
    };
    let check = Check::new(own.as_ref().unwrap_or(&cases.scorer), expected)?;
    if let Check::Command { argv, .. } = &check {
        program::check_files(argv, "argv", files).map_err(|error| error.to_string())?;
    }
    Ok((Case { id, input: line.input, check, weight }, line.held_out))
}

/// The error without its line, which is always the first here.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::genome::File;

    fn cases() -> Cases {
        let text = "argv = [\"python3\", \"main.py\"]\ncases = \"cases.jsonl\"\n";
        toml::from_str(text).unwrap()
    }

    fn files(list: &[(&str, &str)]) -> Bundle {
        let file = |(path, text): &(&str, &str)| {
            let bytes = (*text).to_owned().into();
            (FilePath::new(path).unwrap(), File { bytes, executable: false })
        };
        list.iter().map(file).collect()
    }

    #[test]
    fn cases_are_read_with_their_ids_weights_and_scorers() {
        let text = "{\"input\": \"a\", \"expected\": \"b\"}\n\n\
                    {\"id\": 7, \"input\": {\"x\": 1}, \"weight\": 2,\n"
            .replace(
                ",\n",
                ", \"check\": {\"kind\": \"numeric\", \"absolute\": 1, \"expected\": 3}}\n",
            )
            + "{\"input\": 1, \"expected\": null, \"held_out\": true}";
        let set = read(&cases(), "", &files(&[("cases.jsonl", &text)])).unwrap();
        let [(stage, threshold)] = &set.stages[..] else { panic!("{set:?}") };
        assert_eq!((stage.len(), *threshold, set.held_out.len()), (2, 0.0, 1));
        assert_eq!((stage[0].id.as_str(), stage[1].id.as_str()), ("cases.jsonl:1", "7"));
        assert!(matches!(stage[0].check, Check::Exact { trim: true, .. }));
        assert!(matches!(stage[1].check, Check::Numeric { tolerance: 1.0, .. }));
        assert_eq!(stage[1].weight, 2.0);
    }

    #[test]
    fn a_second_file_is_held_out_and_stages_follow_one_another() {
        let staged = Cases {
            cases: None,
            stages: ["a", "b"]
                .map(|name| Stage { cases: name.into(), threshold: 0.5, limits: None })
                .to_vec(),
            held_out: Some("c".into()),
            ..cases()
        };
        let line = "{\"input\": 1, \"expected\": 1}";
        let set = read(&staged, "", &files(&[("a", line), ("b", line), ("c", line)])).unwrap();
        assert_eq!((set.stages.len(), set.held_out.len()), (2, 1));
        let fault = read(&staged, "suite", &files(&[("a", line), ("b", line)])).unwrap_err();
        assert_eq!(fault.place, "suite.held_out");
    }

    #[test]
    fn wrong_lines_are_named_with_the_way_out() {
        for (line, said) in [
            ("{", "EOF"),
            ("[]", "expected struct"),
            ("{\"expected\": 1}", "missing field `input`"),
            ("{\"input\": 1}", "expected is missing"),
            ("{\"input\": 1, \"expected\": 1, \"wieght\": 2}", "unknown field `wieght`"),
            ("{\"input\": 1, \"expected\": 1, \"weight\": 0}", "weight: give a number above 0"),
            ("{\"input\": 1, \"expected\": 1, \"id\": \"\"}", "id: give 1 to"),
            ("{\"input\": 1, \"expected\": 1, \"id\": []}", "id: give a text"),
            ("{\"input\": 1, \"check\": {\"kind\": \"fuzzy\"}}", "check: unknown variant `fuzzy`"),
            ("{\"input\": 1, \"check\": {\"kind\": \"exact\", \"x\": 1}}", "check: unknown field"),
            ("{\"input\": 1, \"check\": {\"kind\": \"json\"}}", "expected is missing"),
            (
                "{\"input\": 1, \"expected\": \"(\", \"check\": {\"kind\": \"regex\"}}",
                "is no regular expression",
            ),
            (
                "{\"input\": 1, \"expected\": 1, \"check\": {\"kind\": \"exact\", \"expected\": 1}}",
                "is there twice",
            ),
            (
                "{\"input\": 1, \"check\": {\"kind\": \"command\", \"argv\": [\"{suite}/s.py\"]}}",
                "there is no file “s.py”",
            ),
            (
                "{\"input\": 1, \"check\": {\"kind\": \"command\", \"argv\": [\"x\", \"{agent}\"]}}",
                "which a scorer never sees",
            ),
        ] {
            let text = format!("\n{line}");
            let fault = read(&cases(), "", &files(&[("cases.jsonl", &text)])).unwrap_err();
            assert_eq!(fault.place, "cases.jsonl:2", "{fault}");
            assert!(fault.what.contains(said), "{line}: {fault}");
        }
        let twice = "{\"id\": 1, \"input\": 1, \"expected\": 1}\n".repeat(2);
        let fault = read(&cases(), "", &files(&[("cases.jsonl", &twice)])).unwrap_err();
        assert!(fault.to_string().contains("“1” is another case's"), "{fault}");
        let hidden = "{\"input\": 1, \"expected\": 1, \"held_out\": true}";
        for empty in ["", "\n \n", hidden] {
            let fault = read(&cases(), "", &files(&[("cases.jsonl", empty)])).unwrap_err();
            assert!(fault.to_string().contains("no case to select by"), "{fault}");
        }
        assert!(read(&cases(), "", &Bundle::new()).unwrap_err().place.ends_with("cases"));
    }
}
