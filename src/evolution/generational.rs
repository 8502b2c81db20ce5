//! A generation at a time: the same genomes whatever the number of workers and the order of
//! the answers.

use crate::domain::{genome::Genome, id::Slot};

use super::{
    breed::{Breeder, Parents},
    covariance::{Covariance, Judged},
    population::{Made, Member, comparable},
    progress::Progress,
    select::Picker,
    setup::Proposal,
};

/// The generation at work, and the population that it comes from.
#[derive(Debug, Clone)]
pub(super) struct Generational {
    pub members: Vec<Member>,
    pub generation: u64,
    /// By index.
    children: Vec<Option<Child>>,
    picker: Picker,
    /// The distribution that CMA-ES draws this generation from.
    pub cloud: Option<Covariance>,
    /// The best fitness of earlier generations.
    pub best_before: Option<f64>,
    /// The next index to hand out.
    next: usize,
    told: usize,
}

/// A child that was asked for.
#[derive(Debug, Clone)]
struct Child {
    genome: Genome,
    /// The position of the member that it competes with.
    rival: Option<usize>,
    /// Once told.
    fitness: Option<f64>,
}

impl Generational {
    pub fn new(breeder: &Breeder, picker: Picker) -> Self {
        let mut new = Self {
            members: Vec::new(),
            generation: 0,
            children: Vec::new(),
            picker,
            cloud: breeder.cloud(),
            best_before: None,
            next: 0,
            told: 0,
        };
        new.open(breeder);
        new
    }

    /// Prepares the generation `self.generation` from `self.members`.
    pub fn open(&mut self, breeder: &Breeder) {
        let plan = &breeder.plan;
        let elite = if self.generation == 0 { 0 } else { plan.elite };
        self.children.clear();
        self.children.resize(plan.population - elite, None);
        (self.next, self.told) = (0, 0);
        self.picker.refresh(&self.members);
        if !plan.rivals {
            // The elite first: children take the places after it.
            let old = std::mem::take(&mut self.members);
            let mut places: Vec<_> = self.picker.ranked().to_vec();
            places.extend((0..old.len()).filter(|at| !old[*at].scored()));
            let mut old: Vec<_> = old.into_iter().map(Some).collect();
            self.members = places.into_iter().filter_map(|at| old[at].take()).collect();
            self.picker.refresh(&self.members);
        }
    }

    /// Whether nothing of the generation was handed out or answered yet.
    pub fn idle(&self) -> bool {
        self.next == 0 && self.told == 0
    }

    /// The children of the generation at work that were evaluated, each with its index.
    pub fn answers(&self) -> impl Iterator<Item = (usize, &Genome, f64)> {
        self.children.iter().enumerate().filter_map(|(index, entry)| {
            let child = entry.as_ref()?;
            Some((index, &child.genome, child.fitness?))
        })
    }

    /// Takes up a stored state: the members and the answers already counted in `progress`.
    pub fn resume(
        &mut self,
        generation: u64,
        members: Vec<Member>,
        answers: Vec<(usize, Genome, f64)>,
        breeder: &mut Breeder,
        progress: &mut Progress,
    ) {
        (self.generation, self.members) = (generation, members);
        self.open(breeder);
        for (index, genome, fitness) in answers {
            self.make(index, breeder, progress);
            if let Some(child) = &mut self.children[index] {
                (child.genome, child.fitness) = (genome, Some(fitness));
                self.told += 1;
            }
        }
    }

    pub fn ask(
        &mut self,
        max: usize,
        breeder: &mut Breeder,
        progress: &mut Progress,
    ) -> Vec<Proposal> {
        let mut proposals = Vec::with_capacity(max.min(self.children.len() - self.next));
        while proposals.len() < max && self.next < self.children.len() && progress.may_ask() {
            if self.children[self.next].is_none() {
                proposals.push(self.make(self.next, breeder, progress));
            }
            self.next += 1;
        }
        proposals
    }

    fn make(&mut self, index: usize, breeder: &mut Breeder, progress: &mut Progress) -> Proposal {
        let index32 = u32::try_from(index).unwrap_or(u32::MAX);
        let slot = Slot { generation: self.generation, index: index32 };
        let parents = Parents {
            members: &self.members,
            picker: &self.picker,
            cloud: self.cloud.as_ref(),
            best: self.best_before,
        };
        // The places after the elite, in order.
        let target = (index + breeder.plan.population - self.children.len())
            .min(self.members.len().saturating_sub(1));
        let Made { proposal, rival } = breeder.child(slot, parents, |_| target);
        let genome = proposal.genome.clone();
        self.children[index] = Some(Child { genome, rival, fitness: None });
        progress.asked += 1;
        proposal
    }

    /// The child at `slot` if its result is awaited, made if need be: after a restart, results
    /// of children that were never asked for may be known already.
    fn awaited(
        &mut self,
        slot: Slot,
        breeder: &mut Breeder,
        progress: &mut Progress,
    ) -> Option<&mut Child> {
        let index = slot.index as usize;
        if slot.generation != self.generation || index >= self.children.len() {
            return None;
        }
        if self.children[index].is_none() {
            self.make(index, breeder, progress);
        }
        self.children[index].as_mut().filter(|child| child.fitness.is_none())
    }

    /// As [`Self::tell`], of a child that is recorded with this genome.
    pub fn adopt(
        &mut self,
        slot: Slot,
        genome: Genome,
        fitness: Option<f64>,
        breeder: &mut Breeder,
        progress: &mut Progress,
    ) {
        if let Some(child) = self.awaited(slot, breeder, progress) {
            child.genome = genome;
            self.tell(slot, fitness, breeder, progress);
        }
    }

    pub fn tell(
        &mut self,
        slot: Slot,
        fitness: Option<f64>,
        breeder: &mut Breeder,
        progress: &mut Progress,
    ) {
        let Some(child) = self.awaited(slot, breeder, progress) else { return };
        let fitness = comparable(fitness);
        child.fitness = Some(fitness);
        progress.told(slot, fitness, &child.genome);
        self.told += 1;
        if self.told == self.children.len() {
            self.fold(breeder);
            progress.turn();
            self.best_before = progress.best.as_ref().map(|best| best.fitness);
            progress.judge();
        } else {
            progress.judge_budget();
        }
    }

    /// Replaces members by children, in the order of their slots, and opens the next
    /// generation. A child without a score replaces nobody.
    fn fold(&mut self, breeder: &Breeder) {
        let offset = breeder.plan.population - self.children.len();
        let population = breeder.plan.population as u64;
        for (index, entry) in std::mem::take(&mut self.children).into_iter().enumerate() {
            let Some(Child { genome, rival, fitness: Some(fitness) }) = entry else { continue };
            let index32 = u32::try_from(index).unwrap_or(u32::MAX);
            let slot = Slot { generation: self.generation, index: index32 };
            let joined = self.generation.saturating_mul(population) + index as u64;
            let member = Member { slot, genome, fitness, joined };
            match self.members.get_mut(offset + index) {
                None => self.members.push(member),
                Some(old) => {
                    let wins =
                        member.scored() && (rival.is_none() || member.fitness >= old.fitness);
                    if wins || self.cloud.is_some() {
                        *old = member;
                    }
                }
            }
        }
        self.generation += 1;
        if let Some(cloud) = &mut self.cloud {
            let judged = self
                .members
                .iter()
                .map(|member| Judged { params: &member.genome.params, fitness: member.fitness });
            let judged: Vec<_> = judged.collect();
            let mut draw = breeder.draw_for(self.generation);
            cloud.learn(&breeder.plan.axes, &judged, &mut draw);
        }
        self.open(breeder);
    }
}
