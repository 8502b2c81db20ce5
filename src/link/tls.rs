//! TLS 1.3 and nothing older, with certificates on both sides.

use std::sync::Arc;

use rustls::{
    ClientConfig, ServerConfig, SignatureScheme,
    client::{Resumption, WebPkiServerVerifier},
    crypto::aws_lc_rs,
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
        danger::ClientCertVerifier,
    },
    sign::CertifiedKey,
    version::TLS13,
};

use super::{
    error::LinkError,
    pki::{self, Identity, Pair},
};

/// The name of HTTP/2 in ALPN: gRPC.
pub const H2: &[u8] = b"h2";
/// The name of HTTP/1.1 in ALPN: the WebSocket.
pub const HTTP1: &[u8] = b"http/1.1";

/// Checks clients: their certificates must come from an authority that is trusted and has not
/// taken them back. Without a list that is current nobody is accepted.
///
/// # Errors
/// If the authorities' certificates and lists can't be read.
pub fn verifier(identity: &Identity) -> Result<Arc<dyn ClientCertVerifier>, LinkError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = pki::trust(&identity.authorities)?;
    if identity.revoked.is_empty() {
        // The library would take that for no wish to check.
        return Err(LinkError::Setup("no list tells who was revoked".to_owned()));
    }
    WebPkiClientVerifier::builder_with_provider(roots, provider)
        .with_crls(identity.revoked.iter().cloned())
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| LinkError::Setup(error.to_string()))
}

/// What the daemon's port needs: a certificate is demanded of every client.
///
/// # Errors
/// If the key does not fit its certificate.
pub fn server(
    identity: &Identity,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, LinkError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| LinkError::Setup(error.to_string()))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(Pairs::of(identity)?));
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    // A resumed session would skip the check of the client's certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    // Early data could be sent twice by somebody on the way.
    config.max_early_data_size = 0;
    Ok(config)
}

/// What the daemon answers as: with Ed25519 to whoever knows it, else with ECDSA.
#[derive(Debug)]
struct Pairs {
    ed25519: Arc<CertifiedKey>,
    ecdsa: Option<Arc<CertifiedKey>>,
}

impl Pairs {
    fn of(identity: &Identity) -> Result<Self, LinkError> {
        let provider = aws_lc_rs::default_provider();
        let certified = |(certificate, key): Pair| {
            CertifiedKey::from_der(vec![certificate], key, &provider)
                .map(Arc::new)
                .map_err(|error| LinkError::Setup(error.to_string()))
        };
        Ok(Self {
            ed25519: certified((identity.certificate.clone(), identity.key.clone_key()))?,
            ecdsa: identity.clone().ecdsa.map(certified).transpose()?,
        })
    }
}

impl ResolvesServerCert for Pairs {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let ed25519 = hello.signature_schemes().contains(&SignatureScheme::ED25519);
        let ecdsa = self.ecdsa.as_ref().filter(|_| !ed25519);
        Some(ecdsa.unwrap_or(&self.ed25519).clone())
    }
}

/// What a client needs to speak `protocol` with the daemon.
///
/// # Errors
/// If the key does not fit its certificate.
pub fn client(identity: &Identity, protocol: &[u8]) -> Result<ClientConfig, LinkError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = pki::trust(&identity.authorities)?;
    // The lists are those of when the identity was issued, unless it lies beside the authority.
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .with_crls(identity.revoked.iter().cloned())
        .allow_unknown_revocation_status()
        .build()
        .map_err(|error| LinkError::Setup(error.to_string()))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| LinkError::Setup(error.to_string()))?
        .with_webpki_verifier(verifier)
        .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .map_err(|error| LinkError::Setup(error.to_string()))?;
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
