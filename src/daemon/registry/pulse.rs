//! Whether the writer gets on, for whoever watches the daemon.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Counts what the stages of the writer get done.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Something is done.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How much was done so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
