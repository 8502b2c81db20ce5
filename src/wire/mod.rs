//! The messages on the wire and their conversion to and from the domain.

/// What is generated from `proto/darwin/v1/darwin.proto`.
#[expect(clippy::pedantic, clippy::all, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("darwin.v1");
}

/// What it is generated from: a `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

pub mod limits;
pub mod fault;
pub mod convert;
pub mod access;
