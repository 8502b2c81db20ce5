//! What can be wrong with a configuration, a run specification or a suite.

use std::{io, path::Path};

use crate::code::Code;

/// A mistake in the configuration of the daemon or the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {what}")]
pub struct ConfigError {
    /// Where the mistake is: a file, an environment variable, a flag.
    pub origin: String,
    /// What is wrong, and what it should be.
    pub what: String,
    code: Code,
}

impl ConfigError {
    pub(super) fn new(origin: impl ToString, what: impl Into<String>) -> Self {
        Self { origin: origin.to_string(), what: what.into(), code: Code::Config }
    }

    pub(super) fn unread(path: &Path, error: &io::Error) -> Self {
        let what = unread(error);
        Self { code: Code::of(error, Code::Config), ..Self::new(path.display(), what) }
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

/// A mistake in a run specification, a suite, or the files that they name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct SpecError {
    /// The file, and the field in it.
    pub place: String,
    /// What is wrong, and what to do.
    pub what: String,
    code: Code,
}

impl SpecError {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), code: Code::InvalidInput }
    }

    pub(super) fn file(path: &Path, what: impl Into<String>) -> Self {
        Self::new(path.display().to_string(), what)
    }

    pub(super) fn unread(path: &Path, error: &io::Error) -> Self {
        let what = unread(error);
        Self { code: Code::of(error, Code::InvalidInput), ..Self::file(path, what) }
    }

    /// The same mistake, found in `file`.
    #[must_use]
    pub(super) fn within(mut self, file: &Path) -> Self {
        self.place = format!("{}: {}", file.display(), self.place);
        self
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }
}

/// Why a file can't be read, and what to do.
fn unread(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("cannot be read: {error}; let this user read it (`ls -ld` shows who may)")
        }
        _ => format!("cannot be read: {error}"),
    }
}
