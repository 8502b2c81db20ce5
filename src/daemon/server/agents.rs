//! Calls about agents and their files.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use crate::{
    daemon::registry::error::RegistryError,
    provenance::manifest::genome_digest,
    wire::{
        convert,
        fault::Fault,
        v1::{self, AgentRef, agents_server::Agents},
    },
};

use super::context::{Context, refuse};

pub struct Service(pub Arc<Context>);

#[async_trait]
impl Agents for Service {
    async fn show(&self, request: Request<AgentRef>) -> Result<Response<v1::Agent>, Status> {
        let registry = &self.0.registry;
        let id = registry.find_agent(&request.into_inner().agent).await.map_err(refuse)?;
        let row = registry.agent(id).await.map_err(refuse)?;
        let mut agents = self.0.agents(&[row]).await?;
        let mut agent = agents.pop().unwrap_or_default();
        match registry.genome(id).await {
            Ok((genome, space)) => {
                let digest = genome_digest(&genome, &space)
                    .map_err(|error| Fault::new(error.code(), error.to_string()))?;
                agent.genome = digest.to_string();
            }
            // What is known without it is shown.
            Err(RegistryError::Shredded(_)) => agent.shredded = true,
            Err(error) => return Err(refuse(error)),
        }
        Ok(Response::new(agent))
    }

    async fn genome(&self, request: Request<AgentRef>) -> Result<Response<v1::Genome>, Status> {
        let registry = &self.0.registry;
        let id = registry.find_agent(&request.into_inner().agent).await.map_err(refuse)?;
        let (genome, space) = registry.genome(id).await.map_err(refuse)?;
        Ok(Response::new(convert::genome_message(&genome, &space)))
    }
}
