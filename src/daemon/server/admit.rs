//! Lets in as many calls as can be worked on; others wait a little, or are turned away.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
};
use tower::{Layer, Service};
use tracing::Instrument as _;

use crate::{
    code::Code,
    resilience::admission::{Admission, Shed},
    wire::{
        access::{self, Class},
        fault::Fault,
    },
};

use super::measure::Open;

/// Bounds what the service within works on at once.
#[derive(Debug, Clone)]
pub struct Admit(pub Admission);

/// A service that is bounded so.
#[derive(Debug, Clone)]
pub struct Admitted<S>(S, Admission);

impl<S> Layer<S> for Admit {
    type Service = Admitted<S>;

    fn layer(&self, inner: S) -> Admitted<S> {
        Admitted(inner, self.0.clone())
    }
}

impl<S> Service<Request<Body>> for Admitted<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Some(class) = access::class(request.uri().path()) else {
            return Box::pin(self.0.call(request));
        };
        let next = self.0.clone();
        // The one that was asked whether it is ready.
        let mut inner = std::mem::replace(&mut self.0, next);
        let door = self.1.clone();
        Box::pin(async move {
            // Held until the answer begins: what a stream reads later is bounded where it is read.
            let wait = tracing::info_span!("admission", darwin.class = class.as_str());
            let waiting = Open::new("darwin_calls_waiting");
            let _place = match door.enter(class).instrument(wait).await {
                Ok(place) => place,
                Err(turned) => return Ok(shed(turned, class).into_http()),
            };
            drop(waiting);
            let work = tracing::info_span!("handler");
            let answer = work.in_scope(|| inner.call(request));
            answer.instrument(work).await
        })
    }
}

/// What a call that is turned away is told.
pub fn shed(shed: Shed, class: Class) -> Status {
    metrics::counter!("darwin_calls_shed_total", "class" => class.as_str()).increment(1);
    Fault::new(Code::Exhausted, shed.to_string()).after(shed.after).into()
}
