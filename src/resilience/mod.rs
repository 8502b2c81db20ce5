//! What to do when something is slow or fails: once, for every part that needs it.

pub mod backoff;
pub mod deadline;
