//! Calls for evaluations outside a run.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use crate::{
    code::Code,
    daemon::manager::trial::{Subject, Trial},
    domain::{id::AgentId, journal::Evaluated},
    wire::{
        convert,
        fault::Fault,
        v1::{
            EvaluateRequest, EvaluateResponse, evaluate_request::What,
            evaluations_server::Evaluations,
        },
    },
};

use super::{
    context::{Context, keyed, peer, profile, to_the_end},
    once::Asked,
};

pub struct Service(pub Arc<Context>);

#[async_trait]
impl Evaluations for Service {
    async fn evaluate(
        &self,
        request: Request<EvaluateRequest>,
    ) -> Result<Response<EvaluateResponse>, Status> {
        let user = peer(&request)?.user;
        let asked = Asked::of("Evaluations/Evaluate", &request)?;
        let request = keyed(request)?;
        let context = self.0.clone();
        let result = to_the_end(async move {
            let turn = context.turn(asked).await?;
            let subject = match request.what {
                Some(What::Agent(name)) => Subject::Agent(match turn.done(AgentId::from_bytes) {
                    Some(agent) => agent,
                    None => context.registry.find_agent(&name).await?,
                }),
                Some(What::Genome(genome)) => {
                    let (genome, space) = convert::genome(genome)?;
                    Subject::Genome(genome, Arc::new(space))
                }
                None => {
                    let text = "the request names neither an agent nor a genome to evaluate";
                    return Err(Fault::new(Code::InvalidInput, text));
                }
            };
            let mark = match &subject {
                Subject::Agent(agent) => Some(turn.mark(agent.as_bytes())),
                Subject::Genome(..) => None,
            };
            let agent = convert::optional_id("agent_id", &request.agent_id)?;
            let trial = Trial {
                agent,
                subject,
                session: context.session(&user, &[]).await?,
                suite_toml: request.suite_toml,
                suite_files: convert::bundle("suite_files", request.suite_files)?,
                repeat: request.repeat,
                seed: request.seed,
                profile: profile(&request.sandbox)?,
                mark,
                made: turn.made.is_some(),
            };
            Ok(context.manager.evaluate(trial).await?)
        });
        let result = result.await?;
        let message = |it: &Evaluated| convert::evaluation(&it.evaluation, it.shown());
        Ok(Response::new(EvaluateResponse {
            evaluations: result.evaluations.iter().map(message).collect(),
            objectives: result.objectives.iter().map(|it| it.name.clone()).collect(),
            agent_id: convert::bytes(result.agent.as_bytes()),
            whole: Some(message(&result.whole)),
        }))
    }
}
