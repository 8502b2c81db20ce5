//! Calls about rooms.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::{
    code::Code,
    config::{program, spec},
    daemon::{
        evaluator::guest::Guest,
        hub::{self, HubError, Inbox, Place, Who},
        manager::error::ManagerError,
    },
    domain::{
        id::AgentId,
        suite::{self, Limits, Method},
    },
    wire::{
        fault::Fault,
        v1::{
            EnterRoom, Heard, InviteRequest, Invited, ListRoomsRequest, ListRoomsResponse, Member,
            Members, Room, RoomMessage, Say, Undelivered, heard, invited, rooms_server::Rooms, say,
        },
    },
};

use super::context::{Context, peer, profile, refuse};

/// How long an agent stays in a room at the most, unless its host says, in seconds.
const HOUR: f64 = 3600.0;
/// What is told to a member and not yet sent; the rest waits in its mailbox.
const AHEAD: usize = 16;

pub struct Service(pub Arc<Context>);

type Told = Result<Heard, Status>;

#[async_trait]
impl Rooms for Service {
    type EnterStream = Pin<Box<dyn Stream<Item = Told> + Send>>;

    async fn enter(
        &self,
        request: Request<Streaming<Say>>,
    ) -> Result<Response<Self::EnterStream>, Status> {
        let user = peer(&request)?.user;
        let mut says = request.into_inner();
        let Some(Say { what: Some(say::What::Enter(enter)) }) = says.message().await? else {
            let text = "the first message of a call to Rooms.Enter says which room to enter";
            return Err(Fault::new(Code::InvalidInput, text).into());
        };
        let EnterRoom { session, room, name } = enter;
        let session = self.0.named_session(&user, &session).await?;
        self.0.registry.touch_session(session).await.map_err(refuse)?;
        let entered = self.0.hub.enter(session, &room, Who { name, user: user.to_string() });
        let (hub::Member { place, inbox }, there) = entered.map_err(fault)?;
        let members = there.into_iter().map(member).collect();
        let (told, stream) = mpsc::channel(AHEAD);
        let entered = Heard { what: Some(heard::What::Entered(Members { members })) };
        // There is room for the first.
        let _ = told.try_send(Ok(entered));
        tokio::spawn(attend(place, inbox, says, told, self.0.stop.clone()));
        Ok(Response::new(ReceiverStream::new(stream).boxed()))
    }

    type InviteStream = ReceiverStream<Result<Invited, Status>>;

    async fn invite(
        &self,
        request: Request<InviteRequest>,
    ) -> Result<Response<Self::InviteStream>, Status> {
        let user = peer(&request)?.user;
        let InviteRequest { session, room, name, agent, argv, time_seconds, sandbox } =
            request.into_inner();
        let context = &self.0;
        let session = context.named_session(&user, &session).await?;
        let agent = context.registry.find_agent(&agent).await.map_err(refuse)?;
        let (genome, space) = context.registry.genome(agent).await.map_err(refuse)?;
        let time = if time_seconds == 0.0 { HOUR } else { time_seconds };
        if !program::is_time(time) {
            let text = format!("the time of an agent in a room {}", program::TIME);
            return Err(Fault::new(Code::InvalidInput, text).into());
        }
        let argv = if argv.is_empty() { self.argv(agent).await? } else { argv };
        program::check_argv(&argv, "argv").map_err(|error| refuse(ManagerError::from(error)))?;
        let limits = Limits { time, ..Limits::default() };
        let guest = Guest { genome, space, argv, limits, profile: profile(&sandbox)? };
        let name = if name.is_empty() { agent.to_string()[..13].to_owned() } else { name };
        let who = Who { name, user: user.to_string() };
        let entered = member(who.clone());
        let (own, _) = context.hub.enter(session, &room, who).map_err(fault)?;
        context.registry.touch_session(session).await.map_err(refuse)?;
        let (told, stream) = mpsc::channel(AHEAD);
        let tell = |what| Invited { what: Some(what) };
        // There is room for the first.
        let _ = told.try_send(Ok(tell(invited::What::Entered(entered))));
        let (evaluator, stop) = (context.evaluator.clone(), context.stop.child_token());
        tokio::spawn(async move {
            let over = stop.clone();
            let hosting = evaluator.host(guest, own, &over);
            let mut hosting = std::pin::pin!(hosting);
            let left = tokio::select! {
                left = &mut hosting => left,
                () = told.closed() => {
                    over.cancel();
                    hosting.await
                }
            };
            let end = match left {
                Ok(why) => Ok(tell(invited::What::Left(why.unwrap_or_default()))),
                Err(error) => Err(Fault::from(ManagerError::from(error)).into()),
            };
            // Whoever invited it may have gone.
            let _ = told.send(end).await;
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn list(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        let user = peer(&request)?.user;
        let session = self.0.named_session(&user, &request.into_inner().session).await?;
        let rooms = self.0.hub.list(session).into_iter().map(|(name, members)| {
            let members = members.into_iter().map(member).collect();
            Room { name, members }
        });
        Ok(Response::new(ListRoomsResponse { rooms: rooms.collect() }))
    }
}

impl Service {
    /// How the suite of an agent's run starts its program.
    async fn argv(&self, agent: AgentId) -> Result<Vec<String>, Fault> {
        let run = self.0.registry.agent(agent).await?.run;
        let method = match run {
            Some(run) => {
                let spec = spec::parse(&self.0.manager.spec(run).await?);
                Some(spec.map_err(ManagerError::from)?.suite.method)
            }
            None => None,
        };
        match method {
            Some(
                Method::Arena(suite::Arena { argv, .. }) | Method::Cases(suite::Cases { argv, .. }),
            ) => Ok(argv),
            _ => {
                let text = "no suite says how this agent's program is started; give it: darwin \
                            session invite ROOM AGENT -- PROGRAM ARGUMENTS";
                Err(Fault::new(Code::InvalidInput, text))
            }
        }
    }
}

/// Is in a room for a caller: says what comes from it and tells it what is heard, until it has gone
/// or the daemon ends.
async fn attend(
    place: Place,
    mut inbox: Inbox,
    mut says: Streaming<Say>,
    told: mpsc::Sender<Told>,
    stop: CancellationToken,
) {
    let listen = async {
        while let Some(heard) = inbox.hear().await {
            let what = match heard {
                hub::Heard::Joined(who) => heard::What::Joined(member(who)),
                hub::Heard::Left(name) => heard::What::Left(name),
                hub::Heard::Said { from, content } => {
                    heard::What::Message(RoomMessage { member: from, content })
                }
            };
            if told.send(Ok(Heard { what: Some(what) })).await.is_err() {
                return None;
            }
        }
        Some(fault(HubError::Out).into())
    };
    let speak = async {
        loop {
            match says.message().await {
                Ok(Some(Say { what: Some(say::What::Message(message)) })) => {
                    for missed in say(&place, &message) {
                        let what = Some(heard::What::Undelivered(missed));
                        if told.send(Ok(Heard { what })).await.is_err() {
                            return None;
                        }
                    }
                }
                Ok(Some(_)) => {
                    let text = "a room is entered once in a call to Rooms.Enter";
                    return Some(Fault::new(Code::InvalidInput, text).into());
                }
                // It leaves, or has gone.
                Ok(None) | Err(_) => return None,
            }
        }
    };
    let end: Option<Status> = tokio::select! {
        end = listen => end,
        end = speak => end,
        () = told.closed() => None,
        () = stop.cancelled() => Some(Fault::new(Code::Unavailable, "the daemon is ending").into()),
    };
    if let Some(end) = end {
        // Without waiting for who does not read.
        let _ = told.try_send(Err(end));
    }
}

/// Says it, and gives who did not get it.
fn say(place: &Place, message: &RoomMessage) -> Vec<Undelivered> {
    let to = Some(&*message.member).filter(|to| !to.is_empty());
    match place.say(to, &message.content) {
        Ok(missed) => missed
            .into_iter()
            .map(|to| Undelivered { reason: HubError::Full(to.clone()).to_string(), to })
            .collect(),
        Err(error) => {
            vec![Undelivered { to: message.member.clone(), reason: error.to_string() }]
        }
    }
}

fn member(Who { name, user }: Who) -> Member {
    Member { name, user }
}

fn fault(error: HubError) -> Fault {
    let code = match error {
        HubError::Name(_) => Code::InvalidInput,
        HubError::Taken(_) => Code::Conflict,
        HubError::Many { .. } | HubError::Full(_) | HubError::Out => Code::Exhausted,
        HubError::Nobody(_) => Code::NotFound,
    };
    Fault::new(code, error.to_string())
}
