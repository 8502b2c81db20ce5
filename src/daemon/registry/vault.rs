//! The sessions' keys, unwrapped while they are in use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{error::RegistryError, keys::random};
use crate::{
    daemon::store::warm::Warm,
    domain::id::SessionId,
    provenance::seal::{BlobKind, MasterKey, Sealer, SessionKey},
};

/// The most sessions whose keys are kept unwrapped.
const OPEN: usize = 256;

/// Gives each session its sealer.
pub struct Vault {
    warm: Warm,
    master: MasterKey,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    sessions: HashMap<SessionId, Arc<Session>>,
    /// How many keys were destroyed: what was read before the last one was may be one of them.
    destroyed: u64,
}

/// A session whose key is at hand.
pub struct Session {
    /// Its number in the warm tier.
    pub node: i64,
    /// Seals and opens what belongs to it.
    pub sealer: Arc<Sealer>,
}

impl Vault {
    /// The vault over the wrapped keys in `warm`.
    #[must_use]
    pub fn new(warm: Warm, master: MasterKey) -> Self {
        Self { warm, master, open: Mutex::default() }
    }

    /// A new key, and how it is stored.
    ///
    /// # Errors
    /// If there are no random numbers.
    pub fn make(&self, id: SessionId) -> Result<(Sealer, Bytes, [u8; 16]), RegistryError> {
        let key = SessionKey::new(random()?);
        let wrapped = self.master.wrap(&key, id, random()?);
        Ok((Sealer::new(id, &key), wrapped, self.master.id().0))
    }

    /// The session, with its key.
    ///
    /// # Errors
    /// If there is no such session, or its key is gone or wrapped by another master key.
    pub async fn session(&self, id: SessionId) -> Result<Arc<Session>, RegistryError> {
        let destroyed = {
            let open = self.open();
            if let Some(known) = open.sessions.get(&id) {
                return Ok(Arc::clone(known));
            }
            open.destroyed
        };
        let rows = self.warm.rows();
        let row = rows.session(id).await?;
        let row =
            row.ok_or_else(|| RegistryError::NotFound { what: "session", text: id.to_string() })?;
        let wrapped = rows.session_key(id).await?.ok_or(RegistryError::Shredded(id))?;
        let key = self.master.unwrap(&wrapped, id)?;
        let sealer = Arc::new(Sealer::new(id, &key));
        let session = Arc::new(Session { node: row.node, sealer });
        let mut open = self.open();
        if open.destroyed == destroyed {
            if open.sessions.len() >= OPEN {
                open.sessions.clear();
            }
            open.sessions.insert(id, Arc::clone(&session));
        }
        Ok(session)
    }

    /// The keyed digest of a request.
    #[must_use]
    pub fn request_mac(&self, method: &str, request: &[u8]) -> [u8; 32] {
        self.master.request_mac(method, request)
    }

    /// Forgets an unwrapped key, which was destroyed.
    pub fn forget(&self, id: SessionId) {
        let mut open = self.open();
        open.destroyed += 1;
        open.sessions.remove(&id);
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// Seals a column.
    ///
    /// # Errors
    /// If it is too large, or there are no random numbers.
    pub fn seal(&self, kind: BlobKind, plain: &[u8]) -> Result<Bytes, RegistryError> {
        Ok(self.sealer.seal(kind, plain, random()?)?)
    }
}
