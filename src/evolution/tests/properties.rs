//! Properties: bounds and types are kept, runs repeat, snapshots lose nothing.

use std::sync::Arc;

use proptest::prelude::*;

use crate::domain::{
    genome::{FilePath, Param, Space},
    spec::{Mode, Operator, Selection},
};
use crate::evolution::{
    engine::Engine,
    setup::{Proposal, Setup},
};

use super::{CODE, PROMPT, arbitrary, every_operator, run, whole};

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
    fn damaged_snapshots_are_refused_or_harmless(
        seed: u64, operators in searches(), mode in modes(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
    ) {
        let setup = fitted(seed, &operators, mode);
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
            for proposal in engine.ask(20) {
                engine.tell(proposal.slot, arbitrary(&proposal.genome));
            }
        }
    }
}

fn run_or_done(engine: &mut Engine) -> Vec<Proposal> {
    if engine.stopped().is_some() { Vec::new() } else { run(engine, 3, arbitrary) }
}
