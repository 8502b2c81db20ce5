//! Where Redis is, what it is there, and how safe the way to it must be.

use std::{
    fs::File,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use redis::RedisConnectionInfo;
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::TLS13,
};
use url::form_urlencoded;

use crate::daemon::store::error::StoreError;

/// The port of a server that is named without one.
const PORT: u16 = 6379;
/// The port of a sentinel that is named without one.
const SENTINEL_PORT: u16 = 26379;
/// The longest name that keys begin with.
const MAX_SPACE: usize = 64;

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// One server.
    Alone,
    /// Sentinels, which know the server that is the master of that name.
    Sentinel(String),
    /// Some servers of a cluster.
    Cluster,
}

/// The certificates for a connection, as files.
#[derive(Debug, Clone)]
struct Files {
    root: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

/// What a URL says: `rediss://[USER[:PASSWORD]@]HOST[:PORT]/?KEY=VALUE&...`, or
/// `rediss-sentinel://HOST[:PORT],.../MASTER?...`, or `rediss-cluster://HOST[:PORT],.../?...`,
/// with the keys `sslrootcert`, `sslcert`, `sslkey` (PEM files), `user`, `password_file`, `name`
/// (what all keys begin with; daemons with the same name share what is there), and
/// `plaintext=loopback`, which goes with `redis:`, `redis-sentinel:` and `redis-cluster:`.
#[derive(Clone)]
pub struct Address {
    /// What is there.
    pub kind: Kind,
    /// The servers that are named.
    pub servers: Vec<(String, u16)>,
    /// What keys begin with.
    pub space: String,
    files: Option<Files>,
    user: String,
    password: String,
    shown: String,
}

/// The error of an address that can't be used.
pub fn wrong(why: impl Into<String>) -> StoreError {
    StoreError::Address { tier: "hot", why: why.into() }
}

const HIDDEN: &str = "...";
const FORM: &str = "give rediss://HOST:PORT/?sslrootcert=CA.pem&sslcert=CLIENT.pem&\
                    sslkey=CLIENT.key, or rediss-sentinel://HOST:PORT,HOST:PORT/MASTER?..., or \
                    rediss-cluster://HOST:PORT,HOST:PORT/?...";

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// If it is none, leaves out what a safe connection needs, or names files that can't be used.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong(format!("this is no URL of a server; {FORM}")))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (secure, kind, port) = match scheme {
            "rediss" | "redis" => (scheme == "rediss", Kind::Alone, PORT),
            "rediss-cluster" | "redis-cluster" => (scheme == "rediss-cluster", Kind::Cluster, PORT),
            "rediss-sentinel" | "redis-sentinel" if !path.is_empty() => {
                (scheme == "rediss-sentinel", Kind::Sentinel(plain(path)), SENTINEL_PORT)
            }
            "rediss-sentinel" | "redis-sentinel" => {
                return Err(wrong(format!("the URL names no master; {FORM}")));
            }
            _ => return Err(wrong(format!("this is no URL of a server; {FORM}"))),
        };
        if !matches!(kind, Kind::Sentinel(_)) && !path.is_empty() {
            return Err(wrong(format!("the URL's “/{path}” is not known; {FORM}")));
        }
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let servers =
            hosts.split(',').map(|one| server(one, port)).collect::<Result<Vec<_>, _>>()?;
        if kind == Kind::Alone && servers.len() > 1 {
            return Err(wrong(format!("the URL names several servers for one; {FORM}")));
        }
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let mut address = Self {
            kind,
            servers,
            space: "darwin".to_owned(),
            files: None,
            user: plain(user),
            password: plain(password),
            shown: hosts.to_owned(),
        };
        address.options(query, secure)?;
        Ok(address)
    }

    /// Takes up what stands behind the question mark.
    fn options(&mut self, query: &str, secure: bool) -> Result<(), StoreError> {
        let (mut files, mut plaintext) = ([None, None, None], false);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "sslrootcert" => files[0] = Some(PathBuf::from(value.as_ref())),
                "sslcert" => files[1] = Some(PathBuf::from(value.as_ref())),
                "sslkey" => files[2] = Some(PathBuf::from(value.as_ref())),
                "user" => self.user = value.into_owned(),
                "password_file" => {
                    let password = std::fs::read_to_string(value.as_ref())
                        .map_err(|error| wrong(format!("the password in {value}: {error}")))?;
                    password.trim_end_matches(['\n', '\r']).clone_into(&mut self.password);
                }
                "name" => {
                    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
                    if value.is_empty() || value.len() > MAX_SPACE || !value.chars().all(good) {
                        return Err(wrong(format!(
                            "the name “{value}” in the URL is not 1 to {MAX_SPACE} letters, digits, \
                             “.”, “_” or “-”"
                        )));
                    }
                    self.space = value.into_owned();
                }
                "plaintext" if value == "loopback" => plaintext = true,
                // What stands behind it may be a secret.
                _ => return Err(wrong(format!("the URL's “{key}={HIDDEN}” is not known; {FORM}"))),
            }
        }
        match (secure, files) {
            (true, [Some(root), Some(certificate), Some(key)]) if !plaintext => {
                self.files = Some(Files { root, certificate, key });
                // What is wrong with the files is told now, and not as a server out of reach.
                self.tls().map(drop)
            }
            (false, [None, None, None]) if plaintext => {
                match self.servers.iter().find(|(host, _)| !is_loopback(host)) {
                    None => Ok(()),
                    Some((host, _)) => Err(not_here(host)),
                }
            }
            (true, _) if plaintext => {
                Err(wrong("plaintext=loopback goes with redis:, not with rediss:"))
            }
            (true, files) => {
                let names = ["sslrootcert", "sslcert", "sslkey"];
                let missing = names.iter().zip(&files).find(|(_, file)| file.is_none());
                let missing = missing.map_or("sslrootcert", |(name, _)| name);
                Err(wrong(format!("the URL has no {missing}; {FORM}")))
            }
            (false, _) => Err(wrong(format!(
                "redis: is not encrypted, and only for servers on this machine: {FORM}, or add \
                 plaintext=loopback and no certificates"
            ))),
        }
    }

    /// The servers, without user and password.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether the way there is not encrypted.
    #[must_use]
    pub fn is_plaintext(&self) -> bool {
        self.files.is_none()
    }

    /// Who the daemon is to the server: by a password too if there is one, and if `known`.
    #[must_use]
    pub fn login(&self, known: bool) -> RedisConnectionInfo {
        let mut login =
            RedisConnectionInfo::default().set_lib_name("darwind", env!("CARGO_PKG_VERSION"));
        if known && !self.user.is_empty() {
            login = login.set_username(&self.user);
        }
        if known && !self.password.is_empty() {
            login = login.set_password(&self.password);
        }
        login
    }

    /// What TLS needs: version 1.3 and nothing else, and the daemon's own certificate. The files
    /// are read each time, so that renewed ones are taken up; none where the way is not encrypted.
    ///
    /// # Errors
    /// If a file can't be read, or is not what it should be.
    pub fn tls(&self) -> Result<Option<Arc<ClientConfig>>, StoreError> {
        let Some(Files { root, certificate, key }) = &self.files else { return Ok(None) };
        let unfit = |what: &str, path: &Path, why: String| {
            wrong(format!("{what} {}: {why}; see to the file", path.display()))
        };
        let mut roots = RootCertStore::empty();
        for one in certificates("sslrootcert", root)? {
            roots.add(one).map_err(|error| unfit("sslrootcert", root, error.to_string()))?;
        }
        let chain = certificates("sslcert", certificate)?;
        let own = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| unfit("sslkey", key, error.to_string()))?;
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&TLS13])
                .map_err(|error| wrong(error.to_string()))?
                .with_root_certificates(roots)
                .with_client_auth_cert(chain, own)
                .map_err(|error| unfit("sslcert", certificate, error.to_string()))?;
        config.resumption = Resumption::disabled();
        Ok(Some(Arc::new(config)))
    }

    /// Checks a server that another one has named: without TLS it must be on this machine, too.
    ///
    /// # Errors
    /// If it is not.
    pub fn allows(&self, host: &str) -> Result<(), StoreError> {
        if self.is_plaintext() && !is_loopback(host) {
            return Err(not_here(host));
        }
        Ok(())
    }
}

fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, StoreError> {
    let unfit = |why: String| wrong(format!("{what} {}: {why}; see to the file", path.display()));
    // The error of the library names no file, and not always the reason.
    File::open(path).map_err(|error| unfit(error.to_string()))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match found.map_err(|error| unfit(error.to_string()))? {
        none if none.is_empty() => Err(unfit("there is no certificate in it".to_owned())),
        found => Ok(found),
    }
}

fn not_here(host: &str) -> StoreError {
    wrong(format!("plaintext=loopback is for servers on this machine alone, which {host} is not"))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// A part of a URL, without its percents.
fn plain(text: &str) -> String {
    // The form's "+" stands for itself here.
    let text = format!("x={}", text.replace('+', "%2B"));
    form_urlencoded::parse(text.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// A server: its host, and its port.
fn server(text: &str, usual: u16) -> Result<(String, u16), StoreError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    match port.map_or(Ok(usual), str::parse) {
        Ok(port) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => Err(wrong(format!("“{text}” in the URL is no HOST:PORT"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "plaintext=loopback";

    #[test]
    fn a_url_names_what_is_there_and_who_asks() {
        let url = "redis://ann%40lab:a%2Fb+c@localhost:7/?plaintext=loopback&name=lab-1";
        let address = Address::parse(url).unwrap();
        assert_eq!((&address.kind, &*address.space), (&Kind::Alone, "lab-1"));
        assert_eq!(address.servers, [("localhost".to_owned(), 7)]);
        let login = address.login(true);
        assert_eq!((login.username(), login.password()), (Some("ann@lab"), Some("a/b+c")));
        assert_eq!(address.login(false).password(), None);
        assert!(address.is_plaintext() && !address.shown().contains("ann"));
        let url = format!("redis-sentinel://127.0.0.1,[::1]:7/my%20master?{HERE}");
        let address = Address::parse(&url).unwrap();
        assert_eq!(address.kind, Kind::Sentinel("my master".to_owned()));
        let servers = [("127.0.0.1", 26379), ("::1", 7)];
        assert_eq!(address.servers, servers.map(|(host, port)| (host.to_owned(), port)));
        let address = Address::parse(&format!("redis-cluster://localhost/?{HERE}")).unwrap();
        assert_eq!((address.kind, &*address.space), (Kind::Cluster, "darwin"));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_named() {
        let none = "sslrootcert=/dev/null&sslcert=/dev/null&sslkey=/dev/null";
        let wrong = [
            ("redis:", "no URL of a server"),
            ("valkey://b/", "no URL of a server"),
            ("rediss://b:x/", "no HOST:PORT"),
            ("rediss://b,c/", "several servers"),
            ("rediss://b/3", "/3"),
            ("rediss-sentinel://b/?sslcert=x", "no master"),
            ("rediss://b/", "no sslrootcert"),
            ("rediss://b/?sslrootcert=/dev/null&sslcert=/dev/null", "no sslkey"),
            ("rediss://b/?sslmode=disable", "sslmode"),
            ("rediss://b/?password=x", "“password=...”"),
            ("rediss://b/?name=a%20b", "a b"),
            ("rediss://b/?password_file=/no/such/file", "No such file"),
            ("rediss://b/?sslrootcert=/no/such/file&sslcert=x&sslkey=x", "No such file"),
            (&format!("rediss://b/?{none}"), "no certificate in it"),
            ("rediss://localhost/?plaintext=loopback", "not with rediss"),
            ("redis://localhost/", "not encrypted"),
            ("redis://localhost/?plaintext=yes", "plaintext"),
            ("redis://b/?plaintext=loopback", "this machine alone"),
            ("redis-cluster://localhost,192.0.2.7/?plaintext=loopback", "192.0.2.7"),
            (&format!("redis://localhost/?plaintext=loopback&{none}"), "no certificates"),
        ];
        for (url, what) in wrong {
            let error = Address::parse(url).err().unwrap().to_string();
            assert!(error.contains(what), "{url}: {error}");
        }
        let address = Address::parse(&format!("redis-cluster://127.0.0.1/?{HERE}")).unwrap();
        assert!(address.allows("127.0.0.2").is_ok() && address.allows("192.0.2.7").is_err());
    }
}
