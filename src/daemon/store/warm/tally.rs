//! What back ends with tables store of agents beside their columns.

use super::rows::NewAgent;
use crate::domain::lifecycle::Verdict;

/// What a group adds to a run's row.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Tally {
    /// Agents.
    pub agents: i64,
    /// Of these, without a score.
    pub failed: i64,
    /// The latest generation.
    pub generation: u64,
    /// The highest number.
    pub last: i64,
    /// The best fitness, and the number of whose it is.
    pub best: Option<(f64, i64)>,
}

impl Tally {
    /// What these agents add to each run, by the runs' numbers.
    #[must_use]
    pub fn of(agents: &[NewAgent]) -> Vec<(i64, Self)> {
        let mut runs: Vec<(i64, Self)> = Vec::new();
        for agent in agents {
            let Some(run) = agent.run else { continue };
            let at = runs.iter().position(|(known, _)| *known == run).unwrap_or_else(|| {
                runs.push((run, Self::default()));
                runs.len() - 1
            });
            runs[at].1.add(agent);
        }
        runs
    }

    fn add(&mut self, agent: &NewAgent) {
        self.agents += 1;
        self.failed += i64::from(agent.fitness.is_none());
        self.generation = self.generation.max(agent.generation);
        self.last = self.last.max(agent.node);
        if let Some(fitness) = agent.fitness
            && self.best.is_none_or(|(best, _)| fitness > best)
        {
            self.best = Some((fitness, agent.node));
        }
    }
}

/// The number under which a verdict is stored; never to be reused.
#[must_use]
pub fn verdict_number(verdict: Verdict) -> i16 {
    match verdict {
        Verdict::Archived => 0,
        Verdict::Scored => 1,
        Verdict::Improved => 2,
        Verdict::Champion => 3,
    }
}

/// The verdict of that number.
#[must_use]
pub fn verdict_of(number: i16) -> Option<Verdict> {
    Verdict::ALL.into_iter().find(|known| verdict_number(*known) == number)
}
