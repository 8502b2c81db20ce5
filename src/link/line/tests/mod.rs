//! Both ends of a line, over pipes that break when a test says so.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::Stream;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::{
    io::{AsyncWriteExt as _, DuplexStream},
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, service::Routes};

use super::{
    REQUESTS, ROOM, WINDOW,
    calls::{Calls, Dial},
    serve::{Lines, serve},
};
use crate::{
    code::Code,
    domain::role::Role,
    link::{
        acceptor::{Peer, socket_config},
        careful::Careful,
        error::LinkError,
        session::Session,
    },
    resilience::deadline::within,
    wire::{
        fault::Fault,
        v1::{
            self, journals_client::JournalsClient, lineage_client::LineageClient,
            sessions_client::SessionsClient,
        },
    },
};

pub mod echo;
mod feeds;
mod rules;

const PATIENCE: Duration = Duration::from_secs(30);

/// What answers: reads give back their cursor, exports give as many chunks as they are asked for,
/// and sessions are counted.
#[derive(Clone, Default)]
struct Darwin {
    made: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl v1::journals_server::Journals for Darwin {
    async fn read(
        &self,
        request: Request<v1::JournalRequest>,
    ) -> Result<Response<v1::JournalResponse>, Status> {
        assert_eq!(&*request.extensions().get::<Peer>().unwrap().user, "ada");
        let v1::JournalRequest { of, cursor, .. } = request.into_inner();
        match of.as_str() {
            "" => Ok(Response::new(v1::JournalResponse { cursor, ..Default::default() })),
            "large" => {
                let cursor = vec![9; 20 << 20].into();
                Ok(Response::new(v1::JournalResponse { cursor, ..Default::default() }))
            }
            "never" => std::future::pending().await,
            other => Err(Fault::new(Code::NotFound, format!("no agent {other}")).into()),
        }
    }
}

#[tonic::async_trait]
impl v1::lineage_server::Lineage for Darwin {
    type ExportStream = Pin<Box<dyn Stream<Item = Result<v1::Chunk, Status>> + Send>>;

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let count: u64 = request.into_inner().agent.parse().unwrap();
        let made = self.made.clone();
        let chunk = move |n: u64| {
            made.fetch_add(1, Ordering::Relaxed);
            let data = [&n.to_be_bytes()[..], &[7; 4000]].concat().into();
            Ok(v1::Chunk { data })
        };
        Ok(Response::new(Box::pin(tokio_stream::iter((0..count).map(chunk)))))
    }
    async fn tree(&self, _: Request<v1::PageRequest>) -> Result<Response<v1::AgentPage>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn ancestors(
        &self,
        _: Request<v1::PageRequest>,
    ) -> Result<Response<v1::AgentPage>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn descendants(
        &self,
        _: Request<v1::PageRequest>,
    ) -> Result<Response<v1::AgentPage>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn verify(
        &self,
        _: Request<v1::AgentRef>,
    ) -> Result<Response<v1::VerifyResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// Makes pipes to a daemon, and breaks them.
#[derive(Clone)]
struct Pipes(Arc<Daemon>);

struct Daemon {
    routes: Routes,
    darwin: Darwin,
    echo: echo::Echo,
    lines: Mutex<Arc<Lines>>,
    stop: CancellationToken,
    /// The pipe in use, and how many there were.
    pipe: Mutex<Option<JoinHandle<()>>>,
    made: AtomicUsize,
    down: Mutex<bool>,
}

impl Pipes {
    fn new() -> Self {
        let (darwin, echo) = (Darwin::default(), echo::Echo::default());
        let routes = Routes::new(v1::journals_server::JournalsServer::new(darwin.clone()))
            .add_service(v1::lineage_server::LineageServer::new(darwin.clone()))
            .add_service(v1::rooms_server::RoomsServer::new(echo.clone()));
        Self(Arc::new(Daemon {
            routes,
            darwin,
            echo,
            lines: Mutex::default(),
            stop: CancellationToken::new(),
            pipe: Mutex::default(),
            made: AtomicUsize::new(0),
            down: Mutex::new(false),
        }))
    }

    /// Breaks the connection, whatever is on its way.
    fn cut(&self) {
        if let Some(pipe) = self.0.pipe.lock().unwrap().take() {
            pipe.abort();
        }
    }

    /// Forgets all lines, as a restart does.
    fn restart(&self) {
        *self.0.lines.lock().unwrap() = Arc::default();
        self.cut();
    }

    fn made(&self) -> usize {
        self.0.made.load(Ordering::Relaxed)
    }

    /// Both ends of a new connection; what serves it runs on.
    async fn connect(&self) -> (WebSocketStream<DuplexStream>, Arc<Session>) {
        let (near, middle) = tokio::io::duplex(16 << 10);
        let (far, other) = tokio::io::duplex(16 << 10);
        let pipe = tokio::spawn(async move {
            let (mut a, mut b) = (middle, other);
            let _ = tokio::io::copy_bidirectional(&mut a, &mut b).await;
            let _ = (a.shutdown().await, b.shutdown().await);
        });
        self.cut();
        *self.0.pipe.lock().unwrap() = Some(pipe);
        self.0.made.fetch_add(1, Ordering::Relaxed);
        let config = Some(socket_config());
        let server = WebSocketStream::from_raw_socket(far, protocol::Role::Server, config).await;
        let client = WebSocketStream::from_raw_socket(near, protocol::Role::Client, config).await;
        let (session, theirs) = Session::pair();
        let peer = Peer {
            address: ([127, 0, 0, 1], 1).into(),
            user: "ada".into(),
            role: Some(Role::User),
            session: theirs,
        };
        let (routes, stop) = (self.0.routes.clone(), self.0.stop.clone());
        let lines = self.0.lines.lock().unwrap().clone();
        tokio::spawn(async move { serve(server, &peer, routes, &lines, stop).await });
        (client, session)
    }

    fn calls(&self) -> Calls<Self> {
        Calls::new(self.clone())
    }
}

impl Dial for Pipes {
    type Stream = DuplexStream;

    async fn dial(&self) -> Result<(WebSocketStream<DuplexStream>, Arc<Session>), LinkError> {
        if *self.0.down.lock().unwrap() {
            return Err(LinkError::Broken("nobody is there".to_owned()));
        }
        Ok(self.connect().await)
    }
}

fn echo(size: usize) -> v1::JournalRequest {
    v1::JournalRequest { cursor: vec![7; size].into(), ..Default::default() }
}

fn export(count: u64) -> v1::ExportRequest {
    v1::ExportRequest { agent: count.to_string(), ..Default::default() }
}

async fn chunk(stream: &mut tonic::Streaming<v1::Chunk>) -> Option<u64> {
    let next = within(PATIENCE, "the next chunk", stream.message()).await.unwrap().unwrap()?;
    Some(u64::from_be_bytes(next.data[..8].try_into().unwrap()))
}

#[tokio::test]
async fn calls_of_every_kind_are_answered_on_one_connection() {
    let pipes = Pipes::new();
    let calls = pipes.calls();
    let mut journals = JournalsClient::new(calls.clone());
    for size in [0, 1, 200, WINDOW + 1, 900_000] {
        let answer = journals.read(echo(size)).await.unwrap().into_inner();
        assert_eq!(answer.cursor, echo(size).cursor);
    }
    // An answer may be larger than a request.
    let mut large = JournalsClient::new(calls.clone()).max_decoding_message_size(64 << 20);
    let request = v1::JournalRequest { of: "large".to_owned(), ..Default::default() };
    let answer = large.read(request).await.unwrap().into_inner();
    assert_eq!(answer.cursor, vec![9; 20 << 20]);
    let missing = v1::JournalRequest { of: "x".to_owned(), ..Default::default() };
    let missing = Fault::from(journals.read(missing).await.unwrap_err());
    assert_eq!(missing, Fault::new(Code::NotFound, "no agent x"));
    for count in [0, 1, 1000] {
        let mut stream = LineageClient::new(calls.clone()).export(export(count)).await.unwrap();
        let mut got = Vec::new();
        while let Some(n) = chunk(stream.get_mut()).await {
            got.push(n);
        }
        assert_eq!(got, (0..count).collect::<Vec<_>>());
    }
    let unknown = SessionsClient::new(calls).list(v1::ListSessionsRequest::default()).await;
    assert_eq!(unknown.unwrap_err().code(), tonic::Code::Unimplemented);
    assert_eq!(pipes.made(), 1);
}

#[tokio::test]
async fn a_message_that_is_too_large_is_told_and_harms_nobody() {
    let pipes = Pipes::new();
    let mut journals = JournalsClient::new(pipes.calls());
    let large = journals.read(echo(2 << 20)).await.unwrap_err();
    assert_eq!(large.code(), tonic::Code::OutOfRange);
    assert_eq!(journals.read(echo(5)).await.unwrap().into_inner().cursor.len(), 5);
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_and_costs_a_window() {
    let pipes = Pipes::new();
    let calls = pipes.calls();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let stream = LineageClient::new(calls.clone()).export(export(1_000_000)).await.unwrap();
        stalled.push(stream.into_inner());
    }
    let mut journals = JournalsClient::new(calls);
    for _ in 0..200 {
        within(PATIENCE, "an echo", journals.read(echo(200))).await.unwrap().unwrap();
    }
    // Each has made what its window holds, and what is encoded together (32 KiB) and waits for room.
    let made = pipes.0.darwin.made.load(Ordering::Relaxed);
    assert!(made <= 20 * (WINDOW / 4000 + 10), "{made}");
    // Once it reads, it gets all in order.
    let mut first = stalled.swap_remove(0);
    for n in 0..1000 {
        assert_eq!(chunk(&mut first).await, Some(n));
    }
}

#[tokio::test]
async fn what_breaks_is_gone_on_with_and_nothing_is_lost_or_comes_twice() {
    for seed in 0..8 {
        let mut chaos = ChaCha8Rng::seed_from_u64(seed);
        let pipes = Pipes::new();
        let calls = pipes.calls();
        let mut streams = Vec::new();
        for _ in 0..3 {
            let stream = LineageClient::new(calls.clone()).export(export(3000)).await.unwrap();
            streams.push((stream.into_inner(), 0));
        }
        let mut cuts = 0;
        while streams.iter().any(|(_, next)| *next < 3000) {
            for (stream, next) in &mut streams {
                for _ in 0..chaos.random_range(0..200) {
                    if *next < 3000 {
                        assert_eq!(chunk(stream).await, Some(*next), "seed {seed}, {cuts} cuts");
                        *next += 1;
                    }
                }
            }
            if chaos.random_bool(0.3) {
                cuts += 1;
                pipes.cut();
                let mut journals = JournalsClient::new(calls.clone());
                let answer = within(PATIENCE, "an echo", journals.read(echo(cuts))).await.unwrap();
                assert_eq!(answer.unwrap().into_inner().cursor.len(), cuts, "seed {seed}");
            }
        }
        for (stream, _) in &mut streams {
            assert_eq!(chunk(stream).await, None, "seed {seed}");
        }
        assert!(cuts > 2 && pipes.made() > cuts, "{cuts} cuts, {} connections", pipes.made());
    }
}

#[tokio::test]
async fn calls_of_a_line_that_the_daemon_forgot_fail_and_the_next_ones_work() {
    let pipes = Pipes::new();
    let calls = pipes.calls();
    let mut stream =
        LineageClient::new(calls.clone()).export(export(1_000_000)).await.unwrap().into_inner();
    assert_eq!(chunk(&mut stream).await, Some(0));
    pipes.restart();
    let lost = async {
        loop {
            if let Err(status) = stream.message().await {
                return Fault::from(status);
            }
        }
    };
    let lost = within(PATIENCE, "the end", lost).await.unwrap();
    assert_eq!(lost.code, Code::Unavailable);
    assert!(lost.message.contains("restarted"), "{lost}");
    let mut journals = JournalsClient::new(Careful::new(calls));
    assert!(journals.read(echo(3)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_not_there_is_told_at_once_and_one_that_left_after_a_while() {
    let pipes = Pipes::new();
    *pipes.0.down.lock().unwrap() = true;
    let mut journals = JournalsClient::new(pipes.calls());
    let begun = tokio::time::Instant::now();
    let absent = Fault::from(journals.read(echo(3)).await.unwrap_err());
    assert_eq!(absent.code, Code::Unavailable);
    assert!(begun.elapsed() < Duration::from_secs(1));

    *pipes.0.down.lock().unwrap() = false;
    let never = v1::JournalRequest { of: "never".to_owned(), ..Default::default() };
    let mut other = journals.clone();
    let call = tokio::spawn(async move { other.read(never).await });
    journals.read(echo(3)).await.unwrap();
    *pipes.0.down.lock().unwrap() = true;
    pipes.cut();
    let left = Fault::from(call.await.unwrap().unwrap_err());
    assert_eq!(left.code, Code::Unavailable);
    *pipes.0.down.lock().unwrap() = false;
    journals.read(echo(3)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_at_the_daemon_too() {
    let pipes = Pipes::new();
    let never = v1::JournalRequest { of: "never".to_owned(), ..Default::default() };
    let mut request = Request::new(never);
    request.set_timeout(Duration::from_millis(300));
    let late = JournalsClient::new(pipes.calls()).read(request).await.unwrap_err();
    assert_eq!(late.code(), tonic::Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_drain_lets_calls_end_and_ends_streams() {
    let pipes = Pipes::new();
    let calls = pipes.calls();
    let mut stream =
        LineageClient::new(calls.clone()).export(export(1_000_000)).await.unwrap().into_inner();
    assert_eq!(chunk(&mut stream).await, Some(0));
    pipes.0.stop.cancel();
    let ended = async {
        loop {
            if let Err(status) = stream.message().await {
                return Fault::from(status);
            }
        }
    };
    let ended = within(PATIENCE, "the end", ended).await.unwrap();
    assert_eq!((ended.code, ended.message.as_str()), (Code::Unavailable, "the daemon is ending"));
}
