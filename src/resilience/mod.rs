//! What to do when something is slow or fails: once, for every part that needs it. Nothing here
//! reads a clock or draws a random number by itself.

pub mod backoff;
pub mod deadline;
pub mod breaker;
pub mod budget;
pub mod admission;
