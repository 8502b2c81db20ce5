//! What every command has at hand: where things lie, the configuration, the daemon, the output.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    code::Code,
    config::{Loaded, Paths, layers},
    link::{
        client::Link,
        endpoint::Endpoint,
        error::LinkError,
        pki::{Pki, Usage},
    },
    resilience::deadline::within,
};

use super::{Global, error::Failure, output::Output, start};

/// How long the name of a configured daemon may take to be found.
const LOOKUP: Duration = Duration::from_secs(5);

/// A daemon that answers.
#[derive(Debug)]
pub struct Running {
    /// Its address.
    pub address: String,
    /// What else is known of it; nothing, if it is the one that is configured.
    pub endpoint: Option<Endpoint>,
    /// The connection to it.
    pub link: Link,
}

/// Which daemon is meant, as the flags that all commands share have it.
#[derive(Debug, Clone, Default)]
pub struct Target {
    flags: Vec<(&'static str, String, String)>,
}

/// What every command has at hand.
#[derive(Debug)]
pub struct Context {
    /// Where its output goes.
    pub out: Output,
    /// Which daemon is meant.
    pub target: Target,
    may_start: bool,
}

impl Target {
    fn new(global: &Global) -> Self {
        let identity = global.identity.as_ref().map(|dir| dir.display().to_string());
        let flags = [
            ("client.address", "--address", global.address.clone()),
            ("client.identity", "--identity", identity),
        ];
        let given = flags.into_iter();
        Self {
            flags: given
                .filter_map(|(key, flag, value)| Some((key, flag.to_owned(), value?)))
                .collect(),
        }
    }

    /// The configuration, read anew; of `file` if one is named.
    pub fn config(&self, file: Option<PathBuf>) -> Result<Loaded, Failure> {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut sources = layers::sources(&Context::paths()?.config_file(), file, env);
        sources.flags.clone_from(&self.flags);
        Ok(Loaded::load(&sources)?)
    }

    /// Where the certificate lies that this user shows.
    pub fn identity(&self) -> Result<PathBuf, Failure> {
        let dir = self.config(None)?.config.client.identity;
        Ok(if dir.as_os_str().is_empty() { Context::paths()?.pki() } else { dir })
    }

    /// The daemon that runs, if one does: the configured one must.
    pub async fn running(&self) -> Result<Option<Running>, Failure> {
        let paths = Context::paths()?;
        let loaded = self.config(None)?;
        let dir = self.identity()?;
        let address = loaded.config.client.address.clone();
        if address.is_empty() {
            let found = start::running(&paths, &dir).await?;
            return Ok(found.map(|(endpoint, link)| {
                let address = endpoint.address.to_string();
                Running { address, endpoint: Some(endpoint), link }
            }));
        }
        let origin = loaded.origin("client.address");
        let wrong = |code, what: String| {
            Failure::new(code, format!("client.address: {what}"))
                .hint(format!("start the daemon there, or correct the address in {origin}"))
                .hint("without client.address, `darwin up` starts a daemon of your own")
        };
        let identity = Pki::at(&dir).identity(Usage::Client).map_err(|error| match error {
            LinkError::NoIdentity { dir } => {
                let dir = dir.display();
                let what = format!("there is no certificate for {address} in {dir}");
                let issue = "darwin pki issue NAME --role user";
                Failure::new(Code::Unavailable, format!("client.address: {what}"))
                    .hint(format!("have one issued on the daemon's machine with `{issue}`"))
                    .hint("name its directory with --identity DIR, or as client.identity")
                    .hint("without client.address, `darwin up` starts a daemon of your own")
            }
            error => error.into(),
        })?;
        let unknown = |reason| wrong(Code::Unavailable, format!("can't find {address}: {reason}"));
        let found =
            within(LOOKUP, "finding the daemon's address", tokio::net::lookup_host(&address))
                .await
                .map_err(|late| unknown(late.to_string()))?
                .map_err(|error| unknown(error.to_string()))?
                .next()
                .ok_or_else(|| unknown("it has no address".to_owned()))?;
        let endpoint = Endpoint { address: found, admin: found, pid: 0, started_ms: 0 };
        let link = Link::connect(&endpoint, &identity).await.map_err(|error| match error {
            LinkError::Unreachable { reason, .. } => {
                wrong(Code::Unavailable, format!("no daemon answers at {address} ({reason})"))
            }
            error => error.into(),
        })?;
        Ok(Some(Running { address, endpoint: None, link }))
    }
}

impl Context {
    /// From the flags that all commands share.
    pub fn new(global: &Global) -> Self {
        let out = Output::new(global.json, global.quiet);
        Self { out, target: Target::new(global), may_start: !global.no_start }
    }

    /// Where everything lies.
    pub fn paths() -> Result<Paths, Failure> {
        Ok(Paths::from_env(&|name| std::env::var_os(name))?)
    }

    /// The configuration, read anew; of `file` if one is named.
    pub fn config(&self, file: Option<PathBuf>) -> Result<Loaded, Failure> {
        self.target.config(file)
    }

    /// A link to the daemon, which is started if it is this user's own and isn't there.
    pub async fn link(&mut self) -> Result<Link, Failure> {
        if let Some(found) = self.running().await? {
            return Ok(found.link);
        }
        let paths = Self::paths()?;
        if !self.may_start {
            return Err(nobody(&paths));
        }
        let (endpoint, link) = start::start(&paths, &self.target.identity()?).await?;
        self.out.note(format_args!(
            "started darwind (process {}), data in {}; `darwin down` ends it",
            endpoint.pid,
            paths.data_dir.display()
        ));
        Ok(link)
    }

    /// A link to the daemon that runs already.
    pub async fn link_to_running(&self) -> Result<Running, Failure> {
        match self.running().await? {
            Some(found) => Ok(found),
            None => Err(nobody(&Self::paths()?)),
        }
    }

    /// The daemon that runs, if one does: the configured one must.
    pub async fn running(&self) -> Result<Option<Running>, Failure> {
        self.target.running().await
    }
}

fn nobody(paths: &Paths) -> Failure {
    let message = format!("no daemon runs for {}", paths.data_dir.display());
    Failure::new(Code::Unavailable, message).hint("darwin up")
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Random bytes for an id.
pub fn random() -> [u8; 10] {
    rand::random()
}
