//! What every back end of the cold tier does, case by case, and random sequences against memory.

use std::{path::Path, sync::Arc};

use cid::Cid;
use proptest::prelude::*;

use super::{Cold, ColdBackend, Extent, Wanted, file::FileCold, memory::MemoryCold};
use crate::{
    code::Code,
    provenance::block::{Block, MAX_BLOCK},
};

const STORE: [u8; 16] = [3; 16];
/// So small that a few blocks fill a segment.
const LIMIT: u64 = 2000;

fn block(seed: u64, size: usize) -> Block {
    let bytes: Vec<u8> = (0..size).map(|at| (seed as usize * 31 + at * 7) as u8).collect();
    Block::raw([&seed.to_be_bytes()[..], &bytes].concat())
}

async fn file(dir: &Path, recorded: &[Extent]) -> Cold {
    let cold = Cold::new(Arc::new(FileCold::new(dir, LIMIT).unwrap()));
    let found = cold.recover(STORE, recorded.to_vec()).await.unwrap();
    assert_eq!(found.faults, []);
    cold
}

/// Runs a case on every back end.
async fn each(case: impl AsyncFn(Cold)) {
    case(Cold::new(Arc::new(MemoryCold::default()))).await;
    let dir = tempfile::tempdir().unwrap();
    case(file(dir.path(), &[]).await).await;
}

async fn put(cold: &Cold, blocks: &[Block]) {
    cold.append(blocks.to_vec()).await.unwrap();
    cold.publish().await.unwrap();
}

#[tokio::test]
async fn what_is_published_is_found_and_nothing_else() {
    each(async |cold| {
        let (first, second) = (block(1, 100), block(2, 0));
        assert_eq!(cold.get(first.cid).await.unwrap(), None);
        cold.append(vec![first.clone()]).await.unwrap();
        assert_eq!(cold.get(first.cid).await.unwrap(), None, "durable, but not published");
        cold.publish().await.unwrap();
        assert_eq!(cold.get(first.cid).await.unwrap(), Some(first.bytes.clone()));
        assert_eq!(cold.get(second.cid).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn what_is_revoked_is_never_seen() {
    each(async |cold| {
        let (gone, kept) = (block(1, 100), block(2, 50));
        cold.append(vec![gone.clone()]).await.unwrap();
        cold.revoke().await.unwrap();
        put(&cold, std::slice::from_ref(&kept)).await;
        assert_eq!(cold.get(gone.cid).await.unwrap(), None);
        assert_eq!(cold.get(kept.cid).await.unwrap(), Some(kept.bytes));
        cold.revoke().await.unwrap();
        cold.publish().await.unwrap();
        assert_eq!(cold.get(kept.cid).await.unwrap().map(|bytes| bytes.len()), Some(58));
    })
    .await;
}

#[tokio::test]
async fn recovered_again_it_shows_what_was_recorded_and_nothing_else() {
    each(async |cold| {
        let blocks: Vec<_> = (0..3).map(|seed| block(seed, 900)).collect();
        let known = cold.append(vec![blocks[0].clone()]).await.unwrap().extent;
        cold.publish().await.unwrap();
        cold.append(vec![blocks[1].clone()]).await.unwrap();
        let found = cold.recover(STORE, vec![known]).await.unwrap();
        assert!(found.cut > 900 && found.faults.is_empty(), "{found:?}");
        let known = cold.append(vec![blocks[2].clone()]).await.unwrap().extent;
        let found = cold.recover(STORE, vec![known]).await.unwrap();
        assert_eq!((found.cut, found.faults.len()), (0, 0));
        for (at, there) in [(0, true), (1, false), (2, true)] {
            assert_eq!(cold.get(blocks[at].cid).await.unwrap().is_some(), there, "{at}");
        }
        put(&cold, std::slice::from_ref(&blocks[1])).await;
        assert!(cold.get(blocks[1].cid).await.unwrap().is_some());
    })
    .await;
}

#[tokio::test]
async fn answers_come_in_the_order_asked_for_whatever_the_hint() {
    each(async |cold| {
        let blocks: Vec<_> = (0..40).map(|seed| block(seed, 300)).collect();
        for part in blocks.chunks(3) {
            put(&cold, part).await;
        }
        let mut wanted: Vec<_> = blocks.iter().rev().map(|block| block.cid).collect();
        wanted.insert(7, block(99, 1).cid);
        for hint in [None, Some(1), Some(77)] {
            let asked = wanted.iter().map(|cid| Wanted { cid: *cid, hint }).collect();
            let found = cold.get_many(asked).await.unwrap();
            let sizes: Vec<_> =
                found.iter().map(|bytes| bytes.as_ref().map(bytes::Bytes::len)).collect();
            let expected: Vec<_> = (0..41).map(|at| (at != 7).then_some(308)).collect();
            assert_eq!(sizes, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_block_may_come_again() {
    each(async |cold| {
        let twice = block(5, 700);
        for _ in 0..5 {
            put(&cold, &[twice.clone(), twice.clone()]).await;
        }
        assert_eq!(cold.get(twice.cid).await.unwrap(), Some(twice.bytes));
    })
    .await;
}

#[tokio::test]
async fn the_largest_block_fits_and_nothing_is_wrong_with_it() {
    each(async |cold| {
        let large = block(1, MAX_BLOCK - 8);
        put(&cold, &[large.clone(), block(2, 9)]).await;
        assert_eq!(cold.get(large.cid).await.unwrap(), Some(large.bytes));
        let (mut blocks, mut faults) = (0, cold.survey().await.unwrap());
        for segment in cold.segments().await.unwrap() {
            let checked = cold.check(segment).await.unwrap();
            blocks += checked.blocks;
            faults.extend(checked.faults);
        }
        assert_eq!((blocks, faults), (2, vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_block_that_is_too_large_is_refused_and_nothing_with_it_is_stored() {
    each(async |cold| {
        let (small, large) = (block(1, 5), Block::raw(vec![0; MAX_BLOCK + 1]));
        let refused = cold.append(vec![small.clone(), large]).await.unwrap_err();
        assert_eq!(refused.code(), Code::Exhausted);
        cold.publish().await.unwrap();
        assert_eq!(cold.get(small.cid).await.unwrap(), None);
    })
    .await;
}

/// One step of a random sequence.
#[derive(Debug, Clone)]
enum Step {
    /// Append these blocks and publish.
    Put(Vec<(u64, usize)>),
    /// Append these blocks and revoke.
    Revoke(Vec<(u64, usize)>),
    /// Append these blocks; stop before or after their extent is recorded; recover, in the same
    /// process or in another.
    Crash(Vec<(u64, usize)>, bool, bool),
    /// Look for a block.
    Get(u64, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let which = || (0..60_u64, prop_oneof![Just(10_usize), Just(400), Just(1500)]);
    let blocks = || prop::collection::vec(which(), 0..6);
    prop_oneof![
        3 => blocks().prop_map(Step::Put),
        1 => blocks().prop_map(Step::Revoke),
        1 => (blocks(), any::<bool>(), any::<bool>())
            .prop_map(|(blocks, recorded, anew)| Step::Crash(blocks, recorded, anew)),
        5 => which().prop_map(|(seed, size)| Step::Get(seed, size)),
    ]
}

/// What the warm tier would have recorded.
#[derive(Default)]
struct Recorded(Vec<Extent>);

impl Recorded {
    fn note(&mut self, extent: Extent) {
        self.0.retain(|known| known.segment != extent.segment);
        self.0.push(extent);
    }
}

async fn sequence(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let memory = MemoryCold::default();
    let mut disk = FileCold::new(dir.path(), LIMIT).unwrap();
    disk.recover(STORE, Vec::new()).await.unwrap();
    let mut recorded = Recorded::default();
    let make = |blocks: &[(u64, usize)]| -> Vec<Block> {
        blocks.iter().map(|(seed, size)| block(*seed, *size)).collect()
    };
    for step in steps {
        match step {
            Step::Put(blocks) => {
                memory.append(make(&blocks)).await.unwrap();
                memory.publish().await.unwrap();
                recorded.note(disk.append(make(&blocks)).await.unwrap().extent);
                disk.publish().await.unwrap();
            }
            Step::Revoke(blocks) => {
                disk.append(make(&blocks)).await.unwrap();
                disk.revoke().await.unwrap();
            }
            Step::Crash(blocks, acknowledged, anew) => {
                let appended = disk.append(make(&blocks)).await.unwrap();
                if acknowledged {
                    recorded.note(appended.extent);
                    memory.append(make(&blocks)).await.unwrap();
                    memory.publish().await.unwrap();
                }
                if anew {
                    disk = FileCold::new(dir.path(), LIMIT).unwrap();
                }
                let found = disk.recover(STORE, recorded.0.clone()).await.unwrap();
                assert_eq!(found.faults, []);
            }
            Step::Get(seed, size) => {
                let wanted = Wanted { cid: block(seed, size).cid, hint: Some(2) };
                let expected = memory.get(vec![wanted]).await.unwrap();
                assert_eq!(disk.get(vec![wanted]).await.unwrap(), expected);
            }
        }
    }
    // At the end, all that memory has.
    let all: Vec<Cid> =
        (0..60).flat_map(|seed| [10, 400, 1500].map(|size| block(seed, size).cid)).collect();
    let wanted: Vec<_> = all.iter().map(|cid| Wanted { cid: *cid, hint: None }).collect();
    let expected = memory.get(wanted.clone()).await.unwrap();
    assert_eq!(disk.get(wanted).await.unwrap(), expected);
    assert_eq!(disk.survey().await.unwrap(), []);
    for segment in disk.segments().await.unwrap() {
        assert_eq!(disk.check(segment).await.unwrap().faults, []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn the_disk_does_what_memory_does(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(sequence(steps));
    }
}
