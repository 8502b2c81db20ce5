//! Counts and times calls, by method and outcome.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use tonic::{
    body::Body,
    codegen::http::{Request, Response},
};
use tower::{Layer, Service};

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
        let method = request.uri().path().to_owned();
        let (begun, open) = (Instant::now(), Open::new());
        let answer = self.0.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            drop(open);
            // An error comes in the headers; what a stream ends with later is not seen here.
            let status = answer.headers().get("grpc-status").and_then(|value| value.to_str().ok());
            let status =
                status.map_or(tonic::Code::Ok, |code| tonic::Code::from_bytes(code.as_bytes()));
            // A client may ask for any path: one that is unknown gets no label of its own.
            let method =
                if status == tonic::Code::Unimplemented { "unknown".to_owned() } else { method };
            let result = if status == tonic::Code::Ok { "ok" } else { "error" };
            metrics::counter!("darwin_calls_total", "method" => method.clone(), "result" => result)
                .increment(1);
            metrics::histogram!("darwin_call_seconds", "method" => method).record(begun.elapsed());
            Ok(answer)
        })
    }
}

/// Counts a call as open until it is answered or given up.
struct Open(metrics::Gauge);

impl Open {
    fn new() -> Self {
        let gauge = metrics::gauge!("darwin_calls_open");
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
