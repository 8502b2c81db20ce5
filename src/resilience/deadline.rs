//! Waiting for something, but not for ever.

use std::{future::Future, time::Duration};

use crate::code::Code;

/// Something that did not happen in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} took longer than {after:?}")]
pub struct Late {
    /// What was waited for.
    pub what: &'static str,
    /// How long.
    pub after: Duration,
}

impl Late {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::Deadline
    }
}

/// What `future` gives, if it does so within `limit`.
///
/// # Errors
/// [`Late`] if it doesn't; the future is dropped then.
pub async fn within<F: Future>(
    limit: Duration,
    what: &'static str,
    future: F,
) -> Result<F::Output, Late> {
    tokio::time::timeout(limit, future).await.map_err(|_| Late { what, after: limit })
}
