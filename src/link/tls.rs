//! TLS 1.3 and nothing older, with certificates on both sides.

use std::sync::Arc;

use rustls::{
    ClientConfig, ServerConfig, WantsVerifier,
    client::Resumption,
    crypto::aws_lc_rs,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};

use super::{
    error::LinkError,
    pki::{self, Identity},
};

/// The name of HTTP/2 in ALPN: gRPC.
pub const H2: &[u8] = b"h2";
/// The name of HTTP/1.1 in ALPN: the WebSocket.
pub const HTTP1: &[u8] = b"http/1.1";

/// What the daemon's port needs: a certificate is demanded of every client.
///
/// # Errors
/// If the key does not fit its certificate.
pub fn server(identity: &Identity) -> Result<ServerConfig, LinkError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = pki::trust(&identity.authority)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| LinkError::Setup(error.to_string()))?;
    let builder: rustls::ConfigBuilder<ServerConfig, WantsVerifier> =
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(|error| LinkError::Setup(error.to_string()))?;
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .map_err(|error| LinkError::Setup(error.to_string()))?;
    config.alpn_protocols = vec![H2.to_vec(), HTTP1.to_vec()];
    // A resumed session would skip the check of the client's certificate.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// What a client needs to speak `protocol` with the daemon.
///
/// # Errors
/// If the key does not fit its certificate.
pub fn client(identity: &Identity, protocol: &[u8]) -> Result<ClientConfig, LinkError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = pki::trust(&identity.authority)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| LinkError::Setup(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .map_err(|error| LinkError::Setup(error.to_string()))?;
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}
