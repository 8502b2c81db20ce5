//! Calls that are made again where that is safe: a bounded number of times, later each time, within
//! a budget, and not at all while the peer fails too often. One layer for all methods.
//!
//! Safe is what only reads, and what the daemon knows again by its idempotency key: every change but
//! those whose answers are a stream. A call that is made again is sealed anew, with the same key.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Full};
use tonic::{
    Code as Grpc, Status,
    body::Body,
    codegen::http::{HeaderValue, Request, Response, request::Parts},
};
use tonic_types::StatusExt as _;
use tower::Service;
use tracing::Instrument as _;

use crate::{
    code::Code,
    resilience::{
        backoff::Backoff,
        breaker::{Breaker, Settings, State},
        budget::Budget,
    },
    telemetry::{calls, context},
    wire::{
        access::{self, Class},
        envelope::IdempotencyKey,
        fault::Fault,
        methods::{self, Method},
    },
};

/// How often a call goes out at the most.
const ATTEMPTS: u32 = 4;
/// The first wait before it goes out again, and the longest.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// The longest wait that a peer may ask for; after a longer one its caller decides.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a call may take that its caller waits for and that only reads.
const DEADLINE: Duration = Duration::from_secs(30);

/// The time that a call has, in gRPC over HTTP/2's own header.
const TIMEOUT: &str = "grpc-timeout";

/// A transport with care. Clones share what they know of the peer.
#[derive(Debug, Clone)]
pub struct Careful<S> {
    inner: S,
    peer: Arc<Mutex<Peer>>,
}

/// What is known of the peer.
#[derive(Debug, Default)]
struct Peer {
    budget: Budget,
    breakers: HashMap<(&'static str, &'static str), Breaker>,
}

impl<S> Careful<S> {
    /// Around that transport, to one peer.
    pub fn new(inner: S) -> Self {
        Self { inner, peer: Arc::default() }
    }

    /// The transport.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The methods whose breakers are not closed, as `Service/Method`.
    #[must_use]
    pub fn broken(&self) -> Vec<(String, State)> {
        let peer = lock(&self.peer);
        let states = peer
            .breakers
            .iter()
            .map(|((service, name), breaker)| (format!("{service}/{name}"), breaker.state()));
        states.filter(|(_, state)| *state != State::Closed).collect()
    }
}

fn lock(peer: &Mutex<Peer>) -> MutexGuard<'_, Peer> {
    // Whole between any two statements that hold the lock.
    peer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S> Service<Request<Body>> for Careful<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(method) = methods::at(request.uri().path()) else {
            return Box::pin(self.inner.call(request));
        };
        let next = self.inner.clone();
        // The one that was asked whether it is ready.
        let inner = std::mem::replace(&mut self.inner, next);
        let peer = self.peer.clone();
        let span = calls::client(method.service, method.name);
        span.in_scope(|| context::inject(request.headers_mut()));
        let made = Attempts { inner, peer, method }.make(request);
        Box::pin(
            async move {
                let answer = made.await;
                let told = |answer: &Response<Body>| calls::status(answer.headers());
                let code = answer.as_ref().map_or(Some(Grpc::Unavailable), told);
                calls::record(&tracing::Span::current(), code.unwrap_or(Grpc::Ok), false);
                answer
            }
            .instrument(span),
        )
    }
}

/// One call, as often as it goes out.
struct Attempts<S> {
    inner: S,
    peer: Arc<Mutex<Peer>>,
    method: &'static Method,
}

/// How an attempt ended.
enum Outcome {
    /// The peer did what it should, even if it refused the call.
    Well,
    /// The peer failed.
    Failed,
    /// The peer has too much to do, and says when to come again.
    Later(Duration),
}

impl<S> Attempts<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    async fn make(mut self, request: Request<Body>) -> Result<Response<Body>, S::Error> {
        lock(&self.peer).budget.earn();
        if self.method.feeds {
            // A stream of requests can be sent once; whoever makes them asks again.
            if let Err(wait) = self.admit() {
                return Ok(self.broken(wait).into_http());
            }
            let answer = self.once(request).await;
            self.ended(&outcome(&answer));
            return answer;
        }
        let (mut parts, body) = request.into_parts();
        // A request is a single message, made in this process: it does not fail.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes);
        let body = body.unwrap_or_default();
        if self.method.writes && !self.method.streams {
            parts.extensions.get_or_insert_with(|| IdempotencyKey(rand::random()));
        }
        let safe = !self.method.writes || parts.extensions.get::<IdempotencyKey>().is_some();
        bound(&mut parts, self.method);
        let mut backoff = Backoff::new(FIRST, LONGEST);
        let mut attempt = 1;
        loop {
            if let Err(wait) = self.admit() {
                return Ok(self.broken(wait).into_http());
            }
            let body = Body::new(Full::new(body.clone()));
            let answer = self.once(Request::from_parts(parts.clone(), body)).await;
            let outcome = outcome(&answer);
            self.ended(&outcome);
            let wait = match outcome {
                Outcome::Well => return answer,
                Outcome::Later(wait) => wait + backoff.next(rand::random()),
                Outcome::Failed => backoff.next(rand::random()),
            };
            let again = safe && attempt < ATTEMPTS && wait <= PATIENCE + LONGEST;
            if !(again && lock(&self.peer).budget.pay()) {
                return answer;
            }
            attempt += 1;
            tokio::time::sleep(wait).await;
            poll_fn(|cx| self.inner.poll_ready(cx)).await?;
        }
    }

    async fn once(&mut self, request: Request<Body>) -> Result<Response<Body>, S::Error> {
        let mut given_up = GivenUp(Some((&self.peer, self.method)));
        let answer = self.inner.call(request).await;
        given_up.0 = None;
        answer
    }

    fn admit(&self) -> Result<(), Duration> {
        let now = Instant::now();
        let new = || Breaker::new(Settings::default(), now);
        let mut peer = lock(&self.peer);
        let key = (self.method.service, self.method.name);
        let breaker = peer.breakers.entry(key).or_insert_with(new);
        let admitted = breaker.admit(now);
        show(key, breaker);
        admitted
    }

    fn ended(&self, outcome: &Outcome) {
        let key = (self.method.service, self.method.name);
        if let Some(breaker) = lock(&self.peer).breakers.get_mut(&key) {
            let well = !matches!(outcome, Outcome::Failed);
            breaker.ended(well, Instant::now(), rand::random());
            show(key, breaker);
        }
    }

    fn broken(&self, wait: Duration) -> Status {
        let Method { service, name, .. } = self.method;
        let text = format!(
            "{service}/{name} failed too often of late; it is tried again in {} ms, and `darwin \
             status` tells more",
            wait.as_millis()
        );
        Fault::new(Code::Unavailable, text).after(wait).into()
    }
}

/// Shows a breaker to whatever collects this process's metrics.
fn show((service, name): (&str, &str), breaker: &Breaker) {
    let state = match breaker.state() {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    };
    metrics::gauge!("darwin_breaker_state", "method" => format!("/{service}/{name}")).set(state);
}

/// Tells the breaker of an attempt that its caller gave up.
struct GivenUp<'a>(Option<(&'a Mutex<Peer>, &'static Method)>);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        let Some((peer, method)) = self.0 else { return };
        let key = (method.service, method.name);
        if let Some(breaker) = lock(peer).breakers.get_mut(&key) {
            breaker.unknown(Instant::now());
            show(key, breaker);
        }
    }
}

/// Gives a call that somebody waits for a deadline, which the daemon holds to too.
fn bound(parts: &mut Parts, method: &Method) {
    let class = access::class(&format!("/{}/{}", method.service, method.name));
    let waits = class == Some(Class::Interactive) && !method.writes && !method.streams;
    if waits && !parts.headers.contains_key(TIMEOUT) {
        let value = HeaderValue::try_from(format!("{}S", DEADLINE.as_secs()));
        parts.headers.extend(
            value.ok().map(|value| (tonic::codegen::http::HeaderName::from_static(TIMEOUT), value)),
        );
    }
}

fn outcome<E>(answer: &Result<Response<Body>, E>) -> Outcome {
    let Ok(answer) = answer else { return Outcome::Failed };
    // Of an answer that begins well, what comes later is not made again.
    let Some(status) = Status::from_header_map(answer.headers()) else { return Outcome::Well };
    let after = status.get_error_details().retry_info().and_then(|retry| retry.retry_delay);
    match (status.code(), after) {
        (Grpc::ResourceExhausted, Some(after)) => Outcome::Later(after),
        (Grpc::Unavailable | Grpc::DeadlineExceeded, _) => Outcome::Failed,
        _ => Outcome::Well,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;
    use tower::service_fn;

    use super::*;
    use crate::wire::v1::{
        self, operations_client::OperationsClient, rooms_client::RoomsClient,
        runs_client::RunsClient, sessions_client::SessionsClient,
    };

    /// How the fake peer answers, in turn; then well.
    type Script = Arc<Mutex<VecDeque<Status>>>;

    /// A peer that answers by the script, and how many calls it had.
    #[expect(clippy::type_complexity, reason = "a name would say no more")]
    fn peer(
        script: impl IntoIterator<Item = Status>,
    ) -> (
        impl Service<
            Request<Body>,
            Response = Response<Body>,
            Error = tonic::transport::Error,
            Future: Send,
        > + Clone
        + Send
        + 'static,
        Arc<Mutex<Vec<Parts>>>,
    ) {
        let script: Script = Arc::new(Mutex::new(script.into_iter().collect()));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = calls.clone();
        let service = service_fn(move |request: Request<Body>| {
            seen.lock().unwrap().push(request.into_parts().0);
            let status = script.lock().unwrap().pop_front();
            // An empty message, and its end.
            let well = || {
                let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async {
                    let mut trailers = tonic::codegen::http::HeaderMap::new();
                    trailers.insert("grpc-status", HeaderValue::from_static("0"));
                    Some(Ok(trailers))
                });
                let mut answer = Response::new(Body::new(body));
                let grpc = HeaderValue::from_static("application/grpc");
                answer.headers_mut().insert("content-type", grpc);
                answer
            };
            std::future::ready(Ok(status.map_or_else(well, Status::into_http)))
        });
        (service, calls)
    }

    fn unavailable(times: usize) -> Vec<Status> {
        vec![Status::unavailable("gone"); times]
    }

    #[tokio::test(start_paused = true)]
    async fn what_only_reads_is_made_again_a_few_times() {
        for (failures, calls) in [(0, 1), (1, 2), (3, 4), (4, 4)] {
            let (transport, seen) = peer(unavailable(failures));
            let mut client = OperationsClient::new(Careful::new(transport));
            let answer = client.status(v1::StatusRequest {}).await;
            assert_eq!(answer.is_ok(), failures < 4, "{failures}");
            assert_eq!(seen.lock().unwrap().len(), calls);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_made_again_with_the_same_key_and_one_that_streams_is_not() {
        use crate::wire::envelope::Keyed as _;
        let (transport, seen) = peer(unavailable(2));
        let mut runs = RunsClient::new(Careful::new(transport));
        for calls in [3, 4] {
            runs.stop(v1::RunRef { run: "x".to_owned() }).await.unwrap();
            assert_eq!(seen.lock().unwrap().len(), calls);
        }
        let keys: Vec<_> = seen.lock().unwrap().iter().map(key).collect();
        assert!(keys[0].is_some() && keys[0] == keys[1] && keys[1] == keys[2], "{keys:?}");
        assert!(keys[3].is_some() && keys[3] != keys[2], "{keys:?}");

        let (transport, seen) = peer(unavailable(1));
        let mut rooms = RoomsClient::new(Careful::new(transport));
        let failed = rooms.invite(v1::InviteRequest::default()).await.unwrap_err();
        assert_eq!(failed.code(), Grpc::Unavailable);
        assert_eq!(seen.lock().unwrap().len(), 1);

        let (transport, seen) = peer(unavailable(2));
        let mut sessions = SessionsClient::new(Careful::new(transport));
        let session_id = vec![7; 16].into();
        let create = v1::CreateSessionRequest { session_id, ..Default::default() };
        sessions.create(create.keyed()).await.unwrap();
        let keys: Vec<_> = seen.lock().unwrap().iter().map(key).collect();
        assert_eq!(keys, [Some([7; 16]); 3]);
    }

    fn key(parts: &Parts) -> Option<[u8; 16]> {
        parts.extensions.get::<IdempotencyKey>().map(|key| key.0)
    }

    #[tokio::test(start_paused = true)]
    async fn mistakes_of_the_caller_are_not_made_again_and_open_nothing() {
        let mistakes = (0..50).map(|_| Fault::new(Code::NotFound, "no run x").into());
        let (transport, seen) = peer(mistakes);
        let careful = Careful::new(transport);
        let mut client = RunsClient::new(careful.clone());
        for asked in 1..=50 {
            let missing = client.show(v1::RunRef::default()).await.unwrap_err();
            assert_eq!(missing.code(), Grpc::NotFound);
            assert_eq!(seen.lock().unwrap().len(), asked);
        }
        assert_eq!(careful.broken(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_too_much_to_do_is_left_alone_for_as_long_as_it_says() {
        let busy = |ms| Fault::new(Code::Exhausted, "busy").after(Duration::from_millis(ms)).into();
        let (transport, seen) = peer([busy(700)]);
        let mut client = OperationsClient::new(Careful::new(transport));
        let begun = tokio::time::Instant::now();
        client.status(v1::StatusRequest {}).await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
        assert_eq!(seen.lock().unwrap().len(), 2);
        // Longer than anybody waits here: its caller is told.
        let (transport, seen) = peer([busy(60_000)]);
        let mut client = OperationsClient::new(Careful::new(transport));
        let told = Fault::from(client.status(v1::StatusRequest {}).await.unwrap_err());
        assert_eq!((told.code, told.after), (Code::Exhausted, Some(Duration::from_secs(60))));
        assert_eq!(seen.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_method_that_fails_too_often_is_not_called_until_it_works_again() {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _shown = metrics::set_default_local_recorder(&recorder);
        let state = |number| {
            let line = "darwin_breaker_state{method=\"/darwin.v1.Operations/Status\"}";
            recorder.handle().render().contains(&format!("{line} {number}\n"))
        };
        let (transport, seen) = peer(unavailable(20));
        let careful = Careful::new(transport);
        let mut client = OperationsClient::new(careful.clone());
        let mut denied = 0;
        let begun = Instant::now();
        while client.status(v1::StatusRequest {}).await.is_err() {
            denied += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(begun.elapsed() < Duration::from_secs(60));
            // Another method of the same peer is another matter.
            let mut other = RunsClient::new(careful.clone());
            if denied == 5 {
                assert_eq!(careful.broken().len(), 1, "{:?}", careful.broken());
                assert!(state(2), "{}", recorder.handle().render());
                let _ = other.list(v1::ListRunsRequest::default()).await;
            }
        }
        let calls = seen.lock().unwrap().len();
        assert!(denied > 20 && calls < 30, "{denied} times denied, {calls} calls went out");
        assert_eq!(careful.broken(), []);
        assert!(state(0), "{}", recorder.handle().render());
    }

    #[tokio::test(start_paused = true)]
    async fn many_failures_make_few_calls_more() {
        let (transport, seen) = peer(unavailable(100_000));
        let careful = Careful::new(transport);
        // Methods without end would each have a breaker; with one, the budget is what bounds.
        for round in 0..500 {
            lock(&careful.peer).breakers.clear();
            let mut client = OperationsClient::new(careful.clone());
            let _ = client.status(v1::StatusRequest {}).await;
            let calls = seen.lock().unwrap().len();
            assert!(calls as f64 <= f64::from(round + 1) * 1.1 + 10.0, "{calls} in {round}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reads_that_somebody_waits_for_have_a_deadline() {
        let (transport, seen) = peer([]);
        let careful = Careful::new(transport);
        OperationsClient::new(careful.clone()).status(v1::StatusRequest {}).await.unwrap();
        let _ = OperationsClient::new(careful).verify_store(v1::VerifyStoreRequest {}).await;
        let seen = seen.lock().unwrap();
        assert_eq!(seen[0].headers.get(TIMEOUT).unwrap(), "30S");
        assert_eq!(seen[1].headers.get(TIMEOUT), None);
    }
}
