//! The engine alone on the 10-dimensional sphere, one core: evaluations per second of processor
//! time, beside a minimal loop in the same process and, where it is installed, DEAP.
//!
//! `cargo bench --bench engine`. Each figure is the median of several rounds that take turns.

use std::{hint::black_box, process::Command, sync::Arc, time::Instant};

use darwin::{
    domain::{
        genome::{Genome, Kind, Param, Space},
        objective::{Goal, Objective},
        spec::{Mode, Operator, OperatorSpec, Search, Stop},
    },
    evolution::{engine::Engine, functions::Function, setup::Setup},
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

const DIMENSIONS: usize = 10;
const POPULATION: usize = 64;
const EVALUATIONS: u64 = 640_000;
const ROUNDS: u64 = 7;
const GOAL: f64 = 1_500_000.0;

fn main() {
    // `cargo test --benches` runs this too: a short pass that only shows that it works.
    let short = !std::env::args().any(|arg| arg == "--bench");
    let (evaluations, rounds) = if short { (6_400, 1) } else { (EVALUATIONS, ROUNDS) };
    let all: [(&str, &dyn Fn(u64) -> f64); 8] = [
        ("darwin, differential evolution", &|seed| {
            ours(&differential(), generational(), evaluations, seed)
        }),
        ("darwin, genetic (two-point, gaussian)", &|seed| {
            ours(&genetic(), generational(), evaluations, seed)
        }),
        ("darwin, the defaults", &|seed| ours(&[], generational(), evaluations, seed)),
        ("darwin, differential evolution, steady state", &|seed| {
            ours(&differential(), Mode::SteadyState, evaluations, seed)
        }),
        ("darwin, genetic, steady state", &|seed| {
            ours(&genetic(), Mode::SteadyState, evaluations, seed)
        }),
        ("darwin, cma-es", &|seed| {
            ours(&[Operator::CmaEs { sigma: 0.2 }], generational(), evaluations, seed)
        }),
        ("minimal loop, differential evolution", &|seed| loop_differential(evaluations, seed)),
        ("minimal loop, genetic", &|seed| loop_genetic(evaluations, seed)),
    ];
    println!(
        "sphere in {DIMENSIONS}-D, N = {POPULATION}, {evaluations} evaluations a round, median of {rounds}"
    );
    let mut times = vec![Vec::new(); all.len()];
    for round in 0..rounds {
        for (times, (_, run)) in times.iter_mut().zip(&all) {
            let (start, before) = (Instant::now(), cpu());
            black_box(run(round + 1));
            let wall = start.elapsed().as_secs_f64();
            times.push(before.zip(cpu()).map_or(wall, |(before, after)| after - before));
        }
    }
    for (at, (times, (name, _))) in times.iter_mut().zip(&all).enumerate() {
        times.sort_by(f64::total_cmp);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let rate = evaluations as f64 / times[times.len() / 2];
        let verdict = match at {
            0..=5 if !short => {
                if rate >= GOAL {
                    "  (goal 1.5 M/s: met)"
                } else {
                    "  (goal 1.5 M/s: MISSED)"
                }
            }
            _ => "",
        };
        println!("{name:45} {:8.3} M evaluations/s{verdict}", rate / 1e6);
    }
    if !short {
        println!("{:45} {}", "DEAP, differential evolution", deap());
    }
}

/// The processor time of this thread in seconds, so that other work on the machine doesn't
/// count; none where the system doesn't tell.
fn cpu() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(stat.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}

fn generational() -> Mode {
    Mode::Generational
}

fn differential() -> Vec<Operator> {
    vec![Operator::DifferentialEvolution { f: Some(0.7), cr: 0.9, best: false }]
}

fn genetic() -> Vec<Operator> {
    vec![Operator::TwoPoint, Operator::Gaussian { sigma: 0.05, rate: None }]
}

/// Runs the engine and returns the least value found.
fn ours(operators: &[Operator], mode: Mode, evaluations: u64, seed: u64) -> f64 {
    let sphere = Function::named("sphere").expect("it is there");
    let (min, max) = sphere.bounds;
    let kind = Kind::Real { min, max, log: false };
    let param = |at| Param { name: format!("x{at}"), kind: kind.clone(), init: None };
    let spec = |operator: &Operator| OperatorSpec { operator: operator.clone(), weight: 1.0 };
    let search = Search {
        mode,
        population: POPULATION as u32,
        operators: operators.iter().map(spec).collect(),
        ..Search::default()
    };
    let mut engine = Engine::new(Setup {
        search,
        stop: Stop { evaluations: Some(evaluations), ..Stop::default() },
        objectives: vec![Objective::new("value", Goal::Minimize)],
        space: Arc::new(Space { params: (0..DIMENSIONS).map(param).collect() }),
        seed,
        initial: Genome::default(),
    })
    .expect("the set-up is fine");
    loop {
        let proposals = engine.ask(16);
        if proposals.is_empty() {
            break;
        }
        for proposal in &proposals {
            engine.tell(proposal.slot, Some(-sphere.at(&proposal.genome.params)));
        }
    }
    assert_eq!(engine.evaluations(), evaluations);
    -engine.best_fitness().expect("all were scored")
}

struct Uniform(ChaCha8Rng);

impl Uniform {
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}

fn start(seed: u64) -> (Uniform, Vec<Vec<f64>>, Vec<f64>) {
    let mut random = Uniform(ChaCha8Rng::seed_from_u64(seed));
    let point =
        |random: &mut Uniform| (0..DIMENSIONS).map(|_| random.unit() * 10.24 - 5.12).collect();
    let population: Vec<Vec<f64>> = (0..POPULATION).map(|_| point(&mut random)).collect();
    let values = population.iter().map(|x| sphere(x)).collect();
    (random, population, values)
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

/// What one would write by hand: no types, bounds, lineage, seeds per child or snapshots.
fn loop_differential(evaluations: u64, seed: u64) -> f64 {
    let (mut random, mut population, mut values) = start(seed);
    for at in POPULATION as u64..evaluations {
        let target = at as usize % POPULATION;
        let [a, b, c] = [0; 3].map(|_| random.below(POPULATION));
        let sure = random.below(DIMENSIONS);
        let child: Vec<f64> = (0..DIMENSIONS)
            .map(|at| {
                if at == sure || random.unit() < 0.9 {
                    population[a][at] + 0.7 * (population[b][at] - population[c][at])
                } else {
                    population[target][at]
                }
            })
            .collect();
        let value = sphere(&child);
        if value <= values[target] {
            (population[target], values[target]) = (child, value);
        }
    }
    values.into_iter().fold(f64::INFINITY, f64::min)
}

/// Tournaments of 3, two-point crossover, one normal step: whole generations.
fn loop_genetic(evaluations: u64, seed: u64) -> f64 {
    let (mut random, mut population, mut values) = start(seed);
    let mut done = POPULATION as u64;
    while done < evaluations {
        let mut children = Vec::with_capacity(POPULATION);
        for _ in 0..POPULATION {
            let [one, two] = [0; 2].map(|_| {
                let three = [0; 3].map(|_| random.below(POPULATION));
                three.into_iter().min_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(0)
            });
            let mut child = population[one].clone();
            let (from, to) = (random.below(DIMENSIONS), random.below(DIMENSIONS));
            let cut = from.min(to)..from.max(to);
            child[cut.clone()].copy_from_slice(&population[two][cut]);
            let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
            let angle = std::f64::consts::TAU * random.unit();
            child[random.below(DIMENSIONS)] += 0.5 * radius * angle.cos();
            children.push(child);
        }
        done += POPULATION as u64;
        values = children.iter().map(|x| sphere(x)).collect();
        population = children;
    }
    values.into_iter().fold(f64::INFINITY, f64::min)
}

/// DEAP's differential evolution, as in its own example, where Python has it.
fn deap() -> String {
    const SCRIPT: &str = r#"
import random, time
from deap import base, creator, tools
creator.create("Fit", base.Fitness, weights=(-1.0,))
creator.create("Ind", list, fitness=creator.Fit)
D, N, G = 10, 64, 500
t = base.Toolbox()
t.register("attr", random.uniform, -5.12, 5.12)
t.register("ind", tools.initRepeat, creator.Ind, t.attr, D)
t.register("pop", tools.initRepeat, list, t.ind)
t.register("select", tools.selRandom, k=3)
sphere = lambda x: (sum(v * v for v in x),)
rates = []
for _ in range(3):
    pop = t.pop(n=N)
    for i in pop: i.fitness.values = sphere(i)
    start = time.perf_counter()
    for _ in range(G):
        for k, agent in enumerate(pop):
            a, b, c = t.select(pop)
            y = t.clone(agent)
            sure = random.randrange(D)
            for i in range(D):
                if i == sure or random.random() < 0.9:
                    y[i] = a[i] + 0.7 * (b[i] - c[i])
            y.fitness.values = sphere(y)
            if y.fitness > agent.fitness: pop[k] = y
    rates.append(N * G / (time.perf_counter() - start))
print(f"{sorted(rates)[1] / 1e6:8.3f} M evaluations/s")
"#;
    match Command::new("python3").args(["-c", SCRIPT]).output() {
        Ok(out) if out.status.success() => String::from_utf8_lossy(&out.stdout).trim_end().into(),
        _ => "   (not installed; 0.145 M/s was measured for it elsewhere)".into(),
    }
}
