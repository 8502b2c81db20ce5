//! The client's side: an HTTP/2 connection, and a line over a WebSocket for what somebody waits for.

use std::{error::Error as StdError, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _};
use hyper_util::rt::TokioIo;
use rustls::{AlertDescription, ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self,
        client::IntoClientRequest as _,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
    },
};
use tonic::transport::{Channel, Endpoint as Target};

use crate::{
    resilience::deadline::within,
    wire::{
        fault::{Fault, chain},
        limits::MAX_GRPC_MESSAGE,
        v1::{
            self, agents_client::AgentsClient, blobs_client::BlobsClient,
            evaluations_client::EvaluationsClient, journals_client::JournalsClient,
            lineage_client::LineageClient, operations_client::OperationsClient,
            rooms_client::RoomsClient, runs_client::RunsClient, sessions_client::SessionsClient,
        },
    },
};

use super::{
    acceptor::socket_config,
    careful::Careful,
    endpoint::Endpoint,
    error::LinkError,
    greeting::greeted,
    line::calls::{Calls, Dial},
    pki::{Identity, SERVER_NAME},
    sealing::{Current, Sealed},
    session::{Credentials, Session},
    switch::{Report, Switch},
    tls,
};

/// How long a connection may take to be made, its handshakes included.
const CONNECT: Duration = Duration::from_secs(5);
/// How often a connection is checked on which somebody waits, and how long the answer may take.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(2));

/// What calls go over: one of two ways, in envelopes, and again where that is safe.
pub type Transport = Careful<Switch<Calls<Dialer>, Sealed<Channel>>>;

/// A connection to a daemon.
#[derive(Debug, Clone)]
pub struct Link {
    channel: Transport,
}

macro_rules! clients {
    ($($name:ident: $client:ident, $doc:literal;)*) => {
        impl Link {
            $(
                #[doc = $doc]
                #[must_use]
                pub fn $name(&self) -> $client<Transport> {
                    $client::new(self.channel())
                        .max_decoding_message_size(MAX_GRPC_MESSAGE)
                }
            )*
        }
    };
}

clients! {
    runs: RunsClient, "Calls about runs.";
    evaluations: EvaluationsClient, "Calls for evaluations outside a run.";
    agents: AgentsClient, "Calls about agents.";
    lineage: LineageClient, "Calls about where agents come from.";
    journals: JournalsClient, "Calls for journals.";
    sessions: SessionsClient, "Calls about sessions.";
    rooms: RoomsClient, "Calls about rooms.";
    blobs: BlobsClient, "Calls about blobs.";
    operations: OperationsClient, "Calls about the daemon itself.";
}

impl Link {
    /// Connects to the daemon at `endpoint` as `identity`. Should the connection break later,
    /// the next call makes a new one.
    ///
    /// # Errors
    /// If nothing answers there in time, or something that is not this home's daemon.
    pub async fn connect(endpoint: &Endpoint, identity: &Identity) -> Result<Self, LinkError> {
        let address = endpoint.address;
        let calls = Arc::new(tls::client(identity, tls::H2)?);
        let socket = Arc::new(tls::client(identity, tls::HTTP1)?);
        let credentials = Arc::new(Credentials::of(identity)?);
        let session = Current::default();
        let target = Target::from_shared(format!("http://{address}"))
            .map_err(|error| LinkError::Setup(error.to_string()))?
            .http2_keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
            .keep_alive_while_idle(false);
        let process = match endpoint.pid {
            0 => String::new(),
            pid => format!(" (process {pid})"),
        };
        let (own, current) = (credentials.clone(), session.clone());
        let connector = tower::service_fn(move |_| {
            let (calls, own, current) = (calls.clone(), own.clone(), current.clone());
            let silent = LinkError::Silent { address, process: process.clone(), after: CONNECT };
            async move {
                let stream = reach(address).await?;
                let greeting = async {
                    let stream = secure(stream, calls).await?;
                    let session = Session::new(own, stream.get_ref().1);
                    Ok((greeted(stream).await?, session))
                };
                let greeted = within(CONNECT, "greeting", greeting).await.map_err(|_| silent)?;
                let (stream, session) = greeted.map_err(|error| lost(error, address))?;
                // Before the first call can go out on this connection.
                current.store(Some(session?));
                Ok::<_, LinkError>(TokioIo::new(stream))
            }
        });
        let channel = target
            .connect_with_connector(connector)
            .await
            .map_err(|error| diagnose(&error, address))?;
        let line = Calls::new(Dialer { address, config: socket, credentials });
        let channel = Careful::new(Switch::new(line, Sealed::new(channel, session)));
        Ok(Self { channel })
    }

    /// The channel for generated clients that need other settings than those given here.
    #[must_use]
    pub fn channel(&self) -> Transport {
        self.channel.clone()
    }

    /// Follows a run, named by its id or a unique start of it: one message at once, then on
    /// changes, until it rests. An error is the last item.
    ///
    /// # Errors
    /// If the connection can't be made, or there is no such run.
    pub async fn watch(
        &self,
        run: &str,
    ) -> Result<impl Stream<Item = Result<v1::Progress, LinkError>> + Send + Unpin + use<>, LinkError>
    {
        let run = v1::RunRef { run: run.to_owned() };
        let told = self.runs().watch(run).await.map_err(Fault::from)?.into_inner();
        Ok(told.map(|told| told.map_err(|status| Fault::from(status).into())))
    }

    /// What was seen of the ways to the daemon: the WebSocket, then HTTP/2.
    #[must_use]
    pub fn ways(&self) -> [Report; 2] {
        self.channel.inner().report()
    }
}

/// Makes the connections of a line.
#[derive(Debug)]
pub struct Dialer {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    credentials: Arc<Credentials>,
}

impl Dial for Dialer {
    type Stream = TlsStream<TcpStream>;

    async fn dial(&self) -> Result<(WebSocketStream<Self::Stream>, Arc<Session>), LinkError> {
        let address = self.address;
        let protocol = |reason: String| LinkError::Protocol { address, reason };
        let mut upgrade = format!("ws://{SERVER_NAME}{}", super::STREAM_PATH)
            .into_client_request()
            .map_err(|error| protocol(error.to_string()))?;
        let name = HeaderValue::from_static(super::SUBPROTOCOL);
        upgrade.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
        let dialing = async {
            let stream = reach(address).await?;
            let stream =
                secure(stream, self.config.clone()).await.map_err(|error| lost(error, address))?;
            let session = Session::new(self.credentials.clone(), stream.get_ref().1)?;
            let (socket, _) = client_async_with_config(upgrade, stream, Some(socket_config()))
                .await
                .map_err(|error| broken(&error, address))?;
            Ok((socket, session))
        };
        within(CONNECT, "opening a line to the daemon", dialing).await?
    }
}

async fn reach(address: SocketAddr) -> Result<TcpStream, LinkError> {
    let connecting = within(CONNECT, "connecting", TcpStream::connect(address));
    let stream = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let ready = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    ready.map_err(|error| lost(error, address))
}

async fn secure(stream: TcpStream, config: Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(SERVER_NAME).map_err(io::Error::other)?;
    TlsConnector::from(config).connect(name, stream).await
}

/// Why there is no connection: TLS said no, or nobody was there.
fn lost(error: io::Error, address: SocketAddr) -> LinkError {
    match tls_fault(&error) {
        Some(fault) => strange(fault, address),
        None => LinkError::Unreachable { address, reason: error.to_string() },
    }
}

/// Why TLS said no: the daemon knows this client, or it is another one.
fn strange(fault: &rustls::Error, address: SocketAddr) -> LinkError {
    let reason = match fault {
        rustls::Error::AlertReceived(AlertDescription::CertificateRevoked) => "it was revoked",
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => "it has expired",
        fault => return LinkError::Stranger { address, reason: fault.to_string() },
    };
    LinkError::Refused { address, reason }
}

/// What lies behind the library's error.
fn diagnose(error: &(dyn StdError + 'static), address: SocketAddr) -> LinkError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<LinkError>() {
            Some(LinkError::Silent { address, process, after }) => {
                let (address, after) = (*address, *after);
                return LinkError::Silent { address, process: process.clone(), after };
            }
            Some(LinkError::Unreachable { address, reason }) => {
                return LinkError::Unreachable { address: *address, reason: reason.clone() };
            }
            Some(LinkError::Outdated { whose }) => return LinkError::Outdated { whose },
            Some(LinkError::Stranger { address, reason }) => {
                return LinkError::Stranger { address: *address, reason: reason.clone() };
            }
            Some(LinkError::Refused { address, reason }) => {
                return LinkError::Refused { address: *address, reason };
            }
            _ => cause = error.source(),
        }
    }
    LinkError::Unreachable { address, reason: chain(error) }
}

fn broken(error: &tungstenite::Error, address: SocketAddr) -> LinkError {
    match error {
        tungstenite::Error::Io(io) => match tls_fault(io) {
            Some(fault) => strange(fault, address),
            None => LinkError::Broken(io.to_string()),
        },
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            LinkError::Broken("it was closed".to_owned())
        }
        other => LinkError::Protocol { address, reason: other.to_string() },
    }
}

fn tls_fault(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
