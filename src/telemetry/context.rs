//! The trace that a message is part of, as W3C's headers carry it: `traceparent`, `tracestate`.
//! They ride outside the signature, so they are good for following a message and for nothing else.

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The variables by which a program that starts another hands its trace on.
const VARIABLES: [(&str, &str); 2] = [("traceparent", "TRACEPARENT"), ("tracestate", "TRACESTATE")];

/// The span that this code runs in; one that is not valid, if there is none.
#[must_use]
pub fn here() -> SpanContext {
    let own = tracing::Span::current().context();
    let own = own.span().span_context().clone();
    // Without an exporter there are no spans, but perhaps a trace that was begun elsewhere.
    if own.is_valid() { own } else { Context::map_current(|cx| cx.span().span_context().clone()) }
}

/// A context in which `span` is the parent, and nothing is held of it.
#[must_use]
pub fn within(span: SpanContext) -> Context {
    Context::new().with_remote_span_context(span)
}

/// Tells with a message which span it comes from, if it comes from any.
pub fn inject(headers: &mut HeaderMap) {
    let here = here();
    if here.is_valid() {
        let into = &mut Headers(headers);
        TraceContextPropagator::new().inject_context(&within(here), into);
    }
}

/// The span that a message comes from, if it says so and what it says has W3C's form.
#[must_use]
pub fn extract(headers: &HeaderMap) -> Option<Context> {
    let parent = headers.get("traceparent")?.to_str().ok()?;
    has_form(parent).then(|| found(&Read(headers)))?
}

/// The span of the program that started this one, by its environment.
#[must_use]
pub fn inherited(env: &dyn Fn(&str) -> Option<String>) -> Option<Context> {
    let mut headers = HeaderMap::new();
    for (header, variable) in VARIABLES {
        let value = env(variable).and_then(|value| HeaderValue::try_from(value).ok());
        headers.extend(value.map(|value| (HeaderName::from_static(header), value)));
    }
    extract(&headers)
}

/// Whether it has W3C's form: the library takes ids that are too short as well.
fn has_form(parent: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts: Vec<_> = parent.splitn(5, '-').collect();
    let lengths: Vec<_> = parts.iter().map(|part| part.len()).collect();
    // A later version may say more behind these.
    let known =
        lengths == [2, 32, 16, 2] || (lengths.starts_with(&[2, 32, 16, 2]) && parts[0] != "00");
    known && parts[..4].iter().all(|part| hex(part)) && parts[0] != "ff"
}

fn found(carrier: &dyn Extractor) -> Option<Context> {
    let cx = TraceContextPropagator::new().extract_with_context(&Context::new(), carrier);
    let valid = cx.span().span_context().is_valid();
    valid.then_some(cx)
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::try_from(key).ok();
        // An empty `tracestate` says nothing.
        let value = HeaderValue::try_from(value).ok().filter(|value| !value.is_empty());
        self.0.extend(name.zip(value));
    }
}

struct Read<'a>(&'a HeaderMap);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_that_was_begun_elsewhere_goes_on_with_a_message() {
        let env = |name: &str| (name == "TRACEPARENT").then(|| PARENT.to_owned());
        let _inside = inherited(&env).unwrap().attach();
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert_eq!(headers.get("traceparent").unwrap(), PARENT);
        assert_eq!(headers.get("tracestate"), None);
        let span = extract(&headers).unwrap().span().span_context().clone();
        assert_eq!(span.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(span.is_sampled() && span.is_remote());
    }

    #[test]
    fn without_a_trace_nothing_is_told() {
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        assert!(headers.is_empty());
        assert!(!here().is_valid());
    }

    #[test]
    fn what_is_no_traceparent_is_ignored() {
        let zeros = "00-00000000000000000000000000000000-0000000000000000-01";
        for wrong in [
            "",
            "rubbish",
            "00-4bf92f-00f0-01",
            &PARENT.to_uppercase(),
            zeros,
            &PARENT[..54],
            &"0".repeat(9000),
        ] {
            let headers = HeaderMap::from_iter([(
                HeaderName::from_static("traceparent"),
                HeaderValue::try_from(wrong).unwrap(),
            )]);
            assert!(extract(&headers).is_none(), "{wrong}");
            assert!(inherited(&|_| Some(wrong.to_owned())).is_none(), "{wrong}");
        }
    }
}
