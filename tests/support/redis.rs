//! Redis servers of a test's own, to be killed: with TLS and certificates as the shared ones.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::required::not_run;

/// How long servers may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// What servers with data are started with.
pub const DATA: &str = "save \"\"\nappendonly yes\nappendfsync everysec\n\
                        maxmemory-policy noeviction\nrepl-diskless-sync-delay 0\n";

/// A server that runs, until it is killed or dropped.
pub struct Redis {
    dir: tempfile::TempDir,
    pki: PathBuf,
    /// Where it listens.
    pub port: u16,
    sentinel: bool,
    child: Option<Child>,
}

/// A port that is free now, whose bus, 10000 above, is one that the system gives to nobody.
fn free_port() -> u16 {
    loop {
        let port = rand::random_range(12_700..19_900);
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}

impl Redis {
    /// A new one with these lines in its configuration; none where `scripts/services up redis` did
    /// not run, which fails where `DARWIN_TEST_REQUIRE` has `redis` among its words.
    pub fn new(lines: &str) -> Option<Self> {
        Self::start_new(lines, "TLSv1.3", false)
    }

    /// A server that listens in plain text, too.
    pub fn plain() -> Option<(Self, u16)> {
        let port = free_port();
        Some((Self::new(&format!("{DATA}port {port}\n"))?, port))
    }

    /// A server that speaks an older TLS.
    pub fn old() -> Option<Self> {
        Self::start_new(DATA, "TLSv1.2", false)
    }

    /// One with the configuration that is shipped, for which `fit` may do some more.
    pub fn deployed(fit: impl FnOnce(String) -> String) -> Option<Self> {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/redis/redis.conf");
        let shipped = fs::read_to_string(shipped).expect("it is there");
        let mut server = Self::new(DATA)?;
        server.kill();
        let (own, port) = (server.dir.path().display().to_string(), server.port);
        let mut text = fit(shipped);
        for (shipped, here) in [
            ("/etc/redis/tls", server.pki.display().to_string()),
            ("/var/lib/redis", own.clone()),
            ("tls-port 6379", format!("tls-port {port}\nlogfile {own}/log")),
        ] {
            assert!(text.contains(shipped), "{shipped}");
            text = text.replace(shipped, &here);
        }
        fs::write(server.dir.path().join("redis.conf"), text).expect("a configuration");
        server.start();
        Some(server)
    }

    fn start_new(lines: &str, tls: &str, sentinel: bool) -> Option<Self> {
        let named = |name| std::env::var_os(name).map(PathBuf::from);
        // Where the shared ones run, the programs are there.
        let shared = named("DARWIN_TEST_REDIS").and_then(|_| named("DARWIN_TEST_PKI"));
        let Some(pki) = shared else {
            not_run("redis", "DARWIN_TEST_REDIS names no server (scripts/services up redis)");
            return None;
        };
        let dir = tempfile::tempdir().expect("a directory");
        let (port, at, keys) = (free_port(), dir.path().display(), pki.display());
        let text = format!(
            "bind 127.0.0.1\nport 0\ntls-port {port}\ntls-protocols \"{tls}\"\ntls-auth-clients yes\n\
             tls-replication yes\ntls-ca-cert-file {keys}/ca.pem\ntls-cert-file {keys}/server.pem\n\
             tls-key-file {keys}/server.key\ndir {at}\ndaemonize no\nlogfile {at}/log\n{lines}\n"
        );
        fs::write(dir.path().join("redis.conf"), text).expect("a configuration");
        let mut server = Self { dir, pki, port, sentinel, child: None };
        server.start();
        Some(server)
    }

    /// Starts it, after it was killed as well.
    pub fn start(&mut self) {
        // It ends with this process, however that ends.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "--", "redis-server"])
            .arg(self.dir.path().join("redis.conf"));
        if self.sentinel {
            command.arg("--sentinel");
        }
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(quiet.spawn().expect("redis-server starts"));
        self.wait(&["PING"], &["PONG", "NOAUTH"]);
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it can be waited for");
        }
    }

    /// Stops it without an end, or lets it go on.
    pub fn freeze(&self, freeze: bool) {
        let pid = self.child.as_ref().expect("it runs").id();
        let signal = if freeze { "-STOP" } else { "-CONT" };
        let done = Command::new("kill").args([signal, &pid.to_string()]).status();
        assert!(done.is_ok_and(|status| status.success()));
    }

    /// `redis-cli` with these arguments, and with a certificate or without.
    pub fn command(&self, certificate: bool, arguments: &[&str]) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--tls", "--cacert"]);
        command.arg(self.pki.join("ca.pem"));
        if certificate {
            command.arg("--cert").arg(self.pki.join("client.pem"));
            command.arg("--key").arg(self.pki.join("client.key"));
        }
        command.args(arguments);
        command
    }

    /// What it answers.
    pub fn says(&self, arguments: &[&str]) -> String {
        let done = self.command(true, arguments).output().expect("redis-cli");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    /// Waits until it answers one of these.
    pub fn wait(&self, arguments: &[&str], answers: &[&str]) {
        let deadline = Instant::now() + READY;
        while !answers.iter().any(|answer| self.says(arguments).contains(answer)) {
            assert!(
                Instant::now() < deadline,
                "{arguments:?}: {}\n{}",
                self.says(arguments),
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The certificates of all servers.
    pub fn pki(&self) -> &Path {
        &self.pki
    }

    /// The URL of this server by itself.
    pub fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}/?{}", self.port, query(&self.pki))
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _gone = child.kill().and_then(|()| child.wait());
        }
    }
}

/// What a URL says of certificates.
pub fn query(pki: &Path) -> String {
    let pki = pki.display();
    format!("sslrootcert={pki}/ca.pem&sslcert={pki}/client.pem&sslkey={pki}/client.key")
}

/// Servers that stand in for one another.
pub struct Group {
    /// Those with data.
    pub servers: Vec<Redis>,
    /// Those that watch them, if any.
    pub sentinels: Vec<Redis>,
}

impl Group {
    /// Three masters of a cluster, with a replica each.
    pub fn cluster() -> Option<Self> {
        let lines = format!(
            "{DATA}cluster-enabled yes\ncluster-node-timeout 2000\n\
             cluster-replica-validity-factor 0\ntls-cluster yes\n"
        );
        let servers: Vec<_> = (0..6).map_while(|_| Redis::new(&lines)).collect();
        let first = servers.first()?;
        let places: Vec<_> = servers.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        let mut create = vec!["--cluster", "create"];
        create.extend(places.iter().map(String::as_str));
        create.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        let made = first.command(true, &create).output().expect("redis-cli");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let group = Self { servers, sentinels: Vec::new() };
        group.ready();
        Some(group)
    }

    /// A master with two replicas, watched by three sentinels.
    pub fn sentinels() -> Option<Self> {
        let master = Redis::new(DATA)?;
        let lines = format!("{DATA}replicaof 127.0.0.1 {}\n", master.port);
        let watch = format!(
            "sentinel monitor mine 127.0.0.1 {} 2\nsentinel down-after-milliseconds mine 1000\n\
             sentinel failover-timeout mine 5000\n",
            master.port
        );
        let mut servers = vec![master];
        servers.extend((0..2).map_while(|_| Redis::new(&lines)));
        let new = |_| Redis::start_new(&watch, "TLSv1.3", true);
        let group = Self { servers, sentinels: (0..3).map_while(new).collect() };
        group.ready();
        Some(group)
    }

    /// Waits until each can take over from another.
    pub fn ready(&self) {
        for server in &self.servers {
            let deadline = Instant::now() + READY;
            loop {
                let state = server.says(&["INFO", "replication"]);
                let whole = self.sentinels.is_empty();
                let cluster = !whole || server.says(&["CLUSTER", "INFO"]).contains("state:ok");
                let follows = state.contains("master_link_status:up");
                if cluster && (follows || state.contains("role:master")) {
                    break;
                }
                assert!(Instant::now() < deadline, "{state}\n{}", server.log());
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        for sentinel in &self.sentinels {
            sentinel.wait(&["INFO", "sentinel"], &["slaves=2,sentinels=3"]);
        }
    }

    /// The URL of all of them.
    pub fn url(&self) -> String {
        let (scheme, named, path) = if self.sentinels.is_empty() {
            ("rediss-cluster", &self.servers, "")
        } else {
            ("rediss-sentinel", &self.sentinels, "mine")
        };
        let places: Vec<_> = named.iter().map(|one| format!("127.0.0.1:{}", one.port)).collect();
        format!("{scheme}://{}/{path}?{}", places.join(","), query(named[0].pki()))
    }

    /// The slot of a key.
    pub fn slot(&self, key: &str) -> String {
        self.servers[0].says(&["CLUSTER", "KEYSLOT", key])
    }

    /// The server that takes writes; of a cluster, those of this key.
    pub fn master(&mut self, key: &str) -> &mut Redis {
        let port: u16 = if self.sentinels.is_empty() {
            let slot: u16 = self.slot(key).parse().expect("a slot");
            let table = self.servers[0].says(&["CLUSTER", "NODES"]);
            let holds = |line: &&str| {
                let ranges = line.split_whitespace().skip(8);
                ranges.filter_map(|range| range.split_once('-')).any(|(first, last)| {
                    let bounds = (first.parse::<u16>(), last.parse::<u16>());
                    matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&slot))
                })
            };
            let line = table.lines().find(holds).expect("somebody has the slot");
            let place = line.split_whitespace().nth(1).expect("a place");
            let place = place.split('@').next().and_then(|place| place.rsplit_once(':'));
            place.expect("a place").1.parse().expect("a port")
        } else {
            let said = self.sentinels[0].says(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mine"]);
            said.lines().nth(1).expect("a master").parse().expect("a port")
        };
        self.servers.iter_mut().find(|server| server.port == port).expect("one of them")
    }
}
