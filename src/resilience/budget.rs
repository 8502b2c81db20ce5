//! A budget for retries, so that they never make an overload much worse: each call earns a part
//! of a retry (B. Beyer et al., *Site Reliability Engineering*, 2016, chapter 21).

/// The part of a retry that a call earns: at most 1.1 calls go out for each that is asked for.
const EARNED: f64 = 0.1;
/// The most that is saved up, in retries; a new budget has as much.
const MOST: f64 = 10.0;

/// What is left of it.
#[derive(Debug, Clone)]
pub struct Budget(f64);

impl Default for Budget {
    fn default() -> Self {
        Self(MOST)
    }
}

impl Budget {
    /// A call goes out for the first time.
    pub fn earn(&mut self) {
        self.0 = (self.0 + EARNED).min(MOST);
    }

    /// Whether one may go out again; if so, that is paid.
    #[must_use]
    pub fn pay(&mut self) -> bool {
        let may = self.0 >= 1.0;
        self.0 -= f64::from(u8::from(may));
        may
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn for_ten_calls_there_is_one_retry_whatever_fails(
            fails in proptest::collection::vec(0..6_u32, 200..2000)
        ) {
            let mut budget = Budget::default();
            let (mut calls, mut retries) = (0.0, 0.0);
            for wanted in fails {
                calls += 1.0;
                budget.earn();
                for _ in 0..wanted {
                    retries += f64::from(u8::from(budget.pay()));
                }
                prop_assert!(retries <= calls * EARNED + MOST + 1e-6, "{retries} for {calls}");
            }
        }
    }

    #[test]
    fn a_few_retries_are_there_from_the_start() {
        let mut budget = Budget::default();
        assert_eq!((0..50).filter(|_| budget.pay()).count(), 10);
        for _ in 0..11 {
            budget.earn();
        }
        assert_eq!((0..50).filter(|_| budget.pay()).count(), 1);
    }
}
