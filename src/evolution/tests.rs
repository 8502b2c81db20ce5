//! The engine as a whole: reproducible, bounded, restorable, and able to find an optimum.

use std::sync::Arc;

use proptest::prelude::*;

use crate::domain::{
    genome::{File, FilePath, Files, Genome, Kind, Param, Space},
    objective::{Goal, Objective},
    spec::{Mode, Operator, OperatorSpec, Search, Selection, Stop},
};

use super::{
    engine::Engine,
    functions::Function,
    setup::{Proposal, Setup, StopReason},
};

fn real(name: &str, min: f64, max: f64) -> Param {
    Param { name: name.to_owned(), kind: Kind::Real { min, max, log: false }, init: None }
}

fn space(dimensions: usize) -> Arc<Space> {
    let param = |at| real(&format!("x{at}"), -5.12, 5.12);
    Arc::new(Space { params: (0..dimensions).map(param).collect() })
}

/// One parameter of each type.
fn mixed() -> Arc<Space> {
    let kinds = [
        Kind::Real { min: -1.0, max: 3.0, log: false },
        Kind::Real { min: 1e-6, max: 10.0, log: true },
        Kind::Integer { min: -3, max: 4, log: false },
        Kind::Integer { min: 1, max: 100_000, log: true },
        Kind::Categorical { choices: ["a", "b", "c"].map(str::to_owned).into() },
        Kind::Integer { min: 7, max: 7, log: false },
        Kind::Categorical { choices: vec!["only".to_owned()] },
    ];
    let params = kinds.into_iter().enumerate();
    let param = |(at, kind)| Param { name: format!("p{at}"), kind, init: None };
    Arc::new(Space { params: params.map(param).collect() })
}

fn files(all: &[(&str, &str)]) -> Files {
    let entry = |(path, text): &(&str, &str)| {
        let bytes = text.as_bytes().to_vec().into();
        (FilePath::new(path).unwrap(), File { bytes, executable: false })
    };
    Arc::new(all.iter().map(entry).collect())
}

const CODE: &str = "import math\nSCALE = 100\n# EVOLVE-BLOCK-START\ndef f(x):\n    a = 1.5\n    \
    b = 20  # not 7\n    return a * x ** 2 + b\n# EVOLVE-BLOCK-END\nLAST = 3.0\n";
const PROMPT: &str = "Fixed head.\n<!-- EVOLVE-BLOCK-START -->\nBe brief.\n\nThink first.\nThen \
    answer.\n<!-- EVOLVE-BLOCK-END -->\nFixed tail.\n";

fn setup(space: Arc<Space>, operators: &[Operator]) -> Setup {
    let spec = |operator: &Operator| OperatorSpec { operator: operator.clone(), weight: 1.0 };
    Setup {
        search: Search { operators: operators.iter().map(spec).collect(), ..Search::default() },
        stop: Stop::default(),
        objectives: vec![Objective::new("score", Goal::Minimize)],
        space,
        seed: 1,
        initial: Genome::default(),
    }
}

fn sphere(genome: &Genome) -> f64 {
    -genome.params.iter().map(|x| x * x).sum::<f64>()
}

/// A score that depends on all of a genome; one in eight has none.
fn arbitrary(genome: &Genome) -> Option<f64> {
    let bytes = genome.files.values().flat_map(|file| file.bytes.iter().copied());
    let params = genome.params.iter().flat_map(|x| x.to_le_bytes());
    let hash = bytes.chain(params).fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let score = (hash >> 40) as f64;
    (hash % 8 != 0).then_some(score)
}

/// Runs until the engine stops, with that many evaluated at a time, answered last first.
fn run(
    engine: &mut Engine,
    workers: usize,
    score: impl Fn(&Genome) -> Option<f64>,
) -> Vec<Proposal> {
    let mut all = Vec::new();
    loop {
        let batch = engine.ask(workers);
        if batch.is_empty() {
            break;
        }
        for proposal in batch.iter().rev() {
            engine.tell(proposal.slot, score(&proposal.genome));
        }
        all.extend(batch);
    }
    assert!(engine.stopped().is_some(), "it waits for nothing");
    all
}

fn every_operator() -> Vec<Operator> {
    vec![
        Operator::Gaussian { sigma: 0.3, rate: None },
        Operator::Polynomial { eta: 20.0, rate: Some(0.5) },
        Operator::DifferentialEvolution { f: None, cr: 0.9, best: false },
        Operator::DifferentialEvolution { f: Some(0.7), cr: 0.5, best: true },
        Operator::OnePoint,
        Operator::TwoPoint,
        Operator::Uniform,
        Operator::ConstantTweak { sigma: 0.2 },
        Operator::PromptSplice,
    ]
}

fn whole(seed: u64, operators: &[Operator], mode: Mode) -> Setup {
    let mut setup = setup(mixed(), operators);
    setup.seed = seed;
    setup.search.mode = mode;
    setup.search.population = 12;
    setup.stop.evaluations = Some(150);
    setup.initial.files = files(&[("main.py", CODE), ("prompts/system.md", PROMPT)]);
    setup
}

fn selections() -> impl Strategy<Value = Selection> {
    prop_oneof![
        (1u32..5).prop_map(|size| Selection::Tournament { size }),
        (1.0..=2.0).prop_map(|pressure| Selection::Rank { pressure }),
        Just(Selection::Roulette),
    ]
}

fn operators() -> impl Strategy<Value = Vec<Operator>> {
    let all = every_operator();
    let count = all.len();
    proptest::sample::subsequence(all, 1..=count)
}

fn searches() -> impl Strategy<Value = Vec<Operator>> {
    prop_oneof![4 => operators(), 1 => Just(vec![Operator::CmaEs { sigma: 0.3 }])]
}

/// As [`whole`]; for CMA-ES without what it doesn't take.
fn fitted(seed: u64, operators: &[Operator], mode: Mode) -> Setup {
    let mut setup = whole(seed, operators, mode);
    if matches!(operators, [Operator::CmaEs { .. }]) {
        setup.search.mode = Mode::Generational;
        let ordered = |param: &&Param| param.name != "p4";
        let params = setup.space.params.iter().filter(ordered).cloned().collect();
        setup.space = Arc::new(Space { params });
    }
    setup
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Generational), Just(Mode::SteadyState)]
}

/// The text of a file outside its region.
fn fixed(text: &str) -> (&str, &str) {
    let (head, rest) = text.split_once("EVOLVE-BLOCK-START").unwrap();
    let (_, tail) = rest.split_once("EVOLVE-BLOCK-END").unwrap();
    (head, tail)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn children_keep_bounds_types_and_text_outside_the_markers(
        seed: u64, operators in searches(), selection in selections(), mode in modes(),
    ) {
        let mut setup = fitted(seed, &operators, mode);
        setup.search.selection = selection;
        let space = setup.space.clone();
        let mut engine = Engine::new(setup).unwrap();
        let mut seen = std::collections::HashSet::new();
        for proposal in run(&mut engine, 5, arbitrary) {
            prop_assert!(seen.insert(proposal.slot));
            prop_assert!(proposal.parents.iter().all(|parent| parent < &proposal.slot));
            let params = &proposal.genome.params;
            prop_assert_eq!(params.len(), space.params.len());
            for (param, value) in space.params.iter().zip(params.iter()) {
                prop_assert!(param.kind.holds(*value), "{} is {value}", param.name);
                prop_assert!(value.to_bits() != (-0.0f64).to_bits());
            }
            let text = |path: &str| {
                let file = &proposal.genome.files[&FilePath::new(path).unwrap()];
                String::from_utf8(file.bytes.to_vec()).unwrap()
            };
            let (code, prompt) = (text("main.py"), text("prompts/system.md"));
            prop_assert_eq!(fixed(&code), fixed(CODE));
            prop_assert_eq!(fixed(&prompt), fixed(PROMPT));
            prop_assert_eq!(code.matches("EVOLVE-BLOCK").count(), 2);
            prop_assert_eq!(prompt.matches("EVOLVE-BLOCK").count(), 2);
        }
        prop_assert_eq!(seen.len(), 150);
    }

    #[test]
    fn the_number_of_workers_makes_no_difference(
        seed: u64, operators in searches(), selection in selections(),
    ) {
        let mut setup = fitted(seed, &operators, Mode::Generational);
        setup.search.selection = selection;
        let mut one = Engine::new(setup.clone()).unwrap();
        let all = run(&mut one, 1, arbitrary);
        for workers in [2, 8, 1000] {
            let mut many = Engine::new(setup.clone()).unwrap();
            prop_assert_eq!(&run(&mut many, workers, arbitrary), &all);
            prop_assert_eq!(many.best(), one.best());
        }
    }

    #[test]
    fn a_restored_engine_goes_on_as_if_nothing_had_happened(
        seed: u64, operators in searches(), selection in selections(), mode in modes(),
        at in 0usize..150, workers in 1usize..9,
    ) {
        let mut setup = fitted(seed, &operators, mode);
        setup.search.selection = selection;
        setup.stop.tau = Some(0.5);
        let workers = if mode == Mode::SteadyState { 1 } else { workers };
        let mut unbroken = Engine::new(setup.clone()).unwrap();
        let expected = run(&mut unbroken, workers, arbitrary);

        let mut engine = Engine::new(setup.clone()).unwrap();
        let (mut all, mut told) = (Vec::new(), 0);
        while told < at.min(expected.len()) {
            let batch = engine.ask(workers);
            // The last of them is lost with the process, and asked for again.
            let known = batch.len().min(at - told);
            for proposal in batch.into_iter().take(known) {
                engine.tell(proposal.slot, arbitrary(&proposal.genome));
                all.push(proposal);
                told += 1;
            }
        }
        let bytes = engine.snapshot().unwrap();
        let mut restored = Engine::restore(setup, &bytes).unwrap();
        prop_assert_eq!(restored.best(), engine.best());
        prop_assert_eq!(restored.generation(), engine.generation());
        prop_assert_eq!(restored.snapshot().unwrap(), bytes);
        all.extend(run(&mut restored, workers, arbitrary));
        prop_assert_eq!(&all, &expected);
        prop_assert_eq!(restored.best(), unbroken.best());
        prop_assert_eq!(restored.stopped(), unbroken.stopped());
    }

    #[test]
    fn results_known_from_before_a_restart_may_be_told_first(
        seed: u64, operators in searches(), known in 0usize..150,
    ) {
        let setup = fitted(seed, &operators, Mode::Generational);
        let mut unbroken = Engine::new(setup.clone()).unwrap();
        let expected = run(&mut unbroken, 4, arbitrary);
        let mut engine = Engine::new(setup).unwrap();
        for proposal in &expected[..known] {
            engine.tell(proposal.slot, arbitrary(&proposal.genome));
        }
        let rest = run_or_done(&mut engine);
        prop_assert_eq!(&rest[..], &expected[known..]);
        prop_assert_eq!(engine.best(), unbroken.best());
    }

    #[test]
    fn damaged_snapshots_are_refused_or_harmless(seed: u64, flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4)) {
        let setup = whole(seed, &every_operator(), Mode::Generational);
        let mut engine = Engine::new(setup.clone()).unwrap();
        for _ in 0..3 {
            for proposal in engine.ask(7) {
                engine.tell(proposal.slot, arbitrary(&proposal.genome));
            }
        }
        let mut bytes = engine.snapshot().unwrap();
        for (index, flip) in flips {
            let at = index.index(bytes.len());
            bytes[at] ^= flip;
        }
        // Not a panic, and not an endless loop.
        if let Ok(mut engine) = Engine::restore(setup, &bytes) {
            engine.ask(10);
        }
    }
}

fn run_or_done(engine: &mut Engine) -> Vec<Proposal> {
    if engine.stopped().is_some() { Vec::new() } else { run(engine, 3, arbitrary) }
}

#[test]
fn cma_es_solves_what_is_badly_scaled_and_turned() {
    // Rosenbrock's valley, curved and narrow, in 10 dimensions.
    let mut setup = setup(space(10), &[Operator::CmaEs { sigma: 0.2 }]);
    setup.stop.target = Some(1e-9);
    setup.stop.evaluations = Some(60_000);
    let mut engine = Engine::new(setup).unwrap();
    let valley = Function::named("rosenbrock").unwrap();
    let all = run(&mut engine, 64, |genome| Some(-valley.at(&genome.params)));
    assert_eq!(engine.stopped(), Some(StopReason::Target), "{:?}", engine.best());
    assert!(all.iter().skip(64).all(|child| child.parents.len() == 4));
}

#[test]
fn the_defaults_find_the_minimum_of_the_sphere() {
    for mode in [Mode::Generational, Mode::SteadyState] {
        let mut setup = setup(space(10), &[]);
        setup.search.mode = mode;
        setup.stop.target = Some(1e-6);
        setup.stop.evaluations = Some(60_000);
        let mut engine = Engine::new(setup).unwrap();
        run(&mut engine, 8, |genome| Some(sphere(genome)));
        assert_eq!(engine.stopped(), Some(StopReason::Target), "{:?}", engine.best());
        assert_eq!(engine.generation() + 1, engine.evaluations().div_ceil(64));
    }
}
