//! Variation of parameters: steps, differences, and exchange between two parents.

use super::{axis::Axis, draw::Draw};

/// Calls `change` for each parameter with chance `rate` (default 1/n), and for one drawn at
/// random if none was hit: a child is never a mere copy of its parent.
fn some(
    axes: &[Axis],
    rate: Option<f64>,
    draw: &mut Draw,
    mut change: impl FnMut(usize, &mut Draw),
) {
    let count = axes.len();
    if count == 0 {
        return;
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    let rate = rate.unwrap_or(1.0 / count as f64);
    let mut hit = false;
    for at in 0..count {
        if draw.chance(rate) {
            change(at, draw);
            hit = true;
        }
    }
    if !hit {
        change(draw.below(count), draw);
    }
}

/// A normal step of standard deviation `sigma` (in units of the range) on some parameters.
pub(super) fn gaussian(
    axes: &[Axis],
    values: &mut [f64],
    sigma: f64,
    rate: Option<f64>,
    draw: &mut Draw,
) {
    some(axes, rate, draw, |at, draw| {
        let axis = &axes[at];
        let step = draw.normal() * sigma * axis.span();
        values[at] = axis.moved(values[at], step, draw);
    });
}

/// Polynomial mutation with distribution index `eta`, in the form that respects bounds
/// (K. Deb and S. Agrawal, "A niched-penalty approach for constraint handling in genetic
/// algorithms", 1999; after Deb and Goyal 1996).
pub(super) fn polynomial(
    axes: &[Axis],
    values: &mut [f64],
    eta: f64,
    rate: Option<f64>,
    draw: &mut Draw,
) {
    some(axes, rate, draw, |at, draw| {
        let axis = &axes[at];
        if axis.fixed() {
            return;
        }
        let (below, above) = axis.room(values[at]);
        let u = draw.unit();
        let exponent = 1.0 / (eta + 1.0);
        let delta = if u < 0.5 {
            (2.0 * u + (1.0 - 2.0 * u) * (1.0 - below).powf(eta + 1.0)).powf(exponent) - 1.0
        } else {
            let tail = 2.0 * (1.0 - u) + (2.0 * u - 1.0) * (1.0 - above).powf(eta + 1.0);
            1.0 - tail.powf(exponent)
        };
        values[at] = axis.moved(values[at], delta * axis.span(), draw);
    });
}

/// What differential evolution needs of the population.
pub(super) struct Donors<'a> {
    /// The member that the child competes with.
    pub target: &'a [f64],
    /// Where the difference is added.
    pub base: &'a [f64],
    /// The member towards which the base moves by F, if any (current-to-best).
    pub toward: Option<&'a [f64]>,
    /// The ends of the difference.
    pub plus: &'a [f64],
    /// The ends of the difference.
    pub minus: &'a [f64],
}

/// Differential evolution with binomial crossover (R. Storn and K. Price, "Differential
/// evolution", Journal of Global Optimization 11, 1997): `base + f·(plus − minus)`, each
/// parameter with chance `cr`, one for certain, the others from the target. A category is
/// taken from one of the donors.
pub(super) fn differential(
    axes: &[Axis],
    donors: &Donors,
    f: f64,
    cr: f64,
    draw: &mut Draw,
    child: &mut Vec<f64>,
) {
    let Donors { target, base, toward, plus, minus } = *donors;
    let sure = draw.below(axes.len());
    child.clear();
    child.extend(axes.iter().enumerate().map(|(at, axis)| {
        if !(draw.chance(cr) || at == sure) {
            return target[at];
        }
        if axis.categorical() {
            return [base, plus, minus][draw.below(3)][at];
        }
        let from = axis.coordinate(base[at]);
        let pull = toward.map_or(0.0, |best| f * (axis.coordinate(best[at]) - from));
        let difference = axis.coordinate(plus[at]) - axis.coordinate(minus[at]);
        axis.bounced(from + pull + f * difference, target[at])
    }));
}

/// How two parents are mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cross {
    OnePoint,
    TwoPoint,
    Uniform,
}

impl Cross {
    /// Which of `count` places come from the second parent: at least one and not all, where
    /// there are two or more.
    pub fn second(self, count: usize, draw: &mut Draw) -> Vec<bool> {
        if count < 2 {
            return (0..count).map(|_| draw.chance(0.5)).collect();
        }
        match self {
            Self::OnePoint => {
                let cut = 1 + draw.below(count - 1);
                (0..count).map(|at| at >= cut).collect()
            }
            Self::TwoPoint => {
                // Two different cuts of a ring: between them the second parent.
                let first = draw.below(count);
                let length = 1 + draw.below(count - 1);
                (0..count).map(|at| (at + count - first) % count < length).collect()
            }
            Self::Uniform => {
                let mut mask: Vec<_> = (0..count).map(|_| draw.chance(0.5)).collect();
                if mask.iter().all(|second| *second == mask[0]) {
                    let at = draw.below(count);
                    mask[at] = !mask[at];
                }
                mask
            }
        }
    }

    /// Puts some of `other`'s parameters into `values`.
    pub fn params(self, values: &mut [f64], other: &[f64], draw: &mut Draw) {
        for (at, second) in self.second(values.len(), draw).into_iter().enumerate() {
            if second {
                values[at] = other[at];
            }
        }
    }
}
