//! The message layer that both sides share: certificates, TLS, the daemon's port and its clients.

pub mod error;
pub mod files;
pub mod certificate;
pub mod pki;
pub mod tls;
pub mod session;
pub mod gate;
pub mod endpoint;
pub mod acceptor;
mod greeting;
pub mod frames;
pub mod sealing;
pub mod careful;
pub mod line;
pub mod select;
pub mod switch;
pub mod client;

/// The path at which the WebSocket hub answers.
pub const STREAM_PATH: &str = "/v1/stream";

/// The WebSocket subprotocol: binary frames, one envelope each.
pub const SUBPROTOCOL: &str = "darwin.v1";

#[cfg(test)]
mod test_pki;
#[cfg(test)]
mod tests;
