//! The three tiers: cold (immutable blocks), warm (rows), hot (volatile state).

pub mod error;
pub mod cold;
pub mod warm;
