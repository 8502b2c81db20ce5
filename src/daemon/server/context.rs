//! What the services share.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use crate::{code::Code, daemon::admin::Vitals, link::acceptor::Peer, wire::fault::Fault};

/// What the services share.
pub struct Context {
    /// The daemon's health.
    pub vitals: Arc<Vitals>,
    /// The data directory.
    pub home: PathBuf,
    /// The admin port.
    pub admin: SocketAddr,
    /// Evaluations at once of a run that doesn't say.
    pub workers: usize,
    /// Ends the daemon.
    pub stop: CancellationToken,
}

/// Who calls.
///
/// # Errors
/// If the transport has no certificate of the caller: a bug.
pub fn peer<T>(request: &Request<T>) -> Result<Peer, Fault> {
    let peer = request.extensions().get::<Peer>().cloned();
    peer.ok_or_else(|| {
        Fault::new(Code::Bug, "the connection does not say who calls; please report this")
    })
}

/// Runs a change to its end, whoever hangs up: a call that is given up drops only the answer.
///
/// # Errors
/// What the change fails with, or that it panicked.
pub async fn to_the_end<T, E>(
    change: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Status>
where
    T: Send + 'static,
    E: Into<Fault> + Send + 'static,
{
    match tokio::spawn(change).await {
        Ok(result) => result.map_err(|error| Status::from(error.into())),
        Err(error) => {
            tracing::error!(%error, "a call panicked");
            let text = "the daemon made a mistake in this call; please report this with its log";
            Err(Fault::new(Code::Bug, text).into())
        }
    }
}
