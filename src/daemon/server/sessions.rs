//! Calls about sessions.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use crate::{
    daemon::registry::{Registry, error::RegistryError},
    domain::{id::SessionId, session::Session},
    wire::{
        convert,
        fault::Fault,
        limits::{DEFAULT_PAGE, MAX_PAGE},
        v1::{
            self, CreateSessionRequest, ListSessionsRequest, ListSessionsResponse, SessionRef,
            SetContextRequest, ShredRequest, sessions_server::Sessions,
        },
    },
};

use super::{
    context::{Context, keyed, peer, refuse, to_the_end},
    once::Asked,
    runs::run,
};

pub struct Service(pub Arc<Context>);

#[async_trait]
impl Sessions for Service {
    async fn create(
        &self,
        request: Request<CreateSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        let user = peer(&request)?.user;
        let request = keyed(request)?;
        let id: SessionId = convert::id("session_id", &request.session_id).map_err(refuse)?;
        let registry = self.0.registry.clone();
        let made =
            to_the_end(async move { registry.create_session(id, &request.name, &user).await });
        Ok(Response::new(convert::session(&made.await?.0)))
    }

    async fn list(
        &self,
        request: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let closed_too = request.into_inner().closed_too;
        let sessions = self.0.registry.sessions(closed_too, MAX_PAGE as usize).await;
        let sessions = sessions.map_err(refuse)?.iter().map(convert::session).collect();
        Ok(Response::new(ListSessionsResponse { sessions }))
    }

    async fn show(&self, request: Request<SessionRef>) -> Result<Response<v1::Session>, Status> {
        let user = peer(&request)?.user;
        let registry = &self.0.registry;
        let id = registry.find_session(&user, &request.into_inner().session).await;
        let session = registry.session(id.map_err(refuse)?).await.map_err(refuse)?;
        Ok(Response::new(self.with_runs(&session).await?))
    }

    async fn resume(&self, request: Request<SessionRef>) -> Result<Response<v1::Session>, Status> {
        let (asked, user) = (Asked::of("Sessions/Resume", &request)?, peer(&request)?.user);
        let name = request.into_inner().session;
        let resume =
            |registry: Registry, id| async move { registry.close_session(id, false).await };
        let resumed = self.once(asked, user, name, resume).await?;
        Ok(Response::new(self.with_runs(&resumed).await?))
    }

    async fn close(&self, request: Request<SessionRef>) -> Result<Response<v1::Session>, Status> {
        let (asked, user) = (Asked::of("Sessions/Close", &request)?, peer(&request)?.user);
        let name = request.into_inner().session;
        let close = |registry: Registry, id| async move { registry.close_session(id, true).await };
        Ok(Response::new(convert::session(&self.once(asked, user, name, close).await?)))
    }

    async fn set_context(
        &self,
        request: Request<SetContextRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        let (asked, user) = (Asked::of("Sessions/SetContext", &request)?, peer(&request)?.user);
        let SetContextRequest { session: name, text } = request.into_inner();
        let set = |registry: Registry, id| async move { registry.set_context(id, &text).await };
        Ok(Response::new(convert::session(&self.once(asked, user, name, set).await?)))
    }

    async fn shred(&self, request: Request<ShredRequest>) -> Result<Response<v1::Session>, Status> {
        let user = peer(&request)?.user;
        let ShredRequest { session, confirmed } = request.into_inner();
        let registry = self.0.registry.clone();
        // However often it is asked for: what is destroyed stays so, and a log that could not be
        // emptied is emptied then.
        let shredded = to_the_end(async move {
            let id = registry.find_session(&user, &session).await?;
            let shredded = registry.shred_session(id, confirmed).await?;
            if confirmed {
                tracing::info!(session = %id, %user, "its key was destroyed");
            }
            Ok::<_, RegistryError>(shredded)
        });
        Ok(Response::new(convert::session(&shredded.await?)))
    }
}

impl Service {
    /// Changes the session that a user names so, once: who asks again gets it as it is now.
    async fn once<F>(
        &self,
        asked: Asked,
        user: Arc<str>,
        name: String,
        change: impl FnOnce(Registry, SessionId) -> F + Send + 'static,
    ) -> Result<Session, Status>
    where
        F: Future<Output = Result<Session, RegistryError>> + Send + 'static,
    {
        let context = self.0.clone();
        to_the_end(async move {
            let turn = context.turn(asked).await?;
            if let Some(id) = turn.done(SessionId::from_bytes) {
                return Ok(context.registry.session(id).await?);
            }
            let id = context.registry.find_session(&user, &name).await?;
            let registry = context.registry.marked([turn.mark(id.as_bytes())]);
            Ok::<_, Fault>(change(registry, id).await?)
        })
        .await
    }

    /// The message of a session, with its runs.
    async fn with_runs(&self, session: &Session) -> Result<v1::Session, Fault> {
        let runs = self.0.manager.list(Some(session.id), DEFAULT_PAGE as usize).await?;
        let runs = runs.iter().map(run).collect();
        Ok(v1::Session { runs, ..convert::session(session) })
    }
}
