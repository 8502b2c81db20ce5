//! `darwin eval`: evaluates an agent outside a run; the bar for CI.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::{Args, ValueHint};
use serde_json::{Value, json};

use crate::{
    code::Code,
    config::{files, spec, suite},
    domain::{
        genome::PARAMS_FILE,
        objective::Goal,
        suite::{Bundle, Suite},
    },
    wire::{
        convert,
        v1::{EvaluateRequest, Evaluation, Genome, Param, evaluate_request::What, param},
    },
};

use super::{
    context::Context,
    error::Failure,
    evolve::Sandbox,
    json, naming,
    output::{Side, Tone},
    text::{self, brief, id, maybe, plain, plural, score},
};

const EXAMPLES: &str = "\
Examples:
  darwin eval 0198c2a4-7f3e-7000-8003 --suite suite.toml
  darwin eval best/ --suite examples/circle-packing/suite.toml --repeat 3
  darwin eval best/ --suite suite.toml --fail-under 0.9 --junit report.xml    # for CI

Exits with 1 if the bar is missed or an evaluation failed. A directory is evaluated as it is
on disk; if it holds a params.json (as `darwin agents export` writes it), those are its
parameters.";

/// Evaluate an agent, or a directory, against a suite
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Eval {
    /// An agent's id or a unique start of it, a run for its best agent, or a directory
    #[arg(value_name = "AGENT|DIR", value_hint = ValueHint::DirPath)]
    what: String,
    /// The suite: a suite.toml, a darwin.toml with one, or the directory that holds either
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    suite: PathBuf,
    /// Exit with 1 if the mean score is worse than this (above it, if the suite minimises)
    #[arg(long, value_name = "SCORE", value_parser = text::parse_number)]
    #[arg(allow_negative_numbers = true)]
    fail_under: Option<f64>,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    junit: Option<PathBuf>,
    /// Evaluate this many times, with seeds that count up
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
    /// Seed of the evaluation
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// What to do where a layer of the sandbox is missing: refuse, or go on without it
    /// [default: as configured]
    #[arg(long, value_name = "LAYERS")]
    sandbox: Option<Sandbox>,
}

impl Eval {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let (suite, suite_files) = load_suite(&self.suite)?;
        let configured = Context::config(None)?.config.evaluator.sandbox;
        let directory = Path::new(&self.what);
        let genome = if directory.is_dir() { Some(read(directory)?) } else { None };
        let recorded = if genome.is_some() { "as" } else { "in the journal of" };
        let link = context.link().await?;
        let what = match genome {
            Some(genome) => What::Genome(genome),
            None => What::Agent(id(&naming::agent(context, &link, &self.what).await?.id)),
        };
        let request = EvaluateRequest {
            suite_toml: suite::to_toml(&suite)?,
            suite_files: convert::files(&suite_files),
            what: Some(what),
            repeat: self.repeat,
            seed: self.seed,
            sandbox: Sandbox::name(self.sandbox, configured),
        };
        let answer = link.evaluations().evaluate(request).await?.into_inner();
        let report = Report {
            suite: &suite,
            bar: self.fail_under,
            agent: id(&answer.agent_id),
            objectives: &answer.objectives,
            evaluations: &answer.evaluations,
        };
        if let Some(path) = &self.junit {
            fs::write(path, report.junit(&self.what))
                .map_err(|error| Failure::file("write", path, &error))?;
        }
        report.show(context)?;
        if !context.out.json() {
            context.out.note(format_args!("recorded {recorded} agent {}", report.agent));
        }
        report.verdict()
    }
}

/// The suite in `path`; of a project (a darwin.toml, or a directory without a suite.toml)
/// its own.
fn load_suite(path: &Path) -> Result<(Suite, Bundle), Failure> {
    let project = if path.is_dir() {
        !path.join("suite.toml").exists()
    } else {
        path.file_name().is_some_and(|name| name == "darwin.toml")
    };
    if project {
        let project = spec::load(path)?;
        return Ok((project.spec.suite, project.suite_files));
    }
    Ok(suite::load(path)?)
}

/// The files of `dir` and, if there is a `params.json`, its parameters.
fn read(dir: &Path) -> Result<Genome, Failure> {
    let mut bundle: Bundle = files::directory(dir)?;
    let params = bundle.iter().find(|(path, _)| path.as_str() == PARAMS_FILE);
    let params = match params.map(|(path, file)| (path.clone(), file.bytes.clone())) {
        Some((path, content)) => {
            bundle.remove(&path);
            parameters(&content).map_err(|reason| {
                let file = dir.join(PARAMS_FILE);
                Failure::new(Code::InvalidInput, format!("{}: {reason}", file.display()))
            })?
        }
        None => Vec::new(),
    };
    if bundle.is_empty() && params.is_empty() {
        let message = format!("{} holds no files", dir.display());
        return Err(Failure::new(Code::InvalidInput, message));
    }
    Ok(Genome { files: convert::files(&bundle), params, ..Genome::default() })
}

fn parameters(content: &Bytes) -> Result<Vec<Param>, String> {
    let values: serde_json::Map<String, Value> =
        serde_json::from_slice(content).map_err(|error| error.to_string())?;
    let param = |(name, value): (String, Value)| {
        let value = match &value {
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => param::Value::Integer(integer),
                (None, Some(real)) => param::Value::Real(real),
                (None, None) => return Err(format!("“{name}” is too large")),
            },
            Value::String(text) => param::Value::Category(text.clone()),
            _ => return Err(format!("“{name}” is neither a number nor a text")),
        };
        Ok(Param { name, value: Some(value) })
    };
    values.into_iter().map(param).collect()
}

struct Report<'a> {
    suite: &'a Suite,
    bar: Option<f64>,
    agent: String,
    objectives: &'a [String],
    evaluations: &'a [Evaluation],
}

impl Report<'_> {
    /// The mean of all scores; none if one evaluation has none.
    fn mean(&self) -> Option<f64> {
        let scores: Option<Vec<f64>> = self.evaluations.iter().map(|it| it.fitness).collect();
        let scores = scores.filter(|scores| !scores.is_empty())?;
        Some(scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// Whether a higher score is better: of one objective it is its own, of several the
    /// weighted sum, which is turned so.
    fn maximizes(&self) -> bool {
        !matches!(&self.suite.objectives()[..], [only] if only.goal == Goal::Minimize)
    }

    fn meets(&self, score: f64, bar: f64) -> bool {
        if self.maximizes() { score >= bar } else { score <= bar }
    }

    fn show(&self, context: &mut Context) -> Result<(), Failure> {
        let mean = self.mean();
        if context.out.json() {
            let evaluations =
                self.evaluations.iter().map(|it| json::evaluation(it, self.objectives));
            return context.out.document(
                "evaluation",
                json!({
                    "agent": self.agent,
                    "suite": self.suite.name,
                    "objectives": self.objectives,
                    "score": mean,
                    "goal": if self.maximizes() { "maximize" } else { "minimize" },
                    "fail_under": self.bar,
                    "passed": self.verdict().is_ok(),
                    "evaluations": evaluations.collect::<Vec<_>>(),
                }),
            );
        }
        let metrics = |it: &Evaluation| {
            let scores = self.objectives.iter().zip(&it.scores);
            let scores: Vec<_> =
                scores.map(|(name, value)| format!("{}={}", plain(name), score(*value))).collect();
            if it.failure.is_empty() {
                scores.join(" ")
            } else {
                format!("{}: {}", it.failure, plain(&it.reason))
            }
        };
        let rows: Vec<_> = self
            .evaluations
            .iter()
            .enumerate()
            .map(|(at, it)| {
                let number = (at + 1).to_string();
                [number, maybe(it.fitness), brief(it.wall_us), metrics(it)]
            })
            .collect();
        let head = [
            ("#", Side::Right),
            ("SCORE", Side::Right),
            ("TIME", Side::Right),
            ("DETAIL", Side::Left),
        ];
        context.out.table(head, &rows)?;
        if let Some(mean) = mean {
            let line = match self.bar {
                Some(bar) => format!("score {} (bar {})", score(mean), score(bar)),
                None => format!("score {}", score(mean)),
            };
            let tone = if self.verdict().is_ok() { Tone::Good } else { Tone::Bad };
            let line = context.out.paint(tone, &line);
            context.out.line(line)?;
        }
        Ok(())
    }

    fn verdict(&self) -> Result<(), Failure> {
        let failed = self.evaluations.iter().filter(|it| !it.failure.is_empty()).count();
        let Some(mean) = self.mean() else {
            let message = format!("{} failed", plural(failed as u64, "evaluation"));
            return Err(Failure::new(Code::BarMissed, message)
                .hint(format!("darwin journal {}", self.agent)));
        };
        match self.bar {
            Some(bar) if !self.meets(mean, bar) => {
                let side = if self.maximizes() { "below" } else { "above" };
                let message =
                    format!("the score {} is {side} the bar of {}", score(mean), score(bar));
                Err(Failure::new(Code::BarMissed, message))
            }
            _ => Ok(()),
        }
    }

    /// The report as JUnit's XML: a test case an evaluation, which fails if it has no score
    /// or misses the bar.
    fn junit(&self, what: &str) -> String {
        let mut cases = String::new();
        let (mut errors, mut failures, mut total) = (0, 0, 0.0);
        for (at, it) in self.evaluations.iter().enumerate() {
            let seconds = it.wall_us as f64 / 1e6;
            total += seconds;
            let name = xml(&format!("{what} #{}", at + 1));
            let class = xml(&self.suite.name);
            let _ = write!(
                cases,
                "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.6}\">"
            );
            if !it.failure.is_empty() {
                errors += 1;
                let (kind, reason) = (xml(&it.failure), xml(&it.reason));
                let _ = write!(cases, "<error type=\"{kind}\" message=\"{reason}\"/>");
            } else if let (Some(own), Some(bar)) = (it.fitness, self.bar)
                && !self.meets(own, bar)
            {
                failures += 1;
                let reason = xml(&format!("score {own} misses the bar of {bar}"));
                let _ = write!(cases, "<failure type=\"bar-missed\" message=\"{reason}\"/>");
            }
            let scores = self.objectives.iter().zip(&it.scores);
            let lines: Vec<_> = scores.map(|(name, score)| format!("{name} = {score}")).collect();
            let _ =
                writeln!(cases, "<system-out>{}</system-out></testcase>", xml(&lines.join("\n")));
        }
        let name = xml(&self.suite.name);
        let counts = format!(
            "tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{total:.6}\"",
            self.evaluations.len()
        );
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  \
             <testsuite name=\"{name}\" {counts}>\n{cases}  </testsuite>\n</testsuites>\n"
        )
    }
}

/// `text` as XML holds it: escaped, without what XML 1.0 cannot hold.
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push_str("&#10;"),
            '\t' => safe.push_str("&#9;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{objective::Objective, suite::Method};

    fn suite(goal: Goal) -> Suite {
        let method = Method::Builtin { function: "sphere".to_owned(), dimensions: 2 };
        Suite { objectives: vec![Objective::new("x", goal)], ..Suite::new("a <suite>", method) }
    }

    fn evaluation(fitness: Option<f64>) -> Evaluation {
        let failure = if fitness.is_none() { "crashed" } else { "" };
        Evaluation {
            fitness,
            failure: failure.to_owned(),
            reason: "a \"b\"\x1b".to_owned(),
            ..Evaluation::default()
        }
    }

    fn verdict(goal: Goal, bar: f64, scores: &[Option<f64>]) -> bool {
        let evaluations: Vec<_> = scores.iter().copied().map(evaluation).collect();
        let suite = suite(goal);
        let report = Report {
            suite: &suite,
            bar: Some(bar),
            agent: String::new(),
            objectives: &[],
            evaluations: &evaluations,
        };
        report.verdict().is_ok()
    }

    #[test]
    fn the_bar_lies_on_the_side_that_is_better() {
        assert!(verdict(Goal::Maximize, 0.5, &[Some(0.4), Some(0.6)]));
        assert!(!verdict(Goal::Maximize, 0.6, &[Some(0.4), Some(0.6)]));
        assert!(verdict(Goal::Minimize, 0.5, &[Some(0.5)]));
        assert!(!verdict(Goal::Minimize, 0.5, &[Some(0.6)]));
        assert!(!verdict(Goal::Maximize, 0.5, &[Some(1.0), None]));
    }

    #[test]
    fn junit_is_escaped_and_counts() {
        let evaluations = [evaluation(Some(0.2)), evaluation(None), evaluation(Some(0.9))];
        let report = Report {
            suite: &suite(Goal::Maximize),
            bar: Some(0.5),
            agent: String::new(),
            objectives: &[],
            evaluations: &evaluations,
        };
        let xml = report.junit("a&b");
        assert!(xml.contains("tests=\"3\" failures=\"1\" errors=\"1\""), "{xml}");
        assert!(xml.contains("name=\"a &lt;suite&gt;\"") && xml.contains("a&amp;b #1"), "{xml}");
        assert!(xml.contains("message=\"a &quot;b&quot;\u{fffd}\""), "{xml}");
    }

    #[test]
    fn parameters_keep_their_types() {
        let params = parameters(&Bytes::from(r#"{"a": 1, "b": 1.5, "c": "x"}"#)).unwrap();
        let values: Vec<_> = params.into_iter().filter_map(|param| param.value).collect();
        assert_eq!(
            values,
            [
                param::Value::Integer(1),
                param::Value::Real(1.5),
                param::Value::Category("x".to_owned())
            ]
        );
        assert!(parameters(&Bytes::from(r#"{"a": [1]}"#)).unwrap_err().contains("“a”"));
    }
}
