//! The trace of a command: begun here or by who started `darwin` (`TRACEPARENT`), and sent only
//! where a collector is named.

use std::time::Duration;

use opentelemetry::ContextGuard;
use tracing::Span;
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::telemetry::{context, export::Traces, settings::Settings};

use super::{context::Context, error::Failure};

/// How long a command waits at its end for its spans to be sent.
const FLUSH: Duration = Duration::from_millis(900);

/// The trace of a command, on the thread that runs it.
pub struct Trace {
    traces: Option<Traces>,
    span: Span,
    // What happens from now on is part of the trace that was begun elsewhere.
    _inside: Option<ContextGuard>,
}

impl Trace {
    /// Begins it. What is wrong with the collector is a warning: the command goes on.
    pub fn begin(verb: &'static str, context: &mut Context) -> Self {
        let env = |name: &str| std::env::var(name).ok();
        let inside = context::inherited(&env).map(opentelemetry::Context::attach);
        let settings = context.config(None).ok().map(|loaded| loaded.config.telemetry);
        let settings = settings.map(|it| Settings::resolve(&it, "darwin", &env)).transpose();
        let traces = settings.and_then(|it| it.flatten().map(Traces::start).transpose());
        let traces = traces.unwrap_or_else(|error| {
            context.out.warn(error);
            None
        });
        if let Some(traces) = &traces {
            // It is the only one of this process.
            let _ = tracing_subscriber::registry().with(traces.layer()).try_init();
        }
        let span = tracing::info_span!(
            "darwin",
            otel.name = format_args!("darwin {verb}"),
            otel.status_code = tracing::field::Empty,
            process.exit.code = tracing::field::Empty,
        );
        Self { traces, span, _inside: inside }
    }

    /// The span of the whole command.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Ends it, and sends what is left.
    pub fn end(self, result: &Result<(), Failure>, context: &mut Context) {
        if let Err(failure) = result {
            self.span.record("otel.status_code", "ERROR");
            self.span.record("process.exit.code", failure.exit());
        }
        drop(self.span);
        if let Some(lost) = self.traces.and_then(|traces| traces.end(FLUSH)) {
            context.out.warn(format_args!("the trace of this command may be lost: {lost}"));
        }
    }
}
