//! Calls about sessions.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use crate::{
    domain::id::SessionId,
    wire::{
        convert,
        fault::Fault,
        limits::{DEFAULT_PAGE, MAX_PAGE},
        v1::{
            self, CreateSessionRequest, ListSessionsRequest, ListSessionsResponse, SessionRef,
            sessions_server::Sessions,
        },
    },
};

use super::{
    context::{Context, peer, refuse, to_the_end},
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
        let request = request.into_inner();
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

    async fn resume(&self, request: Request<SessionRef>) -> Result<Response<v1::Session>, Status> {
        let name = request.into_inner().session;
        let context = self.0.clone();
        let resumed = to_the_end(async move {
            let id = context.registry.find_session(&name).await?;
            let session = context.registry.close_session(id, false).await?;
            let runs = context.manager.list(Some(id), DEFAULT_PAGE as usize).await?;
            Ok::<_, Fault>((session, runs))
        });
        let (session, runs) = resumed.await?;
        let runs = runs.iter().map(run).collect();
        Ok(Response::new(v1::Session { runs, ..convert::session(&session) }))
    }

    async fn close(&self, request: Request<SessionRef>) -> Result<Response<v1::Session>, Status> {
        let name = request.into_inner().session;
        let registry = self.0.registry.clone();
        let closed = to_the_end(async move {
            let id = registry.find_session(&name).await?;
            registry.close_session(id, true).await
        });
        Ok(Response::new(convert::session(&closed.await?)))
    }
}
