//! `darwin session join` and `rooms`: talk between people and agents.

use std::{
    io::{self, BufRead as _, Read as _},
    time::Duration,
};

use clap::Args;
use serde_json::{Value, json};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};

use crate::{
    code::Code,
    link::client::Link,
    resilience::deadline::within,
    wire::v1::{
        EnterRoom, Heard, InviteRequest, Invited, ListRoomsRequest, Member, RoomMessage, Say,
        Undelivered, heard, invited, say,
    },
};

use super::{
    context::Context,
    error::Failure,
    evolve::Sandbox,
    naming,
    output::{Side, Tone},
    text::{id, parse_span, plain, plural},
};

/// The longest line that is sent, in bytes.
const MAX_LINE: usize = 256 << 10;
/// How long it may take to leave after Ctrl-C.
const LEAVING: Duration = Duration::from_secs(2);
/// Lines that are read ahead.
const AHEAD: usize = 16;

#[derive(Debug, Args)]
pub struct Join {
    /// What the room is called; it is made if nobody is in it
    room: String,
    /// The session's id, a unique start of it, or its name; without it, your default session
    #[arg(long, default_value = "", hide_default_value = true)]
    session: String,
    /// What the others call you; without it, your user name
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
}

impl Join {
    /// Is in the room until the input, or the daemon, ends.
    pub async fn run(self, context: &mut Context, link: &Link) -> Result<(), Failure> {
        let Self { room, session, name } = self;
        let name = name.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "me".to_owned());
        let (says, stream) = mpsc::channel(AHEAD);
        let own = session.clone();
        let enter = say::What::Enter(EnterRoom { session: own, room: room.clone(), name });
        // There is room for the first.
        let _ = says.try_send(Say { what: Some(enter) });
        // Before the call, so that Ctrl-C ends it whenever it comes.
        let mut interrupts = interrupts()?;
        let mut told = link
            .rooms()
            .enter(ReceiverStream::new(stream))
            .await
            .map_err(|status| hint(status.into()))?
            .into_inner();
        let (lines, mut typed) = mpsc::channel(AHEAD);
        // A thread of its own, which nobody waits for at the end: it may wait for a terminal.
        std::thread::spawn(move || read(&lines));
        let mut says = Some(says);
        loop {
            tokio::select! {
                _ = interrupts.recv() => {
                    drop(told);
                    return leave(link, session).await;
                }
                heard = told.next() => match heard.transpose()? {
                    Some(heard) => print(context, &room, heard)?,
                    None => return Ok(()),
                },
                line = typed.recv(), if says.is_some() => match line.transpose()? {
                    Some(line) => {
                        let sent = Say { what: Some(say::What::Message(message(line))) };
                        if let Some(says) = &says {
                            // If it does not take more, it tells why.
                            let _ = says.send(sent).await;
                        }
                    }
                    // What was said is still sent, and what came of it told.
                    None => says = None,
                },
            }
        }
    }
}

#[derive(Debug, Args)]
pub struct Invite {
    /// What the room is called
    room: String,
    /// The agent's id or a unique start of it; or a run, for its best
    agent: String,
    /// The session's id, a unique start of it, or its name; without it, your default session
    #[arg(long, default_value = "", hide_default_value = true)]
    session: String,
    /// What the others call it; without it, the start of its id
    #[arg(long = "as", value_name = "NAME", default_value = "", hide_default_value = true)]
    name: String,
    /// How long it may stay, for example 10m; without it, an hour
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    time: Option<Duration>,
    /// What to do where a layer of the sandbox is missing: refuse, or go on without it
    #[arg(long, value_name = "LAYERS")]
    sandbox: Option<Sandbox>,
    /// Its program and arguments; without them, as the suite of its run starts it
    #[arg(last = true, value_name = "PROGRAM")]
    argv: Vec<String>,
}

impl Invite {
    /// Waits until the agent has left.
    pub async fn run(self, context: &mut Context, link: &Link) -> Result<(), Failure> {
        let Self { room, agent, session, name, time, sandbox, argv } = self;
        let configured = context.config(None)?.config.evaluator.sandbox;
        let agent = id(&naming::agent(context, link, &agent).await?.id);
        let request = InviteRequest {
            session: session.clone(),
            room: room.clone(),
            name,
            agent,
            argv,
            time_seconds: time.map_or(0.0, |time| time.as_secs_f64()),
            sandbox: Sandbox::name(sandbox, configured),
        };
        // Before the call, as above.
        let mut interrupts = interrupts()?;
        let invited = link.rooms().invite(request).await.map_err(|status| hint(status.into()))?;
        let mut invited = invited.into_inner();
        let mut name = String::new();
        loop {
            let next = tokio::select! {
                next = invited.next() => next.transpose()?,
                _ = interrupts.recv() => {
                    drop(invited);
                    return leave(link, session).await;
                }
            };
            let Some(Invited { what: Some(what) }) = next else { return Ok(()) };
            match what {
                invited::What::Entered(who) if context.out.json() => {
                    let event = json!({ "event": "joined", "member": member(&who) });
                    context.out.document("talk", event)?;
                    name = who.name;
                }
                invited::What::Entered(who) => {
                    context.out.note(format_args!(
                        "{} is in {}, as long as this runs; talk with it: darwin session join {}",
                        plain(&who.name),
                        plain(&room),
                        plain(&room)
                    ));
                    name = who.name;
                }
                invited::What::Left(why) if why.is_empty() => {}
                invited::What::Left(why) => {
                    let message = format!("{} has left: {}", plain(&name), plain(&why));
                    return Err(Failure::new(Code::BarMissed, message));
                }
            }
        }
    }
}

fn interrupts() -> Result<Signal, Failure> {
    signal(SignalKind::interrupt())
        .map_err(|error| Failure::new(Code::Bug, format!("can't wait for Ctrl-C: {error}")))
}

/// After a call was given up: waits until the daemon knows, which answers what comes later after it.
/// Else it would keep the place for a while, as that of somebody whose connection broke.
async fn leave(link: &Link, session: String) -> Result<(), Failure> {
    let mut rooms = link.rooms();
    let _ = within(LEAVING, "leaving", rooms.list(ListRoomsRequest { session })).await;
    Err(Failure::Interrupted)
}

/// Prints the rooms of a session.
///
/// # Errors
/// If there is no such session, or the connection broke.
pub async fn list(context: &mut Context, link: &Link, session: String) -> Result<(), Failure> {
    let rooms = link.rooms().list(ListRoomsRequest { session }).await?.into_inner().rooms;
    if context.out.json() {
        let rooms: Vec<_> = rooms
            .iter()
            .map(|room| {
                let members: Vec<_> = room.members.iter().map(member).collect();
                json!({ "name": room.name, "members": members })
            })
            .collect();
        return context.out.document("rooms", json!({ "rooms": rooms }));
    }
    if rooms.is_empty() {
        context.out.note("nobody is in a room of it; enter one: darwin session join ROOM");
        return Ok(());
    }
    let rows = rooms.iter().map(|room| {
        let names: Vec<_> = room.members.iter().map(|member| plain(&member.name)).collect();
        [plain(&room.name), names.join(", ")]
    });
    let rows: Vec<_> = rows.collect();
    context.out.table([("ROOM", Side::Left), ("MEMBERS", Side::Left)], &rows)
}

fn hint(failure: Failure) -> Failure {
    match failure {
        Failure::Fault { code: Code::Conflict, .. } => {
            failure.hint("darwin session join ROOM --as NAME")
        }
        _ => failure,
    }
}

/// Reads lines and hands them on, until there are no more or nobody wants them.
fn read(lines: &mpsc::Sender<Result<String, Failure>>) {
    let mut input = io::stdin().lock();
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
        let next = match read {
            Ok(0) => return,
            Ok(_) if line.len() > MAX_LINE && !line.ends_with(b"\n") => {
                Err(Failure::usage(format!("a line is longer than {} KiB", MAX_LINE >> 10)))
            }
            Ok(_) => String::from_utf8(line)
                .map(|line| line.trim_end_matches(['\n', '\r']).to_owned())
                .map_err(|_| Failure::usage("a line is no text in UTF-8".to_owned())),
            Err(error) => Err(Failure::usage(format!("can't read the input: {error}"))),
        };
        let last = next.is_err();
        if lines.blocking_send(next).is_err() || last {
            return;
        }
    }
}

/// What a line says, and to whom.
fn message(line: String) -> RoomMessage {
    let to = line.strip_prefix('@').and_then(|rest| rest.split_once(' '));
    match to.filter(|(member, _)| !member.is_empty()) {
        Some((member, content)) => {
            RoomMessage { member: member.to_owned(), content: content.to_owned().into() }
        }
        None => RoomMessage { member: String::new(), content: line.into() },
    }
}

fn print(context: &mut Context, room: &str, heard: Heard) -> Result<(), Failure> {
    let Some(what) = heard.what else { return Ok(()) };
    if context.out.json() {
        return context.out.document("talk", json(what));
    }
    match what {
        heard::What::Entered(there) => {
            let names: Vec<_> = there.members.iter().map(named).collect();
            let who = match names.len() {
                0 => "nobody else is there yet".to_owned(),
                others => format!("{} there: {}", plural(others as u64, "other"), names.join(", ")),
            };
            context.out.note(format_args!("entered {}; {who}", plain(room)));
        }
        heard::What::Joined(member) => context.out.note(format_args!("{} came", named(&member))),
        heard::What::Left(name) => context.out.note(format_args!("{} left", plain(&name))),
        heard::What::Undelivered(Undelivered { to, reason }) => {
            let to = if to.is_empty() { "the others".to_owned() } else { plain(&to) };
            context.out.warn(format_args!("{to} did not get it: {}", plain(&reason)));
        }
        heard::What::Message(RoomMessage { member, content }) => {
            let name = context.out.paint(Tone::Bold, &plain(&member));
            let text = String::from_utf8_lossy(&content);
            for line in text.lines() {
                context.out.line(format_args!("{name}: {}", plain(line)))?;
            }
            context.out.flush()?;
        }
    }
    Ok(())
}

fn named(Member { name, user }: &Member) -> String {
    if name == user { plain(name) } else { format!("{} ({})", plain(name), plain(user)) }
}

fn member(Member { name, user }: &Member) -> Value {
    json!({ "name": name, "user": user })
}

fn json(what: heard::What) -> Value {
    match what {
        heard::What::Entered(there) => {
            let members: Vec<_> = there.members.iter().map(member).collect();
            json!({ "event": "entered", "members": members })
        }
        heard::What::Joined(who) => json!({ "event": "joined", "member": member(&who) }),
        heard::What::Left(name) => json!({ "event": "left", "name": name }),
        heard::What::Message(RoomMessage { member, content }) => {
            let content = String::from_utf8_lossy(&content);
            json!({ "event": "message", "from": member, "content": content })
        }
        heard::What::Undelivered(Undelivered { to, reason }) => {
            json!({ "event": "undelivered", "to": to, "reason": reason })
        }
    }
}
