//! Measures one agent: as often as its suite asks, in a run again with fresh seeds where it would
//! lead, and there each result is taken from the record if it is on it. Tells where the same seed
//! gives something else.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::error::ManagerError;
use crate::{
    daemon::{
        clock,
        evaluator::Bench,
        registry::{Registry, error::RegistryError, measured::Sought},
    },
    domain::{
        digest::Digest,
        evaluation::{Evaluation, Isolation, Layers},
        genome::{Genome, Space},
        id::{SessionId, Slot},
        journal::Evaluated,
        objective::{self, Objective},
        repeats::{self, Seeded},
        suite::Suite,
    },
    evolution::setup::Proposal,
    provenance::manifest::genome_digest,
};

/// The place of a run's first agent.
const FIRST: Slot = Slot { generation: 0, index: 0 };

/// What measures agents by one suite.
pub(super) struct Measure {
    pub bench: Arc<Bench>,
    pub registry: Registry,
    /// Where results are on record.
    pub session: SessionId,
    pub space: Arc<Space>,
    pub objectives: Arc<[Objective]>,
    pub suite: Digest,
    /// What results are stamped with.
    pub isolation: Isolation,
    pub layers: Layers,
}

/// How often a run measures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Often {
    /// How often every agent is evaluated.
    pub repeats: u32,
    /// How often one that would lead is evaluated beside that.
    pub confirm: u32,
}

impl Often {
    pub fn of(suite: &Suite) -> Self {
        Self { repeats: suite.repeats, confirm: suite.confirm }
    }
}

/// What an agent was measured to be: the mean of `repeats`, where there are several.
pub(super) struct Measured {
    pub whole: Evaluated,
    pub repeats: Vec<Evaluated>,
}

impl Measure {
    /// Measures an agent of the run whose seed is `run`.
    ///
    /// The seeds follow from the genome and the run's seed, so that a genome that comes again
    /// is not evaluated again. An agent better than all before its generation, or that there is
    /// nobody to compare with, is evaluated `confirm` times more: so nothing is ever the best of
    /// its run by one lucky evaluation. Where such an agent had somebody to beat, and for the
    /// first of all, the first seed is evaluated again, to find out whether it gives the same.
    ///
    /// # Errors
    /// If the evaluator cannot work, or the registry cannot be read.
    pub async fn in_run(
        &self,
        proposal: &Proposal,
        run: u64,
        often: Often,
    ) -> Result<Measured, ManagerError> {
        let Often { repeats, confirm } = often;
        let genome = &proposal.genome;
        let digest = self.digest(genome)?;
        let seed = |number| evaluation_seed(run, digest, number);
        let mut runs = Vec::new();
        self.add(&mut runs, genome, Some(digest), (0..repeats).map(seed)).await?;
        let own = self.fitness(&repeats::together(&self.objectives, &runs));
        let best = proposal.best_before;
        if confirm > 0 && own.is_some_and(|own| best.is_none_or(|best| own > best)) {
            let fresh = (repeats..repeats + confirm).map(seed);
            self.add(&mut runs, genome, Some(digest), fresh).await?;
            if best.is_some() || proposal.slot == FIRST {
                runs.push((seed(0), self.bench.evaluate(genome, seed(0)).await?));
                self.settle(&mut runs, genome, seed(0)).await?;
            }
        }
        let whole = repeats::together(&self.objectives, &runs);
        if runs.len() == 1 {
            runs.clear();
        }
        Ok(Measured {
            whole: self.evaluated(seed(0), whole),
            repeats: runs.into_iter().map(|(seed, run)| self.evaluated(seed, run)).collect(),
        })
    }

    /// Measures a genome outside a run, afresh, with `seeds`: what it comes to, and all
    /// evaluations. They are compared with what is on record; where they differ from that, or
    /// among themselves, all with that seed are flagged.
    ///
    /// # Errors
    /// If the evaluator cannot work, or the registry cannot be read.
    pub async fn alone(&self, genome: &Genome, seeds: &[u64]) -> Result<Measured, ManagerError> {
        let digest = self.digest(genome)?;
        let mut fresh = Vec::new();
        self.add(&mut fresh, genome, None, seeds.iter().copied()).await?;
        let mut all = Vec::new();
        for &seed in seeds {
            let Some(known) = self.on_record(digest, seed).await? else { continue };
            let again = fresh.iter().filter(|run| run.0 == seed).cloned();
            let mut same: Vec<Seeded> = [(seed, known)].into_iter().chain(again).collect();
            if repeats::differ(&same, seed) {
                let before = same.len();
                self.settle(&mut same, genome, seed).await?;
                fresh.extend_from_slice(&same[before..]);
                all.extend(same.into_iter().take(1));
            }
        }
        all.extend(fresh.iter().cloned());
        let whole = repeats::together(&self.objectives, &all);
        let evaluations = fresh.iter().map(|(seed, run)| {
            let same: Vec<_> = all.iter().filter(|run| run.0 == *seed).cloned().collect();
            let mut run = run.clone();
            repeats::flag(&self.objectives, &same, &mut run);
            self.evaluated(*seed, run)
        });
        let first = seeds.first().copied().unwrap_or_default();
        Ok(Measured { whole: self.evaluated(first, whole), repeats: evaluations.collect() })
    }

    /// Evaluates with each of `seeds`, at once. Where some of `runs` fail then and others don't,
    /// the failed ones are tried once more, each with its seed. Of a genome whose digest is given
    /// what is on record is not evaluated.
    async fn add(
        &self,
        runs: &mut Vec<Seeded>,
        genome: &Genome,
        digest: Option<Digest>,
        seeds: impl Iterator<Item = u64>,
    ) -> Result<(), ManagerError> {
        let one = async |seed| {
            let known = match digest {
                Some(digest) => self.on_record(digest, seed).await?,
                None => None,
            };
            match known {
                Some(known) => Ok::<_, ManagerError>((seed, known)),
                None => Ok((seed, self.bench.evaluate(genome, seed).await?)),
            }
        };
        runs.extend(try_join_all(seeds.map(one)).await?);
        let failed = repeats::counting(runs).filter(|(_, run)| run.scores.is_err());
        let failed: Vec<u64> = failed.map(|(seed, _)| *seed).collect();
        if failed.len() < repeats::counting(runs).count() {
            for seed in failed {
                runs.push((seed, self.bench.evaluate(genome, seed).await?));
            }
        }
        Ok(())
    }

    /// Where evaluations with `seed` differ, one more, to tell better how far.
    async fn settle(
        &self,
        runs: &mut Vec<Seeded>,
        genome: &Genome,
        seed: u64,
    ) -> Result<(), ManagerError> {
        if repeats::differ(runs, seed) {
            runs.push((seed, self.bench.evaluate(genome, seed).await?));
        }
        Ok(())
    }

    async fn on_record(
        &self,
        genome: Digest,
        seed: u64,
    ) -> Result<Option<Evaluation>, ManagerError> {
        let Self { suite, isolation, layers, .. } = *self;
        let layers = Some(layers);
        let sought = Sought { genome, suite, seed, isolation, layers };
        Ok(self.registry.measured(self.session, sought).await?)
    }

    fn digest(&self, genome: &Genome) -> Result<Digest, ManagerError> {
        Ok(genome_digest(genome, &self.space).map_err(RegistryError::from)?)
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
