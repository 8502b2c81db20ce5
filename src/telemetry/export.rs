//! Sends spans to a collector: from a queue of bounded length, on threads of its own, so that no
//! call ever waits for it. What finds no room, or is not taken in time, is lost.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId, TracerProvider as _},
};
use opentelemetry_otlp::{WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{Sampler, SamplingResult, SdkTracerProvider, ShouldSample, SpanData, SpanExporter},
};
use tokio::runtime::{Builder, Handle, Runtime};
use tonic::{
    codegen::http::{HeaderMap, HeaderName, HeaderValue},
    metadata::MetadataMap,
    transport::{Certificate, ClientTlsConfig},
};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use super::{error::TelemetryError, settings::Settings};

/// How often a failure is told at the most.
const TELL: Duration = Duration::from_mins(1);
/// The longest part of a collector's complaint that is told, in bytes.
const REASON: usize = 200;
/// What the spans of this program begin with.
const OWN: &str = "darwin";

/// Where spans go.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    runtime: Mutex<Option<Runtime>>,
    share: Share,
    trouble: Arc<Mutex<Trouble>>,
}

impl Traces {
    /// Starts to send what [`Traces::layer`] sees.
    ///
    /// # Errors
    /// If the collector's address can't be one; whether somebody is there shows later.
    pub fn start(settings: Settings) -> Result<Self, TelemetryError> {
        let mut threads = Builder::new_multi_thread();
        let runtime = threads.worker_threads(1).thread_name("traces").enable_all().build()?;
        let entered = runtime.enter();
        let endpoint = settings.endpoint.clone();
        let wrong = |reason: String| TelemetryError::Endpoint { endpoint, reason };
        let mut exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(settings.endpoint)
            .with_timeout(settings.timeout)
            .with_metadata(metadata(settings.headers));
        if let Some(authorities) = settings.authorities {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities));
            exporter = exporter.with_tls_config(tls);
        }
        let inner = Arc::new(exporter.build().map_err(|error| wrong(error.to_string()))?);
        let trouble = Arc::default();
        let told = Told {
            inner,
            runtime: runtime.handle().clone(),
            timeout: settings.timeout,
            trouble: Arc::clone(&trouble),
        };
        let share = Share(Arc::new(AtomicU64::new(settings.share.unwrap_or(1.0).to_bits())));
        let mut resource = Resource::builder().with_attributes(
            settings.attributes.into_iter().map(|(name, value)| KeyValue::new(name, value)),
        );
        if let Some(service) = settings.service {
            resource = resource.with_service_name(service);
        }
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = resource.with_attribute(version).build();
        let mut provider =
            SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(told);
        if settings.share.is_some() {
            provider = provider.with_sampler(Sampler::ParentBased(Box::new(share.clone())));
        }
        let provider = provider.build();
        drop(entered);
        Ok(Self { provider, runtime: Mutex::new(Some(runtime)), share, trouble })
    }

    /// What takes this program's spans from [`tracing`]; its events, and what libraries say, it
    /// leaves alone.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let own = filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with(OWN))
            .with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(OWN))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(own)
    }

    /// Keeps another share of the traces that begin from now on, from 0 to 1.
    pub fn keep(&self, share: f64) {
        self.share.0.store(share.to_bits(), Ordering::Relaxed);
    }

    /// Sends what is left, within that time, and ends; why spans were lost, if some were.
    pub fn end(&self, within: Duration) -> Option<String> {
        let flushed = self.provider.shutdown_with_timeout(within);
        // Not dropped: that would wait for what blocks, as the look-up of a name may.
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_background();
        }
        let lost = lock(&self.trouble).reason.take();
        lost.or_else(|| Some(flushed.err()?.to_string()))
    }
}

fn metadata(headers: Vec<(String, String)>) -> MetadataMap {
    let pair = |(name, value): (String, String)| {
        let mut value = HeaderValue::try_from(value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    };
    MetadataMap::from_headers(headers.into_iter().filter_map(pair).collect::<HeaderMap>())
}

/// Keeps a share of the traces that begin here; which share can be changed.
#[derive(Debug, Clone)]
struct Share(Arc<AtomicU64>);

impl ShouldSample for Share {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let share = f64::from_bits(self.0.load(Ordering::Relaxed));
        let sampler = Sampler::TraceIdRatioBased(share);
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// What is wrong with the collector, and when that was told.
#[derive(Debug, Default)]
struct Trouble {
    told: Option<Instant>,
    reason: Option<String>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between any two statements that hold the lock.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends spans, and tells when that fails: once, and again after a while.
#[derive(Debug)]
struct Told {
    inner: Arc<opentelemetry_otlp::SpanExporter>,
    runtime: Handle,
    timeout: Duration,
    trouble: Arc<Mutex<Trouble>>,
}

impl SpanExporter for Told {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let (inner, timeout, count) = (self.inner.clone(), self.timeout, batch.len() as u64);
        // On a thread that knows timers: the one that calls here does not.
        let sent = self.runtime.spawn(async move {
            let sent = tokio::time::timeout(timeout, inner.export(batch)).await;
            sent.unwrap_or(Err(OTelSdkError::Timeout(timeout)))
        });
        let ended =
            |error: tokio::task::JoinError| OTelSdkError::InternalFailure(error.to_string());
        let sent = sent.await.unwrap_or_else(|error| Err(ended(error)));
        let result = if sent.is_ok() { "sent" } else { "lost" };
        metrics::counter!("darwin_spans_total", "result" => result).increment(count);
        self.note(&sent);
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Nobody else has it yet.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}

impl Told {
    fn note(&self, sent: &OTelSdkResult) {
        let mut trouble = lock(&self.trouble);
        match sent {
            Ok(()) => {
                if trouble.reason.take().is_some() {
                    tracing::info!("traces are sent again");
                }
            }
            Err(error) => {
                let mut reason = error.to_string();
                reason.truncate(reason.floor_char_boundary(REASON));
                if trouble.told.is_none_or(|told| told.elapsed() >= TELL) {
                    trouble.told = Some(Instant::now());
                    tracing::warn!(reason, "traces can't be sent and are lost");
                }
                trouble.reason = Some(reason);
            }
        }
    }
}
