//! Users' sessions.

use std::collections::BTreeMap;

use super::{Registry, error::RegistryError, keys::random};
use crate::{
    daemon::store::warm::{
        Named, PAGE,
        rows::{Change, NewSession, SessionRow},
    },
    domain::{id::SessionId, session::Session},
    provenance::seal::BlobKind,
};

/// What the session is called that a user has without asking.
pub const DEFAULT: &str = "default";
/// The longest name of a session or a user, in bytes.
const MAX_NAME: usize = 256;
/// The largest context of a session, in bytes.
const MAX_CONTEXT: usize = 1 << 20;

impl Registry {
    /// Makes a session; the same id again gives the one that is there, and `false`.
    ///
    /// # Errors
    /// If the name is too long, or the session can't be stored.
    pub async fn create_session(
        &self,
        id: SessionId,
        name: &str,
        user: &str,
    ) -> Result<(Session, bool), RegistryError> {
        let _making = self.inner.making.lock().await;
        let rows = self.inner.stores.warm.rows();
        if let Some(row) = rows.session(id).await? {
            return Ok((self.whole(row).await?, false));
        }
        Ok((self.new_session(id, name, user).await?, true))
    }

    async fn new_session(
        &self,
        id: SessionId,
        name: &str,
        user: &str,
    ) -> Result<Session, RegistryError> {
        if name.len() > MAX_NAME || user.len() > MAX_NAME {
            let what = format!("a name has at most {MAX_NAME} bytes");
            return Err(RegistryError::Invalid(what));
        }
        let (sealer, wrapped, master) = self.inner.vault.make(id)?;
        let context = sealer.seal(BlobKind::Context, &encode(&BTreeMap::new())?, random()?)?;
        let created_ms = self.inner.clock.millis();
        let (name, user) = (name.to_owned(), user.to_owned());
        let new = NewSession {
            id,
            name: name.clone(),
            user: user.clone(),
            created_ms,
            context,
            wrapped,
            master,
        };
        self.change(Change::NewSession(new)).await?;
        let context = BTreeMap::new();
        Ok(Session { id, name, user, closed: false, used_ms: created_ms, context })
    }

    /// The session that a user has without asking: his last used open one of that name, made
    /// if there is none.
    ///
    /// # Errors
    /// If it can't be read or stored.
    pub async fn default_session(&self, user: &str) -> Result<Session, RegistryError> {
        // So that two calls at once make one.
        let _making = self.inner.making.lock().await;
        let rows = self.inner.stores.warm.rows();
        let wanted = |row: &SessionRow| !row.closed && row.user == user && row.name == DEFAULT;
        let recent = rows.sessions(false, PAGE).await?;
        let all_seen = recent.len() < PAGE;
        let mut found = recent.into_iter().find(wanted);
        if found.is_none() && !all_seen {
            // It is long since it was used: all are looked at.
            for id in self.all(Named::Session).await? {
                let row = rows.session(SessionId::from_bytes(id)).await?.filter(wanted);
                found = found.into_iter().chain(row).max_by_key(|row| row.used_ms);
            }
        }
        match found {
            Some(row) => self.whole(row).await,
            None => {
                let id = SessionId::new(self.inner.clock.millis(), random()?);
                self.new_session(id, DEFAULT, user).await
            }
        }
    }

    /// A session, with its context.
    ///
    /// # Errors
    /// If there is none, or it can't be opened.
    pub async fn session(&self, id: SessionId) -> Result<Session, RegistryError> {
        let row = self.inner.stores.warm.rows().session(id).await?;
        let missing = || RegistryError::NotFound { what: "session", text: id.to_string() };
        self.whole(row.ok_or_else(missing)?).await
    }

    /// At most `limit` sessions (and at most 1,000), the last used first, without contexts.
    ///
    /// # Errors
    /// If they can't be read.
    pub async fn sessions(
        &self,
        closed_too: bool,
        limit: usize,
    ) -> Result<Vec<Session>, RegistryError> {
        let rows = self.inner.stores.warm.rows().sessions(closed_too, limit).await?;
        Ok(rows.into_iter().map(|row| plain(row, BTreeMap::new())).collect())
    }

    /// Notes that a session is used now.
    ///
    /// # Errors
    /// If there is none, or it can't be stored.
    pub async fn touch_session(&self, id: SessionId) -> Result<(), RegistryError> {
        self.session_change(id, Change::Touch(id, self.inner.clock.millis())).await
    }

    /// Closes a session, or opens it again.
    ///
    /// # Errors
    /// If there is none, or it can't be stored.
    pub async fn close_session(
        &self,
        id: SessionId,
        closed: bool,
    ) -> Result<Session, RegistryError> {
        self.session_change(id, Change::Close(id, closed, self.inner.clock.millis())).await?;
        self.session(id).await
    }

    /// Replaces a session's context.
    ///
    /// # Errors
    /// If it is over 1 MiB, there is no such session, or it can't be stored.
    pub async fn set_context(
        &self,
        id: SessionId,
        context: &BTreeMap<String, String>,
    ) -> Result<(), RegistryError> {
        let bytes = encode(context)?;
        if bytes.len() > MAX_CONTEXT {
            return Err(RegistryError::Invalid("a session's context has at most 1 MiB".to_owned()));
        }
        let sealed = self.inner.vault.session(id).await?.seal(BlobKind::Context, &bytes)?;
        self.session_change(id, Change::Context(id, sealed)).await
    }

    /// Destroys a session's key: what it sealed, here and in cold, can never be read again.
    /// Ids, edges and scores stay, and signatures can still be checked.
    ///
    /// # Errors
    /// If there is no such session, or it can't be stored.
    pub async fn shred_session(&self, id: SessionId) -> Result<(), RegistryError> {
        self.session_change(id, Change::Shred(id)).await?;
        self.inner.vault.forget(id);
        Ok(())
    }

    async fn session_change(&self, id: SessionId, change: Change) -> Result<(), RegistryError> {
        if self.inner.stores.warm.rows().session(id).await?.is_none() {
            return Err(RegistryError::NotFound { what: "session", text: id.to_string() });
        }
        self.change(change).await
    }

    async fn whole(&self, row: SessionRow) -> Result<Session, RegistryError> {
        let session = self.inner.vault.session(row.id).await?;
        let bytes = session.sealer.open(BlobKind::Context, &row.context)?;
        let context = serde_ipld_dagcbor::from_slice(&bytes)
            .map_err(|error| RegistryError::Invalid(format!("a session's context: {error}")))?;
        Ok(plain(row, context))
    }
}

fn plain(row: SessionRow, context: BTreeMap<String, String>) -> Session {
    let SessionRow { id, name, user, closed, used_ms, .. } = row;
    Session { id, name, user, closed, used_ms, context }
}

fn encode(context: &BTreeMap<String, String>) -> Result<Vec<u8>, RegistryError> {
    serde_ipld_dagcbor::to_vec(context)
        .map_err(|error| RegistryError::Invalid(format!("a session's context: {error}")))
}
