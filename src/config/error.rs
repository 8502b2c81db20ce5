//! What can be wrong with a configuration, a run specification or a suite.

use std::path::Path;

use crate::code::Code;

/// A mistake in the configuration of the daemon or the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {what}")]
pub struct ConfigError {
    /// Where the mistake is: a file, an environment variable, a flag.
    pub origin: String,
    /// What is wrong, and what it should be.
    pub what: String,
}

impl ConfigError {
    pub(super) fn new(origin: impl ToString, what: impl Into<String>) -> Self {
        Self { origin: origin.to_string(), what: what.into() }
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::Config
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
}

impl SpecError {
    pub(super) fn new(place: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into() }
    }

    pub(super) fn file(path: &Path, what: impl Into<String>) -> Self {
        Self::new(path.display().to_string(), what)
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
        Code::InvalidInput
    }
}
