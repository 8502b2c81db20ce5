//! The daemon's services: gRPC calls and WebSockets.

pub mod context;
mod once;
mod measure;
mod admit;
mod authorize;
mod progress;
mod runs;
mod evaluations;
mod sessions;
mod rooms;
mod blobs;
mod agents;
mod lineage;
mod journals;
mod doctor;
mod operations;

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::Layer as _;

use crate::{
    link::{
        acceptor::{Conn, Socket},
        line::serve,
        sealing::Envelopes,
    },
    wire::{
        limits::MAX_GRPC_MESSAGE,
        methods::METHODS,
        v1::{
            agents_server::AgentsServer, blobs_server::BlobsServer,
            evaluations_server::EvaluationsServer, journals_server::JournalsServer,
            lineage_server::LineageServer, operations_server::OperationsServer,
            rooms_server::RoomsServer, runs_server::RunsServer, sessions_server::SessionsServer,
        },
    },
};

use admit::Admit;
use authorize::Authorize;
use context::Context;
use measure::Measure;

/// Calls at once on one connection.
const CALLS: u32 = 64;
/// How often an idle connection is checked, and how long the answer may take.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Answers calls until `stop`, then those at work.
///
/// # Errors
/// If the transport gives up: one sentence.
pub async fn calls(
    context: Arc<Context>,
    connections: mpsc::Receiver<Conn>,
    stop: CancellationToken,
) -> Result<(), String> {
    let incoming = ReceiverStream::new(connections).map(Ok::<_, Infallible>);
    let door = context.admission.clone();
    let (reporter, health) = tonic_health::server::health_reporter();
    serving(&reporter, ServingStatus::Serving).await;
    let draining = stop.clone();
    tokio::spawn(async move {
        draining.cancelled().await;
        serving(&reporter, ServingStatus::NotServing).await;
    });
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(CALLS)
        .layer(Measure)
        .layer(Authorize(door.clone()))
        .layer(Envelopes { plain_reads: context.plain_reads })
        .layer(Admit(door))
        .add_routes(routes(context).add_service(health))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
        .map_err(|error| crate::wire::fault::chain(&error))
}

/// Serves lines on WebSockets until `stop`, then ends those that are open.
pub async fn sockets(
    context: Arc<Context>,
    mut sockets: mpsc::Receiver<Socket>,
    stop: CancellationToken,
) {
    let mut open = JoinSet::new();
    let (lines, door) = (Arc::default(), context.admission.clone());
    // As on HTTP/2, but for the envelopes, which are the line's own.
    let services = Authorize(door.clone()).layer(Admit(door).layer(routes(context)));
    let services = Measure.layer(services);
    loop {
        let socket = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = open.join_next() => continue,
            socket = sockets.recv() => socket,
        };
        let Some(socket) = socket else { break };
        let (services, lines, stop) = (services.clone(), Arc::clone(&lines), stop.clone());
        open.spawn(async move {
            metrics::gauge!("darwin_streams_open").increment(1);
            let peer = socket.get_ref().peer().clone();
            if let Err(error) = serve::serve(socket, &peer, services, &lines, stop).await {
                tracing::debug!(%error, "a line's client went away");
            }
            metrics::gauge!("darwin_streams_open").decrement(1);
        });
    }
    while open.join_next().await.is_some() {}
}

/// Says of every service, and of the whole, whether it serves.
async fn serving(reporter: &HealthReporter, status: ServingStatus) {
    let services: BTreeSet<_> = METHODS.iter().map(|method| method.service).collect();
    for service in services.into_iter().chain([""]) {
        reporter.set_service_status(service, status).await;
    }
}

fn routes(context: Arc<Context>) -> Routes {
    macro_rules! limited {
        ($service:expr) => {
            $service
                .max_decoding_message_size(MAX_GRPC_MESSAGE)
                .max_encoding_message_size(MAX_GRPC_MESSAGE)
        };
    }
    macro_rules! service {
        ($server:ident, $module:ident) => {
            limited!($server::new($module::Service(context.clone())))
        };
    }
    Routes::new(service!(OperationsServer, operations))
        .add_service(service!(RunsServer, runs))
        .add_service(service!(EvaluationsServer, evaluations))
        .add_service(service!(SessionsServer, sessions))
        .add_service(service!(RoomsServer, rooms))
        .add_service(service!(BlobsServer, blobs))
        .add_service(service!(AgentsServer, agents))
        .add_service(service!(LineageServer, lineage))
        .add_service(service!(JournalsServer, journals))
}
