//! What repeated measurements tell: their mean, and how far it can be trusted.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// How sure an interval is to hold the true mean.
pub const CONFIDENCE: f64 = 0.95;

/// The mean of measurements, and between what bounds the true mean lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean.
    pub value: f64,
    /// The lower and the upper bound, of Student's t distribution; none from one measurement.
    pub interval: Option<(f64, f64)>,
}

impl Mean {
    /// The mean of `values`; `None` if there are none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let value = values.iter().map(|value| value / count).sum::<f64>();
        // The sum of equal values may be off in its last bit: their mean is not.
        let value =
            if values.windows(2).all(|pair| pair[0] == pair[1]) { *values.first()? } else { value };
        let reach = (values.len() > 1).then(|| {
            let squares: f64 = values.iter().map(|one| (one - value).powi(2)).sum();
            quantile(values.len() - 1) * (squares / (count - 1.0) / count).sqrt()
        });
        let interval = reach.filter(|reach| reach.is_finite());
        Some(Self { value, interval: interval.map(|reach| (value - reach, value + reach)) })
    }
}

/// How many standard errors from its mean Student's t with so many degrees of freedom lies
/// with a probability of [`CONFIDENCE`] at most.
fn quantile(freedom: usize) -> f64 {
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    // Halved until neighbours are left.
    for _ in 0..64 {
        let angle = f64::midpoint(low, high);
        if within(angle, freedom) < CONFIDENCE {
            low = angle;
        } else {
            high = angle;
        }
    }
    low.tan() * (freedom as f64).sqrt()
}

/// The probability that Student's t lies within ± tan(angle) √freedom: Abramowitz and Stegun,
/// Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4.
fn within(angle: f64, freedom: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let odd = freedom % 2;
    let (mut term, mut sum) = (1.0, 0.0);
    for k in 0..freedom / 2 {
        sum += term;
        let k = (2 * k + odd) as f64;
        term *= cosine * cosine * (k + 1.0) / (k + 2.0);
    }
    if odd == 1 { FRAC_2_PI * (angle + sine * cosine * sum) } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, expected) in [
            (1, 12.706_204_736),
            (2, 4.302_652_730),
            (3, 3.182_446_305),
            (4, 2.776_445_105),
            (9, 2.262_157_163),
            (30, 2.042_272_456),
            (999, 1.962_341_461),
        ] {
            let found = quantile(freedom);
            assert!((found - expected).abs() < 1e-8, "{freedom}: {found}");
        }
    }

    #[test]
    fn an_interval_lies_around_the_mean_of_more_than_one() {
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[2.5]), Some(Mean { value: 2.5, interval: None }));
        assert_eq!(Mean::of(&[0.1; 3]), Some(Mean { value: 0.1, interval: Some((0.1, 0.1)) }));
        // Mean 3, deviation √2.5, standard error √0.5.
        let Mean { value, interval } = Mean::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        let (low, high) = interval.unwrap();
        let reach = 2.776_445_105 * 0.5_f64.sqrt();
        assert!((value - 3.0).abs() < 1e-12 && (high - 3.0 - reach).abs() < 1e-8);
        assert!((low - 3.0 + reach).abs() < 1e-8);
    }
}
