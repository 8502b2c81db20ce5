//! `darwin evolve`: starts a run and follows it to its end.

use std::{num::NonZero, path::PathBuf};

use clap::{Args, ValueEnum, ValueHint};
use serde_json::json;

use crate::{
    code::Code,
    config::{section::Sandbox as Configured, spec},
    domain::{id::RunId, spec::RunSpec},
    wire::{
        convert,
        envelope::Keyed as _,
        v1::{Run, SessionRef, StartRequest},
    },
};

use super::{
    context::{Context, now_ms, random},
    error::Failure,
    json,
    text::{self, id, plain},
    view::Budget,
    watch::{self, CtrlC},
};

const EXAMPLES: &str = "\
Examples:
  darwin evolve examples/circle-packing
  darwin evolve darwin.toml --seed 7 --max-evaluations 10k
  darwin evolve my_openevolve_problem/ --max-time 5m --target 0.95
  darwin evolve examples/circle-packing --detach     # prints the run's id and returns
  darwin evolve examples/circle-packing --json | jq .best

Ctrl-C stops the run once what is being evaluated is done; `darwin runs resume` takes it up
again. A second Ctrl-C leaves at once, and the run goes on in the daemon until it has stopped.";

/// Evolve agents against a suite, from a darwin.toml, an OpenEvolve problem or a ShinkaEvolve task
///
/// Starts a run in the daemon and follows it: live on a terminal, in a few lines elsewhere.
/// The run goes on if the terminal is closed, and after a crash or a restart of the daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Evolve {
    /// A darwin.toml, a directory that holds one, or the directory of an OpenEvolve problem
    /// (initial_program.*, evaluator.py and perhaps config.yaml) or of a ShinkaEvolve task
    /// (initial.*, evaluate.py)
    #[arg(value_name = "SPEC|DIR", value_hint = ValueHint::AnyPath)]
    path: PathBuf,
    /// Seed of all random choices; the same seed gives the same run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..1 << 63))]
    seed: Option<u64>,
    /// Evaluations at once [default: as many as processors, or fewer if the problem says so]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    workers: Option<u32>,
    /// Stop after this many evaluations
    #[arg(long, value_name = "N", value_parser = text::parse_count)]
    max_evaluations: Option<u64>,
    /// Stop after this many generations
    #[arg(long, value_name = "N", value_parser = text::parse_count)]
    max_generations: Option<u64>,
    /// Stop after this much time at work, like 90s, 5m or 1h30m
    #[arg(long, value_name = "TIME", value_parser = text::parse_span)]
    max_time: Option<std::time::Duration>,
    /// Stop when the best score is at least this good
    #[arg(long, value_name = "SCORE", value_parser = text::parse_number)]
    #[arg(allow_negative_numbers = true)]
    target: Option<f64>,
    /// How many agents a generation has
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    population: Option<u32>,
    /// Return at once; the run goes on in the daemon
    #[arg(long)]
    detach: bool,
    /// The session that the run belongs to, by id or name [default: your default session]
    #[arg(long, value_name = "SESSION")]
    session: Option<String>,
    /// What to do where a layer of the sandbox is missing: refuse, or go on without it
    /// [default: as configured]
    #[arg(long, value_name = "LAYERS")]
    sandbox: Option<Sandbox>,
}

/// How much of the sandbox must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sandbox {
    /// Every mandatory layer, or the run is refused
    Full,
    /// What this machine has; the results are stamped
    Reduced,
}

impl Sandbox {
    /// The name on the wire of what was asked for, else of what is configured.
    pub fn name(asked: Option<Self>, configured: Configured) -> String {
        let full = asked.map_or(configured == Configured::Full, |asked| asked == Self::Full);
        if full { "full" } else { "reduced" }.to_owned()
    }
}

impl Evolve {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let mut project = spec::load(&self.path)?;
        self.override_spec(&mut project.spec);
        for warning in &project.warnings {
            context.out.warn(plain(warning));
        }
        let configured = context.config(None)?.config.evaluator.sandbox;
        let link = context.link().await?;
        let session = match &self.session {
            Some(name) => {
                let session = SessionRef { session: name.clone() };
                link.sessions().show(session).await?.into_inner().id
            }
            None => bytes::Bytes::new(),
        };
        let request = StartRequest {
            run_id: convert::bytes(RunId::new(now_ms(), random()).as_bytes()),
            session_id: session,
            spec_toml: spec::to_toml(&project.spec)?,
            agent_files: convert::files(&project.agent_files),
            suite_files: convert::files(&project.suite_files),
            workers: self.workers.unwrap_or_else(|| workers(project.workers, processors())),
            sandbox: Sandbox::name(self.sandbox, configured),
        };
        let run = link.runs().start(request.keyed()).await?.into_inner();
        if self.detach {
            return detached(context, &run);
        }
        context.out.note(started(&run));
        watch::to_the_end(context, &link, run, CtrlC::StopsRun, false).await
    }

    /// What the flags say goes before what the file says.
    fn override_spec(&self, spec: &mut RunSpec) {
        spec.seed = self.seed.or(spec.seed);
        if let Some(population) = self.population {
            spec.search.population = population;
        }
        let stop = &mut spec.stop;
        stop.evaluations = self.max_evaluations.or(stop.evaluations);
        stop.generations = self.max_generations.or(stop.generations);
        stop.time = self.max_time.map(|time| time.as_secs_f64()).or(stop.time);
        stop.target = self.target.or(stop.target);
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Evaluations at once for a project that asks for so many; 0: the daemon's own number. More than
/// there are processors would only make each of them slower, and some miss their deadlines.
fn workers(asked: Option<u32>, processors: usize) -> u32 {
    asked.filter(|asked| (*asked as usize) < processors).unwrap_or(0)
}

fn started(run: &Run) -> String {
    let limits = match Budget::of(&run.spec_toml).words() {
        words if words.is_empty() => String::new(),
        words => format!(", until {words}"),
    };
    format!("run {} ({})\nseed {}{limits}", id(&run.id), plain(&run.name), run.seed)
}

fn detached(context: &mut Context, run: &Run) -> Result<(), Failure> {
    let run_id = id(&run.id);
    if run_id.is_empty() {
        return Err(Failure::new(Code::Bug, "the daemon gave the run no id"));
    }
    context.out.note(started(run));
    context.out.note(format_args!("`darwin runs watch {run_id}` shows it"));
    if context.out.json() {
        return context.out.document("run", json!(json::run(run)));
    }
    context.out.line(run_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_may_ask_for_fewer_workers_than_processors_and_not_for_more() {
        let asked = [None, Some(1), Some(3), Some(4), Some(u32::MAX)];
        assert_eq!(asked.map(|asked| workers(asked, 4)), [0, 1, 3, 0, 0]);
    }
}
