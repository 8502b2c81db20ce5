//! Rules: when a search stops, who survives, what is refused, and that it finds optima.

use std::sync::Arc;

use crate::domain::{
    genome::Space,
    id::Slot,
    spec::{Mode, Operator, Search, Selection},
};
use crate::evolution::{
    engine::Engine,
    functions::Function,
    setup::{Proposal, StopReason},
};

use super::{CODE, PROMPT, arbitrary, files, mixed, run, setup, space, sphere, whole};

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

/// An engine on the 3-dimensional sphere, with N = 8.
fn small(operators: &[Operator]) -> crate::evolution::setup::Setup {
    let mut setup = setup(space(3), operators);
    setup.search.population = 8;
    setup
}

fn gaussian() -> Vec<Operator> {
    vec![Operator::Gaussian { sigma: 0.1, rate: None }]
}

#[test]
fn it_stops_after_n_max_generations_and_goes_on_with_more() {
    for mode in [Mode::Generational, Mode::SteadyState] {
        let mut setup = small(&[Operator::DifferentialEvolution { f: None, cr: 0.9, best: false }]);
        setup.search.mode = mode;
        setup.stop.generations = Some(5);
        let mut engine = Engine::new(setup.clone()).unwrap();
        let all = run(&mut engine, 1, |genome| Some(sphere(genome)));
        assert_eq!(engine.stopped(), Some(StopReason::Generations));
        assert_eq!(all.len(), 6 * 8, "the initial one and five more");
        assert_eq!(all.last().unwrap().slot, Slot { generation: 5, index: 7 });
        assert!(engine.ask(1).is_empty());

        let bytes = engine.snapshot().unwrap();
        let same = Engine::restore(setup.clone(), &bytes).unwrap();
        assert_eq!(same.stopped(), Some(StopReason::Generations));
        assert_eq!(same.generation(), engine.generation());
        setup.stop.generations = Some(7);
        let mut wider = Engine::restore(setup, &bytes).unwrap();
        assert_eq!(wider.stopped(), None);
        let more = run(&mut wider, 1, |genome| Some(sphere(genome)));
        assert_eq!(more[0].slot, Slot { generation: 6, index: 0 });
        assert_eq!(more.len(), 2 * 8);
    }
}

#[test]
fn it_stops_when_the_evaluations_are_used_up_and_goes_on_with_more() {
    let mut setup = small(&gaussian());
    setup.stop.evaluations = Some(21);
    let mut engine = Engine::new(setup.clone()).unwrap();
    let mut all = run(&mut engine, 4, |genome| Some(sphere(genome)));
    assert_eq!((all.len(), engine.evaluations()), (21, 21));
    assert_eq!(engine.stopped(), Some(StopReason::Evaluations));
    let bytes = engine.snapshot().unwrap();
    setup.stop.evaluations = Some(60);
    let mut wider = Engine::restore(setup.clone(), &bytes).unwrap();
    all.extend(run(&mut wider, 4, |genome| Some(sphere(genome))));
    let mut unbroken = Engine::new(setup).unwrap();
    assert_eq!(run(&mut unbroken, 4, |genome| Some(sphere(genome))), all);
}

#[test]
fn a_target_is_in_the_terms_of_its_objective() {
    let mut setup = small(&gaussian());
    setup.stop.target = Some(10.0);
    setup.objectives[0].weight = 4.0;
    let mut engine = Engine::new(setup.clone()).unwrap();
    run(&mut engine, 3, |genome| Some(4.0 * sphere(genome)));
    assert_eq!(engine.stopped(), Some(StopReason::Target));
    let reached = -engine.best_fitness().unwrap() / 4.0;
    assert!(reached <= 10.0, "{reached}");
    // One of eight is carried over.
    assert_eq!((engine.evaluations() - 8) % 7, 0, "a generation is finished, whoever is quick");

    setup.search.mode = Mode::SteadyState;
    let mut engine = Engine::new(setup).unwrap();
    let all = run(&mut engine, 1, |genome| Some(4.0 * sphere(genome)));
    assert_eq!(engine.best().unwrap().slot, all.last().unwrap().slot, "at once");
}

#[test]
fn it_stops_when_the_gain_over_the_window_is_below_tau() {
    let mut setup = small(&gaussian());
    (setup.stop.tau, setup.stop.window) = (Some(0.5), Some(3));
    // The best gains 1 a generation until generation 4, then 0.1.
    let score = |slot: Slot| {
        let generation = slot.generation as f64;
        if slot.generation <= 4 { generation } else { 4.0 + (generation - 4.0) / 10.0 }
    };
    let mut engine = Engine::new(setup.clone()).unwrap();
    let mut last = Slot::default();
    while let Some(proposal) = engine.ask(1).pop() {
        last = proposal.slot;
        engine.tell(last, Some(score(last)));
    }
    assert_eq!(engine.stopped(), Some(StopReason::Stagnation));
    assert_eq!(last.generation, 7, "from 4 to 7 it gained 0.3");
    assert_eq!(engine.generation(), 7);

    setup.stop.tau = Some(0.0);
    let mut engine = Engine::new(setup.clone()).unwrap();
    let all = run(&mut engine, 8, |_| Some(1.0));
    assert_eq!(all.len(), 8 + 3 * 7, "no gain at all, for three generations");
    let mut engine = Engine::new(setup).unwrap();
    run(&mut engine, 8, |_| None);
    assert_eq!(engine.stopped(), Some(StopReason::Stagnation), "nothing but failures");
    assert_eq!(engine.best(), None);
}

#[test]
fn the_caller_can_end_it() {
    let mut engine = Engine::new(small(&gaussian())).unwrap();
    assert_eq!(engine.ask(3).len(), 3);
    engine.stop(StopReason::Time);
    engine.stop(StopReason::Generations);
    assert_eq!(engine.stopped(), Some(StopReason::Time), "the first reason counts");
    assert!(engine.ask(3).is_empty());
    for reason in StopReason::ALL {
        assert_eq!(StopReason::named(reason.as_str()), Some(reason));
    }
}

#[test]
fn the_elite_stays_and_all_others_make_room() {
    for mode in [Mode::Generational, Mode::SteadyState] {
        let mut setup = small(&[Operator::Gaussian { sigma: 0.01, rate: Some(1.0) }]);
        setup.search.mode = mode;
        setup.search.elitism = 0.25;
        setup.search.selection = Selection::Tournament { size: 1 };
        setup.stop.generations = Some(40);
        let mut engine = Engine::new(setup).unwrap();
        // The first generation's second and fifth are better than all that ever follow.
        let elite = [Slot { generation: 0, index: 1 }, Slot { generation: 0, index: 4 }];
        let mut seen = Vec::new();
        while let Some(child) = engine.ask(1).pop() {
            let fitness = if elite.contains(&child.slot) { 10.0 } else { 0.0 };
            engine.tell(child.slot, Some(fitness));
            seen.push(child);
        }
        if mode == Mode::Generational {
            assert_eq!(seen.len(), 8 + 40 * 6, "two of eight are carried over");
        }
        let late = || seen.iter().filter(|child| child.slot.generation >= 30);
        let parents = || late().flat_map(|child| &child.parents);
        for kept in &elite {
            assert!(parents().any(|parent| parent == kept), "{mode:?} lost {kept:?}");
        }
        let others = || parents().filter(|parent| !elite.contains(parent));
        assert!(others().all(|parent| parent.generation >= 27), "{mode:?}");
        assert!(others().count() > 10);
    }
}

#[test]
fn a_child_of_differential_evolution_competes_with_its_target() {
    for mode in [Mode::Generational, Mode::SteadyState] {
        let mut setup =
            small(&[Operator::DifferentialEvolution { f: Some(0.5), cr: 0.5, best: false }]);
        setup.search.mode = mode;
        setup.stop.generations = Some(30);
        let mut engine = Engine::new(setup).unwrap();
        // Nobody after the first generation is better: nobody gets in.
        let all = {
            let mut all = Vec::new();
            while let Some(child) = engine.ask(1).pop() {
                let fitness = if child.slot.generation == 0 { 1.0 } else { 0.5 };
                engine.tell(child.slot, Some(fitness));
                all.push(child);
            }
            all
        };
        let children: Vec<_> = all.iter().filter(|child| child.slot.generation > 0).collect();
        assert_eq!(children.len(), 30 * 8, "no elite is needed");
        for child in &children {
            assert_eq!(child.parents.len(), 4);
            assert!(child.parents.iter().all(|parent| parent.generation == 0));
            assert_eq!((child.parent_fitness, child.best_before), (Some(1.0), Some(1.0)));
            if mode == Mode::Generational {
                assert_eq!(child.parents[0].index, child.slot.index, "its target's place");
            }
        }
    }
}

#[test]
fn a_child_is_compared_with_the_best_of_the_generations_before_its_own() {
    let mut setup = whole(5, &super::every_operator(), Mode::Generational);
    setup.stop.evaluations = Some(600);
    let mut engine = Engine::new(setup).unwrap();
    let score = |proposal: &Proposal| arbitrary(&proposal.genome);
    let all = run(&mut engine, 7, arbitrary);
    for child in &all {
        let before = all.iter().filter(|it| it.slot.generation < child.slot.generation);
        assert_eq!(
            child.best_before,
            before.filter_map(score).reduce(f64::max),
            "{:?}",
            child.slot
        );
    }
}

#[test]
fn failures_are_never_parents() {
    for mode in [Mode::Generational, Mode::SteadyState] {
        let mut setup = whole(3, &super::every_operator(), mode);
        setup.stop.evaluations = Some(600);
        let mut engine = Engine::new(setup).unwrap();
        let mut failed = std::collections::HashSet::new();
        while let Some(child) = engine.ask(1).pop() {
            assert!(!child.parents.iter().any(|parent| failed.contains(parent)), "{child:?}");
            let fitness = match child.slot.index % 3 {
                0 => None,
                1 => Some(f64::NAN),
                _ => arbitrary(&child.genome),
            };
            if fitness.is_none_or(f64::is_nan) {
                failed.insert(child.slot);
            }
            engine.tell(child.slot, fitness);
        }
        assert!(engine.best().unwrap().fitness.is_finite());
    }
}

#[test]
fn the_first_agent_is_the_initial_one() {
    let mut setup = whole(5, &[], Mode::Generational);
    let mut space = (*mixed()).clone();
    space.params[2].init = Some(4.0);
    setup.space = Arc::new(space);
    let first = Engine::new(setup.clone()).unwrap().ask(1).remove(0);
    assert_eq!(first.slot, Slot::default());
    assert_eq!((first.operators, first.genome.params[2]), (vec!["initial"], 4.0));
    assert_eq!(first.genome.files, setup.initial.files);
    let values: Arc<[f64]> = Arc::from([0.5, 0.1, 1.0, 50.0, 2.0, 7.0, 0.0]);
    setup.initial.params = values.clone();
    let first = Engine::new(setup).unwrap().ask(1).remove(0);
    assert_eq!(first.genome.params, values);
}

#[test]
fn default_operators_fit_the_genome() {
    let used = |space: Arc<Space>, all: &[(&str, &str)]| {
        let mut setup = setup(space, &[]);
        setup.initial.files = files(all);
        setup.stop.evaluations = Some(640);
        let mut engine = Engine::new(setup).unwrap();
        let all = run(&mut engine, 64, |genome| Some(arbitrary(genome).unwrap_or(0.0)));
        let names = all.into_iter().flat_map(|child| child.operators);
        names.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    };
    let none = Arc::new(Space::default());
    assert_eq!(used(space(4), &[]), ["differential-evolution", "initial", "random"]);
    assert_eq!(
        used(space(4), &[("notes.py", "print('no numbers')\n")]),
        ["differential-evolution", "initial", "random"]
    );
    assert_eq!(
        used(none.clone(), &[("main.py", CODE)]),
        ["constant-tweak", "initial", "two-point", "uniform"]
    );
    // A program without a number: its lines in other places.
    let wordy = "# EVOLVE-BLOCK-START\nreturn choice(list(Action))\n# EVOLVE-BLOCK-END\n";
    assert_eq!(
        used(none.clone(), &[("main.py", wordy)]),
        ["initial", "prompt-splice", "two-point", "uniform"]
    );
    assert_eq!(
        used(none, &[("system.md", PROMPT)]),
        ["initial", "prompt-splice", "two-point", "uniform"]
    );
    assert_eq!(
        used(mixed(), &[("main.py", CODE), ("system.md", PROMPT)]),
        [
            "constant-tweak",
            "gaussian",
            "initial",
            "prompt-splice",
            "random",
            "two-point",
            "uniform"
        ]
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let fault = |change: &dyn Fn(&mut crate::evolution::setup::Setup)| {
        let mut setup = whole(1, &[], Mode::Generational);
        change(&mut setup);
        Engine::new(setup).unwrap_err().to_string()
    };
    let operator = |operator: Operator| {
        fault(&|setup| {
            setup.search = Search {
                operators: super::setup(space(1), std::slice::from_ref(&operator)).search.operators,
                ..Search::default()
            };
        })
    };
    let cases = [
        (fault(&|s| s.search.population = 1), "search.population"),
        (fault(&|s| s.search.elitism = 1.0), "search.elitism"),
        (fault(&|s| s.search.elitism = f64::NAN), "search.elitism"),
        (
            fault(&|s| s.search.selection = Selection::Tournament { size: 0 }),
            "search.selection.size",
        ),
        (
            fault(&|s| s.search.selection = Selection::Rank { pressure: 2.1 }),
            "search.selection.pressure",
        ),
        (fault(&|s| s.stop.evaluations = Some(0)), "stop.evaluations"),
        (fault(&|s| s.stop.target = Some(f64::NAN)), "stop.target"),
        (fault(&|s| s.stop.tau = Some(-1.0)), "stop.tau"),
        (fault(&|s| s.stop.window = Some(0)), "stop.window"),
        (fault(&|s| s.initial.params = Arc::from([1.0])), "agent.params"),
        (operator(Operator::Gaussian { sigma: 0.0, rate: None }), "search.operators[0] (gaussian)"),
        (
            operator(Operator::Polynomial { eta: -1.0, rate: None }),
            "search.operators[0] (polynomial)",
        ),
        (
            operator(Operator::Polynomial { eta: 1.0, rate: Some(1.5) }),
            "search.operators[0] (polynomial)",
        ),
        (
            operator(Operator::DifferentialEvolution { f: Some(3.0), cr: 0.5, best: false }),
            "search.operators[0] (differential-evolution)",
        ),
        (operator(Operator::CmaEs { sigma: 0.2 }), "search.operators (cma-es)"),
        (
            fault(&|s| {
                s.initial.files =
                    files(&[("a.py", "# EVOLVE-BLOCK-START\nx\n# EVOLVE-BLOCK-END\n")]);
                s.search = super::setup(space(1), &[Operator::ConstantTweak { sigma: 0.1 }]).search;
            }),
            "search.operators[0] (constant-tweak)",
        ),
        (
            fault(&|s| {
                let empty = "x = 1\n# EVOLVE-BLOCK-START\n\n# EVOLVE-BLOCK-END\n";
                s.initial.files = files(&[("a.py", empty)]);
                s.space = Arc::default();
            }),
            "nothing to vary",
        ),
    ];
    for (message, place) in cases {
        assert!(message.starts_with(place), "“{message}” does not name {place}");
    }
}

#[test]
fn snapshots_of_other_searches_are_refused() {
    let setup = small(&gaussian());
    let bytes = Engine::new(setup.clone()).unwrap().snapshot().unwrap();
    let refused = |change: &dyn Fn(&mut crate::evolution::setup::Setup)| {
        let mut other = setup.clone();
        change(&mut other);
        Engine::restore(other, &bytes).unwrap_err().to_string()
    };
    assert!(refused(&|s| s.seed = 2).contains("its seed differs"));
    assert!(refused(&|s| s.search.population = 9).contains("its population differs"));
    assert!(refused(&|s| s.space = space(4)).contains("its number of parameters differs"));
    assert!(refused(&|s| s.search.mode = Mode::SteadyState).contains("its mode differs"));
    let cma = [Operator::CmaEs { sigma: 0.2 }];
    assert!(
        refused(&|s| s.search.operators = super::setup(space(3), &cma).search.operators)
            .contains("its operators differs")
    );
    assert!(Engine::restore(setup, b"rubbish").unwrap_err().to_string().contains("damaged"));
}

#[test]
fn a_steady_engine_takes_in_what_it_was_restored_without() {
    let mut setup = small(&gaussian());
    setup.search.mode = Mode::SteadyState;
    setup.stop.evaluations = Some(60);
    let mut engine = Engine::new(setup.clone()).unwrap();
    let mut made = Vec::new();
    for _ in 0..20 {
        let child = engine.ask(1).remove(0);
        engine.tell(child.slot, Some(sphere(&child.genome)));
        made.push(child);
    }
    // All but the last two are recorded; one had no time to be.
    let mut fresh = Engine::new(setup).unwrap();
    for child in made[..18].iter().filter(|child| child.slot.index != 3) {
        fresh.adopt(child.slot, child.genome.clone(), Some(sphere(&child.genome)));
        fresh.adopt(child.slot, child.genome.clone(), Some(1e9));
    }
    assert_eq!(fresh.evaluations(), 16, "each counts once");
    let best = made[..18].iter().filter(|child| child.slot.index != 3);
    let best = best.map(|child| sphere(&child.genome)).fold(f64::MIN, f64::max);
    assert_eq!(fresh.best_fitness(), Some(best));
    let rest = run(&mut fresh, 2, |genome| Some(sphere(genome)));
    assert_eq!(rest[0].slot, Slot { generation: 2, index: 2 }, "the next free one");
    assert_eq!((rest.len(), fresh.evaluations()), (44, 60));
}

#[test]
fn what_was_recorded_counts_even_if_this_engine_would_have_made_something_else() {
    let setup = small(&[Operator::Gaussian { sigma: 1e-9, rate: None }]);
    let mut other = setup.clone();
    other.seed = 99;
    let recorded = Engine::new(other).unwrap().ask(8);
    let mut engine = Engine::new(setup.clone()).unwrap();
    for (told, child) in recorded.iter().enumerate() {
        if told == 5 {
            engine = Engine::restore(setup.clone(), &engine.snapshot().unwrap()).unwrap();
        }
        engine.adopt(child.slot, child.genome.clone(), Some(sphere(&child.genome)));
    }
    let fittest = recorded.iter().map(|child| sphere(&child.genome)).fold(f64::MIN, f64::max);
    assert_eq!(engine.best_fitness(), Some(fittest));
    for child in engine.ask(7) {
        assert_eq!(child.slot.generation, 1);
        let parent = &recorded[child.parents[0].index as usize];
        assert!((sphere(&child.genome) - sphere(&parent.genome)).abs() < 1e-6, "{child:?}");
    }
}

#[test]
fn cma_es_starts_again_when_nothing_more_is_to_be_gained() {
    let mut setup = small(&[Operator::CmaEs { sigma: 0.2 }]);
    setup.stop.evaluations = Some(16_000);
    let mut engine = Engine::new(setup).unwrap();
    let all = run(&mut engine, 8, |genome| Some(sphere(genome)));
    let starts = all.iter().filter(|child| child.slot.index == 0 && child.parents.is_empty());
    assert!(starts.count() >= 3);
    assert!(engine.best_fitness().unwrap() > -1e-12);
}
