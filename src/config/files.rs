//! Reads the files of an agent or a suite: bounded, and never from outside their directory.

use std::{
    fs::{self, File as Handle},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::error::SpecError;
use crate::domain::{
    genome::{File, FilePath, MAX_FILES, MAX_GENOME},
    spec::RunSpec,
    suite::Bundle,
};

/// The deepest that directories are nested.
const MAX_DEPTH: usize = 32;

/// What a user wants to have evolved: the specification and all files that it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// The specification, its suite inlined.
    pub spec: RunSpec,
    /// The files of the initial agent.
    pub agent_files: Bundle,
    /// The files of the suite.
    pub suite_files: Bundle,
    /// How many evaluations at once it asks for.
    pub workers: Option<u32>,
    /// What the user should know, a sentence each.
    pub warnings: Vec<String>,
}

/// Reads all files of `dir`, hidden ones and the caches of tools excepted.
///
/// # Errors
/// If one cannot be read, is no regular file, lies outside `dir`, or all are too much.
pub fn directory(dir: &Path) -> Result<Bundle, SpecError> {
    let mut reader = Reader::new(dir)?;
    reader.add("")?;
    Ok(reader.files)
}

/// The names of the files in `dir` that are called `stem`, with any extension.
///
/// # Errors
/// If `dir` cannot be read.
pub fn named(dir: &Path, stem: &str) -> Result<Vec<String>, SpecError> {
    let unreadable = |error| SpecError::unread(dir, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let extension = name.to_str().and_then(|name| name.strip_prefix(stem)?.strip_prefix('.'));
        if extension.is_some_and(|extension| !extension.is_empty() && !extension.contains('.')) {
            names.extend(name.to_str().map(str::to_owned));
        }
    }
    Ok(names)
}

/// The only file of that kind.
///
/// # Errors
/// If there is none, or more than one.
pub fn only(dir: &Path, stem: &str) -> Result<String, SpecError> {
    let mut names = named(dir, stem)?;
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(name),
        (None, _) => {
            Err(SpecError::file(dir, format!("there is no {stem}.*; add the first program")))
        }
        (Some(_), false) => {
            Err(SpecError::file(dir, format!("there is more than one {stem}.*; keep one")))
        }
    }
}

/// What a project is called that does not say: as its directory.
#[must_use]
pub fn title(dir: &Path, otherwise: &str) -> String {
    let full = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    full.file_name().and_then(|name| name.to_str()).unwrap_or(otherwise).to_owned()
}

/// Collects files below one directory.
pub struct Reader {
    base: PathBuf,
    shown: PathBuf,
    bytes: usize,
    files: Bundle,
}

impl Reader {
    /// A reader of files below `base`.
    ///
    /// # Errors
    /// If `base` cannot be found.
    pub fn new(base: &Path) -> Result<Self, SpecError> {
        let shown = if base.as_os_str().is_empty() { Path::new(".") } else { base };
        let base = shown.canonicalize().map_err(|error| SpecError::unread(shown, &error))?;
        Ok(Self { base, shown: shown.to_owned(), bytes: 0, files: Bundle::new() })
    }

    /// Adds the file at `path`, or all files of the directory at `path`, relative to the
    /// base; the base itself is the empty path.
    ///
    /// # Errors
    /// As [`directory`].
    pub fn add(&mut self, path: &str) -> Result<(), SpecError> {
        let path = path.strip_prefix("./").unwrap_or(path).trim_end_matches('/');
        let path = if path == "." { "" } else { path };
        if !path.is_empty() {
            self.name(path)?;
        }
        self.visit(path, 0)
    }

    /// What was read.
    #[must_use]
    pub fn into_files(self) -> Bundle {
        self.files
    }

    fn visit(&mut self, path: &str, depth: usize) -> Result<(), SpecError> {
        let full = self.base.join(path);
        let fault = |what: String| SpecError::file(&self.shown.join(path), what);
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => fault("there is no such file".to_owned()),
            _ => SpecError::unread(&self.shown.join(path), &error),
        };
        let target = full.canonicalize().map_err(unreadable)?;
        if !target.starts_with(&self.base) {
            return Err(fault(format!(
                "leads to {}, outside the directory; copy it into the directory",
                target.display()
            )));
        }
        let meta = target.metadata().map_err(unreadable)?;
        if meta.is_file() {
            return self.file(path, &target, meta.permissions().mode() & 0o111 != 0);
        }
        if !meta.is_dir() {
            return Err(fault("is neither a file nor a directory; remove it".to_owned()));
        }
        if depth > 0 && full.is_symlink() {
            return Err(fault("is a link to a directory; put the directory here".to_owned()));
        }
        if depth == MAX_DEPTH {
            return Err(fault(format!("lies more than {MAX_DEPTH} directories deep")));
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(&target).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name().into_string();
            let name =
                name.map_err(|name| fault(format!("{} is not UTF-8; rename it", name.display())))?;
            if names.len() == MAX_FILES {
                return Err(fault(format!("holds more than {MAX_FILES} files")));
            }
            if !ignored(&name) {
                names.push(name);
            }
        }
        names.sort();
        for name in names {
            let inner = if path.is_empty() { name } else { format!("{path}/{name}") };
            self.visit(&inner, depth + 1)?;
        }
        Ok(())
    }

    fn file(&mut self, path: &str, target: &Path, executable: bool) -> Result<(), SpecError> {
        let name = self.name(path)?;
        let fault = |what: String| SpecError::file(&self.shown.join(path), what);
        let unreadable = |error| SpecError::unread(&self.shown.join(path), &error);
        let room = MAX_GENOME - self.bytes;
        let mut bytes = Vec::new();
        Handle::open(target)
            .map_err(unreadable)?
            .take(room as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if bytes.len() > room {
            let most = MAX_GENOME >> 20;
            return Err(fault(format!("with it, the files are more than {most} MiB; name fewer")));
        }
        if self.files.len() == MAX_FILES && !self.files.contains_key(&name) {
            return Err(fault(format!(
                "with it, there are more than {MAX_FILES} files; name fewer"
            )));
        }
        let read = bytes.len();
        let before = self.files.insert(name, File { bytes: bytes.into(), executable });
        self.bytes += read - before.map_or(0, |file| file.bytes.len().min(read));
        Ok(())
    }

    fn name(&self, path: &str) -> Result<FilePath, SpecError> {
        FilePath::new(path).map_err(|error| SpecError::file(&self.shown, error.to_string()))
    }
}

/// Whether a file found in a directory, rather than named, is left out.
fn ignored(name: &str) -> bool {
    name.starts_with('.')
        || matches!(name, "__pycache__" | "openevolve_output")
        || name.to_ascii_lowercase().ends_with(".pyc")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(files: &Bundle) -> Vec<&str> {
        files.keys().map(FilePath::as_str).collect()
    }

    #[test]
    fn a_directory_is_read_without_hidden_files_and_caches() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/b.py", "run.sh", ".git/config", "a/__pycache__/b.pyc", "c.pyc"] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let script = dir.path().join("run.sh");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let files = directory(dir.path()).unwrap();
        assert_eq!(names(&files), ["a/b.py", "run.sh"]);
        assert_eq!(files.values().map(|file| file.executable).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn links_lead_to_files_inside_only() {
        let outside = tempfile::tempdir().unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), "1").unwrap();
        symlink("real", dir.path().join("link")).unwrap();
        assert_eq!(names(&directory(dir.path()).unwrap()), ["link", "real"]);
        symlink(outside.path(), dir.path().join("out")).unwrap();
        let fault = directory(dir.path()).unwrap_err().to_string();
        assert!(fault.contains("out: leads to") && fault.contains("copy it"), "{fault}");
        fs::remove_file(dir.path().join("out")).unwrap();
        symlink(".", dir.path().join("loop")).unwrap();
        let fault = directory(dir.path()).unwrap_err().to_string();
        assert!(fault.contains("is a link to a directory"), "{fault}");
    }

    #[test]
    fn what_is_not_a_file_inside_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut reader = Reader::new(dir.path()).unwrap();
        for (path, part) in [
            ("gone.py", "there is no such file"),
            ("../x", "not a relative path inside"),
            ("/etc/passwd", "not a relative path inside"),
        ] {
            let fault = reader.add(path).unwrap_err().to_string();
            assert!(fault.contains(part), "{fault}");
        }
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        let fault = reader.add("").unwrap_err().to_string();
        assert!(fault.contains("neither a file nor a directory"), "{fault}");
    }

    #[test]
    fn too_much_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let large = Handle::create(dir.path().join("large")).unwrap();
        large.set_len(MAX_GENOME as u64 + 1).unwrap();
        let fault = directory(dir.path()).unwrap_err().to_string();
        assert!(fault.contains("more than 64 MiB"), "{fault}");
    }
}
