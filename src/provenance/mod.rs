//! Durable formats: manifests, journal entries, sealed blocks, CAR files, and their checks.
//!
//! Everything here is pure: salts, time and blocks are handed in. `doc/formats.md`
//! describes every byte; a change of any of them needs a new format number.

pub mod error;
pub mod digest;
pub mod cbor;
pub mod block;
pub mod car;
pub mod seal;
pub mod sign;
pub mod manifest;
pub mod blob;
mod space;
pub mod body;
pub mod entry;
pub mod verify;
pub mod statement;
pub mod export;

#[cfg(test)]
mod tests;
