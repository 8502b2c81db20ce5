//! A sandbox as the daemon holds it: started, asked, ended.

use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::{Child, Command},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    cgroup::{Group, Hits, Homes},
    error::EvaluatorError,
    frame::{self, Frame},
    holding::{self, Holding},
    plan::{Plan, Reply, Start, Task, Turn},
    sandbox::ARGUMENT,
};
use crate::domain::{evaluation::remedy, genome::MAX_GENOME, suite::Limits};

/// How long a sandbox may take to start, the import of its evaluator included.
const STARTING: Duration = Duration::from_secs(120);
/// How much later than a candidate's deadline its harness may answer before all is killed.
const GRACE: Duration = Duration::from_millis(200);
/// The same of our own harness of programs, which kills in time whoever is late, and may then
/// have much to collect.
const LONG_GRACE: Duration = Duration::from_secs(2);
/// How long the keeper may take to clear up.
const CLEARING: Duration = Duration::from_secs(5);
/// What is kept of what a harness says while it starts, in bytes.
const KEPT_WORDS: usize = 4096;

/// When a warm sandbox is replaced. What a candidate leaves in one is found and taken away; this
/// is for what the evaluator's own code gathers, and for what nobody thought of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wear {
    /// After so many evaluations, whatever it holds.
    pub uses: u32,
    /// After how many each it is looked at: whether it has more processes than at first, or
    pub looks: u32,
    /// so much more memory, in bytes, or
    pub memory: u64,
    /// so many more files open.
    pub files: u64,
}

impl Default for Wear {
    fn default() -> Self {
        Self { uses: 5000, looks: 100, memory: 64 << 20, files: 256 }
    }
}

/// What all sandboxes of a bench have in common.
#[derive(Debug)]
pub struct Recipe {
    /// The suite's name, for errors.
    pub suite: String,
    /// The program that becomes the sandbox.
    pub helper: PathBuf,
    /// Where groups can be made.
    pub homes: Homes,
    /// Where directories can be made.
    pub scratch: PathBuf,
    /// Whether to do without what is missing.
    pub reduced: bool,
    /// Directories of the interpreter.
    pub binds: Vec<PathBuf>,
    /// The suite's directory.
    pub suite_dir: PathBuf,
    /// The socket by which candidates ask models, if they may.
    pub models: Option<PathBuf>,
    /// What one evaluation may use.
    pub limits: Limits,
    /// When one is replaced.
    pub wear: Wear,
}

/// A running sandbox.
#[derive(Debug)]
pub struct Worker {
    keeper: Child,
    socket: UnixStream,
    group: Held,
    seen: Hits,
    words: JoinHandle<Vec<u8>>,
    /// The most time that one evaluation may take.
    patience: Duration,
    most: usize,
    /// Whether the evaluator works in stages.
    pub staged: bool,
    /// Of programs: whether each place in it has namespaces of its own.
    pub contained: bool,
    /// Evaluations so far.
    pub uses: u32,
    /// What it held when it was ready.
    at_first: Holding,
}

/// Control groups that go with their owner, if nothing is in them by then; else the keeper
/// removes them.
#[derive(Debug)]
struct Held(Group);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.try_remove();
    }
}

/// Why no answer came.
#[derive(Debug)]
pub enum Silence {
    /// The sandbox ended, or said what makes no sense.
    Gone,
    /// The harness outlived its candidate's time.
    Late,
}

impl Recipe {
    /// Starts a sandbox and waits until it is ready.
    ///
    /// # Errors
    /// If a layer is missing, the suite's program does not load, or the machine refuses.
    #[tracing::instrument(name = "sandbox.start", skip_all)]
    pub async fn start(&self, task: Task) -> Result<Worker, EvaluatorError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        let machine = |what| {
            move |error: io::Error| EvaluatorError::Machine { what, reason: error.to_string() }
        };
        let group = self.homes.group(&name);
        let plan = Plan {
            reduced: self.reduced,
            binds: self.binds.clone(),
            suite: self.suite_dir.clone(),
            models: self.models.clone(),
            room: self.scratch.join(format!("room-{}-{name}", std::process::id())),
            group: group.clone(),
            limits: self.limits.clone(),
            task,
        };
        let (grace, built) = match plan.task {
            Task::Programs { .. } => (LONG_GRACE, 2 * MAX_GENOME),
            Task::Python { .. } | Task::Probe => (GRACE, 0),
        };
        let message = frame::encode(&plan, &[]).map_err(machine("be described"))?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(machine("start"))?;
        ours.set_nonblocking(true).map_err(machine("start"))?;
        let socket = UnixStream::from_std(ours).map_err(machine("start"))?;
        let mut keeper = Command::new(&self.helper)
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(machine("start"))?;
        let words = tokio::spawn(listen(keeper.stderr.take()));
        let kib = usize::try_from(self.limits.output_kib).unwrap_or(usize::MAX >> 16);
        let mut worker = Worker {
            keeper,
            socket,
            group: Held(group),
            seen: Hits::default(),
            words,
            patience: Duration::ZERO,
            most: (8 << 20) + (kib << 12) + built,
            staged: false,
            contained: false,
            uses: 0,
            at_first: Holding::default(),
        };
        let start = timeout(STARTING, worker.hear(&message)).await;
        let refused = match start {
            Ok(Ok(Start::Ready { stages, staged, contained })) => {
                let time = plan.task.patience(self.limits.time, stages, staged);
                let time = Duration::try_from_secs_f64(time).unwrap_or(Duration::MAX);
                worker.patience = time.saturating_add(grace);
                worker.staged = staged;
                worker.contained = contained;
                worker.at_first = worker.holding();
                return Ok(worker);
            }
            Ok(Ok(Start::Import(reason))) => self.import(short(&reason)),
            Ok(Ok(Start::Fault(fault))) => EvaluatorError::Sandbox {
                layer: fault.layer,
                reason: fault.reason,
                hint: fault.hint,
            },
            Ok(Err(error)) => {
                let said = worker.end().await;
                let words = short(&String::from_utf8_lossy(&said.0));
                return Err(match (said.1.memory > 0, words.is_empty()) {
                    (true, _) => self.import(format!(
                        "it wants more than the {} MiB of limits.memory_mib",
                        self.limits.memory_mib
                    )),
                    (false, true) => self.import(format!("it ended while it started ({error})")),
                    (false, false) => self.import(words),
                });
            }
            Err(_) => self.import(format!("it is not ready after {} s", STARTING.as_secs())),
        };
        worker.end().await;
        Err(refused)
    }

    fn import(&self, mut reason: String) -> EvaluatorError {
        if let Some(remedy) = remedy(&reason) {
            reason = format!("{reason}; {remedy}");
        }
        EvaluatorError::Import { suite: self.suite.clone(), reason }
    }
}

impl Worker {
    async fn hear(&mut self, plan: &[u8]) -> io::Result<Start> {
        self.socket.write_all(plan).await?;
        frame::receive(&mut self.socket, 1 << 20).await?.header()
    }

    /// Sends a request.
    ///
    /// # Errors
    /// If it is not taken; the worker is of no use then.
    pub async fn ask(&mut self, request: &[u8]) -> Result<(), Silence> {
        self.uses += 1;
        let sent = timeout(STARTING, self.socket.write_all(request)).await;
        sent.map_err(|_| Silence::Gone)?.map_err(|_| Silence::Gone)
    }

    /// Waits for a reply, as long as that may take.
    ///
    /// # Errors
    /// If none came, or one that makes no sense; the worker is of no use then.
    pub async fn answer(&mut self) -> Result<(Reply, Vec<u8>), Silence> {
        let frame = timeout(self.patience, frame::receive(&mut self.socket, self.most)).await;
        reply(frame.map_err(|_| Silence::Late)?)
    }

    /// Has the program of `request` talk: it hears what comes from `lines`, and `said` gets each of
    /// its own; until it ends, or is ended because nothing more comes.
    ///
    /// # Errors
    /// If there is no last reply, or one that makes no sense; the worker is of no use then.
    pub async fn talk(
        &mut self,
        request: &[u8],
        mut lines: mpsc::Receiver<Vec<u8>>,
        said: impl Fn(&[u8]),
    ) -> Result<(Reply, Vec<u8>), Silence> {
        self.ask(request).await?;
        let (patience, most) = (self.patience, self.most);
        let (mut from, mut to) = self.socket.split();
        let ended = CancellationToken::new();
        let listen = async {
            let _ended = ended.clone().drop_guard();
            loop {
                let frame = timeout(patience, frame::receive(&mut from, most)).await;
                let (reply, body) = reply(frame.map_err(|_| Silence::Late)?)?;
                if !reply.more {
                    return Ok((reply, body));
                }
                said(&body);
            }
        };
        // A frame that was begun is sent whole, so that the next request finds its place.
        let speak = async {
            loop {
                let line = tokio::select! {
                    () = ended.cancelled() => None,
                    line = lines.recv() => line,
                };
                let turn = Turn { over: line.is_none() };
                let frame = frame::encode(&turn, &[&line.unwrap_or_default()]);
                if to.write_all(&frame?).await.is_err() || turn.over {
                    return Ok::<_, io::Error>(());
                }
            }
        };
        // What is wrong with the socket, the other one sees.
        tokio::join!(listen, speak).0
    }

    /// The limits hit since this was asked last.
    pub fn hits(&mut self) -> Hits {
        let now = self.group.0.hits();
        let new = Hits {
            memory: now.memory.saturating_sub(self.seen.memory),
            processes: now.processes.saturating_sub(self.seen.processes),
        };
        self.seen = now;
        new
    }

    /// What it holds now, between two evaluations.
    fn holding(&self) -> Holding {
        let keeper = self.keeper.id().and_then(|pid| i32::try_from(pid).ok());
        keeper.map(holding::together).unwrap_or_default()
    }

    /// Whether it is to be replaced: it was used often, or keeps what evaluations leave.
    #[must_use]
    pub fn is_worn(&self, wear: Wear) -> bool {
        if self.uses >= wear.uses {
            return true;
        }
        if !self.uses.is_multiple_of(wear.looks.max(1)) {
            return false;
        }
        let (now, first) = (self.holding(), self.at_first);
        now.processes > first.processes
            || now.memory > first.memory.saturating_add(wear.memory)
            || now.files > first.files.saturating_add(wear.files)
    }

    /// Whether nothing is in it any more.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.keeper.try_wait(), Ok(None))
    }

    /// Kills all that is in it and waits until nothing is left. What it said while it
    /// started, and the limits it hit.
    pub async fn end(mut self) -> (Vec<u8>, Hits) {
        let hits = self.hits();
        // The keeper sees the end of its socket, and the end of the keeper is the end of all.
        drop(self.socket);
        if timeout(CLEARING, self.keeper.wait()).await.is_err() {
            let _ = self.keeper.kill().await;
        }
        let group = self.group;
        let _ = tokio::task::spawn_blocking(move || group.0.remove()).await;
        (self.words.await.unwrap_or_default(), hits)
    }
}

/// The reply in a frame, and its body.
fn reply(frame: io::Result<Frame>) -> Result<(Reply, Vec<u8>), Silence> {
    let frame = frame.map_err(|_| Silence::Gone)?;
    let reply: Reply = frame.header().map_err(|_| Silence::Gone)?;
    let parts = [reply.records, reply.stdout, reply.stderr];
    let whole = parts.iter().try_fold(0usize, |sum, part| sum.checked_add(*part));
    if whole == Some(frame.body.len()) { Ok((reply, frame.body)) } else { Err(Silence::Gone) }
}

/// Reads all, keeps the end.
async fn listen(from: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let (mut kept, mut chunk) = (Vec::new(), [0; 4096]);
    let Some(mut from) = from else { return kept };
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        kept.extend_from_slice(&chunk[..read]);
        let over = kept.len().saturating_sub(KEPT_WORDS);
        kept.drain(..over);
    }
    kept
}

/// The end of a traceback or complaint: its last lines, for a sentence.
#[must_use]
pub fn short(text: &str) -> String {
    const LINES: usize = 4;
    let lines: Vec<_> =
        text.trim().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    let clean = |c: char| if c.is_control() { '�' } else { c };
    last.join(" / ").chars().map(clean).take(1000).collect()
}
