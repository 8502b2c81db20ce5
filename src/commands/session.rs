//! `darwin session`: the runs and agents that belong together.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    code::Code,
    domain::id::SessionId,
    link::client::Link,
    wire::{
        convert,
        v1::{self, CreateSessionRequest, ListSessionsRequest, SessionRef},
    },
};

use super::{
    context::{Context, now_ms, random},
    error::Failure,
    json,
    output::{Side, Tone},
    text::{ago, id, maybe, plain, plural, short, utc},
};

/// Group runs into sessions, and come back to them
///
/// Every run belongs to a session. Without one of your own, runs join your default session.
#[derive(Debug, Args)]
pub struct Session {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Begin a session
    #[command(after_help = "Examples:
  darwin session new packing
  darwin evolve examples/circle-packing --session packing")]
    New {
        /// What you call it
        name: String,
    },
    /// List sessions, the last used first
    #[command(after_help = "Examples:
  darwin session list
  darwin session list --all --json")]
    List {
        /// Closed ones too
        #[arg(long)]
        all: bool,
    },
    /// Come back to a session: what ran in it, and what still does
    #[command(after_help = "Examples:
  darwin session resume packing")]
    Resume {
        /// Its id, a unique start of it, or its name
        session: String,
    },
    /// Close a session: it can be read, but no new run may join it
    #[command(after_help = "Examples:
  darwin session close packing")]
    Close {
        /// Its id, a unique start of it, or its name
        session: String,
    },
}

impl Session {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let link = context.link().await?;
        let mut sessions = link.sessions();
        match self.verb {
            Verb::New { name } => {
                let session_id = SessionId::new(now_ms(), random());
                let session_id = convert::bytes(session_id.as_bytes());
                let request = CreateSessionRequest { session_id, name };
                let session = sessions.create(request).await?.into_inner();
                if context.out.json() {
                    return context.out.document("session", json::session(&session));
                }
                context.out.line(id(&session.id))
            }
            Verb::List { all } => {
                let request = ListSessionsRequest { closed_too: all };
                let sessions = sessions.list(request).await?.into_inner().sessions;
                list(context, &sessions)
            }
            Verb::Resume { session } => {
                let session = id(&find(&link, &session).await?.id);
                let session = sessions.resume(SessionRef { session }).await?.into_inner();
                show(context, &session)
            }
            Verb::Close { session } => {
                let session = id(&find(&link, &session).await?.id);
                let session = sessions.close(SessionRef { session }).await?.into_inner();
                if context.out.json() {
                    return context.out.document("session", json::session(&session));
                }
                context.out.note(format_args!("closed session {}", plain(&session.name)));
                Ok(())
            }
        }
    }
}

/// The session of that name, or whose id starts so.
///
/// # Errors
/// If there is none, or more than one.
pub async fn find(link: &Link, name: &str) -> Result<v1::Session, Failure> {
    let request = ListSessionsRequest { closed_too: true };
    let all = link.sessions().list(request).await?.into_inner().sessions;
    let mut fit: Vec<_> = all.iter().filter(|session| session.name == name).collect();
    if fit.is_empty() {
        fit = all.iter().filter(|session| id(&session.id).starts_with(name)).collect();
    }
    match fit[..] {
        [only] => Ok(only.clone()),
        [] => Err(Failure::new(Code::NotFound, format!("there is no session “{}”", plain(name)))
            .hint("darwin session list --all")),
        _ => {
            let message = format!("{} sessions are called “{}”", fit.len(), plain(name));
            Err(Failure::usage(message).hint("name it by its id: darwin session list --all"))
        }
    }
}

fn list(context: &mut Context, sessions: &[v1::Session]) -> Result<(), Failure> {
    if context.out.json() {
        let sessions: Vec<_> = sessions.iter().map(json::session).collect();
        return context.out.document("sessions", json!({"sessions": sessions}));
    }
    if sessions.is_empty() {
        context.out.note("no sessions yet; `darwin session new NAME` begins one");
        return Ok(());
    }
    let now = now_ms();
    let rows: Vec<_> = sessions
        .iter()
        .map(|session| {
            let state = if session.closed { "closed" } else { "open" };
            [short(&session.id), plain(&session.name), state.to_owned(), ago(session.used_ms, now)]
        })
        .collect();
    let head = [
        ("SESSION", Side::Left),
        ("NAME", Side::Left),
        ("STATE", Side::Left),
        ("USED", Side::Left),
    ];
    context.out.table(head, &rows)
}

fn show(context: &mut Context, session: &v1::Session) -> Result<(), Failure> {
    if context.out.json() {
        return context.out.document("session", json::session(session));
    }
    let context_notes =
        session.context.iter().map(|(key, note)| format!("{}={}", plain(key), plain(note)));
    context.out.pairs(&[
        ("session", id(&session.id)),
        ("name", plain(&session.name)),
        ("user", plain(&session.user)),
        ("state", if session.closed { "closed" } else { "open" }.to_owned()),
        ("used", utc(session.used_ms)),
        ("context", context_notes.collect::<Vec<_>>().join(", ")),
        ("runs", plural(session.runs.len() as u64, "run")),
    ])?;
    for run in &session.runs {
        let line = format!(
            "  {}  {}  {}  best {}",
            short(&run.id),
            plain(&run.name),
            run.state,
            maybe(run.best)
        );
        let tone = if run.state == "running" { Tone::Good } else { Tone::Dim };
        let line = context.out.paint(tone, &line);
        context.out.line(line)?;
    }
    if session.runs.iter().any(|run| run.state == "stopped") {
        context.out.note("`darwin runs resume RUN` takes a stopped run up again");
    }
    Ok(())
}
