//! Who gets in, and who stays: the TLS configuration of the port, which changes while it is open,
//! and the connections that it let in. One whose certificate was revoked or has ended since is
//! closed; all others go on, whatever changes.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwap;
use rustls::{ServerConfig, pki_types::CertificateDer, server::danger::ClientCertVerifier};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    error::LinkError,
    pki::{Identity, unix},
    session::Credentials,
    tls,
};

/// The port's configuration and its open connections.
pub struct Gate {
    rules: ArcSwap<Rules>,
    open: Mutex<HashMap<u64, Open>>,
    next: AtomicU64,
}

/// What counts for newcomers. A new one is made on every change: nothing of what was agreed with
/// a client under the old one is left that could skip the check.
pub(super) struct Rules {
    pub tls: Arc<ServerConfig>,
    /// With what messages are signed.
    pub credentials: Arc<Credentials>,
    verifier: Arc<dyn ClientCertVerifier>,
}

struct Open {
    chain: Vec<CertificateDer<'static>>,
    until: SystemTime,
    /// By which rules it was found good.
    rules: Arc<Rules>,
    end: CancellationToken,
}

impl Rules {
    fn of(identity: &Identity) -> Result<Arc<Self>, LinkError> {
        let verifier = tls::verifier(identity)?;
        let tls = Arc::new(tls::server(identity, verifier.clone())?);
        let credentials = Arc::new(Credentials::of(identity)?);
        Ok(Arc::new(Self { tls, credentials, verifier }))
    }
}

impl Gate {
    /// One that answers as `identity` and trusts its authorities.
    ///
    /// # Errors
    /// If TLS does not accept the identity.
    pub fn new(identity: &Identity) -> Result<Arc<Self>, LinkError> {
        let rules = ArcSwap::new(Rules::of(identity)?);
        Ok(Arc::new(Self { rules, open: Mutex::default(), next: AtomicU64::new(0) }))
    }

    /// Answers newcomers as `identity` from now on.
    ///
    /// # Errors
    /// If TLS does not accept the identity; the one before is kept then.
    pub fn replace(&self, identity: &Identity) -> Result<(), LinkError> {
        self.rules.store(Rules::of(identity)?);
        Ok(())
    }

    /// Closes the connections whose certificates are not, or no longer, accepted; returns how
    /// many.
    pub fn sweep(&self, now: SystemTime) -> usize {
        let rules = self.rules.load_full();
        let mut closed = 0;
        for open in self.connections().values_mut() {
            if open.end.is_cancelled() || (Arc::ptr_eq(&open.rules, &rules) && now < open.until) {
                continue;
            }
            let Some((leaf, others)) = open.chain.split_first() else { continue };
            match rules.verifier.verify_client_cert(leaf, others, unix(now)) {
                Ok(_) => open.rules = rules.clone(),
                Err(error) => {
                    tracing::info!(%error, "closed a connection");
                    open.end.cancel();
                    closed += 1;
                }
            }
        }
        metrics::counter!("darwin_connections_closed_total").increment(closed as u64);
        closed
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Lets a connection in whose client showed this chain under these rules, until then.
    pub(super) fn admit(
        self: &Arc<Self>,
        chain: Vec<CertificateDer<'static>>,
        until: SystemTime,
        rules: Arc<Rules>,
    ) -> Pass {
        let end = CancellationToken::new();
        let ended = Box::pin(end.clone().cancelled_owned());
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.connections().insert(number, Open { chain, until, rules, end: end.clone() });
        Pass { gate: self.clone(), number, end, ended }
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        // Nothing is left half done in there.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's right to stay.
pub(super) struct Pass {
    gate: Arc<Gate>,
    number: u64,
    end: CancellationToken,
    ended: std::pin::Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Pass {
    /// Ready when it is over.
    pub fn poll_over(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        self.ended.as_mut().poll(cx)
    }

    /// Whether it is over.
    pub fn over(&self) -> bool {
        self.end.is_cancelled()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.connections().remove(&self.number);
    }
}
