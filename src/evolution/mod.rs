//! The search: pure, seeded, asked for proposals and told results. No I/O, no clock.

pub mod error;
pub mod functions;
pub mod setup;
mod draw;
mod axis;
mod numeric;
mod covariance;
mod text;
mod literal;
mod splice;
mod recombine;
mod population;
mod select;
mod plan;
mod breed;
mod progress;
mod generational;
mod steady;
mod state;
mod snapshot;
pub mod engine;
#[cfg(test)]
mod tests;
