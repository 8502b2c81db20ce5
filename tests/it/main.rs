//! The programs as users run them: real processes, each with a home of its own.

#![expect(clippy::unwrap_used, reason = "a test that finds something else should stop")]

mod home;
#[path = "../support/disk.rs"]
mod disk;
mod daemon;
mod shell;
mod basics;
mod evolving;
mod evaluating;
mod mistakes;
mod problems;
mod repeats;
mod services;
