//! The daemon's port: takes connections, demands certificates, and hands HTTP/2 to gRPC and
//! WebSockets to the hub. What it holds at once is bounded, and so is every handshake's time.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async_with_config,
    tungstenite::{
        handshake::server::{ErrorResponse, Request, Response},
        http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::{
    domain::role::Role,
    resilience::{backoff::Backoff, deadline::within},
    wire::limits::MAX_SOCKET_MESSAGE,
};

use super::{
    certificate,
    gate::{Gate, Pass},
    session::Session,
    tls,
};

/// Handshaken connections that wait to be taken up.
const WAITING: usize = 64;

/// What the port holds and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once, those in their handshake included.
    pub connections: usize,
    /// The time for a connection's handshakes.
    pub handshake: Duration,
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub struct Peer {
    /// From where.
    pub address: SocketAddr,
    /// The user whom the certificate names.
    pub user: Arc<str>,
    /// What it lets its holder do, if it says so.
    pub role: Option<Role>,
    /// The connection, on which its messages are signed.
    pub session: Arc<Session>,
}

/// A connection whose client has shown its certificate.
pub struct Conn {
    stream: TlsStream<TcpStream>,
    peer: Peer,
    pass: Pass,
    // Frees the connection's place when it is dropped.
    _place: OwnedSemaphorePermit,
}

/// A WebSocket on such a connection.
pub type Socket = WebSocketStream<Conn>;

/// Where the connections come out.
pub struct Doors {
    /// HTTP/2 connections.
    pub grpc: mpsc::Receiver<Conn>,
    /// WebSockets.
    pub sockets: mpsc::Receiver<Socket>,
}

/// Takes connections from a listener.
pub struct Acceptor {
    listener: TcpListener,
    gate: Arc<Gate>,
    limits: Limits,
    doors: Way,
}

#[derive(Clone)]
struct Way {
    grpc: mpsc::Sender<Conn>,
    sockets: mpsc::Sender<Socket>,
}

impl Acceptor {
    /// For that listener. Each connection gets the configuration that is current when it comes,
    /// so that certificates can be renewed without a restart.
    #[must_use]
    pub fn new(listener: TcpListener, gate: Arc<Gate>, limits: Limits) -> (Self, Doors) {
        let (grpc, from_grpc) = mpsc::channel(WAITING);
        let (sockets, from_sockets) = mpsc::channel(WAITING);
        let acceptor = Self { listener, gate, limits, doors: Way { grpc, sockets } };
        (acceptor, Doors { grpc: from_grpc, sockets: from_sockets })
    }

    /// Takes connections until `stop`; then the port is closed, and handshakes end.
    pub async fn run(self, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(self.limits.connections));
        let mut handshakes = JoinSet::new();
        let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));
        loop {
            // With no place left, newcomers wait in the system's queue, which is bounded too.
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = handshakes.join_next() => continue,
                accepted = accept(&self.listener, &places) => accepted,
            };
            let (stream, address, place) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, as a rule: trying again at once would spin.
                    let wait = backoff.next(rand::random());
                    tracing::warn!(%error, ?wait, "can't accept a connection");
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = tokio::time::sleep(wait) => continue,
                    }
                }
            };
            backoff.reset();
            let (gate, doors, limit) =
                (self.gate.clone(), self.doors.clone(), self.limits.handshake);
            handshakes.spawn(async move {
                let welcome = welcome(stream, address, place, gate, doors);
                let outcome = within(limit, "the handshake", welcome).await;
                let result = match &outcome {
                    Ok(Ok(transport)) => transport,
                    Ok(Err(error)) => {
                        tracing::info!(peer = %address, %error, "refused a connection");
                        "refused"
                    }
                    Err(late) => {
                        tracing::info!(peer = %address, %late, "refused a connection");
                        "late"
                    }
                };
                metrics::counter!("darwin_connections_total", "result" => result).increment(1);
            });
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, place))
}

/// Shakes hands with a newcomer and shows it to its door, whose name it returns.
async fn welcome(
    stream: TcpStream,
    address: SocketAddr,
    place: OwnedSemaphorePermit,
    gate: Arc<Gate>,
    doors: Way,
) -> io::Result<&'static str> {
    stream.set_nodelay(true)?;
    let rules = gate.rules();
    let stream = TlsAcceptor::from(rules.tls.clone()).accept(stream).await?;
    let (_, connection) = stream.get_ref();
    let chain = connection.peer_certificates().unwrap_or_default();
    let chain: Vec<_> = chain.iter().cloned().map(CertificateDer::into_owned).collect();
    let facts = chain.first().and_then(certificate::read);
    let facts = facts.ok_or_else(|| io::Error::other("the certificate can't be read"))?;
    let http2 = connection.alpn_protocol() == Some(tls::H2);
    let session = Session::new(rules.credentials.clone(), connection).map_err(io::Error::other)?;
    let peer = Peer { address, user: facts.name.into(), role: facts.role, session };
    let pass = gate.admit(chain, facts.not_after, rules);
    let conn = Conn { stream, peer, pass, _place: place };
    let ending = "the daemon is ending";
    if http2 {
        return match doors.grpc.send(conn).await {
            Ok(()) => Ok("grpc"),
            Err(_) => Err(io::Error::other(ending)),
        };
    }
    let socket = accept_hdr_async_with_config(conn, check, Some(socket_config()))
        .await
        .map_err(io::Error::other)?;
    match doors.sockets.send(socket).await {
        Ok(()) => Ok("websocket"),
        Err(_) => Err(io::Error::other(ending)),
    }
}

/// Checks path and subprotocol of an upgrade.
#[expect(clippy::result_large_err, reason = "the library's type")]
fn check(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let refuse = |status, text: &str| {
        let mut answer = ErrorResponse::new(Some(text.to_owned()));
        *answer.status_mut() = status;
        Err(answer)
    };
    if request.uri().path() != super::STREAM_PATH {
        return refuse(StatusCode::NOT_FOUND, "there is only /v1/stream here\n");
    }
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','));
    if !offered.any(|protocol| protocol.trim() == super::SUBPROTOCOL) {
        return refuse(StatusCode::BAD_REQUEST, "the subprotocol is darwin.v1\n");
    }
    let protocol = HeaderValue::from_static(super::SUBPROTOCOL);
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    Ok(response)
}

/// The limits of a WebSocket, on either side.
#[must_use]
pub fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(16 << 10)
        .write_buffer_size(16 << 10)
        .max_write_buffer_size(2 * MAX_SOCKET_MESSAGE)
        .max_message_size(Some(MAX_SOCKET_MESSAGE))
        .max_frame_size(Some(MAX_SOCKET_MESSAGE))
}

impl Conn {
    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// Why nothing goes through any more. (The reader is woken by it, so that the connection ends.)
fn over() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the client's certificate is good no longer")
}

impl Connected for Conn {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pass.poll_over(cx).is_ready() {
            return Poll::Ready(Err(over()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.pass.over() {
            return Poll::Ready(Err(over()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.pass.over() {
            return Poll::Ready(Err(over()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
