//! Suites whose evaluator does all by itself: it gets an agent's files, and reports metrics.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    build::Builds,
    directory::Directory,
    error::EvaluatorError,
    laying::Laying,
    outcome::{Answer, Rules, Unready},
    plan::Job,
    workers::Workers,
};
use crate::domain::{
    evaluation::{Evaluation, FailureKind},
    genome::{Genome, Space},
};

/// More workers than this help on no machine.
pub const MAX_WORKERS: usize = 1024;

/// The workers, and what they are asked.
#[derive(Debug)]
pub struct Pool {
    workers: Workers,
    builds: Option<Builds>,
    rules: Rules,
    space: Arc<Space>,
    what: What,
    free: Semaphore,
    /// Last, so that it goes after the workers.
    _suite: Directory,
}

/// What is asked of the workers.
#[derive(Debug)]
pub enum What {
    /// A Python evaluator gets this file of the agent; without one its only file, or all.
    Python(Option<String>),
    /// The same, of one that is a program and writes its result to files.
    Script(Option<String>),
    /// A program prints metrics.
    Program(Vec<String>),
}

impl Pool {
    /// A pool of these, at most `at_once` of them at work.
    #[must_use]
    pub fn new(
        workers: Workers,
        builds: Option<Builds>,
        mut rules: Rules,
        space: Arc<Space>,
        what: What,
        at_once: usize,
        suite: Directory,
    ) -> Self {
        let free = Semaphore::new(at_once.clamp(1, MAX_WORKERS));
        rules.staged = workers.staged;
        // A Python evaluator loads the candidate by contract; a program has the candidate run
        // in another place, where there are places.
        rules.in_process = !matches!(what, What::Program(_)) || !workers.contained;
        Self { workers, builds, rules, space, what, free, _suite: suite }
    }

    /// Evaluates one genome.
    ///
    /// # Errors
    /// If no worker starts or the harness cannot start candidates.
    pub async fn evaluate(&self, genome: &Genome, seed: u64) -> Result<Evaluation, EvaluatorError> {
        let mut laying = Laying::of(genome, &self.space);
        let _turn = self.free.acquire().await.map_err(|_| EvaluatorError::Closed)?;
        if let Some(builds) = &self.builds {
            match builds.build(&laying).await? {
                Ok(built) => laying.add(built),
                Err(failed) => return Ok(*failed),
            }
        }
        let request = match self.request(genome, &laying, seed) {
            Ok(request) => request,
            Err(missing) => return Ok(Evaluation::failed(FailureKind::Crashed, missing)),
        };
        let judge = |reply, body: &[u8], hits| {
            let Some(answer) = Answer::new(reply, body) else {
                return Ok(self.rules.lost(false, 0, hits));
            };
            let judged = match &self.what {
                What::Python(_) => self.rules.python(&answer, hits),
                What::Script(_) => self.rules.script(&answer, hits),
                What::Program(_) => Ok(self.rules.command(&answer, hits)),
            };
            judged.map_err(|Unready(reason)| EvaluatorError::Machine {
                what: "start a candidate",
                reason,
            })
        };
        let told = self.workers.ask(&request, |_, _, _| {}, judge).await?;
        Ok(told.unwrap_or_else(|lost| self.rules.lost(lost.late, lost.wall_us, lost.hits)))
    }

    /// The kind of its suite.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.what {
            What::Python(_) => "python",
            What::Script(_) => "shinka",
            What::Program(_) => "command",
        }
    }

    /// Ends all workers and waits until nothing is left of them.
    pub async fn close(self) {
        self.free.close();
        self.workers.close().await;
        if let Some(builds) = self.builds {
            builds.close().await;
        }
    }

    /// The request, or why this genome cannot be evaluated.
    fn request(&self, genome: &Genome, laying: &Laying, seed: u64) -> Result<Vec<u8>, String> {
        let (program, argv) = match &self.what {
            What::Program(argv) => (String::new(), argv.as_slice()),
            What::Python(Some(program)) | What::Script(Some(program)) if laying.has(program) => {
                (program.clone(), &[][..])
            }
            What::Python(Some(program)) | What::Script(Some(program)) => {
                return Err(format!("the agent has no file “{program}”"));
            }
            What::Python(None) | What::Script(None) if genome.files.len() == 1 => {
                let only = genome.files.keys().next().map(|path| path.as_str().to_owned());
                (only.unwrap_or_default(), &[][..])
            }
            What::Python(None) | What::Script(None) => (String::new(), &[][..]),
        };
        let request = laying.request(Job::Score, argv, program, seed, &[]);
        request.map_err(|error| error.to_string())
    }
}
