//! What was recorded on one connection is good for no other, nor after a restart.

use bytes::Bytes;
use http_body_util::Full;
use tonic::{
    body::Body,
    codegen::http::{self, header::CONTENT_TYPE},
};
use tower::Service as _;

use super::*;
use crate::{
    link::{
        sealing::ENVELOPES,
        session::{Credentials, Session},
        tls,
    },
    wire::methods::at,
};

/// A connection to that port, by hand: its session, and a channel on it.
async fn connection(port: &Port) -> (Arc<Session>, tonic::transport::Channel) {
    let config = tls::client(&port.client, tls::H2).unwrap();
    let stream = tokio::net::TcpStream::connect(port.address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(crate::link::pki::SERVER_NAME).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.unwrap();
    let own = Arc::new(Credentials::of(&port.client).unwrap());
    let session = Session::new(own, stream.get_ref().1).unwrap();
    let mut stream = Some(hyper_util::rt::TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        std::future::ready(stream.take().ok_or_else(|| std::io::Error::other("only once")))
    });
    let target = tonic::transport::Endpoint::from_static("http://darwind");
    (session, target.connect_with_connector(connector).await.unwrap())
}

/// Sends a body as it is, and tells the status.
async fn send(channel: &mut tonic::transport::Channel, whole: Bytes) -> Result<(), Fault> {
    let request = http::Request::post("http://darwind/darwin.v1.Operations/Status")
        .header(CONTENT_TYPE, ENVELOPES)
        .body(Body::new(Full::new(whole)))
        .unwrap();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    let answer = channel.call(request).await.unwrap();
    let headers = tonic::metadata::MetadataMap::from_headers(answer.headers().clone());
    match Status::from_header_map(headers.as_ref()) {
        Some(status) if status.code() != tonic::Code::Ok => Err(status.into()),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn what_was_recorded_before_a_restart_is_refused_after_it() {
    let mut port = port().await;
    let (session, mut channel) = connection(&port).await;
    let method = at("/darwin.v1.Operations/Status").unwrap();
    let envelope = session.begin(method, None).0.seal(&[], true);
    let length = (envelope.len() as u32).to_be_bytes();
    let whole = Bytes::from([[0].as_slice(), &length, &envelope].concat());
    send(&mut channel, whole.clone()).await.unwrap();
    let again = send(&mut channel, whole.clone()).await.unwrap_err();
    assert!(again.message.contains("came before"), "{again}");

    let (_, mut other) = connection(&port).await;
    let elsewhere = send(&mut other, whole.clone()).await.unwrap_err();
    assert!(elsewhere.message.contains("another connection"), "{elsewhere}");

    // The same daemon, with the same keys, started anew.
    drop((channel, other));
    port = port.restart().await;
    let (session, mut channel) = connection(&port).await;
    let later = send(&mut channel, whole).await.unwrap_err();
    assert!(later.message.contains("another connection"), "{later}");
    assert_eq!(later.code(), Code::Denied);
    drop((session, channel));
    port.end().await;
}

#[tokio::test]
async fn a_link_signs_for_the_new_connection_after_the_old_one_broke() {
    let port = port().await;
    let link = Link::connect(&port.endpoint(), &port.client).await.unwrap();
    link.operations().status(v1::StatusRequest {}).await.unwrap();
    let port = port.restart().await;
    let mut tries = 0;
    while let Err(error) = link.operations().status(v1::StatusRequest {}).await {
        // The break itself may be told to one call.
        assert_eq!(Fault::from(error).code(), Code::Unavailable);
        tries += 1;
        assert!(tries < 3);
    }
    drop(link);
    port.end().await;
}

#[tokio::test]
async fn a_key_from_before_messages_were_signed_is_named() {
    let port = port().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let certificate = certificate.der().clone();
    let elder = Identity { certificate, key, ..port.client.clone() };
    let error = Link::connect(&port.endpoint(), &elder).await.unwrap_err();
    assert!(matches!(error, LinkError::Outdated { whose: "this user's" }), "{error}");
    port.end().await;
}
