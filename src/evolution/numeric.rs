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
    let Donors { target, base, plus, minus } = *donors;
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
        let difference = axis.coordinate(plus[at]) - axis.coordinate(minus[at]);
        axis.bounced(from + f * difference, target[at])
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

#[cfg(test)]
mod tests {
    use crate::domain::{genome::Kind, id::Slot};

    use super::*;
    use crate::evolution::draw::Source;

    fn axes(count: usize) -> Vec<Axis> {
        let kind = Kind::Real { min: -10.0, max: 10.0, log: false };
        (0..count).map(|_| Axis::new("x", &kind).unwrap()).collect()
    }

    fn draw() -> Draw {
        Source::new(9).at(Slot::default())
    }

    #[test]
    fn gaussian_steps_have_their_deviation_and_rate() {
        let (axes, mut draw) = (axes(4), draw());
        let (mut hits, mut squares) = (0, 0.0);
        for _ in 0..20_000 {
            let mut values = [0.0; 4];
            gaussian(&axes, &mut values, 0.05, Some(0.5), &mut draw);
            assert!(values.iter().any(|value| *value != 0.0), "a copy");
            hits += values.iter().filter(|value| **value != 0.0).count();
            squares += values.iter().map(|value| value * value).sum::<f64>();
        }
        let deviation = (squares / hits as f64).sqrt();
        assert!((deviation - 1.0).abs() < 0.02, "{deviation} is not 5 % of 20");
        // Half of four, and one in the sixteenth of cases where none was hit.
        let mean = hits as f64 / 20_000.0;
        assert!((mean - 2.0625).abs() < 0.03, "{mean}");
    }

    #[test]
    fn polynomial_mutation_is_debs() {
        // In the middle of a wide range the step is 1 − (2(1 − u))^(1/(η+1)) for u > ½, so that
        // |δ| exceeds d with chance (1 − d)^(η+1).
        let (axes, mut draw) = (axes(1), draw());
        for eta in [5.0, 20.0] {
            let far = (0..20_000)
                .filter(|_| {
                    let mut values = [0.0];
                    polynomial(&axes, &mut values, eta, None, &mut draw);
                    values[0].abs() > 0.05 * 20.0
                })
                .count();
            let expected = 0.95f64.powf(eta + 1.0);
            assert!((far as f64 / 20_000.0 - expected).abs() < 0.012, "{far} for {eta}");
        }
        // At a bound it goes inwards only.
        for _ in 0..1000 {
            let mut values = [10.0];
            polynomial(&axes, &mut values, 5.0, None, &mut draw);
            assert!((-10.0..=10.0).contains(&values[0]));
        }
    }

    #[test]
    fn differential_evolution_adds_a_difference_to_the_base() {
        let (axes, mut draw) = (axes(3), draw());
        let donors = Donors {
            target: &[9.0, 9.0, 9.0],
            base: &[1.0, 2.0, 3.0],
            plus: &[0.5, 0.0, 9.0],
            minus: &[0.0, 1.0, -9.0],
        };
        let mut child = Vec::new();
        differential(&axes, &donors, 0.5, 1.0, &mut draw, &mut child);
        // The last would be 12: half-way from the target's 9 to the bound.
        assert_eq!(child, [1.25, 1.5, 9.5]);
        let mut taken = 0;
        for _ in 0..3_000 {
            differential(&axes, &donors, 0.5, 0.0, &mut draw, &mut child);
            let own = child.iter().filter(|value| **value == 9.0).count();
            assert_eq!(own, 2, "one for certain, and no more without a chance");
            taken += usize::from(child[0] != 9.0);
        }
        assert!((900..1100).contains(&taken), "{taken}");
    }

    #[test]
    fn crossover_takes_something_from_both() {
        let mut draw = draw();
        for cross in [Cross::OnePoint, Cross::TwoPoint, Cross::Uniform] {
            for count in 2..9 {
                let mut seen = std::collections::HashSet::new();
                for _ in 0..8_000 {
                    let mask = cross.second(count, &mut draw);
                    assert_eq!(mask.len(), count);
                    assert!(mask.contains(&true) && mask.contains(&false), "{cross:?}: {mask:?}");
                    let switches = (0..count).filter(|at| mask[*at] != mask[(at + 1) % count]);
                    let limit = if cross == Cross::Uniform { count } else { 2 };
                    assert!(switches.count() <= limit, "{cross:?}: {mask:?}");
                    assert!(cross != Cross::OnePoint || !mask[0]);
                    seen.insert(mask);
                }
                let all = match cross {
                    Cross::OnePoint => count - 1,
                    Cross::TwoPoint => count * (count - 1),
                    Cross::Uniform => (1 << count) - 2,
                };
                assert_eq!(seen.len(), all, "{cross:?} of {count} finds every child");
            }
            assert_eq!(cross.second(0, &mut draw), Vec::<bool>::new());
            let taken = (0..1000).filter(|_| cross.second(1, &mut draw)[0]).count();
            assert!((400..600).contains(&taken));
        }
        let mut values = [0.0; 6];
        Cross::Uniform.params(&mut values, &[1.0; 6], &mut draw);
        assert!(values.contains(&0.0) && values.contains(&1.0));
    }
}
