//! Why the daemon can't start or go on.

use std::net::SocketAddr;

use crate::{
    code::Code, config::error::ConfigError, link::error::LinkError,
    telemetry::error::TelemetryError,
};

use super::{
    home::HomeError, registry::error::RegistryError, store::error::StoreError, supervise::Failure,
};

/// Why the daemon can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The log can't be started as configured.
    #[error("{0}")]
    Log(String),
    /// Traces can't be sent as configured.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Another daemon has the home, or it can't be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Certificates or the endpoint file.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A tier can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry can't be opened.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A port can't be opened.
    #[error(
        "can't listen on {address} ({key}): {source}; choose another address or end the program that has it"
    )]
    Listen {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The system refused something that the daemon can't do without.
    #[error("can't {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A task failed that the daemon can't do without.
    #[error(transparent)]
    Task(#[from] Failure),
    /// A second signal came.
    #[error("a second signal came: ended at once; what was acknowledged is stored")]
    Killed,
}

impl DaemonError {
    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Config(error) => error.code(),
            Self::Home(error) => error.code(),
            Self::Link(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Registry(error) => error.code(),
            Self::Log(_) | Self::Telemetry(_) | Self::Listen { .. } => Code::Config,
            Self::System { .. } => Code::Exhausted,
            Self::Task(_) => Code::Bug,
            Self::Killed => Code::Unavailable,
        }
    }
}
