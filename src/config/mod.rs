//! Configuration: one section per component, layered, each value with its origin; and the
//! files of a user's project: run specification, suite, agent.

pub mod error;
pub mod text;
pub mod paths;
pub mod section;
pub mod layers;

pub use paths::Paths;
pub use section::Config;
pub use layers::{Loaded, Sources};
