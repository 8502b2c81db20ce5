//! Steady state: a child whenever a worker is free. The order of the answers matters.

use std::collections::BTreeMap;

use crate::domain::{genome::Genome, id::Slot};

use super::{
    breed::{Breeder, Parents},
    population::{Child, Member, comparable},
    progress::Progress,
    select::Picker,
    setup::Proposal,
};

/// A population whose members are replaced one by one.
#[derive(Debug, Clone)]
pub(super) struct Steady {
    pub members: Vec<Member>,
    /// How many slots were handed out.
    pub next: u64,
    /// How many members ever joined.
    pub joined: u64,
    /// Handed out and not yet answered, by number.
    pub pending: BTreeMap<u64, (Child, Proposal)>,
    /// Of these, the ones to hand out again after a restart.
    pub again: Vec<u64>,
    picker: Picker,
    stale: bool,
}

impl Steady {
    pub fn new(picker: Picker) -> Self {
        Self {
            members: Vec::new(),
            next: 0,
            joined: 0,
            pending: BTreeMap::new(),
            again: Vec::new(),
            picker,
            stale: true,
        }
    }

    pub fn ask(
        &mut self,
        max: usize,
        breeder: &mut Breeder,
        progress: &mut Progress,
    ) -> Vec<Proposal> {
        let mut proposals = Vec::with_capacity(max.min(breeder.plan.population));
        while proposals.len() < max && progress.reason.is_none() {
            if let Some(number) = self.again.pop() {
                proposals.extend(self.pending.get(&number).map(|(_, proposal)| proposal.clone()));
                continue;
            }
            if !progress.may_ask() || !self.ready(breeder) {
                break;
            }
            if self.stale {
                self.picker.refresh(&self.members);
                self.stale = false;
            }
            let slot = slot(self.next, breeder);
            let parents = Parents {
                members: if slot.generation == 0 { &[] } else { &self.members },
                picker: &self.picker,
                cloud: None,
                best: progress.best.as_ref().map(|best| best.fitness),
            };
            let count = self.members.len().max(1);
            let made = breeder.child(slot, parents, |draw| draw.below(count));
            proposals.push(made.1.clone());
            self.pending.insert(self.next, made);
            self.next += 1;
            progress.asked += 1;
        }
        proposals
    }

    /// Whether a child can be made: the initial population always, another once some of it
    /// has come back, or all of it has failed.
    fn ready(&self, breeder: &Breeder) -> bool {
        self.next < breeder.plan.population as u64
            || self.members.len() >= breeder.plan.population.min(4)
            || self.pending.is_empty()
    }

    pub fn tell(
        &mut self,
        told: Slot,
        fitness: Option<f64>,
        breeder: &mut Breeder,
        progress: &mut Progress,
    ) {
        let population = breeder.plan.population as u64;
        let number = told.generation.saturating_mul(population).saturating_add(told.index.into());
        if slot(number, breeder) != told {
            return;
        }
        let Some((child, _)) = self.pending.remove(&number) else {
            return;
        };
        self.again.retain(|again| *again != number);
        self.fold(told, child, fitness, breeder, progress);
    }

    /// Takes in an agent that this run made and evaluated before, and that the engine was
    /// restored without.
    pub fn adopt(
        &mut self,
        known: Slot,
        genome: Genome,
        fitness: Option<f64>,
        breeder: &mut Breeder,
        progress: &mut Progress,
    ) {
        let population = breeder.plan.population as u64;
        let number = known.generation.saturating_mul(population).saturating_add(known.index.into());
        if self.pending.contains_key(&number) {
            return self.tell(known, fitness, breeder, progress);
        }
        if slot(number, breeder) != known || number < self.next {
            return;
        }
        // What was handed out before it, and is not known, was lost: its slots stay empty.
        progress.asked += 1;
        self.next = number + 1;
        let worst = || {
            let by = |at: &usize| self.members[*at].fitness;
            (0..self.members.len()).min_by(|a, b| by(a).total_cmp(&by(b)))
        };
        let rival = if breeder.plan.rivals { worst() } else { None };
        self.fold(known, Child { genome, rival }, fitness, breeder, progress);
    }

    fn fold(
        &mut self,
        slot: Slot,
        child: Child,
        fitness: Option<f64>,
        breeder: &Breeder,
        progress: &mut Progress,
    ) {
        let fitness = comparable(fitness);
        progress.told(slot, fitness, &child.genome);
        let member = Member { slot, genome: child.genome, fitness, joined: self.joined };
        if member.scored() {
            self.joined += 1;
            self.stale = true;
            if self.members.len() < breeder.plan.population {
                self.members.push(member);
            } else {
                let place = child.rival.unwrap_or_else(|| self.oldest(breeder.plan.elite));
                let old = &mut self.members[place];
                if child.rival.is_none() || member.fitness >= old.fitness {
                    *old = member;
                }
            }
        }
        if progress.told.is_multiple_of(breeder.plan.population as u64) {
            progress.turn();
        }
        progress.judge();
    }

    /// The oldest member outside the elite: as in a generational search, all but the elite
    /// make room (E. Real et al., "Regularized evolution", AAAI 2019).
    fn oldest(&self, elite: usize) -> usize {
        let mut places: Vec<_> = (0..self.members.len()).collect();
        if elite > 0 && elite < places.len() {
            places.select_nth_unstable_by(elite - 1, |a, b| {
                let (a, b) = (&self.members[*a], &self.members[*b]);
                b.fitness.total_cmp(&a.fitness).then(b.joined.cmp(&a.joined))
            });
            places.drain(..elite);
        }
        places.into_iter().min_by_key(|at| self.members[*at].joined).unwrap_or(0)
    }
}

/// The slot of that number.
fn slot(number: u64, breeder: &Breeder) -> Slot {
    let population = breeder.plan.population as u64;
    Slot {
        generation: number / population,
        index: u32::try_from(number % population).unwrap_or(u32::MAX),
    }
}
