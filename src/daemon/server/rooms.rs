//! Calls about rooms.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::{
    code::Code,
    daemon::hub::{self, HubError, Inbox, Place, Who},
    wire::{
        fault::Fault,
        v1::{
            EnterRoom, Heard, ListRoomsRequest, ListRoomsResponse, Member, Members, Room,
            RoomMessage, Say, Undelivered, heard, rooms_server::Rooms, say,
        },
    },
};

use super::context::{Context, peer, refuse};

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
