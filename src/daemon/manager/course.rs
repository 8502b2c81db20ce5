//! The course of a run: driven to its end, over whatever passes, and its end recorded.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Manager,
    driver::{Driver, End},
    error::ManagerError,
    halt,
    measure::Often,
    plan::Plan,
    profile,
    replay::Past,
    view::RunView,
};
use crate::{
    daemon::{
        evaluator::Bench,
        registry::model::Cursor,
        store::warm::{marks::Mark, rows::RunRow},
    },
    domain::{lifecycle::RunState, spec::Mode},
    evolution::engine::Engine,
};

/// The pauses before a run that waits (for room on the disk, or for a database) is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

fn unrecorded(recorded: &Result<(), ManagerError>) -> String {
    let why = recorded.as_ref().err().map(ToString::to_string).unwrap_or_default();
    format!("its end could not be recorded: {why}")
}

impl Manager {
    /// Drives a run until it ends; after a failure that passes, again from what is committed.
    pub(super) async fn drive(
        self: Arc<Self>,
        plan: Plan,
        bench: Arc<Bench>,
        view: watch::Sender<RunView>,
        ends: (CancellationToken, CancellationToken),
    ) -> Result<End, ManagerError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let agents = view.borrow().row.agents;
            let drive = async { self.driver(&plan, &bench, &view, &ends).await?.drive().await };
            match drive.await {
                Err(error) if error.passes() => {
                    tracing::warn!(run = %view.borrow().row.id, %error, "the run waits");
                    view.send_modify(|view| view.waiting = Some(error.to_string()));
                }
                ended => return ended,
            }
            let got_on = view.borrow().row.agents > agents;
            pause = if got_on { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::select! {
                () = ends.0.cancelled() => return Ok(End::Cancelled),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn driver(
        &self,
        plan: &Plan,
        bench: &Arc<Bench>,
        view: &watch::Sender<RunView>,
        (cancel, kill): &(CancellationToken, CancellationToken),
    ) -> Result<Driver, ManagerError> {
        let id = view.borrow().row.id;
        let mut adopts = plan.spec.search.mode == Mode::SteadyState;
        let saved = self.registry.load_checkpoint(id).await?;
        let restored = saved.and_then(|saved| {
            let engine = Engine::restore(plan.setup.clone(), &saved.bytes);
            // All that it knew is committed: it only makes a restart quicker.
            let lost = |error: &_| {
                tracing::warn!(run = %id, %error, "the run is taken up from its first result");
                adopts = true;
            };
            Some((engine.inspect_err(lost).ok()?, saved.after))
        });
        let (engine, after, fresh) = match restored {
            Some((engine, after)) => (engine, after, false),
            None => (Engine::new(plan.setup.clone())?, Cursor::default(), true),
        };
        // What is committed, whatever a drive before this one had counted.
        let stored = self.row(id).await?;
        view.send_modify(|view| {
            view.row = RunRow { elapsed_ms: view.row.elapsed_ms.max(stored.elapsed_ms), ..stored };
        });
        let row = view.borrow().row.clone();
        Ok(Driver {
            run: id,
            session: row.session,
            seed: row.seed,
            space: Arc::clone(&plan.setup.space),
            objectives: Arc::clone(&plan.objectives),
            suite: plan.suite,
            often: Often::of(&plan.spec.suite),
            isolation: profile(&row)?.isolation(),
            layers: self.evaluator.optional(),
            workers: (row.workers as usize).max(1),
            time_limit: plan.spec.stop.time.map(Duration::from_secs_f64),
            checkpoint_every: Duration::from_secs(self.config.checkpoint_seconds),
            in_flight: self.config.in_flight as u64,
            engine,
            after,
            adopts,
            fresh,
            past: Past::of(&self.registry, row.origin).await?,
            bench: Arc::clone(bench),
            registry: self.registry.clone(),
            view: view.clone(),
            cancel: cancel.clone(),
            kill: kill.clone(),
        })
    }

    /// Records how a drive ended, and tells the watchers last.
    pub(super) async fn settle(
        &self,
        ended: Result<End, ManagerError>,
        view: &watch::Sender<RunView>,
    ) {
        let (state, reason) = match ended {
            // Still running as far as the registry knows: the next start takes it up.
            Ok(End::Cancelled) if self.shutdown.is_cancelled() => return,
            Ok(End::Cancelled) => (RunState::Stopped, halt::STOPPED.to_owned()),
            Ok(End::Killed) => (RunState::Stopped, halt::KILLED.to_owned()),
            Ok(End::Finished(rule)) => (RunState::Finished, rule),
            Err(error) => (RunState::Failed, error.reason()),
        };
        let run = view.borrow().row.id;
        tracing::info!(%run, state = state.as_str(), reason, "the run came to rest");
        let mut pause = FIRST_PAUSE;
        let recorded = loop {
            let row = view.borrow().row.clone();
            let turn = self.turns.wait(run).await;
            let marks = self.active().get(&run).map(|active| active.marks.clone());
            // An attempt before this one may have gone well, though nobody was told.
            let known =
                view.borrow().unrecorded && self.row(run).await.is_ok_and(|row| row.state == state);
            let recorded = if known {
                Ok(())
            } else {
                self.record(&row, state, &reason, marks.unwrap_or_default()).await
            };
            let away = recorded.as_ref().is_err_and(ManagerError::is_away);
            if !away || self.shutdown.is_cancelled() {
                self.active().remove(&run);
                break recorded;
            }
            drop(turn);
            view.send_modify(|view| {
                view.unrecorded = true;
                view.waiting = Some(unrecorded(&recorded));
            });
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        if let Err(error) = &recorded {
            tracing::error!(%run, %error, "the end of the run could not be recorded");
        }
        view.send_modify(|view| match &recorded {
            Ok(()) => {
                view.row.state = state;
                view.row.reason = reason;
                view.waiting = None;
            }
            // As far as anybody can tell it is at work, and the next start takes it up.
            Err(_) => view.waiting = Some(unrecorded(&recorded)),
        });
    }

    pub(super) async fn record(
        &self,
        row: &RunRow,
        state: RunState,
        reason: &str,
        marks: impl IntoIterator<Item = Mark>,
    ) -> Result<(), ManagerError> {
        let registry = self.registry.marked(marks);
        Ok(registry.set_run(row.id, state, reason, row.elapsed_ms, None).await?)
    }
}
