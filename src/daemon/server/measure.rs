//! Counts, times and traces calls, by method, transport and outcome.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use http_body::{Frame, SizeHint};
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{Request, Response, Version},
};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    link::acceptor::Peer,
    telemetry::{calls, context},
    wire::{access, methods},
};

/// Measures the service within.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measure;

/// A service that is measured.
#[derive(Debug, Clone)]
pub struct Measured<S>(S);

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured(inner)
    }
}

impl<S> Service<Request<Body>> for Measured<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (begun, open) = (Instant::now(), Open::new("darwin_calls_open"));
        // What comes by a line is made into a request here, of HTTP's usual version.
        let transport = if request.version() == Version::HTTP_2 { "http2" } else { "websocket" };
        let (service, name) = named(request.uri().path());
        let span = span(&request, (service, name), transport);
        let call = Call { method: method(service, name), transport, span };
        let request =
            request.map(|body| Body::new(Counted::new(body, "darwin_request_bytes", call.clone())));
        let answer = call.span.in_scope(|| self.0.call(request)).instrument(call.span.clone());
        Box::pin(async move {
            let answer = answer.await?;
            drop(open);
            // An error comes in the headers; what a stream ends with, later.
            let status = calls::status(answer.headers()).unwrap_or(Code::Ok);
            let result = if status == Code::Ok { "ok" } else { "error" };
            let Call { method, transport, .. } = call.clone();
            metrics::counter!("darwin_calls_total", "method" => method.clone(), "result" => result, "transport" => transport)
                .increment(1);
            metrics::histogram!("darwin_call_seconds", "method" => method, "transport" => transport)
                .record(begun.elapsed());
            if status != Code::Ok {
                call.failed(status);
            }
            Ok(answer.map(|body| Body::new(Counted::new(body, "darwin_response_bytes", call))))
        })
    }
}

/// The service and the method that a path names. A client may ask for any path: those that are
/// unknown get no label, and no name, of their own.
fn named(path: &str) -> (&str, &str) {
    let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
    let known = methods::at(path).is_some() || access::class(path).is_some();
    parts.filter(|_| known).unwrap_or(("unknown", "unknown"))
}

/// As the labels of metrics have it.
fn method(service: &str, name: &str) -> String {
    if service == "unknown" { service.to_owned() } else { format!("/{service}/{name}") }
}

fn span(request: &Request<Body>, (service, name): (&str, &str), transport: &str) -> Span {
    let protocol = if transport == "http2" { "http" } else { transport };
    let span = calls::server(service, name, protocol);
    if span.is_disabled() {
        return span;
    }
    if let Some(parent) = context::extract(request.headers()) {
        // It was just made, so nothing was done in it.
        let _ = span.set_parent(parent);
    }
    if let Some(peer) = request.extensions().get::<Peer>() {
        span.record("client.address", tracing::field::display(peer.address.ip()));
        span.record("client.port", peer.address.port());
    }
    span
}

/// A call that is measured.
#[derive(Debug, Clone)]
struct Call {
    method: String,
    transport: &'static str,
    span: Span,
}

impl Call {
    fn failed(&self, code: Code) {
        calls::record(&self.span, code, true);
        metrics::counter!(
            "darwin_call_errors_total",
            "method" => self.method.clone(), "transport" => self.transport, "code" => calls::name(code)
        )
        .increment(1);
    }
}

/// Counts what goes through, and sees how it ends. It is read within the call's span, which ends
/// with it.
struct Counted {
    body: Body,
    bytes: u64,
    name: &'static str,
    call: Call,
}

impl Counted {
    fn new(body: Body, name: &'static str, call: Call) -> Self {
        Self { body, bytes: 0, name, call }
    }
}

impl http_body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        let this = &mut *self;
        let _inside = this.call.span.enter();
        let frame = std::task::ready!(Pin::new(&mut this.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            this.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            match frame.trailers_ref().and_then(calls::status) {
                Some(Code::Ok) => calls::record(&this.call.span, Code::Ok, true),
                Some(code) => this.call.failed(code),
                None => {}
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Call { method, transport, .. } = &self.call;
        metrics::histogram!(self.name, "method" => method.clone(), "transport" => *transport)
            .record(self.bytes as f64);
    }
}

/// Counts a call in a gauge until it gets on or is given up.
pub struct Open(metrics::Gauge);

impl Open {
    /// In the gauge of that name.
    pub fn new(name: &'static str) -> Self {
        let gauge = metrics::gauge!(name);
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
