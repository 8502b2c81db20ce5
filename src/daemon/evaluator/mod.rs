//! Evaluates agents: built-in functions inline, programs in a sandbox.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{OnceCell, Semaphore};

use crate::{
    config,
    domain::{
        answer::Check,
        evaluation::{Isolation, Layers},
        genome::Space,
        suite::{self, Build, Bundle, Limits, Method, Suite},
    },
};

use self::{
    arena::Arena,
    bench::Kind,
    build::Builds,
    builtin::Builtin,
    cases::{Cases, Runner},
    cgroup::Homes,
    directory::Directory,
    error::EvaluatorError,
    outcome::Rules,
    plan::{Contract, Task},
    pool::{MAX_WORKERS, Pool, What},
    private::Private,
    python::Interpreter,
    worker::{Recipe, Wear},
    workers::Workers,
};

pub mod error;
mod score;
pub mod metrics;
pub mod results;
mod builtin;
pub mod frame;
mod cgroup;
mod holding;
mod plan;
pub mod private;
mod python;
mod sweep;
mod outcome;
pub mod sandbox;
pub mod worker;
mod workers;
mod directory;
mod models;
mod laying;
mod build;
mod pool;
pub mod rpc;
mod tally;
mod cases;
mod words;
mod seat;
mod ratings;
mod arena;
mod bench;
pub mod guest;

pub use bench::Bench;

/// What the evaluator needs to know of its machine.
#[derive(Debug, Clone)]
pub struct EvaluatorConfig {
    /// The Python interpreter, by name or path.
    pub python: PathBuf,
    /// The program that becomes the sandbox's first process: `darwind` itself. It must
    /// call `sandbox::entry` before anything else.
    pub helper: PathBuf,
    /// A directory of ours alone; what is left in it from an earlier life is removed.
    pub scratch: PathBuf,
    /// The Unix socket of the proxy to language models, if there is one.
    pub models: Option<PathBuf>,
    /// What no agent may read; the scratch directory is so anyway.
    pub private: Private,
    /// When a warm sandbox is replaced.
    pub wear: Wear,
}

/// How much of the sandbox must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Every mandatory layer, or an error.
    Full,
    /// What the machine has; results are stamped with it.
    Reduced,
}

impl Profile {
    /// Its name, as stored and as users give it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Reduced => "reduced",
        }
    }

    /// The profile of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Full, Self::Reduced].into_iter().find(|profile| profile.as_str() == name)
    }

    /// What results made under it are stamped with.
    #[must_use]
    pub fn isolation(self) -> Isolation {
        match self {
            Self::Full => Isolation::Full,
            Self::Reduced => Isolation::Reduced,
        }
    }
}

/// A layer of the sandbox, and whether this machine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: &'static str,
    /// Whether a full sandbox needs it.
    pub mandatory: bool,
    /// `Ok` with what is used, or what is missing and what to do.
    pub state: Result<String, String>,
}

/// Opens suites.
#[derive(Debug, Clone)]
pub struct Evaluator {
    config: Arc<EvaluatorConfig>,
    homes: Homes,
    optional: Layers,
    interpreter: Arc<OnceCell<Interpreter>>,
}

/// The layers of a sandbox that a full one must have, in the order of their setting up.
const LAYERS: [(&str, &str); 6] = [
    ("namespaces", "user, mount, pid, network, ipc, uts and cgroup namespaces"),
    ("own user", "a user without rights outside"),
    ("mounts", "a read-only view by pivot_root, and a sized tmpfs"),
    ("resource limits", "limits of each process"),
    ("privileges", "no capabilities, and none to be had"),
    ("system call filter", "seccomp"),
];

impl Evaluator {
    /// An evaluator for this machine. Clears away what an earlier one left in the scratch
    /// directory.
    #[must_use]
    pub fn new(mut config: EvaluatorConfig) -> Self {
        config.private = config.private.with(config.scratch.clone());
        for entry in std::fs::read_dir(&config.scratch).into_iter().flatten().flatten() {
            let left = entry.file_name();
            let left = left.to_str().and_then(|name| name.split_once('-')).map(|(kind, _)| kind);
            if matches!(left, Some("suite" | "room")) && !is_alive(&entry.file_name()) {
                let _ = sweep::remove(&entry.path());
            }
        }
        let interpreter = Arc::new(OnceCell::new());
        let homes = Homes::find();
        let [memory, processes] = homes.describe();
        let optional = Layers {
            landlock: sandbox::landlock().is_some(),
            memory_group: memory.is_some(),
            process_group: processes.is_some(),
        };
        Self { config: Arc::new(config), homes, optional, interpreter }
    }

    /// Makes `suite` ready for genomes of `space`, on at most `workers` processes at once.
    ///
    /// # Errors
    /// If the suite or the machine is not fit for it; a program is started once to see.
    pub async fn open(
        &self,
        suite: &Suite,
        bundle: &Bundle,
        space: Arc<Space>,
        profile: Profile,
        workers: usize,
    ) -> Result<Bench, EvaluatorError> {
        self.hidden()?;
        let mut rules = self.rules(suite, profile);
        let program = suite.method.program().map(str::to_owned);
        let (task, interpreter, what, build) = match &suite.method {
            Method::Builtin { function, dimensions } => {
                let (name, dimensions) = (&suite.name, *dimensions);
                let builtin = Builtin::new(name, function, dimensions, &space, rules.objectives)?;
                return Ok(Bench::of(Kind::Inline(builtin)));
            }
            Method::Cases(own) => {
                let cases = self.cases(suite, own, bundle, space, profile, workers).await?;
                return Ok(Bench::of(Kind::Cases(Box::new(cases))));
            }
            Method::Arena(own) => {
                let arena = self.arena(suite, own, bundle, space, profile, workers).await?;
                return Ok(Bench::of(Kind::Arena(Box::new(arena))));
            }
            Method::Command { argv, build } => {
                if argv.is_empty() {
                    let reason = "argv is empty; name the program to run".to_owned();
                    return Err(EvaluatorError::Suite { suite: suite.name.clone(), reason });
                }
                let (task, interpreter) = self.programs().await;
                (task, interpreter, What::Program(argv.clone()), build.as_ref())
            }
            Method::Python {
                evaluator,
                cascade,
                cascade_thresholds,
                cascade_times,
                feature_dimensions,
                ..
            } => {
                let found = self.interpreter().await?;
                rules.features = Some(feature_dimensions.clone());
                rules.times.clone_from(cascade_times);
                let contract = Contract::Functions {
                    cascade: *cascade,
                    thresholds: cascade_thresholds.clone(),
                    times: cascade_times.clone(),
                };
                let task = found.task(evaluator, contract);
                (task, Some(found), What::Python(program), None)
            }
            Method::Shinka { evaluator, args, .. } => {
                let found = self.interpreter().await?;
                let task = found.task(evaluator, Contract::Script { args: args.clone() });
                (task, Some(found), What::Script(program), None)
            }
        };
        let models = models::socket(suite, self.config.models.as_deref())?;
        let builds = self.builds(suite, build, profile).await?;
        let directory = self.suite_directory(bundle).await?;
        let recipe = self.recipe(suite, interpreter, profile, directory.0.clone());
        let recipe = Recipe { models, ..recipe };
        let ready = Workers::open(recipe, task).await?;
        let pool = Pool::new(ready, builds, rules, space, what, workers, directory);
        Ok(Bench::of(Kind::Pool(Box::new(pool))))
    }

    /// Whether what no agent may read lies where none looks.
    fn hidden(&self) -> Result<(), EvaluatorError> {
        let shown = self.config.private.within(&python::SYSTEM).map(|(place, shown)| {
            EvaluatorError::Shown { place: place.to_owned(), shown: shown.to_owned() }
        });
        shown.map_or(Ok(()), Err)
    }

    /// Makes a suite of cases ready.
    async fn cases(
        &self,
        suite: &Suite,
        own: &suite::Cases,
        bundle: &Bundle,
        space: Arc<Space>,
        profile: Profile,
        workers: usize,
    ) -> Result<Cases, EvaluatorError> {
        let set = config::cases::read(own, "suite", bundle).map_err(|error| {
            EvaluatorError::Suite { suite: suite.name.clone(), reason: error.to_string() }
        })?;
        let models = models::socket(suite, self.config.models.as_deref())?;
        let builds = self.builds(suite, own.build.as_ref(), profile).await?;
        let (task, interpreter) = self.programs().await;
        let nothing = self.suite_directory(&Bundle::new()).await?;
        let runner = async |limits: &Limits| {
            let suite = Suite { limits: limits.clone(), ..suite.clone() };
            let recipe = self.recipe(&suite, interpreter, profile, nothing.0.clone());
            let recipe = Recipe { models: models.clone(), ..recipe };
            let workers = Workers::open(recipe, task.clone()).await?;
            Ok::<_, EvaluatorError>(Runner { workers, rules: self.rules(&suite, profile) })
        };
        let common = runner(&suite.limits).await?;
        let mut runners = Vec::new();
        for stage in own.stages() {
            runners.push(match &stage.limits {
                Some(limits) => Some(runner(limits).await?),
                None => None,
            });
        }
        let mut directories = vec![nothing];
        let all = set.stages.iter().flat_map(|(cases, _)| cases).chain(&set.held_out);
        let mut judges = None;
        if all.into_iter().any(|case| matches!(case.check, Check::Command { .. })) {
            // What is expected stays out of every sandbox, but for what its scorer is told.
            let mut files = bundle.clone();
            files.retain(|path, _| !own.files().any(|name| name == path.as_str()));
            let directory = self.suite_directory(&files).await?;
            let recipe = self.recipe(suite, interpreter, profile, directory.0.clone());
            judges = Some(Workers::open(recipe, task).await?);
            directories.push(directory);
        }
        let mut rules = self.rules(suite, profile);
        // Without namespaces a program of the suite may have the user of the agent's.
        rules.in_process = judges.is_some() && !common.workers.contained;
        let free = Semaphore::new(workers.clamp(1, MAX_WORKERS));
        let suite = own.clone();
        Ok(Cases { common, runners, judges, builds, suite, set, rules, space, free, directories })
    }

    /// Makes a suite of matches ready.
    async fn arena(
        &self,
        suite: &Suite,
        own: &suite::Arena,
        bundle: &Bundle,
        space: Arc<Space>,
        profile: Profile,
        workers: usize,
    ) -> Result<Arena, EvaluatorError> {
        let models = models::socket(suite, self.config.models.as_deref())?;
        let builds = self.builds(suite, own.build.as_ref(), profile).await?;
        let (task, interpreter) = self.programs().await;
        let nothing = self.suite_directory(&Bundle::new()).await?;
        let all = self.suite_directory(bundle).await?;
        let recipe = self.recipe(suite, interpreter, profile, nothing.0.clone());
        let players = Workers::open(Recipe { models, ..recipe }, task.clone()).await?;
        let recipe = self.recipe(suite, interpreter, profile, all.0.clone());
        let referees = Workers::open(recipe, task).await?;
        let opponents = arena::opponents(&suite.name, own, bundle, builds.as_ref()).await?;
        // Without namespaces a program of the agent's may have the user of the referee's.
        let in_process = !players.contained;
        let rules = Rules { in_process, ..self.rules(suite, profile) };
        let free = Semaphore::new(workers.clamp(1, MAX_WORKERS));
        let (suite, table, directories) = (own.clone(), OnceCell::new(), vec![nothing, all]);
        Ok(Arena {
            players,
            referees,
            builds,
            suite,
            opponents,
            table,
            rules,
            space,
            free,
            directories,
        })
    }

    /// Makes the suite's build ready, if it has one.
    async fn builds(
        &self,
        suite: &Suite,
        build: Option<&Build>,
        profile: Profile,
    ) -> Result<Option<Builds>, EvaluatorError> {
        let Some(build) = build else { return Ok(None) };
        let (task, interpreter) = self.programs().await;
        let nothing = self.suite_directory(&Bundle::new()).await?;
        let suite = Suite { limits: build.limits.clone(), ..suite.clone() };
        let recipe = self.recipe(&suite, interpreter, profile, nothing.0.clone());
        let rules = Rules { in_process: false, ..self.rules(&suite, profile) };
        let kept = self.config.scratch.join("builds");
        let build = build.clone();
        Ok(Some(Builds::open(recipe, task, build, rules, kept, nothing).await?))
    }

    /// What runs programs. Most want Python; those that do not, do without.
    async fn programs(&self) -> (Task, Option<&Interpreter>) {
        let interpreter = self.interpreter().await.ok();
        let bin = interpreter.and_then(|found| found.executable.parent());
        (Task::Programs { bin: bin.map(std::path::Path::to_owned) }, interpreter)
    }

    /// The layers of the sandbox, and which of them this machine has.
    pub async fn layers(&self) -> Vec<Layer> {
        let start = async {
            let directory = self.suite_directory(&Bundle::new()).await?;
            let suite = Suite::new("probe", Method::Command { argv: Vec::new(), build: None });
            let interpreter = self.interpreter().await.ok();
            let recipe = self.recipe(&suite, interpreter, Profile::Full, directory.0.clone());
            recipe.start(Task::Probe).await?.end().await;
            Ok::<_, EvaluatorError>(())
        };
        let fault = start.await.err();
        let at = fault.as_ref().map(|fault| match fault {
            EvaluatorError::Sandbox { layer, .. } => {
                LAYERS.iter().position(|(name, _)| name == layer).unwrap_or(0)
            }
            _ => 0,
        });
        let mandatory = LAYERS.iter().enumerate().map(|(i, (name, what))| Layer {
            name,
            mandatory: true,
            state: match (at, &fault) {
                (Some(at), Some(fault)) if i == at => Err(fault.to_string()),
                (Some(at), _) if i > at => Err("not reached".to_owned()),
                _ => Ok((*what).to_owned()),
            },
        });
        let [memory, processes] = self.homes.describe();
        let without = "no control group can be made here: each process is limited by itself, and \
                       a watcher adds up memory; delegate one (systemd: Delegate=yes)";
        let optional =
            [("memory limit", memory), ("process limit", processes)].map(|(name, found)| Layer {
                name,
                mandatory: false,
                state: found.ok_or_else(|| without.to_owned()),
            });
        let landlock = Layer {
            name: "Landlock",
            mandatory: false,
            state: sandbox::landlock()
                .map(|abi| format!("ABI {abi}: files, devices, TCP, signals bounded once more"))
                .ok_or_else(|| {
                    "this kernel has none, or one without renames; use 5.19 or later with \
                     CONFIG_SECURITY_LANDLOCK and landlock in lsm="
                        .to_owned()
                }),
        };
        mandatory.chain(optional).chain([landlock]).collect()
    }

    /// Which of the layers this machine has that one may lack: what results are stamped with.
    #[must_use]
    pub fn optional(&self) -> Layers {
        self.optional
    }

    /// The interpreter; asked for once.
    async fn interpreter(&self) -> Result<&Interpreter, EvaluatorError> {
        self.interpreter
            .get_or_try_init(|| python::find(&self.config.python, &self.config.private))
            .await
    }

    async fn suite_directory(&self, bundle: &Bundle) -> Result<Directory, EvaluatorError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = self.config.scratch.join(format!("suite-{}-{count}", std::process::id()));
        let bundle = bundle.clone();
        let written = tokio::task::spawn_blocking(move || Directory::write(path, &bundle)).await;
        written.map_err(std::io::Error::other).and_then(|result| result).map_err(|error| {
            EvaluatorError::Machine { what: "write the suite's files", reason: error.to_string() }
        })
    }

    /// What evaluations of `suite` are judged by.
    fn rules(&self, suite: &Suite, profile: Profile) -> Rules {
        Rules {
            objectives: suite.objectives(),
            limits: suite.limits.clone(),
            features: None,
            staged: false,
            times: Vec::new(),
            isolation: profile.isolation(),
            layers: self.optional,
            in_process: true,
        }
    }

    fn recipe(
        &self,
        suite: &Suite,
        interpreter: Option<&Interpreter>,
        profile: Profile,
        suite_dir: PathBuf,
    ) -> Recipe {
        Recipe {
            suite: suite.name.clone(),
            helper: self.config.helper.clone(),
            homes: self.homes.clone(),
            scratch: self.config.scratch.clone(),
            reduced: profile == Profile::Reduced,
            binds: interpreter.map(|found| found.binds.clone()).unwrap_or_default(),
            suite_dir,
            models: None,
            limits: suite.limits.clone(),
            wear: self.config.wear,
        }
    }
}

/// Whether the process in a name like `suite-PID-1` is there: one that was killed, and that nobody
/// has waited for yet, has no program any more.
fn is_alive(name: &std::ffi::OsStr) -> bool {
    let pid = name.to_str().and_then(|name| name.split('-').nth(1)?.parse::<u32>().ok());
    pid.is_some_and(|pid| match std::fs::read_link(format!("/proc/{pid}/exe")) {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    })
}
