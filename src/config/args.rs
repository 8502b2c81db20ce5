//! The command line of `darwind`: the topmost layer of its configuration.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use clap::{Parser, ValueHint};

use super::{
    error::ConfigError,
    layers::{self, Sources},
    paths::Paths,
};

/// Runs the daemon: evolves agents, evaluates them, and keeps their journals.
///
/// It stays in the foreground and logs to standard error, as systemd and containers want it.
/// `darwin up` starts it in the background for the user who asks.
///
/// Signals: SIGTERM or SIGINT finishes what is at work and ends; a second one ends at once.
/// SIGHUP reads the configuration again: the log's level, the drain's deadline, the server's
/// names; other keys need a restart.
#[derive(Debug, Clone, Parser)]
#[command(name = "darwind", version, max_term_width = 100)]
pub struct Args {
    /// The configuration file (default: darwind.toml in the configuration directory).
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Keep everything under this directory (default: DARWIN_HOME, else the XDG directories).
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub home: Option<PathBuf>,

    /// Check the configuration and end: status 0 if it is right, 78 if not, 77 if it may not be read.
    #[arg(long)]
    pub check_config: bool,

    /// The address of gRPC and WebSocket (server.listen).
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// The loopback address of health checks and metrics (server.admin).
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin: Option<SocketAddr>,

    /// The log's level: error, warn, info, debug, trace, or a filter (log.level).
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// The log's format: text or json (log.format).
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// Leave the terminal that it was started from, so that closing it ends nothing.
    #[arg(long)]
    pub own_session: bool,
}

impl Args {
    /// Where everything lies.
    ///
    /// # Errors
    /// If neither the command line nor the environment says.
    pub fn paths(&self, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Paths, ConfigError> {
        Paths::from_env(&|name| match (name, &self.home) {
            ("DARWIN_HOME", Some(home)) => Some(home.clone().into_os_string()),
            _ => env(name),
        })
    }

    /// What configures the daemon; `env` is the environment.
    #[must_use]
    pub fn sources(&self, paths: &Paths, env: Vec<(String, String)>) -> Sources {
        let mut sources = layers::sources(&paths.config_file(), self.config.clone(), env);
        let text = |address: &SocketAddr| address.to_string();
        let flags = [
            ("server.listen", "--listen", self.listen.as_ref().map(text)),
            ("server.admin", "--admin", self.admin.as_ref().map(text)),
            ("log.level", "--log-level", self.log_level.clone()),
            ("log.format", "--log-format", self.log_format.clone()),
        ];
        for (key, flag, value) in flags {
            sources.flags.extend(value.map(|value| (key, flag.to_owned(), value)));
        }
        sources
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::layers::Loaded;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn flags_go_before_the_environment_and_home_moves_everything() {
        let args = Args::parse_from(["darwind", "--home", "/h", "--listen", "127.0.0.1:7"]);
        let paths = args.paths(&|_| None).unwrap();
        assert!(paths.data_dir.starts_with("/h"));
        let env = vec![("DARWIN_SERVER__LISTEN".to_owned(), "127.0.0.1:8".to_owned())];
        let loaded = Loaded::load(&args.sources(&paths, env)).unwrap();
        assert_eq!(loaded.config.server.listen.port(), 7);
    }
}
