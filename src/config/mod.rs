//! Configuration: one section per component, layered, each value with its origin.
