//! The messages on the wire and their conversion to and from the domain.

/// What is generated from `proto/darwin/v1`.
#[expect(clippy::pedantic, clippy::all, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("darwin.v1");
}

pub mod limits;
pub mod fault;
pub mod methods;
pub mod convert;
pub mod envelope;
pub mod replay;
pub mod access;
