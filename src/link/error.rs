//! What can go wrong between a client and the daemon, or with the files that introduce them.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use crate::{code::Code, resilience::deadline::Late, wire::fault::Fault};

/// Why a link could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A file or directory could not be read or written.
    #[error("can't {action} {path}: {source}; the files there belong to the user who runs the daemon", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A private file can be read by others.
    #[error("{path} can be read by other users (mode {mode:o}): run `chmod 600 {path}`, and renew it if it may have leaked", path = path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds something else than it should.
    #[error("{path} is damaged ({reason}): restore it, or remove {remedy} and restart the daemon, which makes it anew", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to remove.
        remedy: String,
    },
    /// There is no certificate for this client yet.
    #[error("there is no client certificate in {dir}: start the daemon once with `darwin up`, which makes it", dir = dir.display())]
    NoIdentity {
        /// Where it should be.
        dir: PathBuf,
    },
    /// There is no authority.
    #[error("there is no certificate authority in {dir}: make it with `darwin pki init`, or start the daemon, which does", dir = dir.display())]
    NoAuthority {
        /// Where it should be.
        dir: PathBuf,
    },
    /// There is an authority already.
    #[error("there is a certificate authority in {dir} already: `darwin pki rotate` has a new one take over", dir = dir.display())]
    AuthorityExists {
        /// Where.
        dir: PathBuf,
    },
    /// A name that no identity can have.
    #[error(
        "“{0}” is no name for an identity: give 1 to 64 letters, digits, “.”, “_”, “@” or “-”, a letter or digit first"
    )]
    BadName(String),
    /// Somebody has a certificate of that name that is good.
    #[error(
        "“{name}” has a certificate already (serial {serial}): renew it with `darwin pki renew {name}`, or revoke it first"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The certificate's serial number.
        serial: String,
    },
    /// Nobody has a certificate of that name or serial number.
    #[error("no certificate has the name or serial number “{name}”: `darwin pki list` shows all")]
    NoCertificate {
        /// What was asked for.
        name: String,
    },
    /// The certificates of that name or serial number are good no longer.
    #[error(
        "the certificate of “{name}” is revoked or has ended already: `darwin pki list` shows when, `darwin pki issue` makes a new one"
    )]
    AlreadyRevoked {
        /// What was asked for.
        name: String,
    },
    /// The daemon does not accept the certificate any more.
    #[error(
        "the daemon at {address} does not accept this certificate ({reason}): have a new one issued with `darwin pki renew` or `darwin pki issue` where the daemon's authority is"
    )]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What TLS said.
        reason: &'static str,
    },
    /// A certificate could not be made.
    #[error("can't make a certificate: {0}; please report this")]
    Issue(String),
    /// A name that no certificate can hold.
    #[error(
        "server.names: “{0}” is neither a host name nor an address; correct it in the configuration"
    )]
    Name(String),
    /// A certificate from before messages were signed.
    #[error(
        "{whose} certificate is of an earlier version, whose keys sign no messages: end the daemon's process with `kill` (`run/endpoint.json` names it) and run `darwin up`, which renews the certificates"
    )]
    Outdated {
        /// The daemon's, or the client's.
        whose: &'static str,
    },
    /// A key and certificates that TLS does not accept.
    #[error(
        "the certificates in use are not accepted by TLS: {0}; remove the folder `pki` and restart the daemon, which makes new ones"
    )]
    Setup(String),
    /// Nothing listens there.
    #[error("no daemon answers at {address} ({reason}): start it with `darwin up`")]
    Unreachable {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// Something took the connection and says nothing.
    #[error(
        "the daemon at {address}{process} took the connection, but says nothing for {} s: it is stopped or has too much to do; try again, or end its process and run `darwin up`",
        .after.as_secs()
    )]
    Silent {
        /// The address.
        address: SocketAddr,
        /// " (process N)", if that is known.
        process: String,
        /// How long was waited.
        after: Duration,
    },
    /// Whoever listens there is not our daemon, or does not take us for its user.
    #[error(
        "{address} is not this user's daemon ({reason}): check `darwin config show`, and that both use the same home"
    )]
    Stranger {
        /// The address.
        address: SocketAddr,
        /// What TLS said.
        reason: String,
    },
    /// It answered, but not as the protocol says.
    #[error(
        "the daemon at {address} broke the protocol ({reason}): restart it with `darwin down` and `darwin up`"
    )]
    Protocol {
        /// The address.
        address: SocketAddr,
        /// What was wrong.
        reason: String,
    },
    /// The connection ended before the last message.
    #[error("the connection to the daemon broke ({0}); `darwin status` tells more")]
    Broken(String),
    /// It did not answer in time.
    #[error("{0}; `darwin status` tells more")]
    Late(#[from] Late),
    /// The daemon said no.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl LinkError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::File { source, .. } => Code::of(source, Code::Config),
            Self::Exposed { .. } | Self::Stranger { .. } | Self::Refused { .. } => Code::Denied,
            Self::NoAuthority { .. } | Self::NoCertificate { .. } => Code::NotFound,
            Self::AuthorityExists { .. } | Self::NameTaken { .. } | Self::AlreadyRevoked { .. } => {
                Code::Conflict
            }
            Self::BadName(_) => Code::InvalidInput,
            Self::Damaged { .. } | Self::Name(_) | Self::Setup(_) => Code::Config,
            Self::NoIdentity { .. } | Self::Unreachable { .. } | Self::Broken(_) => {
                Code::Unavailable
            }
            Self::Outdated { .. } => Code::Conflict,
            Self::Issue(_) => Code::Bug,
            Self::Protocol { .. } => Code::Unavailable,
            Self::Silent { .. } => Code::Deadline,
            Self::Late(late) => late.code(),
            Self::Fault(fault) => fault.code(),
        }
    }
}

impl From<LinkError> for Fault {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Fault(fault) => fault,
            error => Self::new(error.code(), error.to_string()),
        }
    }
}
