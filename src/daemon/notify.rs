//! What systemd is told, where the daemon is its service (`sd_notify(3)`).

use std::time::Duration;

use sd_notify::NotifyState;

use super::registry::{Registry, error::RegistryError};

/// Tells that the daemon answers.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells that the configuration is read again; [`ready`] must follow.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic time for systemd"),
    }
}

/// Tells that the daemon ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// After which silence systemd takes the daemon for dead, if it watches it.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Tells again and again that the daemon lives, as long as the registry's writer and the database
/// answer: a process whose threads turn but that stores nothing any more is of no use.
///
/// # Errors
/// Never.
pub async fn keep_alive(registry: Registry, limit: Duration) -> Result<(), String> {
    loop {
        // Even the latest answer comes before systemd's patience ends.
        match registry.alive(limit / 2).await {
            // One that is ending has a deadline of its own.
            Ok(()) | Err(RegistryError::Closed) => tell(&[NotifyState::Watchdog]),
            Err(error) => tracing::error!(%error, "systemd is not told that the daemon lives"),
        }
        tokio::time::sleep(limit / 4).await;
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "can't reach systemd");
    }
}
