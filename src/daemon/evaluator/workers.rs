//! Sandboxes of one kind: started when needed, kept warm, replaced when worn.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::mpsc;

use super::{
    cgroup::Hits,
    error::EvaluatorError,
    plan::{Reply, Status, Task},
    worker::{Recipe, Silence, Worker},
};

/// The workers.
#[derive(Debug)]
pub struct Workers {
    recipe: Recipe,
    task: Task,
    idle: Mutex<Vec<Worker>>,
    /// Whether the evaluator works in stages.
    pub staged: bool,
    /// Of programs: whether each place has namespaces of its own.
    pub contained: bool,
}

/// How a talk ended: the last reply, its body, and the limits hit.
pub type Ended = Result<(Reply, Vec<u8>, Hits), Lost>;

/// That an agent took its whole sandbox down, or outlived its time and the harness's patience.
#[derive(Debug, Clone, Copy)]
pub struct Lost {
    /// Whether its time was over.
    pub late: bool,
    /// How long it took, in microseconds.
    pub wall_us: u64,
    /// The limits hit.
    pub hits: Hits,
}

/// What became of one that gave no answer.
async fn lost(worker: Worker, silence: &Silence, started: Instant) -> Lost {
    let wall_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let (_, hits) = worker.end().await;
    Lost { late: matches!(silence, Silence::Late), wall_us, hits }
}

impl Workers {
    /// Starts one worker, to see that it starts; others follow when they are needed.
    ///
    /// # Errors
    /// If the suite or the machine is not fit for it.
    pub async fn open(recipe: Recipe, task: Task) -> Result<Self, EvaluatorError> {
        let first = recipe.start(task.clone()).await?;
        let (staged, contained) = (first.staged, first.contained);
        Ok(Self { recipe, task, idle: Mutex::new(vec![first]), staged, contained })
    }

    /// Sends a request. `each` gets the replies to its parts as they come, and `last` the one
    /// that ends it, with the limits hit; where that is an error, the worker is of no more use.
    ///
    /// # Errors
    /// If no worker starts, or the error of `last`.
    #[tracing::instrument(name = "sandbox.run", skip_all)]
    pub async fn ask<T>(
        &self,
        request: &[u8],
        mut each: impl FnMut(Reply, &[u8], Hits),
        last: impl FnOnce(Reply, &[u8], Hits) -> Result<T, EvaluatorError>,
    ) -> Result<Result<T, Lost>, EvaluatorError> {
        let mut again = true;
        loop {
            let mut worker = self.take().await?;
            let warm = worker.uses > 0;
            let started = Instant::now();
            let mut heard = false;
            let end = match worker.ask(request).await {
                Ok(()) => loop {
                    match worker.answer().await {
                        Ok((reply, body)) if reply.more => {
                            heard = true;
                            let clean = reply.status == Status::Exited(0) && !reply.timed_out;
                            let hits = if clean { Hits::default() } else { worker.hits() };
                            each(reply, &body, hits);
                        }
                        other => break other,
                    }
                },
                Err(silence) => Err(silence),
            };
            match end {
                Ok((reply, body)) => {
                    let result = last(reply, &body, worker.hits());
                    match result {
                        Ok(_) => self.give(worker).await,
                        Err(_) => drop(worker.end().await),
                    }
                    return result.map(Ok);
                }
                // It may have been gone before: that is not this candidate's fault.
                Err(Silence::Gone) if warm && again && !heard => {
                    again = false;
                    worker.end().await;
                }
                Err(silence) => return Ok(Err(lost(worker, &silence, started).await)),
            }
        }
    }

    /// Has the program of a request talk, in a sandbox of its own: see [`Worker::talk`].
    ///
    /// # Errors
    /// If no worker starts.
    #[tracing::instrument(name = "sandbox.run", skip_all)]
    pub async fn talk(
        &self,
        request: &[u8],
        lines: mpsc::Receiver<Vec<u8>>,
        said: impl Fn(&[u8]),
    ) -> Result<Ended, EvaluatorError> {
        let mut worker = self.take().await?;
        let started = Instant::now();
        match worker.talk(request, lines, said).await {
            Ok((reply, body)) => {
                let hits = worker.hits();
                self.give(worker).await;
                Ok(Ok((reply, body, hits)))
            }
            Err(silence) => Ok(Err(lost(worker, &silence, started).await)),
        }
    }

    async fn take(&self) -> Result<Worker, EvaluatorError> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut worker) = idle else {
                return self.recipe.start(self.task.clone()).await;
            };
            if !worker.has_ended() {
                return Ok(worker);
            }
            // That is no fault of who comes now.
            worker.end().await;
        }
    }

    async fn give(&self, worker: Worker) {
        if worker.is_worn(self.recipe.wear) {
            worker.end().await;
        } else {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
    }

    /// Ends all workers and waits until nothing is left of them.
    pub async fn close(self) {
        let idle = self.idle.into_inner().unwrap_or_else(PoisonError::into_inner);
        for worker in idle {
            worker.end().await;
        }
    }
}
