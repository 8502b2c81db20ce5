//! A small file system in memory, to be filled.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::required::not_run;

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
        not_run("root", &format!("no tmpfs can be mounted, to be full: {made:?}"));
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(ended.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}
