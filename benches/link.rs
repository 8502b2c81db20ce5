//! Signed messages over TLS on loopback, beside plain tonic and plain tungstenite in the same run.
//!
//! `cargo bench --bench link` prints, one call at a time: the latency of an echo of 200 bytes
//! (p50 and p99), the throughput of answers of 1 MiB that compress well and that don't, and what
//! the envelopes of a round trip cost without any transport.

#![allow(clippy::expect_used, clippy::cast_precision_loss, reason = "a benchmark")]

use std::{
    convert::Infallible,
    hint::black_box,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use darwin::{
    link::{
        STREAM_PATH, SUBPROTOCOL,
        acceptor::{Acceptor, Limits, socket_config},
        error::LinkError,
        gate::Gate,
        line::{
            self,
            calls::{Calls, Dial},
        },
        pki::{Identity, Pki, SERVER_NAME, Usage},
        sealing::{Current, Envelopes, Sealed},
        session::{Credentials, Session},
        tls,
    },
    provenance::sign::{Signer, Verifier},
    wire::{
        envelope::{self, Place},
        limits::MAX_GRPC_MESSAGE,
        methods::at,
        v1::{
            JournalRequest, JournalResponse,
            journals_client::JournalsClient,
            journals_server::{Journals, JournalsServer},
        },
    },
};
use futures_util::{SinkExt as _, StreamExt as _};
use rand::RngExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest as _},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::CompressionEncoding::Gzip,
    codegen::http,
    service::Routes,
    transport::{Channel, Endpoint, Server},
};

const CALLS: usize = 4000;
const SMALL: usize = 200;
const LARGE: usize = 1 << 20;
/// How long throughput is measured, for each kind.
const SPAN: Duration = Duration::from_secs(4);

/// Gives back the cursor that it is asked with, or one of the large ones that it is asked for.
#[derive(Clone)]
struct Echo {
    text: Bytes,
    noise: Bytes,
}

impl Echo {
    fn new() -> Self {
        let mut rng = rand::rng();
        let mut text = String::new();
        while text.len() < LARGE {
            let (agent, score) = (rng.random_range(0..10_000), rng.random::<f64>());
            text +=
                &format!("{{\"agent\":{agent},\"verdict\":\"improved\",\"score\":{score:.3}}}\n");
        }
        text.truncate(LARGE);
        let noise: Vec<u8> = (0..LARGE).map(|_| rng.random()).collect();
        Self { text: text.into(), noise: noise.into() }
    }
}

#[tonic::async_trait]
impl Journals for Echo {
    async fn read(
        &self,
        request: Request<JournalRequest>,
    ) -> Result<Response<JournalResponse>, Status> {
        let request = request.into_inner();
        let cursor = match request.of.as_str() {
            "text" => self.text.clone(),
            "noise" => self.noise.clone(),
            _ => request.cursor,
        };
        Ok(Response::new(JournalResponse { cursor, ..Default::default() }))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Plain,
    Gzip,
    Signed,
}

/// A port of that kind, which echoes WebSocket messages too.
async fn serve(server: &Identity, kind: Kind) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let gate = Gate::new(server).expect("a configuration");
    let limits = Limits { connections: 16, handshake: Duration::from_secs(5) };
    let (acceptor, mut doors) = Acceptor::new(listener, gate, limits);
    tokio::spawn(acceptor.run(CancellationToken::new()));
    let incoming = ReceiverStream::new(doors.grpc).map(Ok::<_, Infallible>);
    let journals = JournalsServer::new(Echo::new()).max_decoding_message_size(MAX_GRPC_MESSAGE);
    tokio::spawn(async move {
        match kind {
            Kind::Plain => {
                Server::builder().add_service(journals).serve_with_incoming(incoming).await
            }
            Kind::Gzip => {
                let journals = journals.accept_compressed(Gzip).send_compressed(Gzip);
                Server::builder().add_service(journals).serve_with_incoming(incoming).await
            }
            Kind::Signed => {
                let layer = Envelopes { plain_reads: false };
                let builder = Server::builder().layer(layer);
                let mut builder = builder;
                builder.add_service(journals).serve_with_incoming(incoming).await
            }
        }
    });
    let routes = Routes::new(JournalsServer::new(Echo::new()));
    tokio::spawn(async move {
        let lines = Arc::default();
        while let Some(mut socket) = doors.sockets.recv().await {
            let (routes, lines) = (routes.clone(), Arc::clone(&lines));
            tokio::spawn(async move {
                if kind == Kind::Signed {
                    let peer = socket.get_ref().peer().clone();
                    let stop = CancellationToken::new();
                    // Its client goes when it has seen enough.
                    let _ = line::serve::serve(socket, &peer, routes, &lines, stop).await;
                    return;
                }
                while let Some(Ok(Message::Binary(bytes))) = socket.next().await {
                    socket.send(Message::Binary(bytes)).await.expect("the echo is sent");
                }
            });
        }
    });
    address
}

async fn secure(
    address: SocketAddr,
    client: &Identity,
    protocol: &[u8],
) -> (TlsStream<TcpStream>, Arc<Session>) {
    let config = tls::client(client, protocol).expect("a configuration");
    let stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let name = rustls::pki_types::ServerName::try_from(SERVER_NAME).expect("a name");
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.expect("a handshake");
    let own = Arc::new(Credentials::of(client).expect("a key"));
    let session = Session::new(own, stream.get_ref().1).expect("a session");
    (stream, session)
}

async fn channel(address: SocketAddr, client: &Identity) -> (Channel, Current) {
    let (stream, session) = secure(address, client, tls::H2).await;
    let mut stream = Some(hyper_util::rt::TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        std::future::ready(stream.take().ok_or_else(|| std::io::Error::other("only once")))
    });
    let target = Endpoint::from_static("http://darwind");
    let channel = target.connect_with_connector(connector).await.expect("a channel");
    (channel, Arc::new(ArcSwapOption::new(Some(session))))
}

async fn socket(
    address: SocketAddr,
    client: &Identity,
) -> (WebSocketStream<TlsStream<TcpStream>>, Arc<Session>) {
    let (stream, session) = secure(address, client, tls::HTTP1).await;
    let upgrade = format!("ws://{SERVER_NAME}{STREAM_PATH}");
    let mut upgrade = upgrade.into_client_request().expect("a request");
    let protocol = SUBPROTOCOL.parse().expect("a header");
    upgrade.headers_mut().insert("sec-websocket-protocol", protocol);
    let (socket, _) =
        client_async_with_config(upgrade, stream, Some(socket_config())).await.expect("an upgrade");
    (socket, session)
}

/// Makes the connections of a line.
struct Dialer {
    address: SocketAddr,
    client: Identity,
}

impl Dial for Dialer {
    type Stream = TlsStream<TcpStream>;

    async fn dial(&self) -> Result<(WebSocketStream<Self::Stream>, Arc<Session>), LinkError> {
        Ok(socket(self.address, &self.client).await)
    }
}

/// Prints the quantiles of how long a call takes.
async fn latency(name: &str, mut call: impl AsyncFnMut()) {
    for _ in 0..CALLS / 10 {
        call().await;
    }
    let mut took = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begun = Instant::now();
        call().await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let at = |share: f64| took[(CALLS as f64 * share) as usize].as_secs_f64() * 1e6;
    println!("  {name:<28} p50 {:6.0} µs   p99 {:6.0} µs", at(0.5), at(0.99));
}

/// The throughput of large answers, in MB/s.
async fn rate(name: &str, of: &str, mut call: impl AsyncFnMut(JournalRequest) -> usize) -> f64 {
    let request = JournalRequest { of: of.to_owned(), ..Default::default() };
    assert_eq!(call(request.clone()).await, LARGE);
    let (begun, mut bytes) = (Instant::now(), 0);
    while begun.elapsed() < SPAN {
        bytes += call(request.clone()).await;
    }
    let rate = bytes as f64 / begun.elapsed().as_secs_f64() / 1e6;
    println!("  {name:<28} {of:>6} {rate:7.0} MB/s");
    rate
}

fn small() -> JournalRequest {
    JournalRequest { cursor: vec![7; SMALL].into(), ..Default::default() }
}

macro_rules! read {
    ($client:expr) => {
        async |request| {
            let answer = $client.read(request).await.expect("an answer");
            answer.into_inner().cursor.len()
        }
    };
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test` runs benches too, with this argument: nothing to do there.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let pki = Pki::at(home.path());
    pki.prepare("ada", &[], SystemTime::now()).expect("certificates");
    let identity = |role| pki.identity(role).expect("an identity");
    let (server, client) = (identity(Usage::Server), identity(Usage::Client));
    let plain = serve(&server, Kind::Plain).await;
    let gzip = serve(&server, Kind::Gzip).await;
    let signed = serve(&server, Kind::Signed).await;

    let large = |channel| JournalsClient::new(channel).max_decoding_message_size(MAX_GRPC_MESSAGE);
    let mut tonic = large(channel(plain, &client).await.0);
    let mut zipped =
        large(channel(gzip, &client).await.0).accept_compressed(Gzip).send_compressed(Gzip);
    let (inner, session) = channel(signed, &client).await;
    // A caller that doesn't say it takes LZ4 gets its answers uncompressed.
    let loose = tower::ServiceBuilder::new()
        .map_request(|mut request: http::Request<Body>| {
            request.headers_mut().remove("grpc-accept-encoding");
            request
        })
        .service(inner.clone());
    let mut loose = JournalsClient::new(Sealed::new(loose, session.clone()))
        .max_decoding_message_size(MAX_GRPC_MESSAGE);
    let mut ours = JournalsClient::new(Sealed::new(inner, session))
        .max_decoding_message_size(MAX_GRPC_MESSAGE);

    println!("echo of {SMALL} bytes over TLS on loopback, one at a time, {CALLS} calls:");
    latency("tonic", async || {
        tonic.read(small()).await.expect("an answer");
    })
    .await;
    latency("darwin's gRPC, signed", async || {
        ours.read(small()).await.expect("an answer");
    })
    .await;
    let (mut bare, _) = socket(plain, &client).await;
    let frame = Bytes::from(vec![7; SMALL]);
    latency("tungstenite", async || {
        bare.send(Message::Binary(frame.clone())).await.expect("sent");
        bare.next().await.expect("an echo").expect("a message");
    })
    .await;
    let mut line = JournalsClient::new(Calls::new(Dialer { address: signed, client }));
    latency("darwin's line, signed", async || {
        let answer = line.read(small()).await.expect("an answer").into_inner();
        assert_eq!(answer.cursor, frame);
    })
    .await;

    println!("answers of 1 MiB, one at a time:");
    for of in ["text", "noise"] {
        rate("tonic", of, read!(tonic)).await;
        let zipped = rate("tonic with gzip", of, read!(zipped)).await;
        let loose = rate("darwin's, signed", of, read!(loose)).await;
        let ours = rate("darwin's, signed and LZ4", of, read!(ours)).await;
        println!("    {:.1} × gzip's, {:.2} × the uncompressed", ours / zipped, ours / loose);
    }
    sealing();
}

/// What a round trip's two envelopes cost: each is sealed and opened.
fn sealing() {
    println!("two envelopes sealed and opened, without transport:");
    let signer = Signer::from_seed(&[1; 32]).expect("a key");
    let verifier = Verifier::new(signer.public()).expect("a key");
    let request = Place {
        clusters: [[1; 32]].into(),
        session: [2; 32],
        method: at("/darwin.v1.Journals/Read").expect("a method"),
        stream: Some(1),
        sequence: 0,
        answers: None,
        error: false,
    };
    let answer = Place { answers: Some([3; 16]), ..request.clone() };
    for size in [0, SMALL, 4096, 65536, LARGE] {
        let payload = Bytes::from(vec![7; size]);
        let rounds = if size > 65536 { 200 } else { 2000 };
        let begun = Instant::now();
        for _ in 0..rounds {
            for place in [&request, &answer] {
                let front = envelope::seal(&signer, place, ([4; 16], true, None), 1, &payload);
                let whole = Bytes::from([front.as_ref(), &payload].concat());
                let opened = envelope::open(whole, &verifier, place, 1).expect("it opens");
                black_box(opened);
            }
        }
        let each = begun.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
        println!("  {size:>8} bytes {each:7.0} µs");
    }
}
