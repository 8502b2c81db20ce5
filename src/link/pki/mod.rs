//! The local certificate authority: made on first use by the daemon, or by hand, with the two
//! certificates that it issues for this machine, renewed in time, and those for others.
//!
//! In its directory, beside what [`ledger`] keeps: a pair each for `server` and `client`. A bundle
//! for somebody else holds the pair of a client, `ca.pem` and `crl.pem`, under the same names.

mod authority;
mod ledger;
mod identity;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::WebPkiClientVerifier,
    sign::CertifiedKey,
};

use crate::{domain::role::Role, provenance::sign::PublicKey};

use super::{
    certificate::{self, Facts},
    error::LinkError,
    files,
};

use authority::Order;
use identity::path;
use ledger::{AUTHORITIES, LISTS, Ledger, MAX_FILE, certificates, damaged, lists};

pub use identity::{Identity, Pair, Usage};

/// The name that every daemon's certificate is for, whatever its address: who it is follows
/// from the authority that signed it.
pub const SERVER_NAME: &str = "darwind";

/// How long a certificate is valid unless something else is asked for.
pub const LIFE: Duration = Duration::from_secs(90 * DAY);
/// The longest that a certificate may be valid.
pub const MAX_LIFE: Duration = Duration::from_secs(365 * DAY);
/// A certificate that has less than this left is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * DAY);
const DAY: u64 = 86_400;
/// The longest name of an identity.
const MAX_NAME: usize = 64;

/// How a certificate on record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is accepted.
    Valid,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked(SystemTime),
    /// Its authority is no longer trusted.
    Untrusted,
}

/// All that an authority knows.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The authorities that are trusted; the first one signs.
    pub authorities: Vec<Facts>,
    /// What was issued, the newest first.
    pub certificates: Vec<(Facts, Standing)>,
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

    /// Makes the authority, and nothing else.
    ///
    /// # Errors
    /// If there is one, or a file can't be written.
    pub fn init(&self, now: SystemTime) -> Result<Facts, LinkError> {
        files::make_dir(&self.dir)?;
        let mut ledger = Ledger::open(&self.dir)?;
        if !ledger.authorities.is_empty() {
            return Err(LinkError::AuthorityExists { dir: self.dir.clone() });
        }
        ledger.keep(now)?;
        Ok(ledger.current()?.facts.clone())
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
        let mut ledger = Ledger::open(&self.dir)?;
        let mut changed = ledger.keep(now)?;
        let own = [SERVER_NAME, "localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let hosts = [&own, names].concat();
        for usage in Usage::OWN {
            let ecdsa = usage == Usage::ServerEcdsa;
            let order = match usage {
                Usage::Client => {
                    Order { name: user, role: Some(Role::Operator), ecdsa, hosts: &[], life: LIFE }
                }
                _ => Order { name: SERVER_NAME, role: None, ecdsa, hosts: &hosts, life: LIFE },
            };
            if !self.lasts(usage, &hosts, &ledger, now)? {
                self.issued(&mut ledger, usage, &order, now)?.write_pair(&self.dir)?;
                // The old certificate of the daemon may have been the last reason to keep an
                // authority.
                ledger.keep(now)?;
                changed = true;
            }
        }
        Ok(changed)
    }

    /// The certificate for that usage, as [`Pki::prepare`] or [`Identity::write`] left it.
    ///
    /// # Errors
    /// If it is not there, can be read by others, or is damaged.
    pub fn identity(&self, usage: Usage) -> Result<Identity, LinkError> {
        let missing = || LinkError::NoIdentity { dir: self.dir.clone() };
        let (certificate, key) = self.pair(usage)?.ok_or_else(missing)?;
        let ecdsa = match usage {
            Usage::Server => self.pair(Usage::ServerEcdsa)?,
            _ => None,
        };
        let authorities = certificates(&self.dir.join(AUTHORITIES), &self.dir)?;
        if authorities.is_empty() {
            return Err(missing());
        }
        let at = self.dir.join(LISTS);
        let revoked = match (lists(&at, &self.dir)?, usage) {
            (Some(lists), _) => lists,
            (None, Usage::Client) => Vec::new(),
            (None, _) => return Err(damaged(&at, &self.dir, "it is missing")),
        };
        Ok(Identity { usage, certificate, key, ecdsa, authorities, revoked })
    }

    fn pair(&self, usage: Usage) -> Result<Option<Pair>, LinkError> {
        let (Some(certificate), Some(key)) = (self.certificate(usage)?, self.key(usage)?) else {
            return Ok(None);
        };
        let key = PrivateKeyDer::from_pem_slice(&key)
            .map_err(|error| self.bad(usage, "key", &error.to_string()))?;
        Ok(Some((certificate, key)))
    }

    /// Issues a certificate for a client of that name and role.
    ///
    /// # Errors
    /// If there is no authority, the name is none, or somebody has it already.
    pub fn issue(
        &self,
        name: &str,
        role: Role,
        life: Duration,
        now: SystemTime,
    ) -> Result<Identity, LinkError> {
        check(name)?;
        let mut ledger = self.open(now)?;
        let taken = ledger
            .issued
            .iter()
            .find(|facts| facts.name == name && standing(&ledger, facts, now) == Standing::Valid);
        if let Some(facts) = taken {
            return Err(LinkError::NameTaken {
                name: name.to_owned(),
                serial: facts.serial.clone(),
            });
        }
        let order = Order { name, role: Some(role), ecdsa: false, hosts: &[], life };
        self.issued(&mut ledger, Usage::Client, &order, now)
    }

    /// Issues a new certificate to whom has one of that name, with the same role. The old one
    /// stays good until it ends.
    ///
    /// # Errors
    /// If there is none of that name, or it was revoked.
    pub fn renew(
        &self,
        name: &str,
        life: Duration,
        now: SystemTime,
    ) -> Result<Identity, LinkError> {
        let mut ledger = self.open(now)?;
        let facts = named(&ledger, name)?;
        let kept = facts.iter().find(|facts| !facts.server && ledger.revoked(facts).is_none());
        let revoked = || LinkError::AlreadyRevoked { name: name.to_owned() };
        let (name, role) =
            kept.map(|facts| (facts.name.clone(), facts.role)).ok_or_else(revoked)?;
        let order = Order {
            name: &name,
            role: role.or(Some(Role::Reader)),
            ecdsa: false,
            hosts: &[],
            life,
        };
        self.issued(&mut ledger, Usage::Client, &order, now)
    }

    /// Renews the certificates of this directory itself, in place: those of that name, or both.
    /// None, if they have another name.
    ///
    /// # Errors
    /// If there is no authority, or a file can't be read or written.
    pub fn renew_own(
        &self,
        name: Option<&str>,
        life: Duration,
        now: SystemTime,
    ) -> Result<Vec<Facts>, LinkError> {
        let mut ledger = self.open(now)?;
        let mut renewed = Vec::new();
        for usage in Usage::OWN {
            let Some(certificate) = self.certificate(usage)? else { continue };
            let Some(facts) = certificate::read(&certificate) else { continue };
            if name.is_some_and(|name| name != facts.name) {
                continue;
            }
            let role = (usage == Usage::Client).then(|| facts.role.unwrap_or(Role::Operator));
            let ecdsa = usage == Usage::ServerEcdsa;
            let order = Order { name: &facts.name, role, ecdsa, hosts: &facts.hosts, life };
            let made = self.issued(&mut ledger, usage, &order, now)?;
            made.write_pair(&self.dir)?;
            renewed.push(made.facts()?);
        }
        Ok(renewed)
    }

    /// Takes back the certificates of that name, or that of that serial number.
    ///
    /// # Errors
    /// If there is none, or all are revoked or have ended already.
    pub fn revoke(&self, what: &str, now: SystemTime) -> Result<Vec<Facts>, LinkError> {
        let mut ledger = self.open(now)?;
        let mut found = named(&ledger, what)?;
        found.retain(|facts| standing(&ledger, facts, now) == Standing::Valid);
        if found.is_empty() {
            return Err(LinkError::AlreadyRevoked { name: what.to_owned() });
        }
        ledger.revoke(&found, now)?;
        ledger.keep(now)?;
        Ok(found)
    }

    /// All that the authority knows.
    ///
    /// # Errors
    /// If there is no authority, or a file can't be read.
    pub fn list(&self, now: SystemTime) -> Result<Listing, LinkError> {
        let ledger = self.open(now)?;
        let stands = |facts: &Facts| (facts.clone(), standing(&ledger, facts, now));
        Ok(Listing {
            authorities: ledger.authorities.iter().map(|own| own.facts.clone()).collect(),
            certificates: ledger.issued.iter().map(stands).collect(),
        })
    }

    /// Has a new authority sign from now on. The old one is trusted as long as a client has a
    /// certificate of it that is good.
    ///
    /// # Errors
    /// If there is no authority, or a file can't be written.
    pub fn rotate(&self, now: SystemTime) -> Result<Facts, LinkError> {
        let mut ledger = self.open(now)?;
        ledger.rotate(now)?;
        Ok(ledger.current()?.facts.clone())
    }

    /// What the daemon's own configuration follows from, as it lies on disk.
    ///
    /// # Errors
    /// If a file can't be read.
    pub fn state(&self) -> Result<Vec<Option<Vec<u8>>>, LinkError> {
        let servers = [Usage::Server, Usage::ServerEcdsa].map(|own| path(&self.dir, own, "pem"));
        let shared = [AUTHORITIES, LISTS].map(|name| self.dir.join(name));
        let all = shared.into_iter().chain(servers);
        all.map(|path| files::read(&path, ledger::MAX_LIST)).collect()
    }

    /// The ledger of an authority that is there.
    fn open(&self, now: SystemTime) -> Result<Ledger, LinkError> {
        let none = || LinkError::NoAuthority { dir: self.dir.clone() };
        if !self.dir.is_dir() {
            return Err(none());
        }
        let mut ledger = Ledger::open(&self.dir)?;
        ledger.current()?;
        ledger.keep(now)?;
        Ok(ledger)
    }

    fn issued(
        &self,
        ledger: &mut Ledger,
        usage: Usage,
        order: &Order<'_>,
        now: SystemTime,
    ) -> Result<Identity, LinkError> {
        let (certificate, key) = ledger.issue(order, now)?;
        let authorities = ledger.authorities.iter().map(|own| own.certificate.clone()).collect();
        let revoked = lists(&self.dir.join(LISTS), &self.dir)?.unwrap_or_default();
        Ok(Identity { usage, certificate, key, ecdsa: None, authorities, revoked })
    }

    /// Whether there is a certificate that the other side accepts, now and for a while.
    fn lasts(
        &self,
        usage: Usage,
        hosts: &[String],
        ledger: &Ledger,
        now: SystemTime,
    ) -> Result<bool, LinkError> {
        let names: Vec<_> = hosts.iter().map(|name| server_name(name)).collect::<Result<_, _>>()?;
        let (Some(certificate), Some(key)) = (self.certificate(usage)?, self.key(usage)?) else {
            return Ok(false);
        };
        let Some(facts) = certificate::read(&certificate) else { return Ok(false) };
        // A key of another kind, as earlier versions made them, signs no message; and a crash
        // between the two files leaves a pair that does not fit together.
        let ecdsa = usage == Usage::ServerEcdsa;
        let whole = facts.key.is_some() != ecdsa && fit(&certificate, &key);
        let known = ledger.issued.iter().any(|issued| issued.serial == facts.serial);
        let role = usage != Usage::Client || facts.role == Some(Role::Operator);
        if !whole || !known || !role || ledger.revoked(&facts).is_some() {
            return Ok(false);
        }
        let authorities: Vec<_> =
            ledger.authorities.iter().map(|own| own.certificate.clone()).collect();
        let roots = trust(&authorities)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let setup =
            |error: rustls::server::VerifierBuilderError| LinkError::Setup(error.to_string());
        let times = [now, now + RENEW_BEFORE].map(unix);
        Ok(match usage {
            Usage::Server | Usage::ServerEcdsa => {
                let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider);
                let verifier = verifier.build().map_err(setup)?;
                names.iter().all(|name| {
                    times.iter().all(|time| {
                        verifier.verify_server_cert(&certificate, &[], name, &[], *time).is_ok()
                    })
                })
            }
            Usage::Client => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = verifier.build().map_err(setup)?;
                times
                    .iter()
                    .all(|time| verifier.verify_client_cert(&certificate, &[], *time).is_ok())
            }
        })
    }

    fn certificate(&self, usage: Usage) -> Result<Option<CertificateDer<'static>>, LinkError> {
        let Some(pem) = files::read(&path(&self.dir, usage, "pem"), MAX_FILE)? else {
            return Ok(None);
        };
        let parsed = CertificateDer::from_pem_slice(&pem);
        parsed.map(Some).map_err(|error| self.bad(usage, "pem", &error.to_string()))
    }

    fn key(&self, usage: Usage) -> Result<Option<Vec<u8>>, LinkError> {
        files::read_secret(&path(&self.dir, usage, "key"), MAX_FILE)
    }

    fn bad(&self, usage: Usage, extension: &str, reason: &str) -> LinkError {
        damaged(&path(&self.dir, usage, extension), Path::new("it"), reason)
    }
}

/// The certificates on record of that name or serial number, the newest first.
fn named(ledger: &Ledger, what: &str) -> Result<Vec<Facts>, LinkError> {
    let serial = what.replace(':', "").to_lowercase();
    let fit = |facts: &&Facts| facts.name == what || facts.serial == serial;
    let found: Vec<_> = ledger.issued.iter().filter(fit).cloned().collect();
    if found.is_empty() {
        return Err(LinkError::NoCertificate { name: what.to_owned() });
    }
    Ok(found)
}

fn standing(ledger: &Ledger, facts: &Facts, now: SystemTime) -> Standing {
    match ledger.revoked(facts) {
        Some(at) => Standing::Revoked(at),
        None if facts.not_after <= now => Standing::Expired,
        None if !ledger.trusts(facts) => Standing::Untrusted,
        None => Standing::Valid,
    }
}

/// Refuses what can't be an identity's name: it names a directory too.
fn check(name: &str) -> Result<(), LinkError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= MAX_NAME && name.chars().all(fits) {
        Ok(())
    } else {
        Err(LinkError::BadName(name.to_owned()))
    }
}

/// The key of a certificate, if it is an Ed25519 key. Its id names the identity in signed
/// messages.
#[must_use]
pub fn public_key(certificate: &CertificateDer<'_>) -> Option<PublicKey> {
    certificate::read(certificate)?.key
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

/// Trust in those authorities and no others.
pub(crate) fn trust(
    authorities: &[CertificateDer<'static>],
) -> Result<Arc<RootCertStore>, LinkError> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| LinkError::Setup(error.to_string()))?;
    }
    Ok(Arc::new(roots))
}

/// That time, as TLS has it.
pub(crate) fn unix(time: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}
