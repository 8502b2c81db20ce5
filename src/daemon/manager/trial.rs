//! An evaluation that a user asks for outside any run. It is recorded in the journal of the agent;
//! a genome of the user's becomes an agent first, whose score is what its evaluations come to.

use std::sync::Arc;

use super::{
    Manager, ManagerError,
    measure::{Measure, Measured},
};
use crate::{
    config::{check, suite},
    daemon::{clock, evaluator::Profile, registry::model::Finished},
    domain::{
        genome::{Genome, Space},
        id::{AgentId, SessionId},
        journal::{Evaluated, Judged, Proposed},
        lifecycle::Verdict,
        objective::Objective,
        repeats,
        suite::Bundle,
    },
};

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
    /// How often; 0: as often as the suite says.
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
    /// What the evaluations come to.
    pub whole: Evaluated,
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
        let session = match trial.subject {
            Subject::Agent(agent) => self.registry.agent(agent).await?.session,
            Subject::Genome(..) => trial.session,
        };
        let repeat =
            if trial.repeat == 0 { suite.repeats } else { trial.repeat.min(repeats::MOST) };
        let seeds: Vec<_> = (0..u64::from(repeat)).map(|n| trial.seed.wrapping_add(n)).collect();
        let workers = self.workers.min(seeds.len());
        let bench = self
            .evaluator
            .open(&suite, &trial.suite_files, Arc::clone(&space), trial.profile, workers)
            .await?;
        let measure = Measure {
            bench: Arc::new(bench),
            registry: self.registry.clone(),
            session,
            space: Arc::clone(&space),
            objectives: objectives.clone().into(),
            suite: digest,
            isolation: trial.profile.isolation(),
            layers: self.evaluator.optional(),
        };
        let measured = measure.alone(&genome, &seeds).await;
        if let Some(bench) = Arc::into_inner(measure.bench) {
            bench.close().await;
        }
        let measured = measured?;
        let whole = measured.whole.clone();
        // Of several with the same seed the last counts.
        let last = |seed: &u64| measured.repeats.iter().rfind(|it| it.seed == *seed).cloned();
        let evaluations = seeds.iter().filter_map(last).collect();
        let agent = match trial.subject {
            Subject::Agent(agent) => {
                self.registry.append(agent, measured.repeats).await?;
                agent
            }
            Subject::Genome(..) => self.make(&trial, measured, genome, space).await?,
        };
        Ok(TrialResult { agent, whole, evaluations, objectives })
    }

    /// Makes an agent of the user's genome, with its evaluations.
    async fn make(
        &self,
        trial: &Trial,
        measured: Measured,
        genome: Genome,
        space: Arc<Space>,
    ) -> Result<AgentId, ManagerError> {
        let Measured { whole: evaluated, mut repeats } = measured;
        if repeats.len() == 1 {
            repeats.clear();
        }
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
            repeats,
            judged: Judged { verdict, delta: None },
        };
        self.registry.submit(None, trial.session, vec![finished]).await?.await?;
        Ok(agent)
    }
}
