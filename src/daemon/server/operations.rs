//! Calls about the daemon itself.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use crate::{
    code::Code,
    daemon::admin::resident_bytes,
    wire::v1::{
        DoctorRequest, DoctorResponse, ShutdownRequest, ShutdownResponse, StatusRequest,
        StatusResponse, Tier, VerifyResponse, VerifyStoreRequest, operations_server::Operations,
    },
};

use super::{
    context::{Context, peer, refuse},
    doctor,
    lineage::verified,
    once::Asked,
};

pub struct Service(pub Arc<Context>);

#[async_trait]
impl Operations for Service {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let context = &self.0;
        let agents = context.registry.count_agents().await.map_err(refuse)?;
        let trouble = context.registry.trouble().map(|error| error.to_string());
        let faults = context.registry.faults().first().map(ToString::to_string);
        let tier = |(name, url): &(&str, String)| {
            let detail = match *name {
                "hot" => None,
                "cold" => trouble.clone().or_else(|| faults.clone()),
                _ => trouble.clone(),
            };
            Tier {
                name: (*name).to_owned(),
                url: url.clone(),
                healthy: detail.is_none(),
                detail: detail.unwrap_or_default(),
            }
        };
        Ok(Response::new(StatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_ms: u64::try_from(context.vitals.uptime().as_millis()).unwrap_or(u64::MAX),
            resident_bytes: resident_bytes(),
            home: context.home.display().to_string(),
            admin: context.admin.to_string(),
            running: context.manager.running() as u64,
            agents,
            tiers: context.tiers.iter().map(tier).collect(),
            workers: u32::try_from(context.workers).unwrap_or(u32::MAX),
        }))
    }

    async fn doctor(&self, _: Request<DoctorRequest>) -> Result<Response<DoctorResponse>, Status> {
        let context = &self.0;
        let checks = doctor::checks(
            &context.registry,
            &context.evaluator,
            &context.home,
            &context.python,
            &context.tiers,
        )
        .await;
        Ok(Response::new(DoctorResponse { checks }))
    }

    async fn verify_store(
        &self,
        _: Request<VerifyStoreRequest>,
    ) -> Result<Response<VerifyResponse>, Status> {
        let found = self.0.registry.verify_all().await.map_err(refuse)?;
        Ok(Response::new(verified(found)))
    }

    async fn shutdown(
        &self,
        request: Request<ShutdownRequest>,
    ) -> Result<Response<ShutdownResponse>, Status> {
        let (asked, user) = (Asked::of("Operations/Shutdown", &request)?, peer(&request)?.user);
        // Asked for again, it may reach the daemon that was started after this one. One whose store
        // fails must end all the same.
        match self.0.turn(asked).await {
            Ok(turn) if turn.made.is_some() => return Ok(Response::new(ShutdownResponse {})),
            Ok(turn) => {
                if let Err(error) = self.0.registry.note(turn.mark(&[0; 16])).await {
                    tracing::warn!(%error, "that this daemon was asked to end is not recorded");
                }
            }
            Err(error) if error.code() == Code::Conflict => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "whether this was asked before is not known"),
        }
        tracing::info!(%user, "asked to end");
        self.0.stop.cancel();
        Ok(Response::new(ShutdownResponse {}))
    }
}
