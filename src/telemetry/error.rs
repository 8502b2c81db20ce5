//! Why traces can't be sent as configured.

use std::{io, path::PathBuf};

/// Why traces can't be sent as configured.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// A protocol that isn't spoken here.
    #[error("traces go over gRPC, and {key} says “{value}”; give “grpc”, and the port for it")]
    Protocol {
        /// The variable.
        key: &'static str,
        /// What it says.
        value: String,
    },
    /// A file that can't be read.
    #[error("can't read {} ({key}): {source}; correct the path or the file's mode", path.display())]
    File {
        /// The configuration's key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line that is no header.
    #[error("{}, line {line}: not a header; write it as “name: value”", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// The line's number, from 1.
        line: usize,
    },
    /// An attribute that has no value.
    #[error("telemetry.attributes: “{0}” is no attribute; write it as “name=value”")]
    Attribute(String),
    /// Where they should go can't be used.
    #[error("can't send traces to {endpoint}: {reason}")]
    Endpoint {
        /// Where to.
        endpoint: String,
        /// Why not.
        reason: String,
    },
    /// No thread for it.
    #[error("can't start a thread for traces: {0}")]
    Thread(#[from] io::Error),
}
