//! The daemon from its start to its end.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Notify};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Paths},
    link::{
        acceptor::{Acceptor, Limits},
        endpoint::Endpoint,
    },
    resilience::admission::{self, Admission},
};

use super::{
    admin::{self, Phase, Vitals},
    certificates::Certificates,
    clock::Clock,
    error::DaemonError,
    evaluator::{
        Evaluator, EvaluatorConfig,
        private::{Private, homes},
        worker::Wear,
    },
    hub::Hub,
    log,
    manager::Manager,
    notify,
    registry::{Registry, Settings},
    server::{self, context::Context},
    store::{Places, Stores},
    supervise::{Task, Tree},
    turns::Turns,
    upkeep,
};

/// What the port holds, and how long a handshake may take.
const LIMITS: Limits = Limits { connections: 4096, handshake: Duration::from_secs(10) };

/// What the daemon is made of.
pub struct Setup {
    /// Its configuration.
    pub config: Config,
    /// The file of it.
    pub config_file: PathBuf,
    /// Where everything lies; the caller holds the lock.
    pub paths: Paths,
    /// The folder in which systemd hands over credentials, if it does.
    pub credentials: Option<PathBuf>,
    /// Who runs it.
    pub user: String,
    /// Its log.
    pub log: log::Handle,
    /// Its metrics.
    pub metrics: PrometheusHandle,
    /// Reads the configuration again.
    pub reload: Arc<dyn Fn() -> Result<Config, DaemonError> + Send + Sync>,
}

/// Its ports.
pub struct Listeners {
    /// gRPC and WebSocket.
    pub public: TcpListener,
    /// Health and metrics.
    pub admin: TcpListener,
}

/// How it is told what to do.
#[derive(Clone, Default)]
pub struct Control {
    /// Finish what is at work, and end.
    pub stop: CancellationToken,
    /// End at once.
    pub kill: CancellationToken,
    /// Read the configuration again.
    pub reload: Arc<Notify>,
    /// Whether a signal asked for the end already.
    pub signalled: Arc<AtomicBool>,
}

impl Listeners {
    /// Opens the ports that the configuration names.
    ///
    /// # Errors
    /// If one can't be opened: which key names it.
    pub async fn bind(config: &Config) -> Result<Self, DaemonError> {
        let bind = async |key, address: SocketAddr| {
            let fault = |source| DaemonError::Listen { key, address, source };
            TcpListener::bind(address).await.map_err(fault)
        };
        Ok(Self {
            public: bind("server.listen", config.server.listen).await?,
            admin: bind("server.admin", config.server.admin).await?,
        })
    }
}

/// Runs the daemon until `control` or a failure ends it.
///
/// # Errors
/// If it can't start, or a task fails that it can't do without.
pub async fn run(setup: Setup, listeners: Listeners, control: Control) -> Result<(), DaemonError> {
    let Setup { mut config, config_file, paths, credentials, user, log, metrics, reload } = setup;
    let port = |source| DaemonError::System { action: "read the ports' addresses", source };
    let address = listeners.public.local_addr().map_err(port)?;
    let admin = listeners.admin.local_addr().map_err(port)?;
    let clock = Clock::System;
    let vitals = Arc::new(Vitals::new(metrics));
    let mut tree = Tree::default();
    let port = Arc::new(listeners.admin);
    let shown = vitals.clone();
    tree.spawn(Task::Admin, move |_| admin::serve(port.clone(), shown.clone()));

    let certificates = Certificates::open(&paths, user, names(&config), &clock)?;
    let private = private(&paths, &config_file, credentials.as_deref(), &config);
    let evaluator = evaluator(&paths, &config, private)?;
    let registry =
        store(&mut tree, &paths, credentials.as_deref(), &config, &clock, &vitals).await?;
    let watched = registry.clone();
    let (manager, taken_up) = work(&mut tree, &registry, &evaluator, &config);
    let context = Context {
        vitals: vitals.clone(),
        registry,
        evaluator,
        manager,
        home: paths.data_dir.clone(),
        admin,
        tiers: [
            ("cold", config.store.cold.to_string()),
            ("warm", config.store.warm.to_string()),
            ("hot", config.store.hot.to_string()),
        ],
        python: config.evaluator.python.clone(),
        workers: workers(&config),
        plain_reads: config.server.plain_reads,
        hub: Hub::default(),
        turns: Turns::default(),
        admission: Admission::new(admission::Limits::of(config.server.max_calls)),
        taken_up,
        stop: control.stop.clone(),
    };
    serve(&mut tree, listeners.public, &certificates, Arc::new(context));
    let renewed = certificates.clone();
    tree.spawn(Task::Renewal, move |_| renewed.clone().keep(clock.clone()));
    let warm = watched.stores().warm.clone();
    tree.spawn(Task::Upkeep, move |_| upkeep::keep(warm.clone()));
    if let Some(limit) = notify::watchdog() {
        tree.spawn(Task::Watchdog, move |_| notify::keep_alive(watched.clone(), limit));
    }

    let endpoint =
        Endpoint { address, admin, pid: std::process::id(), started_ms: Clock::System.millis() };
    // Whoever finds the file finds a daemon that is ready.
    vitals.enter(Phase::Ready);
    endpoint.publish(&paths.run_dir)?;
    let status = format!("answering at {address}, admin at {admin}");
    notify::ready(&status);
    tracing::info!(%address, %admin, home = %paths.data_dir.display(), "ready");

    let result = loop {
        tokio::select! {
            () = control.stop.cancelled() => break Ok(()),
            failure = tree.failure() => break Err(failure.into()),
            () = control.reload.notified() => {
                notify::reloading();
                match reload() {
                    Ok(new) => take_over(&mut config, new, &log, &certificates),
                    Err(error) => tracing::error!("kept the old configuration: {error}"),
                }
                notify::ready(&status);
            }
        }
    };

    vitals.enter(Phase::Draining);
    notify::stopping();
    if let Err(error) = Endpoint::withdraw(&paths.run_dir) {
        tracing::warn!("{error}");
    }
    let late = tree.end(Duration::from_secs(config.server.drain_seconds)).await;
    tracing::info!(late = late.len(), "ended");
    result
}

/// Opens the tiers and the registry over them; what it is handed is committed to the last.
async fn store(
    tree: &mut Tree,
    paths: &Paths,
    credentials: Option<&Path>,
    config: &Config,
    clock: &Clock,
    vitals: &Vitals,
) -> Result<Registry, DaemonError> {
    let stores = Stores::open(&paths.store(), &places(config))?;
    let hot = stores.hot.clone();
    // A server that is away holds up nothing: what is in it is never needed to start.
    tokio::spawn(async move {
        for finding in hot.state().findings().await {
            match finding.found {
                Ok(found) => tracing::info!("{}: {found}", finding.about),
                Err((what, hint)) => tracing::warn!("{}: {what}; {hint}", finding.about),
            }
        }
    });
    let settings = Settings {
        group: config.registry.group,
        flush: Duration::from_millis(config.registry.flush_ms),
        queue: config.registry.queue,
    };
    let registry =
        Registry::open(stores, &paths.keys(), credentials, settings, clock.clone()).await?;
    let watched = registry.clone();
    vitals.watch(Box::new(move || watched.trouble().map(|error| error.to_string())));
    let writer = registry.clone();
    tree.spawn_once(Task::Writer, |stop| async move {
        tokio::select! {
            () = stop.cancelled() => writer.close().await,
            () = writer.ended() => return Err("it ended by itself".to_owned()),
        }
        Ok(())
    });
    Ok(registry)
}

/// Starts the manager, which takes up what was at work; the token tells when it has.
fn work(
    tree: &mut Tree,
    registry: &Registry,
    evaluator: &Evaluator,
    config: &Config,
) -> (Arc<Manager>, CancellationToken) {
    let manager =
        Manager::new(registry.clone(), evaluator.clone(), config.manager.clone(), workers(config));
    let taken_up = CancellationToken::new();
    let (runs, ready) = (manager.clone(), taken_up.clone());
    tree.spawn_once(Task::Runs, |stop| async move {
        tokio::select! {
            count = runs.recover() => {
                let count = count.map_err(|error| error.to_string())?;
                tracing::info!(runs = count, "took up what was at work");
                ready.cancel();
                stop.cancelled().await;
            }
            // An evaluator may take its time to start; what is not taken up yet stays as it is.
            () = stop.cancelled() => {}
        }
        runs.drain().await;
        Ok(())
    });
    (manager, taken_up)
}

/// Opens the doors.
fn serve(
    tree: &mut Tree,
    listener: TcpListener,
    certificates: &Certificates,
    context: Arc<Context>,
) {
    let (acceptor, doors) = Acceptor::new(listener, certificates.gate.clone(), LIMITS);
    tree.spawn_once(Task::Acceptor, |stop| async {
        acceptor.run(stop).await;
        Ok(())
    });
    let hub = context.clone();
    tree.spawn_once(Task::Calls, move |stop| server::calls(context, doors.grpc, stop));
    tree.spawn_once(Task::Streams, move |stop| async move {
        server::sockets(hub, doors.sockets, stop).await;
        Ok(())
    });
}

/// Applies what of `new` takes effect without a restart.
fn take_over(config: &mut Config, new: Config, log: &log::Handle, certificates: &Certificates) {
    if new.log.level != config.log.level {
        match log.set(&new.log.level) {
            Ok(()) => config.log.level.clone_from(&new.log.level),
            Err(error) => tracing::error!("kept the old level: {error}"),
        }
    }
    config.server.drain_seconds = new.server.drain_seconds;
    // Whoever read it has told the exporter.
    config.telemetry.sample_percent = new.telemetry.sample_percent;
    if new.server.names != config.server.names {
        config.server.names.clone_from(&new.server.names);
        certificates.set_names(names(config), &Clock::System);
    }
    if *config == new {
        tracing::info!("read the configuration again");
    } else {
        tracing::warn!("read the configuration again; some of what changed needs a restart");
    }
}

/// Where the configuration has the tiers.
fn places(config: &Config) -> Places<'_> {
    let store = &config.store;
    Places {
        cold: store.cold.expose(),
        warm: store.warm.expose(),
        hot: store.hot.expose(),
        segment: store.segment_mib << 20,
    }
}

/// What no agent may read: all that this installation keeps, each part by itself too, for it may
/// be a link to elsewhere; and the user's credentials.
fn private(
    paths: &Paths,
    config_file: &Path,
    credentials: Option<&Path>,
    config: &Config,
) -> Private {
    let own = [&paths.data_dir, &paths.state_dir, &paths.run_dir].map(Clone::clone);
    let parts = [paths.keys(), paths.pki(), paths.store(), paths.scratch(), paths.log_file()];
    let configured = [config_file.to_owned(), config_file.with_file_name("config.d")];
    let models = Some(&config.evaluator.model_socket).filter(|path| path.is_absolute());
    let further = credentials.map(Path::to_owned).into_iter().chain(models.cloned());
    let tiers = places(config).paths(&paths.store());
    let all = own.into_iter().chain(parts).chain(configured).chain(further).chain(tiers);
    Private::new(all.map(|place| std::path::absolute(&place).unwrap_or(place)), homes())
}

/// The evaluator, whose sandboxes start with this very program.
fn evaluator(paths: &Paths, config: &Config, private: Private) -> Result<Evaluator, DaemonError> {
    let own = |source| DaemonError::System { action: "find its own program", source };
    let models = &config.evaluator.model_socket;
    Ok(Evaluator::new(EvaluatorConfig {
        python: config.evaluator.python.clone(),
        models: (!models.as_os_str().is_empty()).then(|| models.clone()),
        helper: std::env::current_exe().map_err(own)?,
        scratch: paths.scratch(),
        private,
        wear: Wear::default(),
    }))
}

/// Evaluations at once of a run that doesn't say.
fn workers(config: &Config) -> usize {
    match config.evaluator.workers {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        some => some,
    }
}

/// The names in the server's certificate, beside localhost.
fn names(config: &Config) -> Vec<String> {
    let ip = config.server.listen.ip();
    let own = (!ip.is_unspecified() && !ip.is_loopback()).then(|| ip.to_string());
    config.server.names.iter().cloned().chain(own).collect()
}
