//! Both layers against each other, with somebody between them.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use tonic::{
    body::Body,
    codegen::http::{self, HeaderValue, header::CONTENT_TYPE},
};
use tower::{Layer as _, Service as _};

use super::*;
use crate::{
    link::{
        line::tests::echo::Echo,
        sealing::{ENVELOPES, Sealed},
        session::Session,
    },
    wire::{
        envelope::IdempotencyKey,
        methods::METHODS,
        v1::{
            lineage_client::LineageClient, lineage_server::LineageServer,
            operations_client::OperationsClient, rooms_server::RoomsServer,
            runs_client::RunsClient, runs_server::RunsServer,
        },
    },
};

mod errors;
mod feeds;

type Frames = Vec<Frame<Bytes>>;
type Change = Arc<dyn Fn(&mut Frames) + Send + Sync>;
type Headers = Arc<dyn Fn(&mut http::HeaderMap) + Send + Sync>;

/// A daemon's service, its client, and who sits between them.
#[derive(Clone)]
struct Line {
    session: Arc<ArcSwapOption<Session>>,
    theirs: Arc<Session>,
    plain_reads: bool,
    content_type: Option<HeaderValue>,
    request: Change,
    answer: Change,
    /// What happens to the headers or trailers that tell an error.
    errors: Headers,
    /// The request bodies that went by.
    seen: Arc<Mutex<Vec<Bytes>>>,
    /// How many changes the service made.
    made: Arc<AtomicU64>,
    echo: Echo,
}

#[derive(Clone)]
struct Darwin {
    made: Arc<AtomicU64>,
}

fn line() -> Line {
    let (ours, theirs) = Session::pair();
    let none: Change = Arc::new(|_| {});
    Line {
        session: Arc::new(ArcSwapOption::new(Some(ours))),
        theirs,
        plain_reads: false,
        content_type: None,
        request: none.clone(),
        answer: none,
        errors: Arc::new(|_| {}),
        seen: Arc::default(),
        made: Arc::default(),
        echo: Echo::default(),
    }
}

fn body(frames: Frames) -> Body {
    Body::new(StreamBody::new(tokio_stream::iter(frames.into_iter().map(Ok::<_, Infallible>))))
}

async fn frames(mut body: Body) -> Result<Frames, Status> {
    let mut frames = Vec::new();
    while let Some(frame) = body.frame().await {
        frames.push(frame?);
    }
    Ok(frames)
}

/// Changes the bytes of a body.
fn bytes(change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Change {
    Arc::new(move |frames| {
        let trailers: Vec<_> = frames.extract_if(.., |frame| frame.is_trailers()).collect();
        let data = frames.drain(..).filter_map(|frame| frame.into_data().ok());
        let mut whole = data.collect::<Vec<_>>().concat();
        change(&mut whole);
        *frames = [Frame::data(whole.into())].into_iter().chain(trailers).collect();
    })
}

impl tower::Service<http::Request<Body>> for Line {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let line = self.clone();
        Box::pin(async move {
            let (mut parts, sent) = request.into_parts();
            let sent = match frames(sent).await {
                Ok(mut sent) => {
                    (line.request)(&mut sent);
                    sent
                }
                Err(status) => return Ok(status.into_http()),
            };
            let whole: Vec<_> = sent.iter().filter_map(Frame::data_ref).cloned().collect();
            line.seen.lock().unwrap().push(whole.concat().into());
            if let Some(content_type) = line.content_type {
                parts.headers.insert(CONTENT_TYPE, content_type);
            }
            let address = SocketAddr::from(([127, 0, 0, 1], 1));
            let session = line.theirs.clone();
            parts.extensions.insert(Peer { address, user: "ada".into(), role: None, session });
            let service = Darwin { made: line.made.clone() };
            let calls = Calls::default();
            calls.may_end.notify_one();
            let routes = Routes::new(RunsServer::new(service.clone()))
                .add_service(RoomsServer::new(line.echo.clone()))
                .add_service(LineageServer::new(service))
                .add_service(OperationsServer::new(Operations(calls)))
                .prepare();
            let mut service = Envelopes { plain_reads: line.plain_reads }.layer(routes);
            let answer = service.call(http::Request::from_parts(parts, body(sent))).await?;
            let (mut parts, given) = answer.into_parts();
            let failed = |headers: &http::HeaderMap| {
                headers.get("grpc-status").is_some_and(|status| status != "0")
            };
            if failed(&parts.headers) {
                (line.errors)(&mut parts.headers);
            }
            match frames(given).await {
                Ok(mut given) => {
                    let trailers = given.iter_mut().filter_map(Frame::trailers_mut);
                    trailers.filter(|trailers| failed(trailers)).for_each(&*line.errors);
                    (line.answer)(&mut given);
                    Ok(http::Response::from_parts(parts, body(given)))
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}

impl Line {
    fn sealed(&self) -> Sealed<Self> {
        Sealed::new(self.clone(), self.session.clone())
    }

    async fn start(&self) -> Result<v1::Run, Fault> {
        let run_id = vec![7; 16].into();
        let request = v1::StartRequest { run_id, ..Default::default() };
        let answer = RunsClient::new(self.sealed()).start(request).await;
        Ok(answer.map_err(Fault::from)?.into_inner())
    }

    async fn export(&self, chunks: &str) -> Result<Vec<Bytes>, Fault> {
        let request = v1::ExportRequest { agent: chunks.to_owned(), disclose: false };
        let mut stream =
            LineageClient::new(self.sealed()).export(request).await.map_err(Fault::from)?;
        let mut out = Vec::new();
        while let Some(chunk) = stream.get_mut().message().await.map_err(Fault::from)? {
            out.push(chunk.data);
        }
        Ok(out)
    }

    fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }
}

#[tonic::async_trait]
impl v1::runs_server::Runs for Darwin {
    async fn start(&self, request: Request<v1::StartRequest>) -> Result<Response<v1::Run>, Status> {
        self.made.fetch_add(1, Ordering::Relaxed);
        assert!(request.extensions().get::<IdempotencyKey>().is_some());
        let id = request.into_inner().run_id;
        Ok(Response::new(v1::Run { id, name: "x".repeat(5000), ..Default::default() }))
    }
    async fn list(
        &self,
        _: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        Ok(Response::new(v1::ListRunsResponse::default()))
    }
    async fn show(&self, request: Request<v1::RunRef>) -> Result<Response<v1::Run>, Status> {
        Ok(Response::new(v1::Run { name: request.into_inner().run, ..Default::default() }))
    }
    async fn stop(&self, _: Request<v1::RunRef>) -> Result<Response<v1::Run>, Status> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Response::new(v1::Run::default()))
    }
    type WatchStream = tokio_stream::Empty<Result<v1::Progress, Status>>;
    async fn watch(&self, _: Request<v1::RunRef>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn kill(&self, _: Request<v1::RunRef>) -> Result<Response<v1::Run>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn rollback(&self, _: Request<v1::RollbackRequest>) -> Result<Response<v1::Run>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn resume(&self, _: Request<v1::ResumeRequest>) -> Result<Response<v1::Run>, Status> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(Response::new(v1::Run::default()))
    }
}

/// `Export` gives as many chunks as it is asked for, and then an error if it is asked for one.
#[tonic::async_trait]
impl v1::lineage_server::Lineage for Darwin {
    type ExportStream = Pin<Box<dyn futures_util::Stream<Item = Result<v1::Chunk, Status>> + Send>>;

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let asked = request.into_inner().agent;
        let (count, fails) = (asked.trim_end_matches('!'), asked.ends_with('!'));
        let chunk = |n: u8| Ok(v1::Chunk { data: vec![n; 2000].into() });
        let mut chunks: Vec<_> = (0..count.parse().unwrap_or(0)).map(chunk).collect();
        if fails {
            chunks.push(Err(Fault::new(Code::Corrupt, "the segment is damaged").into()));
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(chunks))))
    }
    async fn tree(&self, _: Request<v1::PageRequest>) -> Result<Response<v1::AgentPage>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn ancestors(
        &self,
        _: Request<v1::PageRequest>,
    ) -> Result<Response<v1::AgentPage>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn descendants(
        &self,
        _: Request<v1::PageRequest>,
    ) -> Result<Response<v1::AgentPage>, Status> {
        Err(Status::unimplemented(""))
    }
    async fn verify(
        &self,
        _: Request<v1::AgentRef>,
    ) -> Result<Response<v1::VerifyResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tokio::test]
async fn calls_and_streams_come_through() {
    let line = line();
    let run = line.start().await.unwrap();
    assert_eq!((run.id.as_ref(), run.name.len()), ([7; 16].as_slice(), 5000));
    for count in [0, 1, 5] {
        let chunks = line.export(&count.to_string()).await.unwrap();
        assert_eq!(chunks.len(), count);
        assert!(chunks.iter().enumerate().all(|(n, chunk)| chunk == &vec![n as u8; 2000]));
    }
    let fault = line.export("2!").await.unwrap_err();
    assert_eq!(fault, Fault::new(Code::Corrupt, "the segment is damaged"));
    // What the service refuses is told as it is.
    let mut operations = OperationsClient::new(line.sealed());
    let refusal = operations.verify_store(v1::VerifyStoreRequest {}).await.unwrap_err();
    assert_eq!(Fault::from(refusal).code(), Code::Sandbox);
}

#[tokio::test]
async fn answers_are_compressed_where_it_pays() {
    let line = Line {
        answer: bytes(|whole| assert!(whole[0] == 1 && whole.len() < 1000, "{}", whole.len())),
        ..line()
    };
    assert_eq!(line.start().await.unwrap().name.len(), 5000);
}

#[tokio::test]
async fn a_request_that_was_touched_never_reaches_the_service() {
    for at in 0..400 {
        let request = bytes(move |whole| {
            let at = 5 + at % (whole.len() - 5);
            whole[at] ^= 1 << (at % 8);
        });
        let line = Line { request, ..line() };
        let fault = line.start().await.unwrap_err();
        assert_eq!((fault.code(), line.made()), (Code::Corrupt, 0), "{at}: {fault}");
    }
    // Left out, cut, or followed by another.
    let cuts: [Change; 3] = [
        bytes(Vec::clear),
        bytes(|whole| whole.truncate(60)),
        bytes(|whole| whole.extend(whole.clone())),
    ];
    for request in cuts {
        let line = Line { request, ..line() };
        let fault = line.start().await.unwrap_err();
        assert!(matches!(fault.code(), Code::Corrupt | Code::Denied), "{fault}");
        assert_eq!(line.made(), 0);
    }
}

#[tokio::test]
async fn an_answer_that_was_touched_is_none() {
    for at in 0..400 {
        let answer = bytes(move |whole| {
            let at = 5 + at % (whole.len() - 5);
            whole[at] ^= 1 << (at % 8);
        });
        let line = Line { answer, ..line() };
        let fault = line.start().await.unwrap_err();
        assert_eq!(fault.code(), Code::Corrupt, "{at}: {fault}");
    }
}

/// The messages in a body, each with its prefix.
fn split(whole: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut out) = (whole, Vec::new());
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[1..5].try_into().unwrap()) as usize;
        out.push(rest[..5 + length].to_vec());
        rest = &rest[5 + length..];
    }
    out
}

type Edit = fn(&mut Vec<Vec<u8>>);

/// What somebody between both ends may do to the messages of a stream.
const EDITS: [(&str, Edit); 6] = [
    ("without its end", |messages| {
        messages.pop();
    }),
    ("cut in the middle", |messages| messages.truncate(2)),
    ("empty", Vec::clear),
    ("reordered", |messages| messages.swap(1, 2)),
    ("with one left out", |messages| {
        messages.remove(1);
    }),
    ("with one twice", |messages| messages.insert(1, messages[1].clone())),
];

#[tokio::test]
async fn a_stream_that_is_cut_reordered_or_continued_is_an_error() {
    for (how, edit) in EDITS {
        let answer = bytes(move |whole| {
            let mut messages = split(whole);
            assert_eq!(messages.len(), 6, "five, and the end");
            edit(&mut messages);
            *whole = messages.concat();
        });
        let fault = Line { answer, ..line() }.export("5").await.unwrap_err();
        assert_eq!(fault.code(), Code::Corrupt, "{how}: {fault}");
    }
    // Cut with its trailers, as when a connection ends.
    let answer: Change = Arc::new(|frames| frames.truncate(2));
    assert!(Line { answer, ..line() }.export("5").await.is_err());
}

#[tokio::test]
async fn a_replay_is_refused() {
    let first = line();
    first.start().await.unwrap();
    let recorded = first.seen.lock().unwrap()[0].clone();
    let replay = move |line: Line| {
        let recorded = recorded.clone();
        let request = bytes(move |whole| *whole = recorded.to_vec());
        async move {
            let line = Line { request, ..line };
            (line.start().await.unwrap_err(), line.made())
        }
    };
    let (fault, made) = replay(first).await;
    assert_eq!((fault.code(), made), (Code::Denied, 1), "{fault}");
    assert!(fault.message.contains("came before"), "{fault}");
}

#[tokio::test]
async fn a_request_for_one_method_is_none_for_another() {
    let line = line();
    let mut runs = RunsClient::new(line.sealed());
    runs.show(v1::RunRef { run: "0198".to_owned() }).await.unwrap();
    let shown = line.seen.lock().unwrap()[0].clone();
    // On another connection with the same keys, as nothing else may refuse it.
    let request = bytes(move |whole| *whole = shown.to_vec());
    let line = Line { request, ..self::line() };
    let mut runs = RunsClient::new(line.sealed());
    let refused = runs.stop(v1::RunRef::default()).await.unwrap_err();
    let fault = Fault::from(refused);
    assert_eq!((fault.code(), line.made()), (Code::Denied, 0), "{fault}");
    assert!(fault.message.contains("another method"), "{fault}");
}

#[tokio::test]
async fn answers_to_other_calls_are_refused() {
    let line = line();
    let others: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let kept = others.clone();
    let answer = bytes(move |whole| {
        let mut kept = kept.lock().unwrap();
        match &*kept {
            Some(other) => whole.clone_from(other),
            None => *kept = Some(whole.clone()),
        }
    });
    let line = Line { answer, ..line };
    line.start().await.unwrap();
    let fault = line.start().await.unwrap_err();
    assert_eq!(fault.code(), Code::Denied, "{fault}");
    assert!(fault.message.contains("does not answer"), "{fault}");
    assert_eq!(others.lock().unwrap().iter().len(), 1);
}

/// Calls without the client's layer, as another gRPC client makes them.
async fn plainly(line: &Line, path: &'static str, content_type: &'static str) -> tonic::Code {
    let request = http::Request::post(format!("http://darwind{path}"))
        .header(CONTENT_TYPE, content_type)
        .body(body(vec![Frame::data(vec![0; 5].into())]))
        .unwrap();
    let (parts, given) = line.clone().call(request).await.unwrap().into_parts();
    let given = frames(given).await.unwrap();
    let trailers = given.iter().find_map(Frame::trailers_ref);
    let status = parts.headers.get("grpc-status").or(trailers.and_then(|it| it.get("grpc-status")));
    assert_ne!(parts.headers.get(CONTENT_TYPE), Some(&ENVELOPES));
    tonic::Code::from_bytes(status.unwrap().as_bytes())
}

#[tokio::test]
async fn no_write_and_only_if_allowed_a_read_is_taken_without_an_envelope() {
    let closed = line();
    let open = Line { plain_reads: true, ..line() };
    let mut asked = BTreeSet::new();
    for method in METHODS {
        let path = format!("/{}/{}", method.service, method.name).leak() as &str;
        for content_type in ["application/grpc", "application/grpc+proto", "text/plain", ""] {
            assert_eq!(plainly(&closed, path, content_type).await, tonic::Code::PermissionDenied);
        }
        let code = plainly(&open, path, "application/grpc").await;
        assert_eq!(code == tonic::Code::PermissionDenied, method.writes, "{path}");
        asked.insert(path);
    }
    assert_eq!(asked.len(), METHODS.len());
    assert_eq!((open.made(), closed.made()), (0, 0));
    assert_eq!(plainly(&open, "/darwin.v1.Runs/Show", "application/grpc").await, tonic::Code::Ok);
    // What claims to be an envelope has to be one.
    let claimed = plainly(&open, "/darwin.v1.Runs/Show", "application/grpc+envelope").await;
    assert_eq!(claimed, tonic::Code::DataLoss);
    assert_eq!(
        plainly(&open, "/darwin.v1.Runs/Nap", "application/grpc").await,
        tonic::Code::Unimplemented
    );
}

#[tokio::test]
async fn a_stripped_envelope_is_refused_on_both_ways() {
    let content_type = Some(HeaderValue::from_static("application/grpc"));
    let stripped = Line { content_type, ..line() };
    let fault = stripped.start().await.unwrap_err();
    assert_eq!((fault.code(), stripped.made()), (Code::Denied, 0), "{fault}");
    // The daemon takes it for a plain call, of an empty message, and answers so.
    let read = Line { plain_reads: true, ..stripped };
    let mut operations = OperationsClient::new(read.sealed());
    let fault = Fault::from(operations.status(v1::StatusRequest {}).await.unwrap_err());
    assert_eq!(fault.code(), Code::Denied, "{fault}");
}
