//! The admin port, plain HTTP on loopback: `/livez`, `/readyz`, `/metrics`.

use std::{
    convert::Infallible,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CACHE_CONTROL, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Semaphore};

use crate::resilience::deadline::within;

/// Connections at once.
const CONNECTIONS: usize = 16;
/// The time for one request and its answer.
const REQUEST: Duration = Duration::from_secs(10);
/// The pause after a connection that could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Where the daemon is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Opening its stores.
    Starting,
    /// At work.
    Ready,
    /// Ending.
    Draining,
}

/// Says why the daemon can't do its work at the moment, if it can't.
pub type Trouble = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// What the admin port tells.
pub struct Vitals {
    phase: AtomicU8,
    started: Instant,
    trouble: OnceLock<Trouble>,
    metrics: PrometheusHandle,
}

impl Vitals {
    /// Of a daemon that starts now.
    #[must_use]
    pub fn new(metrics: PrometheusHandle) -> Self {
        let phase = AtomicU8::new(Phase::Starting as u8);
        Self { phase, started: Instant::now(), trouble: OnceLock::new(), metrics }
    }

    /// Asks `trouble` from now on whether the daemon is ready.
    pub fn watch(&self, trouble: Trouble) {
        // Only the first one counts; there is only one.
        let _ = self.trouble.set(trouble);
    }

    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// For how long the daemon has been up.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn answer(&self, path: &str) -> (StatusCode, &'static str, String) {
        const TEXT: &str = "text/plain; charset=utf-8";
        match path {
            "/livez" => (StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => match self.unready() {
                None => (StatusCode::OK, TEXT, "ok\n".to_owned()),
                Some(why) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n")),
            },
            "/metrics" => {
                self.measure();
                self.metrics.run_upkeep();
                (StatusCode::OK, "text/plain; version=0.0.4", self.metrics.render())
            }
            _ => {
                let known = "there are /livez, /readyz and /metrics\n".to_owned();
                (StatusCode::NOT_FOUND, TEXT, known)
            }
        }
    }

    /// Why it is not ready, if it isn't.
    fn unready(&self) -> Option<String> {
        let phase = self.phase.load(Ordering::Acquire);
        if phase == Phase::Starting as u8 {
            Some("starting".to_owned())
        } else if phase == Phase::Draining as u8 {
            Some("draining".to_owned())
        } else {
            self.trouble.get().and_then(|trouble| trouble())
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
    fn measure(&self) {
        metrics::gauge!("darwin_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        metrics::gauge!("darwin_uptime_seconds").set(self.uptime().as_secs_f64());
        metrics::gauge!("process_resident_memory_bytes").set(resident_bytes() as f64);
    }
}

/// The daemon's resident memory, in bytes; 0 where the system doesn't tell.
#[must_use]
pub fn resident_bytes() -> u64 {
    // proc_pid_status(5), in KiB.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Answers until it is dropped.
///
/// # Errors
/// Never, as long as it holds its places.
pub async fn serve(listener: Arc<TcpListener>, vitals: Arc<Vitals>) -> Result<(), String> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let place = places.clone().acquire_owned().await.map_err(|error| error.to_string())?;
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "can't accept a connection on the admin port");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let vitals = vitals.clone();
        tasks.spawn(async move {
            let _place = place;
            let service = service_fn(move |request| {
                let answer = respond(&request, &vitals);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .keep_alive(false)
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever asks and doesn't wait for the answer has his own reasons.
            let _ = within(REQUEST, "an admin request", connection).await;
        });
    }
}

fn respond(request: &Request<Incoming>, vitals: &Vitals) -> Response<Full<Bytes>> {
    let (status, kind, body) = match *request.method() {
        Method::GET | Method::HEAD => vitals.answer(request.uri().path()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".to_owned()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
    };

    use std::sync::atomic::AtomicBool;

    use super::*;

    #[tokio::test]
    async fn health_follows_the_phase_and_other_paths_are_unknown() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let vitals = Arc::new(Vitals::new(recorder.handle()));
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, vitals.clone()));
        let get = async |line: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream
                .write_all(format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
                .await
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer.lines().next().unwrap().split(' ').nth(1).unwrap().to_owned()
        };
        assert_eq!(get("GET /livez").await, "200");
        assert_eq!(get("GET /readyz").await, "503");
        vitals.enter(Phase::Ready);
        assert_eq!(get("GET /readyz").await, "200");
        assert_eq!(get("GET /metrics").await, "200");
        let full = Arc::new(AtomicBool::new(true));
        let disk = full.clone();
        vitals.watch(Box::new(move || {
            disk.load(Ordering::Relaxed).then(|| "the disk is full".to_owned())
        }));
        assert_eq!(get("GET /readyz").await, "503");
        assert_eq!(get("GET /livez").await, "200");
        full.store(false, Ordering::Relaxed);
        assert_eq!(get("GET /readyz").await, "200");
        vitals.enter(Phase::Draining);
        assert_eq!(get("GET /readyz").await, "503");
        assert_eq!(get("GET /").await, "404");
        assert_eq!(get("POST /livez").await, "405");
        server.abort();
    }
}
