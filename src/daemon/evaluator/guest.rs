//! A recorded agent that talks in a room, with whoever is there.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{
    Evaluator, Profile,
    error::EvaluatorError,
    laying::Laying,
    outcome::Rules,
    plan::Job,
    seat::{self, Part},
    workers::Workers,
};
use crate::{
    daemon::hub::Member,
    domain::{
        genome::{Genome, Space},
        suite::{Bundle, Limits, Method, Suite},
    },
};

/// The agent, and how it runs.
#[derive(Debug)]
pub struct Guest {
    /// What it is made of.
    pub genome: Genome,
    /// What its parameters mean.
    pub space: Arc<Space>,
    /// Its program and its arguments.
    pub argv: Vec<String>,
    /// What it may use.
    pub limits: Limits,
    /// How it is contained.
    pub profile: Profile,
}

impl Evaluator {
    /// Has the agent's program be `member` of its room, in a sandbox, until it ends or `over` is
    /// cancelled. Why it left, if it was by itself.
    ///
    /// # Errors
    /// If the machine is not fit for it.
    pub async fn host(
        &self,
        guest: Guest,
        member: Member,
        over: &CancellationToken,
    ) -> Result<Option<String>, EvaluatorError> {
        self.hidden()?;
        let Guest { genome, space, argv, limits, profile } = guest;
        let method = Method::Command { argv: Vec::new(), build: None };
        let suite = Suite { limits, ..Suite::new("talk", method) };
        let nothing = self.suite_directory(&Bundle::new()).await?;
        let (task, interpreter) = self.programs().await;
        let recipe = self.recipe(&suite, interpreter, profile, nothing.0.clone());
        let workers = Workers::open(recipe, task).await?;
        let job = Job::Talk { referees: false };
        let request = Laying::of(&genome, &space).request(job, &argv, String::new(), 0, &[]);
        let request = request.map_err(|error| EvaluatorError::Machine {
            what: "start an agent",
            reason: error.to_string(),
        })?;
        let part = Part::Player { usual: None, talks: true };
        let left = seat::attend(&workers, &request, (member, part), None, over).await;
        workers.close().await;
        let rules = Rules { in_process: false, ..self.rules(&suite, profile) };
        Ok(left?.told(&rules).1)
    }
}
