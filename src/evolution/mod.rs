//! The search itself: pure, seeded, asked for proposals and told results.
