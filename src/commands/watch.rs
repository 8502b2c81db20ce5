//! Following a run to its end: live on a terminal, in sparse lines elsewhere.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt as _};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    code::Code,
    domain::{
        evaluation::remedy,
        id::{AgentId, RunId, Slot},
        lifecycle::{RunState, Verdict},
    },
    link::{client::Link, error::LinkError},
    resilience::{backoff::Backoff, deadline::within},
    wire::v1::{JournalRequest, Progress, Run, RunRef, event},
};

use super::{
    consistency,
    context::{Context, Running, Target},
    error::Failure,
    json,
    output::{Live, Tone},
    text::{id, plain, short},
    view::{self, Budget, History},
};

/// How often the live lines are drawn anew.
const FRAME: Duration = Duration::from_millis(100);
/// The shortest and the longest time between two lines on a new best.
const NEWS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// For how long a daemon that went away is looked for.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first and the longest wait between two looks.
const LOOKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

type Events = Pin<Box<dyn Stream<Item = Result<Progress, LinkError>>>>;
type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

/// What Ctrl-C does to a run that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CtrlC {
    /// It stops the run; a second one leaves at once.
    StopsRun,
    /// It leaves; the run goes on.
    Leaves,
}

/// Follows `run` until it rests and tells its end: data on stdout, next steps on stderr.
///
/// # Errors
/// If it failed, the connection broke, or the user left before its end.
pub async fn to_the_end(
    context: &mut Context,
    link: &Link,
    run: Run,
    ctrl_c: CtrlC,
    every_change: bool,
) -> Result<(), Failure> {
    let name = short(&run.id);
    let (ended, link) = Watch::new(context, run, ctrl_c, every_change).follow(link.clone()).await?;
    tell_end(context, &ended)?;
    if let Some(words) = doubt(&link, &ended).await {
        context.out.warn(words);
    }
    match RunState::named(&ended.state) {
        Some(RunState::Failed) => {
            let (code, reason) = ended.reason.split_once(": ").unwrap_or(("", &ended.reason));
            let code = Code::named(code).unwrap_or(Code::Bug);
            Err(Failure::new(code, format!("the run failed: {}", plain(reason)))
                .hint(format!("darwin runs resume {name}, once the cause is mended")))
        }
        Some(RunState::Stopped) if ctrl_c == CtrlC::StopsRun => Err(Failure::Interrupted),
        Some(RunState::Finished) if ended.best.is_none() && ended.failed > 0 => {
            let reason = first_failure(&link, &ended).await.unwrap_or_default();
            let message = format!("no agent has a score; the first failed: {reason}");
            Err(Failure::new(Code::BarMissed, message)
                .hint_if(remedy(&reason))
                .hint(format!("darwin journal {name} --only archived, to see the others")))
        }
        _ => Ok(()),
    }
}

struct Watch<'a> {
    context: &'a mut Context,
    live: Option<Live>,
    run: Run,
    rate: f64,
    seen: Instant,
    history: History,
    budget: Budget,
    ctrl_c: CtrlC,
    every_change: bool,
    stopping: bool,
    turn: usize,
    told: Option<f64>,
    told_at: Instant,
    news_after: Duration,
}

impl<'a> Watch<'a> {
    fn new(context: &'a mut Context, run: Run, ctrl_c: CtrlC, every_change: bool) -> Self {
        Self {
            live: context.out.live(),
            context,
            budget: Budget::of(&run.spec_toml),
            run,
            rate: 0.0,
            seen: Instant::now(),
            history: History::default(),
            ctrl_c,
            every_change,
            stopping: false,
            turn: 0,
            told: None,
            told_at: Instant::now(),
            news_after: NEWS.0,
        }
    }

    /// Gives back the run at rest, and the link on which it was last seen.
    async fn follow(mut self, mut link: Link) -> Result<(Run, Link), Failure> {
        let name = id(&self.run.id);
        let mut progress: Events = Box::pin(link.watch(&name).await?);
        let mut found: Pending<Result<(Link, Events), Failure>> = Box::pin(std::future::pending());
        let mut interrupts = signal(SignalKind::interrupt())
            .map_err(|error| Failure::new(Code::Bug, format!("can't wait for Ctrl-C: {error}")))?;
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut stop: Pending<_> = Box::pin(std::future::pending());
        loop {
            tokio::select! {
                // A quick run sends more than is worth drawing: what came last counts.
                biased;
                _ = interrupts.recv() => {
                    self.live.iter().for_each(Live::forget_ctrl_c);
                    if self.leaves() {
                        return Err(Failure::Interrupted);
                    }
                    let mut runs = link.runs();
                    let reference = RunRef { run: name.clone() };
                    stop = Box::pin(async move { runs.stop(reference).await });
                }
                answer = &mut stop => {
                    stop = Box::pin(std::future::pending());
                    match answer.map_err(Failure::from) {
                        // It came to rest by itself in the same moment.
                        Ok(_) | Err(Failure::Fault { code: Code::Conflict, .. }) => {}
                        Err(failure) => return Err(failure),
                    }
                }
                event = progress.next() => match event {
                    Some(Ok(event)) => {
                        if let Some(run) = self.take(event)? {
                            return Ok((run, link));
                        }
                    }
                    Some(Err(error)) if error.code() != Code::Unavailable => {
                        return Err(error.into());
                    }
                    lost => {
                        let reason = lost.and_then(Result::err);
                        let reason =
                            reason.map_or("it was closed".to_owned(), |error| error.to_string());
                        self.say(&format!("lost sight of the run: {reason}; looking for its daemon"));
                        progress = Box::pin(futures_util::stream::pending());
                        found = Box::pin(find(self.context.target.clone(), name.clone(), reason));
                    }
                },
                again = &mut found => {
                    (link, progress) = again?;
                    found = Box::pin(std::future::pending());
                    self.say("found it again");
                }
                _ = frames.tick(), if self.live.is_some() => self.draw(),
            }
        }
    }

    /// Whether Ctrl-C ends the watch; else the run is to be stopped.
    fn leaves(&mut self) -> bool {
        let name = short(&self.run.id);
        let leaves = self.ctrl_c == CtrlC::Leaves || self.stopping;
        let line = if leaves {
            format!("the run goes on; see it again: darwin runs watch {name}")
        } else {
            "stopping once the agents at work are evaluated; Ctrl-C again leaves at once".to_owned()
        };
        self.stopping = true;
        if leaves {
            // What changes in place goes first.
            self.live = None;
        }
        self.say(&line);
        leaves
    }

    fn say(&mut self, line: &str) {
        match &self.live {
            Some(live) => live.note(line),
            None => self.context.out.note(line),
        }
    }

    /// Takes note of how the run stands; gives it back when it rests.
    fn take(&mut self, progress: Progress) -> Result<Option<Run>, Failure> {
        self.rate = progress.rate;
        if self.every_change && self.context.out.json() {
            self.context.out.document("progress", json::progress(&progress))?;
        }
        let Some(run) = progress.run else { return Ok(None) };
        self.seen = Instant::now();
        self.run = run;
        self.history.add(&self.run);
        if self.run.state != RunState::Running.as_str() {
            return Ok(Some(std::mem::take(&mut self.run)));
        }
        if self.live.is_none() && !self.context.out.json() {
            self.log();
        }
        Ok(None)
    }

    /// A line on a new best, but not too many of them.
    fn log(&mut self) {
        let new = self.run.best.is_some() && self.run.best != self.told;
        let due = self.told.is_none() || self.told_at.elapsed() >= self.news_after;
        if new && due {
            self.news_after = (self.news_after * 3 / 2).min(NEWS.1);
            (self.told, self.told_at) = (self.run.best, Instant::now());
            self.context.out.note(view::news(&self.run, self.run.elapsed_ms));
        }
    }

    fn draw(&mut self) {
        let Some(live) = &mut self.live else { return };
        self.turn += 1;
        let waited = u64::try_from(self.seen.elapsed().as_millis()).unwrap_or(0);
        // The clock of a run stands while it waits.
        let moving = self.run.waiting.is_empty() && self.run.agents > 0;
        let elapsed = self.run.elapsed_ms + if moving { waited } else { 0 };
        let paint = |tone: Tone, text: &str| live.paint(tone, text);
        let mut lines = view::frame(
            &self.run,
            self.rate,
            elapsed,
            &self.history,
            &self.budget,
            self.turn,
            &paint,
        );
        if self.stopping {
            lines.push(paint(Tone::Warn, "  stopping…"));
        }
        live.show(&lines);
    }
}

/// Waits for the daemon of `run` to answer again. It starts none: whoever ended the daemon may
/// have meant it, and systemd or the next command brings it back.
async fn find(target: Target, run: String, reason: String) -> Result<(Link, Events), Failure> {
    let looking = async {
        let mut waits = Backoff::new(LOOKS.0, LOOKS.1);
        loop {
            tokio::time::sleep(waits.next(rand::random())).await;
            match target.running().await {
                Ok(Some(Running { link, .. })) => {
                    if let Ok(events) = link.watch(&run).await {
                        return Ok((link, Box::pin(events) as Events));
                    }
                }
                // Its certificate is good no longer: that does not pass.
                Err(failure @ Failure::Fault { code: Code::Denied, .. }) => return Err(failure),
                _ => {}
            }
        }
    };
    within(PATIENCE, "looking for the daemon", looking).await.unwrap_or_else(|_| {
        let message = format!(
            "no daemon for {} s after losing sight of the run: {reason}",
            PATIENCE.as_secs()
        );
        let hint = format!("darwin runs watch {run}");
        Err(Failure::new(Code::Unavailable, message).hint(hint))
    })
}

/// Tells how the run ended and what to type next.
fn tell_end(context: &mut Context, run: &Run) -> Result<(), Failure> {
    if context.out.json() {
        return context.out.document("run", json!(json::run(run)));
    }
    context.out.pairs(&view::summary(run))?;
    context.out.flush()?;
    let steps = view::next_steps(run);
    let width = steps.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    if !steps.is_empty() {
        context.out.note("\nnext:");
    }
    for (command, why) in steps {
        context.out.note(format_args!("  {command:width$}  # {why}"));
    }
    Ok(())
}

/// Whether the best agent of `run`, or its first, was evaluated again with the same seed to
/// another score.
async fn doubt(link: &Link, run: &Run) -> Option<String> {
    let best = AgentId::try_from(&run.best_agent[..]).ok()?;
    let first = Slot { generation: 0, index: 0 };
    let first = AgentId::in_run(RunId::try_from(&run.id[..]).ok()?, first);
    for agent in [best, first] {
        if let Some(words) = consistency::recorded(link, agent.to_string()).await {
            return Some(format!("agent {agent} is {words}"));
        }
    }
    None
}

/// Why the first agent of `run` that has no score has none.
async fn first_failure(link: &Link, run: &Run) -> Option<String> {
    let request = JournalRequest {
        of: id(&run.id),
        only: vec![Verdict::Archived.as_str().to_owned()],
        limit: 1,
        ..JournalRequest::default()
    };
    let answer = link.journals().read(request).await.ok()?.into_inner();
    let events = answer.entries.into_iter().flat_map(|entry| entry.events);
    events.filter_map(|event| event.event).find_map(|event| match event {
        event::Event::Evaluated(evaluated) => {
            let evaluation = evaluated.evaluation?;
            Some(format!("{}: {}", evaluation.failure, plain(&evaluation.reason)))
        }
        _ => None,
    })
}
