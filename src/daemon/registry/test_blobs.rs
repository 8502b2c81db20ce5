//! Blobs: stored in parts, gone on with, checked, and opened by their session's key alone.

use super::{
    Registry,
    blobs::{MAX_BLOB, Upload},
    error::RegistryError,
    fixture::{IN_MEMORY, ON_DISK, family, open, session_id, shred, store, with_run},
};
use crate::{
    code::Code,
    domain::{digest::Digest, id::SessionId},
    provenance::{digest::sha256, seal::MAX_CHUNK},
};

/// Bytes of which no part is like another.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 1000) as u8 ^ at as u8).collect()
}

async fn begin(registry: &Registry, content: &[u8]) -> Result<Upload, RegistryError> {
    let size = content.len() as u64;
    registry.store_blob(session_id(), sha256(content), size, "very secret weights").await
}

async fn put(registry: &Registry, content: &[u8]) -> Result<(), RegistryError> {
    let mut upload = begin(registry, content).await?;
    if upload.done() {
        return Ok(());
    }
    let have = usize::try_from(upload.have()).unwrap();
    for piece in content[have..].chunks(300_000) {
        upload.write(piece).await?;
    }
    upload.finish().await
}

async fn read(registry: &Registry, digest: Digest, from: u64) -> Result<Vec<u8>, RegistryError> {
    let blob = registry.blob(session_id(), digest).await?;
    let mut all = Vec::new();
    loop {
        let piece = blob.from(from + all.len() as u64).await?;
        if piece.is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(&piece);
    }
}

#[tokio::test]
async fn a_blob_comes_back_as_it_was_from_any_offset() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    with_run(&registry).await;
    let part = MAX_CHUNK;
    for size in [0, 1, 999, part - 1, part, part + 1, 3 * part, 3 * part + 7] {
        let content = content(size);
        put(&registry, &content).await.unwrap();
        let digest = sha256(&content);
        for from in [0, 1, part - 1, part, 2 * part + 5, size] {
            let expected = content.get(from..).unwrap_or_default();
            assert_eq!(read(&registry, digest, from as u64).await.unwrap(), expected, "{size}");
        }
        // Once more it is there already.
        assert!(begin(&registry, &content).await.unwrap().done());
    }
    let blobs = registry.blobs(session_id(), 99).await.unwrap();
    assert_eq!(blobs.len(), 8);
    assert_eq!((blobs[0].size, blobs[7].size), (3 * part as u64 + 7, 0));
    assert!(blobs.iter().all(|blob| blob.done && blob.have == blob.size));
    assert!(blobs.iter().all(|blob| blob.name == "very secret weights"));
    assert_eq!(registry.blobs(session_id(), 2).await.unwrap(), blobs[..2]);
}

#[tokio::test]
async fn who_was_interrupted_goes_on_behind_the_last_part_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut registry = open(dir.path(), &ON_DISK).await.unwrap();
    with_run(&registry).await;
    let content = content(5 * MAX_CHUNK + 1000);
    let digest = sha256(&content);
    let mut had = 0;
    for stop in [MAX_CHUNK / 2, 2 * MAX_CHUNK + 5, 5 * MAX_CHUNK] {
        let mut upload = begin(&registry, &content).await.unwrap();
        let have = usize::try_from(upload.have()).unwrap();
        assert_eq!((have, upload.done()), (had, false));
        upload.write(&content[have..stop]).await.unwrap();
        drop(upload);
        had = stop / MAX_CHUNK * MAX_CHUNK;
        let unfinished = read(&registry, digest, 0).await.unwrap_err();
        assert_eq!(unfinished.code(), Code::Conflict, "{unfinished}");
        registry.close().await;
        drop(registry);
        registry = open(dir.path(), &ON_DISK).await.unwrap();
        let blob = registry.blobs(session_id(), 9).await.unwrap().remove(0);
        assert_eq!((blob.digest, blob.have, blob.done), (digest, had as u64, false));
    }
    put(&registry, &content).await.unwrap();
    assert_eq!(read(&registry, digest, 0).await.unwrap(), content);
    let checked = registry.verify_all().await.unwrap();
    assert_eq!(checked.faults, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_what_its_digest_says_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    with_run(&registry).await;
    let right = content(2 * MAX_CHUNK);
    let mut wrong = right.clone();
    wrong[MAX_CHUNK + 3] ^= 1;
    let mut upload = begin(&registry, &right).await.unwrap();
    upload.write(&wrong).await.unwrap();
    let refused = upload.finish().await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidInput, "{refused}");
    assert_eq!(registry.blobs(session_id(), 9).await.unwrap(), []);
    // Too little, too much, and another size than it was begun with.
    let mut upload = begin(&registry, &right).await.unwrap();
    upload.write(&right[..MAX_CHUNK + 9]).await.unwrap();
    assert_eq!(upload.finish().await.unwrap_err().code(), Code::InvalidInput);
    let mut upload = begin(&registry, &right).await.unwrap();
    assert_eq!(upload.have(), MAX_CHUNK as u64);
    assert_eq!(upload.write(&right).await.unwrap_err().code(), Code::InvalidInput);
    drop(upload);
    let size = right.len() as u64;
    for size in [size - 1, size + 1, MAX_BLOB + 1] {
        let refused = registry.store_blob(session_id(), sha256(&right), size, "x").await;
        assert_eq!(refused.err().unwrap().code(), Code::InvalidInput, "{size}");
    }
    put(&registry, &right).await.unwrap();
    assert_eq!(read(&registry, sha256(&right), 0).await.unwrap(), right);
}

#[tokio::test]
async fn two_who_store_the_same_take_turns() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &IN_MEMORY).await.unwrap();
    with_run(&registry).await;
    let content = content(20 * MAX_CHUNK);
    // Agents are committed in the same groups.
    let agents = store(&registry, family(9, 4));
    let (one, two, ()) = tokio::join!(put(&registry, &content), put(&registry, &content), agents);
    one.unwrap();
    two.unwrap();
    assert_eq!(registry.blobs(session_id(), 9).await.unwrap().len(), 1);
    assert_eq!(read(&registry, sha256(&content), 0).await.unwrap(), content);
}

#[tokio::test]
async fn a_blob_is_its_sessions_alone_and_gone_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let registry = open(dir.path(), &ON_DISK).await.unwrap();
    with_run(&registry).await;
    let content = b"the very secret blob".repeat(1000);
    put(&registry, &content).await.unwrap();
    let other = SessionId::new(5, [5; 10]);
    registry.create_session(other, "other", "bob").await.unwrap();
    let missing = registry.blob(other, sha256(&content)).await.err().unwrap();
    assert_eq!(missing.code(), Code::NotFound, "{missing}");
    assert_eq!(registry.blobs(other, 9).await.unwrap(), []);
    // A closed session takes no new one, and gives out what it has.
    registry.close_session(session_id(), true).await.unwrap();
    assert_eq!(put(&registry, b"more").await.unwrap_err().code(), Code::Conflict);
    assert_eq!(read(&registry, sha256(&content), 0).await.unwrap(), content);
    shred(&registry).await;
    assert_eq!(read(&registry, sha256(&content), 0).await.unwrap_err().code(), Code::Denied);
    assert_eq!(registry.blobs(session_id(), 9).await.unwrap_err().code(), Code::Denied);
}
