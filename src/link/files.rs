//! Small private files: written whole or not at all, readable by their owner only.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::error::LinkError;

/// How long another process may hold a lock until it is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// Makes a directory, and those above it, for its owner only.
///
/// # Errors
/// If the system refuses.
pub fn make_dir(path: &Path) -> Result<(), LinkError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| fault("make", path, source))
}

/// Writes a file of mode 0600 in one step: a reader finds the old content or the new.
///
/// # Errors
/// If the system refuses; the old content is still there then.
pub fn write(path: &Path, content: &[u8]) -> Result<(), LinkError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    let result = replace(&temporary, path, content);
    if result.is_err() {
        // What is left over has no use; that it can't be removed adds nothing to the error.
        let _ = fs::remove_file(&temporary);
    }
    result.map_err(|source| fault("write", path, source))
}

fn replace(temporary: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(temporary, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

/// Reads a file of at most `limit` bytes; `None` if there is none.
///
/// # Errors
/// If the system refuses, or the file is larger.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, LinkError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(fault("read", path, source)),
    };
    let mut content = Vec::new();
    let result = file.take(limit + 1).read_to_end(&mut content);
    result.map_err(|source| fault("read", path, source))?;
    if content.len() as u64 > limit {
        let source = io::Error::new(io::ErrorKind::FileTooLarge, "it is far too large");
        return Err(fault("read", path, source));
    }
    Ok(Some(content))
}

/// Reads a secret; one that others can read is refused.
///
/// # Errors
/// As [`read`], and if its group or others may read it.
pub fn read_secret(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, LinkError> {
    let Some(content) = read(path, limit)? else { return Ok(None) };
    let metadata = fs::metadata(path).map_err(|source| fault("read", path, source))?;
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(LinkError::Exposed { path: path.to_owned(), mode });
    }
    Ok(Some(content))
}

/// The sole right to change what a lock file stands for, until it is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // A child that was just forked may have the file open still; closing it is not enough.
        let _ = self.0.unlock();
    }
}

/// Takes a lock; waits a little while if another process has it.
///
/// # Errors
/// If the system refuses, or the other process does not let go.
pub fn lock(path: &Path) -> Result<Lock, LinkError> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = opened.map_err(|source| fault("lock", path, source))?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock(file)),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(fault("lock", path, io::ErrorKind::ResourceBusy.into()));
            }
            Err(TryLockError::Error(source)) => return Err(fault("lock", path, source)),
        }
    }
}

/// Removes a file, if it is there.
///
/// # Errors
/// If the system refuses.
pub fn remove(path: &Path) -> Result<(), LinkError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(fault("remove", path, source))
        }
        _ => Ok(()),
    }
}

fn fault(action: &'static str, path: &Path, source: io::Error) -> LinkError {
    LinkError::File { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_private_and_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/secret");
        make_dir(path.parent().unwrap()).unwrap();
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().mode() & 0o777, 0o700);
        assert_eq!(read_secret(&path, 3).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(matches!(read(&path, 2), Err(LinkError::File { .. })));
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(read_secret(&path, 9).unwrap().is_none());
        write(&path, b"key").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_secret(&path, 9).unwrap_err();
        assert!(matches!(error, LinkError::Exposed { mode: 0o640, .. }));
        assert!(error.to_string().contains("chmod 600"));
    }
}
