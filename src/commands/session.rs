//! `darwin session`: the runs and agents that belong together.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueHint};
use serde_json::json;

use crate::{
    code::Code,
    domain::{
        id::SessionId,
        session::{CONTEXT_TEXT, MAX_CONTEXT},
    },
    link::client::Link,
    wire::{
        convert,
        envelope::Keyed as _,
        v1::{
            self, CreateSessionRequest, ListSessionsRequest, SessionRef, SetContextRequest,
            ShredRequest,
        },
    },
};

use super::{
    context::{Context, now_ms, random},
    error::Failure,
    json, naming,
    output::{Side, Tone},
    text::{ago, bytes, id, maybe, plain, plural, short, utc},
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
    /// Print what you keep with a session, or replace it
    ///
    /// A text of at most 1 MiB that is yours to fill: what you were about, notes, a prompt. It is
    /// sealed with the session's key and there again after a restart.
    #[command(after_help = "Examples:
  darwin session context packing
  darwin session context packing --set notes.md
  git diff | darwin session context packing --set -
  darwin session context packing --clear")]
    Context {
        /// Its id, a unique start of it, or its name
        session: String,
        /// Replace it by the text in this file; - for stdin
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        set: Option<PathBuf>,
        /// Leave none
        #[arg(long, conflicts_with = "set")]
        clear: bool,
    },
    /// Talk in a room of a session, with people and agents who are in it
    ///
    /// Each line that you type goes to all others in the room, or to one: “@bob hello”. Who says
    /// what is printed as it comes; nothing is kept. The end of the input leaves the room (Ctrl-D).
    #[command(after_help = "Examples:
  darwin session join planning
  darwin session join planning --session packing --as ada
  tail -f notes | darwin session join planning --json | jq -r .content")]
    Join(super::rooms::Join),
    /// Have an agent be in a room, in a sandbox, as long as this runs
    ///
    /// What others say there comes to its program in lines, {"from": "ada", "message": "hello"}, and
    /// it says something by {"message": "good day"}, or to one member by {"to": "ada", "message": …}.
    #[command(after_help = "Examples:
  darwin session invite planning 0198f3a2-7c1d
  darwin session invite planning RUN --as champion --time 10m
  darwin session invite planning AGENT -- python3 main.py")]
    Invite(super::rooms::Invite),
    /// List the rooms of a session that somebody is in
    #[command(after_help = "Examples:
  darwin session rooms
  darwin session rooms packing --json")]
    Rooms {
        /// Its id, a unique start of it, or its name; without it, your default session
        session: Option<String>,
    },
    /// Close a session: it can be read, but no new run may join it
    #[command(after_help = "Examples:
  darwin session close packing")]
    Close {
        /// Its id, a unique start of it, or its name
        session: String,
    },
    /// Destroy a closed session's key, so that nobody can read its contents again
    ///
    /// There is no way back. Files, prompts, parameters, metrics and the context of the session
    /// can't be read any more, here or in exports that did not disclose the key. What stays: ids,
    /// who descends from whom, scores, times, and signatures, which can still be verified. A
    /// backup of the store from before, with the master key, still reads everything.
    #[command(after_help = "Examples:
  darwin session close packing
  darwin session shred packing             # asks for the session's name
  darwin session shred packing --yes       # in scripts")]
    Shred {
        /// Its id, a unique start of it, or its name
        session: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
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
                let session = sessions.create(request.keyed()).await?.into_inner();
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
                let session = sessions.resume(SessionRef { session }).await?.into_inner();
                show(context, &session)
            }
            Verb::Context { session, set, clear } => {
                let text = match set {
                    Some(path) => Some(read_context(&path)?),
                    None => clear.then(String::new),
                };
                let changes = text.is_some();
                let session = match text {
                    Some(text) => sessions.set_context(SetContextRequest { session, text }).await?,
                    None => sessions.show(SessionRef { session }).await?,
                };
                print_context(context, &session.into_inner(), changes)
            }
            Verb::Join(join) => join.run(context, &link).await,
            Verb::Invite(invite) => invite.run(context, &link).await,
            Verb::Rooms { session } => {
                super::rooms::list(context, &link, session.unwrap_or_default()).await
            }
            Verb::Close { session } => {
                let session = sessions.close(SessionRef { session }).await?.into_inner();
                if context.out.json() {
                    return context.out.document("session", json::session(&session));
                }
                context.out.note(format_args!("closed session {}", plain(&session.name)));
                Ok(())
            }
            Verb::Shred { session, yes } => shred(context, &link, session, yes).await,
        }
    }
}

async fn shred(
    context: &mut Context,
    link: &Link,
    session: String,
    yes: bool,
) -> Result<(), Failure> {
    let mut sessions = link.sessions();
    // Whatever stands against it is told before anybody is asked.
    let request = ShredRequest { session, confirmed: false };
    let found = sessions.shred(request).await?.into_inner();
    let (session, name) = (id(&found.id), plain(&found.name));
    if !yes && !found.shredded {
        context.out.warn(format_args!(
            "the contents of session {name} ({session}) can't be read by anybody again once its \
             key is destroyed; there is no way back"
        ));
        let answer = context.out.ask("type its name to destroy the key:").ok_or_else(|| {
            let message = format!("nobody is there to confirm that session {name} be shredded");
            Failure::usage(message).hint(format!("darwin session shred {session} --yes"))
        })?;
        // One without a name is not destroyed by a mere Enter.
        if answer.is_empty() || answer != found.name {
            let message = format!("that is not the name of session {name}; nothing was destroyed");
            return Err(Failure::usage(message).hint("darwin session list --all"));
        }
    }
    let request = ShredRequest { session: session.clone(), confirmed: true };
    let shredded = sessions.shred(request).await?.into_inner();
    if context.out.json() {
        return context.out.document("session", json::session(&shredded));
    }
    context.out.note(format_args!(
        "shredded session {name} ({session}): its key is destroyed; `darwin lineage` still shows \
         and verifies its agents"
    ));
    Ok(())
}

/// The text in the file `path`, or on stdin for “-”.
fn read_context(path: &Path) -> Result<String, Failure> {
    let read = |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.take(MAX_CONTEXT as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
    };
    let bytes = match path {
        path if path == Path::new("-") => read(&mut io::stdin().lock()),
        path => File::open(path).and_then(|mut file| read(&mut file)),
    };
    let bytes = bytes.map_err(|error| Failure::file("read", path, &error))?;
    let wrong = |what: &str| {
        Failure::new(Code::InvalidInput, format!("{} {what}; nothing was stored", path.display()))
    };
    if bytes.len() > MAX_CONTEXT {
        return Err(wrong("is over 1 MiB, the most that a session's context has"));
    }
    String::from_utf8(bytes).map_err(|_| wrong("is no text in UTF-8"))
}

fn text_of(session: &v1::Session) -> &str {
    session.context.get(CONTEXT_TEXT).map_or("", String::as_str)
}

fn print_context(
    context: &mut Context,
    session: &v1::Session,
    changed: bool,
) -> Result<(), Failure> {
    if session.shredded {
        return Err(naming::shredded("the context of this session"));
    }
    let (text, name) = (text_of(session), plain(&session.name));
    if context.out.json() {
        let text = (!text.is_empty()).then_some(text);
        let fields = json!({"session": id(&session.id), "name": session.name, "text": text});
        return context.out.document("context", fields);
    }
    match (text.len() as u64, changed) {
        (0, true) => context.out.note(format_args!("session {name} has no context now")),
        (0, false) => context.out.note(format_args!(
            "session {name} has no context; `darwin session context {name} --set FILE` gives it one"
        )),
        (size, true) => {
            context.out.note(format_args!("session {name} has {} of context now", bytes(size)));
        }
        (_, false) => {
            context.out.content(text.as_bytes())?;
            // The prompt of a shell stands on a line of its own.
            if context.out.data_tty() && !text.ends_with('\n') {
                context.out.line("")?;
            }
        }
    }
    Ok(())
}

/// How a session stands, in a word.
fn state(session: &v1::Session) -> &'static str {
    match (session.shredded, session.closed) {
        (true, _) => "shredded",
        (false, true) => "closed",
        (false, false) => "open",
    }
}

/// How large a context is, and how it begins.
fn gist(text: &str) -> String {
    const SHOWN: usize = 60;
    let Some(first) = text.lines().map(str::trim).find(|line| !line.is_empty()) else {
        return if text.is_empty() { String::new() } else { bytes(text.len() as u64) };
    };
    let shown: String = plain(first).chars().take(SHOWN).collect();
    let more = if shown.len() < text.trim().len() { " …" } else { "" };
    format!("{}: {shown}{more}", bytes(text.len() as u64))
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
            let state = state(session).to_owned();
            [short(&session.id), plain(&session.name), state, ago(session.used_ms, now)]
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
    context.out.pairs(&[
        ("session", id(&session.id)),
        ("name", plain(&session.name)),
        ("user", plain(&session.user)),
        ("state", state(session).to_owned()),
        ("used", utc(session.used_ms)),
        ("context", gist(text_of(session))),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_told_by_its_size_and_first_line() {
        assert_eq!(gist(""), "");
        assert_eq!(gist("pack them\n"), "10 B: pack them");
        assert_eq!(gist("\n  pack them\nby size\n"), "21 B: pack them …");
        assert_eq!(gist("\n \n"), "3 B");
        assert_eq!(gist("a\x1b[2Jb"), "6 B: a [2Jb");
        let long = gist(&"é".repeat(100));
        assert!(long.starts_with("200 B: é") && long.ends_with("é …"), "{long}");
        assert_eq!(long.matches('é').count(), 60);
    }
}
