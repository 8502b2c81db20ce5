//! Steady state: a child whenever a worker is free. The order of the answers matters.

use std::collections::VecDeque;

use crate::domain::{genome::Genome, id::Slot};

use super::{
    breed::{Breeder, Parents},
    population::{Made, Member, comparable},
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
    /// Handed out and not yet answered, in the order of their slots.
    pub pending: VecDeque<Made>,
    /// Of these, the ones to hand out again after a restart, the last first.
    again: Vec<Slot>,
    picker: Picker,
    stale: bool,
}

impl Steady {
    pub fn new(picker: Picker) -> Self {
        Self {
            members: Vec::new(),
            next: 0,
            joined: 0,
            pending: VecDeque::new(),
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
            if let Some(place) = self.again.pop().and_then(|slot| self.find(slot)) {
                proposals.push(self.pending[place].proposal.clone());
                continue;
            }
            if !progress.may_ask() || !self.ready(breeder) {
                break;
            }
            if self.stale {
                self.picker.weigh(&self.members);
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
            proposals.push(made.proposal.clone());
            self.pending.push_back(made);
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

    /// The place of a slot among those that wait for an answer.
    fn find(&self, slot: Slot) -> Option<usize> {
        self.pending.binary_search_by_key(&slot, |made| made.proposal.slot).ok()
    }

    pub fn tell(
        &mut self,
        told: Slot,
        fitness: Option<f64>,
        breeder: &mut Breeder,
        progress: &mut Progress,
    ) {
        let made = self.find(told).and_then(|place| self.pending.remove(place));
        let Some(Made { proposal, rival }) = made else { return };
        self.again.retain(|again| *again != told);
        self.fold(told, proposal.genome, rival, fitness, breeder, progress);
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
        if self.find(known).is_some() {
            return self.tell(known, fitness, breeder, progress);
        }
        let population = breeder.plan.population as u64;
        let number = known.generation.saturating_mul(population).saturating_add(known.index.into());
        if slot(number, breeder) != known || number < self.next {
            return;
        }
        // What was handed out before it, and is not known, was lost: its slots stay empty.
        progress.asked += 1;
        self.next = number + 1;
        let worst = self.picker.ranked().last().copied();
        let rival = worst.filter(|_| breeder.plan.rivals);
        self.fold(known, genome, rival, fitness, breeder, progress);
    }

    fn fold(
        &mut self,
        slot: Slot,
        genome: Genome,
        rival: Option<usize>,
        fitness: Option<f64>,
        breeder: &Breeder,
        progress: &mut Progress,
    ) {
        let fitness = comparable(fitness);
        progress.told(slot, fitness, &genome);
        let member = Member { slot, genome, fitness, joined: self.joined };
        if member.scored() {
            self.joined += 1;
            self.join(member, rival, breeder);
        }
        if progress.told.is_multiple_of(breeder.plan.population as u64) {
            progress.turn();
        }
        progress.judge();
    }

    /// Lets a member in: while there is room, or for its rival if that is no better, or for the
    /// oldest.
    fn join(&mut self, member: Member, rival: Option<usize>, breeder: &Breeder) {
        let mut place = self.members.len();
        if place < breeder.plan.population {
            self.members.push(member);
        } else {
            place = rival.unwrap_or_else(|| self.oldest(breeder.plan.elite));
            if rival.is_some() && member.fitness < self.members[place].fitness {
                return;
            }
            self.picker.remove(place);
            self.members[place] = member;
        }
        self.picker.insert(&self.members, place);
        self.stale = true;
    }

    /// The oldest member outside the elite: as in a generational search, all but the elite
    /// make room (E. Real et al., "Regularized evolution", AAAI 2019).
    fn oldest(&self, elite: usize) -> usize {
        let others = self.picker.ranked().iter().skip(elite);
        others.copied().min_by_key(|at| self.members[*at].joined).unwrap_or(0)
    }

    /// Takes up a stored state.
    pub fn resume(
        &mut self,
        members: Vec<Member>,
        (next, joined): (u64, u64),
        pending: VecDeque<Made>,
    ) {
        self.again = pending.iter().rev().map(|made| made.proposal.slot).collect();
        (self.members, self.next, self.joined, self.pending) = (members, next, joined, pending);
        self.picker.refresh(&self.members);
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
