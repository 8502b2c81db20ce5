//! A service whose requests are a stream, and a client's way to send them.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::wire::v1::{self, EnterRoom, Heard, Members, RoomMessage, Say, heard, say};

/// In the room "echo" all is said back, in "count" it is counted, and in "deaf" nobody listens.
#[derive(Debug, Clone, Default)]
pub struct Echo {
    /// The messages that came, of all calls.
    pub came: Arc<AtomicUsize>,
    /// The calls whose requests ended well.
    pub ended: Arc<AtomicUsize>,
    /// And those whose did not.
    pub broken: Arc<AtomicUsize>,
}

/// The message that enters a room.
pub fn enter(room: &str) -> Say {
    let enter = EnterRoom { room: room.to_owned(), ..Default::default() };
    Say { what: Some(say::What::Enter(enter)) }
}

/// A message with that content.
pub fn say(content: impl Into<Bytes>) -> Say {
    let message = RoomMessage { content: content.into(), ..Default::default() };
    Say { what: Some(say::What::Message(message)) }
}

/// The content of what was said back.
pub fn content(heard: Heard) -> Bytes {
    match heard.what {
        Some(heard::What::Message(message)) => message.content,
        other => panic!("{other:?}"),
    }
}

fn said(content: Bytes) -> Heard {
    let message = RoomMessage { content, ..Default::default() };
    Heard { what: Some(heard::What::Message(message)) }
}

#[async_trait]
impl v1::rooms_server::Rooms for Echo {
    type EnterStream = Pin<Box<dyn Stream<Item = Result<Heard, Status>> + Send>>;

    async fn enter(
        &self,
        request: Request<Streaming<Say>>,
    ) -> Result<Response<Self::EnterStream>, Status> {
        let mut says = request.into_inner();
        let first = says.message().await?;
        let Some(Say { what: Some(say::What::Enter(EnterRoom { room, .. })) }) = first else {
            return Err(Status::invalid_argument("no room is named"));
        };
        let (told, stream) = mpsc::channel(4);
        let own = self.clone();
        let entered = Heard { what: Some(heard::What::Entered(Members::default())) };
        told.try_send(Ok(entered)).unwrap();
        tokio::spawn(async move {
            if room == "deaf" {
                told.closed().await;
            }
            let mut count = 0_u64;
            loop {
                match says.message().await {
                    Ok(Some(Say { what: Some(say::What::Message(message)) })) => {
                        own.came.fetch_add(1, Ordering::Relaxed);
                        count += 1;
                        if room == "echo" && told.send(Ok(said(message.content))).await.is_err() {
                            return;
                        }
                    }
                    Ok(Some(other)) => panic!("{other:?}"),
                    Ok(None) => {
                        own.ended.fetch_add(1, Ordering::Relaxed);
                        if room == "count" {
                            let count = Bytes::copy_from_slice(&count.to_be_bytes());
                            let _ = told.send(Ok(said(count))).await;
                        }
                        return;
                    }
                    Err(status) => {
                        own.broken.fetch_add(1, Ordering::Relaxed);
                        let _ = told.send(Err(status)).await;
                        return;
                    }
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream).boxed()))
    }

    type InviteStream = tokio_stream::Empty<Result<v1::Invited, Status>>;
    async fn invite(
        &self,
        _: Request<v1::InviteRequest>,
    ) -> Result<Response<Self::InviteStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list(
        &self,
        _: Request<v1::ListRoomsRequest>,
    ) -> Result<Response<v1::ListRoomsResponse>, Status> {
        Ok(Response::new(v1::ListRoomsResponse::default()))
    }
}
