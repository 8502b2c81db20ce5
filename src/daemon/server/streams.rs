//! The WebSocket hub: each socket follows one thing.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    code::Code,
    domain::role::Role,
    link::session::{Answering, Session},
    resilience::deadline::{Late, within},
    wire::{
        access,
        envelope::Refused,
        fault::Fault,
        limits::MAX_PROGRESS_RATE,
        methods::STREAM,
        v1::{Progress, StreamEvent, StreamRequest, stream_event::Event, stream_request::Request},
    },
};

use super::authorize;

/// How long a client may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(10);
/// How long one message may take to be sent; a client that is slower is dropped.
const SEND: Duration = Duration::from_secs(10);
/// How often a client is asked for a sign of life.
const PING: Duration = Duration::from_secs(15);
/// A client that gives none for so long is dropped.
const SILENCE: Duration = Duration::from_secs(45);
/// The least time between two messages.
const PAUSE: Duration = Duration::from_millis(1000 / MAX_PROGRESS_RATE as u64);

/// Where what is followed comes from.
pub trait Source: Send + Sync + 'static {
    /// Its state.
    type State: Send + Sync + 'static;

    /// Follows the run of that name: its id or a unique start of it. A run at rest has a
    /// receiver whose sender is gone.
    ///
    /// # Errors
    /// If there is none, or several.
    fn follow(
        &self,
        run: &str,
    ) -> impl Future<Output = Result<watch::Receiver<Self::State>, Fault>> + Send;

    /// The message of a state.
    fn progress(state: &Self::State) -> Progress;
}

/// Why a socket is over before its end.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] tungstenite::Error),
    /// The client is too slow, or silent.
    #[error(transparent)]
    Late(#[from] Late),
}

/// Serves one socket to its end. Whatever is not a request that its client has signed for this
/// connection ends it without an answer: there is nothing that an answer could name.
///
/// # Errors
/// If the client goes before.
pub async fn serve<S, W>(
    mut socket: WebSocketStream<S>,
    role: Option<Role>,
    session: &Arc<Session>,
    source: Arc<W>,
    stop: CancellationToken,
) -> Result<(), Gone>
where
    S: AsyncRead + AsyncWrite + Unpin,
    W: Source,
{
    let request = tokio::select! {
        () = stop.cancelled() => return close(&mut socket, CloseCode::Away).await,
        request = within(REQUEST, "a stream's request", socket.next()) => request?,
    };
    let opened = match request {
        None | Some(Ok(Message::Close(_))) => return Ok(()),
        Some(Err(error)) => return Err(error.into()),
        Some(Ok(Message::Binary(envelope))) => session.asked(&STREAM, envelope),
        Some(Ok(_)) => Err(Refused::Malformed("a stream begins with a binary frame")),
    };
    let (request, answering) = match opened {
        Ok(opened) => opened,
        Err(refused) => {
            tracing::info!(reason = %refused, "refused a message");
            metrics::counter!("darwin_messages_refused_total").increment(1);
            return refuse(&mut socket, &refused).await;
        }
    };
    let mut answers = Signed { socket: &mut socket, answering };
    match follow(request.payload, role, source.as_ref()).await {
        Ok(states) => forward::<_, W>(&mut answers, states, stop).await,
        Err(fault) => {
            answers.send(Event::Error(fault.into()), true).await?;
            close(&mut socket, CloseCode::Normal).await
        }
    }
}

/// A socket with what signs the events on it.
struct Signed<'a, S> {
    socket: &'a mut WebSocketStream<S>,
    answering: Answering,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Signed<'_, S> {
    async fn send(&mut self, event: Event, last: bool) -> Result<(), Gone> {
        let event = StreamEvent { event: Some(event) }.encode_to_vec();
        metrics::counter!("darwin_stream_messages_total").increment(1);
        let envelope = self.answering.seal(&event, last);
        let frame = Message::Binary([envelope.as_ref(), &event].concat().into());
        deliver(self.socket, frame).await
    }
}

async fn follow<W: Source>(
    request: bytes::Bytes,
    role: Option<Role>,
    source: &W,
) -> Result<watch::Receiver<W::State>, Fault> {
    let bad = |reason: &str| Fault::new(Code::InvalidInput, reason);
    let request = StreamRequest::decode(request)
        .map_err(|error| bad(&format!("this is no StreamRequest: {error}")))?;
    let nothing = || bad("the StreamRequest asks for nothing that this daemon knows");
    let request = request.request.ok_or_else(nothing)?;
    let needed = access::stream(&request);
    match request {
        Request::Watch(run) => {
            authorize::check(role, needed, "the stream Watch")?;
            source.follow(&run.run).await
        }
    }
}

/// Sends states as they change, at most one each [`PAUSE`], until one is final.
async fn forward<S, W>(
    answers: &mut Signed<'_, S>,
    mut states: watch::Receiver<W::State>,
    stop: CancellationToken,
) -> Result<(), Gone>
where
    S: AsyncRead + AsyncWrite + Unpin,
    W: Source,
{
    let mut pings = interval_at(Instant::now() + PING, PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let mut due = Some(Instant::now());
    let mut ended = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return close(answers.socket, CloseCode::Away).await,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                let progress = W::progress(&states.borrow_and_update());
                let state = progress.run.as_ref().map_or("", |run| run.state.as_str());
                let last = state != "running";
                answers.send(Event::Progress(progress), last).await?;
                if last {
                    return close(answers.socket, CloseCode::Normal).await;
                }
                if ended {
                    // Its driver is gone though it counts as running: the daemon ends.
                    return close(answers.socket, CloseCode::Away).await;
                }
                let next = Instant::now() + PAUSE;
                due = None;
                // What changes within the pause is sent together, after it.
                tokio::select! {
                    () = stop.cancelled() => return close(answers.socket, CloseCode::Away).await,
                    () = sleep_until(next) => {}
                }
            }
            changed = states.changed(), if due.is_none() => {
                ended = changed.is_err();
                due = Some(Instant::now());
            }
            _ = pings.tick() => {
                if heard.elapsed() > SILENCE {
                    return Err(Late { what: "a stream's client", after: SILENCE }.into());
                }
                deliver(answers.socket, Message::Ping(bytes::Bytes::new())).await?;
            }
            message = answers.socket.next() => match message {
                None | Some(Ok(Message::Close(_))) => return Ok(()),
                Some(Ok(Message::Binary(_) | Message::Text(_))) => {
                    let text = "this stream follows a run already: open another one";
                    let fault = Fault::new(Code::InvalidInput, text);
                    answers.send(Event::Error(fault.into()), true).await?;
                    return close(answers.socket, CloseCode::Policy).await;
                }
                Some(Ok(_)) => heard = Instant::now(),
                Some(Err(error)) => return Err(error.into()),
            },
        }
    }
}

/// Ends a socket that asked for nothing that can be answered; the reason goes along, unsigned.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    refused: &Refused,
) -> Result<(), Gone> {
    let text = refused.to_string();
    // A control frame holds 125 bytes (RFC 6455, section 5.5), two of them for the code.
    let reason = text[..text.floor_char_boundary(123)].to_owned().into();
    let frame = CloseFrame { code: CloseCode::Policy, reason };
    deliver(socket, Message::Close(Some(frame))).await
}

async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    code: CloseCode,
) -> Result<(), Gone> {
    let frame = CloseFrame { code, reason: "".into() };
    deliver(socket, Message::Close(Some(frame))).await
}

async fn deliver<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    message: Message,
) -> Result<(), Gone> {
    Ok(within(SEND, "sending to a stream's client", socket.send(message)).await??)
}

#[cfg(test)]
mod tests {
    use tokio::io::DuplexStream;
    use tokio_tungstenite::tungstenite::protocol;

    use super::*;
    use crate::{
        link::session::Answers,
        wire::v1::{Run, RunRef},
    };

    const PATIENCE: Duration = Duration::from_secs(10);

    /// One run, "here": its count of agents, and whether it is at work.
    struct One(watch::Receiver<(u64, bool)>);

    impl Source for One {
        type State = (u64, bool);

        async fn follow(&self, run: &str) -> Result<watch::Receiver<Self::State>, Fault> {
            match run {
                "here" => Ok(self.0.clone()),
                other => Err(Fault::new(Code::NotFound, format!("no run {other}"))),
            }
        }

        fn progress(state: &Self::State) -> Progress {
            let name = if state.1 { "running" } else { "finished" };
            let run = Run { agents: state.0, state: name.to_owned(), ..Default::default() };
            Progress { run: Some(run), rate: 0.0 }
        }
    }

    struct Client {
        session: Arc<Session>,
        answers: Option<Answers>,
        socket: WebSocketStream<DuplexStream>,
        stop: CancellationToken,
        server: tokio::task::JoinHandle<Result<(), Gone>>,
    }

    async fn client(states: watch::Receiver<(u64, bool)>) -> Client {
        client_as(Some(Role::Reader), states).await
    }

    async fn client_as(role: Option<Role>, states: watch::Receiver<(u64, bool)>) -> Client {
        let (near, far) = tokio::io::duplex(64 << 10);
        let far = WebSocketStream::from_raw_socket(far, protocol::Role::Server, None).await;
        let socket = WebSocketStream::from_raw_socket(near, protocol::Role::Client, None).await;
        let stop = CancellationToken::new();
        let (session, theirs) = Session::pair();
        let stopped = stop.clone();
        let server =
            tokio::spawn(
                async move { serve(far, role, &theirs, Arc::new(One(states)), stopped).await },
            );
        Client { session, answers: None, socket, stop, server }
    }

    impl Client {
        async fn ask(&mut self, run: &str) {
            let watch = Request::Watch(RunRef { run: run.to_owned() });
            let request = StreamRequest { request: Some(watch) };
            let request = request.encode_to_vec();
            let (envelope, answers) = self.session.ask(&STREAM, None, &request);
            self.answers.get_or_insert(answers);
            self.send([envelope.as_ref(), &request].concat()).await;
        }

        async fn send(&mut self, frame: Vec<u8>) {
            self.socket.send(Message::Binary(frame.into())).await.unwrap();
        }

        async fn next(&mut self) -> Message {
            let next = tokio::time::timeout(PATIENCE, self.socket.next());
            next.await.unwrap().unwrap().unwrap()
        }

        async fn event(&mut self) -> Event {
            let Message::Binary(bytes) = self.next().await else { panic!("no binary frame") };
            let opened = self.answers.as_mut().unwrap().open(bytes).unwrap();
            StreamEvent::decode(opened.payload).unwrap().event.unwrap()
        }

        /// Whether its last event was signed as such.
        fn ended(&self) -> bool {
            self.answers.as_ref().unwrap().end().is_ok()
        }

        async fn agents(&mut self) -> u64 {
            let Event::Progress(progress) = self.event().await else { panic!("no progress") };
            progress.run.unwrap().agents
        }

        async fn closed(mut self) -> CloseCode {
            let Message::Close(Some(frame)) = self.next().await else { panic!("no close") };
            self.server.await.unwrap().unwrap();
            frame.code
        }
    }

    #[tokio::test]
    async fn changes_are_coalesced_and_the_last_state_always_comes() {
        let (sender, states) = watch::channel((0, true));
        let mut client = client(states).await;
        client.ask("here").await;
        assert_eq!(client.agents().await, 0);
        let begun = Instant::now();
        for count in 1..=1000 {
            sender.send_replace((count, true));
        }
        assert_eq!(client.agents().await, 1000);
        assert!(begun.elapsed() >= PAUSE / 2, "{:?}", begun.elapsed());
        assert!(!client.ended());
        sender.send_replace((1001, false));
        drop(sender);
        assert_eq!(client.agents().await, 1001);
        assert!(client.ended());
        assert_eq!(client.closed().await, CloseCode::Normal);
    }

    #[tokio::test]
    async fn a_run_at_rest_is_told_once() {
        let (sender, states) = watch::channel((7, false));
        drop(sender);
        let mut client = client(states).await;
        client.ask("here").await;
        assert_eq!(client.agents().await, 7);
        assert_eq!(client.closed().await, CloseCode::Normal);
    }

    #[tokio::test]
    async fn what_is_not_there_or_not_understood_is_an_error_with_a_code() {
        let (_sender, states) = watch::channel((0, true));
        let mut unknown = client(states.clone()).await;
        unknown.ask("there").await;
        let Event::Error(error) = unknown.event().await else { panic!("no error") };
        assert_eq!((error.code.as_str(), error.message.as_str()), ("not-found", "no run there"));
        assert_eq!(unknown.closed().await, CloseCode::Normal);

        let mut empty = client(states).await;
        let (envelope, answers) = empty.session.ask(&STREAM, None, &[]);
        empty.answers = Some(answers);
        empty.send(envelope.to_vec()).await;
        let Event::Error(error) = empty.event().await else { panic!("no error") };
        assert_eq!(error.code, "invalid-input");
        assert!(empty.ended());
    }

    #[tokio::test]
    async fn what_is_not_signed_for_this_socket_is_not_answered() {
        let (_sender, states) = watch::channel((0, true));
        let watch = Request::Watch(RunRef { run: "here".to_owned() });
        let bare = StreamRequest { request: Some(watch) }.encode_to_vec();
        let (stranger, _) = Session::pair();
        let front = stranger.ask(&STREAM, None, &bare).0;
        let mut forged = [front.as_ref(), &bare].concat();
        forged[100] ^= 1;
        for frame in [Message::Binary(bare.into()), Message::Binary(forged.into())] {
            let mut client = client(states.clone()).await;
            client.socket.send(frame).await.unwrap();
            assert_eq!(client.closed().await, CloseCode::Policy);
        }
        let mut client = client(states).await;
        client.socket.send(Message::Text("hello".into())).await.unwrap();
        assert_eq!(client.closed().await, CloseCode::Policy);
    }

    #[tokio::test]
    async fn a_role_that_does_not_suffice_is_told_so() {
        let (_sender, states) = watch::channel((0, true));
        for role in [Some(Role::Worker), None] {
            let mut client = client_as(role, states.clone()).await;
            client.ask("here").await;
            let Event::Error(error) = client.event().await else { panic!("no error") };
            assert_eq!(error.code, "denied");
            assert!(error.message.contains("the stream Watch"), "{error:?}");
            assert_eq!(client.closed().await, CloseCode::Normal);
        }
    }

    #[tokio::test]
    async fn a_drain_closes_streams_and_a_second_request_is_refused() {
        let (_sender, states) = watch::channel((0, true));
        let mut followed = client(states.clone()).await;
        followed.ask("here").await;
        assert_eq!(followed.agents().await, 0);
        followed.stop.cancel();
        assert_eq!(followed.closed().await, CloseCode::Away);

        let mut greedy = client(states).await;
        greedy.ask("here").await;
        assert_eq!(greedy.agents().await, 0);
        greedy.ask("here").await;
        let Event::Error(error) = greedy.event().await else { panic!("no error") };
        assert!(error.message.contains("another"), "{error:?}");
        assert_eq!(greedy.closed().await, CloseCode::Policy);
    }
}
