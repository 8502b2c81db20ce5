//! An evaluation that a user asks for outside any run. It is recorded in the journal of the agent;
//! a genome of the user's becomes an agent first, whose score is that of its first evaluation.

use std::sync::Arc;

use super::{Manager, ManagerError};
use crate::{
    config::{check, suite},
    daemon::{
        clock,
        evaluator::Profile,
        registry::{error::RegistryError, model::Finished},
    },
    domain::{
        digest::Digest,
        genome::{Genome, Space},
        id::{AgentId, SessionId},
        journal::{Evaluated, Judged, Proposed},
        lifecycle::Verdict,
        objective::{self, Objective},
        suite::{Bundle, Suite},
    },
};

/// The most repeats of one trial.
pub const MAX_REPEAT: u32 = 1000;

/// What is evaluated.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A recorded agent.
    Agent(AgentId),
    /// A genome of the user's, with what its parameters mean.
    Genome(Genome, Arc<Space>),
}

/// An evaluation that a user asks for.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What is evaluated.
    pub subject: Subject,
    /// The session that a new agent joins.
    pub session: SessionId,
    /// `suite.toml`.
    pub suite_toml: String,
    /// The suite's files.
    pub suite_files: Bundle,
    /// How often.
    pub repeat: u32,
    /// The seed of the first evaluation; each further one has the next.
    pub seed: u64,
    /// How the agent's code is contained.
    pub profile: Profile,
}

/// What came out of a [`Trial`].
#[derive(Debug, Clone)]
pub struct TrialResult {
    /// The agent, new or as given.
    pub agent: AgentId,
    /// One a repeat.
    pub evaluations: Vec<Evaluated>,
    /// What was measured.
    pub objectives: Vec<Objective>,
}

impl Manager {
    /// Evaluates a genome or a recorded agent, and records the results.
    ///
    /// # Errors
    /// If the suite is wrong, the evaluator cannot work, or the registry fails.
    pub async fn evaluate(&self, trial: Trial) -> Result<TrialResult, ManagerError> {
        let suite = suite::parse(&trial.suite_toml)?;
        let objectives = suite.objectives();
        let (genome, space) = match &trial.subject {
            Subject::Agent(agent) => self.registry.genome(*agent).await?,
            Subject::Genome(genome, space) => (genome.clone(), Arc::clone(space)),
        };
        check::hides(&suite, &genome.files, &trial.suite_files)?;
        let digest = super::suite_digest(&suite, &trial.suite_files)?;
        let evaluations = self.measure(&trial, &suite, digest, &genome, &space).await?;
        let mut rest = evaluations.clone().into_iter();
        let agent = match trial.subject {
            Subject::Agent(agent) => agent,
            Subject::Genome(..) => self.make(&trial, rest.next(), genome, space).await?,
        };
        self.registry.append(agent, rest.collect()).await?;
        Ok(TrialResult { agent, evaluations, objectives })
    }

    async fn measure(
        &self,
        trial: &Trial,
        suite: &Suite,
        digest: Digest,
        genome: &Genome,
        space: &Arc<Space>,
    ) -> Result<Vec<Evaluated>, ManagerError> {
        let repeat = trial.repeat.clamp(1, MAX_REPEAT);
        let workers = self.workers.min(repeat as usize);
        let bench = self
            .evaluator
            .open(suite, &trial.suite_files, Arc::clone(space), trial.profile, workers)
            .await?;
        let objectives = suite.objectives();
        let one = async |seed| {
            let evaluation = bench.evaluate(genome, seed).await?;
            let scores = evaluation.scores.as_ref().ok();
            let fitness = scores.map(|scores| objective::fitness(&objectives, scores));
            Ok(Evaluated { suite: digest, seed, evaluation, fitness, at_ms: clock::millis() })
        };
        let all = (0..u64::from(repeat)).map(|n| one(trial.seed.wrapping_add(n)));
        let measured = futures_util::future::join_all(all).await;
        bench.close().await;
        measured.into_iter().collect()
    }

    /// Makes an agent of the user's genome, with its first evaluation.
    async fn make(
        &self,
        trial: &Trial,
        evaluated: Option<Evaluated>,
        genome: Genome,
        space: Arc<Space>,
    ) -> Result<AgentId, ManagerError> {
        let nothing = || RegistryError::Invalid("nothing was evaluated".to_owned());
        let evaluated = evaluated.ok_or_else(nothing)?;
        let agent = AgentId::new(clock::millis(), rand::random());
        let verdict = Verdict::of(evaluated.fitness, None, None);
        let finished = Finished {
            agent,
            proposed: Proposed {
                run: None,
                generation: 0,
                slot: 0,
                operators: vec!["given".to_owned()],
                seed: trial.seed,
                parents: Vec::new(),
                genome,
                space,
            },
            evaluated,
            repeats: Vec::new(),
            judged: Judged { verdict, delta: None },
        };
        self.registry.submit(None, trial.session, vec![finished]).await?.await?;
        Ok(agent)
    }
}
