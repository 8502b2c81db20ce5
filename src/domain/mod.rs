//! Plain values and pure rules: no I/O, no clock, no randomness of their own.

pub mod id;
pub mod digest;
pub mod genome;
pub mod objective;
pub mod statistics;
pub mod evaluation;
pub mod repeats;
pub mod suite;
pub mod answer;
pub mod spec;
pub mod lifecycle;
pub mod session;
pub mod role;
pub mod journal;
