//! Where everything lies: under `DARWIN_HOME`, else in the XDG base directories.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::error::ConfigError;

/// The directories of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `darwind.toml` and its drop-ins.
    pub config_dir: PathBuf,
    /// What must be kept: stores, keys, certificates.
    pub data_dir: PathBuf,
    /// What may be lost: logs, scratch space.
    pub state_dir: PathBuf,
    /// What lives as long as the daemon: its address and its lock.
    pub run_dir: PathBuf,
}

impl Paths {
    /// The directories that the environment asks for: all under `DARWIN_HOME` if it is
    /// set, else those of the XDG Base Directory Specification 0.8.
    ///
    /// # Errors
    /// If neither `DARWIN_HOME` nor `HOME` is set and the XDG variables don't make up for it.
    pub fn from_env(env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(home) = set("DARWIN_HOME") {
            return Ok(Self::under(&std::path::absolute(&home).unwrap_or(home)));
        }
        let xdg = |name: &str, below_home: &str| -> Result<PathBuf, ConfigError> {
            // The specification has relative paths ignored.
            set(name)
                .filter(|path| path.is_absolute())
                .or_else(|| set("HOME").map(|home| home.join(below_home)))
                .map(|base| base.join("darwin"))
                .ok_or_else(|| {
                    ConfigError::new(
                        "environment",
                        "neither DARWIN_HOME nor HOME is set; set DARWIN_HOME to the directory \
                         that shall hold Darwin's data",
                    )
                })
        };
        let state_dir = xdg("XDG_STATE_HOME", ".local/state")?;
        let run_dir = set("XDG_RUNTIME_DIR")
            .filter(|path| path.is_absolute())
            .map_or_else(|| state_dir.join("run"), |base| base.join("darwin"));
        Ok(Self {
            config_dir: xdg("XDG_CONFIG_HOME", ".config")?,
            data_dir: xdg("XDG_DATA_HOME", ".local/share")?,
            state_dir,
            run_dir,
        })
    }

    /// The directories of an installation that lies wholly under `home`.
    #[must_use]
    pub fn under(home: &Path) -> Self {
        Self {
            config_dir: home.to_owned(),
            data_dir: home.join("data"),
            state_dir: home.join("state"),
            run_dir: home.join("run"),
        }
    }

    /// The configuration file, unless another is named.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.config_dir.join("darwind.toml")
    }

    /// Signing keys and the master key (mode 0700).
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// The local certificate authority and what it issued (mode 0700).
    #[must_use]
    pub fn pki(&self) -> PathBuf {
        self.data_dir.join("pki")
    }

    /// The embedded stores.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Where sandboxes are set up; emptied at each start.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.state_dir.join("scratch")
    }

    /// The log of a daemon that the CLI started.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.state_dir.join("darwind.log")
    }

    /// The address of the running daemon.
    #[must_use]
    pub fn endpoint(&self) -> PathBuf {
        self.run_dir.join("endpoint.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> Result<Paths, ConfigError> {
        Paths::from_env(&|name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn darwin_home_moves_everything() {
        let paths =
            from(&[("DARWIN_HOME", "/d"), ("HOME", "/h"), ("XDG_DATA_HOME", "/x")]).unwrap();
        for path in [paths.config_file(), paths.keys(), paths.scratch(), paths.endpoint()] {
            assert!(path.starts_with("/d"), "{path:?}");
        }
    }

    #[test]
    fn xdg_variables_count_when_they_are_absolute() {
        let paths = from(&[("HOME", "/h"), ("XDG_DATA_HOME", "x"), ("XDG_CONFIG_HOME", "/c")]);
        let paths = paths.unwrap();
        assert_eq!(paths.store(), Path::new("/h/.local/share/darwin/store"));
        assert_eq!(paths.config_file(), Path::new("/c/darwin/darwind.toml"));
        assert_eq!(paths.run_dir, Path::new("/h/.local/state/darwin/run"));
    }

    #[test]
    fn without_a_home_it_says_what_to_set() {
        assert!(from(&[]).unwrap_err().to_string().contains("DARWIN_HOME"));
    }
}
