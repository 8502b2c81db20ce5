//! What can be wrong with a stored thing, or with what is to be stored.

use crate::code::Code;

/// What is wrong with a stored thing, or with what is to be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Bytes that no writer of this format produces.
    #[error("the {what} is malformed at byte {at}: {why}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// Where in it, in bytes from its start.
        at: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// A format that this version does not know.
    #[error("the {what} has format {format}, which this version cannot read: upgrade darwin")]
    Newer {
        /// What was being read.
        what: &'static str,
        /// The number of its format.
        format: u64,
    },
    /// The content does not have the digest by which it was found.
    #[error("the content of {what} does not have the digest by which it is named")]
    Digest {
        /// What was being read: a CID, or the name of a part.
        what: String,
    },
    /// A signature that was not made by the key that it names.
    #[error("the signature of the {what} does not fit: it was changed after it was signed")]
    Signature {
        /// What was signed.
        what: &'static str,
    },
    /// A signature by a key that nobody vouches for.
    #[error(
        "the {what} is signed by the key {signer}, which is not trusted: if it is yours, pin it \
         with `--trust {signer}`"
    )]
    Untrusted {
        /// What was signed.
        what: &'static str,
        /// The fingerprint of the signing key.
        signer: String,
    },
    /// A sealed block that another key opens, if any does.
    #[error("the sealed {what} needs another key, or its header was changed")]
    WrongKey {
        /// The kind of content.
        what: &'static str,
    },
    /// The key fits, and the content or its place does not.
    #[error("the sealed {what} was changed after it was sealed")]
    Tampered {
        /// The kind of content.
        what: &'static str,
    },
    /// Two things that must agree do not.
    #[error("{0}")]
    Mismatch(String),
    /// A block that should be there is not.
    #[error("the block {0} is missing")]
    Missing(String),
    /// A number that no format holds.
    #[error("{what} is not a finite number, and only finite ones can be recorded")]
    NotFinite {
        /// Which number.
        what: String,
    },
    /// Something too large to be stored.
    #[error("{what} has {size}, and at most {limit} can be stored")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A value that the format cannot express.
    #[error("{0}")]
    Invalid(String),
    /// A key that is none.
    #[error("the {what} is not usable: {why}")]
    BadKey {
        /// Which key.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// The result of reading or writing a durable format.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Malformed { .. }
            | Self::Digest { .. }
            | Self::Signature { .. }
            | Self::Tampered { .. }
            | Self::Untrusted { .. }
            | Self::Mismatch(_)
            | Self::Missing(_) => Code::Corrupt,
            Self::WrongKey { .. } | Self::BadKey { .. } => Code::Denied,
            Self::NotFinite { .. } | Self::TooLarge { .. } | Self::Invalid(_) => Code::InvalidInput,
            Self::Newer { .. } => Code::Config,
        }
    }
}
