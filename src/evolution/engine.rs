//! The engine: asked for proposals, told their fitness.

use crate::domain::{genome::Genome, id::Slot, spec::Mode};

use super::{
    breed::Breeder,
    error::EngineError,
    generational::Generational,
    progress::Progress,
    select::Picker,
    setup::{Best, Proposal, Setup, StopReason},
    snapshot,
    state::State,
    steady::Steady,
};

/// A search under way.
#[derive(Debug, Clone)]
pub struct Engine {
    seed: u64,
    initial: Genome,
    breeder: Breeder,
    progress: Progress,
    state: State,
}

impl Engine {
    /// An engine at its start. Where the search names no operators, they are chosen to fit
    /// the genome.
    ///
    /// # Errors
    /// If the set-up has a mistake, or the agent nothing to vary.
    pub fn new(setup: Setup) -> Result<Self, EngineError> {
        let breeder = Breeder::new(&setup)?;
        let progress = Progress::new(&setup.stop, &setup.objectives)?;
        let picker = Picker::new(setup.search.selection);
        let state = match setup.search.mode {
            Mode::Generational => State::Generational(Generational::new(&breeder, picker)),
            Mode::SteadyState => State::Steady(Steady::new(picker)),
        };
        Ok(Self { seed: setup.seed, initial: setup.initial, breeder, progress, state })
    }

    /// At most `max` agents to evaluate. A generational search hands out those of the
    /// current generation only; none while it waits for answers, none once it has stopped.
    pub fn ask(&mut self, max: usize) -> Vec<Proposal> {
        match &mut self.state {
            State::Generational(state) => state.ask(max, &mut self.breeder, &mut self.progress),
            State::Steady(state) => state.ask(max, &mut self.breeder, &mut self.progress),
        }
    }

    /// The fitness of the agent at `slot`; `None` if it has none. In any order. Answers that
    /// nobody waits for (a slot told twice, or of another generation) change nothing; those
    /// of the current generation count even if they were not asked for yet, so that results
    /// known from before a restart can be told first.
    pub fn tell(&mut self, slot: Slot, fitness: Option<f64>) {
        let (breeder, progress) = (&mut self.breeder, &mut self.progress);
        match &mut self.state {
            State::Generational(state) => state.tell(slot, fitness, breeder, progress),
            State::Steady(state) => state.tell(slot, fitness, breeder, progress),
        }
    }

    /// Takes in an agent that this run made and recorded before, with its fitness, and that
    /// this engine does not know or, of another version, would make otherwise. In the order of
    /// generations; in steady state, of slots.
    pub fn adopt(&mut self, slot: Slot, genome: Genome, fitness: Option<f64>) {
        let (breeder, progress) = (&mut self.breeder, &mut self.progress);
        match &mut self.state {
            State::Generational(state) => state.adopt(slot, genome, fitness, breeder, progress),
            State::Steady(state) => state.adopt(slot, genome, fitness, breeder, progress),
        }
    }

    /// The generation at work; once stopped, the last one. In steady state, how many times
    /// the population's size has been evaluated.
    #[must_use]
    pub fn generation(&self) -> u64 {
        match &self.state {
            State::Generational(state) => {
                let over = self.stopped().is_some() && state.idle();
                state.generation.saturating_sub(u64::from(over))
            }
            State::Steady(_) => self.progress.finished,
        }
    }

    /// How many agents were evaluated, failed ones included.
    #[must_use]
    pub fn evaluations(&self) -> u64 {
        self.progress.told
    }

    /// The best agent so far.
    #[must_use]
    pub fn best(&self) -> Option<Best> {
        self.progress.best.clone()
    }

    /// Its fitness.
    #[must_use]
    pub fn best_fitness(&self) -> Option<f64> {
        self.progress.best.as_ref().map(|best| best.fitness)
    }

    /// Why the search has ended, if it has. A generational search ends with a whole
    /// generation, except when the evaluations are used up within one.
    #[must_use]
    pub fn stopped(&self) -> Option<StopReason> {
        self.progress.reason
    }

    /// Ends the search for a reason that only the caller can see.
    pub fn stop(&mut self, reason: StopReason) {
        self.progress.reason.get_or_insert(reason);
    }

    /// The state as bytes (versioned DAG-CBOR). What was asked for and not yet told is asked
    /// for again by an engine restored from it.
    ///
    /// # Errors
    /// Never for an engine made by this module; kept as an error rather than a panic.
    pub fn snapshot(&self) -> Result<Vec<u8>, EngineError> {
        snapshot::write(self.seed, &self.initial, &self.breeder, &self.progress, &self.state)
    }

    /// The engine of which `bytes` is a snapshot. `setup` must be the one it was made from;
    /// only its stop rules may differ, and hold from now on.
    ///
    /// # Errors
    /// If the set-up has a mistake, or the snapshot is damaged, of another version, or of
    /// another search.
    pub fn restore(setup: Setup, bytes: &[u8]) -> Result<Self, EngineError> {
        let mut engine = Self::new(setup)?;
        snapshot::read(
            bytes,
            engine.seed,
            &engine.initial,
            &mut engine.breeder,
            &mut engine.progress,
            &mut engine.state,
        )?;
        Ok(engine)
    }
}
