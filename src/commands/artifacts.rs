//! What an agent's evaluations left: listed, and given out byte for byte.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    code::Code,
    domain::journal::EventKind,
    link::client::Link,
    wire::v1::{Agent, JournalRequest, event},
};

use super::{
    context::Context,
    error::Failure,
    json, naming,
    output::Side,
    text::{self, id, plain},
};

/// The most entries of one page.
const PAGE: u32 = 100;

/// An artefact, and which of the agent's evaluations left it, counted from 1.
struct Artifact {
    evaluation: usize,
    name: String,
    content: Bytes,
}

impl Artifact {
    fn json(&self) -> Value {
        let size = self.content.len();
        json!({"evaluation": self.evaluation, "name": self.name, "size": size})
    }
}

/// Lists the artefacts of `agent`, or of that evaluation of it; with a name, prints the last of
/// that name.
///
/// # Errors
/// If there is none of that name, or the journal can't be read.
pub async fn run(
    context: &mut Context,
    link: &Link,
    agent: &Agent,
    name: Option<&str>,
    evaluation: Option<usize>,
) -> Result<(), Failure> {
    let mut artifacts = read(link, agent).await?;
    artifacts.retain(|it| evaluation.is_none_or(|wanted| it.evaluation == wanted));
    match name {
        None => list(context, agent, &artifacts),
        Some(name) => print(context, agent, &artifacts, name),
    }
}

async fn read(link: &Link, agent: &Agent) -> Result<Vec<Artifact>, Failure> {
    let (mut artifacts, mut evaluation) = (Vec::new(), 0);
    let mut cursor = Bytes::new();
    loop {
        let request = JournalRequest {
            of: id(&agent.id),
            only: vec![EventKind::Evaluated.as_str().to_owned()],
            limit: PAGE,
            cursor,
            ..JournalRequest::default()
        };
        let page = link.journals().read(request).await?.into_inner();
        for entry in page.entries {
            if entry.shredded {
                return Err(naming::shredded("what evaluations of this agent left"));
            }
            for event in entry.events.into_iter().filter_map(|event| event.event) {
                let event::Event::Evaluated(it) = event else { continue };
                evaluation += 1;
                let files = it.evaluation.into_iter().flat_map(|it| it.artifacts);
                artifacts.extend(files.map(|file| Artifact {
                    evaluation,
                    name: file.path,
                    content: file.content,
                }));
            }
        }
        if page.cursor.is_empty() {
            return Ok(artifacts);
        }
        cursor = page.cursor;
    }
}

fn list(context: &mut Context, agent: &Agent, artifacts: &[Artifact]) -> Result<(), Failure> {
    if context.out.json() {
        let artifacts: Vec<_> = artifacts.iter().map(Artifact::json).collect();
        let fields = json!({"agent": id(&agent.id), "artifacts": artifacts});
        return context.out.document("artifacts", fields);
    }
    if artifacts.is_empty() {
        context.out.note("no evaluation of this agent left anything");
        return Ok(());
    }
    let row = |it: &Artifact| {
        let size = text::bytes(it.content.len() as u64);
        [it.evaluation.to_string(), plain(&it.name), size]
    };
    let rows: Vec<_> = artifacts.iter().map(row).collect();
    let head = [("EVALUATION", Side::Right), ("ARTIFACT", Side::Left), ("SIZE", Side::Right)];
    context.out.table(head, &rows)
}

fn print(
    context: &mut Context,
    agent: &Agent,
    artifacts: &[Artifact],
    name: &str,
) -> Result<(), Failure> {
    let Some(found) = artifacts.iter().rfind(|it| it.name == name) else {
        let message = format!("no evaluation of the agent left an artefact “{}”", plain(name));
        let hint = format!("darwin agents artifacts {}", id(&agent.id));
        return Err(Failure::new(Code::NotFound, message).hint(hint));
    };
    if context.out.json() {
        let mut fields = found.json();
        fields["agent"] = json!(id(&agent.id));
        fields["content"] = json::content(&found.content);
        return context.out.document("artifact", fields);
    }
    context.out.content(&found.content)
}
