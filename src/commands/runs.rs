//! `darwin runs`: what ran, what runs, and its control.

use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::future::try_join_all;
use serde_json::json;

use crate::{
    domain::id::RunId,
    link::client::Link,
    wire::{
        convert,
        envelope::Keyed as _,
        v1::{ListRunsRequest, ResumeRequest, RollbackRequest, Run, RunRef, rollback_request::To},
    },
};

use super::{
    context::{Context, now_ms, random},
    error::Failure,
    json, naming,
    output::Side,
    text::{self, ago, count, id, maybe, plain, short},
    view,
    watch::{self, CtrlC},
};

/// List, show, watch, stop and resume runs, or go back in one
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
    /// Stop a run once what is being evaluated is done, or at once
    #[command(after_help = "Examples:
  darwin runs stop 0198c2a4-7f3e
  darwin runs stop 0198c2a4-7f3e --now    # kills what it executes
  darwin runs stop --all --now            # every run here

What was evaluated is kept; what is killed is evaluated again when the run is resumed.")]
    #[command(
        override_usage = "darwin runs stop [--now] <RUN>\n       darwin runs stop [--now] --all"
    )]
    Stop {
        /// The run
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        run: Option<String>,
        /// Every run that is at work
        #[arg(long)]
        all: bool,
        /// Kill what is being evaluated; nothing comes of it
        #[arg(long)]
        now: bool,
    },
    /// Go back to an earlier generation, and set aside what came after it
    #[command(after_help = "Examples:
  darwin runs rollback 0198c2a4-7f3e              # to the generation before its last
  darwin runs rollback 0198c2a4-7f3e --to 40
  darwin runs rollback 0198c2a4-7f3e --before 0198c2a4-8000 --resume

A run at work is killed. A new run takes the generations that count as its past and draws other
random numbers from there; it rests until it is resumed. What the old run made later stays on
record there, for whoever looks into it, and counts for nothing in the new one.")]
    Rollback(Rollback),
    /// Take a run that stopped, failed or finished up again, with wider limits if given
    #[command(after_help = "Examples:
  darwin runs resume 0198c2a4-7f3e
  darwin runs resume 0198c2a4-7f3e --max-evaluations 50k --detach

Limits count from the start of the run, not from here. Ctrl-C stops the run.")]
    Resume(Resume),
}

#[derive(Debug, Args)]
struct Rollback {
    /// The run
    run: String,
    /// The last generation that counts
    #[arg(long, value_name = "GENERATION", conflicts_with = "before")]
    to: Option<u64>,
    /// The generation before that of this agent, by id or a unique start of it
    #[arg(long, value_name = "AGENT")]
    before: Option<String>,
    /// Take the new run up at once
    #[arg(long)]
    resume: bool,
    /// With --resume: return at once; the run goes on in the daemon
    #[arg(long, requires = "resume")]
    detach: bool,
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
            Verb::Stop { run: Some(run), now, .. } => {
                let run = stop(&link, run, now).await?;
                if context.out.json() {
                    return context.out.document("run", json::run(&run));
                }
                context.out.note(stopped(&run));
                Ok(())
            }
            Verb::Stop { run: None, now, .. } => stop_all(context, &link, now).await,
            Verb::Rollback(rollback) => roll_back(context, &link, rollback).await,
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

async fn stop(link: &Link, run: String, now: bool) -> Result<Run, Failure> {
    let (mut runs, run) = (link.runs(), RunRef { run });
    let answer = if now { runs.kill(run).await? } else { runs.stop(run).await? };
    Ok(answer.into_inner())
}

fn stopped(run: &Run) -> String {
    let run_id = id(&run.id);
    match run.state.as_str() {
        "running" => format!("run {run_id} stops once its evaluations are done"),
        state => format!("run {run_id} is {state}; `darwin runs resume {run_id}`"),
    }
}

/// Stops every run that is at work, all of them at the same time.
async fn stop_all(context: &mut Context, link: &Link, now: bool) -> Result<(), Failure> {
    let request = ListRunsRequest { session: String::new(), limit: 1000 };
    let all = link.runs().list(request).await?.into_inner().runs;
    let at_work = all.into_iter().filter(|run| run.state == "running");
    let stops = at_work.map(|run| stop(link, id(&run.id), now));
    let runs = try_join_all(stops).await?;
    if context.out.json() {
        let runs: Vec<_> = runs.iter().map(json::run).collect();
        return context.out.document("runs", json!({"runs": runs}));
    }
    if runs.is_empty() {
        context.out.note("no run is at work");
    }
    for run in &runs {
        context.out.note(stopped(run));
    }
    Ok(())
}

async fn roll_back(context: &mut Context, link: &Link, rollback: Rollback) -> Result<(), Failure> {
    let Rollback { run, to, before, resume, detach } = rollback;
    let request = RollbackRequest {
        run_id: convert::bytes(RunId::new(now_ms(), random()).as_bytes()),
        run,
        to: to.map(To::Generation).or_else(|| before.map(To::Before)),
    };
    let mut run = link.runs().rollback(request.keyed()).await?.into_inner();
    if !resume {
        let run_id = id(&run.id);
        let (generation, origin) = (run.origin_generation, short(&run.origin));
        context.out.note(format_args!(
            "run {run_id} goes on from generation {generation} of run {origin}; \
             `darwin runs resume {run_id}` takes it up"
        ));
        return show(context, &run);
    }
    let request = ResumeRequest { run: id(&run.id), ..ResumeRequest::default() };
    run = link.runs().resume(request).await?.into_inner();
    if detach {
        return show(context, &run);
    }
    watch::to_the_end(context, link, run, CtrlC::StopsRun, false).await
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
    if !run.origin.is_empty() {
        let from = format!("generation {} of run {}", run.origin_generation, short(&run.origin));
        pairs.push(("goes on from", from));
    }
    pairs.push(("started", text::utc(run.started_ms)));
    if run.shredded {
        pairs.push(("content", naming::SHREDDED.to_owned()));
    }
    context.out.pairs(&pairs)
}
