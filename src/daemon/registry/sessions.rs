//! Users' sessions.

use std::collections::BTreeMap;

use super::{Registry, error::RegistryError, keys::random};
use crate::{
    daemon::store::warm::{
        Named, PAGE, Runs,
        rows::{Change, NewSession, SessionRow},
    },
    domain::{
        id::SessionId,
        session::{CONTEXT_TEXT, MAX_CONTEXT, Session},
    },
    provenance::seal::BlobKind,
};

/// What the session is called that a user has without asking.
pub const DEFAULT: &str = "default";
/// The longest name of a session or a user, in bytes.
const MAX_NAME: usize = 256;

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
        let context = sealer.seal(BlobKind::Context, &encode("")?, random()?)?;
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
        let (closed, shredded, used_ms, context) = (false, false, created_ms, String::new());
        Ok(Session { id, name, user, closed, used_ms, shredded, context })
    }

    /// The session that a user has without asking: his last used open one of that name, made
    /// if there is none.
    ///
    /// # Errors
    /// If it can't be read or stored.
    pub async fn default_session(&self, user: &str) -> Result<SessionId, RegistryError> {
        // So that two calls at once make one.
        let _making = self.inner.making.lock().await;
        let found = self.inner.stores.warm.rows().sessions_named(Some(user), DEFAULT, 1).await?;
        match found.into_iter().find(|row| !row.closed) {
            Some(row) => Ok(row.id),
            None => {
                let id = SessionId::new(self.inner.clock.millis(), random()?);
                Ok(self.new_session(id, DEFAULT, user).await?.id)
            }
        }
    }

    /// The session that `text` names for that user: its whole id, which no name can take the
    /// place of; what he calls it; a start that no other id has; or what others call it.
    ///
    /// # Errors
    /// If there is none, or several.
    pub async fn find_session(&self, user: &str, text: &str) -> Result<SessionId, RegistryError> {
        let by_id = self.find(Named::Session, "session", text).await.map(SessionId::from_bytes);
        if let Ok(id) = by_id
            && text.parse() == Ok(id)
        {
            return Ok(id);
        }
        if let Some(own) = self.session_called(Some(user), text).await? {
            return Ok(own);
        }
        match by_id {
            Err(missing @ RegistryError::NotFound { .. }) => {
                self.session_called(None, text).await?.ok_or(missing)
            }
            found => found,
        }
    }

    /// The only session that is called so, of that user or of all.
    async fn session_called(
        &self,
        user: Option<&str>,
        name: &str,
    ) -> Result<Option<SessionId>, RegistryError> {
        match &self.inner.stores.warm.rows().sessions_named(user, name, 2).await?[..] {
            [] => Ok(None),
            [only] => Ok(Some(only.id)),
            _ => Err(RegistryError::Namesakes(name.to_owned())),
        }
    }

    /// A session, with its context.
    ///
    /// # Errors
    /// If there is none, or it can't be opened.
    pub async fn session(&self, id: SessionId) -> Result<Session, RegistryError> {
        self.whole(self.need_session(id).await?).await
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
        Ok(rows.into_iter().map(|row| plain(row, String::new())).collect())
    }

    /// Notes that a session is used now.
    ///
    /// # Errors
    /// If there is none, or it can't be stored.
    pub async fn touch_session(&self, id: SessionId) -> Result<(), RegistryError> {
        self.need_session(id).await?;
        self.change(Change::Touch(id, self.inner.clock.millis())).await
    }

    /// Closes a session, or opens it again.
    ///
    /// # Errors
    /// If there is none, it can't be stored, or its key was destroyed and it is to be opened.
    pub async fn close_session(
        &self,
        id: SessionId,
        closed: bool,
    ) -> Result<Session, RegistryError> {
        let _making = self.inner.making.lock().await;
        if self.need_session(id).await?.shredded && !closed {
            return Err(RegistryError::Shredded(id));
        }
        self.change(Change::Close(id, closed, self.inner.clock.millis())).await?;
        self.session(id).await
    }

    /// Replaces a session's context.
    ///
    /// # Errors
    /// If it is over 1 MiB, there is no such session, it is closed or its key was destroyed, or
    /// it can't be stored.
    pub async fn set_context(&self, id: SessionId, text: &str) -> Result<Session, RegistryError> {
        if text.len() > MAX_CONTEXT {
            return Err(RegistryError::Invalid("a session's context has at most 1 MiB".to_owned()));
        }
        let _making = self.inner.making.lock().await;
        let session = self.inner.vault.session(id).await?;
        if self.need_session(id).await?.closed {
            return Err(RegistryError::SessionClosed(id));
        }
        let sealed = session.seal(BlobKind::Context, &encode(text)?)?;
        self.change(Change::Context(id, sealed)).await?;
        self.session(id).await
    }

    /// Destroys a closed session's key: what it sealed, here and in cold, can never be read
    /// again. Ids, edges and scores stay, and signatures can still be checked. Unless that is
    /// `confirmed` nothing is done but to tell whether it could be.
    ///
    /// # Errors
    /// If there is no such session, it is open or a run of it is at work, or it can't be stored.
    pub async fn shred_session(
        &self,
        id: SessionId,
        confirmed: bool,
    ) -> Result<Session, RegistryError> {
        // No run of it is taken up meanwhile, and it is not opened again.
        let _making = self.inner.making.lock().await;
        if !self.need_session(id).await?.closed {
            return Err(RegistryError::SessionOpen(id));
        }
        let at_work = self.inner.stores.warm.rows().runs(Runs::AtWork, PAGE).await?;
        if let Some(run) = at_work.into_iter().find(|run| run.session == id) {
            return Err(RegistryError::AtWork { run: run.id, session: id });
        }
        if confirmed {
            let destroyed = self.change(Change::Shred(id)).await;
            // Even if it failed: nobody knows how far it came.
            self.inner.vault.forget(id);
            destroyed?;
        }
        self.session(id).await
    }

    async fn need_session(&self, id: SessionId) -> Result<SessionRow, RegistryError> {
        let row = self.inner.stores.warm.rows().session(id).await?;
        row.ok_or_else(|| RegistryError::NotFound { what: "session", text: id.to_string() })
    }

    async fn whole(&self, row: SessionRow) -> Result<Session, RegistryError> {
        if row.shredded {
            return Ok(plain(row, String::new()));
        }
        let session = self.inner.vault.session(row.id).await?;
        let bytes = session.sealer.open(BlobKind::Context, &row.context)?;
        let mut context: BTreeMap<String, String> = serde_ipld_dagcbor::from_slice(&bytes)
            .map_err(|error| RegistryError::Invalid(format!("a session's context: {error}")))?;
        Ok(plain(row, context.remove(CONTEXT_TEXT).unwrap_or_default()))
    }
}

fn plain(row: SessionRow, context: String) -> Session {
    let SessionRow { id, name, user, closed, used_ms, shredded, .. } = row;
    Session { id, name, user, closed, used_ms, shredded, context }
}

/// A context as it is sealed, see doc/formats.md.
fn encode(text: &str) -> Result<Vec<u8>, RegistryError> {
    let context = BTreeMap::from_iter((!text.is_empty()).then_some((CONTEXT_TEXT, text)));
    serde_ipld_dagcbor::to_vec(&context)
        .map_err(|error| RegistryError::Invalid(format!("a session's context: {error}")))
}
