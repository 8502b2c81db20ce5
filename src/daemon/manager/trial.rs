//! An evaluation that a user asks for outside any run. A genome of the user's becomes an agent
//! with its first result; a recorded agent's journal stays as it is.

use std::sync::Arc;

use super::{Manager, ManagerError};
use crate::{
    config::suite,
    daemon::{clock, evaluator::Profile, registry::model::Finished},
    domain::{
        digest::Digest,
        evaluation::Evaluation,
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
    /// One result a repeat, with its fitness.
    pub evaluations: Vec<(Evaluation, Option<f64>)>,
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
        let evaluations = self.measure(&trial, &suite, &genome, &space).await?;
        let agent = match trial.subject {
            Subject::Agent(agent) => agent,
            Subject::Genome(..) => {
                let digest = super::suite_digest(&suite, &trial.suite_files)?;
                self.record_genome(&trial, digest, &evaluations, genome, space).await?
            }
        };
        Ok(TrialResult { agent, evaluations, objectives })
    }

    async fn measure(
        &self,
        trial: &Trial,
        suite: &Suite,
        genome: &Genome,
        space: &Arc<Space>,
    ) -> Result<Vec<(Evaluation, Option<f64>)>, ManagerError> {
        let repeat = trial.repeat.clamp(1, MAX_REPEAT);
        let workers = self.workers.min(repeat as usize);
        let bench = self
            .evaluator
            .open(suite, &trial.suite_files, Arc::clone(space), trial.profile, workers)
            .await?;
        let objectives = suite.objectives();
        let all =
            (0..u64::from(repeat)).map(|n| bench.evaluate(genome, trial.seed.wrapping_add(n)));
        let results = futures_util::future::join_all(all).await;
        let mut measured = Vec::with_capacity(results.len());
        for result in results {
            let evaluation = result?;
            let scores = evaluation.scores.as_ref().ok();
            let fitness = scores.map(|scores| objective::fitness(&objectives, scores));
            measured.push((evaluation, fitness));
        }
        bench.close().await;
        Ok(measured)
    }

    /// Records a genome of the user's as an agent, with its first evaluation.
    async fn record_genome(
        &self,
        trial: &Trial,
        suite: Digest,
        evaluations: &[(Evaluation, Option<f64>)],
        genome: Genome,
        space: Arc<Space>,
    ) -> Result<AgentId, ManagerError> {
        let at_ms = clock::millis();
        let agent = AgentId::new(at_ms, rand::random());
        let Some((evaluation, fitness)) = evaluations.first().cloned() else { return Ok(agent) };
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
            judged: Judged { verdict: Verdict::of(fitness, None, None), delta: None },
            evaluated: Evaluated { suite, seed: trial.seed, evaluation, fitness, at_ms },
        };
        self.registry.submit(None, trial.session, vec![finished]).await?.await?;
        Ok(agent)
    }
}
