//! The sections of the configuration, one per component. `default.toml` documents each key.

use std::{fmt, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The network side of the daemon.
    pub server: Server,
    /// The command line.
    pub client: Client,
    /// Logging.
    pub log: Log,
    /// Traces.
    pub telemetry: Telemetry,
    /// The three tiers.
    pub store: Store,
    /// The writer of journals.
    pub registry: Registry,
    /// The evaluator.
    pub evaluator: Evaluator,
    /// The manager of runs.
    pub manager: Manager,
}

/// The network side of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The address of gRPC and WebSocket.
    pub listen: SocketAddr,
    /// Further names and addresses in the server's certificate.
    pub names: Vec<String>,
    /// The address of health checks and metrics.
    pub admin: SocketAddr,
    /// The deadline of a drain, in seconds.
    pub drain_seconds: u64,
    /// Whether calls that only read are taken without a signed envelope.
    pub plain_reads: bool,
    /// Calls that are worked on at once; as many of each class wait, twice over.
    pub max_calls: usize,
}

/// The command line.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// `host:port` of the daemon; empty: this user's own.
    pub address: String,
    /// The directory of the certificate to show; empty: this user's own.
    pub identity: PathBuf,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// A filter as `tracing-subscriber`'s `EnvFilter` takes it.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people and journald.
    Text,
    /// One JSON object a line.
    Json,
}

/// Traces, by OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// The URL of the collector, OTLP over gRPC; empty: none.
    pub endpoint: String,
    /// A file of headers that it wants to see; empty: none.
    pub headers_file: PathBuf,
    /// A PEM file of the authorities of its certificate; empty: those of the machine.
    pub authorities: PathBuf,
    /// Of a hundred traces that begin here, how many are kept.
    pub sample_percent: u32,
    /// The name of this service; empty: the program's.
    pub service: String,
    /// Further attributes of this process, as `name=value`.
    pub attributes: Vec<String>,
}

/// The three tiers, by URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Journals and files.
    pub cold: Url,
    /// Ids, edges, scores.
    pub warm: Url,
    /// Populations, counters, signals.
    pub hot: Url,
    /// The size at which a segment is closed, in MiB.
    pub segment_mib: u64,
}

/// The writer of journals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The most agents in one commit.
    pub group: usize,
    /// The longest wait for a commit to fill, in milliseconds.
    pub flush_ms: u64,
    /// The most agents that wait for a commit.
    pub queue: usize,
}

/// The evaluator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluator {
    /// Evaluations at once; 0: as many as processors.
    pub workers: usize,
    /// The Python interpreter, by name or path.
    pub python: PathBuf,
    /// What to do where a layer of the sandbox is missing.
    pub sandbox: Sandbox,
    /// The Unix socket of the proxy by which candidates ask models; empty: there is none.
    pub model_socket: PathBuf,
}

/// How much of the sandbox must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// Every mandatory layer.
    Full,
    /// What the machine has; results are stamped.
    Reduced,
}

/// The manager of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manager {
    /// The most runs at work at once.
    pub max_runs: usize,
    /// The most agents of a run that are evaluated but not yet durable.
    pub in_flight: usize,
    /// Seconds between checkpoints.
    pub checkpoint_seconds: u64,
}

/// The URL of a store. Its password doesn't print.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Url(String);

impl Url {
    /// The URL, with its password if it has one.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What comes before the first colon.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.split().0
    }

    /// What comes after the first colon.
    #[must_use]
    pub fn rest(&self) -> &str {
        self.split().1
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once(':').unwrap_or((&self.0, ""))
    }
}

impl From<&str> for Url {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", redact(&self.0))
    }
}

/// `text` without the password of a URL's user part.
pub(super) fn redact(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:***@{host}{path}")
        }
        None => text.to_owned(),
    }
}

impl Default for Server {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: any,
            names: Vec::new(),
            admin: any,
            drain_seconds: 20,
            plain_reads: false,
            max_calls: 128,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            headers_file: PathBuf::new(),
            authorities: PathBuf::new(),
            sample_percent: 100,
            service: String::new(),
            attributes: Vec::new(),
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self {
            cold: "file:".into(),
            warm: "sqlite:".into(),
            hot: "memory:".into(),
            segment_mib: 128,
        }
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self { group: 256, flush_ms: 5, queue: 4096 }
    }
}

impl Default for Evaluator {
    fn default() -> Self {
        let (python, sandbox) = ("python3".into(), Sandbox::Full);
        Self { workers: 0, python, sandbox, model_socket: PathBuf::new() }
    }
}

impl Default for Manager {
    fn default() -> Self {
        Self { max_runs: 16, in_flight: 2048, checkpoint_seconds: 60 }
    }
}

impl Config {
    /// Every value out of its bounds: the key, and what it should be.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        let mut bound = |key, value: u64, min: u64, max: u64| {
            if value < min || value > max {
                faults.push((key, format!("{value} is out of bounds; give {min} to {max}")));
            }
        };
        bound("server.drain_seconds", self.server.drain_seconds, 1, 3600);
        bound("server.max_calls", self.server.max_calls as u64, 4, 100_000);
        bound("telemetry.sample_percent", u64::from(self.telemetry.sample_percent), 0, 100);
        bound("store.segment_mib", self.store.segment_mib, 1, 4096);
        bound("registry.group", self.registry.group as u64, 1, 4096);
        bound("registry.flush_ms", self.registry.flush_ms, 0, 1000);
        bound("registry.queue", self.registry.queue as u64, self.registry.group as u64, 1 << 20);
        bound("evaluator.workers", self.evaluator.workers as u64, 0, 1024);
        bound("manager.max_runs", self.manager.max_runs as u64, 1, 1000);
        bound("manager.in_flight", self.manager.in_flight as u64, 1, 1 << 20);
        bound("manager.checkpoint_seconds", self.manager.checkpoint_seconds, 1, 3600);
        let mut scheme = |key, url: &Url, known: &[&str]| {
            if !url.0.contains(':') || !known.contains(&url.scheme()) {
                let known = known.join(":”, “");
                faults.push((key, format!("“{url}” is no store that is known; give “{known}:”")));
            }
        };
        scheme("store.cold", &self.store.cold, &["file", "memory"]);
        scheme("store.warm", &self.store.warm, &["sqlite", "postgres", "memory"]);
        let redis = ["rediss", "rediss-sentinel", "rediss-cluster"];
        let plain = ["redis", "redis-sentinel", "redis-cluster"];
        scheme("store.hot", &self.store.hot, &[&["memory"][..], &redis, &plain].concat());
        if !self.server.admin.ip().is_loopback() {
            faults.push((
                "server.admin",
                format!("{} is reachable from outside; give a loopback address", self.server.admin),
            ));
        }
        let address = &self.client.address;
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if !address.is_empty() && port.is_none_or(|port| port == 0) {
            faults.push(("client.address", format!("“{address}” is not host:port")));
        }
        let socket = &self.evaluator.model_socket;
        if socket.is_relative() && !socket.as_os_str().is_empty() {
            let what = format!("“{}” is no absolute path; give one", socket.display());
            faults.push(("evaluator.model_socket", what));
        }
        let endpoint = &self.telemetry.endpoint;
        let known = ["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme));
        if !endpoint.is_empty() && !known {
            let what = "is no http:// or https:// URL; give for example “http://127.0.0.1:4317”";
            faults.push(("telemetry.endpoint", what.to_owned()));
        }
        if self.log.level.trim().is_empty() {
            faults.push(("log.level", "is empty; give for example “info”".to_owned()));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_does_not_print() {
        let url = Url::from("postgres://darwin:hunter2@db.example:5432/darwin");
        assert_eq!(url.to_string(), "postgres://darwin:***@db.example:5432/darwin");
        assert!(!format!("{url:?}").contains("hunter2"));
        assert_eq!(Url::from("sqlite:/var/x@y:z").to_string(), "sqlite:/var/x@y:z");
    }

    #[test]
    fn a_metrics_port_open_to_the_world_and_a_socket_beside_nothing_are_faults() {
        let mut config = Config::default();
        assert_eq!(config.faults(), []);
        config.server.admin = "0.0.0.0:9090".parse().unwrap();
        config.registry.queue = 1;
        config.evaluator.model_socket = "proxy.sock".into();
        let keys: Vec<_> = config.faults().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["registry.queue", "server.admin", "evaluator.model_socket"]);
    }
}
