//! The daemon: manager, evaluator, registry and session loops in one task tree.

pub mod clock;
pub mod supervise;
pub mod turns;
pub mod store;
pub mod registry;
pub mod home;
pub mod log;
pub mod notify;
pub mod admin;
pub mod hub;
pub mod evaluator;
pub mod manager;
pub mod server;
pub mod error;
mod certificates;
mod upkeep;
pub mod run;

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Parser as _, error::ErrorKind};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{
    code::Code,
    config::{Config, Loaded, args::Args, section::Log},
    telemetry::{
        export::Traces,
        settings::{Settings, share},
    },
};

use error::DaemonError;
use home::Lock;
use run::{Control, Listeners, Setup, run};

/// The exit status after a second signal: 128 and SIGTERM, as a shell has it.
const KILLED: u8 = 143;
/// How often the daemon looks whether its home is still there.
const LOOKS: Duration = Duration::from_secs(2);
/// The most threads for work that blocks.
const BLOCKING_THREADS: usize = 64;
/// The upper bounds of latency histograms, in seconds.
const BUCKETS: [f64; 12] =
    [0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0];

/// The upper bounds of histograms of sizes, in bytes.
const SIZES: [f64; 7] = [256.0, 1024.0, 4096.0, 65_536.0, 1_048_576.0, 8_388_608.0, 67_108_864.0];
/// How long spans that are left at the end may take to be sent.
const FLUSH: Duration = Duration::from_secs(2);

/// Runs `darwind` with this command line, the program's name first.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<_> = args.into_iter().collect();
    // While there is one thread.
    if let Some(code) = evaluator::sandbox::entry(&args) {
        return code;
    }
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to standard output, mistakes to standard error.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(Code::Usage.exit()),
            };
        }
    };
    let journal = std::env::var("JOURNAL_STREAM").ok();
    let loaded = load(&args);
    let log = loaded.as_ref().map_or_else(|_| Log::default(), |(_, config)| config.log.clone());
    let traces = loaded.as_ref().map_or(Ok(None), |(_, config)| traces(config));
    let sent = traces.as_ref().ok().and_then(Option::as_deref);
    let handle = log::start(&log, journal.as_deref(), sent).map_err(DaemonError::Log);
    if handle.is_err() {
        // So that the mistake can be told at all.
        let _ = log::start(&Log::default(), journal.as_deref(), None);
    }
    let result = match (loaded, handle, traces) {
        (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => Err(error),
        (Ok(_), Ok(_), Ok(_)) if args.check_config => {
            tracing::info!("the configuration is right");
            Ok(())
        }
        (Ok((paths, config)), Ok(log), Ok(traces)) => start(args, paths, config, log, traces),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(DaemonError::Killed) => {
            tracing::error!("{}", DaemonError::Killed);
            ExitCode::from(KILLED)
        }
        Err(error) => {
            tracing::error!(code = error.code().name(), "{error}");
            ExitCode::from(error.code().exit())
        }
    }
}

fn load(args: &Args) -> Result<(crate::config::Paths, Config), DaemonError> {
    let paths = args.paths(&|name| std::env::var_os(name))?;
    let config = Loaded::load(&args.sources(&paths, environment()))?.config;
    Ok((paths, config))
}

/// Where traces go, if anywhere.
fn traces(config: &Config) -> Result<Option<Arc<Traces>>, DaemonError> {
    let env = |name: &str| std::env::var(name).ok();
    let settings = Settings::resolve(&config.telemetry, "darwind", &env)?;
    Ok(settings.map(Traces::start).transpose()?.map(Arc::new))
}

/// The environment's variables that are text.
fn environment() -> Vec<(String, String)> {
    let text = |text: OsString| text.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

fn start(
    args: Args,
    paths: crate::config::Paths,
    config: Config,
    log: log::Handle,
    traces: Option<Arc<Traces>>,
) -> Result<(), DaemonError> {
    let system = |action| move |source| DaemonError::System { action, source };
    if args.own_session {
        rustix::process::setsid()
            .map_err(|error| system("leave the terminal's session")(error.into()))?;
    }
    more_files().map_err(system("raise the limit of open files"))?;
    let runtime = Builder::new_multi_thread()
        .thread_name("darwind")
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .map_err(system("start threads"))?;
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .and_then(|metrics| {
            metrics.set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &SIZES)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| DaemonError::System {
            action: "start the metrics",
            source: std::io::Error::other(error),
        })?;
    let drain = Duration::from_secs(config.server.drain_seconds);
    let result = runtime.block_on(async {
        // First of all, so that nothing is opened that a daemon at work has open.
        let lock = Lock::take(&paths.data_dir)?;
        let gone = lock.gone(LOOKS).map_err(system("look at its lock"))?;
        let control = Control::default();
        let signals = Signals::new().map_err(system("listen for signals"))?;
        let watch = tokio::spawn(signals.watch(control.clone()));
        let listeners = Listeners::bind(&config).await?;
        let reload = {
            let (args, traces) = (args.clone(), traces.clone());
            Arc::new(move || {
                let (_, config) = load(&args)?;
                if let Some(traces) = &traces {
                    traces.keep(share(&config.telemetry));
                }
                Ok(config)
            })
        };
        let user = user(&|name| std::env::var_os(name));
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|dir| !dir.is_empty());
        let credentials = credentials.map(PathBuf::from);
        let home = paths.data_dir.display().to_string();
        let config_file = args.config.clone().unwrap_or_else(|| paths.config_file());
        let setup = Setup { config, config_file, paths, credentials, user, log, metrics, reload };
        let (kill, stop) = (control.kill.clone(), control.stop.clone());
        let look = tokio::spawn(async move {
            gone.await;
            tracing::error!(%home, "draining: the home was removed, with all that it held");
            stop.cancel();
        });
        let result = tokio::select! {
            result = run(setup, listeners, control) => result,
            () = kill.cancelled() => Err(DaemonError::Killed),
        };
        watch.abort();
        look.abort();
        result
    });
    // What still blocks a thread has had its time.
    runtime.shutdown_background();
    if let Some(lost) = traces.and_then(|traces| traces.end(FLUSH.min(drain))) {
        tracing::warn!(reason = lost, "the last traces may be lost");
    }
    result
}

/// Allows as many open files as the system lets: each connection takes one, and the usual 1,024
/// are for programs that wait with select(2).
fn more_files() -> std::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?)
}

/// The name of the user who runs the daemon, for the certificate of his client.
fn user(env: &dyn Fn(&str) -> Option<OsString>) -> String {
    let set = |name| env(name).filter(|name| !name.is_empty());
    let name = set("USER").or_else(|| set("LOGNAME"));
    let name = name.as_deref().and_then(OsStr::to_str).map(str::to_owned);
    name.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()))
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn watch(mut self, control: Control) {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => control.reload.notify_one(),
                _ = self.terminate.recv() => end(&control, "SIGTERM"),
                _ = self.interrupt.recv() => end(&control, "SIGINT"),
            }
        }
    }
}

fn end(control: &Control, signal: &str) {
    if control.signalled.swap(true, std::sync::atomic::Ordering::Relaxed) {
        control.kill.cancel();
    } else {
        tracing::info!(signal, "draining; a second signal ends at once");
        control.stop.cancel();
    }
}
