//! A PostgreSQL server of a test's own, to be killed: with TLS and certificates as the shared one.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::required::not_run;

/// A server that runs, until it is killed or dropped.
pub struct Postgres {
    dir: tempfile::TempDir,
    bin: PathBuf,
    pki: PathBuf,
    port: u16,
    postmaster: Option<Child>,
}

impl Postgres {
    /// A new one with an empty database; none where `scripts/services up postgres` did not run,
    /// which fails where `DARWIN_TEST_REQUIRE` has `postgres` among its words.
    pub fn new(configuration: &str) -> Option<Self> {
        let named = |name| std::env::var_os(name).map(PathBuf::from);
        let Some((bin, pki)) = named("DARWIN_TEST_POSTGRES_BIN").zip(named("DARWIN_TEST_PKI"))
        else {
            not_run(
                "postgres",
                "DARWIN_TEST_POSTGRES_BIN names none (scripts/services up postgres)",
            );
            return None;
        };
        let mut server = Self::empty(&bin, &pki);
        let made = server
            .command("initdb")
            .args(["-U", "postgres", "--auth=trust", "--data-checksums", "-E", "UTF8", "-D"])
            .arg(server.path().join("db"))
            .output()
            .expect("initdb");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.configure(configuration);
        server.start();
        server.sql("postgres", "CREATE ROLE darwin LOGIN");
        server.sql("postgres", "CREATE DATABASE darwin OWNER darwin");
        Some(server)
    }

    /// One without anything in it, that does not run.
    fn empty(bin: &Path, pki: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        let at = |name: &str| dir.path().join(name);
        for name in ["ca.pem", "server.pem", "server.key"] {
            fs::copy(pki.join(name), at(name)).expect("certificates");
        }
        fs::set_permissions(at("server.key"), fs::Permissions::from_mode(0o600)).expect("a mode");
        // Root may not run a server.
        let owned = Command::new("chown").args(["-R", "postgres:"]).arg(dir.path()).status();
        assert!(!root() || owned.is_ok_and(|status| status.success()));
        Self { dir, bin: bin.to_owned(), pki: pki.to_owned(), port, postmaster: None }
    }

    fn configure(&self, configuration: &str) {
        let at = |name: &str| self.dir.path().join(name);
        let dir = self.dir.path().display();
        let port = self.port;
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{dir}'\n\
             ssl = on\nssl_min_protocol_version = 'TLSv1.3'\nssl_ca_file = '{dir}/ca.pem'\n\
             ssl_cert_file = '{dir}/server.pem'\nssl_key_file = '{dir}/server.key'\n\
             max_connections = 30\n{configuration}\n"
        );
        let conf = at("db/postgresql.conf");
        let before = fs::read_to_string(&conf).expect("a configuration");
        fs::write(conf, before + &settings).expect("a configuration");
        let access = "local all all trust\nlocal replication all trust\nhostssl all all 127.0.0.1/32 cert\n\
                      hostnossl all darwin 127.0.0.1/32 trust\n";
        fs::write(at("db/pg_hba.conf"), access).expect("a configuration");
    }

    /// A program of PostgreSQL's, as the user that may run a server.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        if !root() {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
        command.current_dir(self.dir.path());
        command
    }

    /// Starts it, after it was killed as well.
    pub fn start(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let log = fs::File::options().create(true).append(true).open(self.log_path());
            let child = self
                .command("postgres")
                .arg("-D")
                .arg(self.dir.path().join("db"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log.expect("a log"))
                .spawn()
                .expect("postgres starts");
            let child = self.postmaster.insert(child);
            loop {
                assert!(Instant::now() < deadline, "{}", self.log());
                // What the killed one left at work holds it up for a moment.
                if child.try_wait().expect("a child").is_some() {
                    break;
                }
                if psql(&self.bin, self.dir.path(), self.port, "postgres", "SELECT 1") {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills the postmaster as `kill -9` does; what it has at work ends with it.
    pub fn kill(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            postmaster.kill().expect("it can be killed");
            postmaster.wait().expect("it can be waited for");
        }
    }

    /// Executes SQL as the superuser, in that database.
    pub fn sql(&self, database: &str, sql: &str) {
        let done = psql(&self.bin, self.dir.path(), self.port, database, sql);
        assert!(done, "{sql}\n{}", self.log());
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        self.url_of(&format!("localhost:{}", self.port))
    }

    /// The URL of its database, without TLS.
    pub fn plaintext_url(&self) -> String {
        format!("postgres://darwin@127.0.0.1:{}/darwin?plaintext=loopback", self.port)
    }

    /// The URL of the database that is on this server or on that one, whichever takes writes.
    pub fn url_with(&self, other: &Self) -> String {
        self.url_of(&format!("localhost:{},localhost:{}", self.port, other.port))
    }

    fn url_of(&self, servers: &str) -> String {
        let pki = self.pki.display();
        format!(
            "postgres://darwin@{servers}/darwin?sslrootcert={pki}/ca.pem&\
             sslcert={pki}/client.pem&sslkey={pki}/client.key"
        )
    }

    /// A standby of it, without which it acknowledges nothing from now on.
    pub fn standby(&self) -> Self {
        let standby = Self::empty(&self.bin, &self.pki);
        let copied = standby
            .command("pg_basebackup")
            .args(["-U", "postgres", "-R", "-c", "fast", "-d"])
            .arg(format!(
                "host={} port={} application_name=standby",
                self.path().display(),
                self.port
            ))
            .arg("-D")
            .arg(standby.path().join("db"))
            .output()
            .expect("pg_basebackup");
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        standby.configure("");
        let mut standby = standby;
        standby.start();
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'standby'");
        self.sql("postgres", "SELECT pg_reload_conf()");
        standby
    }

    /// Makes it the one that takes writes, on its own.
    pub fn promote(&self) {
        self.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''");
        self.sql("postgres", "SELECT pg_promote()");
    }

    /// Its database as `pg_dump` writes it.
    pub fn dump(&self) -> Vec<u8> {
        let mut dump = Command::new(self.bin.join("pg_dump"));
        dump.args(["-U", "postgres", "-p", &self.port.to_string(), "-h"]);
        let dumped = dump.arg(self.path()).arg("darwin").output().expect("pg_dump");
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        dumped.stdout
    }

    /// The directory with all of its files.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut postmaster) = self.postmaster.take() {
            let _gone = postmaster.kill().and_then(|()| postmaster.wait());
        }
    }
}

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

fn psql(bin: &Path, dir: &Path, port: u16, database: &str, sql: &str) -> bool {
    let mut command = Command::new(bin.join("psql"));
    command.args(["-q", "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-h"]).arg(dir);
    command.args(["-p", &port.to_string(), "-d", database, "-c", sql]);
    command.output().is_ok_and(|done| done.status.success())
}
