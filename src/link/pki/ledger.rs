//! What an authority keeps on disk, and the sole right to change it:
//!
//! - `ca.pem`: the certificates of the authorities that are trusted, that which signs first;
//! - `ca.key`: their keys;
//! - `crl.pem`: for each of them the list of what it took back;
//! - `issued/SERIAL.pem`: every certificate that was issued.
//!
//! Each file is replaced whole, in an order in which a crash leaves nothing that contradicts: a
//! key and a list are there before their authority is trusted, and go after it.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use pem::Pem;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject as _,
};

use crate::link::{
    certificate::{self, Facts},
    error::LinkError,
    files::{self, Lock},
};

use super::authority::{Authority, Order, stale};

/// The largest file of certificates or keys.
pub(super) const MAX_FILE: u64 = 64 << 10;
/// The largest list of revoked certificates.
pub(super) const MAX_LIST: u64 = 8 << 20;
/// The most certificates on record.
const MAX_ISSUED: usize = 100_000;
/// A new authority is made when the one that signs has less than this left, so that all that it
/// signed has ended before it.
const ROTATE_BEFORE: Duration = Duration::from_secs(400 * 86_400);
/// For so long a certificate that has ended stays on record.
const REMEMBER: Duration = Duration::from_secs(90 * 86_400);

pub(super) const AUTHORITIES: &str = "ca.pem";
pub(super) const LISTS: &str = "crl.pem";
const KEYS: &str = "ca.key";
const ISSUED: &str = "issued";
const LOCK: &str = "lock";

/// The authorities, what they took back, and what they issued.
pub(super) struct Ledger {
    dir: PathBuf,
    /// The authorities that are trusted; the first one signs.
    pub authorities: Vec<Authority>,
    /// What was issued and is on record, the newest first.
    pub issued: Vec<Facts>,
    /// When the next lists are due.
    due: Option<SystemTime>,
    _lock: Lock,
}

impl Ledger {
    /// What lies in `dir`, which is there; no authority, if none was made yet.
    pub fn open(dir: &Path) -> Result<Self, LinkError> {
        let lock = files::lock(&dir.join(LOCK))?;
        let issued = issued(&dir.join(ISSUED))?;
        let path = dir.join(AUTHORITIES);
        let certificates = certificates(&path, dir)?;
        if certificates.is_empty() && !issued.is_empty() {
            return Err(damaged(&path, dir, "it is missing"));
        }
        let mut keys = keys(&dir.join(KEYS), dir)?;
        let mut authorities = Vec::with_capacity(certificates.len());
        for certificate in certificates {
            let facts = certificate::read(&certificate);
            let facts = facts.ok_or_else(|| damaged(&path, dir, "it holds no certificate"))?;
            let at = keys.iter().position(|key| key.subject_public_key_info() == facts.public_key);
            // A certificate without its key was in use: a new authority would lock clients out.
            let reason = format!("it does not hold the key of “{}” in ca.pem", facts.name);
            let at = at.ok_or_else(|| damaged(&dir.join(KEYS), dir, &reason))?;
            let authority = Authority::of(certificate, keys.swap_remove(at));
            authorities.push(authority.map_err(|reason| damaged(&path, dir, &reason))?);
        }
        let mut ledger = Self { dir: dir.to_owned(), authorities, issued, due: None, _lock: lock };
        ledger.read_lists()?;
        Ok(ledger)
    }

    fn read_lists(&mut self) -> Result<(), LinkError> {
        let path = self.dir.join(LISTS);
        let fault = |reason: &str| damaged(&path, &self.dir, reason);
        let Some(lists) = lists(&path, &self.dir)? else {
            // Nothing on record: they were never there. Else whom to refuse would be forgotten.
            let lost = !self.issued.is_empty();
            return if lost {
                Err(fault("it is missing, and with it who was revoked"))
            } else {
                Ok(())
            };
        };
        let mut due = Vec::new();
        for list in &lists {
            let list = certificate::revocations(list).ok_or_else(|| fault("it holds no list"))?;
            let of = |authority: &&mut Authority| authority.facts.subject == list.issuer;
            if let Some(authority) = self.authorities.iter_mut().find(of) {
                authority.revoked = list.serials;
                due.push(list.next);
            }
        }
        if due.len() < self.authorities.len() {
            return Err(damaged(&path, &self.dir, "it lacks the list of an authority"));
        }
        self.due = due.into_iter().min().flatten();
        Ok(())
    }

    /// The authority that signs.
    pub fn current(&self) -> Result<&Authority, LinkError> {
        let none = || LinkError::NoAuthority { dir: self.dir.clone() };
        self.authorities.first().ok_or_else(none)
    }

    /// Makes what is missing and puts away what has had its time. True if anything is new.
    pub fn keep(&mut self, now: SystemTime) -> Result<bool, LinkError> {
        let lasts = |authority: &Authority| authority.facts.not_after > now + ROTATE_BEFORE;
        let mut changed = false;
        if !self.authorities.first().is_some_and(lasts) {
            self.rotate(now)?;
            changed = true;
        }
        let ended = |facts: &Facts| facts.not_after + REMEMBER < now;
        for facts in self.issued.extract_if(.., |facts| ended(facts)) {
            files::remove(&self.dir.join(ISSUED).join(facts.serial).with_extension("pem"))?;
        }
        let before = self.authorities.len();
        let kept: Vec<_> = self
            .authorities
            .iter()
            .enumerate()
            .map(|(at, own)| at == 0 || self.lives(own, now))
            .collect();
        let mut kept = kept.into_iter();
        self.authorities.retain(|_| kept.next().unwrap_or(true));
        if self.authorities.len() < before {
            self.write_certificates()?;
            self.write_lists(now)?;
            self.write_keys()?;
            changed = true;
        } else if stale(self.due, now) {
            self.write_lists(now)?;
            changed = true;
        }
        Ok(changed)
    }

    /// Whether a client still has a certificate of that authority that is good.
    fn lives(&self, authority: &Authority, now: SystemTime) -> bool {
        self.issued.iter().any(|facts| {
            !facts.server
                && facts.issuer == authority.facts.subject
                && facts.not_after > now
                && self.revoked(facts).is_none()
        })
    }

    /// Has a new authority sign from now on; those before it stay trusted.
    pub fn rotate(&mut self, now: SystemTime) -> Result<(), LinkError> {
        self.authorities.insert(0, Authority::make(now)?);
        self.write_keys()?;
        self.write_lists(now)?;
        self.write_certificates()
    }

    /// Issues a certificate, which is on record before anybody has it. The daemon's is of the
    /// oldest authority, as long as there are clients that may not know a newer one.
    pub fn issue(
        &mut self,
        order: &Order<'_>,
        now: SystemTime,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), LinkError> {
        self.current()?;
        let oldest = self.authorities.len() - 1;
        let signs = if order.role.is_none() { oldest } else { 0 };
        let (certificate, key) = self.authorities[signs].sign(order, now)?;
        let bug = || LinkError::Issue("it can't be read".to_owned());
        let facts = certificate::read(&certificate).ok_or_else(bug)?;
        files::make_dir(&self.dir.join(ISSUED))?;
        let path = self.dir.join(ISSUED).join(&facts.serial).with_extension("pem");
        files::write(&path, encode("CERTIFICATE", &certificate).as_bytes())?;
        self.issued.insert(0, facts);
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| LinkError::Issue(error.to_owned()))?;
        Ok((certificate, key))
    }

    /// Takes these certificates back.
    pub fn revoke(&mut self, all: &[Facts], now: SystemTime) -> Result<(), LinkError> {
        for facts in all {
            let of = |authority: &&mut Authority| authority.facts.subject == facts.issuer;
            if let Some(authority) = self.authorities.iter_mut().find(of) {
                authority.revoked.push((facts.serial.clone(), now));
            }
        }
        self.write_lists(now)
    }

    /// When that certificate was taken back, if it was.
    pub fn revoked(&self, facts: &Facts) -> Option<SystemTime> {
        let authority =
            self.authorities.iter().find(|authority| authority.facts.subject == facts.issuer)?;
        authority.revoked.iter().find(|(serial, _)| *serial == facts.serial).map(|(_, at)| *at)
    }

    /// Whether an authority that is trusted issued it.
    pub fn trusts(&self, facts: &Facts) -> bool {
        self.authorities.iter().any(|authority| authority.facts.subject == facts.issuer)
    }

    fn write_certificates(&self) -> Result<(), LinkError> {
        let pem = self.authorities.iter().map(|own| encode("CERTIFICATE", &own.certificate));
        files::write(&self.dir.join(AUTHORITIES), pem.collect::<String>().as_bytes())
    }

    fn write_keys(&self) -> Result<(), LinkError> {
        let pem: String = self.authorities.iter().map(|own| own.key().serialize_pem()).collect();
        files::write(&self.dir.join(KEYS), pem.as_bytes())
    }

    fn write_lists(&mut self, now: SystemTime) -> Result<(), LinkError> {
        let mut pem = String::new();
        for authority in &mut self.authorities {
            // What has ended needs no refusal any more.
            authority.revoked.retain(|(serial, _)| {
                let known = self.issued.iter().find(|facts| facts.serial == *serial);
                known.is_none_or(|facts| facts.not_after > now)
            });
            pem += &encode("X509 CRL", &authority.list(now)?);
        }
        files::write(&self.dir.join(LISTS), pem.as_bytes())?;
        self.due = None;
        self.read_lists()
    }
}

/// PEM (RFC 7468).
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&Pem::new(label, der), config)
}

/// The certificates in a file; none, if it isn't there.
pub(super) fn certificates(
    path: &Path,
    dir: &Path,
) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let Some(pem) = files::read(path, MAX_FILE)? else { return Ok(Vec::new()) };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| damaged(path, dir, &error.to_string()))?;
    if found.is_empty() {
        return Err(damaged(path, dir, "it holds no certificate"));
    }
    Ok(found)
}

/// The lists of revoked certificates in a file, if it is there.
pub(super) fn lists(
    path: &Path,
    dir: &Path,
) -> Result<Option<Vec<CertificateRevocationListDer<'static>>>, LinkError> {
    let Some(pem) = files::read(path, MAX_LIST)? else { return Ok(None) };
    let found: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&pem).collect();
    found.map(Some).map_err(|error| damaged(path, dir, &error.to_string()))
}

fn keys(path: &Path, dir: &Path) -> Result<Vec<KeyPair>, LinkError> {
    let Some(pem) = files::read_secret(path, MAX_FILE)? else { return Ok(Vec::new()) };
    let fault = |reason: String| damaged(path, dir, &reason);
    PrivateKeyDer::pem_slice_iter(&pem)
        .map(|key| {
            let key = key.map_err(|error| fault(error.to_string()))?;
            KeyPair::try_from(&key).map_err(|error| fault(error.to_string()))
        })
        .collect()
}

/// What was issued, the newest first.
fn issued(dir: &Path) -> Result<Vec<Facts>, LinkError> {
    let fault = |source| LinkError::File { action: "read", path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(fault(source)),
    };
    let mut issued = Vec::new();
    for entry in entries.take(MAX_ISSUED) {
        let path = entry.map_err(fault)?.path();
        // What a crash left half written has another ending.
        if path.extension().is_none_or(|extension| extension != "pem") {
            continue;
        }
        for certificate in certificates(&path, &path)? {
            issued.extend(certificate::read(&certificate));
        }
    }
    issued
        .sort_by(|a: &Facts, b: &Facts| (b.not_before, &b.serial).cmp(&(a.not_before, &a.serial)));
    Ok(issued)
}

pub(super) fn damaged(path: &Path, remedy: &Path, reason: &str) -> LinkError {
    let (reason, remedy) = (reason.to_owned(), remedy.display().to_string());
    LinkError::Damaged { path: path.to_owned(), reason, remedy }
}
