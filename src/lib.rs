//! Darwin evolves agents and programs, and keeps a signed journal of each.
//!
//! Modules stand in dependency order: each may name only those above it.

#[cfg(test)]
#[path = "../tests/support/required.rs"]
mod required;
pub mod code;
pub mod domain;
pub mod evolution;
pub mod provenance;
pub mod config;
pub mod wire;
pub mod resilience;
pub mod telemetry;
pub mod link;
pub mod daemon;
pub mod commands;
