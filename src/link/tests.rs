//! Both sides of a connection against each other.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::StreamExt as _;
use tokio::{
    net::TcpListener,
    sync::Notify,
    task::{JoinHandle, JoinSet},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, service::Routes, transport::Server};

use crate::{
    code::Code,
    domain::role::Role,
    wire::{
        fault::Fault,
        v1::{self, operations_server::OperationsServer},
    },
};

use super::{
    acceptor::{Acceptor, Limits, Peer},
    client::Link,
    endpoint::Endpoint,
    error::LinkError,
    gate::Gate,
    line::serve,
    pki::{Identity, Pki, Usage},
    sealing::Envelopes,
};

mod replay;
mod sealing;

const LIMITS: Limits = Limits { connections: 4, handshake: Duration::from_millis(300) };

/// A daemon's port without a daemon: `Status` answers with the caller's name.
struct Port {
    address: SocketAddr,
    client: Identity,
    gate: Arc<Gate>,
    server: Identity,
    stop: CancellationToken,
    calls: Calls,
    tasks: Vec<JoinHandle<()>>,
    home: tempfile::TempDir,
}

/// Lets a test hold a call: `Doctor` says that it began, and ends when it may.
#[derive(Clone, Default)]
struct Calls {
    began: Arc<Notify>,
    may_end: Arc<Notify>,
}

struct Operations(Calls);

#[tonic::async_trait]
impl v1::operations_server::Operations for Operations {
    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let home = request.extensions().get::<Peer>().unwrap().user.to_string();
        Ok(Response::new(v1::StatusResponse { home, ..Default::default() }))
    }
    async fn doctor(
        &self,
        _: Request<v1::DoctorRequest>,
    ) -> Result<Response<v1::DoctorResponse>, Status> {
        self.0.began.notify_one();
        self.0.may_end.notified().await;
        Ok(Response::new(v1::DoctorResponse::default()))
    }
    async fn verify_store(
        &self,
        _: Request<v1::VerifyStoreRequest>,
    ) -> Result<Response<v1::VerifyResponse>, Status> {
        Err(Fault::new(Code::Sandbox, "no user namespaces").into())
    }
    async fn shutdown(
        &self,
        _: Request<v1::ShutdownRequest>,
    ) -> Result<Response<v1::ShutdownResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

fn identities() -> (tempfile::TempDir, Identity, Identity) {
    let home = tempfile::tempdir().unwrap();
    let pki = Pki::at(home.path());
    pki.prepare("ada", &[], SystemTime::now()).unwrap();
    let (server, client) =
        (pki.identity(Usage::Server).unwrap(), pki.identity(Usage::Client).unwrap());
    (home, server, client)
}

async fn port() -> Port {
    let (home, server, client) = identities();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    port_of(listener, home, server, client)
}

fn port_of(
    listener: TcpListener,
    home: tempfile::TempDir,
    server: Identity,
    client: Identity,
) -> Port {
    let gate = Gate::new(&server).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, calls) = (CancellationToken::new(), Calls::default());
    let (acceptor, mut doors) = Acceptor::new(listener, gate.clone(), LIMITS);
    let routes = Routes::new(OperationsServer::new(Operations(calls.clone())));
    let incoming = ReceiverStream::new(doors.grpc).map(Ok::<_, std::convert::Infallible>);
    let grpc = Server::builder()
        .layer(Envelopes { plain_reads: false })
        .add_routes(routes.clone())
        .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
    let ending = stop.clone();
    let hub = async move {
        let lines = Arc::default();
        let mut open = JoinSet::new();
        while let Some(socket) = doors.sockets.recv().await {
            let peer = socket.get_ref().peer().clone();
            let (routes, lines, stop) = (routes.clone(), Arc::clone(&lines), ending.clone());
            open.spawn(async move { serve::serve(socket, &peer, routes, &lines, stop).await });
        }
        open.join_all().await;
    };
    let tasks = vec![
        tokio::spawn(acceptor.run(stop.clone())),
        tokio::spawn(async { grpc.await.unwrap() }),
        tokio::spawn(hub),
    ];
    Port { address, client, gate, server, stop, calls, tasks, home }
}

impl Port {
    fn endpoint(&self) -> Endpoint {
        Endpoint { address: self.address, admin: self.address, pid: 1, started_ms: 0 }
    }

    /// Ends it and starts it again at the same address, with the same certificates.
    async fn restart(mut self) -> Self {
        self.ended().await;
        let listener = TcpListener::bind(self.address).await.unwrap();
        port_of(listener, self.home, self.server, self.client)
    }

    async fn end(mut self) {
        self.ended().await;
    }

    async fn ended(&mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_client_with_its_certificate_calls_and_is_known_by_name() {
    let port = port().await;
    let link = Link::connect(&port.endpoint(), &port.client).await.unwrap();
    let answer = link.operations().status(v1::StatusRequest {}).await.unwrap();
    assert_eq!(answer.into_inner().home, "ada");
    let refusal = link.operations().verify_store(v1::VerifyStoreRequest {}).await.unwrap_err();
    assert_eq!(Fault::from(refusal), Fault::new(Code::Sandbox, "no user namespaces"));
    let unknown = link.runs().list(v1::ListRunsRequest::default()).await.unwrap_err();
    assert_eq!(Fault::from(unknown).code(), Code::Conflict);
    drop(link);
    port.end().await;
}

#[tokio::test]
async fn a_drain_answers_the_calls_at_work() {
    let port = port().await;
    let link = Link::connect(&port.endpoint(), &port.client).await.unwrap();
    let mut operations = link.operations();
    let call = tokio::spawn(async move { operations.doctor(v1::DoctorRequest {}).await });
    port.calls.began.notified().await;
    port.stop.cancel();
    // The door is closed before the call is over.
    let endpoint = port.endpoint();
    let closed = async {
        while Link::connect(&endpoint, &port.client).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
    assert!(!call.is_finished());
    port.calls.may_end.notify_one();
    call.await.unwrap().unwrap();
    drop(link);
    port.end().await;
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused_by_both() {
    let port = port().await;
    let (_home, _, stranger) = identities();
    let error = Link::connect(&port.endpoint(), &stranger).await.unwrap_err();
    assert!(matches!(error, LinkError::Stranger { .. }), "{error}");

    // One that trusts the daemon, but has a certificate of another authority.
    let impostor = Identity { authorities: port.client.authorities.clone(), ..stranger };
    let error = Link::connect(&port.endpoint(), &impostor).await.unwrap_err();
    assert!(matches!(error, LinkError::Stranger { .. }), "{error}");
    assert_eq!(error.code(), Code::Denied);
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let port = port().await;
    let roots = super::pki::trust(&port.client.authorities).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(port.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(super::pki::SERVER_NAME).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let error = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1]).await.unwrap_err();
    let error = error.into_inner().unwrap();
    let refused = rustls::AlertDescription::CertificateRequired;
    assert_eq!(error.downcast_ref(), Some(&rustls::Error::AlertReceived(refused)));
}

/// A ClientHello of TLS 1.2 (RFC 5246): no `supported_versions`, so nothing newer is offered.
fn hello_of_tls12() -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]); // random
    body.push(0); // no session id
    body.extend([0, 2, 0xc0, 0x2b]); // ECDHE-ECDSA-AES128-GCM-SHA256
    body.extend([1, 0]); // no compression
    let groups = [0, 10, 0, 4, 0, 2, 0, 23]; // secp256r1
    let signatures = [0, 13, 0, 4, 0, 2, 4, 3]; // ecdsa_secp256r1_sha256
    body.extend([0, 16]);
    body.extend(groups);
    body.extend(signatures);
    let mut handshake = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
    handshake.extend(body);
    let mut record = vec![22, 3, 1, 0, u8::try_from(handshake.len()).unwrap()];
    record.extend(handshake);
    record
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_2_is_refused() {
    let port = port().await;
    let address = port.address;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(&hello_of_tls12()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    // An alert record: fatal, protocol_version.
    assert_eq!((answer[0], &answer[5..]), (21, [2, 70].as_slice()), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_newcomers_are_dropped_and_make_room() {
    let port = port().await;
    let mut silent = Vec::new();
    for _ in 0..LIMITS.connections {
        silent.push(tokio::net::TcpStream::connect(port.address).await.unwrap());
    }
    // All places are taken; this one waits until the handshakes' time is over.
    let link = Link::connect(&port.endpoint(), &port.client).await.unwrap();
    link.operations().status(v1::StatusRequest {}).await.unwrap();
    for mut stream in silent {
        let mut byte = [0];
        let ended = tokio::io::AsyncReadExt::read(&mut stream, &mut byte);
        let ended = tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap();
        assert_eq!(ended.unwrap(), 0);
    }
}

#[tokio::test]
async fn nobody_there_is_told_apart_from_a_stranger() {
    let port = port().await;
    let endpoint = port.endpoint();
    let client = port.client.clone();
    port.end().await;
    let error = Link::connect(&endpoint, &client).await.unwrap_err();
    assert!(matches!(error, LinkError::Unreachable { .. }), "{error}");
    assert_eq!(error.code(), Code::Unavailable);
}

#[tokio::test]
async fn who_is_revoked_is_cut_off_and_the_others_go_on() {
    let port = port().await;
    let (pki, now) = (Pki::at(port.home.path()), SystemTime::now());
    let bob = pki.issue("bob", Role::User, Duration::from_secs(60), now).unwrap();
    let links = [
        Link::connect(&port.endpoint(), &port.client).await.unwrap(),
        Link::connect(&port.endpoint(), &bob).await.unwrap(),
    ];
    let ask = async |link: &Link| link.operations().status(v1::StatusRequest {}).await;
    assert_eq!(ask(&links[1]).await.unwrap().into_inner().home, "bob");
    port.gate.replace(&pki.identity(Usage::Server).unwrap()).unwrap();
    assert_eq!(port.gate.sweep(now), 0, "all are still good");
    pki.revoke("bob", now).unwrap();
    assert_eq!(port.gate.sweep(now), 0, "the gate does not know yet");
    port.gate.replace(&pki.identity(Usage::Server).unwrap()).unwrap();
    // Of the calls, and of the line.
    assert_eq!((port.gate.sweep(now), port.gate.sweep(now)), (2, 0));
    ask(&links[1]).await.unwrap_err();
    let error = Link::connect(&port.endpoint(), &bob).await.unwrap_err();
    assert!(matches!(error, LinkError::Refused { reason: "it was revoked", .. }), "{error}");
    ask(&links[0]).await.unwrap();
    drop(links);
    port.end().await;
}

#[tokio::test]
async fn whose_certificate_ends_is_cut_off() {
    let port = port().await;
    let link = Link::connect(&port.endpoint(), &port.client).await.unwrap();
    let facts = port.client.facts().unwrap();
    // Of the list, not of the certificate: that is still current when the certificate ends.
    let (pki, end) = (Pki::at(port.home.path()), facts.not_after);
    pki.list(end - Duration::from_secs(60)).unwrap();
    port.gate.replace(&pki.identity(Usage::Server).unwrap()).unwrap();
    assert_eq!(port.gate.sweep(end - Duration::from_secs(1)), 0);
    assert_eq!(port.gate.sweep(end + Duration::from_secs(1)), 1);
    drop(link);
    port.end().await;
}
