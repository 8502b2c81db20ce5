//! The spans of calls, as OpenTelemetry's conventions for RPC want them. Ids and names of methods
//! stand in them, and nothing of what is sent.

use tonic::{
    Code,
    codegen::http::{HeaderMap, HeaderValue},
};
use tracing::{Span, field::Empty, info_span};

/// The span of a call that this program makes.
#[must_use]
pub fn client(service: &str, method: &str) -> Span {
    info_span!(
        "call",
        otel.name = format_args!("{service}/{method}"),
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
        "error.type" = Empty,
    )
}

/// The span of a call that this program answers; `protocol` is `http` or `websocket`.
#[must_use]
pub fn server(service: &str, method: &str, protocol: &str) -> Span {
    info_span!(
        parent: None,
        "call",
        otel.name = format_args!("{service}/{method}"),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
        network.transport = "tcp",
        network.protocol.name = protocol,
        client.address = Empty,
        client.port = Empty,
        "error.type" = Empty,
    )
}

/// The status that these headers or trailers tell, if they tell one.
#[must_use]
pub fn status(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(HeaderValue::as_bytes).map(Code::from_bytes)
}

/// The name of a status, as gRPC writes it.
#[must_use]
pub fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Notes how a call ended. A server's span is an error only if the server failed.
pub fn record(span: &Span, code: Code, server: bool) {
    span.record("rpc.grpc.status_code", code as i32);
    let own = matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    if code != Code::Ok && (own || !server) {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", name(code));
    }
}
