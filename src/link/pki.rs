//! The local certificate authority: made by the daemon on first use, and the two certificates
//! that it issues for this machine, renewed in time. The key of such a certificate is an Ed25519
//! key, so that who holds it can sign messages with it too.
//!
//! In its directory: `ca.pem` with `ca.key`, and a pair each for `server` and `client`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::WebPkiClientVerifier,
    sign::CertifiedKey,
};
use x509_parser::oid_registry::OID_SIG_ED25519;

use crate::provenance::sign::PublicKey;

use super::{error::LinkError, files};

/// The name that every daemon's certificate is for, whatever its address: who it is follows
/// from the authority that signed it.
pub const SERVER_NAME: &str = "darwind";

/// How long the authority is valid.
const CA_LIFE: Duration = Duration::from_secs(3650 * DAY);
/// How long a certificate is valid.
const LEAF_LIFE: Duration = Duration::from_secs(90 * DAY);
/// A certificate that has less than this left is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * DAY);
/// Certificates begin a little earlier, for clocks that differ.
const SKEW: Duration = Duration::from_secs(3600);
const DAY: u64 = 86_400;
/// The largest file of these.
const MAX_FILE: u64 = 64 << 10;

/// What a certificate is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// To answer as the daemon.
    Server,
    /// To call it.
    Client,
}

impl Role {
    fn stem(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

/// A certificate with its key, and the authority that both sides trust.
#[derive(Debug)]
pub struct Identity {
    /// What it is good for.
    pub role: Role,
    /// The certificate.
    pub certificate: CertificateDer<'static>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
    /// The authority's certificate.
    pub authority: CertificateDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            role: self.role,
            certificate: self.certificate.clone(),
            key: self.key.clone_key(),
            authority: self.authority.clone(),
        }
    }
}

/// The directory that holds the authority and its certificates.
#[derive(Debug, Clone)]
pub struct Pki {
    dir: PathBuf,
}

impl Pki {
    /// The one in `dir`; nothing is read or made yet.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Makes what is missing and renews what does not last: only the daemon does this, while it
    /// holds its home's lock. `user` is whom the client's certificate names, `names` are the
    /// server's names and addresses beside localhost. True if something is new.
    ///
    /// # Errors
    /// If a file can't be read or written, or the authority's files don't fit together.
    pub fn prepare(
        &self,
        user: &str,
        names: &[String],
        now: SystemTime,
    ) -> Result<bool, LinkError> {
        files::make_dir(&self.dir)?;
        let authority = self.authority(now)?;
        let own = [SERVER_NAME, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let names = [&own, names].concat();
        let mut renewed = false;
        for (role, name, names) in
            [(Role::Server, SERVER_NAME, &names), (Role::Client, user, &Vec::new())]
        {
            if !self.lasts(role, names, &authority.certificate, now)? {
                self.issue(role, name, names, &authority, now)?;
                renewed = true;
            }
        }
        Ok(renewed)
    }

    /// The certificate for that role, as [`Pki::prepare`] left it.
    ///
    /// # Errors
    /// If it is not there, can be read by others, or is damaged.
    pub fn identity(&self, role: Role) -> Result<Identity, LinkError> {
        let missing = || LinkError::NoIdentity { dir: self.dir.clone() };
        let certificate = self.certificate(role.stem())?.ok_or_else(missing)?;
        let key = self.key(role.stem())?.ok_or_else(missing)?;
        let authority = self.certificate("ca")?.ok_or_else(missing)?;
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| self.damaged(role.stem(), "key", &error.to_string()))?;
        Ok(Identity { role, certificate, key, authority })
    }

    fn authority(&self, now: SystemTime) -> Result<Authority, LinkError> {
        let (certificate, key) = (self.certificate("ca")?, self.key("ca")?);
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                let fault = |reason: &str| self.damaged("ca", "key", reason);
                if !fit(&certificate, &key) {
                    return Err(fault("it is not the key of ca.pem"));
                }
                let key = std::str::from_utf8(&key).map_err(|_| fault("it is not PEM"))?;
                let key = KeyPair::from_pem(key).map_err(|error| fault(&error.to_string()))?;
                (certificate, key)
            }
            // A certificate without its key was in use: a new authority would lock clients out.
            (Some(_), None) => return Err(self.damaged("ca", "key", "it is missing")),
            (None, _) => {
                let key = KeyPair::generate().map_err(|error| issue(&error))?;
                let mut params = params("Darwin local authority", now, CA_LIFE);
                params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
                let made = params.self_signed(&key).map_err(|error| issue(&error))?;
                self.store("ca", &key, &made.pem())?;
                (made.der().clone(), key)
            }
        };
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| self.damaged("ca", "pem", &error.to_string()))?;
        Ok(Authority { certificate, issuer })
    }

    /// Whether there is a certificate that the other side accepts, now and for a while.
    fn lasts(
        &self,
        role: Role,
        names: &[String],
        authority: &CertificateDer<'static>,
        now: SystemTime,
    ) -> Result<bool, LinkError> {
        let (Some(certificate), Some(key)) =
            (self.certificate(role.stem())?, self.key(role.stem())?)
        else {
            return Ok(false);
        };
        // A crash between the two files leaves a pair that does not fit together; and a key of
        // another kind, as earlier versions made them, signs no message.
        if !fit(&certificate, &key) || public_key(&certificate).is_none() {
            return Ok(false);
        }
        let roots = trust(authority)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let times = [now, now + RENEW_BEFORE].map(unix).map(UnixTime::since_unix_epoch);
        Ok(match role {
            Role::Server => {
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| LinkError::Setup(error.to_string()))?;
                let names: Vec<_> =
                    names.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
                names.iter().all(|name| {
                    times.iter().all(|time| {
                        verifier.verify_server_cert(&certificate, &[], name, &[], *time).is_ok()
                    })
                })
            }
            Role::Client => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| LinkError::Setup(error.to_string()))?;
                times
                    .iter()
                    .all(|time| verifier.verify_client_cert(&certificate, &[], *time).is_ok())
            }
        })
    }

    fn issue(
        &self,
        role: Role,
        name: &str,
        names: &[String],
        authority: &Authority,
        now: SystemTime,
    ) -> Result<(), LinkError> {
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| issue(&error))?;
        let mut params = params(name, now, LEAF_LIFE);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![match role {
            Role::Server => ExtendedKeyUsagePurpose::ServerAuth,
            Role::Client => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.subject_alt_names =
            CertificateParams::new(names).map_err(|error| issue(&error))?.subject_alt_names;
        let made = params.signed_by(&key, &authority.issuer).map_err(|error| issue(&error))?;
        self.store(role.stem(), &key, &made.pem())
    }

    fn store(&self, stem: &str, key: &KeyPair, certificate: &str) -> Result<(), LinkError> {
        files::write(&self.path(stem, "key"), key.serialize_pem().as_bytes())?;
        files::write(&self.path(stem, "pem"), certificate.as_bytes())
    }

    fn certificate(&self, stem: &str) -> Result<Option<CertificateDer<'static>>, LinkError> {
        let Some(pem) = files::read(&self.path(stem, "pem"), MAX_FILE)? else { return Ok(None) };
        let parsed = CertificateDer::from_pem_slice(&pem);
        parsed.map(Some).map_err(|error| self.damaged(stem, "pem", &error.to_string()))
    }

    fn key(&self, stem: &str) -> Result<Option<Vec<u8>>, LinkError> {
        files::read_secret(&self.path(stem, "key"), MAX_FILE)
    }

    fn path(&self, stem: &str, extension: &str) -> PathBuf {
        self.dir.join(stem).with_extension(extension)
    }

    fn damaged(&self, stem: &str, extension: &str, reason: &str) -> LinkError {
        let remedy = if stem == "ca" { self.dir.as_path() } else { Path::new("it") };
        LinkError::Damaged {
            path: self.path(stem, extension),
            reason: reason.to_owned(),
            remedy: remedy.display().to_string(),
        }
    }
}

struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// The name that a client's certificate gives its user, if it can be read.
#[must_use]
pub fn user(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    parsed.subject().iter_common_name().next()?.as_str().ok().map(str::to_owned)
}

/// The key of a certificate, if it is an Ed25519 key (RFC 8410). Its id names the identity in
/// signed messages.
#[must_use]
pub fn public_key(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let key = parsed.public_key();
    if key.algorithm.algorithm != OID_SIG_ED25519 {
        return None;
    }
    key.subject_public_key.data.as_ref().try_into().ok().map(PublicKey)
}

/// Whether the key in this PEM is the certificate's.
fn fit(certificate: &CertificateDer<'static>, key: &[u8]) -> bool {
    let Ok(key) = PrivateKeyDer::from_pem_slice(key) else { return false };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    CertifiedKey::from_der(vec![certificate.clone()], key, &provider).is_ok()
}

fn server_name(name: &str) -> Result<ServerName<'static>, LinkError> {
    ServerName::try_from(name.to_owned()).map_err(|_| LinkError::Name(name.to_owned()))
}

/// Trust in that authority and no other.
pub(crate) fn trust(authority: &CertificateDer<'static>) -> Result<Arc<RootCertStore>, LinkError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).map_err(|error| LinkError::Setup(error.to_string()))?;
    Ok(Arc::new(roots))
}

fn params(name: &str, now: SystemTime, life: Duration) -> CertificateParams {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = epoch + unix(now).saturating_sub(SKEW);
    params.not_after = epoch + unix(now) + life;
    params
}

fn unix(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn issue(error: &rcgen::Error) -> LinkError {
    LinkError::Issue(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt as _};

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn the_authority_is_made_once_and_its_files_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::at(dir.path().join("pki"));
        assert!(matches!(pki.identity(Role::Client), Err(LinkError::NoIdentity { .. })));
        assert!(pki.prepare("ada", &[], now()).unwrap());
        let first = pki.identity(Role::Client).unwrap();
        assert!(!pki.prepare("ada", &[], now()).unwrap());
        assert_eq!(pki.identity(Role::Client).unwrap().certificate, first.certificate);
        assert_eq!(user(&first.certificate).as_deref(), Some("ada"));
        let entries: Vec<_> = fs::read_dir(dir.path().join("pki")).unwrap().collect();
        assert_eq!(entries.len(), 6);
        for entry in entries {
            assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn certificates_are_renewed_before_they_end_and_the_authority_stays() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::at(dir.path());
        pki.prepare("ada", &[], now()).unwrap();
        let before = pki.identity(Role::Server).unwrap();
        assert!(!pki.prepare("ada", &[], now() + Duration::from_secs(59 * DAY)).unwrap());
        assert!(pki.prepare("ada", &[], now() + Duration::from_secs(61 * DAY)).unwrap());
        let after = pki.identity(Role::Server).unwrap();
        assert_ne!(before.certificate, after.certificate);
        assert_eq!(before.authority, after.authority);
    }

    #[test]
    fn a_server_with_a_new_name_gets_a_new_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::at(dir.path());
        let names = ["darwin.example".to_owned(), "10.1.2.3".to_owned()];
        assert!(pki.prepare("ada", &names[..1], now()).unwrap());
        assert!(pki.prepare("ada", &names, now()).unwrap());
        assert!(!pki.prepare("ada", &names, now()).unwrap());
        assert!(!pki.prepare("ada", &names[1..], now()).unwrap());
        let error = pki.prepare("ada", &["no name".to_owned()], now()).unwrap_err();
        assert!(error.to_string().contains("“no name”"), "{error}");
    }

    #[test]
    fn a_certificate_of_another_authority_is_replaced() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Pki::at(one.path()).prepare("ada", &[], now()).unwrap();
        let pki = Pki::at(two.path());
        pki.prepare("ada", &[], now()).unwrap();
        for file in ["client.pem", "client.key"] {
            fs::copy(one.path().join(file), two.path().join(file)).unwrap();
        }
        assert!(pki.prepare("ada", &[], now()).unwrap());
    }

    #[test]
    fn a_key_that_does_not_fit_its_certificate_is_replaced_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::at(dir.path());
        pki.prepare("ada", &[], now()).unwrap();
        fs::copy(dir.path().join("server.key"), dir.path().join("client.key")).unwrap();
        assert!(pki.prepare("ada", &[], now()).unwrap());
        assert!(!pki.prepare("ada", &[], now()).unwrap());
    }

    #[test]
    fn a_key_that_signs_no_messages_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::at(dir.path());
        pki.prepare("ada", &[], now()).unwrap();
        let identity = pki.identity(Role::Client).unwrap();
        let public = public_key(&identity.certificate).unwrap();
        let key = Ed25519KeyPair::from_pkcs8(identity.key.secret_der()).unwrap();
        assert_eq!(key.public_key().as_ref(), public.0);

        // As the version before made it.
        let key = KeyPair::generate().unwrap();
        let mut params = params("ada", now(), LEAF_LIFE);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let authority = pki.authority(now()).unwrap();
        let made = params.signed_by(&key, &authority.issuer).unwrap();
        pki.store("client", &key, &made.pem()).unwrap();
        assert_eq!(public_key(made.der()), None);
        assert!(pki.prepare("ada", &[], now()).unwrap());
        assert!(public_key(&pki.identity(Role::Client).unwrap().certificate).is_some());
    }

    #[test]
    fn a_lost_or_damaged_authority_is_named_and_never_replaced_silently() {
        let dir = tempfile::tempdir().unwrap();
        let pki = Pki::at(dir.path());
        pki.prepare("ada", &[], now()).unwrap();
        fs::write(dir.path().join("ca.key"), "rubbish").unwrap();
        let error = pki.prepare("ada", &[], now()).unwrap_err();
        assert!(error.to_string().contains("ca.key"), "{error}");
        fs::remove_file(dir.path().join("ca.key")).unwrap();
        let error = pki.prepare("ada", &[], now()).unwrap_err();
        assert!(matches!(error, LinkError::Damaged { .. }), "{error}");
    }
}
