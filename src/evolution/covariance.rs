//! The covariance matrix adaptation evolution strategy (CMA-ES): children are drawn from a
//! normal distribution whose mean, scale and shape follow the ranking of each generation.
//!
//! After N. Hansen, "The CMA Evolution Strategy: A Tutorial", 2016 (arXiv:1604.00772), with
//! its default constants and negative weights for the worse half. Coordinates are scaled to
//! the unit cube; a child beyond a bound is put on it, and counts as what it became. When
//! nothing more is gained, the search starts again from a random place.

use serde::{Deserialize, Serialize};

use super::{axis::Axis, draw::Draw};

/// The most parameters: the matrix grows with their square.
pub(super) const MAX_DIMENSIONS: usize = 500;
/// A generation's gain below this share of all gain since the start counts as none.
const LEAST_GAIN: f64 = 1e-12;
/// The search has converged when its steps are below this, in units of the range.
const LEAST_STEP: f64 = 1e-13;

/// The distribution that children are drawn from, and how it came to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Covariance {
    constants: Constants,
    /// Where the search started with this step; each start resets what follows.
    first_sigma: f64,
    pub state: State,
    /// The lower triangular factor of the matrix, row by row.
    factor: Vec<f64>,
}

/// What changes from generation to generation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub mean: Vec<f64>,
    pub sigma: f64,
    /// The lower half of the symmetric matrix, row by row, the diagonal included.
    pub matrix: Vec<f64>,
    /// The evolution paths of the matrix and of σ.
    pub path: Vec<f64>,
    pub sigma_path: Vec<f64>,
    /// Generations since the start.
    pub age: u64,
    /// The median of the first generation, the best since the start, and for how many
    /// generations it has gained nothing.
    pub base: Option<f64>,
    pub best: Option<f64>,
    pub idle: u64,
}

/// The strategy's constants for some number of parameters and children.
#[derive(Debug, Clone, PartialEq)]
struct Constants {
    n: usize,
    /// How many children pull the mean, and all weights, best first.
    mu: usize,
    weights: Vec<f64>,
    mu_eff: f64,
    c_sigma: f64,
    d_sigma: f64,
    c_path: f64,
    c_one: f64,
    c_mu: f64,
    /// The expected length of a normal vector.
    length: f64,
    patience: u64,
}

/// A child that was evaluated: its parameters, and its fitness if it has one.
pub(super) struct Judged<'a> {
    pub params: &'a [f64],
    pub fitness: f64,
}

impl Constants {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, positive")]
    fn new(dimensions: usize, children: usize) -> Self {
        let (n, lambda) = (dimensions as f64, children as f64);
        let mu = (children / 2).max(1);
        let raw = |at: usize| f64::midpoint(lambda, 1.0).ln() - ((at + 1) as f64).ln();
        let raw: Vec<f64> = (0..children).map(raw).collect();
        let sums = |part: &[f64]| {
            let (sum, squares) = part.iter().fold((0.0, 0.0), |(a, b), w| (a + w, b + w * w));
            (f64::abs(sum), if squares > 0.0 { sum * sum / squares } else { 0.0 })
        };
        let (positive, mu_eff) = sums(&raw[..mu]);
        let (negative, mu_worse) = sums(&raw[mu..]);
        let c_one = 2.0 / ((n + 1.3).powi(2) + mu_eff);
        let c_mu = 2.0 * (0.25 + mu_eff - 2.0 + 1.0 / mu_eff) / ((n + 2.0).powi(2) + mu_eff);
        let c_mu = c_mu.clamp(0.0, 1.0 - c_one);
        let worse = if c_mu > 0.0 {
            let keep = (1.0 - c_one - c_mu) / (n * c_mu);
            (1.0 + c_one / c_mu).min(1.0 + 2.0 * mu_worse / (mu_eff + 2.0)).min(keep)
        } else {
            0.0
        };
        let weight = |(at, raw): (usize, &f64)| {
            let scale = if at < mu { positive } else { negative / worse.max(f64::MIN_POSITIVE) };
            if at >= mu && (worse <= 0.0 || negative <= 0.0) { 0.0 } else { raw / scale }
        };
        let c_sigma = (mu_eff + 2.0) / (n + mu_eff + 5.0);
        Self {
            n: dimensions,
            mu,
            weights: raw.iter().enumerate().map(weight).collect(),
            mu_eff,
            c_sigma,
            d_sigma: 1.0 + 2.0 * (((mu_eff - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + c_sigma,
            c_path: (4.0 + mu_eff / n) / (n + 4.0 + 2.0 * mu_eff / n),
            c_one,
            c_mu,
            length: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
            patience: 100 + (30.0 * n / lambda).ceil() as u64,
        }
    }
}

/// Where row `at` of a lower triangle begins.
fn row(at: usize) -> usize {
    at * (at + 1) / 2
}

impl State {
    fn at(mean: Vec<f64>, sigma: f64) -> Self {
        let n = mean.len();
        let mut matrix = vec![0.0; row(n)];
        (0..n).for_each(|at| matrix[row(at) + at] = 1.0);
        Self {
            mean,
            sigma,
            matrix,
            path: vec![0.0; n],
            sigma_path: vec![0.0; n],
            age: 0,
            base: None,
            best: None,
            idle: 0,
        }
    }

    /// Whether it has the right size and only numbers in it.
    pub fn fits(&self, dimensions: usize) -> bool {
        let sized =
            [&self.mean, &self.path, &self.sigma_path].iter().all(|v| v.len() == dimensions)
                && self.matrix.len() == row(dimensions);
        let all = self.mean.iter().chain(&self.path).chain(&self.sigma_path).chain(&self.matrix);
        sized && self.sigma.is_finite() && self.sigma > 0.0 && all.copied().all(f64::is_finite)
    }
}

impl Covariance {
    /// A distribution around `start`, of standard deviation `sigma` in units of the range.
    pub fn new(axes: &[Axis], start: &[f64], sigma: f64, children: usize) -> Self {
        let mean = axes.iter().zip(start).map(|(axis, value)| axis.share(*value)).collect();
        let state = State::at(mean, sigma);
        let constants = Constants::new(axes.len(), children);
        let mut new = Self { constants, first_sigma: sigma, state, factor: Vec::new() };
        new.factorise();
        new
    }

    /// One with this state, which must fit.
    pub fn resume(&mut self, state: State) {
        self.state = state;
        self.factorise();
    }

    /// Whether nothing was learned since the start.
    pub fn fresh(&self) -> bool {
        self.state.age == 0
    }

    /// Draws a child.
    pub fn child(&self, axes: &[Axis], draw: &mut Draw, child: &mut Vec<f64>) {
        let normal: Vec<f64> = (0..axes.len()).map(|_| draw.normal()).collect();
        let State { mean, sigma, .. } = &self.state;
        child.clear();
        child.extend(axes.iter().enumerate().map(|(at, axis)| {
            let factors = &self.factor[row(at)..=row(at) + at];
            let step: f64 = factors.iter().zip(&normal).map(|(l, z)| l * z).sum();
            axis.at_share(mean[at] + sigma * step)
        }));
    }

    /// Learns from a generation, in the order of its slots. Returns whether the search has
    /// started again, from a place drawn by `draw`.
    pub fn learn(&mut self, axes: &[Axis], judged: &[Judged], draw: &mut Draw) -> bool {
        let mut order: Vec<_> = judged.iter().filter(|child| child.fitness.is_finite()).collect();
        order.sort_by(|a, b| b.fitness.total_cmp(&a.fitness));
        if let (Some(best), Some(middle)) = (order.first(), order.get(order.len() / 2)) {
            self.note(best.fitness, middle.fitness);
            self.update(axes, &order);
        } else {
            self.state.idle += 1;
        }
        let over = self.over();
        if over {
            let mean = axes.iter().map(|_| draw.unit()).collect();
            self.state = State::at(mean, self.first_sigma);
        }
        if !self.factorise() {
            // Rounding has made the matrix useless: its shape is learned anew.
            let fresh = State::at(self.state.mean.clone(), self.state.sigma);
            let State { age, base, best, idle, .. } = self.state;
            self.state = State { age, base, best, idle, ..fresh };
            self.factorise();
        }
        over
    }

    /// Follows what the start has gained.
    fn note(&mut self, best: f64, middle: f64) {
        let state = &mut self.state;
        let base = *state.base.get_or_insert(middle);
        let before = state.best.unwrap_or(base);
        let least = LEAST_GAIN * (before - base).abs();
        state.idle = if best > before + least { 0 } else { state.idle + 1 };
        state.best = Some(before.max(best));
    }

    /// Whether nothing more is to be gained from this start.
    fn over(&self) -> bool {
        let State { sigma, matrix, idle, .. } = &self.state;
        let widest = (0..self.constants.n).map(|at| matrix[row(at) + at]).fold(0.0, f64::max);
        let step = sigma * widest.sqrt();
        *idle >= self.constants.patience || !(LEAST_STEP..1e8).contains(&step)
    }

    /// Moves mean, paths, matrix and σ; `order` is best first.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    fn update(&mut self, axes: &[Axis], order: &[&Judged]) {
        let Constants { n, mu, weights, mu_eff, c_sigma, d_sigma, c_path, c_one, c_mu, .. } =
            &self.constants;
        let (n, sigma) = (*n, self.state.sigma);
        let steps: Vec<Vec<f64>> = order
            .iter()
            .map(|child| {
                let places = axes.iter().zip(child.params).zip(&self.state.mean);
                places.map(|((axis, value), mean)| (axis.share(*value) - mean) / sigma).collect()
            })
            .collect();
        // With few scores the best few share all of the pull.
        let pulling = (*mu).min(steps.len());
        let total: f64 = weights[..pulling].iter().sum();
        let mut mean_step = vec![0.0; n];
        for (step, weight) in steps[..pulling].iter().zip(weights) {
            add(&mut mean_step, weight / total, step);
        }
        let white = self.whitened(&mean_step);
        let state = &mut self.state;
        add(&mut state.mean, sigma, &mean_step);
        state.age += 1;
        let fresh = (c_sigma * (2.0 - c_sigma) * mu_eff).sqrt();
        state
            .sigma_path
            .iter_mut()
            .zip(&white)
            .for_each(|(p, z)| *p = (1.0 - c_sigma) * *p + fresh * z);
        let length = state.sigma_path.iter().map(|p| p * p).sum::<f64>().sqrt();
        let ages = 2.0 * state.age as f64;
        let expected = (1.0 - (1.0 - c_sigma).powf(ages)).sqrt() * self.constants.length;
        let steady = length / expected < 1.4 + 2.0 / (n as f64 + 1.0);
        let fresh = if steady { (c_path * (2.0 - c_path) * mu_eff).sqrt() } else { 0.0 };
        state
            .path
            .iter_mut()
            .zip(&mean_step)
            .for_each(|(p, y)| *p = (1.0 - c_path) * *p + fresh * y);
        let growth = (c_sigma / d_sigma) * (length / self.constants.length - 1.0);
        state.sigma *= growth.min(1.0).exp();

        let stalled = if steady { 0.0 } else { c_one * c_path * (2.0 - c_path) };
        let mut shares = Vec::with_capacity(steps.len());
        for (step, weight) in steps.iter().zip(weights) {
            let long = || self.whitened(step).iter().map(|z| z * z).sum::<f64>().max(1e-12);
            shares.push(if *weight < 0.0 { weight * n as f64 / long() } else { *weight });
        }
        let used: f64 = weights[..steps.len()].iter().sum();
        let keep = 1.0 - c_one - c_mu * used + stalled;
        let State { matrix, path, .. } = &mut self.state;
        for at in 0..n {
            let cells = &mut matrix[row(at)..=row(at) + at];
            let pull = c_one * path[at];
            cells.iter_mut().zip(&*path).for_each(|(cell, p)| *cell = keep * *cell + pull * p);
            for (step, share) in steps.iter().zip(&shares) {
                let pull = c_mu * share * step[at];
                cells.iter_mut().zip(step).for_each(|(cell, y)| *cell += pull * y);
            }
        }
    }

    /// `step` as the normal vector that it was made from: solves `factor · z = step`.
    fn whitened(&self, step: &[f64]) -> Vec<f64> {
        let mut white: Vec<f64> = Vec::with_capacity(step.len());
        for (at, y) in step.iter().enumerate() {
            let factors = &self.factor[row(at)..=row(at) + at];
            let known: f64 = factors.iter().zip(&white).map(|(l, z)| l * z).sum();
            white.push((y - known) / factors[at]);
        }
        white
    }

    /// Factorises the matrix (Cholesky); false if it is not positive definite.
    fn factorise(&mut self) -> bool {
        let n = self.constants.n;
        let matrix = &self.state.matrix;
        self.factor.clear();
        self.factor.resize(row(n), 0.0);
        for i in 0..n {
            for j in 0..=i {
                let (a, b) = (&self.factor[row(i)..row(i) + j], &self.factor[row(j)..row(j) + j]);
                let rest = matrix[row(i) + j] - a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
                if i != j {
                    self.factor[row(i) + j] = rest / self.factor[row(j) + j];
                } else if rest > 1e-14 * matrix[row(i) + i] && rest.is_finite() {
                    self.factor[row(i) + i] = rest.sqrt();
                } else {
                    return false;
                }
            }
        }
        true
    }
}

fn add(to: &mut [f64], factor: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += factor * what);
}
