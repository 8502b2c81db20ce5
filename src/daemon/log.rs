//! The daemon's log, on standard error: for people, for journald, or one JSON object a line.

use std::io::{self, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Registry,
    fmt::{self, MakeWriter},
    layer::{Layer as _, SubscriberExt as _},
    reload,
    util::SubscriberInitExt as _,
};

use crate::config::section::{Log, LogFormat};

/// Changes the log's level while the daemon runs.
#[derive(Debug, Clone)]
pub struct Handle(reload::Handle<EnvFilter, Registry>);

/// Starts the log. `journal` is the value of `JOURNAL_STREAM`: with it, and standard error
/// being that stream, lines carry a priority and no time, since journald keeps its own.
///
/// # Errors
/// If the level is no filter, or a log was started before.
pub fn start(log: &Log, journal: Option<&str>) -> Result<Handle, String> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let journald = journal.is_some_and(leads_to_stderr);
    let lines = match (log.format, journald) {
        (LogFormat::Json, _) => fmt::layer().json().with_writer(io::stderr).boxed(),
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
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
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
