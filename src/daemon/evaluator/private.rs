//! What no agent may read, whatever a sandbox is asked to show beside the system: this
//! installation's own files, and what users keep in their homes.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

/// Where programs keep credentials in a home. An interpreter in a home is common and harmless,
/// so a home is not closed as a whole.
const CREDENTIALS: [&str; 18] = [
    ".ssh",
    ".gnupg",
    ".config",
    ".aws",
    ".azure",
    ".docker",
    ".kube",
    ".pki",
    ".password-store",
    ".local/share/keyrings",
    ".mozilla",
    ".thunderbird",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".cargo/credentials.toml",
];

/// Places that may be in no sandbox: neither they, nor what holds them, nor what they hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Private {
    places: Vec<PathBuf>,
    /// These may be in none as a whole, nor what holds them; most of what they hold may.
    homes: Vec<PathBuf>,
}

impl Private {
    /// The files of an installation at `places`, and the credentials in `homes`.
    #[must_use]
    pub fn new(
        places: impl IntoIterator<Item = PathBuf>,
        homes: impl IntoIterator<Item = PathBuf>,
    ) -> Self {
        let homes: Vec<_> = homes.into_iter().filter(|home| home.is_absolute()).collect();
        let credentials = homes.iter().flat_map(|home| CREDENTIALS.map(|name| home.join(name)));
        Self { places: places.into_iter().chain(credentials).collect(), homes }
    }

    /// The same, and `place`.
    #[must_use]
    pub fn with(mut self, place: PathBuf) -> Self {
        self.places.push(place);
        self
    }

    /// Why a sandbox that has `dir` would show what is private, if it would: the end of a
    /// sentence about it. Links are followed, as they are when it is mounted.
    #[must_use]
    pub fn shown_by(&self, dir: &Path) -> Option<String> {
        let real = resolved(dir);
        let inner = self.places.iter().find_map(|place| {
            let private = resolved(place);
            let how = match () {
                () if private.starts_with(&real) => "holds",
                () if real.starts_with(&private) => "lies in",
                () => return None,
            };
            Some(format!("{how} {}", place.display()))
        });
        let home = || self.homes.iter().find(|home| resolved(home).starts_with(&real));
        inner.or_else(|| home().map(|home| format!("holds the home {}", home.display())))
    }

    /// One of the places that lies in one of `dirs`, and that directory.
    #[must_use]
    pub fn within<'a>(&self, dirs: &[&'a str]) -> Option<(&Path, &'a str)> {
        self.places.iter().find_map(|place| {
            let real = resolved(place);
            let dir = dirs.iter().find(|dir| real.starts_with(resolved(Path::new(dir))))?;
            real.exists().then_some((place.as_path(), *dir))
        })
    }
}

/// The homes of the user of this process: the environment's and the system's, which differ
/// where somebody became somebody else, or moved his home for a while.
#[must_use]
pub fn homes() -> Vec<PathBuf> {
    let named = std::env::var_os("HOME").map(PathBuf::from);
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = rustix::process::getuid().as_raw().to_string();
    let listed = users.lines().find_map(|line| {
        let fields: Vec<_> = line.split(':').collect();
        (fields.get(2) == Some(&own.as_str())).then(|| fields.get(5).map(PathBuf::from))?
    });
    // Of users without one the system says `/`, and that is nobody's.
    named.into_iter().chain(listed).filter(|home| home.file_name().is_some()).collect()
}

/// `path` without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let (mut there, mut rest): (_, Vec<&OsStr>) = (path, Vec::new());
    loop {
        if let Ok(real) = fs::canonicalize(there) {
            return rest.into_iter().rev().fold(real, |path, name| path.join(name));
        }
        let (Some(parent), Some(name)) = (there.parent(), there.file_name()) else {
            return path.to_owned();
        };
        rest.push(name);
        there = parent;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_holds_a_private_place_or_lies_in_one_would_show_it() {
        let private = Private::new(["/srv/darwin/data".into()], ["/home/u".into()]);
        let shows = |dir: &str| private.shown_by(Path::new(dir)).is_some();
        for dir in ["/srv/darwin/data", "/srv/darwin", "/srv", "/srv/darwin/data/keys", "/home"] {
            assert!(shows(dir), "{dir}");
        }
        for dir in ["/srv/darwin/database", "/srv/other", "/opt/python"] {
            assert!(!shows(dir), "{dir}");
        }
    }

    #[test]
    fn of_a_home_only_the_whole_and_the_credentials_are_private() {
        let private = Private::new([], ["/home/u".into()]);
        let shows = |dir: &str| private.shown_by(Path::new(dir));
        let whole = shows("/home/u").unwrap();
        assert!(whole.contains("/home/u"), "{whole}");
        for dir in [".ssh", ".ssh/old", ".config/gh", ".gnupg", ".aws", ".local/share", ".cargo"] {
            assert!(shows(&format!("/home/u/{dir}")).is_some(), "{dir}");
        }
        for dir in ["venv", ".pyenv/versions/3.12", ".local/lib/python3.12", "work/.ssh"] {
            assert_eq!(shows(&format!("/home/u/{dir}")), None, "{dir}");
        }
    }

    #[test]
    fn links_are_seen_through_on_both_sides() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["vault/keys", "home"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        symlink(at("vault"), at("home/.ssh")).unwrap();
        symlink(at("home"), at("harmless")).unwrap();
        let private = Private::new([], [at("home")]);
        for name in ["vault/keys", "vault", "harmless", "harmless/.ssh", "harmless/.aws/none"] {
            assert!(private.shown_by(&at(name)).is_some(), "{name}");
        }
        assert_eq!(private.shown_by(&at("harmless/work")), None);
    }

    #[test]
    fn what_lies_where_every_sandbox_looks_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let (name, inside) = (dir.path().to_str().unwrap(), dir.path().join("store"));
        let private = Private::default().with(inside.clone());
        assert_eq!(private.within(&[name]), None, "it is not there");
        fs::create_dir(&inside).unwrap();
        assert_eq!(private.within(&["/usr", name]), Some((inside.as_path(), name)));
        assert_eq!(private.within(&["/usr"]), None);
    }

    #[test]
    fn the_users_home_is_known_whatever_the_environment_says() {
        let found = homes();
        assert!(found.iter().all(|home| home.is_absolute() || home.as_os_str() == "HOME"));
        let named = std::env::var_os("HOME").map(PathBuf::from);
        assert!(named.is_none_or(|named| found.contains(&named)), "{found:?}");
    }
}
