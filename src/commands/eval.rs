//! `darwin eval`: evaluates an agent outside a run; the bar for CI.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clap::{Args, ValueHint};
use serde_json::Value;

use crate::{
    code::Code,
    config::{
        files::{self, Project},
        spec, suite,
    },
    domain::{
        genome::{PARAMS_FILE, Value as Typed},
        id::AgentId,
        repeats::MOST,
        suite::{Bundle, Suite},
    },
    wire::{
        convert,
        envelope::Keyed as _,
        v1::{EvaluateRequest, Genome, Param, evaluate_request::What, param},
    },
};

use super::{
    consistency,
    context::{Context, now_ms, random},
    error::Failure,
    evolve::Sandbox,
    naming,
    report::Report,
    text::{self, id},
};

const EXAMPLES: &str = "\
Examples:
  darwin eval 0198c2a4-7f3e-7000-8003 --suite suite.toml
  darwin eval best/ --suite examples/circle-packing/suite.toml --repeat 3
  darwin eval my_shinka_task/                        # its first program, by its own suite
  darwin eval best/ --suite suite.toml --fail-under 0.9 --junit report.xml    # for CI

Exits with 1 if the bar is missed or an evaluation failed. A directory is evaluated as it is
on disk; if it holds a params.json (as `darwin agents export` writes it), those are its
parameters. Without --suite it must be a project: its initial agent is evaluated. Several
repeats give a mean with its 95 % confidence interval (Student's t); where some fail and
others don't, the failed ones are tried once more. All are evaluated afresh, whatever is on
record; what is there of the same genome, suite and seed must have the same score: if not,
one more is evaluated and there is a warning.";

/// Evaluate an agent, or a directory, against a suite
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Eval {
    /// An agent's id or a unique start of it, a run for its best agent, or a directory
    #[arg(value_name = "AGENT|DIR", value_hint = ValueHint::DirPath)]
    what: String,
    /// The suite: a suite.toml, a darwin.toml with one, or the directory of either or of an
    /// OpenEvolve problem or a ShinkaEvolve task [default: that of the project in DIR]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    suite: Option<PathBuf>,
    /// Exit with 1 if the mean score is worse than this (above it, if the suite minimises)
    #[arg(long, value_name = "SCORE", value_parser = text::parse_number)]
    #[arg(allow_negative_numbers = true)]
    fail_under: Option<f64>,
    /// Also write the results as JUnit XML
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    junit: Option<PathBuf>,
    /// Also write annotations for GitHub's workflows to stderr [default: where GITHUB_ACTIONS is
    /// true]
    #[arg(long)]
    github: bool,
    /// Evaluate this many times, with seeds that count up [default: the suite's `repeats`]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    repeat: Option<u32>,
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
        let directory = Path::new(&self.what);
        let (suite, suite_files, genome) = match &self.suite {
            Some(path) => {
                let (suite, files) = load_suite(path)?;
                let genome = if directory.is_dir() { Some(read(directory)?) } else { None };
                (suite, files, genome)
            }
            None if directory.exists() => {
                let project = spec::load(directory)?;
                let genome = initial(&project)?;
                (project.spec.suite, project.suite_files, Some(genome))
            }
            None => {
                let message = format!("name the suite for {}: --suite FILE", self.what);
                return Err(Failure::usage(message));
            }
        };
        let configured = context.config(None)?.config.evaluator.sandbox;
        let recorded = if genome.is_some() { "as" } else { "in the journal of" };
        let link = context.link().await?;
        let what = match genome {
            Some(genome) => What::Genome(genome),
            None => What::Agent(id(&naming::agent(context, &link, &self.what).await?.id)),
        };
        // Chosen here, so that it is made once though an answer be lost.
        let agent_id = match &what {
            What::Genome(_) => convert::bytes(AgentId::new(now_ms(), random()).as_bytes()),
            What::Agent(_) => Vec::new().into(),
        };
        let request = EvaluateRequest {
            agent_id,
            suite_toml: suite::to_toml(&suite)?,
            suite_files: convert::files(&suite_files),
            what: Some(what),
            repeat: self.repeat.unwrap_or_default(),
            seed: self.seed,
            sandbox: Sandbox::name(self.sandbox, configured),
        };
        let answer = link.evaluations().evaluate(request.keyed()).await?.into_inner();
        let report = Report {
            suite: &suite,
            what: &self.what,
            bar: self.fail_under,
            agent: id(&answer.agent_id),
            whole: &answer.whole.unwrap_or_default(),
            evaluations: &answer.evaluations,
        };
        if let Some(path) = &self.junit {
            fs::write(path, report.junit())
                .map_err(|error| Failure::file("write", path, &error))?;
        }
        report.show(context)?;
        if self.github || std::env::var_os("GITHUB_ACTIONS").is_some_and(|set| set == "true") {
            for (level, title, message) in report.annotations() {
                context.out.annotate(level, &title, &message);
            }
        }
        if !context.out.json() {
            context.out.note(format_args!("recorded {recorded} agent {}", report.agent));
        }
        if let Some(words) = consistency::words(report.whole) {
            context.out.warn(words);
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

/// The agent that a run of the project begins with.
fn initial(project: &Project) -> Result<Genome, Failure> {
    let mut params = Vec::new();
    for param in spec::space(&project.spec)?.params {
        let Some(init) = param.init else {
            let message = format!("“{}” has no init, so there is no agent to evaluate", param.name);
            return Err(Failure::new(Code::InvalidInput, message).hint(
                "give it one in the spec, or name an exported agent's directory and --suite",
            ));
        };
        let value = match param.kind.typed(init) {
            Typed::Real(real) => param::Value::Real(real),
            Typed::Integer(integer) => param::Value::Integer(integer),
            Typed::Category(name) => param::Value::Category(name.to_owned()),
        };
        params.push(Param { name: param.name, value: Some(value) });
    }
    let agent = &project.spec.agent;
    Ok(Genome {
        files: convert::files(&project.agent_files),
        params,
        model: agent.model.clone().unwrap_or_default(),
        template: agent.template.clone().unwrap_or_default(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn the_agent_of_a_project_begins_where_its_parameters_do() {
        let dir = tempfile::tempdir().unwrap();
        let spec = |init: &str| {
            let text = format!(
                "[params.x]\ntype = \"integer\"\nmin = 0\nmax = 9\n{init}\n\
                 [suite]\nkind = \"command\"\nargv = [\"true\"]\n"
            );
            fs::write(dir.path().join("darwin.toml"), text).unwrap();
            initial(&spec::load(dir.path()).unwrap())
        };
        let [param] = &spec("init = 3").unwrap().params[..] else { panic!("one is expected") };
        assert_eq!(param.value, Some(param::Value::Integer(3)));
        assert!(spec("").unwrap_err().to_string().contains("“x” has no init"));
    }
}
