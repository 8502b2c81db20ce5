//! What a search has come to: counts, the best so far, and whether it should stop.

use std::collections::VecDeque;

use crate::domain::{
    genome::Genome,
    id::Slot,
    objective::{self, Objective},
    spec::Stop,
};

use super::{
    error::EngineError,
    setup::{Best, StopReason},
};

/// The generations over which τ looks unless the specification says otherwise.
const WINDOW: u64 = 50;
/// The largest window, in generations.
const MAX_WINDOW: u64 = 1_000_000;

/// Counts, the best so far, and the stop rules.
#[derive(Debug, Clone)]
pub(super) struct Progress {
    stop: Stop,
    objectives: Vec<Objective>,
    window: usize,
    pub best: Option<Best>,
    /// Agents handed out and agents evaluated, failed ones included.
    pub asked: u64,
    pub told: u64,
    /// The best fitness after each of the last generations, the newest last.
    pub history: VecDeque<Option<f64>>,
    /// Generations finished.
    pub finished: u64,
    pub reason: Option<StopReason>,
}

impl Progress {
    /// # Errors
    /// If a stop rule makes no sense.
    pub fn new(stop: &Stop, objectives: &[Objective]) -> Result<Self, EngineError> {
        let fault = |field: &str, problem: &str| Err(EngineError::spec(field, problem));
        if stop.evaluations == Some(0) {
            return fault("stop.evaluations", "at least 1 is needed");
        }
        if stop.target.is_some_and(|target| !target.is_finite()) {
            return fault("stop.target", "a finite number is needed");
        }
        if stop.tau.is_some_and(|tau| !(tau >= 0.0 && tau.is_finite())) {
            return fault("stop.tau", "0 or more is needed");
        }
        let window = stop.window.unwrap_or(WINDOW);
        if !(1..=MAX_WINDOW).contains(&window) {
            return fault("stop.window", "1 to 1000000 generations are possible");
        }
        Ok(Self {
            stop: stop.clone(),
            objectives: objectives.to_vec(),
            window: usize::try_from(window).unwrap_or(usize::MAX),
            best: None,
            asked: 0,
            told: 0,
            history: VecDeque::new(),
            finished: 0,
            reason: None,
        })
    }

    /// Whether one more agent may be handed out.
    pub fn may_ask(&self) -> bool {
        self.reason.is_none() && self.stop.evaluations.is_none_or(|limit| self.asked < limit)
    }

    /// Counts an evaluated agent. Of equals, the one with the lowest slot is the best, so
    /// that the order of telling doesn't matter.
    pub fn told(&mut self, slot: Slot, fitness: f64, genome: &Genome) {
        self.told += 1;
        let better = self.best.as_ref().is_none_or(|best| {
            fitness > best.fitness || (fitness == best.fitness && slot < best.slot)
        });
        if better && fitness.is_finite() {
            self.best = Some(Best { slot, fitness, genome: genome.clone() });
        }
    }

    /// Counts a finished generation.
    pub fn turn(&mut self) {
        self.finished += 1;
        if self.stop.tau.is_some() {
            self.history.push_back(self.best.as_ref().map(|best| best.fitness));
            while self.history.len() > self.window + 1 {
                self.history.pop_front();
            }
        }
    }

    /// Notes a rule that holds, at a moment when the rules count: after a generation, in
    /// steady state after each agent.
    pub fn judge(&mut self) {
        if self.reason.is_none() {
            self.reason = self.rule();
        }
    }

    fn rule(&self) -> Option<StopReason> {
        if self.best.as_ref().is_some_and(|best| self.on_target(best.fitness)) {
            Some(StopReason::Target)
        } else if self.stop.generations.is_some_and(|limit| self.finished > limit) {
            Some(StopReason::Generations)
        } else if self.exhausted() {
            Some(StopReason::Evaluations)
        } else {
            self.stagnant().then_some(StopReason::Stagnation)
        }
    }

    /// Takes up a stored history; the rules of now may look at less of it.
    pub fn resume(&mut self, history: Vec<Option<f64>>) {
        self.history = history.into();
        while self.history.len() > self.window + 1 {
            self.history.pop_front();
        }
    }

    /// Whether all evaluations that were allowed are done.
    pub fn exhausted(&self) -> bool {
        self.stop.evaluations.is_some_and(|limit| self.told >= limit)
    }

    /// Notes that the evaluations are used up, in the middle of a generation.
    pub fn judge_budget(&mut self) {
        if self.reason.is_none() && self.exhausted() {
            let target = self.best.as_ref().is_some_and(|best| self.on_target(best.fitness));
            self.reason = Some(if target { StopReason::Target } else { StopReason::Evaluations });
        }
    }

    fn on_target(&self, fitness: f64) -> bool {
        let shown = objective::displayed(&self.objectives, fitness);
        self.stop.target.is_some_and(|target| match self.objectives.as_slice() {
            [only] => only.oriented(shown) >= only.oriented(target),
            _ => shown >= target,
        })
    }

    fn stagnant(&self) -> bool {
        let Some(tau) = self.stop.tau.filter(|_| self.history.len() > self.window) else {
            return false;
        };
        match (self.history.front(), self.history.back()) {
            (Some(Some(old)), Some(Some(new))) => new - old < tau || new == old,
            // No score in the whole window: nothing was gained.
            (Some(_), Some(None)) => true,
            _ => false,
        }
    }
}
