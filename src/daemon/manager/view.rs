//! What can be seen of a run while it lives.

use std::time::Instant;

use crate::{daemon::store::warm::rows::RunRow, domain::id::AgentId};

/// A run as its user sees it: what is committed, nothing more.
#[derive(Debug, Clone)]
pub struct RunView {
    /// What is recorded of it, and counted since.
    pub row: RunRow,
    /// Why it waits at the moment, if it does.
    pub waiting: Option<String>,
    /// Agents committed a second, over the last seconds.
    pub rate: f64,
    /// Whether it came to rest, and the store that is to know can't be reached.
    pub unrecorded: bool,
}

impl From<RunRow> for RunView {
    fn from(row: RunRow) -> Self {
        Self { row, waiting: None, rate: 0.0, unrecorded: false }
    }
}

/// The better of two agents by fitness; the first of equals.
pub(super) fn better(
    first: Option<(f64, AgentId)>,
    second: Option<(f64, AgentId)>,
) -> Option<(f64, AgentId)> {
    match (first, second) {
        (Some(a), Some(b)) => Some(if b.0 > a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}

/// Counts events and tells how many there were a second over the last few seconds.
#[derive(Debug)]
pub(super) struct Meter {
    started: Instant,
    count: u64,
    rate: f64,
}

/// How much of the past a rate looks at, in seconds.
const WINDOW: f64 = 2.0;

impl Meter {
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, count: 0, rate: 0.0 }
    }

    pub(super) fn add(&mut self, events: u64) {
        self.count += events;
    }

    /// The rate at `now`, in events a second.
    pub(super) fn rate(&mut self, now: Instant) -> f64 {
        let passed = now.duration_since(self.started).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts of some seconds are small")]
        let current = self.count as f64 / passed.max(1e-3);
        if passed >= WINDOW {
            *self = Self { started: now, count: 0, rate: current };
        } else if self.rate == 0.0 {
            return current;
        }
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_first_of_equals_is_the_better() {
        let agent = |n| AgentId::from_bytes([n; 16]);
        let (a, b) = (Some((1.0, agent(1))), Some((1.0, agent(2))));
        assert_eq!(better(a, b), a);
        assert_eq!(better(a, Some((1.5, agent(3)))), Some((1.5, agent(3))));
        assert_eq!(better(None, b), b);
    }

    #[test]
    fn a_rate_is_events_over_time() {
        let start = Instant::now();
        let mut meter = Meter::new(start);
        meter.add(300);
        assert!((meter.rate(start + Duration::from_secs(3)) - 100.0).abs() < 1e-9);
        assert!((meter.rate(start + Duration::from_secs(4)) - 100.0).abs() < 1e-9);
    }
}
