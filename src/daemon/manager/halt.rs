//! Ends of runs that their users want: a stop, the kill switch, and the way back to an earlier
//! generation (S-L7).

use super::{Manager, change, error::ManagerError, plan::Plan, replay::Past, view::RunView};
use crate::{
    config::spec,
    daemon::{
        registry::model::NewRun,
        store::warm::{
            marks::Mark,
            rows::{Origin, RunRow},
        },
    },
    domain::{
        id::{AgentId, RunId},
        lifecycle::{RunEvent, RunState},
        spec::Stop,
    },
    evolution::{engine::Engine, setup::Setup},
};

/// Why a run that was stopped came to rest, and one that was killed.
pub(super) const STOPPED: &str = "stopped by the user";
pub(super) const KILLED: &str = "killed by the user";

/// Where a run shall go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Back {
    /// From the generation before its last one, which may not be whole.
    Last,
    /// From this generation.
    To(u64),
    /// From the generation before that of this agent.
    Before(AgentId),
}

impl Manager {
    /// Stops a run: nothing new begins, what is at work ends or is given up, and all that
    /// was evaluated is committed before this returns. With its end it is written that the call
    /// `mark` was made.
    ///
    /// # Errors
    /// If it is not running, the daemon ends meanwhile, or the registry fails.
    pub async fn stop(&self, id: RunId, mark: Option<Mark>) -> Result<RunView, ManagerError> {
        self.halt(id, STOPPED, mark).await
    }

    /// Stops a run at once: all that it executes is killed, and nothing comes of it. What was
    /// evaluated before is committed before this returns. `mark` as for [`Self::stop`].
    ///
    /// # Errors
    /// If it is not running, the daemon ends meanwhile, or the registry fails.
    pub async fn kill(&self, id: RunId, mark: Option<Mark>) -> Result<RunView, ManagerError> {
        self.halt(id, KILLED, mark).await
    }

    async fn halt(
        &self,
        id: RunId,
        reason: &str,
        mark: Option<Mark>,
    ) -> Result<RunView, ManagerError> {
        let turn = self.turns.wait(id).await;
        let watched = self.active().get_mut(&id).map(|active| {
            active.marks.extend(mark);
            if reason == KILLED {
                active.kill.cancel();
            }
            active.stop.cancel();
            active.view.clone()
        });
        if let Some(mut view) = watched {
            // The drive needs its turn to record its end.
            drop(turn);
            // The sender is dropped when the drive is over, whatever it says last.
            let rests = |view: &RunView| view.row.state != RunState::Running || view.unrecorded;
            drop(view.wait_for(rests).await);
            if self.row(id).await?.state == RunState::Running {
                return Err(ManagerError::Unrecorded(id));
            }
        } else {
            let row = self.row(id).await?;
            change(&row, RunEvent::Stop)?;
            self.record(&row, RunState::Stopped, reason, mark).await?;
        }
        self.show(id).await
    }

    /// Goes back to an earlier generation of the run `id`, which is killed if it is at work:
    /// makes the run `new`, whose past are the generations up to that one. It rests until it is
    /// resumed, and draws other random numbers from there on. What the run `id` made later stays
    /// on record as its own, and counts for nothing in the new one. If there is a run `new`, it
    /// is given.
    ///
    /// # Errors
    /// If there is no such generation, the run's session is closed, or the registry fails.
    pub async fn roll_back(
        &self,
        id: RunId,
        new: RunId,
        back: Back,
    ) -> Result<RunView, ManagerError> {
        let _turn = self.turns.wait(new).await;
        if self.registry.run(new).await?.is_some() {
            return self.show(new).await;
        }
        let mut row = self.row(id).await?;
        let generation = self.generation(&row, back).await?;
        if row.state == RunState::Running {
            row = self.kill(id, None).await?.row;
        }
        let stored = self.registry.load_run(id).await?;
        let mut spec = spec::parse(&stored.spec_toml)?;
        super::plan::widen(&mut spec.stop, row.stop);
        // The same seed would make the same agents.
        let seed = u64::from(rand::random::<u32>());
        spec.seed = Some(seed);
        let plan = Plan::new(spec, &stored.agent_files, &stored.suite_files, seed)?;
        // Without limits, so that it ends with no generation that is not whole.
        let setup = Setup { stop: Stop::default(), ..plan.setup };
        let mut engine = Engine::new(setup)?;
        let past = Past::of(&self.registry, Some((id, generation))).await?;
        past.adopt(&self.registry, &mut engine).await?;
        if engine.generation() <= generation {
            let hint = "give an earlier one, or none for the one before its last";
            return Err(ManagerError::NoGeneration { run: id, generation, hint });
        }
        let best = engine.best().map(|best| (best.fitness, past.agent(new, best.slot)));
        let new = NewRun {
            id: new,
            session: row.session,
            name: row.name,
            spec_toml: spec::to_toml(&plan.spec)?,
            agent_files: stored.agent_files,
            suite_files: stored.suite_files,
            workers: row.workers,
            sandbox: row.sandbox,
            seed,
            objective: row.objective,
            divisor: row.divisor,
            origin: Some(Origin { run: id, generation, best }),
        };
        let (row, _) = self.registry.create_run(new).await?;
        Ok(row.into())
    }

    /// The generation to go back to.
    async fn generation(&self, row: &RunRow, back: Back) -> Result<u64, ManagerError> {
        let none = |generation| {
            let hint = "what it began with is what a new run of its specification begins with";
            ManagerError::NoGeneration { run: row.id, generation, hint }
        };
        match back {
            Back::To(generation) => Ok(generation),
            Back::Last => row.generation.checked_sub(1).ok_or_else(|| none(0)),
            Back::Before(agent) => {
                let found = self.registry.agent(agent).await?;
                let of = found.run.is_some_and(|run| run == row.id);
                let stranger = ManagerError::Stranger { run: row.id, agent };
                if of {
                    found.generation.checked_sub(1).ok_or_else(|| none(0))
                } else {
                    Err(stranger)
                }
            }
        }
    }
}
