//! Builds: what a suite has made of an agent's files before it is evaluated. Run in the
//! agent's sandbox, once for the same files; what they leave is kept on disk.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;

use super::{
    cgroup::Hits,
    directory::Directory,
    error::EvaluatorError,
    frame,
    laying::Laying,
    outcome::{Answer, Rules},
    plan::{Item, Job, Reply, Status, Task, Tree},
    worker::{Recipe, short},
    workers::Workers,
};
use crate::{
    domain::{
        digest::Digest,
        evaluation::{Evaluation, Failure, FailureKind},
        genome::{FilePath, MAX_FILES, MAX_GENOME},
        suite::Build,
    },
    provenance::digest::sha256,
};

/// The most that is kept on disk, in bytes.
const MAX_KEPT: u64 = 1 << 30;
/// The most builds that are kept on disk.
const MAX_BUILDS: usize = 10_000;

/// The files that a build made.
type Built = Vec<(Item, Bytes)>;

/// The builds of one suite.
#[derive(Debug)]
pub struct Builds {
    workers: Workers,
    build: Build,
    rules: Rules,
    kept: Kept,
    /// What is being built right now: who wants the same waits for it.
    turns: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    /// Last, so that it goes after the workers.
    _nothing: Directory,
}

impl Builds {
    /// Starts a worker for builds; `nothing` is the empty directory that it has for the suite's.
    /// What they leave is kept below `kept`.
    ///
    /// # Errors
    /// If the machine is not fit for it.
    pub async fn open(
        recipe: Recipe,
        task: Task,
        build: Build,
        rules: Rules,
        kept: PathBuf,
        nothing: Directory,
    ) -> Result<Self, EvaluatorError> {
        let workers = Workers::open(recipe, task).await?;
        let turns = Mutex::default();
        Ok(Self { workers, build, rules, kept: Kept(kept), turns, _nothing: nothing })
    }

    /// What the build makes of these files, or the evaluation of an agent whose build fails.
    ///
    /// # Errors
    /// If no worker starts.
    pub async fn build(
        &self,
        laying: &Laying,
    ) -> Result<Result<Built, Box<Evaluation>>, EvaluatorError> {
        let digest = self.digest(laying)?;
        let all = || self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = Arc::clone(all().entry(digest).or_default());
        let result = {
            let _turn = turn.lock().await;
            match self.kept.get(digest).await {
                Some(built) => Ok(Ok(built)),
                None => self.make(laying, digest).await,
            }
        };
        drop(turn);
        all().retain(|_, turn| Arc::strong_count(turn) > 1);
        result
    }

    /// Ends all workers.
    pub async fn close(self) {
        self.workers.close().await;
    }

    /// What a build depends on: its settings and the files.
    fn digest(&self, laying: &Laying) -> Result<Digest, EvaluatorError> {
        let settings = (&self.build, self.rules.isolation);
        let mut text = serde_json::to_string(&settings).map_err(unmade)?;
        for (item, content) in laying.files() {
            text += &format!("\n{} {} {}", sha256(content), item.executable, item.path);
        }
        Ok(sha256(text.as_bytes()))
    }

    async fn make(
        &self,
        laying: &Laying,
        digest: Digest,
    ) -> Result<Result<Built, Box<Evaluation>>, EvaluatorError> {
        let request = laying.request(Job::Build, &self.build.argv, String::new(), 0, &[]);
        let request = request.map_err(unmade)?;
        let told = self.workers.ask(
            &request,
            |_, _, _| {},
            |reply, body, hits| Ok(self.judge(reply, body, hits).map_err(Box::new)),
        );
        let frame = match told.await? {
            Ok(Ok(frame)) => frame,
            Ok(Err(failed)) => return Ok(Err(failed)),
            Err(lost) => {
                let lost = self.rules.lost(lost.late, lost.wall_us, lost.hits);
                return Ok(Err(Box::new(in_build(lost))));
            }
        };
        let built = match read(&frame) {
            Ok(built) => built,
            Err(reason) => {
                let reason = format!("what its build left cannot be taken: {reason}");
                let mut failed = self.rules.blank(&Reply::default());
                failed.scores = Err(Failure { kind: FailureKind::BadMetrics, reason });
                return Ok(Err(Box::new(failed)));
            }
        };
        self.kept.put(digest, frame).await;
        Ok(Ok(built))
    }

    /// The frame that a build left, or the evaluation of one that failed.
    fn judge(&self, reply: Reply, body: &[u8], hits: Hits) -> Result<Vec<u8>, Evaluation> {
        if reply.status == Status::Exited(0)
            && !reply.timed_out
            && let Some(frame) = body.get(..reply.records)
        {
            return Ok(frame.to_vec());
        }
        let (timed_out, errors) = (reply.timed_out, reply.stderr);
        let from = body.len().saturating_sub(errors);
        let said = short(&String::from_utf8_lossy(body.get(from..).unwrap_or_default()));
        let Some(answer) = Answer::new(reply, body) else {
            return Err(in_build(self.rules.lost(timed_out, 0, hits)));
        };
        let mut failed = self.rules.unanswered(&answer, hits);
        // Compilers say the most in the lines before the last.
        if let Err(Failure { kind: FailureKind::Crashed, reason }) = &mut failed.scores
            && !said.is_empty()
        {
            *reason = said;
        }
        Err(in_build(failed))
    }
}

/// Says that it was the build that failed.
fn in_build(mut failed: Evaluation) -> Evaluation {
    if let Err(failure) = &mut failed.scores {
        failure.reason = format!("its build failed: {}", failure.reason);
    }
    failed
}

fn unmade(error: impl std::fmt::Display) -> EvaluatorError {
    EvaluatorError::Machine { what: "ask for a build", reason: error.to_string() }
}

/// The files in a frame that a sandbox sent, each checked; or what is wrong, in words.
fn read(mut frame: &[u8]) -> Result<Built, String> {
    let frame = frame::read(&mut frame, MAX_GENOME * 2).map_err(|error| error.to_string())?;
    let items = match frame.header().map_err(|error| error.to_string())? {
        Tree::Files(items) if items.len() <= MAX_FILES => items,
        Tree::Files(_) => return Err(format!("more than {MAX_FILES} files")),
        Tree::Refused(reason) => return Err(short(&reason)),
    };
    let mut rest = Bytes::from(frame.body);
    let mut built = Vec::with_capacity(items.len());
    for item in items {
        FilePath::new(&item.path).map_err(|error| error.to_string())?;
        if item.size > rest.len() {
            return Err("its files are torn".to_owned());
        }
        let content = rest.split_to(item.size);
        built.push((item, content));
    }
    Ok(built)
}

/// What builds left, on disk: a file each, named by the digest of what went in, and begun with
/// the digest of what follows.
#[derive(Debug)]
struct Kept(PathBuf);

impl Kept {
    async fn get(&self, digest: Digest) -> Option<Built> {
        let path = self.0.join(digest.to_string());
        let found = tokio::task::spawn_blocking(move || {
            let bytes = fs::read(&path).ok()?;
            let (sum, frame) = bytes.split_first_chunk()?;
            let built = (sha256(frame) == Digest(*sum)).then(|| read(frame).ok()).flatten()?;
            // The one that was used last goes last.
            let file = fs::OpenOptions::new().write(true).open(&path);
            let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
            Some(built)
        });
        found.await.ok().flatten()
    }

    /// Keeps a frame. Where the disk refuses, it is built again next time.
    async fn put(&self, digest: Digest, frame: Vec<u8>) {
        let dir = self.0.clone();
        let _ = tokio::task::spawn_blocking(move || put(&dir, digest, &frame)).await;
    }
}

fn put(dir: &Path, digest: Digest, frame: &[u8]) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(dir)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let new = dir.join(format!("new-{}-{count}", std::process::id()));
    let written = fs::write(&new, [&sha256(frame).0, frame].concat());
    written.and_then(|()| fs::rename(&new, dir.join(digest.to_string()))).inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })?;
    trim(dir, MAX_KEPT, MAX_BUILDS)
}

/// Removes what was not used for longest, until no more is left than that.
fn trim(dir: &Path, most: u64, count: usize) -> io::Result<()> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Ok(meta) = entry.metadata() {
            all.push((meta.modified()?, meta.len(), entry.path()));
        }
    }
    all.sort();
    let mut size: u64 = all.iter().map(|(_, size, _)| size).sum();
    let over = all.len().saturating_sub(count);
    for (at, (_, own, path)) in all.iter().enumerate() {
        if at >= over && size <= most {
            break;
        }
        fs::remove_file(path)?;
        size -= own;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame() -> Vec<u8> {
        let item = Item { path: "a".to_owned(), size: 2, executable: true };
        frame::encode(&Tree::Files(vec![item]), &[b"xy"]).unwrap()
    }

    #[tokio::test]
    async fn what_is_kept_comes_back_and_what_is_damaged_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, digest) = (Kept(dir.path().join("builds")), sha256(b"in"));
        assert!(kept.get(digest).await.is_none());
        kept.put(digest, frame()).await;
        let built = kept.get(digest).await.unwrap();
        assert_eq!((built[0].0.path.as_str(), &built[0].1[..]), ("a", &b"xy"[..]));
        let path = kept.0.join(digest.to_string());
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(kept.get(digest).await.is_none());
    }

    #[test]
    fn the_longest_unused_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        for (name, age) in [("a", 1), ("b", 3), ("c", 2)] {
            let file = fs::File::create(dir.path().join(name)).unwrap();
            file.set_len(10).unwrap();
            file.set_modified(now - Duration::from_secs(age)).unwrap();
        }
        let left = || {
            let all = fs::read_dir(dir.path()).unwrap();
            let mut all: Vec<_> = all.map(|entry| entry.unwrap().file_name()).collect();
            all.sort();
            all
        };
        trim(dir.path(), 20, 9).unwrap();
        assert_eq!(left(), ["a", "c"]);
        trim(dir.path(), 20, 1).unwrap();
        assert_eq!(left(), ["a"]);
    }

    #[test]
    fn a_tree_that_leads_out_or_is_torn_is_refused() {
        for (path, size) in [("../a", 2), ("/etc/passwd", 2), ("a", 3)] {
            let item = Item { path: path.to_owned(), size, executable: false };
            let frame = frame::encode(&Tree::Files(vec![item]), &[b"xy"]).unwrap();
            assert!(read(&frame).is_err(), "{path}");
        }
        let refused = frame::encode(&Tree::Refused("a\nb".to_owned()), &[]).unwrap();
        assert_eq!(read(&refused).unwrap_err(), "a / b");
        assert!(read(&frame()[..9]).is_err() && read(b"").is_err());
    }
}
