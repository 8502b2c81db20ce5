//! What a certificate says. A client's role stands in it as a URI among its alternative names
//! (RFC 5280, section 4.2.1.6): `darwin:role:operator`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::{extensions::GeneralName, oid_registry::OID_SIG_ED25519, prelude::*};

use crate::{domain::role::Role, provenance::sign::PublicKey};

/// What a role's URI begins with.
pub const ROLE_URI: &str = "darwin:role:";

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// Whom it names.
    pub name: String,
    /// Whether it is good for answering as the daemon.
    pub server: bool,
    /// What its holder may do, if he is a client.
    pub role: Option<Role>,
    /// The host names and addresses in it.
    pub hosts: Vec<String>,
    /// Its key, if that is an Ed25519 key (RFC 8410). Its id names the identity in signed messages.
    pub key: Option<PublicKey>,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// The distinguished names of whom it is about and of who issued it, as encoded.
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    /// Its key, as encoded.
    pub(super) public_key: Vec<u8>,
}

impl Facts {
    /// Whether that authority issued it.
    #[must_use]
    pub fn is_issued_by(&self, authority: &Self) -> bool {
        self.issuer == authority.subject
    }
}

/// What that certificate says, if it can be read.
#[must_use]
pub fn read(certificate: &CertificateDer<'_>) -> Option<Facts> {
    let (_, parsed) = parse_x509_certificate(certificate).ok()?;
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    let usage = parsed.extended_key_usage().ok()?;
    let (mut hosts, mut roles) = (Vec::new(), Vec::new());
    let names = parsed.subject_alternative_name().ok()?;
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::DNSName(name) => hosts.push((*name).to_owned()),
            GeneralName::IPAddress(bytes) => hosts.extend(address(bytes)),
            GeneralName::URI(uri) => roles.extend(uri.strip_prefix(ROLE_URI)),
            _ => {}
        }
    }
    // Two roles are none: it would depend on who reads which.
    let role = match roles.as_slice() {
        [role] => Role::named(role),
        _ => None,
    };
    Some(Facts {
        serial: hexadecimal(parsed.raw_serial()),
        name: name.unwrap_or_default().to_owned(),
        server: usage.is_some_and(|usage| usage.value.server_auth),
        role,
        hosts,
        key: key(parsed.public_key()),
        not_before: time(parsed.validity().not_before),
        not_after: time(parsed.validity().not_after),
        subject: parsed.subject().as_raw().to_owned(),
        issuer: parsed.issuer().as_raw().to_owned(),
        public_key: parsed.public_key().raw.to_owned(),
    })
}

fn key(key: &SubjectPublicKeyInfo<'_>) -> Option<PublicKey> {
    let ed25519 = key.algorithm.algorithm == OID_SIG_ED25519;
    ed25519.then(|| key.subject_public_key.data.as_ref().try_into().ok().map(PublicKey))?
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
    let v6 = <[u8; 16]>::try_from(bytes).map(|bytes| std::net::Ipv6Addr::from(bytes).to_string());
    v4.or(v6).ok()
}

/// What a list of revoked certificates says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Revocations {
    /// The distinguished name of the authority whose list it is, as encoded.
    pub issuer: Vec<u8>,
    /// When the next list is due.
    pub next: Option<SystemTime>,
    /// The serial numbers, in hexadecimal, with when they were revoked.
    pub serials: Vec<(String, SystemTime)>,
}

/// What that list says, if it can be read.
pub(super) fn revocations(list: &CertificateRevocationListDer<'_>) -> Option<Revocations> {
    let (_, parsed) = parse_x509_crl(list).ok()?;
    let serials = parsed.iter_revoked_certificates();
    Some(Revocations {
        issuer: parsed.issuer().as_raw().to_owned(),
        next: parsed.next_update().map(time),
        serials: serials
            .map(|revoked| (hexadecimal(revoked.raw_serial()), time(revoked.revocation_date)))
            .collect(),
    })
}

/// Bytes of a serial number in hexadecimal, without the zero that keeps a number positive.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let bytes = match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        bytes => bytes,
    };
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn time(time: ASN1Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(time.timestamp()).unwrap_or(0))
}
