//! Stable error codes, and what each means for gRPC, for the shell and for a retry.

use std::io;

/// What kind of thing went wrong, for machines. The sentence beside it is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The command line is wrong.
    Usage,
    /// A spec, suite or agent that was given is wrong.
    InvalidInput,
    /// The configuration is wrong.
    Config,
    /// What was asked for does not exist.
    NotFound,
    /// It is there already, or is not in a state that allows this.
    Conflict,
    /// No daemon answers, or the connection broke.
    Unavailable,
    /// A limit is reached (queue, disk, memory); later it may work.
    Exhausted,
    /// It took longer than it may.
    Deadline,
    /// The caller may not do this.
    Denied,
    /// Stored or received data is damaged or was tampered with.
    Corrupt,
    /// A facility that the sandbox needs is missing on this machine.
    Sandbox,
    /// The bar that the caller set was missed.
    BarMissed,
    /// A bug in Darwin.
    Bug,
}

/// Whether trying again can help, and whether the operation may have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call fails again.
    Permanent,
    /// Nothing happened; later it may work.
    Temporary,
    /// It may or may not have happened: ask before doing it again.
    UnknownOutcome,
}

struct Facts {
    name: &'static str,
    grpc: i32,
    exit: u8,
    retry: Retry,
    text: &'static str,
}

impl Code {
    /// All codes, in the order of their documentation.
    pub const ALL: [Self; 13] = [
        Self::Usage,
        Self::InvalidInput,
        Self::Config,
        Self::NotFound,
        Self::Conflict,
        Self::Unavailable,
        Self::Exhausted,
        Self::Deadline,
        Self::Denied,
        Self::Corrupt,
        Self::Sandbox,
        Self::BarMissed,
        Self::Bug,
    ];

    #[rustfmt::skip]
    fn facts(self) -> Facts {
        use Retry::{Permanent, Temporary, UnknownOutcome};
        let (name, grpc, exit, retry, text) = match self {
            Self::Usage => ("usage", 3, 64, Permanent,
                "The command line could not be understood. `darwin help COMMAND` shows what the \
                 command takes, with examples."),
            Self::InvalidInput => ("invalid-input", 3, 64, Permanent,
                "A run specification, suite, agent or other input has a mistake. The message names \
                 the file and the field. Nothing was started and nothing was stored."),
            Self::Config => ("config", 9, 78, Permanent,
                "The configuration has a mistake. `darwin config check` names the file, the key and \
                 what it should be; `darwin config show` lists every value with its origin."),
            Self::NotFound => ("not-found", 5, 1, Permanent,
                "There is no run, agent, session or file of that name here. `darwin runs list` and \
                 `darwin session list` show what there is. An id may be shortened as long as it is \
                 unique."),
            Self::Conflict => ("conflict", 9, 1, Permanent,
                "The thing exists already, or is not in a state that allows this: for example, only \
                 a running run can be stopped. `darwin runs show RUN` tells its state."),
            Self::Unavailable => ("unavailable", 14, 69, UnknownOutcome,
                "No daemon answered, or the connection broke before the answer came. If a change was \
                 asked for, it may have happened: the same command with the same id tells. `darwin \
                 status` and `darwin up` help."),
            Self::Exhausted => ("exhausted", 8, 75, Temporary,
                "A bounded resource is used up: a queue, the disk, or memory. Nothing that was \
                 acknowledged is lost. Free some space or wait, then try again; runs that paused go \
                 on by themselves."),
            Self::Deadline => ("deadline", 4, 75, UnknownOutcome,
                "The answer did not come in time. If a change was asked for, it may have happened: \
                 ask before doing it again."),
            Self::Denied => ("denied", 7, 77, Permanent,
                "This user or certificate may not do this, or may not read or write the file that \
                 the message names: `ls -ld` shows who may. The files under the data directory \
                 belong to the user who runs the daemon. The contents of a session that was \
                 shredded are nobody's any more."),
            Self::Corrupt => ("corrupt", 15, 65, Permanent,
                "Stored or received data is damaged or was changed by somebody: a signature, a link \
                 or a digest does not fit. The message names the first thing that is wrong. Nothing \
                 was dropped or repaired. `darwin store verify` checks everything."),
            Self::Sandbox => ("sandbox", 9, 78, Permanent,
                "This machine lacks a facility that the sandbox needs to run agents' code safely. \
                 `darwin doctor` names it and how to switch it on. `--sandbox=reduced` runs without \
                 it, and the results are stamped as such."),
            Self::BarMissed => ("bar-missed", 9, 1, Permanent,
                "The evaluation worked, and the score is below the bar that `--fail-under` set; or a \
                 run ended without any agent that has a score."),
            Self::Bug => ("bug", 13, 70, Permanent,
                "Darwin itself went wrong. Please report it with the message and the daemon's log; \
                 nothing that was acknowledged is lost."),
        };
        Facts { name, grpc, exit, retry, text }
    }

    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The gRPC status code (`google.rpc.Code`).
    #[must_use]
    pub fn grpc(self) -> i32 {
        self.facts().grpc
    }

    /// The exit status of a command that fails with it (after BSD's sysexits).
    #[must_use]
    pub fn exit(self) -> u8 {
        self.facts().exit
    }

    /// Whether trying again can help.
    #[must_use]
    pub fn retry(self) -> Retry {
        self.facts().retry
    }

    /// What it means and what to do, in some sentences.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.facts().text
    }

    /// The code of a file operation that failed so: `other` unless a full disk or the user's
    /// rights are the reason.
    #[must_use]
    pub fn of(error: &io::Error, other: Self) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Exhausted,
            io::ErrorKind::PermissionDenied => Self::Denied,
            _ => other,
        }
    }

    /// The code of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for code in Code::ALL {
            assert_eq!(Code::named(code.name()), Some(code));
            assert!(code.exit() != 0 && !code.text().is_empty());
        }
    }
}
