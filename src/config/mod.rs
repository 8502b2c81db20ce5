//! Configuration: one section per component, layered, each value with its origin; and the
//! files of a user's project: run specification, suite, agent.

pub mod error;
pub mod text;
pub mod paths;
pub mod section;
pub mod layers;
pub mod args;
pub mod table;
pub mod files;
pub mod program;
pub mod cases;
pub mod arena;
pub mod suite;
pub mod space;
pub mod check;
pub mod openevolve;
pub mod shinka;
pub mod spec;

pub use layers::{Loaded, Sources};
pub use paths::Paths;
pub use section::Config;
