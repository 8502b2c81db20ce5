//! Sends each call over the transport that [`choose`] picks, measures both, and takes the other
//! one where the first fails and that is safe.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Full};
use tonic::{
    Code as Grpc, Status,
    body::Body,
    codegen::http::{Request, Response},
};
use tower::{BoxError, Service};

use crate::{
    resilience::breaker::{Breaker, Settings, State},
    wire::{access, envelope::IdempotencyKey, methods},
};

use super::select::{Measured, Need, Way, choose};

/// The weight of the newest latency in what is remembered.
const NEWEST: f64 = 0.2;
/// One failure is enough to try the other way first for a while.
const SETTINGS: Settings = Settings {
    window: Duration::from_secs(10),
    least: 1,
    share: 0.5,
    first: Duration::from_millis(250),
    longest: Duration::from_secs(5),
};

/// Two transports to one peer, as one. Clones share what was measured.
#[derive(Debug, Clone)]
pub struct Switch<L, H> {
    line: L,
    http2: H,
    seen: Arc<Seen>,
}

/// What was seen of both.
#[derive(Debug)]
struct Seen {
    line: Mutex<Record>,
    http2: Mutex<Record>,
}

#[derive(Debug)]
struct Record {
    breaker: Breaker,
    latency: Option<f64>,
    calls: u64,
}

/// What is shown of a way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Which.
    pub way: Way,
    /// What its breaker does.
    pub state: State,
    /// How long it takes to answer, if a call was made.
    pub latency: Option<Duration>,
    /// How many calls it was given.
    pub calls: u64,
}

impl<L, H> Switch<L, H> {
    /// Of these.
    pub fn new(line: L, http2: H) -> Self {
        let record = || {
            let breaker = Breaker::new(SETTINGS, Instant::now());
            Mutex::new(Record { breaker, latency: None, calls: 0 })
        };
        Self { line, http2, seen: Arc::new(Seen { line: record(), http2: record() }) }
    }

    /// What was seen of both ways.
    #[must_use]
    pub fn report(&self) -> [Report; 2] {
        [Way::Line, Way::Http2].map(|way| {
            let record = self.seen.of(way);
            let latency = record.latency.map(Duration::from_secs_f64);
            Report { way, state: record.breaker.state(), latency, calls: record.calls }
        })
    }
}

impl Seen {
    fn of(&self, way: Way) -> MutexGuard<'_, Record> {
        let record = match way {
            Way::Line => &self.line,
            Way::Http2 => &self.http2,
        };
        // Whole between any two statements that hold the lock.
        record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn measured(&self, way: Way) -> Measured {
        let record = self.of(way);
        let latency = record.latency.map(Duration::from_secs_f64);
        Measured { up: record.breaker.would_admit(Instant::now()), latency }
    }

    fn note(&self, way: Way, well: bool, took: Option<Duration>) {
        let mut record = self.of(way);
        record.breaker.ended(well, Instant::now(), rand::random());
        if let Some(took) = took.filter(|_| well) {
            let took = took.as_secs_f64();
            let before = record.latency.unwrap_or(took);
            record.latency = Some(before + NEWEST * (took - before));
        }
    }
}

impl<L, H> Service<Request<Body>> for Switch<L, H>
where
    L: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    H: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    L::Future: Send,
    H::Future: Send,
    L::Error: Into<BoxError> + Send,
    H::Error: Into<BoxError> + Send,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        // Which one must be ready is only known with the call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut own = self.clone();
        Box::pin(async move { own.send(request).await })
    }
}

impl<L, H> Switch<L, H>
where
    L: Service<Request<Body>, Response = Response<Body>>,
    H: Service<Request<Body>, Response = Response<Body>>,
    L::Error: Into<BoxError>,
    H::Error: Into<BoxError>,
{
    async fn send(&mut self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let path = request.uri().path();
        let (Some(method), Some(class)) = (methods::at(path), access::class(path)) else {
            // None of ours, so nothing that a line carries.
            return through(&mut self.http2, request).await;
        };
        let (parts, body) = request.into_parts();
        let need = parts.extensions.get::<Need>().copied().unwrap_or(Need::Class(class));
        let (line, http2) = (self.seen.measured(Way::Line), self.seen.measured(Way::Http2));
        if method.feeds {
            // A stream of requests goes out once, and takes as long as whoever makes them.
            let way = choose(need, 0, line, http2)[0];
            return self.over(way, Request::from_parts(parts, body), false).await;
        }
        let body = body.collect().await?.to_bytes();
        let ways = choose(need, body.len(), line, http2);
        let safe = !method.writes || parts.extensions.get::<IdempotencyKey>().is_some();
        let mut answer = None;
        for way in ways {
            let body = Body::new(Full::new(body.clone()));
            let next = self.over(way, Request::from_parts(parts.clone(), body), true).await;
            let again = safe && failed(&next);
            answer = Some(next);
            if !again {
                break;
            }
        }
        answer.unwrap_or_else(|| Err("there is no way to the daemon".into()))
    }

    async fn over(
        &mut self,
        way: Way,
        request: Request<Body>,
        timed: bool,
    ) -> Result<Response<Body>, BoxError> {
        // A breaker that is not closed lets one call through now and then: this one.
        let _ = self.seen.of(way).breaker.admit(Instant::now());
        self.seen.of(way).calls += 1;
        let begun = Instant::now();
        let answer = match way {
            Way::Line => through(&mut self.line, request).await,
            Way::Http2 => through(&mut self.http2, request).await,
        };
        self.seen.note(way, !failed(&answer), timed.then(|| begun.elapsed()));
        answer
    }
}

async fn through<S>(service: &mut S, request: Request<Body>) -> Result<Response<Body>, BoxError>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Error: Into<BoxError>,
{
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    service.call(request).await.map_err(Into::into)
}

/// Whether the way failed, as far as it can be told from an answer.
fn failed(answer: &Result<Response<Body>, BoxError>) -> bool {
    let Ok(answer) = answer else { return true };
    let status = Status::from_header_map(answer.headers());
    status.is_some_and(|status| status.code() == Grpc::Unavailable)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use http_body_util::Empty;
    use tower::service_fn;

    use super::*;
    use crate::wire::{
        access::Class,
        v1::{
            self, operations_client::OperationsClient, runs_client::RunsClient,
            sessions_client::SessionsClient,
        },
    };

    /// A transport that can be down, and how many calls it got.
    #[derive(Clone, Default)]
    struct Fake {
        down: Arc<AtomicBool>,
        calls: Arc<AtomicUsize>,
    }

    impl Fake {
        fn transport(
            &self,
        ) -> impl Service<
            Request<Body>,
            Response = Response<Body>,
            Error = BoxError,
            Future: Send,
        > + Clone
        + Send
        + 'static {
            let fake = self.clone();
            service_fn(move |_| {
                fake.calls.fetch_add(1, Ordering::Relaxed);
                let down = fake.down.load(Ordering::Relaxed);
                // `Cancelled` stands for an answer: it comes from whoever is up.
                let status =
                    if down { Status::unavailable("down") } else { Status::cancelled("up") };
                std::future::ready(Ok(status.into_http()))
            })
        }

        fn took(&self) -> usize {
            self.calls.swap(0, Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn what_is_down_is_taken_over_by_the_other() {
        let (line, http2) = (Fake::default(), Fake::default());
        let ways = Switch::new(line.transport(), http2.transport());
        let mut operations = OperationsClient::new(ways.clone());
        let mut runs = RunsClient::new(ways.clone());
        let mut status = async || operations.status(v1::StatusRequest {}).await.unwrap_err().code();
        assert_eq!((status().await, line.took(), http2.took()), (Grpc::Cancelled, 1, 0));

        line.down.store(true, Ordering::Relaxed);
        assert_eq!((status().await, line.took(), http2.took()), (Grpc::Cancelled, 1, 1));
        assert_eq!(ways.report()[0].state, State::Open);
        // Then the other one comes first, ...
        assert_eq!((status().await, line.took(), http2.took()), (Grpc::Cancelled, 0, 1));
        // ... until it is time to look again.
        line.down.store(false, Ordering::Relaxed);
        let begun = Instant::now();
        while line.took() == 0 {
            assert_eq!(status().await, Grpc::Cancelled);
            assert!(begun.elapsed() < Duration::from_secs(5));
        }
        assert_eq!(ways.report()[0].state, State::Closed);

        // A change is not made on the other one, unless whoever asks again asks for the same.
        line.down.store(true, Ordering::Relaxed);
        http2.took();
        let stop = runs.stop(v1::RunRef::default()).await.unwrap_err();
        assert_eq!((stop.code(), http2.took()), (Grpc::Unavailable, 0));
        let (line, http2) = (Fake::default(), Fake::default());
        line.down.store(true, Ordering::Relaxed);
        let mut sessions = SessionsClient::new(Switch::new(line.transport(), http2.transport()));
        let mut create = tonic::Request::new(v1::CreateSessionRequest::default());
        create.extensions_mut().insert(IdempotencyKey([7; 16]));
        assert_eq!(sessions.create(create).await.unwrap_err().code(), Grpc::Cancelled);
        assert_eq!((line.took(), http2.took()), (1, 1));
    }

    #[tokio::test]
    async fn callers_may_say_what_they_need() {
        let (line, http2) = (Fake::default(), Fake::default());
        let mut ways = Switch::new(line.transport(), http2.transport());
        let deadline = Duration::from_millis(20);
        for (need, expected) in [
            (None, (1, 0)),
            (Some(Need::Class(Class::Batch)), (0, 1)),
            (Some(Need::Within { deadline, size: 10 }), (1, 0)),
            (Some(Need::Within { deadline: Duration::from_secs(9), size: 10 }), (0, 1)),
        ] {
            let mut request = Request::new(Body::new(Empty::new()));
            *request.uri_mut() = "/darwin.v1.Runs/Show".parse().unwrap();
            request.extensions_mut().extend(
                need.map(|need| {
                    let mut extensions = tonic::codegen::http::Extensions::new();
                    extensions.insert(need);
                    extensions
                })
                .unwrap_or_default(),
            );
            ways.call(request).await.unwrap();
            assert_eq!((line.took(), http2.took()), expected, "{need:?}");
        }
    }
}
