//! A search as the engine carries it out: checked, with operators that fit the genome.

use crate::domain::spec::{Mode, Operator, OperatorSpec, Selection};

use super::{
    axis::Axis, covariance::MAX_DIMENSIONS, draw::Draw, error::EngineError, literal, setup::Setup,
    splice, text,
};

/// The largest population.
const MAX_POPULATION: u32 = 100_000;
/// The least with which differential evolution can make a child.
const MIN_DONORS: u32 = 4;

/// A search, checked.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub axes: Vec<Axis>,
    /// Whether the files have EVOLVE-BLOCK markers.
    pub marked: bool,
    pub population: usize,
    /// How many are carried over unchanged.
    pub elite: usize,
    /// Whether every child competes with its own target.
    pub rivals: bool,
    /// The first σ of CMA-ES, if that makes the children.
    pub cma: Option<f64>,
    /// All operators.
    pub makers: Table,
    /// Those that change a single agent, to follow a crossover.
    pub changers: Table,
}

/// Operators, and how often each is used.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    operators: Vec<Operator>,
    sums: Vec<f64>,
}

impl Table {
    fn add(&mut self, spec: &OperatorSpec) {
        let sum = self.sums.last().copied().unwrap_or(0.0) + spec.weight;
        self.operators.push(spec.operator.clone());
        self.sums.push(sum);
    }

    /// An operator, drawn by weight.
    pub fn pick(&self, draw: &mut Draw) -> Option<&Operator> {
        let place = match self.operators.len() {
            0 | 1 => 0,
            count => {
                let at = draw.unit() * self.sums[count - 1];
                self.sums.partition_point(|sum| *sum <= at).min(count - 1)
            }
        };
        self.operators.get(place)
    }
}

impl Plan {
    /// # Errors
    /// If the search has a mistake or the genome nothing to vary.
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "within bounds")]
    pub fn new(setup: &Setup) -> Result<Self, EngineError> {
        let axes = setup.space.params.iter().map(|param| Axis::new(&param.name, &param.kind));
        let axes = axes.collect::<Result<Vec<_>, _>>()?;
        let marked = text::marked(&setup.initial.files);
        let search = &setup.search;
        if !(2..=MAX_POPULATION).contains(&search.population) {
            return Err(EngineError::spec(
                "search.population",
                format!("{} is not between 2 and {MAX_POPULATION}", search.population),
            ));
        }
        if !(0.0..1.0).contains(&search.elitism) {
            return Err(EngineError::spec("search.elitism", "a share from 0 to below 1 is needed"));
        }
        match search.selection {
            Selection::Tournament { size } if !(1..=MAX_POPULATION).contains(&size) => {
                return Err(EngineError::spec("search.selection.size", "at least 1 is needed"));
            }
            Selection::Rank { pressure } if !(1.0..=2.0).contains(&pressure) => {
                return Err(EngineError::spec("search.selection.pressure", "1 to 2 is possible"));
            }
            _ => {}
        }
        let specs = if search.operators.is_empty() {
            fitting(setup, &axes, marked)?
        } else {
            search.operators.clone()
        };
        let (mut makers, mut changers) = (Table::default(), Table::default());
        for (at, spec) in specs.iter().enumerate() {
            check(spec, at, setup, marked)?;
            makers.add(spec);
            if changes(&spec.operator) {
                changers.add(spec);
            }
        }
        if makers.sums.last().is_none_or(|sum| *sum <= 0.0 || !sum.is_finite()) {
            return Err(EngineError::spec("search.operators", "one needs a weight above 0"));
        }
        if changers.sums.last().is_some_and(|sum| *sum <= 0.0) {
            changers = Table::default();
        }
        let differential =
            |spec: &OperatorSpec| matches!(spec.operator, Operator::DifferentialEvolution { .. });
        if specs.iter().any(differential) && search.population < MIN_DONORS {
            return Err(EngineError::spec(
                "search.population",
                "differential evolution needs at least 4",
            ));
        }
        let cma = specs.iter().find_map(|spec| match spec.operator {
            Operator::CmaEs { sigma } => Some(sigma),
            _ => None,
        });
        if cma.is_some() {
            check_cma(setup, &axes, specs.len())?;
        }
        let population = search.population as usize;
        let elite = (search.elitism * f64::from(search.population)).round() as usize;
        let elite = elite.max(usize::from(search.elitism > 0.0)).min(population - 1);
        let rivals = specs.iter().all(differential);
        Ok(Self {
            axes,
            marked,
            population,
            elite: if rivals || cma.is_some() { 0 } else { elite },
            rivals,
            cma,
            makers,
            changers,
        })
    }
}

/// Whether the operator changes a single agent.
fn changes(operator: &Operator) -> bool {
    matches!(
        operator,
        Operator::Gaussian { .. } | Operator::Polynomial { .. } | Operator::ConstantTweak { .. }
    )
}

/// The name of an operator in proposals; the one it has in specifications.
pub(super) fn name(operator: &Operator) -> &'static str {
    match operator {
        Operator::Gaussian { .. } => "gaussian",
        Operator::Polynomial { .. } => "polynomial",
        Operator::DifferentialEvolution { .. } => "differential-evolution",
        Operator::CmaEs { .. } => "cma-es",
        Operator::OnePoint => "one-point",
        Operator::TwoPoint => "two-point",
        Operator::Uniform => "uniform",
        Operator::ConstantTweak { .. } => "constant-tweak",
        Operator::PromptSplice => "prompt-splice",
    }
}

/// The name as proposals have it, for names read from a store.
pub(super) fn named(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 11] = [
        "initial",
        "random",
        "gaussian",
        "polynomial",
        "differential-evolution",
        "cma-es",
        "one-point",
        "two-point",
        "uniform",
        "constant-tweak",
        "prompt-splice",
    ];
    NAMES.into_iter().find(|known| *known == name)
}

/// What the files offer: numbers to tweak, and prose to splice.
fn offers(setup: &Setup, marked: bool) -> (bool, bool) {
    let files = &setup.initial.files;
    let numbers = files.iter().any(|(path, file)| {
        text::text(file).is_some_and(|text| !literal::tweakable(path, text, marked).is_empty())
    });
    let prose = files.keys().any(text::prose) && splice::possible(files, marked);
    (numbers, prose)
}

/// Operators that fit the genome, where its user names none.
///
/// Parameters with an order, and nothing else: differential evolution in three forms.
/// Otherwise crossover, followed by a step, and what changes text alone.
fn fitting(setup: &Setup, axes: &[Axis], marked: bool) -> Result<Vec<OperatorSpec>, EngineError> {
    let (numbers, prose) = offers(setup, marked);
    let of = |operator, weight| OperatorSpec { operator, weight };
    let free = axes.iter().filter(|axis| !axis.fixed()).count();
    let ordered = axes.iter().filter(|axis| !axis.fixed() && !axis.categorical()).count();
    if free > 0
        && ordered * 4 >= free * 3
        && !numbers
        && !prose
        && setup.search.population >= MIN_DONORS
    {
        // A composite (after Y. Wang et al., CoDE, 2011): one for separable functions, one for
        // those that are not, one that converges.
        let differential =
            |cr, best| of(Operator::DifferentialEvolution { f: None, cr, best }, 1.0);
        return Ok(vec![
            differential(0.1, false),
            differential(0.9, false),
            differential(0.9, true),
        ]);
    }
    let mut specs = Vec::new();
    if free > 0 {
        specs.push(of(Operator::Gaussian { sigma: 0.1, rate: None }, 1.0));
    }
    if numbers {
        specs.push(of(Operator::ConstantTweak { sigma: 0.2 }, 1.0));
    }
    if prose {
        specs.push(of(Operator::PromptSplice, 1.0));
    }
    if specs.is_empty() {
        // Text without a number in it: the lines that are there in other places.
        if !splice::has_lines(&setup.initial.files, marked) {
            return Err(EngineError::NothingToVary);
        }
        specs.push(of(Operator::PromptSplice, 1.0));
    }
    specs.push(of(Operator::Uniform, 1.0));
    specs.push(of(Operator::TwoPoint, 0.5));
    Ok(specs)
}

/// Checks that CMA-ES fits the rest of the search.
fn check_cma(setup: &Setup, axes: &[Axis], operators: usize) -> Result<(), EngineError> {
    let fault = |problem: &str| Err(EngineError::spec("search.operators (cma-es)", problem));
    if operators > 1 {
        return fault("it stands alone: name no other operator");
    }
    if setup.search.mode != Mode::Generational {
        return fault("it learns from whole generations: mode = \"generational\" is needed");
    }
    if setup.search.population < MIN_DONORS {
        return fault("it needs a population of at least 4");
    }
    if axes.len() > MAX_DIMENSIONS {
        return fault("it takes at most 500 parameters; differential-evolution takes more");
    }
    if axes.iter().any(|axis| axis.categorical() && !axis.fixed()) {
        return fault(
            "it needs parameters with an order; differential-evolution takes categories too",
        );
    }
    Ok(())
}

/// Checks one operator of a specification.
fn check(spec: &OperatorSpec, at: usize, setup: &Setup, marked: bool) -> Result<(), EngineError> {
    let fault = |problem: &str| {
        let field = format!("search.operators[{at}] ({})", name(&spec.operator));
        Err(EngineError::spec(field, problem))
    };
    if !(spec.weight >= 0.0 && spec.weight.is_finite()) {
        return fault("its weight must be 0 or more");
    }
    let positive = |value: f64| value > 0.0 && value.is_finite();
    let rate = |rate: Option<f64>| rate.is_none_or(|rate| rate > 0.0 && rate <= 1.0);
    let params = !setup.space.params.is_empty();
    let files = &setup.initial.files;
    match &spec.operator {
        Operator::Gaussian { .. }
        | Operator::Polynomial { .. }
        | Operator::DifferentialEvolution { .. }
        | Operator::CmaEs { .. }
            if !params =>
        {
            fault("it changes parameters, and the agent has none ([params])")
        }
        Operator::Gaussian { sigma, .. }
        | Operator::ConstantTweak { sigma }
        | Operator::CmaEs { sigma }
            if !positive(*sigma) =>
        {
            fault("its sigma must be above 0")
        }
        Operator::Gaussian { rate: given, .. } | Operator::Polynomial { rate: given, .. }
            if !rate(*given) =>
        {
            fault("its rate must be above 0 and at most 1")
        }
        Operator::Polynomial { eta, .. } if !(*eta >= 0.0 && eta.is_finite()) => {
            fault("its eta must be 0 or more")
        }
        Operator::DifferentialEvolution { f: Some(f), .. } if !(positive(*f) && *f <= 2.0) => {
            fault("its f must be above 0 and at most 2")
        }
        Operator::DifferentialEvolution { cr, .. } if !(0.0..=1.0).contains(cr) => {
            fault("its cr must be from 0 to 1")
        }
        Operator::ConstantTweak { .. } if !offers(setup, marked).0 => {
            fault("it changes numbers in the text that may evolve, and there are none")
        }
        Operator::PromptSplice if !splice::possible(files, marked) => {
            fault("it changes text that may evolve, and there is none")
        }
        _ => Ok(()),
    }
}
