//! Numeric test functions, to be minimised, with their usual bounds and published optima.
//!
//! Definitions, bounds and optima follow M. Jamil and X.-S. Yang, "A literature survey of
//! benchmark functions for global optimisation problems", International Journal of
//! Mathematical Modelling and Numerical Optimisation 4(2), 2013 (arXiv:1308.4008), and
//! S. Surjanovic and D. Bingham, "Virtual Library of Simulation Experiments"; each names
//! its origin.

use std::f64::consts::{E, PI, TAU};

/// A numeric test function; lower is better.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// Its name in suites.
    pub name: &'static str,
    /// Where it comes from.
    pub source: &'static str,
    /// The usual bounds, the same for each parameter.
    pub bounds: (f64, f64),
    /// The fewest parameters that it is defined for.
    pub min_dimensions: usize,
    eval: fn(&[f64]) -> f64,
    optimum: Optimum,
}

/// Where the minimum is and what it is.
#[derive(Debug, Clone, Copy)]
enum Optimum {
    /// Every parameter has this value; the minimum is 0.
    Zero(f64),
    /// Every parameter has the first value; the minimum is the second for each of them.
    Each(f64, f64),
    /// Known for some numbers of parameters only, and not where.
    Table(&'static [(usize, f64)]),
    /// Parameter i, from 1, has this value; the minimum is 0.
    At(fn(usize) -> f64),
}

impl Function {
    /// All functions, by name.
    pub const ALL: &'static [Self] = &ALL;

    /// The function of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|function| function.name == name)
    }

    /// Its value at `point`, which must have at least [`Function::min_dimensions`] parameters.
    #[must_use]
    pub fn at(&self, point: &[f64]) -> f64 {
        (self.eval)(point)
    }

    /// Its least value over that many parameters, where it is known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    pub fn minimum(&self, dimensions: usize) -> Option<f64> {
        match self.optimum {
            Optimum::Zero(_) | Optimum::At(_) => Some(0.0),
            Optimum::Each(_, value) => Some(value * dimensions as f64),
            Optimum::Table(known) => {
                known.iter().find(|(count, _)| *count == dimensions).map(|(_, value)| *value)
            }
        }
    }

    /// Where it has its least value, where that is known in closed form.
    #[must_use]
    pub fn minimiser(&self, dimensions: usize) -> Option<Vec<f64>> {
        match self.optimum {
            Optimum::Zero(at) | Optimum::Each(at, _) => Some(vec![at; dimensions]),
            Optimum::At(at) => Some((1..=dimensions).map(at).collect()),
            Optimum::Table(_) => None,
        }
    }
}

const ALL: [Function; 17] = [
    Function {
        name: "ackley",
        source: "D. H. Ackley, A Connectionist Machine for Genetic Hillclimbing, 1987",
        bounds: (-32.768, 32.768),
        min_dimensions: 1,
        eval: ackley,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "alpine",
        source: "Alpine 1 in M. Jamil and X.-S. Yang, 2013",
        bounds: (-10.0, 10.0),
        min_dimensions: 1,
        eval: alpine,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "bent-cigar",
        source: "N. Hansen et al., Real-Parameter Black-Box Optimization Benchmarking 2009, f12 without its rotation",
        bounds: (-100.0, 100.0),
        min_dimensions: 1,
        eval: bent_cigar,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "dixon-price",
        source: "L. C. W. Dixon and R. C. Price, Truncated Newton method for sparse unconstrained optimization, JOTA 60, 1989",
        bounds: (-10.0, 10.0),
        min_dimensions: 1,
        eval: dixon_price,
        optimum: Optimum::At(dixon_price_at),
    },
    Function {
        name: "ellipsoid",
        source: "N. Hansen et al., Real-Parameter Black-Box Optimization Benchmarking 2009, f2 without its transformation",
        bounds: (-5.0, 5.0),
        min_dimensions: 1,
        eval: ellipsoid,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "griewank",
        source: "A. O. Griewank, Generalized descent for global optimization, JOTA 34, 1981",
        bounds: (-600.0, 600.0),
        min_dimensions: 1,
        eval: griewank,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "levy",
        source: "A. V. Levy and A. Montalvo, The tunneling algorithm, SIAM J. Sci. Stat. Comput. 6, 1985",
        bounds: (-10.0, 10.0),
        min_dimensions: 1,
        eval: levy,
        optimum: Optimum::Zero(1.0),
    },
    Function {
        name: "michalewicz",
        source: "Z. Michalewicz, Genetic Algorithms + Data Structures = Evolution Programs, 1992 (m = 10)",
        bounds: (0.0, PI),
        min_dimensions: 1,
        eval: michalewicz,
        optimum: Optimum::Table(&[(2, -1.801_303_41), (5, -4.687_658_18), (10, -9.660_151_72)]),
    },
    Function {
        name: "rastrigin",
        source: "L. A. Rastrigin, Systems of Extremal Control, 1974; for n parameters H. Mühlenbein et al., Parallel Computing 17, 1991",
        bounds: (-5.12, 5.12),
        min_dimensions: 1,
        eval: rastrigin,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "rosenbrock",
        source: "H. H. Rosenbrock, An automatic method for finding the greatest or least value of a function, Computer Journal 3, 1960",
        bounds: (-5.0, 10.0),
        min_dimensions: 2,
        eval: rosenbrock,
        optimum: Optimum::Zero(1.0),
    },
    Function {
        name: "salomon",
        source: "R. Salomon, Re-evaluating genetic algorithm performance under coordinate rotation of benchmark functions, BioSystems 39, 1996",
        bounds: (-100.0, 100.0),
        min_dimensions: 1,
        eval: salomon,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "schaffer-f7",
        source: "J. D. Schaffer et al., A study of control parameters affecting online performance of genetic algorithms, ICGA 1989, f7",
        bounds: (-100.0, 100.0),
        min_dimensions: 2,
        eval: schaffer_f7,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "schwefel",
        source: "H.-P. Schwefel, Numerical Optimization of Computer Models, 1981 (problem 2.26, shifted to minimum 0)",
        bounds: (-500.0, 500.0),
        min_dimensions: 1,
        eval: schwefel,
        optimum: Optimum::Zero(SCHWEFEL_AT),
    },
    Function {
        name: "sphere",
        source: "I. Rechenberg, Evolutionsstrategie, 1973; K. A. De Jong, 1975 (F1)",
        bounds: (-5.12, 5.12),
        min_dimensions: 1,
        eval: sphere,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "step",
        source: "K. A. De Jong, An Analysis of the Behavior of a Class of Genetic Adaptive Systems, 1975; Step 2 in Jamil and Yang, 2013",
        bounds: (-100.0, 100.0),
        min_dimensions: 1,
        eval: step,
        optimum: Optimum::Zero(0.0),
    },
    Function {
        name: "styblinski-tang",
        source: "M. A. Styblinski and T.-S. Tang, Experiments in nonconvex optimization, Neural Networks 3, 1990",
        bounds: (-5.0, 5.0),
        min_dimensions: 1,
        eval: styblinski_tang,
        optimum: Optimum::Each(STYBLINSKI_AT, -39.166_165_703_771_41),
    },
    Function {
        name: "zakharov",
        source: "A. A. Zakharov in Jamil and Yang, 2013; R. Chelouah and P. Siarry, Journal of Heuristics 6, 2000",
        bounds: (-5.0, 10.0),
        min_dimensions: 1,
        eval: zakharov,
        optimum: Optimum::Zero(0.0),
    },
];

const SCHWEFEL_AT: f64 = 420.968_746_227_503_1;
const STYBLINSKI_AT: f64 = -2.903_534_027_771_177;

fn count(x: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    let count = x.len() as f64;
    count
}

/// The parameters with their number, from 1.
fn numbered(x: &[f64]) -> impl Iterator<Item = (f64, f64)> + '_ {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    x.iter().enumerate().map(|(at, x)| ((at + 1) as f64, *x))
}

fn ackley(x: &[f64]) -> f64 {
    let root = (sphere(x) / count(x)).sqrt();
    let waves = x.iter().map(|x| (TAU * x).cos()).sum::<f64>() / count(x);
    20.0 + E - 20.0 * (-0.2 * root).exp() - waves.exp()
}

fn alpine(x: &[f64]) -> f64 {
    x.iter().map(|x| (x * x.sin() + 0.1 * x).abs()).sum()
}

fn bent_cigar(x: &[f64]) -> f64 {
    x.first().map_or(0.0, |first| first * first) + 1e6 * sphere(x.get(1..).unwrap_or(&[]))
}

fn dixon_price(x: &[f64]) -> f64 {
    let first = x.first().map_or(0.0, |first| (first - 1.0).powi(2));
    let pairs = x.windows(2).zip(2u32..);
    first + pairs.map(|(x, i)| f64::from(i) * (2.0 * x[1] * x[1] - x[0]).powi(2)).sum::<f64>()
}

fn dixon_price_at(i: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    let share = 1.0 - 0.5f64.powf(i as f64 - 1.0);
    2f64.powf(-share)
}

fn ellipsoid(x: &[f64]) -> f64 {
    let last = (count(x) - 1.0).max(1.0);
    numbered(x).map(|(i, x)| 1e6f64.powf((i - 1.0) / last) * x * x).sum()
}

fn griewank(x: &[f64]) -> f64 {
    let product: f64 = numbered(x).map(|(i, x)| (x / i.sqrt()).cos()).product();
    sphere(x) / 4000.0 - product + 1.0
}

fn levy(x: &[f64]) -> f64 {
    let w = |x: f64| 1.0 + (x - 1.0) / 4.0;
    let (Some(first), Some((last, inner))) = (x.first(), x.split_last()) else {
        return 0.0;
    };
    let inner: f64 = inner
        .iter()
        .map(|x| (w(*x) - 1.0).powi(2) * (1.0 + 10.0 * (PI * w(*x) + 1.0).sin().powi(2)))
        .sum();
    let last = w(*last);
    let end = (last - 1.0).powi(2) * (1.0 + (TAU * last).sin().powi(2));
    (PI * w(*first)).sin().powi(2) + inner + end
}

fn michalewicz(x: &[f64]) -> f64 {
    -numbered(x).map(|(i, x)| x.sin() * (i * x * x / PI).sin().powi(20)).sum::<f64>()
}

fn rastrigin(x: &[f64]) -> f64 {
    x.iter().map(|x| 10.0 + x * x - 10.0 * (TAU * x).cos()).sum()
}

fn rosenbrock(x: &[f64]) -> f64 {
    x.windows(2).map(|x| 100.0 * (x[1] - x[0] * x[0]).powi(2) + (1.0 - x[0]).powi(2)).sum()
}

fn salomon(x: &[f64]) -> f64 {
    let norm = sphere(x).sqrt();
    1.0 - (TAU * norm).cos() + 0.1 * norm
}

fn schaffer_f7(x: &[f64]) -> f64 {
    let pairs = (count(x) - 1.0).max(1.0);
    let term = |x: &[f64]| {
        let s = x[0].hypot(x[1]);
        s.sqrt() * (1.0 + (50.0 * s.powf(0.2)).sin().powi(2))
    };
    (x.windows(2).map(term).sum::<f64>() / pairs).powi(2)
}

fn schwefel(x: &[f64]) -> f64 {
    x.iter().map(|x| 418.982_887_272_433_9 - x * x.abs().sqrt().sin()).sum()
}

fn sphere(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum()
}

fn step(x: &[f64]) -> f64 {
    x.iter().map(|x| (x + 0.5).floor().powi(2)).sum()
}

fn styblinski_tang(x: &[f64]) -> f64 {
    x.iter().map(|x| f64::midpoint(x.powi(4) - 16.0 * x * x, 5.0 * x)).sum()
}

fn zakharov(x: &[f64]) -> f64 {
    let weighted: f64 = numbered(x).map(|(i, x)| 0.5 * i * x).sum();
    sphere(x) + weighted.powi(2) + weighted.powi(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_published_minimum_where_it_should_be() {
        for function in Function::ALL {
            for dimensions in [function.min_dimensions.max(1), 2, 5, 10, 30] {
                let Some(point) = function.minimiser(dimensions) else { continue };
                let minimum = function.minimum(dimensions).unwrap();
                let value = function.at(&point);
                let close = (value - minimum).abs() < 1e-9 * (1.0 + minimum.abs());
                assert!(close, "{} in {dimensions}-D: {value}, not {minimum}", function.name);
                let (low, high) = function.bounds;
                assert!(point.iter().all(|x| (low..=high).contains(x)));
                // Nothing near it is better.
                for at in 0..dimensions {
                    for step in [-0.01, -1e-4, 1e-4, 0.01] {
                        let mut moved = point.clone();
                        moved[at] += step;
                        assert!(function.at(&moved) >= value - 1e-9, "{}", function.name);
                    }
                }
            }
        }
    }

    #[test]
    fn values_at_hand_checked_points() {
        let at = |name: &str, point: &[f64]| Function::named(name).unwrap().at(point);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
        close(at("sphere", &[1.0, 2.0, 3.0]), 14.0);
        close(at("rosenbrock", &[0.0, 0.0]), 1.0);
        close(at("rosenbrock", &[-1.2, 1.0]), 24.2);
        close(at("rastrigin", &[0.5, 0.0]), 20.25);
        close(at("ackley", &[1.0, 1.0]), 3.625_384_938);
        close(at("griewank", &[0.0, 0.0]), 0.0);
        close(at("styblinski-tang", &[0.0, 1.0]), -5.0);
        close(at("zakharov", &[1.0, 1.0]), 2.0 + 2.25 + 5.0625);
        close(at("michalewicz", &[2.202_905_52, PI / 2.0]), -1.801_303_41);
        close(at("step", &[0.6, -0.4]), 1.0);
        close(at("bent-cigar", &[1.0, 1.0]), 1_000_001.0);
        close(at("ellipsoid", &[1.0, 1.0]), 1_000_001.0);
        close(at("dixon-price", &[1.0, 1.0]), 2.0);
        close(at("alpine", &[0.0, PI]), 0.1 * PI);
        close(at("salomon", &[1.0]), 0.1);
        close(at("levy", &[5.0]), 1.0);
        close(at("schaffer-f7", &[0.0, 0.0]), 0.0);
        close(at("schwefel", &[0.0]), 418.982_887_272);
    }

    #[test]
    fn names_are_sorted_and_lead_back() {
        assert!(Function::ALL.is_sorted_by_key(|function| function.name));
        for function in Function::ALL {
            assert_eq!(Function::named(function.name).map(|f| f.name), Some(function.name));
            assert!(!function.source.is_empty());
        }
        assert!(Function::named("nonsense").is_none());
    }
}
