//! One parameter as operators see it: a coordinate on which steps make sense, and the way
//! back to a value of the right type within its bounds.

use crate::domain::genome::Kind;

use super::{draw::Draw, error::EngineError};

/// Whole numbers beyond this are not all exact as `f64`.
const MAX_WHOLE: i64 = 1 << 53;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Real,
    LogReal,
    Integer,
    LogInteger,
    Categorical,
}

/// One parameter. Its *coordinate* is its value, or the logarithm of it.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    form: Form,
    min: f64,
    max: f64,
    /// Bounds of the coordinate; of a whole number, half a step further out.
    low: f64,
    high: f64,
}

impl Axis {
    /// # Errors
    /// If the bounds make no sense.
    #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
    pub fn new(name: &str, kind: &Kind) -> Result<Self, EngineError> {
        let fault = |problem: &str| Err(EngineError::spec(format!("params.{name}"), problem));
        let (form, min, max, half) = match kind {
            Kind::Real { min, max, log } => {
                if !min.is_finite() || !max.is_finite() || !(max - min).is_finite() {
                    return fault("its bounds must be finite numbers");
                }
                (if *log { Form::LogReal } else { Form::Real }, *min, *max, 0.0)
            }
            Kind::Integer { min, max, log } => {
                if *min < -MAX_WHOLE || *max > MAX_WHOLE {
                    return fault("its bounds must lie within ±2^53");
                }
                let form = if *log { Form::LogInteger } else { Form::Integer };
                (form, *min as f64, *max as f64, 0.5)
            }
            Kind::Categorical { choices } => {
                if choices.is_empty() {
                    return fault("it needs at least one choice");
                }
                (Form::Categorical, 0.0, choices.len() as f64 - 1.0, 0.5)
            }
        };
        if min > max {
            return fault("its minimum is above its maximum");
        }
        let log = matches!(form, Form::LogReal | Form::LogInteger);
        if log && min <= 0.0 {
            return fault("a logarithmic parameter needs a minimum above 0");
        }
        let (low, high) = (min - half, max + half);
        let (low, high) = if log { (low.ln(), high.ln()) } else { (low, high) };
        Ok(Self { form, min, max, low, high })
    }

    /// Whether it has no order, so that steps mean nothing.
    pub fn categorical(&self) -> bool {
        self.form == Form::Categorical
    }

    /// Whether it can have only one value.
    pub fn fixed(&self) -> bool {
        self.min == self.max
    }

    /// The range of its coordinate.
    pub fn span(&self) -> f64 {
        self.high - self.low
    }

    /// A value drawn uniformly on its coordinate.
    pub fn random(&self, draw: &mut Draw) -> f64 {
        self.value(draw.within(self.low, self.high))
    }

    /// The coordinate of `value`.
    #[inline]
    pub fn coordinate(&self, value: f64) -> f64 {
        match self.form {
            Form::LogReal | Form::LogInteger => value.ln(),
            _ => value,
        }
    }

    /// The value nearest to `coordinate`: of the right type and within the bounds.
    #[inline]
    pub fn value(&self, coordinate: f64) -> f64 {
        let value = match self.form {
            Form::Real => coordinate,
            Form::LogReal => coordinate.exp(),
            Form::Integer | Form::Categorical => coordinate.round(),
            Form::LogInteger => coordinate.exp().round(),
        };
        // Adding 0 makes -0 a plain 0: equal genomes must have equal bytes.
        value.max(self.min).min(self.max) + 0.0
    }

    /// `value` moved by `step` on its coordinate; what lies beyond a bound is reflected. A
    /// whole number moves by at least 1, a category changes to any other.
    pub fn moved(&self, value: f64, step: f64, draw: &mut Draw) -> f64 {
        if self.fixed() {
            return value;
        }
        if self.form == Form::Categorical {
            let other = self.value(self.min + draw.below(self.max as usize) as f64);
            return if other >= value { other + 1.0 } else { other };
        }
        let moved = self.value(self.reflected(self.coordinate(value) + step));
        if moved != value || !matches!(self.form, Form::Integer | Form::LogInteger) {
            return moved;
        }
        let up = (step > 0.0 || value == self.min) && value != self.max;
        if up { value + 1.0 } else { value - 1.0 }
    }

    /// A coordinate within the bounds: `coordinate`, mirrored at the bound it passed.
    fn reflected(&self, coordinate: f64) -> f64 {
        let mirrored = if coordinate < self.low {
            2.0 * self.low - coordinate
        } else if coordinate > self.high {
            2.0 * self.high - coordinate
        } else {
            coordinate
        };
        mirrored.clamp(self.low, self.high)
    }

    /// The value at `coordinate`; if that is out of bounds, half-way between the bound it
    /// passed and `from` (as in JADE, Zhang and Sanderson 2009).
    #[inline]
    pub fn bounced(&self, coordinate: f64, from: f64) -> f64 {
        if coordinate < self.low {
            self.value(f64::midpoint(self.low, self.coordinate(from)))
        } else if coordinate > self.high {
            self.value(f64::midpoint(self.high, self.coordinate(from)))
        } else {
            self.value(coordinate)
        }
    }

    /// Where `value` lies between the bounds, from 0 to 1.
    pub fn share(&self, value: f64) -> f64 {
        if self.span() > 0.0 { (self.coordinate(value) - self.low) / self.span() } else { 0.5 }
    }

    /// The value that lies there; beyond a bound, the bound.
    pub fn at_share(&self, share: f64) -> f64 {
        self.value(self.low + share * self.span())
    }

    /// How far `value` is from its lower and its upper bound, as shares of the range.
    pub fn room(&self, value: f64) -> (f64, f64) {
        let at = self.coordinate(value);
        ((at - self.low) / self.span(), (self.high - at) / self.span())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::domain::id::Slot;

    use super::*;
    use crate::evolution::draw::Source;

    fn kinds() -> impl Strategy<Value = Kind> {
        let whole = -(1i64 << 53)..=1i64 << 53;
        prop_oneof![
            (-1e9..1e9f64, 0.0..1e9f64, any::<bool>()).prop_map(|(min, width, log)| {
                let min = if log { min.abs() + 1e-9 } else { min };
                Kind::Real { min, max: min + width, log }
            }),
            (whole.clone(), whole, any::<bool>()).prop_map(|(a, b, log)| {
                let (min, max) = (a.min(b), a.max(b));
                if log {
                    Kind::Integer { min: min.clamp(1, 1000), max: max.max(1000), log }
                } else {
                    Kind::Integer { min, max, log }
                }
            }),
            (-3i64..3, 0i64..4)
                .prop_map(|(min, width)| { Kind::Integer { min, max: min + width, log: false } }),
            (1usize..6).prop_map(|count| Kind::Categorical {
                choices: (0..count).map(|at| at.to_string()).collect(),
            }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_is_done_the_value_is_one_of_its_kind(
            kind in kinds(), seed: u64, step in -3.0..3.0f64, share in -0.5..1.5f64,
        ) {
            let axis = Axis::new("x", &kind).unwrap();
            let mut draw = Source::new(seed).at(Slot::default());
            let value = axis.random(&mut draw);
            prop_assert!(kind.holds(value), "{value}");
            let moved = axis.moved(value, step * axis.span(), &mut draw);
            prop_assert!(kind.holds(moved), "{value} moved to {moved}");
            // Steps of whole numbers and categories always lead elsewhere.
            let stepped = !matches!(kind, Kind::Real { .. }) && !axis.fixed();
            prop_assert!(!stepped || moved != value);
            let bounced = axis.bounced(axis.coordinate(value) + step * axis.span(), value);
            prop_assert!(kind.holds(bounced), "{bounced}");
            prop_assert!(kind.holds(axis.at_share(share)));
            let back = axis.at_share(axis.share(value));
            prop_assert!((back - value).abs() <= 1e-9 * value.abs().max(axis.max - axis.min));
        }
    }

    #[test]
    fn a_logarithmic_axis_is_uniform_in_the_logarithm() {
        let kind = Kind::Real { min: 1e-4, max: 1e4, log: true };
        let axis = Axis::new("rate", &kind).unwrap();
        let mut draw = Source::new(3).at(Slot::default());
        let small = (0..10_000).filter(|_| axis.random(&mut draw) < 1.0).count();
        assert!((4_800..5_200).contains(&small), "{small}");
        let kind = Kind::Integer { min: 1, max: 1000, log: true };
        let axis = Axis::new("size", &kind).unwrap();
        let small = (0..10_000).filter(|_| axis.random(&mut draw) <= 31.0).count();
        // ln(31.5 / 0.5) / ln(1000.5 / 0.5) = 0.545
        assert!((5_250..5_650).contains(&small), "{small}");
    }

    #[test]
    fn senseless_bounds_are_refused_by_name() {
        for kind in [
            Kind::Real { min: 1.0, max: 0.0, log: false },
            Kind::Real { min: f64::NAN, max: 0.0, log: false },
            Kind::Real { min: f64::MIN, max: f64::MAX, log: false },
            Kind::Real { min: 0.0, max: 1.0, log: true },
            Kind::Integer { min: 0, max: 5, log: true },
            Kind::Integer { min: 0, max: i64::MAX, log: false },
            Kind::Categorical { choices: Vec::new() },
        ] {
            let error = Axis::new("speed", &kind).unwrap_err().to_string();
            assert!(error.starts_with("params.speed: "), "{error}");
        }
    }
}
