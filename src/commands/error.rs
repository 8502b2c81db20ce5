//! How a command fails: a stable code, one sentence, what to do next, and an exit status.

use std::{fmt, io};

use crate::{
    code::Code,
    config::error::{ConfigError, SpecError},
    link::error::LinkError,
    wire::fault::Fault,
};

/// The exit status after Ctrl-C, as shells use it (128 + SIGINT).
pub const INTERRUPTED: u8 = 130;

/// Why a command ends without success.
#[derive(Debug)]
pub enum Failure {
    /// Something went wrong.
    Fault {
        /// What kind of thing.
        code: Code,
        /// What, in one sentence.
        message: String,
        /// What to do next, a line each.
        hints: Vec<String>,
    },
    /// Whoever read our output has stopped: no more to say.
    Closed,
    /// The user pressed Ctrl-C, and knows.
    Interrupted,
}

impl Failure {
    /// A failure of that kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::Fault { code, message: message.into(), hints: Vec::new() }
    }

    /// A mistake in what the user typed.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// What the user gave can't be read, or what was asked for can't be written.
    pub fn file(action: &str, path: impl AsRef<std::path::Path>, error: &io::Error) -> Self {
        let code = Code::of(error, Code::InvalidInput);
        Self::new(code, format!("can't {action} {}: {error}", path.as_ref().display()))
    }

    /// The same, with a line on what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::Fault { hints, .. } = &mut self {
            hints.push(hint.into());
        }
        self
    }

    /// The same, if there is something to do.
    #[must_use]
    pub fn hint_if(self, hint: Option<&str>) -> Self {
        match hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }

    /// The exit status.
    pub fn exit(&self) -> u8 {
        match self {
            Self::Fault { code, .. } => code.exit(),
            Self::Closed => 0,
            Self::Interrupted => INTERRUPTED,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault { message, .. } => f.write_str(message),
            Self::Closed => f.write_str("the output was closed"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let fault = Fault::from(status);
        Self::new(fault.code, fault.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_may_not_be_read_is_denied_and_a_full_disk_may_be_tried_again() {
        let exit = |kind| Failure::file("read", "x", &io::Error::from(kind)).exit();
        assert_eq!(exit(io::ErrorKind::PermissionDenied), 77);
        assert_eq!(exit(io::ErrorKind::StorageFull), 75);
        assert_eq!(exit(io::ErrorKind::NotFound), 64);
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        assert_eq!(Failure::Closed.exit(), 0);
        assert_eq!(Failure::Interrupted.exit(), 130);
    }
}
