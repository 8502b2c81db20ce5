//! Measures one agent: as often as its suite asks, and again with fresh seeds where it would be
//! a champion; each result is taken from the record if it is there.

use std::sync::Arc;

use super::error::ManagerError;
use crate::{
    daemon::{
        clock,
        evaluator::Bench,
        registry::{Registry, error::RegistryError, measured::Sought},
    },
    domain::{
        digest::Digest,
        evaluation::{Evaluation, Isolation},
        genome::Space,
        id::SessionId,
        journal::Evaluated,
        objective::{self, Objective},
        repeats,
    },
    evolution::setup::Proposal,
    provenance::manifest::genome_digest,
};

/// What measures the agents of a run.
pub(super) struct Measure {
    pub bench: Arc<Bench>,
    pub registry: Registry,
    pub session: SessionId,
    pub space: Arc<Space>,
    pub objectives: Arc<[Objective]>,
    pub suite: Digest,
    /// What results are stamped with.
    pub isolation: Isolation,
    /// The run's seed.
    pub seed: u64,
    /// How often every agent is evaluated.
    pub repeats: u32,
    /// How often a champion is evaluated beside that.
    pub confirm: u32,
}

/// What an agent was measured to be: the mean of `repeats`, where there are several.
pub(super) struct Measured {
    pub whole: Evaluated,
    pub repeats: Vec<Evaluated>,
}

impl Measure {
    /// Measures the genome of `proposal`.
    ///
    /// The seeds follow from the genome and the run's seed, so that a genome that comes again
    /// is not evaluated again. An agent better than all before its generation is evaluated
    /// `confirm` times more before it counts as that: luck alone makes no champion. Where some
    /// evaluations fail and others don't, the failed ones are tried once more, each with its seed.
    ///
    /// # Errors
    /// If the evaluator cannot work, or the registry cannot be read.
    pub async fn measure(&self, proposal: &Proposal) -> Result<Measured, ManagerError> {
        let genome = genome_digest(&proposal.genome, &self.space).map_err(RegistryError::from)?;
        let mut runs = Vec::new();
        for number in 0..self.repeats.max(1) {
            runs.push(self.one(proposal, genome, number).await?);
        }
        let leads =
            self.fitness(&repeats::together(&self.objectives, &runs)) > proposal.best_before;
        if leads && proposal.best_before.is_some() {
            for number in self.repeats.max(1)..self.repeats.max(1).saturating_add(self.confirm) {
                runs.push(self.one(proposal, genome, number).await?);
            }
        }
        let failed = runs.iter().filter(|(_, run)| run.scores.is_err());
        let failed: Vec<u64> = failed.map(|(seed, _)| *seed).collect();
        if failed.len() < runs.len() {
            for seed in failed {
                runs.push((seed, self.bench.evaluate(&proposal.genome, seed).await?));
            }
        }
        let whole = repeats::together(&self.objectives, &runs);
        let seed = runs.first().map_or(self.seed, |(seed, _)| *seed);
        if runs.len() == 1 {
            runs.clear();
        }
        Ok(Measured {
            whole: self.evaluated(seed, whole),
            repeats: runs.into_iter().map(|(seed, run)| self.evaluated(seed, run)).collect(),
        })
    }

    async fn one(
        &self,
        proposal: &Proposal,
        genome: Digest,
        number: u32,
    ) -> Result<(u64, Evaluation), ManagerError> {
        let seed = evaluation_seed(self.seed, genome, number);
        let sought = Sought { genome, suite: self.suite, seed, isolation: self.isolation };
        let known = self.registry.measured(self.session, sought).await?;
        let evaluation = match known {
            Some(known) => known,
            None => self.bench.evaluate(&proposal.genome, seed).await?,
        };
        Ok((seed, evaluation))
    }

    fn fitness(&self, evaluation: &Evaluation) -> Option<f64> {
        let scores = evaluation.scores.as_ref().ok();
        scores.map(|scores| objective::fitness(&self.objectives, scores))
    }

    fn evaluated(&self, seed: u64, evaluation: Evaluation) -> Evaluated {
        let fitness = self.fitness(&evaluation);
        Evaluated { suite: self.suite, seed, evaluation, fitness, at_ms: clock::millis() }
    }
}

/// The seed of a genome's evaluation `number` in the run of seed `run`: the same whenever it is
/// asked for. The mixing function is SplitMix64's (Steele, Lea and Flood 2014).
fn evaluation_seed(run: u64, genome: Digest, number: u32) -> u64 {
    let mut start = [0; 8];
    start.copy_from_slice(&genome.0[..8]);
    let mut z = run
        .wrapping_add(u64::from_be_bytes(start))
        .wrapping_add(u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
