//! The daemon's certificates: renewed in time, and looked at often, so that what `darwin pki`
//! changes on disk counts within seconds, without a restart.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use tokio::time::MissedTickBehavior;

use crate::{
    config::Paths,
    link::{
        error::LinkError,
        gate::Gate,
        pki::{Pki, Usage},
    },
};

use super::clock::Clock;

/// How often the files are looked at, and connections for certificates that have ended.
const LOOK: Duration = Duration::from_secs(2);
/// How often certificates are renewed that don't last, though no file has changed.
const RENEWAL: Duration = Duration::from_secs(3600);

/// The certificates in use.
#[derive(Clone)]
pub struct Certificates {
    /// What they mean for the port.
    pub gate: Arc<Gate>,
    home: Arc<Path>,
    pki: Pki,
    user: Arc<str>,
    names: Arc<ArcSwap<Vec<String>>>,
    seen: Arc<Mutex<Seen>>,
}

/// What was found at the last look that found no fault; and the fault, if there was one since.
struct Seen {
    files: Vec<Option<Vec<u8>>>,
    names: Vec<String>,
    renewed: SystemTime,
    trouble: String,
}

impl Certificates {
    /// Makes what is missing and renews what does not last. `user` is whom the client's
    /// certificate names, `names` are the server's.
    ///
    /// # Errors
    /// If a file can't be read or written, or the authority's files don't fit together.
    pub fn open(
        paths: &Paths,
        user: String,
        names: Vec<String>,
        clock: &Clock,
    ) -> Result<Self, LinkError> {
        let pki = Pki::at(paths.pki());
        let now = clock.now();
        pki.prepare(&user, &names, now)?;
        let files = pki.state()?;
        let gate = Gate::new(&pki.identity(Usage::Server)?)?;
        let seen = Seen { files, names: names.clone(), renewed: now, trouble: String::new() };
        let names = Arc::new(ArcSwap::from_pointee(names));
        let (home, user) = (paths.data_dir.as_path().into(), user.into());
        Ok(Self { gate, home, pki, user, names, seen: Arc::new(Mutex::new(seen)) })
    }

    /// Has the server's certificate hold these names.
    pub fn set_names(&self, names: Vec<String>, clock: &Clock) {
        self.names.store(Arc::new(names));
        self.look(clock.now());
    }

    /// Looks at the files again and again.
    pub async fn keep(self, clock: Clock) -> Result<(), String> {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let (own, clock) = (self.clone(), clock.clone());
            // It may have to wait for `darwin pki`, which holds the lock while it writes.
            let looked = tokio::task::spawn_blocking(move || own.look(clock.now()));
            looked.await.map_err(|error| error.to_string())?;
        }
    }

    /// Applies what has changed since the last look, and closes what is no longer accepted.
    fn look(&self, now: SystemTime) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = match self.apply(&mut seen, now) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        // Said once, and tried again at every look; what is in use stays so.
        if !trouble.is_empty() && trouble != seen.trouble {
            tracing::error!("kept the old certificates: {trouble}");
        }
        seen.trouble = trouble;
        self.gate.sweep(now);
    }

    fn apply(&self, seen: &mut Seen, now: SystemTime) -> Result<(), LinkError> {
        // Of a home that was removed, which is the daemon's end, nothing is made anew.
        if !self.home.exists() {
            return Ok(());
        }
        let names = self.names.load_full();
        // A clock that was set back is no reason to wait for it.
        let due = now.duration_since(seen.renewed).map_or(true, |since| since >= RENEWAL);
        if !due && *names == seen.names && self.pki.state()? == seen.files {
            return Ok(());
        }
        self.pki.prepare(&self.user, &names, now)?;
        let files = self.pki.state()?;
        if files != seen.files {
            self.gate.replace(&self.pki.identity(Usage::Server)?)?;
            tracing::info!("took up changed certificates");
        }
        *seen = Seen { files, names: names.to_vec(), renewed: now, trouble: String::new() };
        Ok(())
    }
}
