//! `darwin runs`: what ran, what runs, and its control.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::wire::v1::{ListRunsRequest, ResumeRequest, Run, RunRef};

use super::{
    context::{Context, now_ms},
    error::Failure,
    json, naming,
    output::Side,
    text::{self, ago, count, id, maybe, plain, short},
    view,
    watch::{self, CtrlC},
};

/// List, show, watch, stop and resume runs
///
/// A run may be named by its id or a unique start of it.
#[derive(Debug, Args)]
pub struct Runs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List runs, the newest first
    #[command(after_help = "Examples:
  darwin runs list
  darwin runs list --session packing --json")]
    List {
        /// Only those of this session, by id or name
        #[arg(long, value_name = "SESSION")]
        session: Option<String>,
        /// At most this many
        #[arg(long, value_name = "N", default_value_t = 20)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Show a run: its state, its best agent, why it ended
    #[command(after_help = "Examples:
  darwin runs show 0198c2a4-7f3e
  darwin runs show 0198c2a4-7f3e --spec > darwin.toml")]
    Show {
        /// The run
        run: String,
        /// Print its specification instead
        #[arg(long, conflicts_with = "json")]
        spec: bool,
    },
    /// Follow a run to its end; Ctrl-C leaves, and the run goes on
    #[command(after_help = "Examples:
  darwin runs watch 0198c2a4-7f3e
  darwin runs watch 0198c2a4-7f3e --json | jq .best     # a document on every change")]
    Watch {
        /// The run
        run: String,
    },
    /// Stop a run once what is being evaluated is done
    #[command(after_help = "Examples:
  darwin runs stop 0198c2a4-7f3e")]
    Stop {
        /// The run
        run: String,
    },
    /// Take a run that stopped, failed or finished up again, with wider limits if given
    #[command(after_help = "Examples:
  darwin runs resume 0198c2a4-7f3e
  darwin runs resume 0198c2a4-7f3e --max-evaluations 50k --detach

Limits count from the start of the run, not from here. Ctrl-C stops the run.")]
    Resume(Resume),
}

#[derive(Debug, Args)]
struct Resume {
    /// The run
    run: String,
    /// Stop after this many evaluations in all
    #[arg(long, value_name = "N", value_parser = text::parse_count)]
    max_evaluations: Option<u64>,
    /// Stop after this many generations in all
    #[arg(long, value_name = "N", value_parser = text::parse_count)]
    max_generations: Option<u64>,
    /// Stop after this much time at work in all, like 90s, 5m or 1h30m
    #[arg(long, value_name = "TIME", value_parser = text::parse_span)]
    max_time: Option<Duration>,
    /// Stop when the best score is at least this good
    #[arg(long, value_name = "SCORE", value_parser = text::parse_number)]
    #[arg(allow_negative_numbers = true)]
    target: Option<f64>,
    /// Return at once; the run goes on in the daemon
    #[arg(long)]
    detach: bool,
}

impl Runs {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let link = context.link().await?;
        let mut runs = link.runs();
        match self.verb {
            Verb::List { session, limit } => {
                let request = ListRunsRequest { session: session.unwrap_or_default(), limit };
                let runs = runs.list(request).await?.into_inner().runs;
                list(context, &runs, limit)
            }
            Verb::Show { run, spec } => {
                let run = runs.show(RunRef { run }).await?.into_inner();
                if spec && run.shredded {
                    return Err(naming::shredded("the specification of this run"));
                }
                if spec {
                    return context.out.content(run.spec_toml.as_bytes());
                }
                show(context, &run)
            }
            Verb::Watch { run } => {
                let run = runs.show(RunRef { run }).await?.into_inner();
                watch::to_the_end(context, &link, run, CtrlC::Leaves, true).await
            }
            Verb::Stop { run } => {
                let run = runs.stop(RunRef { run }).await?.into_inner();
                if context.out.json() {
                    return context.out.document("run", json::run(&run));
                }
                let run_id = id(&run.id);
                let line = match run.state.as_str() {
                    "running" => format!("run {run_id} stops once its evaluations are done"),
                    state => format!("run {run_id} is {state}; `darwin runs resume {run_id}`"),
                };
                context.out.note(line);
                Ok(())
            }
            Verb::Resume(resume) => {
                let request = ResumeRequest {
                    run: resume.run,
                    generations: resume.max_generations,
                    evaluations: resume.max_evaluations,
                    time_seconds: resume.max_time.map(|time| time.as_secs_f64()),
                    target: resume.target,
                };
                let run = runs.resume(request).await?.into_inner();
                if resume.detach {
                    return show(context, &run);
                }
                watch::to_the_end(context, &link, run, CtrlC::StopsRun, false).await
            }
        }
    }
}

fn list(context: &mut Context, runs: &[Run], limit: u32) -> Result<(), Failure> {
    if context.out.json() {
        let runs: Vec<_> = runs.iter().map(json::run).collect();
        return context.out.document("runs", json!({"runs": runs}));
    }
    if runs.is_empty() {
        context.out.note("no runs yet; `darwin evolve SPEC` starts one");
        return Ok(());
    }
    let now = now_ms();
    let rows: Vec<_> = runs
        .iter()
        .map(|run| {
            [
                short(&run.id),
                plain(&run.name),
                if run.waiting.is_empty() { run.state.clone() } else { "waiting".to_owned() },
                count(run.generation),
                count(run.agents),
                maybe(run.best),
                plain(&run.objective),
                ago(run.started_ms, now),
            ]
        })
        .collect();
    let head = [
        ("RUN", Side::Left),
        ("NAME", Side::Left),
        ("STATE", Side::Left),
        ("GEN", Side::Right),
        ("AGENTS", Side::Right),
        ("BEST", Side::Right),
        ("OF", Side::Left),
        ("STARTED", Side::Left),
    ];
    context.out.table(head, &rows)?;
    if runs.len() == limit as usize {
        context.out.note(format_args!("{limit} shown; --limit shows more"));
    }
    Ok(())
}

fn show(context: &mut Context, run: &Run) -> Result<(), Failure> {
    if context.out.json() {
        let mut fields = json::run(run);
        fields["spec_toml"] = json!(run.spec_toml);
        fields["shredded"] = json!(run.shredded);
        return context.out.document("run", fields);
    }
    let mut pairs = view::summary(run);
    pairs.insert(2, ("session", short(&run.session_id)));
    pairs.push(("started", text::utc(run.started_ms)));
    if run.shredded {
        pairs.push(("content", naming::SHREDDED.to_owned()));
    }
    context.out.pairs(&pairs)
}
