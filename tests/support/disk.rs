//! A small file system in memory, to be filled.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A mounted file system; dropping it unmounts it.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of `size` (as `mount` has it, like "8m") at a directory, or gives `None` where
    /// this user may not: then it says so, and fails where `DARWIN_TEST_REQUIRE` names `root`.
    pub fn new(at: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size},mode=0700");
        let made = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "darwin-test"])
            .arg(at)
            .output();
        if made.as_ref().is_ok_and(|made| made.status.success()) {
            return Some(Self(at.to_owned()));
        }
        let required = std::env::var("DARWIN_TEST_REQUIRE").unwrap_or_default();
        assert!(
            !required.split_whitespace().any(|what| what == "root"),
            "DARWIN_TEST_REQUIRE names root, but no tmpfs can be mounted: {made:?}"
        );
        eprintln!("NOT RUN: a full disk needs root to mount a tmpfs ({made:?})");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(ended.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
