//! The programs as users run them: real processes, each with a home of its own.

#![expect(clippy::unwrap_used, reason = "a test that finds something else should stop")]

#[path = "../support/guard.rs"]
mod guard;
mod home;
#[path = "../support/required.rs"]
mod required;
#[path = "../support/disk.rs"]
mod disk;
mod daemon;
mod deploy;
mod shell;
mod basics;
mod places;
mod evolving;
mod halting;
mod evaluating;
mod inspecting;
mod terminal;
mod escapes;
mod mistakes;
mod denied;
mod full;
mod problems;
mod repeats;
mod services;
mod once;
mod overload;
mod faults;
mod sessions;
mod rooms;
mod blobs;
mod traces;
mod certificates;
mod outside;
