//! The three tiers: cold (immutable blocks), warm (rows), hot (volatile state).

pub mod error;
pub mod cold;
pub mod warm;
pub mod hot;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use cold::{Cold, file::FileCold, memory::MemoryCold};
use error::{StoreError, sync_parent};
use hot::{Hot, memory::MemoryHot, redis::RedisHot};
use url::form_urlencoded;
use warm::{Warm, WarmBackend, memory::MemoryWarm, postgres::PostgresWarm, sqlite::SqliteWarm};

/// What URLs of Redis begin with.
const HOT_SCHEMES: [&str; 6] =
    ["rediss", "rediss-sentinel", "rediss-cluster", "redis", "redis-sentinel", "redis-cluster"];

/// Where the tiers are, by URL; see `default.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places<'a> {
    /// `file:` or `memory:`.
    pub cold: &'a str,
    /// `sqlite:`, `postgres:` or `memory:`.
    pub warm: &'a str,
    /// `memory:`, or Redis: `rediss:`, `rediss-sentinel:`, `rediss-cluster:`, or without the second
    /// `s` in plain text on this machine.
    pub hot: &'a str,
    /// The size at which a segment is closed, in bytes.
    pub segment: u64,
}

impl Places<'_> {
    /// The files and folders of the tiers, and the secrets for those on servers; paths that are not
    /// named are in `dir`.
    #[must_use]
    pub fn paths(&self, dir: &Path) -> Vec<PathBuf> {
        let on_disk = [("file:", self.cold, "cold"), ("sqlite:", self.warm, "warm.db")];
        let named = on_disk
            .iter()
            .filter_map(|(kind, url, usual)| Some(path(dir, url.strip_prefix(kind)?, usual)));
        let queries = [self.warm, self.hot].map(|url| url.split_once('?').map_or("", |it| it.1));
        let options = queries.iter().flat_map(|query| form_urlencoded::parse(query.as_bytes()));
        let secrets = options.filter(|(key, _)| ["sslkey", "password_file"].contains(&&**key));
        named.chain(secrets.map(|(_, file)| PathBuf::from(file.as_ref()))).collect()
    }
}

/// Where a tier lies whose URL ends in `rest`.
fn path(dir: &Path, rest: &str, usual: &str) -> PathBuf {
    dir.join(if rest.is_empty() { usual } else { rest.trim_start_matches("//") })
}

/// The three tiers of one data directory, which no other process uses meanwhile.
#[derive(Clone)]
pub struct Stores {
    /// Immutable blocks.
    pub cold: Cold,
    /// Rows.
    pub warm: Warm,
    /// Volatile state.
    pub hot: Hot,
    _lock: Arc<Lock>,
}

/// The lock of a data directory. The system lets go of it when the process ends; dropping it
/// does so too, even while a child that was just forked has the file open still.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing it, which comes next, is the same but for that child.
        let _ = self.0.unlock();
    }
}

impl Stores {
    /// The tiers at `places`; paths that they don't name are in `dir`, which is made if need be.
    ///
    /// # Errors
    /// If another process uses `dir`, a URL is of an unknown kind, or a tier can't be opened.
    ///
    /// # Panics
    /// Outside of a Tokio runtime, if a tier is on servers.
    pub fn open(dir: &Path, places: &Places<'_>) -> Result<Self, StoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| StoreError::io("making", dir, error))?;
        sync_parent(dir)?;
        let lock = lock(dir)?;
        let cold = match places.cold.split_once(':') {
            Some(("file", rest)) => {
                Cold::new(Arc::new(FileCold::new(&path(dir, rest, "cold"), places.segment)?))
            }
            Some(("memory", "")) => Cold::new(Arc::new(MemoryCold::default())),
            _ => return Err(unknown("cold", places.cold, "file: and memory:")),
        };
        let warm: Arc<dyn WarmBackend> = match places.warm.split_once(':') {
            Some(("sqlite", rest)) => Arc::new(SqliteWarm::file(&path(dir, rest, "warm.db"))?),
            Some(("memory", "")) => Arc::new(MemoryWarm::default()),
            Some(("postgres", _)) => Arc::new(PostgresWarm::at(places.warm)?),
            _ => return Err(unknown("warm", places.warm, "sqlite:, postgres: and memory:")),
        };
        let hot = match places.hot.split_once(':') {
            Some(("memory", "")) => Hot::new(Arc::new(MemoryHot::default())),
            Some((scheme, _)) if HOT_SCHEMES.contains(&scheme) => {
                Hot::new(Arc::new(RedisHot::at(places.hot)?))
            }
            _ => {
                let known = "memory:, rediss:, rediss-sentinel: and rediss-cluster:";
                return Err(unknown("hot", places.hot, known));
            }
        };
        Ok(Self { cold, warm: Warm::new(warm), hot, _lock: Arc::new(lock) })
    }
}

fn unknown(tier: &'static str, url: &str, known: &'static str) -> StoreError {
    let scheme = url.split(':').next().unwrap_or_default().to_owned();
    StoreError::Place { tier, scheme, known }
}

/// Takes the lock of a data directory.
fn lock(dir: &Path) -> Result<Lock, StoreError> {
    let path = dir.join("store.lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| StoreError::io("opening", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(StoreError::io("locking", &path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_agent_may_read_includes_the_secrets_for_servers() {
        let places = Places {
            cold: "file:",
            warm: "postgres://a@b/c?sslkey=/w%20k&sslcert=/c",
            hot: "rediss://b/?password_file=/p&sslkey=/h&sslrootcert=/r",
            segment: 1,
        };
        let expected = ["/data/cold", "/w k", "/p", "/h"].map(PathBuf::from);
        assert_eq!(places.paths(Path::new("/data")), expected);
    }
}
