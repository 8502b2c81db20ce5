//! What can go wrong in a store, and the damage that a check finds.

use std::{fmt, fs::File, io, path::Path};

use crate::code::Code;

/// What a store could not do. Each message is a sentence for the user with the next step in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the quota is full; nothing was changed.
    #[error("{doing}: no space is left there; free some, and it works again ({source})")]
    Full {
        /// What was being done, with the file.
        doing: String,
        /// The system's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system refused a file operation.
    #[error("{doing}: {source}; see to the file or the disk, then start the daemon again")]
    Io {
        /// What was being done, with the file.
        doing: String,
        /// The system's error.
        source: io::Error,
    },
    /// The database refused.
    #[error(
        "{doing} failed in the database: {source}; `darwin store verify` checks what is stored"
    )]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// The database's error.
        source: rusqlite::Error,
    },
    /// A database on a server refused, or its answer is not what was stored.
    #[error("{doing} failed in the database: {source}; its own log tells more")]
    Server {
        /// What was being done.
        doing: &'static str,
        /// The database's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A server can't be reached, or the connection broke: what was asked for may have been done.
    #[error(
        "{doing}: {server} can't be reached ({source}); see whether it runs, the daemon tries again by itself"
    )]
    Unreachable {
        /// What was being done.
        doing: &'static str,
        /// Which server.
        server: String,
        /// What the connection or the server said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A server is not one that may be used, or is named wrongly.
    #[error("store.{tier}: {why}")]
    Address {
        /// Which tier.
        tier: &'static str,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Stored data is damaged.
    #[error("{0}; nothing was changed, `darwin store verify` checks the rest")]
    Corrupt(Damage),
    /// Another process uses the data directory.
    #[error(
        "{dir} is in use by another daemon; stop that one with `darwin down` or choose another directory"
    )]
    Locked {
        /// The directory.
        dir: String,
    },
    /// A URL of a kind that there is no back end for.
    #[error("store.{tier} names the unknown kind “{scheme}:”; there are {known}")]
    Place {
        /// Which tier.
        tier: &'static str,
        /// The URL's scheme.
        scheme: String,
        /// The kinds that there are.
        known: &'static str,
    },
    /// The database was written by an incompatible version.
    #[error("the database has schema version {found}, this program knows {known}; {}", version_advice(*.found, *.known))]
    Version {
        /// The version found.
        found: i64,
        /// The version that this program writes.
        known: i64,
    },
    /// A change does not fit the rows that are there.
    #[error("{what}; nothing was changed, show what is there and choose another id if need be")]
    Conflict {
        /// What is there already, or is not.
        what: String,
    },
    /// A bound is reached.
    #[error("{what}; ask for less, or try again later")]
    Exhausted {
        /// Which bound.
        what: String,
    },
    /// The store failed before and must be opened anew.
    #[error(
        "the store stands still after an error ({0}); it goes on by itself when it can, or when the daemon starts again"
    )]
    Broken(String),
    /// A task of the store was cancelled or panicked.
    #[error("a task of the store did not end; start the daemon again to recover")]
    Cancelled,
}

fn version_advice(found: i64, known: i64) -> &'static str {
    if found > known {
        "use the newer program that wrote it"
    } else {
        "its migration is missing from this program"
    }
}

/// One thing that is wrong with what is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file or table.
    pub place: String,
    /// Where in it, in bytes, where that is known.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offset {
            Some(offset) => write!(f, "{} at byte {offset}: {}", self.place, self.what),
            None => write!(f, "{}: {}", self.place, self.what),
        }
    }
}

impl StoreError {
    /// The error of a file operation.
    #[must_use]
    pub fn io(doing: &str, path: &Path, source: io::Error) -> Self {
        let doing = format!("{doing} {}", path.display());
        if full(&source) {
            Self::Full { doing, source: Box::new(source) }
        } else {
            Self::Io { doing, source }
        }
    }

    /// The error of a database operation.
    #[must_use]
    pub fn sql(doing: &'static str, source: rusqlite::Error) -> Self {
        // A shared-memory file that can't grow is how a full disk shows when a database is opened.
        let full = source.sqlite_error().is_some_and(|error| {
            error.code == rusqlite::ErrorCode::DiskFull
                || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
        });
        if full {
            let doing = format!("{doing} (the database)");
            return Self::Full { doing, source: Box::new(source) };
        }
        match source.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Corrupt(Damage {
                    place: "the database".to_owned(),
                    offset: None,
                    what: format!("{doing}: {source}"),
                })
            }
            _ => Self::Sql { doing, source },
        }
    }

    /// Stored data that is not what it should be.
    #[must_use]
    pub fn corrupt(place: impl Into<String>, offset: Option<u64>, what: impl Into<String>) -> Self {
        Self::Corrupt(Damage { place: place.into(), offset, what: what.into() })
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Full { .. } | Self::Exhausted { .. } => Code::Exhausted,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Code::Denied
            }
            Self::Io { .. }
            | Self::Sql { .. }
            | Self::Server { .. }
            | Self::Unreachable { .. }
            | Self::Broken(_)
            | Self::Cancelled => Code::Unavailable,
            Self::Corrupt(_) => Code::Corrupt,
            Self::Locked { .. } | Self::Conflict { .. } => Code::Conflict,
            Self::Version { .. } | Self::Place { .. } | Self::Address { .. } => Code::Config,
        }
    }
}

/// Makes the name of a new file or folder durable.
///
/// # Errors
/// If the system refuses.
pub fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or_else(|| Path::new("."));
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StoreError::io("syncing", parent, error))
}

/// Whether the disk or the quota is full.
fn full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
