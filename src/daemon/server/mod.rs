//! The daemon's services: gRPC calls and WebSockets.

pub mod context;
mod measure;
mod authorize;
pub mod streams;
mod runs;
mod evaluations;
mod sessions;
mod agents;
mod lineage;
mod journals;
mod doctor;
mod operations;

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::{service::Routes, transport::Server};

use crate::{
    link::{
        acceptor::{Conn, Socket},
        sealing::Envelopes,
    },
    wire::{
        limits::MAX_GRPC_MESSAGE,
        v1::{
            agents_server::AgentsServer, evaluations_server::EvaluationsServer,
            journals_server::JournalsServer, lineage_server::LineageServer,
            operations_server::OperationsServer, runs_server::RunsServer,
            sessions_server::SessionsServer,
        },
    },
};

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
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .max_concurrent_streams(CALLS)
        .layer(Measure)
        .layer(Authorize)
        .layer(Envelopes { plain_reads: context.plain_reads })
        .add_routes(routes(context))
        .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
        .await
        .map_err(|error| crate::wire::fault::chain(&error))
}

/// Serves WebSockets until `stop`, then takes leave of those that are open.
pub async fn sockets(
    context: Arc<Context>,
    mut sockets: mpsc::Receiver<Socket>,
    stop: CancellationToken,
) {
    let mut open = JoinSet::new();
    loop {
        let socket = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = open.join_next() => continue,
            socket = sockets.recv() => socket,
        };
        let Some(socket) = socket else { break };
        let (context, stop) = (context.clone(), stop.clone());
        open.spawn(async move {
            metrics::gauge!("darwin_streams_open").increment(1);
            let peer = socket.get_ref().peer().clone();
            if let Err(error) =
                streams::serve(socket, peer.role, &peer.session, context, stop).await
            {
                tracing::debug!(%error, "a stream's client went away");
            }
            metrics::gauge!("darwin_streams_open").decrement(1);
        });
    }
    while open.join_next().await.is_some() {}
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
        .add_service(service!(AgentsServer, agents))
        .add_service(service!(LineageServer, lineage))
        .add_service(service!(JournalsServer, journals))
}
