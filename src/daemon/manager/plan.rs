//! What a specification says, made ready for the engine.

use std::sync::Arc;

use super::error::ManagerError;
use crate::{
    config::{space, spec, suite},
    daemon::store::warm::rows::StopOverride,
    domain::{
        digest::Digest,
        genome::Genome,
        objective::{Goal, Objective},
        spec::{RunSpec, Stop},
        suite::{Bundle, Suite},
    },
    evolution::setup::Setup,
    provenance::digest::sha256,
};

/// What a specification says, made ready for the engine.
pub(super) struct Plan {
    pub spec: RunSpec,
    pub setup: Setup,
    pub objectives: Arc<[Objective]>,
    pub suite: Digest,
}

impl Plan {
    pub fn new(
        spec: RunSpec,
        agent_files: &Bundle,
        suite_files: &Bundle,
        seed: u64,
    ) -> Result<Self, ManagerError> {
        spec::check_files(&spec, agent_files, suite_files)?;
        let objectives: Arc<[Objective]> = spec.suite.objectives().into();
        let initial = Genome {
            files: Arc::new(agent_files.clone()),
            params: Arc::from([]),
            model: spec.agent.model.as_deref().map(Arc::from),
            template: spec.agent.template.as_deref().map(Arc::from),
        };
        let setup = Setup {
            search: spec.search.clone(),
            stop: spec.stop.clone(),
            objectives: objectives.to_vec(),
            space: Arc::new(space::space(&spec)?),
            seed,
            initial,
        };
        let suite = suite_digest(&spec.suite, suite_files)?;
        Ok(Self { spec, setup, objectives, suite })
    }

    /// The name of what is shown as a score.
    pub fn objective(&self) -> String {
        match &self.objectives[..] {
            [only] => only.name.clone(),
            _ => "fitness".to_owned(),
        }
    }

    /// What a fitness is divided by to be shown as the user reads it.
    pub fn divisor(&self) -> f64 {
        match &self.objectives[..] {
            [only] if only.weight != 0.0 => match only.goal {
                Goal::Maximize => only.weight,
                Goal::Minimize => -only.weight,
            },
            _ => 1.0,
        }
    }
}

/// Puts the limits that were given when a run was resumed in the place of its own.
pub(super) fn widen(stop: &mut Stop, limits: StopOverride) {
    stop.generations = limits.generations.or(stop.generations);
    stop.evaluations = limits.evaluations.or(stop.evaluations);
    stop.time = limits.time.or(stop.time);
    stop.target = limits.target.or(stop.target);
}

/// What identifies a suite: its text and every file that it brings.
pub(super) fn suite_digest(suite: &Suite, files: &Bundle) -> Result<Digest, ManagerError> {
    let mut text = suite::to_toml(suite)?;
    for (path, file) in files {
        text += &format!("{} {path}\n", sha256(&file.bytes));
    }
    Ok(sha256(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::suite::Method;

    #[test]
    fn results_with_models_are_not_taken_for_results_without() {
        let method = Method::Command { argv: vec!["score".into()], build: None };
        let suite = Suite::new("s", method);
        let digest = |models| {
            let suite = Suite { models, ..suite.clone() };
            suite_digest(&suite, &Bundle::new()).unwrap()
        };
        assert_ne!(digest(true), digest(false));
        // What a suite does not say is not in its digest, so that older results are found.
        assert!(!suite::to_toml(&suite).unwrap().contains("models"));
    }
}
