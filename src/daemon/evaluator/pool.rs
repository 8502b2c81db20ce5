//! The workers of one suite: started when needed, kept warm, replaced when worn.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use serde_json::{Map, Value as Json};
use tokio::sync::Semaphore;

use super::{
    cgroup::Hits,
    error::EvaluatorError,
    frame,
    outcome::{Answer, Rules, Unready},
    plan::{Contract, Item, Request, Task},
    worker::{Recipe, Silence, Worker},
};
use crate::domain::{
    evaluation::{Evaluation, FailureKind},
    genome::{File, Genome, PARAMS_FILE, Space, Value},
    suite::Bundle,
};

/// After so many evaluations a worker is replaced, whatever it may have gathered.
const MAX_USES: u32 = 5000;
/// More workers than this help on no machine.
const MAX_WORKERS: usize = 1024;

/// A suite's directory; goes with its last owner.
#[derive(Debug)]
pub struct Directory(pub PathBuf);

impl Directory {
    /// Writes `bundle` to a new directory at `path`. Anybody may read it who can reach it.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn write(path: PathBuf, bundle: &Bundle) -> io::Result<Self> {
        let made = Self(path);
        fs::create_dir_all(&made.0)?;
        for (name, file) in bundle {
            let path = made.0.join(name.as_str());
            if let Some(dir) = path.parent() {
                fs::create_dir_all(dir)?;
            }
            let mode = if file.executable { 0o755 } else { 0o644 };
            let mut out =
                fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            out.write_all(&file.bytes)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        open_up(&made.0)?;
        Ok(made)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whatever the umask is, the user inside must get in.
fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// The workers.
#[derive(Debug)]
pub struct Pool {
    recipe: Recipe,
    task: Task,
    rules: Rules,
    space: Arc<Space>,
    /// The agent's file that a Python evaluator gets.
    program: Option<String>,
    idle: Mutex<Vec<Worker>>,
    free: Semaphore,
    /// Last, so that it goes after the workers.
    _suite: Directory,
}

impl Pool {
    /// Starts one worker, to see that it starts; others follow when they are needed.
    ///
    /// # Errors
    /// If the suite or the machine is not fit for it.
    pub async fn open(
        recipe: Recipe,
        task: Task,
        mut rules: Rules,
        space: Arc<Space>,
        program: Option<String>,
        workers: usize,
        suite: Directory,
    ) -> Result<Self, EvaluatorError> {
        let first = recipe.start(task.clone()).await?;
        rules.staged = first.staged;
        Ok(Self {
            recipe,
            task,
            rules,
            space,
            program,
            idle: Mutex::new(vec![first]),
            free: Semaphore::new(workers.clamp(1, MAX_WORKERS)),
            _suite: suite,
        })
    }

    /// Evaluates one genome.
    ///
    /// # Errors
    /// If no worker starts or the harness cannot start candidates.
    pub async fn evaluate(&self, genome: &Genome, seed: u64) -> Result<Evaluation, EvaluatorError> {
        let request = match self.request(genome, seed) {
            Ok(request) => request,
            Err(missing) => return Ok(Evaluation::failed(FailureKind::Crashed, missing)),
        };
        let _turn = self.free.acquire().await.map_err(|_| EvaluatorError::Closed)?;
        let mut again = true;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut worker = match idle {
                Some(worker) => worker,
                None => self.recipe.start(self.task.clone()).await?,
            };
            let warm = worker.uses > 0;
            let started = Instant::now();
            let answer = worker.ask(&request).await;
            let wall_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            match answer {
                Ok((reply, body)) => {
                    let hits = worker.hits();
                    let Some(answer) = Answer::new(reply, &body) else {
                        worker.end().await;
                        return Ok(self.rules.lost(false, wall_us, hits));
                    };
                    let evaluation = self.judge(&answer, hits);
                    if worker.uses < MAX_USES && evaluation.is_ok() {
                        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
                    } else {
                        worker.end().await;
                    }
                    return evaluation;
                }
                // It may have been gone before: that is not this candidate's fault.
                Err(Silence::Gone) if warm && again => {
                    again = false;
                    worker.end().await;
                }
                Err(silence) => {
                    let (_, hits) = worker.end().await;
                    let late = matches!(silence, Silence::Late);
                    return Ok(self.rules.lost(late, wall_us, hits));
                }
            }
        }
    }

    /// Ends all workers and waits until nothing is left of them.
    pub async fn close(self) {
        self.free.close();
        let idle = self.idle.into_inner().unwrap_or_else(PoisonError::into_inner);
        for worker in idle {
            worker.end().await;
        }
    }

    fn judge(&self, answer: &Answer<'_>, hits: Hits) -> Result<Evaluation, EvaluatorError> {
        let judged = match &self.task {
            Task::Python { contract: Contract::Functions { .. }, .. } => {
                self.rules.python(answer, hits)
            }
            Task::Python { contract: Contract::Script { .. }, .. } => {
                self.rules.script(answer, hits)
            }
            Task::Command { .. } | Task::Probe => Ok(self.rules.command(answer, hits)),
        };
        judged.map_err(|Unready(reason)| EvaluatorError::Machine {
            what: "start a candidate",
            reason,
        })
    }

    /// The request, or why this genome cannot be evaluated.
    fn request(&self, genome: &Genome, seed: u64) -> Result<Vec<u8>, String> {
        let params = self.params(genome);
        let mut files = Vec::with_capacity(genome.files.len() + 1);
        let mut blobs: Vec<&[u8]> = Vec::with_capacity(genome.files.len() + 1);
        let own = genome.files.iter().map(|(path, file)| (path.as_str(), file));
        // Ours takes the place of one of that name.
        let own = own.filter(|(path, _)| params.is_none() || *path != PARAMS_FILE);
        for (path, file) in own.chain(params.as_ref().map(|file| (PARAMS_FILE, file))) {
            let size = file.bytes.len();
            files.push(Item { path: path.to_owned(), size, executable: file.executable });
            blobs.push(&file.bytes);
        }
        let program = match &self.program {
            Some(program) if files.iter().any(|item| item.path == *program) => program.clone(),
            Some(program) => return Err(format!("the agent has no file “{program}”")),
            None if genome.files.len() == 1 => {
                genome.files.keys().next().map(|path| path.as_str().to_owned()).unwrap_or_default()
            }
            None => String::new(),
        };
        frame::encode(&Request { files, program, seed }, &blobs).map_err(|error| error.to_string())
    }

    /// The parameters as the file that programs read.
    fn params(&self, genome: &Genome) -> Option<File> {
        if self.space.params.is_empty() {
            return None;
        }
        let members = self.space.params.iter().zip(genome.params.iter()).map(|(param, value)| {
            let value = match param.kind.typed(*value) {
                Value::Real(number) => Json::from(number),
                Value::Integer(number) => Json::from(number),
                Value::Category(name) => Json::from(name),
            };
            (param.name.clone(), value)
        });
        let text = Json::Object(members.collect::<Map<_, _>>()).to_string();
        Some(File { bytes: text.into(), executable: false })
    }
}
