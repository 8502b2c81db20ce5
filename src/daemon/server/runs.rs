//! Calls about runs.

use std::{pin::Pin, sync::Arc};

use futures_util::Stream;
use tokio::sync::watch;
use tonic::{Request, Response, Status, async_trait};

use crate::{
    daemon::{
        manager::{Start, error::ManagerError, halt::Back, view::RunView},
        registry::error::RegistryError,
        store::warm::rows::StopOverride,
    },
    domain::id::RunId,
    wire::{
        convert,
        fault::Fault,
        limits,
        v1::{
            self, ListRunsRequest, ListRunsResponse, Progress, ResumeRequest, RollbackRequest,
            RunRef, StartRequest, rollback_request::To, runs_server::Runs,
        },
    },
};

use super::{
    context::{Context, keyed, peer, profile, refuse, to_the_end},
    once::Asked,
    progress,
};

pub struct Service(pub Arc<Context>);

#[async_trait]
impl Runs for Service {
    async fn start(&self, request: Request<StartRequest>) -> Result<Response<v1::Run>, Status> {
        let user = peer(&request)?.user;
        let request = keyed(request)?;
        let context = self.0.clone();
        let view = to_the_end(async move {
            context.ready().await?;
            let start = Start {
                id: convert::id("run_id", &request.run_id)?,
                session: context.session(&user, &request.session_id).await?,
                profile: profile(&request.sandbox)?,
                agent_files: convert::bundle("agent_files", request.agent_files)?,
                suite_files: convert::bundle("suite_files", request.suite_files)?,
                spec_toml: request.spec_toml,
                workers: request.workers,
            };
            Ok::<_, Fault>(context.manager.start(start).await?)
        });
        Ok(Response::new(self.whole(&view.await?).await))
    }

    async fn list(
        &self,
        request: Request<ListRunsRequest>,
    ) -> Result<Response<ListRunsResponse>, Status> {
        let user = peer(&request)?.user;
        let request = request.into_inner();
        let session = match request.session.as_str() {
            "" => None,
            name => Some(self.0.registry.find_session(&user, name).await.map_err(refuse)?),
        };
        let limit = limits::page(request.limit) as usize;
        let runs = self.0.manager.list(session, limit).await.map_err(refuse)?;
        Ok(Response::new(ListRunsResponse { runs: runs.iter().map(run).collect() }))
    }

    async fn show(&self, request: Request<RunRef>) -> Result<Response<v1::Run>, Status> {
        let name = request.into_inner().run;
        let id = self.0.registry.find_run(&name).await.map_err(refuse)?;
        let view = self.0.manager.show(id).await.map_err(refuse)?;
        Ok(Response::new(self.whole(&view).await))
    }

    async fn stop(&self, request: Request<RunRef>) -> Result<Response<v1::Run>, Status> {
        let asked = Asked::of("Runs/Stop", &request)?;
        self.halt(asked, request.into_inner().run, false).await
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<Progress, Status>> + Send>>;

    async fn watch(&self, request: Request<RunRef>) -> Result<Response<Self::WatchStream>, Status> {
        let states = self.0.follow(&request.into_inner().run).await?;
        let told = |view: &RunView| Progress { run: Some(run(view)), rate: view.rate };
        Ok(Response::new(Box::pin(progress::follow(states, told))))
    }

    async fn kill(&self, request: Request<RunRef>) -> Result<Response<v1::Run>, Status> {
        let asked = Asked::of("Runs/Kill", &request)?;
        self.halt(asked, request.into_inner().run, true).await
    }

    async fn rollback(
        &self,
        request: Request<RollbackRequest>,
    ) -> Result<Response<v1::Run>, Status> {
        let request = keyed(request)?;
        let context = self.0.clone();
        let view = to_the_end(async move {
            context.ready().await?;
            let new = convert::id("run_id", &request.run_id)?;
            let id = context.registry.find_run(&request.run).await?;
            let back = match request.to {
                None => Back::Last,
                Some(To::Generation(generation)) => Back::To(generation),
                Some(To::Before(agent)) => Back::Before(context.registry.find_agent(&agent).await?),
            };
            Ok::<_, Fault>(context.manager.roll_back(id, new, back).await?)
        });
        Ok(Response::new(self.whole(&view.await?).await))
    }

    async fn resume(&self, request: Request<ResumeRequest>) -> Result<Response<v1::Run>, Status> {
        let (asked, request) = (Asked::of("Runs/Resume", &request)?, request.into_inner());
        let limits = StopOverride {
            generations: request.generations,
            evaluations: request.evaluations,
            time: request.time_seconds,
            target: request.target,
        };
        let context = self.0.clone();
        let view = to_the_end(async move {
            context.ready().await?;
            let turn = context.turn(asked).await?;
            if let Some(id) = turn.done(RunId::from_bytes) {
                return Ok(context.manager.show(id).await?);
            }
            let id = context.registry.find_run(&request.run).await?;
            let mark = Some(turn.mark(id.as_bytes()));
            Ok::<_, Fault>(context.manager.resume(id, limits, mark).await?)
        });
        Ok(Response::new(self.whole(&view.await?).await))
    }
}

/// The message of a run, without its specification.
#[must_use]
pub fn run(view: &RunView) -> v1::Run {
    let row = &view.row;
    let (fitness, agent) = row.best.unzip();
    v1::Run {
        id: convert::bytes(row.id.as_bytes()),
        name: row.name.clone(),
        session_id: convert::bytes(row.session.as_bytes()),
        state: row.state.as_str().to_owned(),
        reason: row.reason.clone(),
        generation: row.generation,
        agents: row.agents,
        failed: row.failed,
        best: fitness.map(|fitness| row.shown(fitness)),
        best_agent: agent.map(|agent| convert::bytes(agent.as_bytes())).unwrap_or_default(),
        seed: row.seed,
        started_ms: row.started_ms,
        elapsed_ms: row.elapsed_ms,
        objective: row.objective.clone(),
        spec_toml: String::new(),
        waiting: view.waiting.clone().unwrap_or_default(),
        maximize: row.maximize(),
        shredded: false,
        origin: row.origin.map(|(run, _)| convert::bytes(run.as_bytes())).unwrap_or_default(),
        origin_generation: row.origin.map(|(_, last)| last).unwrap_or_default(),
    }
}

impl Service {
    /// Brings the run of that name to rest, at once if it is to be killed.
    async fn halt(
        &self,
        asked: Asked,
        name: String,
        kill: bool,
    ) -> Result<Response<v1::Run>, Status> {
        let context = self.0.clone();
        let view = to_the_end(async move {
            context.ready().await?;
            let turn = context.turn(asked).await?;
            if let Some(id) = turn.done(RunId::from_bytes) {
                return Ok(context.manager.show(id).await?);
            }
            let id = context.registry.find_run(&name).await?;
            let mark = Some(turn.mark(id.as_bytes()));
            let halted = if kill {
                context.manager.kill(id, mark).await
            } else {
                context.manager.stop(id, mark).await
            };
            Ok::<_, Fault>(halted?)
        });
        Ok(Response::new(self.whole(&view.await?).await))
    }

    /// The message of a run, with its specification.
    async fn whole(&self, view: &RunView) -> v1::Run {
        // Its counts and scores are of use without it.
        match self.0.manager.spec(view.row.id).await {
            Ok(spec_toml) => v1::Run { spec_toml, ..run(view) },
            Err(ManagerError::Registry(RegistryError::Shredded(_))) => {
                v1::Run { shredded: true, ..run(view) }
            }
            Err(error) => {
                tracing::warn!(run = %view.row.id, %error, "its specification can't be read");
                run(view)
            }
        }
    }
}

impl Context {
    /// Follows the run of that name. A run at rest has a receiver whose sender is gone.
    async fn follow(&self, name: &str) -> Result<watch::Receiver<RunView>, Fault> {
        self.ready().await?;
        let id = self.registry.find_run(name).await?;
        if let Some(states) = self.manager.watch(id) {
            return Ok(states);
        }
        // At rest: it has one state, and nobody will change it.
        let (_, states) = watch::channel(self.manager.show(id).await?);
        Ok(states)
    }
}
