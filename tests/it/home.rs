//! A home in a temporary directory, and the daemon that runs on it.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use darwin::{
    config::Paths,
    link::{
        client::Link,
        endpoint::Endpoint,
        pki::{Pki, Usage},
    },
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::guard::Guard;

/// The longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A home, and its daemon if one was started; both are gone at the end.
pub struct Home {
    _guard: Guard,
    dir: TempDir,
    daemon: Option<Child>,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { _guard: Guard::of(dir.path()), dir, daemon: None }
    }

    pub fn paths(&self) -> Paths {
        Paths::under(self.dir.path())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `darwind` on this home, in an environment that holds nothing else.
    pub fn darwind(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_darwind"));
        command.env_clear().env("DARWIN_HOME", self.dir.path()).env("USER", "ada");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).args(args);
        command
    }

    /// Starts the daemon and waits until it is ready. Its log goes to the file `log`.
    pub fn start(&mut self, args: &[&str]) -> Endpoint {
        let command = self.darwind(args);
        self.spawn(command)
    }

    /// As [`Home::start`], with a command of one's own.
    pub fn spawn(&mut self, mut command: Command) -> Endpoint {
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        let child = command.stderr(log).spawn().unwrap();
        let pid = child.id();
        self.daemon = Some(child);
        until("the daemon is ready", || {
            let ended = self.daemon.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {ended:?}\n{}", self.log());
            Endpoint::read(&self.paths().run_dir).unwrap().filter(|found| found.pid == pid)
        })
    }

    /// What the daemon logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.daemon.as_ref().unwrap().id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits for the daemon's end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.daemon.take().unwrap();
        until("the daemon ends", || child.try_wait().unwrap())
    }

    /// A link to the daemon, as its user's client makes it.
    pub async fn link(&self, endpoint: &Endpoint) -> Link {
        let identity = Pki::at(self.paths().pki()).identity(Usage::Client).unwrap();
        Link::connect(endpoint, &identity).await.unwrap()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(child) = &mut self.daemon {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What `check` finds, as soon as it finds something.
pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The status and the body of a GET on the admin port.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}
