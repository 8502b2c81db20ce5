//! An identity: a certificate with its key, and whom to trust.

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use crate::link::{
    certificate::{self, Facts},
    error::LinkError,
    files,
};

use super::ledger::{AUTHORITIES, LISTS, encode};

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// To answer as the daemon.
    Server,
    /// The same, to clients that know no Ed25519, as those built on BoringSSL. It signs no
    /// messages.
    ServerEcdsa,
    /// To call it.
    Client,
}

impl Usage {
    /// All that lie beside an authority.
    pub(super) const OWN: [Self; 3] = [Self::Server, Self::ServerEcdsa, Self::Client];

    pub(super) fn stem(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::ServerEcdsa => "server-ecdsa",
            Self::Client => "client",
        }
    }
}

/// A certificate and its key.
pub type Pair = (CertificateDer<'static>, PrivateKeyDer<'static>);

/// A certificate with its key, and the authorities that both sides trust.
#[derive(Debug)]
pub struct Identity {
    /// What it is good for.
    pub usage: Usage,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its private key: an Ed25519 key, which signs messages too.
    pub key: PrivateKeyDer<'static>,
    /// The daemon's other pair: [`Usage::ServerEcdsa`].
    pub ecdsa: Option<Pair>,
    /// The authorities' certificates.
    pub authorities: Vec<CertificateDer<'static>>,
    /// The lists of what they took back.
    pub revoked: Vec<CertificateRevocationListDer<'static>>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            usage: self.usage,
            certificate: self.certificate.clone(),
            key: self.key.clone_key(),
            ecdsa: self.ecdsa.as_ref().map(|(own, key)| (own.clone(), key.clone_key())),
            authorities: self.authorities.clone(),
            revoked: self.revoked.clone(),
        }
    }
}

impl Identity {
    /// What its certificate says.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn facts(&self) -> Result<Facts, LinkError> {
        let fault = || LinkError::Setup("a certificate can't be read".to_owned());
        certificate::read(&self.certificate).ok_or_else(fault)
    }

    /// Writes it into a directory of its own, from where [`super::Pki::identity`] reads it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn write(&self, dir: &Path) -> Result<(), LinkError> {
        files::make_dir(dir)?;
        let all = |label, all: Vec<&[u8]>| -> String {
            all.into_iter().map(|der| encode(label, der)).collect()
        };
        let authorities = all("CERTIFICATE", self.authorities.iter().map(AsRef::as_ref).collect());
        let revoked = all("X509 CRL", self.revoked.iter().map(AsRef::as_ref).collect());
        files::write(&dir.join(AUTHORITIES), authorities.as_bytes())?;
        files::write(&dir.join(LISTS), revoked.as_bytes())?;
        self.write_pair(dir)
    }

    pub(super) fn write_pair(&self, dir: &Path) -> Result<(), LinkError> {
        let key = encode("PRIVATE KEY", self.key.secret_der());
        let certificate = encode("CERTIFICATE", &self.certificate);
        files::write(&path(dir, self.usage, "key"), key.as_bytes())?;
        files::write(&path(dir, self.usage, "pem"), certificate.as_bytes())
    }
}

/// The file of a certificate or its key.
pub(super) fn path(dir: &Path, usage: Usage, extension: &str) -> PathBuf {
    dir.join(usage.stem()).with_extension(extension)
}
