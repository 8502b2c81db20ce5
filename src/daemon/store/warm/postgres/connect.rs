//! Connections to PostgreSQL: where it is, how safe the way there must be, and what every
//! connection is checked for before it is used.

use std::{net::SocketAddr, os::unix::ffi::OsStrExt as _, path::PathBuf, time::Duration};

use rustix::{
    net::{getpeername, sockopt::set_tcp_nodelay},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};
use sqlx::{
    Connection as _, Row as _,
    postgres::{PgConnectOptions, PgConnection, PgSslMode},
};
use url::form_urlencoded;

use crate::daemon::store::error::StoreError;

/// How long a server may take to let a connection in.
const CONNECT: Duration = Duration::from_secs(5);
/// Prepared statements that are kept for each connection.
const STATEMENTS: usize = 128;

/// What a URL says of a database:
/// `postgres://USER[:PASSWORD]@HOST[:PORT][,HOST[:PORT]...]/NAME?KEY=VALUE&...` with the keys
/// `sslrootcert`, `sslcert`, `sslkey` (PEM files), `password_file`, and `plaintext=loopback`.
#[derive(Debug, Clone)]
pub struct Address {
    /// Each server that may be the one that takes writes.
    servers: Vec<(String, u16)>,
    options: PgConnectOptions,
    /// The servers and the name, as messages have it.
    shown: String,
    plaintext: bool,
}

fn wrong(why: impl Into<String>) -> StoreError {
    StoreError::Address { tier: "warm", why: why.into() }
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// If it is none, or leaves out what a safe connection needs.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        let form = "give postgres://USER@HOST:PORT/NAME?sslrootcert=CA.pem&sslcert=CLIENT.pem&\
                    sslkey=CLIENT.key";
        let rest = url
            .strip_prefix("postgres://")
            .ok_or_else(|| wrong(format!("this is no URL of a database; {form}")))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, name) = rest
            .split_once('/')
            .filter(|(_, name)| !name.is_empty())
            .ok_or_else(|| wrong(format!("the URL names no database; {form}")))?;
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let servers = hosts.split(',').map(server).collect::<Result<Vec<_>, _>>()?;
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        if user.is_empty() {
            return Err(wrong(format!("the URL names no user; {form}")));
        }
        let shown = format!("{hosts}/{name}");
        let mut options = PgConnectOptions::new_without_pgpass()
            .username(&plain(user))
            .database(&plain(name))
            .application_name("darwind")
            .statement_cache_capacity(STATEMENTS)
            .ssl_mode(PgSslMode::VerifyFull);
        if !password.is_empty() {
            options = options.password(&plain(password));
        }
        let (mut plaintext, mut files) = (false, Vec::new());
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            options = match key.as_ref() {
                "sslrootcert" => options.ssl_root_cert(value.as_ref()),
                "sslcert" => options.ssl_client_cert(value.as_ref()),
                "sslkey" => options.ssl_client_key(value.as_ref()),
                "password_file" => {
                    let password = std::fs::read_to_string(value.as_ref())
                        .map_err(|error| wrong(format!("the password in {value}: {error}")))?;
                    options.password(password.trim_end_matches(['\n', '\r']))
                }
                "plaintext" if value == "loopback" => {
                    plaintext = true;
                    options.ssl_mode(PgSslMode::Disable)
                }
                _ => return Err(wrong(format!("the URL's “{key}={value}” is not known; {form}"))),
            };
            if key.starts_with("ssl") {
                files.push((key.into_owned(), PathBuf::from(value.as_ref())));
            }
        }
        let loopback = |(host, _): &(String, u16)| {
            host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
        };
        if plaintext && !(servers.iter().all(loopback) && files.is_empty()) {
            return Err(wrong(
                "plaintext=loopback is for servers on this machine alone, without certificates",
            ));
        }
        for needed in ["sslrootcert", "sslcert", "sslkey"] {
            let file = files.iter().find(|(key, _)| key == needed).map(|(_, file)| file);
            match file {
                _ if plaintext => {}
                None => return Err(wrong(format!("the URL has no {needed}; {form}"))),
                Some(file) => {
                    // The library would say no more than that a connection failed.
                    std::fs::File::open(file)
                        .map_err(|error| wrong(format!("{needed} {}: {error}", file.display())))?;
                }
            }
        }
        Ok(Self { servers, options, shown, plaintext })
    }

    /// The servers and the name of the database, without user and password.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Whether the way there is not encrypted.
    #[must_use]
    pub fn is_plaintext(&self) -> bool {
        self.plaintext
    }

    /// Connects to the server that takes writes.
    ///
    /// # Errors
    /// If none of them can be reached, or is one that may be used.
    pub async fn connect(&self) -> Result<PgConnection, StoreError> {
        let mut last = None;
        for (host, port) in &self.servers {
            let options = self.options.clone().host(host).port(*port);
            let attempt = tokio::time::timeout(CONNECT, self.open(&options)).await;
            let late = || self.unreachable("connecting", "it did not answer in time".into());
            match attempt.unwrap_or_else(|_| Err(late())) {
                Ok(connection) => return Ok(connection),
                // What is wrong with one server is told if no other is better.
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| wrong("the URL names no server")))
    }

    async fn open(&self, options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
        let error = |error| self.error("connecting", error);
        let mut connection = PgConnection::connect_with(options).await.map_err(error)?;
        if let Err(error) = send_at_once(options.get_port()) {
            tracing::warn!(%error, "statements of more than 16 KiB wait 40 ms for PostgreSQL");
        }
        // What a request may wait for, so that nothing hangs when a server does; and no machine
        // code for questions that take less time than to compile it.
        let row = sqlx::query(
            "SELECT coalesce((SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()), ''),
                 pg_is_in_recovery(), current_setting('synchronous_commit'),
                 set_config('statement_timeout', '60s', false),
                 set_config('lock_timeout', '15s', false),
                 set_config('idle_in_transaction_session_timeout', '60s', false),
                 set_config('tcp_user_timeout', '15s', false),
                 set_config('client_min_messages', 'warning', false),
                 set_config('jit', 'off', false)",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(error)?;
        let tls: String = row.try_get(0).map_err(error)?;
        if !self.plaintext && tls != "TLSv1.3" {
            let found = if tls.is_empty() { "nothing" } else { &tls };
            return Err(wrong(format!(
                "{} encrypts the connection by {found}, not by TLS 1.3: set \
                 ssl_min_protocol_version = 'TLSv1.3' there",
                self.shown
            )));
        }
        if row.try_get(1).map_err(error)? {
            let what = "it is a standby, which takes no writes".into();
            return Err(self.unreachable("connecting", what));
        }
        let durable: String = row.try_get(2).map_err(error)?;
        if durable == "off" {
            return Err(wrong(format!(
                "{} has synchronous_commit = off: what it acknowledges may be lost; switch it on",
                self.shown
            )));
        }
        Ok(connection)
    }

    /// The error of a database operation.
    #[must_use]
    pub fn error(&self, doing: &'static str, error: sqlx::Error) -> StoreError {
        let sqlx::Error::Database(said) = &error else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::WorkerCrashed => self.unreachable(doing, error.into()),
                sqlx::Error::RowNotFound => StoreError::Conflict {
                    what: "what is to be changed or referred to is not there".to_owned(),
                },
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                    StoreError::corrupt(&self.shown, None, format!("{doing}: {error}"))
                }
                _ => StoreError::Server { doing, source: error.into() },
            };
        };
        let code = said.code().unwrap_or_default();
        match &*code {
            code if code.starts_with("23") => {
                StoreError::Conflict { what: format!("such a row is there already ({said})") }
            }
            "53100" => StoreError::Full {
                doing: format!("{doing} ({})", self.shown),
                source: error.into(),
            },
            // It is full, ends, begins, or is not the one that writes any more.
            "53300" | "57P01" | "57P02" | "57P03" | "57P05" | "25006" => {
                self.unreachable(doing, error.into())
            }
            code if code.starts_with("08") => self.unreachable(doing, error.into()),
            "XX001" | "XX002" => StoreError::corrupt(&self.shown, None, said.to_string()),
            "28000" | "28P01" | "3D000" | "42501" => {
                wrong(format!("{} refuses this daemon: {said}", self.shown))
            }
            _ => StoreError::Server { doing, source: error.into() },
        }
    }

    /// That the connection broke or was refused.
    #[must_use]
    pub fn unreachable(
        &self,
        doing: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> StoreError {
        StoreError::Unreachable { doing, server: format!("PostgreSQL at {}", self.shown), source }
    }
}

/// Switches Nagle's algorithm off on the connections to that port. The library leaves it on: each
/// statement of more than one TLS record then waits until the server's kernel acknowledges the
/// first one, which takes 40 ms. It shows its socket to nobody, so this asks the system for it.
fn send_at_once(port: u16) -> std::io::Result<()> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        // Nothing but sockets: to close another descriptor of a file gives its locks back.
        let socket = std::fs::read_link(entry.path());
        if !socket.is_ok_and(|target| target.as_os_str().as_bytes().starts_with(b"socket:")) {
            continue;
        }
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // Some are closed again meanwhile.
        let Ok(shared) = pidfd_getfd(&own, number, PidfdGetfdFlags::empty()) else { continue };
        let peer = getpeername(&shared).ok().flatten();
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        if peer.is_some_and(|peer| peer.port() == port) {
            set_tcp_nodelay(&shared, true)?;
        }
    }
    Ok(())
}

/// A part of a URL, without its percents.
fn plain(text: &str) -> String {
    // The form's "+" stands for itself here.
    let text = format!("x={}", text.replace('+', "%2B"));
    form_urlencoded::parse(text.as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

/// A server: its host, and its port.
fn server(text: &str) -> Result<(String, u16), StoreError> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(5432), str::parse);
    match port {
        Ok(port) if !host.is_empty() => Ok((host.to_owned(), port)),
        _ => Err(wrong(format!("“{text}” in the URL is no HOST:PORT"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &str = "sslrootcert=/dev/null&sslcert=/dev/null&sslkey=/dev/null";

    #[test]
    fn a_url_names_servers_user_and_database() {
        let url = format!("postgres://ann%40lab:a%2Fb@db1:5433,db2,[::1]:7/dar%20win?{FILES}");
        let address = Address::parse(&url).unwrap();
        let servers = [("db1", 5433), ("db2", 5432), ("::1", 7)];
        assert_eq!(address.servers, servers.map(|(host, port)| (host.to_owned(), port)));
        assert_eq!(address.options.get_username(), "ann@lab");
        assert_eq!(address.options.get_database(), Some("dar win"));
        assert!(!address.shown().contains("ann") && !address.is_plaintext());
        assert!(matches!(address.options.get_ssl_mode(), PgSslMode::VerifyFull));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_named() {
        let wrong = [
            ("mysql://a@b/c", "no URL of a database"),
            ("postgres://a@b", "names no database"),
            ("postgres://b/c", "names no user"),
            ("postgres://a@b:x/c", "no HOST:PORT"),
            ("postgres://a@b,:1/c", "no HOST:PORT"),
            ("postgres://a@b/c", "no sslrootcert"),
            ("postgres://a@b/c?sslrootcert=/dev/null&sslcert=/dev/null", "no sslkey"),
            ("postgres://a@b/c?sslmode=disable", "sslmode"),
            ("postgres://a@b/c?plaintext=yes", "plaintext"),
            ("postgres://a@b/c?plaintext=loopback", "this machine alone"),
            ("postgres://a@127.0.0.1,b/c?plaintext=loopback", "this machine alone"),
            ("postgres://a@b/c?sslrootcert=/no/such/file", "No such file"),
            ("postgres://a@b/c?password_file=/no/such/file", "No such file"),
        ];
        for (url, what) in wrong {
            let error = Address::parse(url).unwrap_err().to_string();
            assert!(error.contains(what), "{url}: {error}");
        }
        let address = Address::parse("postgres://a@127.0.0.1,localhost,[::1]/c?plaintext=loopback");
        assert!(address.unwrap().is_plaintext());
    }
}
