//! What a build left: regular files that are new or not as they were laid. Nothing runs in
//! the place any more when it is read.

use std::{
    collections::HashMap,
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use crate::{
    daemon::evaluator::{
        frame,
        plan::{Item, Tree},
    },
    domain::genome::{FilePath, MAX_FILES, MAX_GENOME},
};

/// The deepest that directories are nested.
const MAX_DEPTH: usize = 32;

/// What lies under `agent` and not in `files`, whose contents are `body`, as a frame.
///
/// # Errors
/// If the frame cannot be made.
pub fn collect(agent: &Path, files: &[Item], body: &[u8]) -> io::Result<Vec<u8>> {
    let mut laid = HashMap::new();
    let mut rest = body;
    for item in files {
        let Some((content, after)) = rest.split_at_checked(item.size) else { break };
        rest = after;
        laid.insert(item.path.as_str(), (content, item.executable));
    }
    let mut found = Found { laid, files: Vec::new(), contents: Vec::new(), size: 0 };
    match found.visit(agent, "", 0) {
        Ok(()) => {
            let contents: Vec<_> = found.contents.iter().map(Vec::as_slice).collect();
            frame::encode(&Tree::Files(found.files), &contents)
        }
        Err(reason) => frame::encode(&Tree::Refused(reason), &[]),
    }
}

struct Found<'a> {
    laid: HashMap<&'a str, (&'a [u8], bool)>,
    files: Vec<Item>,
    contents: Vec<Vec<u8>>,
    size: usize,
}

impl Found<'_> {
    fn visit(&mut self, base: &Path, below: &str, depth: usize) -> Result<(), String> {
        let unread = |error: io::Error| format!("“{below}” cannot be read: {error}");
        if depth == MAX_DEPTH {
            return Err(format!("“{below}” lies more than {MAX_DEPTH} directories deep"));
        }
        for entry in fs::read_dir(base.join(below)).map_err(unread)? {
            let name = entry.map_err(unread)?.file_name();
            let name = name.to_str().ok_or("one of its files has a name that is not UTF-8")?;
            let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            FilePath::new(&path).map_err(|error| error.to_string())?;
            let full = base.join(&path);
            let meta = fs::symlink_metadata(&full).map_err(unread)?;
            if meta.is_dir() {
                self.visit(base, &path, depth + 1)?;
            } else if meta.is_symlink() {
                let target = fs::canonicalize(&full).ok();
                let inside = target.filter(|target| target.starts_with(base) && target.is_file());
                let target = inside.ok_or_else(|| {
                    format!("“{path}” is a link to something else than a file beside it")
                })?;
                self.take(path, &target)?;
            } else if meta.is_file() {
                self.take(path, &full)?;
            } else {
                return Err(format!("“{path}” is neither a file nor a directory"));
            }
        }
        Ok(())
    }

    fn take(&mut self, path: String, full: &Path) -> Result<(), String> {
        let unread = |error: io::Error| format!("“{path}” cannot be read: {error}");
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(full).map_err(unread)?;
        let meta = file.metadata().map_err(unread)?;
        let room = MAX_GENOME - self.size;
        if meta.len() > room as u64 {
            return Err(format!("they are more than {} MiB", MAX_GENOME >> 20));
        }
        let mut content = Vec::new();
        file.take(room as u64).read_to_end(&mut content).map_err(unread)?;
        let executable = meta.permissions().mode() & 0o111 != 0;
        if self.laid.get(path.as_str()) == Some(&(content.as_slice(), executable)) {
            return Ok(());
        }
        if self.files.len() == MAX_FILES {
            return Err(format!("they are more than {MAX_FILES}"));
        }
        self.size += content.len();
        self.files.push(Item { path, size: content.len(), executable });
        self.contents.push(content);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn collected(dir: &Path, files: &[Item], body: &[u8]) -> Result<Vec<(String, bool)>, String> {
        let frame =
            frame::read(&mut collect(dir, files, body).unwrap().as_slice(), 1 << 20).unwrap();
        match frame.header().unwrap() {
            Tree::Files(items) => {
                let mut items: Vec<_> =
                    items.into_iter().map(|item| (item.path, item.executable)).collect();
                items.sort();
                Ok(items)
            }
            Tree::Refused(reason) => Err(reason),
        }
    }

    #[test]
    fn new_and_changed_files_are_taken_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("a/b")).unwrap();
        for (name, text) in [("same", "1"), ("changed", "2"), ("a/b/new", "3"), ("run", "4")] {
            fs::write(base.join(name), text).unwrap();
        }
        fs::set_permissions(base.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("../run", base.join("a/link")).unwrap();
        let item = |path: &str| Item { path: path.into(), size: 1, executable: false };
        let files = [item("same"), item("changed"), item("run")];
        let found = collected(&base, &files, b"1x4").unwrap();
        let expected = [("a/b/new", false), ("a/link", true), ("changed", false), ("run", true)];
        assert_eq!(found, expected.map(|(path, executable)| (path.to_owned(), executable)));
    }

    #[test]
    fn links_out_and_strange_files_are_refused() {
        for make in [
            (|base| symlink("/etc/passwd", base).unwrap()) as fn(&Path),
            |base| symlink("..", base).unwrap(),
            |base| symlink("nowhere", base).unwrap(),
            |base| drop(std::os::unix::net::UnixListener::bind(base).unwrap()),
            |base| fs::create_dir_all(base.join("d/".repeat(MAX_DEPTH))).unwrap(),
            |base| fs::File::create(base).unwrap().set_len(MAX_GENOME as u64 + 1).unwrap(),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let base = dir.path().canonicalize().unwrap();
            make(&base.join("x"));
            assert!(collected(&base, &[], b"").is_err());
        }
    }
}
