//! The daemon's log, on standard error: for people, for journald, or one JSON object a line.

use std::io::{self, Write};

use opentelemetry::{Context, trace::TraceContextExt as _};
use tracing::{Event, Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Registry,
    filter::{FilterExt as _, filter_fn},
    fmt::{self, FmtContext, FormatEvent, FormatFields, MakeWriter, format::Writer},
    layer::{Layer as _, SubscriberExt as _},
    registry::LookupSpan,
    reload,
    util::SubscriberInitExt as _,
};

use crate::{
    config::section::{Log, LogFormat},
    telemetry::export::Traces,
};

/// Changes the log's level while the daemon runs.
#[derive(Debug, Clone)]
pub struct Handle(reload::Handle<EnvFilter, Registry>);

/// Starts the log. `journal` is the value of `JOURNAL_STREAM`: with it, and standard error
/// being that stream, lines carry a priority and no time, since journald keeps its own. Spans go
/// to `traces`, and nowhere else.
///
/// # Errors
/// If the level is no filter, or a log was started before.
pub fn start(log: &Log, journal: Option<&str>, traces: Option<&Traces>) -> Result<Handle, String> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let journald = journal.is_some_and(leads_to_stderr);
    let lines = match (log.format, journald) {
        (LogFormat::Json, _) => {
            fmt::layer().json().map_event_format(Placed).with_writer(io::stderr).boxed()
        }
        (LogFormat::Text, true) => fmt::layer()
            .without_time()
            .with_level(false)
            .with_ansi(false)
            .with_writer(Journald)
            .boxed(),
        (LogFormat::Text, false) => {
            let colours = io::IsTerminal::is_terminal(&io::stderr());
            fmt::layer().with_ansi(colours).with_writer(io::stderr).boxed()
        }
    };
    // Where no traces are sent, nobody wants a span, and one costs next to nothing.
    let is_event = |metadata: &Metadata<'_>| metadata.is_event();
    let events = filter_fn(is_event).with_max_level_hint(LevelFilter::TRACE);
    let lines = lines.with_filter(filter.and(events));
    let traces = traces.map(Traces::layer);
    let started = tracing_subscriber::registry().with(lines).with(traces).try_init();
    started.map_err(|error| error.to_string())?;
    Ok(Handle(handle))
}

impl Handle {
    /// Takes another level, or filter, from now on.
    ///
    /// # Errors
    /// If it is none.
    pub fn set(&self, level: &str) -> Result<(), String> {
        self.0.reload(filter(level)?).map_err(|error| error.to_string())
    }
}

/// The filter that `level` means.
///
/// # Errors
/// If it is none: one sentence that names the key.
pub fn filter(level: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(level).map_err(|error| {
        format!("log.level: “{level}” is no filter ({error}); give for example “info”")
    })
}

/// Whether standard error is the stream `device:inode` (systemd.exec(5), `$JOURNAL_STREAM`): a
/// child inherits the variable even where its standard error goes elsewhere.
fn leads_to_stderr(stream: &str) -> bool {
    let Ok(stat) = rustix::fs::fstat(io::stderr()) else { return false };
    stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// Ends a JSON object with the span that it was written in, if there is one.
struct Placed<F>(F);

impl<S, N, F> FormatEvent<S, N> for Placed<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let span = Context::map_current(|cx| cx.span().span_context().clone());
        if !span.is_valid() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let open = line.trim_end().strip_suffix('}').unwrap_or(&line);
        let (trace, span) = (span.trace_id(), span.span_id());
        writeln!(writer, "{open},\"trace_id\":\"{trace}\",\"span_id\":\"{span}\"}}")
    }
}

/// Begins each line with its priority (sd-daemon(3)).
struct Journald;

impl MakeWriter<'_> for Journald {
    type Writer = Prioritized;

    fn make_writer(&self) -> Prioritized {
        Prioritized(b"<6>")
    }

    fn make_writer_for(&self, event: &Metadata<'_>) -> Prioritized {
        Prioritized(match *event.level() {
            Level::ERROR => b"<3>",
            Level::WARN => b"<4>",
            Level::INFO => b"<6>",
            Level::DEBUG | Level::TRACE => b"<7>",
        })
    }
}

/// Writes an event at once, so that no other thread's comes between, each line with its priority.
struct Prioritized(&'static [u8]);

impl Write for Prioritized {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let lines = event.split_inclusive(|byte| *byte == b'\n');
        let text = lines.flat_map(|line| [self.0, line]).collect::<Vec<_>>().concat();
        io::stderr().write_all(&text).map(|()| event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    use super::*;
    use crate::telemetry::context;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_of_a_json_log_name_the_span_that_they_were_written_in() {
        let (lines, trace) = (Lines::default(), TraceId::from(7));
        let writer = lines.clone();
        let json = fmt::layer().json().map_event_format(Placed);
        let json = json.with_writer(move || writer.clone());
        let log = tracing_subscriber::registry().with(json);
        tracing::subscriber::with_default(log, || {
            tracing::info!("outside");
            let (flags, state) = (TraceFlags::SAMPLED, TraceState::NONE);
            let span = SpanContext::new(trace, SpanId::from(9), flags, true, state);
            let _inside = context::within(span).attach();
            tracing::info!(brace = "}", "inside");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let parsed: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids: Vec<_> = parsed.iter().map(|line| (&line["trace_id"], &line["span_id"])).collect();
        let none = serde_json::Value::Null;
        let (trace, span) = (trace.to_string().into(), "0000000000000009".into());
        assert_eq!(ids, [(&none, &none), (&trace, &span)]);
        assert_eq!(parsed[1]["fields"]["brace"], "}");
    }
}
