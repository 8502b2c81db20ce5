//! Traces: how one goes on with a message, and where its spans are sent (OpenTelemetry).

pub mod error;
pub mod context;
pub mod calls;
pub mod settings;
pub mod export;
