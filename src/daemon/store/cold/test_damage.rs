//! Every damage is named, and nothing but what was never acknowledged is cut.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Cold, Extent, Recovered,
    file::FileCold,
    segment::{file_name, header, sidecar_name},
};
use crate::{
    code::Code,
    daemon::store::error::{Damage, StoreError},
    provenance::block::Block,
};

const STORE: [u8; 16] = [3; 16];
const LIMIT: u64 = 1000;

/// A folder with some segments, what was recorded of them, and their blocks.
struct Folder {
    dir: tempfile::TempDir,
    recorded: Vec<Extent>,
    blocks: Vec<Block>,
}

impl Folder {
    async fn new(count: u8) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Self { dir, recorded: Vec::new(), blocks: Vec::new() };
        let (cold, _) = folder.open().await;
        for seed in 0..count {
            let blocks = [Block::raw(vec![seed; 200]), Block::dag_cbor(vec![seed, seed])];
            let appended = cold.append(blocks.to_vec()).await.unwrap();
            cold.publish().await.unwrap();
            folder.recorded.retain(|known| known.segment != appended.extent.segment);
            folder.recorded.push(appended.extent);
            folder.blocks.extend(blocks);
        }
        folder
    }

    async fn open(&self) -> (Cold, Recovered) {
        let cold = Cold::new(Arc::new(FileCold::new(self.dir.path(), LIMIT).unwrap()));
        let found = cold.recover(STORE, self.recorded.clone()).await.unwrap();
        (cold, found)
    }

    fn path(&self, segment: u32) -> PathBuf {
        self.dir.path().join(file_name(segment))
    }

    /// How many blocks are found; the others are reported as corrupt or, at worst, absent.
    async fn readable(&self, cold: &Cold) -> usize {
        let mut readable = 0;
        for block in &self.blocks {
            match cold.get(block.cid).await {
                Ok(Some(bytes)) => {
                    assert_eq!(bytes, block.bytes);
                    readable += 1;
                }
                Ok(None) => panic!("a block that was acknowledged is said not to be there"),
                Err(error) => assert_eq!(error.code(), Code::Corrupt, "{error}"),
            }
        }
        readable
    }
}

async fn all_faults(cold: &Cold) -> Vec<Damage> {
    let mut faults = cold.survey().await.unwrap();
    for segment in cold.segments().await.unwrap() {
        faults.extend(cold.check(segment).await.unwrap().faults);
    }
    faults
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_nothing_else() {
    for tail in [1, 20, 3000] {
        let folder = Folder::new(7).await;
        let last = folder.recorded.last().unwrap();
        append(&folder.path(last.segment), &vec![0x41; tail]);
        let (cold, found) = folder.open().await;
        assert_eq!(found, Recovered { cut: tail as u64, faults: vec![] });
        assert_eq!(fs::metadata(folder.path(last.segment)).unwrap().len(), last.length);
        assert_eq!(folder.readable(&cold).await, folder.blocks.len());
        assert_eq!(all_faults(&cold).await, []);
    }
}

#[tokio::test]
async fn a_segment_that_was_being_born_is_removed() {
    let born = header(STORE, 3);
    for (size, more) in [(0, 0), (10, 0), (born.len(), 0), (born.len(), 100)] {
        let folder = Folder::new(7).await;
        assert_eq!(folder.recorded.len(), 2);
        append(&folder.path(3), &born[..size]);
        append(&folder.path(3), &vec![9; more]);
        let (cold, found) = folder.open().await;
        assert_eq!(found, Recovered { cut: (size + more) as u64, faults: vec![] });
        assert!(!folder.path(3).exists());
        assert_eq!(folder.readable(&cold).await, folder.blocks.len());
    }
}

#[tokio::test]
async fn every_flipped_bit_is_named_and_nothing_is_dropped() {
    let folder = Folder::new(5).await;
    for extent in &folder.recorded {
        let path = folder.path(extent.segment);
        let sound = fs::read(&path).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            // Found by the check of a store at work …
            let (cold, found) = folder.open().await;
            let faults = all_faults(&cold).await;
            let named = |faults: &[Damage]| {
                faults.iter().any(|fault| {
                    fault.place == file_name(extent.segment)
                        && fault.offset.is_some_and(|offset| offset <= at as u64)
                })
            };
            assert!(named(&faults), "byte {at} of {}: {faults:?}", path.display());
            // … and by opening, where that looks at the blocks: in the last segment.
            if extent == folder.recorded.last().unwrap() || at < header(STORE, 1).len() {
                assert!(named(&found.faults), "byte {at}: {found:?}");
            }
            assert_eq!(found.cut, 0);
            assert_eq!(fs::read(&path).unwrap(), bytes, "nothing is changed");
        }
        fs::write(&path, &sound).unwrap();
    }
    let (cold, _) = folder.open().await;
    assert_eq!(all_faults(&cold).await, []);
}

#[tokio::test]
async fn behind_a_damage_the_other_blocks_are_still_there_and_new_ones_find_a_place() {
    let folder = Folder::new(9).await;
    let last = *folder.recorded.last().unwrap();
    let path = folder.path(last.segment);
    let mut bytes = fs::read(&path).unwrap();
    let at = header(STORE, last.segment).len() + 60;
    bytes[at] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let (cold, found) = folder.open().await;
    assert_eq!(found.faults.len(), 1);
    assert_eq!(folder.readable(&cold).await, folder.blocks.len() - 1);
    let new = Block::raw(vec![77; 10]);
    let appended = cold.append(vec![new.clone()]).await.unwrap();
    cold.publish().await.unwrap();
    assert_eq!(appended.extent.segment, last.segment + 1, "not behind the damage");
    assert_eq!(cold.get(new.cid).await.unwrap(), Some(new.bytes));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_missing_or_cut_segment_is_named() {
    let folder = Folder::new(9).await;
    assert_eq!(folder.recorded.len(), 3);
    for gone in 1..=3 {
        let path = folder.path(gone);
        let sound = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let missing = Damage {
            place: file_name(gone),
            offset: None,
            what: "the segment is missing".to_owned(),
        };
        let (cold, found) = folder.open().await;
        assert_eq!(found.faults, std::slice::from_ref(&missing));
        assert!(all_faults(&cold).await.contains(&missing));
        assert!(folder.readable(&cold).await >= 6);

        fs::write(&path, &sound[..sound.len() - 1]).unwrap();
        let (cold, found) = folder.open().await;
        assert_eq!(found.cut, 0);
        let end = Some(sound.len() as u64 - 1);
        assert!(found.faults.iter().any(|fault| fault.offset == end), "{found:?}");
        assert!(all_faults(&cold).await.iter().any(|fault| fault.offset == end));
        assert!(folder.readable(&cold).await >= 6);
        fs::write(&path, &sound).unwrap();
    }
}

#[tokio::test]
async fn a_foreign_file_is_named_and_left_alone() {
    let folder = Folder::new(7).await;
    let stranger = header([9; 16], 3);
    let files = [
        ("notes.txt".to_owned(), b"hello".to_vec()),
        (file_name(3), stranger),
        (file_name(8), header(STORE, 8)),
        (file_name(9), header(STORE, 9)),
        (sidecar_name(7), vec![]),
    ];
    for (name, content) in &files {
        fs::write(folder.dir.path().join(name), content).unwrap();
    }
    let (cold, found) = folder.open().await;
    let mut named: Vec<_> = found.faults.iter().map(|fault| fault.place.clone()).collect();
    named.sort_unstable();
    let mut expected: Vec<_> = files.iter().map(|(name, _)| name.clone()).collect();
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert_eq!(cold.survey().await.unwrap().len(), files.len());
    for (name, content) in &files {
        assert_eq!(&fs::read(folder.dir.path().join(name)).unwrap(), content);
    }
    // New segments keep clear of them.
    for seed in 0..6 {
        cold.append(vec![Block::raw(vec![seed; 900])]).await.unwrap();
        cold.publish().await.unwrap();
    }
    assert!(cold.segments().await.unwrap().contains(&10));
}

#[tokio::test]
async fn a_sidecar_is_made_anew_when_it_is_missing_or_stale_and_named_when_damaged() {
    let folder = Folder::new(9).await;
    let path = folder.dir.path().join(sidecar_name(1));
    let sound = fs::read(&path).unwrap();
    for stale in [None, Some(&b"stale"[..]), Some(&[0; 500][..])] {
        fs::remove_file(&path).unwrap();
        if let Some(stale) = stale {
            fs::write(&path, stale).unwrap();
        }
        let (cold, found) = folder.open().await;
        assert_eq!(found.faults, []);
        assert_eq!(folder.readable(&cold).await, folder.blocks.len());
        assert_eq!(fs::read(&path).unwrap(), sound);
    }
    let mut bytes = sound.clone();
    bytes[40] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let (cold, _) = folder.open().await;
    let faults = all_faults(&cold).await;
    assert!(faults.iter().any(|fault| fault.place == sidecar_name(1)), "{faults:?}");
}

#[tokio::test]
async fn segments_of_another_store_are_strangers() {
    let folder = Folder::new(3).await;
    let cold = Cold::new(Arc::new(FileCold::new(folder.dir.path(), LIMIT).unwrap()));
    let found = cold.recover([4; 16], Vec::new()).await.unwrap();
    assert_eq!((found.cut, found.faults.len()), (0, 1));
    let block = folder.blocks[0].cid;
    assert!(matches!(cold.get(block).await, Ok(None) | Err(StoreError::Corrupt(_))));
    assert!(folder.path(1).exists());
}
