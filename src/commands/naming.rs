//! What users may write for an agent: its id or a unique start of it, or a run for its best.

use crate::{
    code::Code,
    link::client::Link,
    wire::{
        fault::Fault,
        v1::{Agent, AgentRef, RunRef},
    },
};

use super::{context::Context, error::Failure, text::id};

/// What stands in place of a content that nobody can read again.
pub const SHREDDED: &str = "shredded: its session's key is destroyed";

/// Why a content can't be shown.
pub fn shredded(what: &str) -> Failure {
    let message = format!("{what} can't be read again: its session's key is destroyed");
    Failure::new(Code::Denied, message).hint("darwin session list --all")
}

/// The agent that `name` stands for: where it names a run, that run's best.
///
/// # Errors
/// If there is none, or more than one.
pub async fn agent(context: &mut Context, link: &Link, name: &str) -> Result<Agent, Failure> {
    let run = match link.runs().show(RunRef { run: name.to_owned() }).await {
        Ok(run) => Some(run.into_inner()),
        Err(status) => match Fault::from(status) {
            // Not a run then.
            Fault { code: Code::NotFound | Code::InvalidInput | Code::Conflict, .. } => None,
            fault => return Err(Failure::new(fault.code, fault.message)),
        },
    };
    let name = match run {
        None => name.to_owned(),
        Some(run) if run.best_agent.is_empty() => {
            let message = format!("run {} has no agent with a score yet", id(&run.id));
            return Err(Failure::new(Code::NotFound, message)
                .hint(format!("darwin runs show {}", id(&run.id))));
        }
        Some(run) => {
            let best = id(&run.best_agent);
            context.out.note(format_args!("run {name}: best agent {best}"));
            best
        }
    };
    Ok(link.agents().show(AgentRef { agent: name }).await?.into_inner())
}
