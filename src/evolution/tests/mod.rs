//! The engine as a whole; here what its tests share.

use std::sync::Arc;

use crate::domain::{
    genome::{File, FilePath, Files, Genome, Kind, Param, Space},
    objective::{Goal, Objective},
    spec::{Mode, Operator, OperatorSpec, Search, Stop},
};

use super::{
    engine::Engine,
    setup::{Proposal, Setup},
};

mod properties;
mod rules;

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
