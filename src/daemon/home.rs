//! One daemon to a home: a lock that the system frees when its holder ends, however it ends. And
//! one home to a daemon: it ends when that is gone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{fs::FlockOperation, io::Errno};

use crate::{code::Code, link::files};

/// How long the lock of a daemon that is gone is waited for: a child that it had just forked when
/// it was killed has the file open until it has become another program.
const LINGER: Duration = Duration::from_secs(5);
/// How often it is looked for.
const LOOKS: Duration = Duration::from_millis(5);

/// Why the home could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another daemon has it.
    #[error("another daemon{holder} runs on {dir}: `darwin status` shows it, `darwin down` ends it", dir = dir.display())]
    Taken {
        /// The home's data directory.
        dir: PathBuf,
        /// " (process N)", if that is known.
        holder: String,
    },
    /// The system refused.
    #[error("can't lock {path}: {source}; the daemon must be able to write there", path = path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory could not be made.
    #[error(transparent)]
    Files(#[from] crate::link::error::LinkError),
}

impl HomeError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Taken { .. } => Code::Conflict,
            Self::Lock { source, .. } => Code::of(source, Code::Config),
            Self::Files(error) => error.code(),
        }
    }
}

/// The lock on a home, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that was just forked may have the file open still; closing it is not enough.
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Takes the home whose data lies in `dir`.
    ///
    /// # Errors
    /// If another process has it, or the system refuses.
    pub fn take(dir: &Path) -> Result<Self, HomeError> {
        files::make_dir(dir)?;
        let path = dir.join("darwind.lock");
        let fault = |source| HomeError::Lock { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fault)?;
        let until = Instant::now() + LINGER;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(fault(error.into())),
            }
            file.rewind().map_err(fault)?;
            let mut holder = String::new();
            let read = (&file).take(20).read_to_string(&mut holder);
            let holder = read.ok().and_then(|_| holder.trim().parse::<u32>().ok());
            // One that is being ended has no program any more, but its files for a moment.
            let gone = holder.is_some_and(|pid| {
                let program = fs::read_link(format!("/proc/{pid}/exe"));
                program.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            });
            if !gone || Instant::now() >= until {
                let holder = holder.map_or_else(String::new, |pid| format!(" (process {pid})"));
                return Err(HomeError::Taken { dir: dir.to_owned(), holder });
            }
            thread::sleep(LOOKS);
        }
        // The number is for people; the lock is what counts.
        file.set_len(0).map_err(fault)?;
        file.rewind().map_err(fault)?;
        writeln!(file, "{}", std::process::id()).map_err(fault)?;
        Ok(Self { file, path })
    }

    /// Waits until the lock's file is no longer where it was, looking as often as that: the home was
    /// removed, and whoever makes another in its place would find no lock on it.
    ///
    /// # Errors
    /// If the file that is locked can't be looked at.
    pub fn gone(&self, every: Duration) -> io::Result<impl Future<Output = ()> + Send + use<>> {
        let held = self.file.metadata()?;
        let path = self.path.clone();
        Ok(async move {
            loop {
                tokio::time::sleep(every).await;
                match tokio::fs::symlink_metadata(&path).await {
                    Ok(found) if (found.dev(), found.ino()) == (held.dev(), held.ino()) => {}
                    Ok(_) => return,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                    // A disk that does not answer for a while is no reason to end.
                    Err(_) => {}
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_home_is_taken_once_and_free_again_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("data");
        let lock = Lock::take(&home).unwrap();
        let error = Lock::take(&home).unwrap_err();
        assert_eq!(error.code(), Code::Conflict);
        let process = format!("(process {})", std::process::id());
        assert!(error.to_string().contains(&process), "{error}");
        drop(lock);
        Lock::take(&home).unwrap();
    }

    #[test]
    fn what_a_killed_daemon_had_just_forked_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path()).unwrap();
        // As it stands when the holder is gone: no process has this number.
        fs::write(dir.path().join("darwind.lock"), "4194305\n").unwrap();
        let child = thread::spawn(move || {
            thread::sleep(10 * LOOKS);
            drop(lock);
        });
        Lock::take(dir.path()).unwrap();
        child.join().unwrap();
    }

    #[tokio::test]
    async fn a_home_is_gone_with_its_lock_or_once_another_lies_there() {
        let dir = tempfile::tempdir().unwrap();
        let (home, away) = (dir.path().join("data"), dir.path().join("away"));
        let lock = Lock::take(&home).unwrap();
        let every = Duration::from_millis(5);
        let (soon, long) = (Duration::from_millis(100), Duration::from_secs(60));
        let within = async |limit, lock: &Lock| {
            tokio::time::timeout(limit, lock.gone(every).unwrap()).await.is_ok()
        };
        assert!(!within(soon, &lock).await, "it is there");
        std::fs::rename(&home, &away).unwrap();
        assert!(within(long, &lock).await);
        let other = Lock::take(&home).unwrap();
        assert!(within(long, &lock).await);
        assert!(!within(soon, &other).await);
    }
}
