//! Calls about where agents come from.

use std::{pin::Pin, sync::Arc};

use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status, async_trait};

use crate::{
    daemon::registry::{lineage::AgentPage as Page, verify::Verified},
    domain::id::AgentId,
    wire::{
        limits,
        v1::{
            AgentPage, AgentRef, Chunk, ExportRequest, PageRequest, VerifyResponse,
            lineage_server::Lineage,
        },
    },
};

use super::context::{Context, refuse};

pub struct Service(pub Arc<Context>);

impl Service {
    async fn page(&self, page: Page, but: Option<AgentId>) -> Result<Response<AgentPage>, Status> {
        let rows: Vec<_> = page.agents.into_iter().filter(|row| Some(row.id) != but).collect();
        let agents = self.0.agents(&rows).await?;
        Ok(Response::new(AgentPage { agents, cursor: page.cursor.into() }))
    }
}

#[async_trait]
impl Lineage for Service {
    type ExportStream = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

    async fn tree(&self, request: Request<PageRequest>) -> Result<Response<AgentPage>, Status> {
        let request = request.into_inner();
        let registry = &self.0.registry;
        let run = registry.find_run(&request.of).await.map_err(refuse)?;
        let limit = limits::page(request.limit) as usize;
        let page = registry.tree(run, &request.cursor, limit).await.map_err(refuse)?;
        self.page(page, None).await
    }

    async fn ancestors(
        &self,
        request: Request<PageRequest>,
    ) -> Result<Response<AgentPage>, Status> {
        let request = request.into_inner();
        let registry = &self.0.registry;
        let agent = registry.find_agent(&request.of).await.map_err(refuse)?;
        let limit = limits::page(request.limit) as usize;
        let page = registry.ancestors(agent, &request.cursor, limit).await.map_err(refuse)?;
        self.page(page, Some(agent)).await
    }

    async fn descendants(
        &self,
        request: Request<PageRequest>,
    ) -> Result<Response<AgentPage>, Status> {
        let request = request.into_inner();
        let registry = &self.0.registry;
        let agent = registry.find_agent(&request.of).await.map_err(refuse)?;
        let limit = limits::page(request.limit) as usize;
        let page = registry.descendants(agent, &request.cursor, limit).await.map_err(refuse)?;
        self.page(page, Some(agent)).await
    }

    async fn verify(&self, request: Request<AgentRef>) -> Result<Response<VerifyResponse>, Status> {
        let registry = &self.0.registry;
        let agent = registry.find_agent(&request.into_inner().agent).await.map_err(refuse)?;
        let found = registry.verify_agent(agent).await.map_err(refuse)?;
        Ok(Response::new(verified(found)))
    }

    async fn export(
        &self,
        request: Request<ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let request = request.into_inner();
        let registry = &self.0.registry;
        let agent = registry.find_agent(&request.agent).await.map_err(refuse)?;
        let pieces = registry.export(agent, request.disclose).await.map_err(refuse)?;
        let chunks = ReceiverStream::new(pieces)
            .map(|piece| piece.map(|data| Chunk { data }).map_err(refuse));
        Ok(Response::new(Box::pin(chunks)))
    }
}

/// The message of what a check found.
pub fn verified(found: Verified) -> VerifyResponse {
    VerifyResponse {
        agents: found.agents,
        entries: found.entries,
        blocks: found.blocks,
        fault: found.faults.into_iter().next().unwrap_or_default(),
        contents: found.contents,
        shredded: found.shredded,
    }
}
