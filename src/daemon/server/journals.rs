//! Calls for journals.

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use crate::{
    code::Code,
    daemon::registry::journal::{Filter, JournalEntry as Entry, Of},
    domain::{journal::EventKind, lifecycle::Verdict},
    wire::{
        convert,
        fault::Fault,
        limits,
        v1::{JournalEntry, JournalRequest, JournalResponse, journals_server::Journals},
    },
};

use super::context::{Context, refuse};

pub struct Service(pub Arc<Context>);

#[async_trait]
impl Journals for Service {
    async fn read(
        &self,
        request: Request<JournalRequest>,
    ) -> Result<Response<JournalResponse>, Status> {
        let request = request.into_inner();
        let of = self.find(&request.of).await?;
        let filter = filter(&request.only, request.since_ms)?;
        let limit = limits::page(request.limit) as usize;
        let registry = &self.0.registry;
        let page = registry.journal(of, filter, &request.cursor, limit).await.map_err(refuse)?;
        let entries = page.entries.iter().map(message).collect();
        Ok(Response::new(JournalResponse { entries, cursor: page.cursor.into() }))
    }
}

impl Service {
    /// An agent or a run of that name. Both may be named by a start of their ids, and an
    /// agent's id begins as its run's does: an agent that is named whole comes first, then
    /// runs, then starts of agents' ids.
    async fn find(&self, name: &str) -> Result<Of, Fault> {
        let registry = &self.0.registry;
        match registry.find_run(name).await {
            Ok(run) => return Ok(Of::Run(run)),
            Err(error) if error.code() != Code::NotFound => return Err(error.into()),
            Err(_) => {}
        }
        match registry.find_agent(name).await {
            Ok(agent) => Ok(Of::Agent(agent)),
            Err(error) if error.code() == Code::NotFound => {
                let text = format!(
                    "there is no agent or run “{name}” here; `darwin runs list` shows all runs"
                );
                Err(Fault::new(Code::NotFound, text))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What is wanted: kinds of events, and verdicts, by name.
fn filter(only: &[String], since_ms: u64) -> Result<Filter, Fault> {
    let mut filter = Filter { since_ms, ..Filter::default() };
    for name in only {
        let kind = EventKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        match (kind, Verdict::named(name)) {
            (Some(kind), _) => filter.kinds.push(kind),
            (None, Some(verdict)) => filter.verdicts.push(verdict),
            (None, None) => {
                let kinds = EventKind::ALL.map(EventKind::as_str);
                let verdicts = Verdict::ALL.map(Verdict::as_str);
                let known = [&kinds[..], &verdicts[..]].concat().join(", ");
                let text = format!("“{name}” is no kind of event and no verdict; give {known}");
                return Err(Fault::new(Code::InvalidInput, text));
            }
        }
    }
    Ok(filter)
}

/// The message of an entry. Without its session's key only its header is known.
fn message(entry: &Entry) -> JournalEntry {
    let header = &entry.entry.header;
    let genome = entry.genome.map(|digest| digest.to_string()).unwrap_or_default();
    let events = entry.events.iter().flatten();
    JournalEntry {
        agent_id: convert::bytes(header.link.agent.as_bytes()),
        seq: header.link.seq,
        cid: entry.entry.cid.to_string(),
        signer: header.signer.to_string(),
        events: events.map(|event| convert::event(event, &genome)).collect(),
        shredded: entry.events.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_holds_kinds_and_verdicts_and_names_what_it_does_not_know() {
        let only = ["judged", "champion"].map(str::to_owned);
        let filter = filter(&only, 5).unwrap();
        assert_eq!(filter.kinds, [EventKind::Judged]);
        assert_eq!(filter.verdicts, [Verdict::Champion]);
        assert_eq!(filter.since_ms, 5);
        let error = super::filter(&["divergent".to_owned()], 0).unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput);
        assert!(error.message.contains("proposed, evaluated"), "{error}");
    }
}
