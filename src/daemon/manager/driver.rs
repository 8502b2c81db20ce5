//! Drives one run: asks the engine, has its proposals evaluated, tells it the results
//! and commits them, until a stop rule holds or the run is stopped.
//!
//! The engine is told a result at once; durability follows in the order of submission,
//! so a child is never durable before its parent, and the search never waits for a disk.
//! Only what is committed is counted and shown.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{sync::watch, time::sleep_until};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    error::ManagerError,
    measure::{Measure, Measured, Often},
    replay::{Past, Replay},
    view::{Meter, RunView, better},
};
use tracing::{Instrument as _, info_span};

use crate::{
    daemon::{
        clock,
        evaluator::Bench,
        registry::{
            Registry,
            model::{Cursor, Finished, Receipt},
        },
    },
    domain::{
        digest::Digest,
        evaluation::{Evaluation, Isolation, Layers},
        genome::Space,
        id::{AgentId, RunId, SessionId},
        journal::{Evaluated, Judged, Proposed},
        lifecycle::{RunState, Verdict},
        objective::{self, Objective},
    },
    evolution::{engine::Engine, setup::Proposal},
};

/// The most proposals that are evaluated in one go where that takes no process.
const INLINE_BATCH: usize = 256;
/// How long evaluations that are at work may go on once a run is asked to stop.
const DRAIN: Duration = Duration::from_secs(5);
/// How often what watchers see is renewed.
const VIEW_EVERY: Duration = Duration::from_millis(50);

/// All that a run needs to be driven.
pub(super) struct Driver {
    pub run: RunId,
    pub session: SessionId,
    pub seed: u64,
    pub space: Arc<Space>,
    pub objectives: Arc<[Objective]>,
    pub suite: Digest,
    pub often: Often,
    pub isolation: Isolation,
    pub layers: Layers,
    pub workers: usize,
    pub time_limit: Option<Duration>,
    pub checkpoint_every: Duration,
    /// The most agents that are evaluated but not yet durable.
    pub in_flight: u64,
    pub engine: Engine,
    /// Behind this, results are committed that the engine may not know.
    pub after: Cursor,
    /// Whether it may not make these agents again: in steady state they depend on the order of
    /// results, and an engine of another version may have made them.
    pub adopts: bool,
    /// Whether it knows nothing yet, of the runs before this one neither.
    pub fresh: bool,
    pub bench: Arc<Bench>,
    pub registry: Registry,
    pub view: watch::Sender<RunView>,
    pub cancel: CancellationToken,
    /// As `cancel`, but what is being evaluated is ended with it.
    pub kill: CancellationToken,
    /// The runs that this one goes on from.
    pub past: Past,
}

/// Why a driver came to rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A stop rule holds; its name.
    Finished(String),
    /// It was asked to.
    Cancelled,
    /// It was killed.
    Killed,
}

struct Pending {
    receipt: Receipt,
    agents: u64,
    failed: u64,
    youngest: u64,
    best: Option<(f64, AgentId)>,
}

/// The driver at work.
struct Drive {
    d: Driver,
    pending: VecDeque<Pending>,
    meter: Meter,
    began: Instant,
    elapsed_before: Duration,
    shown: Instant,
    checkpointed: Instant,
}

impl Driver {
    fn measure(&self) -> Measure {
        Measure {
            bench: Arc::clone(&self.bench),
            registry: self.registry.clone(),
            session: self.session,
            space: Arc::clone(&self.space),
            objectives: Arc::clone(&self.objectives),
            suite: self.suite,
            isolation: self.isolation,
            layers: self.layers,
        }
    }

    /// Drives the run until it comes to rest, everything committed.
    ///
    /// # Errors
    /// If it can't go on: a store or the evaluator fails for good.
    pub async fn drive(self) -> Result<End, ManagerError> {
        let now = Instant::now();
        let elapsed_before = Duration::from_millis(self.view.borrow().row.elapsed_ms);
        let mut drive = Drive {
            d: self,
            pending: VecDeque::new(),
            meter: Meter::new(now),
            began: now,
            elapsed_before,
            shown: now,
            checkpointed: now,
        };
        let worked = drive.work().await;
        let settled = drive.settle().await;
        drive.show(true);
        let end = worked?;
        settled?;
        drive.checkpoint().await?;
        Ok(end)
    }
}

impl Drive {
    async fn work(&mut self) -> Result<End, ManagerError> {
        let d = &mut self.d;
        if d.fresh {
            d.past.adopt(&d.registry, &mut d.engine).await?;
        }
        let mut replay = Replay::open(&d.registry, d.run, d.after, &mut d.engine, d.adopts).await?;
        if self.d.bench.is_inline() {
            self.work_inline(&mut replay).await
        } else {
            self.work_in_processes(&mut replay).await
        }
    }

    /// Evaluations that take microseconds: no process, no task each.
    async fn work_inline(&mut self, replay: &mut Replay) -> Result<End, ManagerError> {
        loop {
            if let Some(end) = self.ended() {
                return Ok(end);
            }
            let proposals = self.d.engine.ask(INLINE_BATCH);
            let Some(first) = proposals.first() else { return self.idle_end() };
            let span = info_span!(
                "run.batch",
                darwin.run = %self.d.run,
                darwin.generation = first.slot.generation,
                darwin.agents = proposals.len(),
            );
            let mut batch = Vec::with_capacity(proposals.len());
            for proposal in proposals {
                if let Some(fitness) = replay.result(&self.d.registry, proposal.slot).await? {
                    self.d.engine.tell(proposal.slot, fitness);
                } else {
                    let evaluation = span.in_scope(|| self.d.bench.evaluate_now(&proposal.genome));
                    let evaluation = evaluation.ok_or(ManagerError::Stalled(self.d.run))?;
                    let measured = self.measured(evaluation);
                    batch.push(self.finish(proposal, measured));
                }
            }
            self.submit(batch).instrument(span).await?;
            self.upkeep().await?;
            // The loop may never find a reason to wait: let others have their turn.
            tokio::task::yield_now().await;
        }
    }

    /// Evaluations in worker processes, `workers` at once.
    async fn work_in_processes(&mut self, replay: &mut Replay) -> Result<End, ManagerError> {
        let (measure, seed, often) = (Arc::new(self.d.measure()), self.d.seed, self.d.often);
        let mut jobs = FuturesUnordered::new();
        let mut end = None;
        let mut give_up: Option<Instant> = None;
        loop {
            end = end.or_else(|| self.ended());
            while end.is_none() && jobs.len() < self.d.workers {
                let proposals = self.d.engine.ask(self.d.workers - jobs.len());
                if proposals.is_empty() {
                    break;
                }
                for proposal in proposals {
                    if let Some(fitness) = replay.result(&self.d.registry, proposal.slot).await? {
                        self.d.engine.tell(proposal.slot, fitness);
                    } else {
                        let measure = Arc::clone(&measure);
                        // A task of its own: what it waits for is shared with this driver, which
                        // does not poll its jobs while it waits itself. Dropping it gives it up.
                        let span = info_span!(
                            "run.agent",
                            darwin.run = %self.d.run,
                            darwin.generation = proposal.slot.generation,
                        );
                        let job = async move {
                            let measured = measure.in_run(&proposal, seed, often).await;
                            (proposal, measured, tracing::Span::current())
                        };
                        jobs.push(AbortOnDropHandle::new(tokio::spawn(job.instrument(span))));
                    }
                }
                end = end.or_else(|| self.ended());
            }
            if jobs.is_empty() {
                return end.map_or_else(|| self.idle_end(), Ok);
            }
            if end.is_some() && give_up.is_none() {
                give_up = Some(Instant::now() + DRAIN);
            }
            let wake = give_up.or_else(|| self.time_up()).unwrap_or(self.shown + VIEW_EVERY * 20);
            let cancelled = end.is_some();
            tokio::select! {
                // Dropping the jobs kills all that they execute.
                () = self.d.kill.cancelled() => return Ok(End::Killed),
                Some(done) = jobs.next() => {
                    let (proposal, outcome, span) = done.map_err(|_| ManagerError::Died(self.d.run))?;
                    let finished = self.finish(proposal, outcome?);
                    self.submit(vec![finished]).instrument(span).await?;
                }
                () = self.d.cancel.cancelled(), if !cancelled => {}
                () = sleep_until(wake.into()) => {
                    if give_up.is_some_and(|at| Instant::now() >= at) {
                        // What is still at work is evaluated again when the run goes on.
                        return end.map_or_else(|| self.idle_end(), Ok);
                    }
                }
            }
            self.upkeep().await?;
        }
    }

    /// Whether it is time to stop, and why.
    fn ended(&self) -> Option<End> {
        if self.d.kill.is_cancelled() {
            return Some(End::Killed);
        }
        if self.d.cancel.is_cancelled() {
            return Some(End::Cancelled);
        }
        if let Some(reason) = self.d.engine.stopped() {
            return Some(End::Finished(reason.as_str().to_owned()));
        }
        let late = self.time_up().is_some_and(|at| Instant::now() >= at);
        late.then(|| End::Finished("time".to_owned()))
    }

    fn time_up(&self) -> Option<Instant> {
        let limit = self.d.time_limit?.saturating_sub(self.elapsed_before);
        Some(self.began + limit)
    }

    /// The engine asks for nothing although nothing is at work: it must have stopped.
    fn idle_end(&self) -> Result<End, ManagerError> {
        self.ended().ok_or(ManagerError::Stalled(self.d.run))
    }

    /// A result of which nothing was executed: no seed, no repeat changes it.
    fn measured(&self, evaluation: Evaluation) -> Measured {
        let d = &self.d;
        let fitness =
            evaluation.scores.as_ref().ok().map(|scores| objective::fitness(&d.objectives, scores));
        let whole =
            Evaluated { suite: d.suite, seed: d.seed, evaluation, fitness, at_ms: clock::millis() };
        Measured { whole, repeats: Vec::new() }
    }

    /// Judges a result, tells the engine, and makes it ready to be committed.
    fn finish(&mut self, proposal: Proposal, measured: Measured) -> Finished {
        let d = &mut self.d;
        let Measured { whole: evaluated, repeats } = measured;
        let fitness = evaluated.fitness;
        d.engine.tell(proposal.slot, fitness);
        let verdict = Verdict::of(fitness, proposal.parent_fitness, proposal.best_before);
        let delta = fitness.zip(proposal.parent_fitness).map(|(own, parent)| own - parent);
        Finished {
            agent: d.past.agent(d.run, proposal.slot),
            proposed: Proposed {
                run: Some(d.run),
                generation: proposal.slot.generation,
                slot: proposal.slot.index,
                operators: proposal.operators.iter().map(|&name| name.to_owned()).collect(),
                seed: d.seed,
                parents: proposal.parents.iter().map(|&p| d.past.agent(d.run, p)).collect(),
                genome: proposal.genome,
                space: Arc::clone(&d.space),
            },
            evaluated,
            repeats,
            judged: Judged { verdict, delta },
        }
    }

    /// Hands results to the registry; waits while too many are on their way to the disk.
    async fn submit(&mut self, batch: Vec<Finished>) -> Result<(), ManagerError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut best = None;
        let (mut failed, mut youngest) = (0, 0);
        for finished in &batch {
            youngest = youngest.max(finished.proposed.generation);
            match finished.evaluated.fitness {
                None => failed += 1,
                Some(fitness) => best = better(best, Some((fitness, finished.agent))),
            }
        }
        let agents = batch.len() as u64;
        while self.pending.iter().map(|p| p.agents).sum::<u64>() >= self.d.in_flight {
            self.commit_next().await?;
        }
        let receipt = self.d.registry.submit(Some(self.d.run), self.d.session, batch).await?;
        self.pending.push_back(Pending { receipt, agents, failed, youngest, best });
        Ok(())
    }

    /// Waits until the oldest batch is durable, then counts it.
    async fn commit_next(&mut self) -> Result<(), ManagerError> {
        if let Some(mut pending) = self.pending.pop_front() {
            (&mut pending.receipt).await?;
            self.count(&pending);
        }
        Ok(())
    }

    /// Counts a durable batch. Watchers are woken by `show`, at their pace.
    fn count(&mut self, done: &Pending) {
        self.meter.add(done.agents);
        self.d.view.send_if_modified(|view| {
            view.row.agents += done.agents;
            view.row.failed += done.failed;
            view.row.generation = view.row.generation.max(done.youngest);
            view.row.best = better(view.row.best, done.best);
            view.waiting = None;
            false
        });
    }

    /// Counts what has become durable meanwhile, renews what watchers see, checkpoints.
    async fn upkeep(&mut self) -> Result<(), ManagerError> {
        while let Some(mut pending) = self.pending.pop_front() {
            let Some(done) = (&mut pending.receipt).now_or_never() else {
                self.pending.push_front(pending);
                break;
            };
            done?;
            self.count(&pending);
        }
        self.show(false);
        if self.checkpointed.elapsed() >= self.d.checkpoint_every {
            self.settle().await?;
            self.checkpoint().await?;
        }
        Ok(())
    }

    fn elapsed(&self) -> Duration {
        self.elapsed_before + self.began.elapsed()
    }

    fn show(&mut self, at_once: bool) {
        let now = Instant::now();
        if !at_once && now.duration_since(self.shown) < VIEW_EVERY {
            return;
        }
        self.shown = now;
        let rate = self.meter.rate(now);
        let elapsed_ms = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.d.view.send_modify(|view| {
            view.rate = rate;
            view.row.elapsed_ms = elapsed_ms;
        });
    }

    /// Waits until everything that was submitted is durable.
    async fn settle(&mut self) -> Result<(), ManagerError> {
        while !self.pending.is_empty() {
            self.commit_next().await?;
        }
        Ok(())
    }

    /// Saves the engine, so that a restart need not replay the whole run. Everything it
    /// was told must be durable by then.
    async fn checkpoint(&mut self) -> Result<(), ManagerError> {
        self.checkpointed = Instant::now();
        let elapsed_ms = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        let d = &self.d;
        let snapshot = d.engine.snapshot()?;
        d.registry.save_checkpoint(d.run, d.engine.generation(), &snapshot).await?;
        d.registry.set_run(d.run, RunState::Running, "", elapsed_ms, None).await?;
        Ok(())
    }
}
