//! What the registry can't do, and why.

use std::{io, path::PathBuf, sync::Arc};

use crate::{
    code::Code,
    daemon::store::error::StoreError,
    domain::{
        digest::Digest,
        id::{AgentId, RunId, SessionId},
    },
    provenance::error::Error as FormatError,
    resilience::deadline::Late,
};

/// What the registry can't do. Each message is a sentence for the user with the next step in it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// A tier failed.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// Something stored, or to be stored, is wrong.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// There is no such thing.
    #[error(
        "there is no {what} “{text}” here; `darwin runs list` and `darwin session list` show what there is"
    )]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// How it was named.
        text: String,
    },
    /// A start of an id that several things share.
    #[error("several {what}s start with “{text}”; give more of the id")]
    Ambiguous {
        /// The kind of thing.
        what: &'static str,
        /// How it was named.
        text: String,
    },
    /// A name that several sessions have.
    #[error(
        "several sessions are called “{0}”; name one by its id, which `darwin session list --all` shows"
    )]
    Namesakes(String),
    /// It is stored already, with other content.
    #[error("{what} is stored already, with other content; what is stored stays")]
    Conflict {
        /// What is stored.
        what: String,
    },
    /// An agent whose parent is not stored.
    #[error("agent {agent} can't be stored before its parent {parent}; store that one first")]
    Orphan {
        /// The agent.
        agent: AgentId,
        /// The parent that is missing.
        parent: AgentId,
    },
    /// Something that contradicts itself or is beyond a limit.
    #[error("{0}; nothing was stored")]
    Invalid(String),
    /// The session is closed.
    #[error("session {0} is closed; `darwin session resume {0}` opens it again")]
    SessionClosed(SessionId),
    /// The session is open, and may not be to be shredded.
    #[error("session {0} is open; `darwin session close {0}` closes it, then it can be shredded")]
    SessionOpen(SessionId),
    /// A run of the session is at work.
    #[error("run {run} of session {session} is at work; `darwin runs stop {run}` stops it")]
    AtWork {
        /// The run.
        run: RunId,
        /// Its session.
        session: SessionId,
    },
    /// The session's key was destroyed.
    #[error(
        "session {0} was shredded: its key is destroyed, so that nobody can read its contents \
         again; `darwin lineage` still shows and verifies its agents"
    )]
    Shredded(SessionId),
    /// There is no such blob.
    #[error("there is no blob {0} in this session; `darwin blob list` shows those that there are")]
    NoBlob(Digest),
    /// A blob of which parts are missing.
    #[error("blob {0} is not there yet: `darwin blob put` of the same file goes on with it")]
    Unfinished(Digest),
    /// A blob whose content is not what its digest says.
    #[error(
        "what came is not what the digest {0} says: the file changed meanwhile, or is damaged; \
         nothing of it is kept, put it again"
    )]
    Mistaken(Digest),
    /// A key file can't be used.
    #[error("the key file {path}: {why}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: String,
        /// What kind of fault that is.
        code: Code,
    },
    /// A part did not answer in time.
    #[error("{0}; if it does not go on by itself, start the daemon again")]
    Late(#[from] Late),
    /// Stored journals are not sound.
    #[error("{0}; nothing of it was written, `darwin store verify` checks the rest")]
    Damaged(String),
    /// The registry is closing, or a part of it ended.
    #[error("the registry takes nothing more because the daemon is ending; try again when it runs")]
    Closed,
}

impl RegistryError {
    /// Whether a store can't be reached, or stands still until it knows what it has.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let away = |error: &StoreError| {
            matches!(error, StoreError::Unreachable { .. } | StoreError::Broken(_))
        };
        matches!(self, Self::Store(error) if away(error))
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Store(error) => error.code(),
            Self::Format(error) => error.code(),
            Self::NotFound { .. } | Self::NoBlob(_) => Code::NotFound,
            Self::Ambiguous { .. } | Self::Namesakes(_) | Self::Invalid(_) | Self::Mistaken(_) => {
                Code::InvalidInput
            }
            Self::Conflict { .. }
            | Self::Orphan { .. }
            | Self::SessionClosed(_)
            | Self::SessionOpen(_)
            | Self::AtWork { .. }
            | Self::Unfinished(_) => Code::Conflict,
            Self::Shredded(_) => Code::Denied,
            Self::Key { code, .. } => *code,
            Self::Late(late) => late.code(),
            Self::Damaged(_) => Code::Corrupt,
            Self::Closed => Code::Unavailable,
        }
    }

    /// A key file that the system refuses.
    pub(super) fn key(path: &std::path::Path, error: &io::Error) -> Self {
        let why = format!("{error}; the daemon must be able to read it and to write beside it");
        Self::Key { path: path.to_owned(), why, code: Code::of(error, Code::Config) }
    }
}

impl From<StoreError> for RegistryError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
