//! An evaluation that a user asks for outside any run. It is recorded in the journal of the agent;
//! a genome of the user's becomes an agent first, whose score is what its evaluations come to.

use std::sync::Arc;

use super::{
    Manager, ManagerError, PAGE,
    measure::{Measure, Measured},
};
use crate::{
    config::{check, suite},
    daemon::{
        clock,
        evaluator::Profile,
        registry::{
            error::RegistryError,
            journal::{Filter, Of},
            model::Finished,
        },
        store::warm::marks::Mark,
    },
    domain::{
        digest::Digest,
        genome::{Genome, Space},
        id::{AgentId, SessionId},
        journal::{Evaluated, Event, EventKind, Judged, Proposed},
        lifecycle::Verdict,
        objective::{self, Objective},
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
    /// The agent that a genome becomes, where its caller chooses: then the same is done once, however
    /// often it is asked for.
    pub agent: Option<AgentId>,
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
    /// Of a recorded agent (a new one is known by its id): the call that asks for it, which is
    /// written with the results.
    pub mark: Option<Mark>,
    /// Whether that call was made before, so that its results are what is wanted.
    pub made: bool,
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

/// What is on record of a trial that was made before.
struct Recorded {
    agent: AgentId,
    whole: Evaluated,
    evaluations: Vec<Evaluated>,
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
        let _turn = match trial.agent {
            Some(agent) => Some(self.asked.wait(agent).await),
            None => None,
        };
        let repeat =
            if trial.repeat == 0 { suite.repeats } else { trial.repeat.min(repeats::MOST) };
        let seeds: Vec<_> = (0..u64::from(repeat)).map(|n| trial.seed.wrapping_add(n)).collect();
        let recorded = match (&trial.subject, trial.made) {
            (Subject::Agent(agent), true) => {
                Some(self.made(*agent, &objectives, digest, &seeds).await?)
            }
            _ => self.recorded(&trial, &genome, digest, &seeds).await?,
        };
        if let Some(recorded) = recorded {
            let Recorded { agent, whole, evaluations } = recorded;
            return Ok(TrialResult { agent, whole, evaluations, objectives });
        }
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
                self.registry.marked(trial.mark).append(agent, measured.repeats).await?;
                agent
            }
            Subject::Genome(..) => self.make(&trial, measured, genome, space).await?,
        };
        Ok(TrialResult { agent, whole, evaluations, objectives })
    }

    /// What was last put on record of an agent by that suite, with these seeds.
    ///
    /// # Errors
    /// If it can't be read.
    async fn made(
        &self,
        agent: AgentId,
        objectives: &[Objective],
        suite: Digest,
        seeds: &[u64],
    ) -> Result<Recorded, ManagerError> {
        let filter = Filter { kinds: vec![EventKind::Evaluated], ..Filter::default() };
        let (mut all, mut cursor) = (Vec::new(), Vec::new());
        loop {
            let page = self.registry.journal(Of::Agent(agent), filter.clone(), &cursor, PAGE);
            let page = page.await?;
            all.extend(page.entries.into_iter().flat_map(|entry| of_suite(entry.events, suite)));
            cursor = page.cursor;
            if cursor.is_empty() {
                break;
            }
        }
        // Of several with the same seed the last counts.
        let last = |seed: &u64| all.iter().rfind(|one| one.seed == *seed).cloned();
        let evaluations: Option<Vec<_>> = seeds.iter().map(last).collect();
        let missing =
            || RegistryError::NotFound { what: "evaluation of agent", text: agent.to_string() };
        let evaluations = evaluations.ok_or_else(missing)?;
        let runs: Vec<_> = evaluations.iter().map(|it| (it.seed, it.evaluation.clone())).collect();
        let evaluation = repeats::together(objectives, &runs);
        let scores = evaluation.scores.as_ref().ok();
        let fitness = scores.map(|scores| objective::fitness(objectives, scores));
        let (seed, at_ms) = evaluations.first().map_or((0, 0), |first| (first.seed, first.at_ms));
        let whole = Evaluated { suite, seed, evaluation, fitness, at_ms };
        Ok(Recorded { agent, whole, evaluations })
    }

    /// What is on record of the agent that the caller chose, if it is there.
    ///
    /// # Errors
    /// If it is another genome's, or was evaluated in another way; or if it can't be read.
    async fn recorded(
        &self,
        trial: &Trial,
        genome: &Genome,
        suite: Digest,
        seeds: &[u64],
    ) -> Result<Option<Recorded>, ManagerError> {
        let (Some(agent), Subject::Genome(..)) = (trial.agent, &trial.subject) else {
            return Ok(None);
        };
        match self.registry.agent(agent).await {
            Ok(_) => {}
            Err(RegistryError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let conflict = || RegistryError::Conflict { what: format!("agent {agent}") };
        let filter = Filter { kinds: vec![EventKind::Evaluated], ..Filter::default() };
        let page = self.registry.journal(Of::Agent(agent), filter, &[], 1).await?;
        let events = page.entries.into_iter().next().and_then(|entry| entry.events);
        let mut all: Vec<_> = of_suite(events, suite).collect();
        let same = self.registry.genome(agent).await?.0 == *genome;
        let whole = all.pop().filter(|_| same).ok_or_else(conflict)?;
        if all.is_empty() {
            all.push(whole.clone());
        }
        // Of several with the same seed the last counts.
        let last = |seed: &u64| all.iter().rfind(|one| one.seed == *seed).cloned();
        let evaluations: Option<Vec<_>> = seeds.iter().map(last).collect();
        Ok(Some(Recorded { agent, whole, evaluations: evaluations.ok_or_else(conflict)? }))
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
        let agent = trial.agent.unwrap_or_else(|| AgentId::new(clock::millis(), rand::random()));
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

/// The evaluations by that suite.
fn of_suite(events: Option<Vec<Event>>, suite: Digest) -> impl Iterator<Item = Evaluated> {
    events.into_iter().flatten().filter_map(move |event| match event {
        Event::Evaluated(evaluated) if evaluated.suite == suite => Some(evaluated),
        _ => None,
    })
}
