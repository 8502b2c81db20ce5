//! A real daemon on free ports with a home of its own, for tests and benchmarks.

mod guard;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use darwin::{
    config::Paths,
    domain::id::RunId,
    link::{
        client::Link,
        endpoint::Endpoint,
        pki::{Pki, Usage},
    },
    wire::v1,
};

use guard::Guard;

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A home directory and the daemon in it, if one runs. Dropping it ends both.
pub struct Home {
    _guard: Guard,
    dir: tempfile::TempDir,
    daemon: Option<Child>,
}

impl Home {
    /// An empty home without a daemon.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { _guard: Guard::of(dir.path()), dir, daemon: None }
    }

    /// The home's directory.
    #[allow(dead_code, reason = "not every user of this module needs it")]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    fn paths(&self) -> Paths {
        Paths::under(self.dir.path())
    }

    /// Starts the daemon and connects to it.
    pub async fn start(&mut self) -> Link {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("darwind.log"))
            .expect("a log file");
        let child = Command::new(env!("CARGO_BIN_EXE_darwind"))
            .env("DARWIN_HOME", self.dir.path())
            // As `darwin` and systemd start it.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("darwind starts");
        let pid = child.id();
        self.daemon = Some(child);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(Some(endpoint)) = Endpoint::read(&self.paths().run_dir)
                && endpoint.pid == pid
            {
                let identity = Pki::at(self.paths().pki()).identity(Usage::Client);
                let identity = identity.expect("the daemon made a client certificate");
                if let Ok(link) = Link::connect(&endpoint, &identity).await {
                    return link;
                }
            }
            let ended = self.daemon.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "darwind ended: {ended:?}\n{}", self.log());
            assert!(Instant::now() < deadline, "darwind is not ready\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the daemons of this home wrote.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("darwind.log")).unwrap_or_default()
    }

    /// The running daemon's process.
    #[allow(dead_code, reason = "not every user of this module needs it")]
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon runs").id()
    }

    /// The daemon's resident memory, in KiB.
    #[allow(dead_code, reason = "not every user of this module needs it")]
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    #[allow(dead_code, reason = "not every user of this module needs it")]
    /// Kills the daemon as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("the daemon can be killed");
            daemon.wait().expect("the daemon can be waited for");
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _gone = daemon.kill().and_then(|()| daemon.wait());
        }
    }
}

/// A request that starts `spec`, a `darwin.toml` without files.
pub fn start_request(id: RunId, spec: &str) -> v1::StartRequest {
    v1::StartRequest {
        run_id: id.as_bytes().to_vec().into(),
        spec_toml: spec.to_owned(),
        sandbox: "full".to_owned(),
        ..Default::default()
    }
}

#[allow(dead_code, reason = "not every user of this module needs it")]
/// Waits until the run is no longer running.
pub async fn finished(link: &Link, id: RunId, patience: Duration) -> v1::Run {
    let deadline = Instant::now() + patience;
    loop {
        let run = show(link, id).await;
        if run.state != "running" {
            return run;
        }
        assert!(Instant::now() < deadline, "the run does not end: {run:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The run as it is now.
pub async fn show(link: &Link, id: RunId) -> v1::Run {
    let run = v1::RunRef { run: id.to_string() };
    link.runs().show(run).await.expect("the run is there").into_inner()
}

/// An agent's genome digest, its scores, and how it was judged.
pub type Outcome = (String, Vec<u64>, String);

/// (generation, slot) → outcome of every agent of a run, by its journals.
#[allow(dead_code, reason = "not every user of this module needs it")]
pub async fn results(link: &Link, id: RunId) -> BTreeMap<(u64, u32), Outcome> {
    let mut results = BTreeMap::new();
    let mut cursor = Vec::new().into();
    loop {
        let request =
            v1::JournalRequest { of: id.to_string(), limit: 1000, cursor, ..Default::default() };
        let page = link.journals().read(request).await.expect("the journal reads").into_inner();
        for entry in page.entries {
            let (mut place, mut outcome) = (None, Outcome::default());
            for event in entry.events {
                match event.event {
                    Some(v1::event::Event::Proposed(proposed)) => {
                        place = Some((proposed.generation, proposed.slot));
                        outcome.0 = proposed.genome;
                    }
                    Some(v1::event::Event::Evaluated(evaluated)) => {
                        let scores = evaluated.evaluation.map(|e| e.scores).unwrap_or_default();
                        outcome.1 = scores.into_iter().map(f64::to_bits).collect();
                    }
                    Some(v1::event::Event::Judged(judged)) => outcome.2 = judged.verdict,
                    None => {}
                }
            }
            let slot = place.expect("an agent is proposed");
            let twice = results.insert(slot, outcome);
            assert!(twice.is_none(), "{slot:?} is there twice");
        }
        if page.cursor.is_empty() {
            return results;
        }
        cursor = page.cursor;
    }
}

/// Where the package lies.
#[allow(dead_code, reason = "not every user of this module needs it")]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
