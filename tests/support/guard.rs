//! What a test leaves when it is killed itself: its directory, and daemons that live in it.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
};

/// A process that removes a directory once this one is gone, however it ended. A daemon whose home
/// lay there ends by itself then. Dropping it leaves the directory alone.
pub struct Guard(Child);

impl Guard {
    pub fn of(dir: &Path) -> Self {
        // `read` waits for the end of a pipe of which only this process has the other end. A
        // daemon that still writes can make one attempt miss a file.
        let script =
            "read _; for turn in 1 2 3 4 5 6 7 8 9; do rm -rf -- \"$0\" && break; sleep 1; done";
        let guard = Command::new("sh")
            .args(["-c", script])
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // What ends the tests by their group shall not end it.
            .process_group(0)
            .spawn();
        Self(guard.expect("a shell starts"))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}
