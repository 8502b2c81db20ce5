//! Commits of which nobody knows at first whether they were made.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use cid::Cid;

use super::{
    Registry,
    fixture::{
        ON_DISK, family, id, measured, open, open_over, run_id, session_id, store, with_run,
    },
    model::Finished,
};
use crate::{
    code::Code,
    daemon::store::{
        Stores,
        error::{Damage, StoreError},
        warm::{
            Named, Runs, Warm, WarmBackend,
            marks::Mark,
            rows::{
                AgentRow, Change, CheckpointRow, Direction, Node, Opened, ResultRow, RunRow,
                SessionRow, Walked,
            },
            uploads::UploadRow,
        },
    },
    domain::id::{AgentId, RunId, SessionId},
};

/// How the next writes fail: how many before they are made, and how many after.
#[derive(Default)]
struct Plan {
    before: AtomicUsize,
    after: AtomicUsize,
    settle: AtomicUsize,
    full: AtomicUsize,
    panic: AtomicUsize,
}

fn take(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

/// A real warm tier whose writes fail as planned.
struct Flaky {
    real: Warm,
    plan: Arc<Plan>,
}

type Answer<T> = Result<T, StoreError>;

#[async_trait]
impl WarmBackend for Flaky {
    async fn open(&self, store: [u8; 16], now_ms: u64) -> Answer<Opened> {
        self.real.rows().open(store, now_ms).await
    }
    async fn write(&self, changes: Vec<Change>) -> Answer<()> {
        let (agents, settles) = changes.iter().fold((false, false), |(agents, settles), change| {
            let settle = matches!(change, Change::Settle);
            (agents || matches!(change, Change::Agents(_)), settles || settle)
        });
        assert!(!take(&self.plan.panic), "as planned");
        if settles && take(&self.plan.settle) || agents && take(&self.plan.before) {
            return Err(StoreError::Cancelled);
        }
        if agents && take(&self.plan.full) {
            let source = Box::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
            return Err(StoreError::Full { doing: "storing rows".to_owned(), source });
        }
        self.real.rows().write(changes).await?;
        if agents && take(&self.plan.after) { Err(StoreError::Cancelled) } else { Ok(()) }
    }
    async fn session(&self, id: SessionId) -> Answer<Option<SessionRow>> {
        self.real.rows().session(id).await
    }
    async fn sessions(&self, closed_too: bool, limit: usize) -> Answer<Vec<SessionRow>> {
        self.real.rows().sessions(closed_too, limit).await
    }
    async fn sessions_named(
        &self,
        user: Option<&str>,
        name: &str,
        limit: usize,
    ) -> Answer<Vec<SessionRow>> {
        self.real.rows().sessions_named(user, name, limit).await
    }
    async fn session_key(&self, id: SessionId) -> Answer<Option<Bytes>> {
        self.real.rows().session_key(id).await
    }
    async fn signing_keys(&self) -> Answer<Vec<([u8; 32], u64)>> {
        self.real.rows().signing_keys().await
    }
    async fn run(&self, id: RunId) -> Answer<Option<RunRow>> {
        self.real.rows().run(id).await
    }
    async fn runs(&self, which: Runs, limit: usize) -> Answer<Vec<RunRow>> {
        self.real.rows().runs(which, limit).await
    }
    async fn run_content(&self, id: RunId) -> Answer<Option<Bytes>> {
        self.real.rows().run_content(id).await
    }
    async fn checkpoint(&self, id: RunId) -> Answer<Option<CheckpointRow>> {
        self.real.rows().checkpoint(id).await
    }
    async fn find(
        &self,
        named: Named,
        from: [u8; 16],
        to: [u8; 16],
        limit: usize,
    ) -> Answer<Vec<[u8; 16]>> {
        self.real.rows().find(named, from, to, limit).await
    }
    async fn agents(&self, ids: Vec<AgentId>) -> Answer<Vec<AgentRow>> {
        self.real.rows().agents(ids).await
    }
    async fn agents_after(
        &self,
        run: Option<RunId>,
        after: Node,
        limit: usize,
    ) -> Answer<Vec<AgentRow>> {
        self.real.rows().agents_after(run, after, limit).await
    }
    async fn results(&self, run: RunId, after: Node, limit: usize) -> Answer<Vec<ResultRow>> {
        self.real.rows().results(run, after, limit).await
    }
    async fn walk(
        &self,
        direction: Direction,
        frontier: Vec<Node>,
        limit: usize,
    ) -> Answer<Walked> {
        self.real.rows().walk(direction, frontier, limit).await
    }
    async fn blob(&self, mac: [u8; 32]) -> Answer<Option<Vec<Cid>>> {
        self.real.rows().blob(mac).await
    }
    async fn result(&self, key: [u8; 32]) -> Answer<Option<AgentId>> {
        self.real.rows().result(key).await
    }
    async fn mark(&self, sender: [u8; 32], key: [u8; 16]) -> Answer<Option<Mark>> {
        self.real.rows().mark(sender, key).await
    }
    async fn upload(&self, id: [u8; 32]) -> Answer<Option<UploadRow>> {
        self.real.rows().upload(id).await
    }
    async fn uploads(&self, session: SessionId, limit: usize) -> Answer<Vec<UploadRow>> {
        self.real.rows().uploads(session, limit).await
    }
    async fn parts(&self, id: [u8; 32], from: u64, limit: usize) -> Answer<Vec<Cid>> {
        self.real.rows().parts(id, from, limit).await
    }
    async fn count(&self) -> Answer<u64> {
        self.real.rows().count().await
    }
    async fn check(&self) -> Answer<Vec<Damage>> {
        self.real.rows().check().await
    }
}

/// A registry with a generation in it, over a warm tier that fails as planned.
async fn flaky(dir: &Path) -> (Registry, Arc<Plan>) {
    let plan = Arc::new(Plan::default());
    let mut stores = Stores::open(dir, &ON_DISK).unwrap();
    let real = stores.warm.clone();
    stores.warm = Warm::new(Arc::new(Flaky { real, plan: Arc::clone(&plan) }));
    let registry = open_over(dir, stores).await.unwrap();
    with_run(&registry).await;
    store(&registry, family(1, 4)).await;
    (registry, plan)
}

async fn submit(registry: &Registry, batch: Vec<Finished>) -> Result<(), Code> {
    let receipt = registry.submit(Some(run_id(9)), session_id(), batch).await.unwrap();
    receipt.await.map(drop).map_err(|error| error.code())
}

/// Whether all is sound with that many agents and entries, now and after a restart.
async fn ends_sound(dir: &Path, registry: Registry, expected: (u64, u64)) {
    let check = async |registry: &Registry| {
        let all = registry.verify_all().await.unwrap();
        assert_eq!((all.faults, all.agents, all.entries), (vec![], expected.0, expected.1));
    };
    check(&registry).await;
    assert!(registry.trouble().is_none());
    registry.close().await;
    drop(registry);
    let registry = open(dir, &ON_DISK).await.unwrap();
    assert_eq!(registry.faults(), []);
    check(&registry).await;
}

#[tokio::test]
async fn what_was_stored_after_all_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, plan) = flaky(dir.path()).await;
    let mut batches = family(4, 4).into_iter().skip(1);
    plan.after.store(1, Ordering::SeqCst);
    assert_eq!(submit(&registry, batches.next().unwrap()).await, Ok(()));
    registry.genome(id((1, 2))).await.unwrap();
    plan.after.store(1, Ordering::SeqCst);
    registry.append(id((1, 2)), vec![measured(1, 0.5)]).await.unwrap();
    assert_eq!(submit(&registry, batches.next().unwrap()).await, Ok(()));
    ends_sound(dir.path(), registry, (12, 13)).await;
}

#[tokio::test]
async fn what_was_not_stored_is_refused_and_can_be_stored_again() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, plan) = flaky(dir.path()).await;
    let batch = family(2, 4).pop().unwrap();
    plan.before.store(1, Ordering::SeqCst);
    assert_eq!(submit(&registry, batch.clone()).await, Err(Code::Unavailable));
    assert_eq!(registry.agent(id((1, 0))).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(submit(&registry, batch).await, Ok(()));
    plan.before.store(1, Ordering::SeqCst);
    let refused = registry.append(id((0, 0)), vec![measured(1, 0.5)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    registry.append(id((0, 0)), vec![measured(1, 0.5)]).await.unwrap();
    ends_sound(dir.path(), registry, (8, 9)).await;
}

#[tokio::test]
async fn on_a_full_disk_the_writer_lives_for_it_goes_on_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, plan) = flaky(dir.path()).await;
    let batch = family(2, 4).pop().unwrap();
    plan.full.store(1, Ordering::SeqCst);
    assert_eq!(submit(&registry, batch.clone()).await, Err(Code::Exhausted));
    assert!(registry.trouble().is_some());
    registry.alive(Duration::from_secs(60)).await.unwrap();
    assert_eq!(submit(&registry, batch).await, Ok(()));
    ends_sound(dir.path(), registry, (8, 8)).await;
}

#[tokio::test]
async fn a_writer_that_dies_is_noticed_and_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (registry, plan) = flaky(dir.path()).await;
    let batch = family(2, 4).pop().unwrap();
    plan.panic.store(1, Ordering::SeqCst);
    assert_eq!(submit(&registry, batch.clone()).await, Err(Code::Unavailable));
    tokio::time::timeout(Duration::from_secs(60), registry.ended()).await.unwrap();
    registry.close().await;
    drop(registry);
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    assert_eq!(submit(&registry, batch).await, Ok(()));
    ends_sound(dir.path(), registry, (8, 8)).await;
}

#[tokio::test]
async fn the_writer_stands_still_until_it_can_tell_and_goes_on_by_itself() {
    for made in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (registry, plan) = flaky(dir.path()).await;
        let batch = family(2, 4).pop().unwrap();
        plan.settle.store(3, Ordering::SeqCst);
        let fails = if made { &plan.after } else { &plan.before };
        fails.store(1, Ordering::SeqCst);
        assert_eq!(submit(&registry, batch.clone()).await, Err(Code::Unavailable));
        assert!(registry.trouble().is_some());
        let dead = registry.alive(Duration::from_secs(60)).await.unwrap_err();
        assert!(dead.to_string().contains("stands still"), "{dead}");
        // Meanwhile nothing is stored, and nobody waits.
        assert_eq!(submit(&registry, batch.clone()).await, Err(Code::Unavailable));
        let begun = Instant::now();
        while registry.trouble().is_some() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(plan.settle.load(Ordering::SeqCst), 0);
        registry.alive(Duration::from_secs(60)).await.unwrap();
        // The same again: it is stored once, whether it was before or not.
        assert_eq!(registry.agent(id((1, 0))).await.is_ok(), made);
        assert_eq!(submit(&registry, batch).await, Ok(()));
        ends_sound(dir.path(), registry, (8, 8)).await;
    }
}
