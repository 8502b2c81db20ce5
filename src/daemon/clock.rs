//! The daemon's time. Parts that need it are given a clock, so that tests can set theirs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Where the time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The system's wall clock.
    #[default]
    System,
    /// Milliseconds since the Unix epoch, as somebody set them.
    Set(Arc<AtomicU64>),
}

impl Clock {
    /// The time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        match self {
            Self::System => SystemTime::now(),
            Self::Set(millis) => UNIX_EPOCH + Duration::from_millis(millis.load(Ordering::Relaxed)),
        }
    }

    /// The time in milliseconds since the Unix epoch.
    #[must_use]
    pub fn millis(&self) -> u64 {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// The system's time in milliseconds since the Unix epoch.
#[must_use]
pub fn millis() -> u64 {
    Clock::System.millis()
}
