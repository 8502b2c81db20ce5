//! The agent manager: starts runs, drives them, stops them, and takes them up again.

pub mod error;
pub mod view;
mod replay;
mod measure;
mod driver;
mod plan;
pub mod halt;
mod course;
pub mod trial;
#[cfg(test)]
mod test_resuming;
#[cfg(test)]
mod test_halting;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{StreamExt, TryStreamExt, stream};
use opentelemetry::trace::FutureExt as _;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    evaluator::{Bench, Evaluator, Profile},
    registry::{Registry, model::NewRun},
    store::warm::{
        PAGE, Runs,
        marks::Mark,
        rows::{RunRow, StopOverride},
    },
    turns::Turns,
};
use crate::{
    config::{section, spec},
    domain::{
        id::{AgentId, RunId, SessionId},
        lifecycle::{RunEvent, RunState},
        suite::Bundle,
    },
    evolution::engine::Engine,
    telemetry::context,
};
use error::ManagerError;
use plan::{Plan, suite_digest};
use view::RunView;

/// How many runs are taken up at once: each starts its evaluator, which may take its time.
const TAKEN_UP: usize = 4;

/// What a run starts from.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its id, chosen by the caller: the same id again gives the run that is there.
    pub id: RunId,
    /// The session that it joins.
    pub session: SessionId,
    /// `darwin.toml` with its suite inlined.
    pub spec_toml: String,
    /// The initial agent's files.
    pub agent_files: Bundle,
    /// The suite's files.
    pub suite_files: Bundle,
    /// Evaluations at once; 0: as many as the daemon's default.
    pub workers: u32,
    /// How agents' code is contained.
    pub profile: Profile,
}

/// The agent manager.
pub struct Manager {
    registry: Registry,
    evaluator: Evaluator,
    config: section::Manager,
    workers: usize,
    active: Mutex<HashMap<RunId, Active>>,
    turns: Turns<RunId>,
    /// The agents that are being made by ids of their callers' choice.
    asked: Turns<AgentId>,
    shutdown: CancellationToken,
}

/// A run that is being driven.
struct Active {
    view: watch::Receiver<RunView>,
    /// Ends the drive; the run counts as stopped.
    stop: CancellationToken,
    /// As `stop`, and ends what is being evaluated.
    kill: CancellationToken,
    /// The calls that its end will have made.
    marks: Vec<Mark>,
    task: JoinHandle<()>,
}

impl Manager {
    /// A manager without runs at work; [`Self::recover`] takes up those that were. `workers`
    /// is how many evaluations run at once in a run that doesn't say.
    #[must_use]
    pub fn new(
        registry: Registry,
        evaluator: Evaluator,
        config: section::Manager,
        workers: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            registry,
            evaluator,
            config,
            workers,
            active: Mutex::default(),
            turns: Turns::default(),
            asked: Turns::default(),
            shutdown: CancellationToken::new(),
        })
    }

    /// Takes up every run that was at work when the daemon ended. One that cannot go on is
    /// marked failed with the reason; it holds up no other.
    ///
    /// # Errors
    /// If the registry cannot be read.
    pub async fn recover(self: &Arc<Self>) -> Result<usize, ManagerError> {
        let rows = self.registry.runs(Runs::AtWork, PAGE).await?;
        let count = rows.len();
        let all = stream::iter(rows.into_iter().map(|row| async {
            let _turn = self.turns.wait(row.id).await;
            self.take_up(row).await
        }));
        all.buffer_unordered(TAKEN_UP).try_collect::<()>().await?;
        Ok(count)
    }

    /// Starts a run, or finds it if there is one of that id. All that can be wrong with it
    /// is found before it is recorded.
    ///
    /// # Errors
    /// If the specification is wrong, the evaluator cannot work, a limit is reached, or the
    /// registry fails.
    pub async fn start(self: &Arc<Self>, start: Start) -> Result<RunView, ManagerError> {
        let _turn = self.turns.wait(start.id).await;
        if let Some(row) = self.registry.run(start.id).await? {
            return Ok(self.live(start.id).unwrap_or_else(|| row.into()));
        }
        self.room()?;
        let mut spec = spec::parse(&start.spec_toml)?;
        // The stored specification has the seed, so that it says all there is to repeat.
        let seed = *spec.seed.get_or_insert_with(|| u64::from(rand::random::<u32>()));
        let plan = Plan::new(spec, &start.agent_files, &start.suite_files, seed)?;
        Engine::new(plan.setup.clone())?;
        let workers = if start.workers == 0 {
            u32::try_from(self.workers).unwrap_or(u32::MAX)
        } else {
            start.workers
        };
        let bench = self.bench(&plan, &start.suite_files, start.profile, workers).await?;
        let new = NewRun {
            id: start.id,
            session: start.session,
            name: plan.spec.name.clone(),
            seed,
            objective: plan.objective(),
            divisor: plan.divisor(),
            spec_toml: spec::to_toml(&plan.spec)?,
            agent_files: start.agent_files,
            suite_files: start.suite_files,
            workers,
            sandbox: start.profile.as_str().to_owned(),
            origin: None,
        };
        let (row, made) = self.registry.create_run(new).await?;
        if !made {
            return Ok(self.live(start.id).unwrap_or_else(|| row.into()));
        }
        Ok(self.spawn(row, plan, bench))
    }

    /// A run as it is now.
    ///
    /// # Errors
    /// If there is none of that id, or the registry fails.
    pub async fn show(&self, id: RunId) -> Result<RunView, ManagerError> {
        match self.live(id) {
            Some(view) => Ok(view),
            None => Ok(self.row(id).await?.into()),
        }
    }

    /// The youngest `limit` runs, of one session or of all.
    ///
    /// # Errors
    /// If the registry fails.
    pub async fn list(
        &self,
        session: Option<SessionId>,
        limit: usize,
    ) -> Result<Vec<RunView>, ManagerError> {
        let rows = self.registry.runs(session.map_or(Runs::All, Runs::Of), limit).await?;
        let live = |row: RunRow| self.live(row.id).unwrap_or_else(|| row.into());
        Ok(rows.into_iter().map(live).collect())
    }

    /// A run's specification as it holds now: with the limits given when it was resumed.
    ///
    /// # Errors
    /// If there is none of that id, or the registry fails.
    pub async fn spec(&self, id: RunId) -> Result<String, ManagerError> {
        let row = self.row(id).await?;
        let stored = self.registry.load_run(id).await?.spec_toml;
        if row.stop == StopOverride::default() {
            return Ok(stored);
        }
        let mut spec = spec::parse(&stored)?;
        plan::widen(&mut spec.stop, row.stop);
        Ok(spec::to_toml(&spec)?)
    }

    /// Follows a run: its view changes as the run does, until the sender is gone. None for a
    /// run that is not at work.
    #[must_use]
    pub fn watch(&self, id: RunId) -> Option<watch::Receiver<RunView>> {
        self.active().get(&id).map(|active| active.view.clone())
    }

    /// How many runs are at work.
    #[must_use]
    pub fn running(&self) -> usize {
        self.active().len()
    }

    /// Takes a stopped or ended run up again, with new limits where they are given; with it is
    /// written that the call `mark` was made.
    ///
    /// # Errors
    /// If it is running already, the evaluator cannot work, or the registry fails.
    pub async fn resume(
        self: &Arc<Self>,
        id: RunId,
        limits: StopOverride,
        mark: Option<Mark>,
    ) -> Result<RunView, ManagerError> {
        let _turn = self.turns.wait(id).await;
        let row = self.row(id).await?;
        change(&row, RunEvent::Resume)?;
        self.room()?;
        let limits = StopOverride {
            generations: limits.generations.or(row.stop.generations),
            evaluations: limits.evaluations.or(row.stop.evaluations),
            time: limits.time.or(row.stop.time),
            target: limits.target.or(row.stop.target),
        };
        let state = RunState::Running;
        self.registry.marked(mark).set_run(id, state, "", row.elapsed_ms, Some(limits)).await?;
        self.take_up(self.row(id).await?).await?;
        self.show(id).await
    }

    /// Brings all runs to rest, everything committed; they go on at the next start.
    pub async fn drain(&self) {
        self.shutdown.cancel();
        let tasks: Vec<_> = self.active().drain().map(|(_, active)| active.task).collect();
        for task in tasks {
            drop(task.await);
        }
    }

    fn active(&self) -> MutexGuard<'_, HashMap<RunId, Active>> {
        // The map is whole between any two statements that hold the lock.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self, id: RunId) -> Option<RunView> {
        self.active().get(&id).map(|active| active.view.borrow().clone())
    }

    async fn row(&self, id: RunId) -> Result<RunRow, ManagerError> {
        self.registry.run(id).await?.ok_or(ManagerError::NoRun(id))
    }

    fn room(&self) -> Result<(), ManagerError> {
        if self.shutdown.is_cancelled() {
            return Err(ManagerError::ShuttingDown);
        }
        let most = self.config.max_runs;
        if self.running() < most { Ok(()) } else { Err(ManagerError::TooMany(most)) }
    }

    async fn bench(
        &self,
        plan: &Plan,
        suite_files: &Bundle,
        profile: Profile,
        workers: u32,
    ) -> Result<Bench, ManagerError> {
        let (suite, space) = (&plan.spec.suite, Arc::clone(&plan.setup.space));
        Ok(self.evaluator.open(suite, suite_files, space, profile, workers as usize).await?)
    }

    /// Drives a recorded run; one that cannot be driven is marked failed.
    async fn take_up(self: &Arc<Self>, row: RunRow) -> Result<(), ManagerError> {
        match self.prepare(&row).await {
            Ok((plan, bench)) => {
                self.spawn(row, plan, bench);
                Ok(())
            }
            Err(error) => {
                tracing::error!(run = %row.id, %error, "cannot take the run up");
                self.record(&row, RunState::Failed, &error.reason(), None).await?;
                Ok(())
            }
        }
    }

    async fn prepare(&self, row: &RunRow) -> Result<(Plan, Bench), ManagerError> {
        let stored = self.registry.load_run(row.id).await?;
        let mut spec = spec::parse(&stored.spec_toml)?;
        plan::widen(&mut spec.stop, row.stop);
        let plan = Plan::new(spec, &stored.agent_files, &stored.suite_files, row.seed)?;
        let profile = profile(row)?;
        let bench = self.bench(&plan, &stored.suite_files, profile, row.workers).await?;
        Ok((plan, bench))
    }

    fn spawn(self: &Arc<Self>, row: RunRow, plan: Plan, bench: Bench) -> RunView {
        let id = row.id;
        let view = RunView::from(row);
        let (sender, receiver) = watch::channel(view.clone());
        let stop = self.shutdown.child_token();
        let kill = CancellationToken::new();
        let manager = Arc::clone(self);
        let ends = (stop.clone(), kill.clone());
        // The lock is held until the task is in the map, so that it cannot end before.
        let mut active = self.active();
        // The spans of the run are in the trace of the call that starts it, which they outlive.
        let cause = context::within(context::here());
        let task = tokio::spawn(async move {
            let bench = Arc::new(bench);
            // A task of its own, so that a panic in it is seen here and marks the run.
            let drive = tokio::spawn(
                Arc::clone(&manager)
                    .drive(plan, Arc::clone(&bench), sender.clone(), ends)
                    .with_context(cause),
            );
            let ended = drive.await.unwrap_or(Err(ManagerError::Died(id)));
            if let Some(bench) = Arc::into_inner(bench) {
                bench.close().await;
            }
            manager.settle(ended, &sender).await;
        });
        active.insert(id, Active { view: receiver, stop, kill, marks: Vec::new(), task });
        view
    }
}

/// How the agents of a run are contained, for as long as it lasts.
fn profile(row: &RunRow) -> Result<Profile, ManagerError> {
    let unknown = || ManagerError::Profile { run: row.id, stored: row.sandbox.clone() };
    Profile::named(&row.sandbox).ok_or_else(unknown)
}

fn change(row: &RunRow, event: RunEvent) -> Result<RunState, ManagerError> {
    row.state.after(event).map_err(|source| ManagerError::State { run: row.id, source })
}
