//! Tests of the durable formats, and what they share.

mod fixture;
mod roundtrip;
mod tamper;
mod ancestry;
mod vectors;
mod fuzz;
