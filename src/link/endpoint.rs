//! Where the daemon of a home answers: a file that it writes when it is ready and removes when
//! it ends. One that a killed daemon left behind is told by its process.

use std::{net::SocketAddr, path::Path};

use rustix::{io::Errno, process::Pid};
use serde::{Deserialize, Serialize};

use super::{error::LinkError, files};

/// Its name in the run directory.
const FILE: &str = "endpoint.json";
/// The largest such file.
const MAX_FILE: u64 = 4 << 10;

/// Where a daemon answers, and which it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its TLS port: gRPC and WebSocket.
    pub address: SocketAddr,
    /// Its port for health and metrics, on loopback.
    pub admin: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_ms: u64,
}

impl Endpoint {
    /// What the file in the run directory `dir` says; `None` if there is none, or the process it names is gone.
    ///
    /// That the process lives does not prove that it is the daemon (numbers are used again):
    /// [`super::client::Link::connect`] tells, by its certificate.
    ///
    /// # Errors
    /// If the file can't be read or makes no sense.
    pub fn read(dir: &Path) -> Result<Option<Self>, LinkError> {
        let path = dir.join(FILE);
        let Some(content) = files::read(&path, MAX_FILE)? else { return Ok(None) };
        let endpoint: Self = serde_json::from_slice(&content).map_err(|error| {
            LinkError::Damaged { path, reason: error.to_string(), remedy: "it".to_owned() }
        })?;
        Ok(process_lives(endpoint.pid).then_some(endpoint))
    }

    /// Writes it to `dir`, mode 0600, in one step.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn publish(&self, dir: &Path) -> Result<(), LinkError> {
        files::make_dir(dir)?;
        let mut content =
            serde_json::to_vec_pretty(self).map_err(|error| LinkError::Issue(error.to_string()))?;
        content.push(b'\n');
        files::write(&dir.join(FILE), &content)
    }

    /// Removes the file from `dir`.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn withdraw(dir: &Path) -> Result<(), LinkError> {
        // Where the home was removed and made anew, another daemon may have written it.
        if matches!(Self::read(dir), Ok(Some(other)) if other.pid != std::process::id()) {
            return Ok(());
        }
        files::remove(&dir.join(FILE))
    }
}

/// Whether a process of that number is there and has not ended. (One that has ended stays in
/// the table until its parent asks for it, which in a container may be never.)
#[must_use]
pub fn process_lives(pid: u32) -> bool {
    // proc_pid_stat(5): the state follows the name, which is in parentheses.
    if let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        return !matches!(state, Some('Z' | 'X'));
    }
    // It is gone, or the files of others' processes are hidden here: ask the other way.
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // One of another user may not be signalled, but it lives.
    pid.is_some_and(|pid| {
        matches!(rustix::process::test_kill_process(pid), Ok(()) | Err(Errno::PERM))
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::MetadataExt as _,
        process::{Command, Stdio},
        time::{Duration, Instant},
    };

    use super::*;

    fn endpoint(pid: u32) -> Endpoint {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Endpoint { address: at(4000), admin: at(4001), pid, started_ms: 5 }
    }

    #[test]
    fn the_file_is_private_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        assert_eq!(Endpoint::read(&path).unwrap(), None);
        let mine = endpoint(std::process::id());
        mine.publish(&path).unwrap();
        assert_eq!(Endpoint::read(&path).unwrap(), Some(mine));
        assert_eq!(fs::metadata(path.join(FILE)).unwrap().mode() & 0o777, 0o600);
        Endpoint::withdraw(&path).unwrap();
        Endpoint::withdraw(&path).unwrap();
        assert_eq!(Endpoint::read(&path).unwrap(), None);
    }

    #[test]
    fn the_file_of_another_daemon_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut other = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        endpoint(other.id()).publish(dir.path()).unwrap();
        Endpoint::withdraw(dir.path()).unwrap();
        assert!(Endpoint::read(dir.path()).unwrap().is_some());
        drop(other.stdin.take());
        other.wait().unwrap();
        Endpoint::withdraw(dir.path()).unwrap();
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn the_file_of_a_dead_process_counts_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        endpoint(child.id()).publish(path).unwrap();
        assert!(Endpoint::read(path).unwrap().is_some());
        // Ended, but nobody has asked how yet.
        drop(child.stdin.take());
        let begun = Instant::now();
        while Endpoint::read(path).unwrap().is_some() {
            assert!(begun.elapsed() < Duration::from_secs(10), "a zombie counts as alive");
        }
        child.wait().unwrap();
        assert_eq!(Endpoint::read(path).unwrap(), None);
    }

    #[test]
    fn rubbish_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "{").unwrap();
        let error = Endpoint::read(dir.path()).unwrap_err();
        assert!(error.to_string().contains("endpoint.json"), "{error}");
    }
}
