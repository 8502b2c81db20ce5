//! Makes children: a pure function of the set-up, the slot and the population.

use std::sync::Arc;

use crate::domain::{
    genome::{Genome, Space},
    id::Slot,
    spec::Operator,
};

use super::{
    covariance::Covariance,
    draw::{Draw, Source},
    error::EngineError,
    literal,
    numeric::{self, Cross, Donors},
    plan::{Plan, name},
    population::{Made, Member},
    recombine,
    select::Picker,
    setup::{Proposal, Setup},
    splice,
};

/// How many parents of a child drawn by CMA-ES are named; about half of the mean's weight.
const HEAVIEST: usize = 4;

/// Makes children.
#[derive(Debug, Clone)]
pub(super) struct Breeder {
    pub plan: Plan,
    source: Source,
    space: Arc<Space>,
    initial: Genome,
    /// The parameters at work, kept for its memory.
    values: Vec<f64>,
}

/// A population and who may become a parent in it.
#[derive(Clone, Copy)]
pub(super) struct Parents<'a> {
    pub members: &'a [Member],
    pub picker: &'a Picker,
    /// The distribution that CMA-ES draws from.
    pub cloud: Option<&'a Covariance>,
    /// The best fitness of earlier generations.
    pub best: Option<f64>,
}

impl Breeder {
    /// # Errors
    /// If the set-up has a mistake.
    pub fn new(setup: &Setup) -> Result<Self, EngineError> {
        let plan = Plan::new(setup)?;
        let given = &setup.initial.params;
        if !given.is_empty() && given.len() != setup.space.params.len() {
            return Err(EngineError::spec(
                "agent.params",
                format!("{} values for {} parameters", given.len(), setup.space.params.len()),
            ));
        }
        for (at, param) in setup.space.params.iter().enumerate() {
            let start = given.get(at).copied().or(param.init);
            if let Some(start) = start.filter(|start| !param.kind.holds(*start)) {
                return Err(EngineError::spec(
                    format!("params.{}.init", param.name),
                    format!("{start} is not within its bounds"),
                ));
            }
        }
        Ok(Self {
            plan,
            source: Source::new(setup.seed),
            space: setup.space.clone(),
            initial: setup.initial.clone(),
            values: Vec::new(),
        })
    }

    /// The child at `slot`. `target` is the member that it competes with if differential
    /// evolution makes it.
    pub fn child(
        &mut self,
        slot: Slot,
        parents: Parents,
        target: impl FnOnce(&mut Draw) -> usize,
    ) -> Made {
        let mut draw = self.source.at(slot);
        if slot == Slot::default() {
            return self.initial(slot);
        }
        if let Some(cloud) = parents.cloud {
            return self.drawn(slot, cloud, parents, &mut draw);
        }
        let Some(operator) = self.plan.makers.pick(&mut draw).cloned() else {
            return self.founder(slot, parents.best, &mut draw);
        };
        let picker = parents.picker;
        if slot.generation == 0 && parents.members.is_empty() || picker.ranked().is_empty() {
            return self.founder(slot, parents.best, &mut draw);
        }
        if let Operator::DifferentialEvolution { f, cr, best } = operator {
            let target = target(&mut draw);
            return self.differential(slot, parents, target, (f, cr, best), &mut draw);
        }
        let Some(first) = picker.pick(&mut draw) else {
            return self.founder(slot, parents.best, &mut draw);
        };
        let mut made = Making {
            genome: parents.members[first].genome.clone(),
            chosen: vec![first],
            operators: vec![name(&operator)],
        };
        self.vary(&operator, &mut made, parents, &mut draw);
        let Making { mut genome, chosen, operators } = made;
        if !self.values.is_empty() {
            genome.params = Arc::from(self.values.as_slice());
        }
        finish(slot, genome, &chosen, operators, parents, None)
    }

    /// The distribution that CMA-ES starts with, if that makes the children.
    pub fn cloud(&self) -> Option<Covariance> {
        let start = self.initial(Slot::default()).proposal.genome.params;
        let (axes, population) = (&self.plan.axes, self.plan.population);
        self.plan.cma.map(|sigma| Covariance::new(axes, &start, sigma, population))
    }

    /// The stream for what concerns a whole generation.
    pub fn draw_for(&self, generation: u64) -> Draw {
        self.source.at(Slot { generation, index: u32::MAX })
    }

    /// A child from the distribution. Its parents are those of the last generation that weigh
    /// most in the mean.
    fn drawn(&mut self, slot: Slot, cloud: &Covariance, parents: Parents, draw: &mut Draw) -> Made {
        cloud.child(&self.plan.axes, draw, &mut self.values);
        let mut genome = self.initial.clone();
        genome.params = Arc::from(self.values.as_slice());
        let ranked = parents.picker.ranked();
        let heaviest = if cloud.fresh() { 0 } else { ranked.len().min(HEAVIEST) };
        finish(slot, genome, &ranked[..heaviest], vec!["cma-es"], parents, None)
    }

    /// The agent that the run starts from.
    fn initial(&self, slot: Slot) -> Made {
        let mut genome = self.initial.clone();
        if genome.params.is_empty() && !self.space.params.is_empty() {
            let mut draw = self.source.at(slot);
            let params = self.space.params.iter().zip(&self.plan.axes);
            let values = params.map(|(param, axis)| {
                let random = axis.random(&mut draw);
                param.init.unwrap_or(random)
            });
            genome.params = values.collect();
        }
        founded(slot, genome, vec!["initial"], None)
    }

    /// An agent without parents: the initial one with parameters drawn at random, and with
    /// its text changed by whatever operator is drawn that needs no second parent.
    fn founder(&self, slot: Slot, best: Option<f64>, draw: &mut Draw) -> Made {
        let mut genome = self.initial.clone();
        let mut operators = vec!["initial"];
        if !self.plan.axes.is_empty() {
            genome.params = self.plan.axes.iter().map(|axis| axis.random(draw)).collect();
            operators = vec!["random"];
        }
        let changed = match self.plan.makers.pick(draw) {
            Some(operator @ Operator::PromptSplice) => Some(operator),
            Some(operator @ Operator::ConstantTweak { .. }) => Some(operator),
            _ => self.plan.changers.pick(draw),
        };
        if let Some(operator) = changed {
            let files = match operator {
                Operator::ConstantTweak { sigma } => {
                    Some(literal::tweak(&genome.files, self.plan.marked, *sigma, draw))
                }
                Operator::PromptSplice => {
                    Some(splice::splice(&genome.files, &genome.files, self.plan.marked, draw))
                }
                _ => None,
            };
            if let Some(files) = files {
                genome.files = files;
                operators.push(name(operator));
            }
        }
        founded(slot, genome, operators, best)
    }

    /// Differential evolution: a child of `target`, or where that has no score of a member that
    /// has one, and of three others. It competes with `target`.
    fn differential(
        &mut self,
        slot: Slot,
        parents: Parents,
        target: usize,
        (f, cr, best): (Option<f64>, f64, bool),
        draw: &mut Draw,
    ) -> Made {
        let ranked = parents.picker.ranked();
        if ranked.len() < 4 {
            return Made { rival: Some(target), ..self.founder(slot, parents.best, draw) };
        }
        let scored = parents.members.get(target).is_some_and(Member::scored);
        let first = if scored { target } else { ranked[draw.below(ranked.len())] };
        let mut chosen = [first, usize::MAX, usize::MAX, usize::MAX];
        for place in 1..4 {
            chosen[place] = if place == 1 && best {
                ranked[0]
            } else {
                loop {
                    let at = ranked[draw.below(ranked.len())];
                    if !chosen.contains(&at) {
                        break at;
                    }
                }
            };
        }
        let f = f.unwrap_or_else(|| draw.within(0.5, 1.0));
        let params = |at: usize| &*parents.members[at].genome.params;
        let donors = Donors {
            target: params(chosen[0]),
            base: params(chosen[1]),
            plus: params(chosen[2]),
            minus: params(chosen[3]),
        };
        numeric::differential(&self.plan.axes, &donors, f, cr, draw, &mut self.values);
        let mut genome = parents.members[first].genome.clone();
        genome.params = Arc::from(self.values.as_slice());
        let operators = vec!["differential-evolution"];
        finish(slot, genome, &chosen, operators, parents, Some(target))
    }

    /// Applies any operator but differential evolution; leaves the parameters in `values`.
    fn vary(&mut self, operator: &Operator, made: &mut Making, parents: Parents, draw: &mut Draw) {
        self.values.clear();
        self.values.extend_from_slice(&made.genome.params);
        let cross = match operator {
            Operator::OnePoint => Some(Cross::OnePoint),
            Operator::TwoPoint => Some(Cross::TwoPoint),
            Operator::Uniform => Some(Cross::Uniform),
            _ => None,
        };
        if let Some(cross) = cross {
            if let Some(other) = parents.picker.pick_other(made.chosen[0], draw) {
                made.chosen.push(other);
                let other = &parents.members[other].genome;
                cross.params(&mut self.values, &other.params, draw);
                let files = &made.genome.files;
                if !Arc::ptr_eq(files, &other.files) {
                    let marked = self.plan.marked;
                    made.genome.files = recombine::files(cross, files, &other.files, marked, draw);
                }
            }
            if let Some(changer) = self.plan.changers.pick(draw) {
                made.operators.push(name(changer));
                change(&self.plan, changer, &mut self.values, &mut made.genome, draw);
            }
        } else if matches!(operator, Operator::PromptSplice) {
            let donor = parents.picker.pick_other(made.chosen[0], draw).unwrap_or(made.chosen[0]);
            if donor != made.chosen[0] {
                made.chosen.push(donor);
            }
            let donor = &parents.members[donor].genome.files;
            made.genome.files = splice::splice(&made.genome.files, donor, self.plan.marked, draw);
        } else {
            change(&self.plan, operator, &mut self.values, &mut made.genome, draw);
        }
    }
}

/// A child in the making.
struct Making {
    genome: Genome,
    /// The positions of its parents.
    chosen: Vec<usize>,
    operators: Vec<&'static str>,
}

/// Applies an operator that changes a single agent.
fn change(
    plan: &Plan,
    operator: &Operator,
    values: &mut [f64],
    genome: &mut Genome,
    draw: &mut Draw,
) {
    match operator {
        Operator::Gaussian { sigma, rate } => {
            numeric::gaussian(&plan.axes, values, *sigma, *rate, draw);
        }
        Operator::Polynomial { eta, rate } => {
            numeric::polynomial(&plan.axes, values, *eta, *rate, draw);
        }
        Operator::ConstantTweak { sigma } => {
            genome.files = literal::tweak(&genome.files, plan.marked, *sigma, draw);
        }
        _ => {}
    }
}

fn founded(
    slot: Slot,
    genome: Genome,
    operators: Vec<&'static str>,
    best_before: Option<f64>,
) -> Made {
    let (parents, parent_fitness) = (Vec::new(), None);
    let proposal = Proposal { slot, genome, parents, operators, parent_fitness, best_before };
    Made { proposal, rival: None }
}

fn finish(
    slot: Slot,
    genome: Genome,
    chosen: &[usize],
    operators: Vec<&'static str>,
    parents: Parents,
    rival: Option<usize>,
) -> Made {
    let of = |at: &usize| &parents.members[*at];
    let best = chosen.iter().map(|at| of(at).fitness).fold(f64::NEG_INFINITY, f64::max);
    let mut slots = Vec::with_capacity(chosen.len());
    for slot in chosen.iter().map(|at| of(at).slot) {
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
    let proposal = Proposal {
        slot,
        genome,
        parents: slots,
        operators,
        parent_fitness: best.is_finite().then_some(best),
        best_before: parents.best,
    };
    Made { proposal, rival }
}
