//! The directory of a suite on disk.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::domain::suite::Bundle;

/// A suite's directory; goes with its last owner.
#[derive(Debug)]
pub struct Directory(pub PathBuf);

impl Directory {
    /// Writes `bundle` to a new directory at `path`. Anybody may read it who can reach it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn write(path: PathBuf, bundle: &Bundle) -> io::Result<Self> {
        let made = Self(path);
        fs::create_dir_all(&made.0)?;
        for (name, file) in bundle {
            let path = made.0.join(name.as_str());
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir)?;
            }
            let mode = if file.executable { 0o755 } else { 0o644 };
            let mut out =
                fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            out.write_all(&file.bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        open_up(&made.0)?;
        Ok(made)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whatever the umask is, the user inside must get in.
fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
