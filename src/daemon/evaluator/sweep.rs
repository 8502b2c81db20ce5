//! Removes what candidates left on disk, whatever they made of it.

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

/// Removes the directory `top` with all that is in it, which nobody uses any more. Directories in
/// it are moved beside it first: level by level it would take a descriptor for each, and there
/// may be thousands.
///
/// # Errors
/// If the system refuses.
pub fn remove(top: &Path) -> io::Result<()> {
    let mut left = vec![top.to_owned()];
    let mut count = 0_u64;
    while let Some(directory) = left.pop() {
        // They may have been closed to their owner.
        let _ = fs::set_permissions(&directory, fs::Permissions::from_mode(0o700));
        for entry in fs::read_dir(&directory)?.collect::<io::Result<Vec<_>>>()? {
            let path = entry.path();
            if !entry.file_type()?.is_dir() {
                fs::remove_file(path)?;
                continue;
            }
            count += 1;
            let mut beside = top.as_os_str().to_owned();
            beside.push(format!(".{count}"));
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o700));
            fs::rename(path, &beside)?;
            left.push(beside.into());
        }
        fs::remove_dir(directory)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_goes_however_deep_and_closed_it_is_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        // Built from its end, as if it were too deep for a path.
        for _ in 0..200 {
            fs::create_dir_all(dir.path().join("next")).unwrap();
            if top.exists() {
                fs::rename(&top, dir.path().join("next/d")).unwrap();
            }
            fs::rename(dir.path().join("next"), &top).unwrap();
        }
        fs::write(dir.path().join("outside"), "").unwrap();
        std::os::unix::fs::symlink("..", top.join("up")).unwrap();
        fs::create_dir(top.join("closed")).unwrap();
        fs::write(top.join("closed/file"), "").unwrap();
        fs::set_permissions(top.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(&top, fs::Permissions::from_mode(0o0)).unwrap();
        remove(&top).unwrap();
        let left: Vec<_> =
            fs::read_dir(&dir).unwrap().map(|one| one.unwrap().file_name()).collect();
        assert_eq!(left, ["outside"]);
        assert!(remove(&top).is_err());
    }
}
