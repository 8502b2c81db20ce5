//! An authority: signs certificates, and the list of those that it takes back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, RevocationReason, RevokedCertParams, SanType,
    SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use time::OffsetDateTime;

use crate::{
    domain::role::Role,
    link::{
        certificate::{self, Facts, ROLE_URI},
        error::LinkError,
    },
    provenance::digest::sha256,
};

/// How long an authority is valid.
const LIFE: Duration = Duration::from_secs(3650 * 86_400);
/// How long a list of revoked certificates is valid.
const LIST_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// Certificates begin a little earlier, for clocks that differ.
const SKEW: Duration = Duration::from_secs(3600);

/// A certificate that is wanted.
pub(super) struct Order<'a> {
    /// Whom it names.
    pub name: &'a str,
    /// The role of a client; none: it is for the daemon.
    pub role: Option<Role>,
    /// Whether its key is for ECDSA on P-256, and signs no messages.
    pub ecdsa: bool,
    /// The daemon's host names and addresses.
    pub hosts: &'a [String],
    /// How long it is valid.
    pub life: Duration,
}

/// An authority, with its key.
pub(super) struct Authority {
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// What that says.
    pub facts: Facts,
    /// The serial numbers that it took back, and when.
    pub revoked: Vec<(String, SystemTime)>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one. Its name is its own, so that lists of several authorities are told apart.
    pub fn make(now: SystemTime) -> Result<Self, LinkError> {
        let key = ecdsa()?;
        let id = sha256(key.public_key_raw()).to_string();
        let name = format!("Darwin authority {}", &id[..8]);
        let mut params = params(&name, now, now + LIFE);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = params.self_signed(&key).map_err(|error| issue(&error))?;
        Self::of(made.der().clone(), key).map_err(LinkError::Issue)
    }

    /// That of a certificate and its key.
    ///
    /// # Errors
    /// Why they are none.
    pub fn of(certificate: CertificateDer<'static>, key: KeyPair) -> Result<Self, String> {
        let facts = certificate::read(&certificate).ok_or("it is no certificate")?;
        let issuer =
            Issuer::from_ca_cert_der(&certificate, key).map_err(|error| error.to_string())?;
        Ok(Self { certificate, facts, revoked: Vec::new(), issuer })
    }

    /// Its key.
    pub fn key(&self) -> &KeyPair {
        self.issuer.key()
    }

    /// Signs a certificate. None lasts longer than the authority.
    pub fn sign(
        &self,
        order: &Order<'_>,
        now: SystemTime,
    ) -> Result<(CertificateDer<'static>, KeyPair), LinkError> {
        let key = if order.ecdsa { ecdsa()? } else { ed25519()? };
        let mut params = params(order.name, now, (now + order.life).min(self.facts.not_after));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if let Some(role) = order.role {
            let uri = format!("{ROLE_URI}{role}").try_into().map_err(|error| issue(&error))?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.subject_alt_names = vec![SanType::URI(uri)];
        } else {
            let named = CertificateParams::new(order.hosts).map_err(|error| issue(&error))?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.subject_alt_names = named.subject_alt_names;
        }
        let made = params.signed_by(&key, &self.issuer).map_err(|error| issue(&error))?;
        Ok((made.der().clone(), key))
    }

    /// Signs the list of what it took back.
    pub fn list(
        &self,
        now: SystemTime,
    ) -> Result<CertificateRevocationListDer<'static>, LinkError> {
        let revoked = self.revoked.iter().map(|(serial, at)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&bytes(serial)),
            revocation_time: date(*at),
            reason_code: Some(RevocationReason::CessationOfOperation),
            invalidity_date: None,
        });
        // It must rise; two lists of one millisecond say the same.
        let number = u64::try_from(unix(now).as_millis()).unwrap_or(u64::MAX);
        let list = CertificateRevocationListParams {
            this_update: date(now),
            next_update: date(now + LIST_LIFE),
            crl_number: SerialNumber::from_slice(&number.to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let made = list.signed_by(&self.issuer).map_err(|error| issue(&error))?;
        Ok(made.into())
    }
}

fn ecdsa() -> Result<KeyPair, LinkError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| issue(&error))
}

/// A new key, in PKCS #8 of version 1: OpenSSL does not read version 2, which rcgen would write.
fn ed25519() -> Result<KeyPair, LinkError> {
    let made = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1());
    let made = made.map_err(|error| LinkError::Issue(error.to_string()))?;
    KeyPair::from_pkcs8_der_and_sign_algo(&made.as_ref().into(), &PKCS_ED25519)
        .map_err(|error| issue(&error))
}

/// Whether a list that is valid until then should be signed anew.
pub(super) fn stale(next: Option<SystemTime>, now: SystemTime) -> bool {
    next.is_none_or(|next| next < now + LIST_LIFE / 2)
}

/// The bytes of a serial number in hexadecimal.
fn bytes(serial: &str) -> Vec<u8> {
    let digit = |at: usize| serial.get(at..at + 2).map(|pair| u8::from_str_radix(pair, 16));
    (0..serial.len()).step_by(2).filter_map(|at| digit(at)?.ok()).collect()
}

fn params(name: &str, now: SystemTime, until: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date(now - SKEW);
    params.not_after = date(until);
    params
}

fn date(time: SystemTime) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + unix(time)
}

fn unix(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn issue(error: &rcgen::Error) -> LinkError {
    LinkError::Issue(error.to_string())
}
