//! The daemon's long-lived tasks: what happens when one fails, and in which order they end.

use std::{future::Future, panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::resilience::backoff::Backoff;

/// The daemon's long-lived tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Takes connections.
    Acceptor,
    /// Answers gRPC calls.
    Calls,
    /// Serves WebSockets.
    Streams,
    /// Drives the runs.
    Runs,
    /// Commits what the registry is handed.
    Writer,
    /// Renews certificates.
    Renewal,
    /// Answers health checks and gives out metrics.
    Admin,
    /// Takes care of the database.
    Upkeep,
    /// Tells systemd that the daemon lives.
    Watchdog,
}

/// What to do when a task fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Start it again, after a while.
    Restart,
    /// End the daemon: it is of no use without it.
    End,
}

/// What to do with a task when its turn to end comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnCancel {
    /// Tell it, and let it finish what it began.
    Finish,
    /// Drop it: it holds nothing.
    Drop,
}

/// The order in which tasks end: a stage begins when the one before it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Nothing new comes in; calls at work are answered.
    Doors,
    /// Runs come to rest.
    Work,
    /// What was handed in is committed.
    Store,
    /// Those who look on, to the very end.
    Onlookers,
}

impl Task {
    /// Its name in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acceptor => "acceptor",
            Self::Calls => "calls",
            Self::Streams => "streams",
            Self::Runs => "runs",
            Self::Writer => "writer",
            Self::Renewal => "renewal",
            Self::Admin => "admin",
            Self::Upkeep => "upkeep",
            Self::Watchdog => "watchdog",
        }
    }

    /// What to do when it fails.
    #[must_use]
    pub fn on_failure(self) -> OnFailure {
        match self {
            Self::Acceptor | Self::Calls | Self::Streams | Self::Runs | Self::Writer => {
                OnFailure::End
            }
            Self::Renewal | Self::Admin | Self::Upkeep | Self::Watchdog => OnFailure::Restart,
        }
    }

    /// What to do with it when its turn to end comes.
    #[must_use]
    pub fn on_cancel(self) -> OnCancel {
        match self {
            Self::Acceptor | Self::Calls | Self::Streams | Self::Runs | Self::Writer => {
                OnCancel::Finish
            }
            Self::Renewal | Self::Admin | Self::Upkeep | Self::Watchdog => OnCancel::Drop,
        }
    }

    /// When it ends.
    #[must_use]
    pub fn stage(self) -> Stage {
        match self {
            Self::Acceptor | Self::Calls | Self::Streams => Stage::Doors,
            Self::Runs => Stage::Work,
            Self::Writer => Stage::Store,
            Self::Renewal | Self::Admin | Self::Upkeep | Self::Watchdog => Stage::Onlookers,
        }
    }
}

impl Stage {
    const ALL: [Self; 4] = [Self::Doors, Self::Work, Self::Store, Self::Onlookers];

    /// The share of the time left that it may take, so that later ones have some too.
    fn share(self) -> f64 {
        match self {
            Self::Doors | Self::Work => 0.5,
            Self::Store => 0.9,
            Self::Onlookers => 1.0,
        }
    }
}

/// A task without which the daemon can't go on, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the task “{name}” failed ({reason}); please report this with the log", name = .task.name())]
pub struct Failure {
    /// The task.
    pub task: Task,
    /// Why.
    pub reason: String,
}

/// The tasks at work.
pub struct Tree {
    branches: Vec<Branch>,
    failed: mpsc::Sender<Failure>,
    failures: mpsc::Receiver<Failure>,
}

struct Branch {
    stage: Stage,
    token: CancellationToken,
    set: JoinSet<Task>,
    running: Vec<Task>,
}

impl Default for Tree {
    fn default() -> Self {
        let (failed, failures) = mpsc::channel(1);
        let branch = |stage| Branch {
            stage,
            token: CancellationToken::new(),
            set: JoinSet::new(),
            running: Vec::new(),
        };
        Self { branches: Stage::ALL.map(branch).into(), failed, failures }
    }
}

impl Tree {
    /// Starts a task. `make` is called again whenever the task is restarted; it gets the token
    /// that tells the task to finish. A task that ends on its own before that has failed.
    pub fn spawn<F, T>(&mut self, task: Task, make: F)
    where
        F: FnMut(CancellationToken) -> T + Send + 'static,
        T: Future<Output = Result<(), String>> + Send + 'static,
    {
        let failed = self.failed.clone();
        if let Some(branch) = self.branches.iter_mut().find(|b| b.stage == task.stage()) {
            branch.running.push(task);
            let token = branch.token.clone();
            branch.set.spawn(async move {
                keep(task, make, token, failed).await;
                task
            });
        }
    }

    /// Starts a task that can't be started twice, since it uses up what it is made of.
    pub fn spawn_once<F, T>(&mut self, task: Task, make: F)
    where
        F: FnOnce(CancellationToken) -> T + Send + 'static,
        T: Future<Output = Result<(), String>> + Send + 'static,
    {
        debug_assert_eq!(task.on_failure(), OnFailure::End);
        let mut make = Some(make);
        self.spawn(task, move |token| {
            let future = make.take().map(|make| make(token));
            async move {
                match future {
                    Some(future) => future.await,
                    None => Err("it can't be started twice".to_owned()),
                }
            }
        });
    }

    /// Waits until a task fails without which the daemon can't go on.
    pub async fn failure(&mut self) -> Failure {
        match self.failures.recv().await {
            Some(failure) => failure,
            // Never: the tree itself holds a sender.
            None => std::future::pending().await,
        }
    }

    /// Ends all tasks, stage by stage, within `limit`; those that are late are dropped and
    /// returned.
    pub async fn end(self, limit: Duration) -> Vec<Task> {
        let deadline = Instant::now() + limit;
        let mut late = Vec::new();
        for mut branch in self.branches {
            branch.token.cancel();
            let left = deadline.saturating_duration_since(Instant::now());
            let until = Instant::now() + left.mul_f64(branch.stage.share());
            while let Ok(Some(ended)) = tokio::time::timeout_at(until, branch.set.join_next()).await
            {
                if let Ok(task) = ended {
                    branch.running.retain(|other| *other != task);
                }
            }
            for task in &branch.running {
                tracing::warn!(task = task.name(), "it did not end in time and was dropped");
            }
            late.append(&mut branch.running);
            branch.set.shutdown().await;
        }
        late
    }
}

/// Runs a task until it is told to end, again and again if that is its policy.
async fn keep<F, T>(
    task: Task,
    mut make: F,
    token: CancellationToken,
    failed: mpsc::Sender<Failure>,
) where
    F: FnMut(CancellationToken) -> T,
    T: Future<Output = Result<(), String>>,
{
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(30));
    loop {
        let work = AssertUnwindSafe(make(token.clone())).catch_unwind();
        let result = match task.on_cancel() {
            OnCancel::Finish => work.await,
            OnCancel::Drop => tokio::select! {
                () = token.cancelled() => return,
                result = work => result,
            },
        };
        if token.is_cancelled() && matches!(result, Ok(Ok(()))) {
            return;
        }
        let reason = match result {
            Ok(Ok(())) => "it ended by itself".to_owned(),
            Ok(Err(reason)) => reason,
            Err(panic) => format!("it panicked: {}", message(panic.as_ref())),
        };
        tracing::error!(task = task.name(), reason, "a task failed");
        metrics::counter!("darwin_task_failures_total", "task" => task.name()).increment(1);
        if task.on_failure() == OnFailure::End || token.is_cancelled() {
            // A second failure adds nothing: the daemon is ending because of the first.
            let _ = failed.try_send(Failure { task, reason });
            return;
        }
        tokio::select! {
            () = token.cancelled() => return,
            () = tokio::time::sleep(backoff.next(rand::random())) => {}
        }
    }
}

fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn a_task_that_may_is_started_again_and_one_that_may_not_ends_the_daemon() {
        let mut tree = Tree::default();
        let (count, again) = (Arc::new(AtomicU32::new(0)), Arc::new(tokio::sync::Notify::new()));
        let (counter, notify) = (count.clone(), again.clone());
        tree.spawn(Task::Renewal, move |_| {
            let (counter, notify) = (counter.clone(), notify.clone());
            async move {
                assert!(counter.fetch_add(1, Ordering::Relaxed) > 0, "the first time");
                notify.notify_one();
                std::future::pending().await
            }
        });
        again.notified().await;
        assert_eq!(count.load(Ordering::Relaxed), 2);

        tree.spawn_once(Task::Acceptor, |_| async { Err("no".to_owned()) });
        let failure = tree.failure().await;
        assert_eq!(failure, Failure { task: Task::Acceptor, reason: "no".to_owned() });
        assert_eq!(tree.end(Duration::from_secs(1)).await, []);
    }

    #[tokio::test]
    async fn stages_end_in_order_and_what_is_late_is_dropped() {
        let mut tree = Tree::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        for task in [Task::Admin, Task::Calls] {
            let order = order.clone();
            tree.spawn(task, move |token| {
                let order = order.clone();
                async move {
                    let _last = Last(task, order);
                    token.cancelled().await;
                    Ok(())
                }
            });
        }
        tree.spawn_once(Task::Streams, |_| std::future::pending());
        assert_eq!(tree.end(Duration::from_millis(200)).await, [Task::Streams]);
        assert_eq!(*order.lock().unwrap(), [Task::Calls, Task::Admin]);
    }

    struct Last(Task, Arc<Mutex<Vec<Task>>>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }
}
