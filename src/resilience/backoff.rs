//! How long to wait before the next attempt: longer each time, never in step with others.

use std::time::Duration;

/// Waits that double from `first` to `longest`, each shortened at random by up to a half so
/// that many who failed together don't come back together.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    attempt: u32,
}

impl Backoff {
    /// Starts with `first`; no wait is longer than `longest`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, attempt: 0 }
    }

    /// The next wait; `random` is drawn from `[0, 1)`.
    pub fn next(&mut self, random: f64) -> Duration {
        let factor = 1_u32.checked_shl(self.attempt).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.longest);
        self.attempt = self.attempt.saturating_add(1);
        whole.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }

    /// It worked: the next failure starts anew.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_start_anew_after_success() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(50));
        let waits: Vec<_> = (0..40).map(|_| backoff.next(0.0).as_millis()).collect();
        assert_eq!(waits[..4], [10, 20, 40, 50]);
        assert!(waits[4..].iter().all(|wait| *wait == 50));
        backoff.reset();
        assert_eq!(backoff.next(1.0), Duration::from_millis(5));
    }
}
