//! Files of any size, kept with a session: stored and fetched, whoever is killed meanwhile.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use darwin::{
    code::Code,
    link::client::Link,
    provenance::digest::sha256,
    wire::{
        fault::Fault,
        v1::{self, blob_part},
    },
};
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{
    home::{Home, PATIENCE, until},
    shell::{Said, Shell},
};

const MIB: usize = 1 << 20;

/// A file of that size, no two parts of which are alike, and its digest.
fn file(shell: &Shell, name: &str, size: usize) -> (PathBuf, Vec<u8>, String) {
    let seed = name.len() as u64;
    let words = (0..=size as u64 / 8)
        .flat_map(|at| ((at + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at).to_le_bytes());
    let content: Vec<u8> = words.take(size).collect();
    let digest = sha256(&content).to_string();
    (shell.write(name, &content), content, digest)
}

fn spawn(shell: &Shell, line: &str) -> Child {
    let mut command = shell.command(line.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until so many bytes more lie in the cold tier: quicker than asking, so that what is killed
/// then is not over yet.
fn grown(shell: &Shell, by: usize) {
    let size = || {
        let segments =
            fs::read_dir(shell.path("home/data/store/cold")).into_iter().flatten().flatten();
        segments.filter_map(|it| Some(it.metadata().ok()?.len())).sum::<u64>()
    };
    let before = size();
    until("more is stored", || (size() >= before + by as u64).then_some(()));
}

#[test]
fn a_file_is_stored_once_and_comes_back_byte_for_byte() {
    let shell = Shell::new();
    let none = shell.run("blob list");
    assert_eq!((none.status, none.out.as_str()), (0, ""));
    assert!(none.err.contains("darwin blob put FILE"), "{}", none.err);
    let (_, content, digest) = file(&shell, "weights.bin", 3 * MIB + 17);
    assert_eq!(shell.good("blob put weights.bin"), format!("{digest}\n"));
    let again = shell.json("blob put weights.bin");
    assert_eq!((&again["kind"], &again["sent"]), (&"blob".into(), &0.into()));
    let list = shell.good("blob list");
    assert!(list.contains(&digest[..16]) && list.contains("3.0 MiB"), "{list}");
    assert!(list.contains("weights.bin") && list.contains("whole"), "{list}");
    for name in [&digest[..], &digest[..12], "weights.bin"] {
        let _ = fs::remove_file(shell.path("out"));
        let got = shell.json(&format!("blob get {name} -o out"));
        assert_eq!(got["received"], content.len());
        assert_eq!(fs::read(shell.path("out")).unwrap(), content);
    }
    let piped = shell.command(["blob", "get", &digest]).output().unwrap();
    assert!(piped.status.success() && piped.stdout == content);

    shell.fails("blob get nothing", 1, &["no blob “nothing”", "darwin blob list"]);
    shell.fails("blob get weights.bin --json", 64, &["-o FILE"]);
    shell.fails("blob put gone.bin", 64, &["can't read gone.bin"]);
    shell.fails("blob get weights.bin -o gone/out", 64, &["gone/out"]);
    // Another session's are its own.
    shell.good("session new other");
    shell.fails(&format!("blob get {digest} -o out --session other"), 1, &["darwin blob list"]);
    shell.write("twin", b"x");
    shell.good("blob put twin --name weights.bin");
    shell.fails("blob get weights.bin -o out", 64, &["2 blobs", "by its digest"]);
    assert!(shell.good("store verify").contains("sound"));
}

#[test]
fn what_was_fetched_before_is_not_fetched_again_and_damage_is_found() {
    let shell = Shell::new();
    let (_, content, digest) = file(&shell, "data", 2 * MIB);
    shell.good("blob put data");
    let part = format!("out.{}.part", &digest[..12]);
    shell.write(&part, &content[..MIB + 5]);
    let got = shell.json("blob get data -o out");
    assert_eq!(got["received"], content.len() - MIB - 5);
    assert_eq!(fs::read(shell.path("out")).unwrap(), content);
    assert!(!shell.path(&part).exists());

    // What is longer than the whole is nothing to go on with.
    shell.write(&part, [&content[..], b"more"].concat());
    assert_eq!(shell.json("blob get data -o out")["received"], content.len());
    assert_eq!(fs::read(shell.path("out")).unwrap(), content);

    let mut damaged = content[..MIB].to_vec();
    damaged[7] ^= 1;
    shell.write(&part, damaged);
    fs::remove_file(shell.path("out")).unwrap();
    shell.fails("blob get data -o out", 65, &["not what the digest", "get it again"]);
    assert!(!shell.path("out").exists() && !shell.path(&part).exists());
    shell.good("blob get data -o out");
    assert_eq!(fs::read(shell.path("out")).unwrap(), content);
}

#[test]
fn who_is_killed_while_it_stores_goes_on_where_it_stopped() {
    let shell = Shell::new();
    let size = 128 * MIB;
    let (_, content, digest) = file(&shell, "weights", size);
    shell.good("up");
    // The client first, then the daemon.
    let mut client = spawn(&shell, "blob put weights");
    grown(&shell, 8 * MIB);
    client.kill().unwrap();
    client.wait().unwrap();
    let blobs = shell.json("blob list");
    let first = blobs["blobs"][0]["have"].as_u64().unwrap();
    assert!(first > 0 && first < size as u64, "{first} of {size} bytes");
    let client = spawn(&shell, "blob put weights --json");
    grown(&shell, 8 * MIB);
    shell.kill_daemon();
    let said = client.wait_with_output().unwrap();
    let talk = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{talk}");
    let told: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&told["digest"], &told["size"]), (&digest.into(), &size.into()));
    assert!(told["sent"].as_u64().unwrap() <= size as u64 - first, "{told}");

    let client = spawn(&shell, "blob get weights -o out");
    let part = || {
        fs::read_dir(shell.path("")).unwrap().flatten().find(|it| {
            it.file_name().to_string_lossy().ends_with(".part")
                && it.metadata().is_ok_and(|part| part.len() > 8 * MIB as u64)
        })
    };
    until("something came", part);
    shell.kill_daemon();
    let said = Said::of(client.wait_with_output().unwrap());
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(fs::read(shell.path("out")).unwrap() == content);
    assert!(shell.good("store verify").contains("sound"));
}

async fn begun(link: &Link, digest: &[u8], size: u64) -> Result<u64, Fault> {
    let digest = digest.to_vec().into();
    let begin = v1::NewBlob { digest, size, ..v1::NewBlob::default() };
    let begin = v1::BlobPart { what: Some(blob_part::What::Begin(begin)) };
    let parts = stream::iter([begin]).chain(stream::pending());
    let mut states = link.blobs().put(parts).await.map_err(Fault::from)?.into_inner();
    Ok(states.message().await.map_err(Fault::from)?.unwrap().have)
}

/// The content of a blob from an offset on.
async fn rest(link: &Link, digest: &[u8], offset: u64) -> Result<Vec<u8>, Fault> {
    let digest = digest.to_vec().into();
    let request = v1::GetBlobRequest { digest, offset, ..v1::GetBlobRequest::default() };
    let mut pieces = link.blobs().get(request).await.map_err(Fault::from)?.into_inner();
    let mut all = Vec::new();
    while let Some(piece) = pieces.message().await.map_err(Fault::from)? {
        all.extend_from_slice(&piece.data);
    }
    Ok(all)
}

/// Whoever asks for much and takes nothing off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_off_costs_little_holds_up_nobody_and_makes_room() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    let content: Vec<u8> =
        (0..24 * MIB as u64 / 8).flat_map(|at| (at * at).to_le_bytes()).collect();
    let digest = sha256(&content).0.to_vec();
    let begin = v1::NewBlob {
        digest: digest.clone().into(),
        size: content.len() as u64,
        ..Default::default()
    };
    let whats = [blob_part::What::Begin(begin)]
        .into_iter()
        .chain(content.chunks(MIB).map(|piece| blob_part::What::Data(piece.to_vec().into())));
    let parts: Vec<_> = whats.map(|what| v1::BlobPart { what: Some(what) }).collect();
    let states = link.blobs().put(stream::iter(parts)).await.unwrap().into_inner();
    let last = states.map(Result::unwrap).collect::<Vec<_>>().await.pop().unwrap();
    assert!(last.done && last.have == content.len() as u64);

    let resident = async || {
        let status = link.operations().status(v1::StatusRequest {}).await.unwrap();
        status.into_inner().resident_bytes
    };
    let before = resident().await;
    let (mut stalled, mut turned_away) = (Vec::new(), 0);
    let lazy = [home.link(&endpoint).await, home.link(&endpoint).await];
    for number in 0..34 {
        let request = v1::GetBlobRequest { digest: digest.clone().into(), ..Default::default() };
        match lazy[number % 2].blobs().get(request).await {
            Ok(pieces) => stalled.push(pieces.into_inner()),
            Err(status) => {
                let fault = Fault::from(status);
                assert_eq!(fault.code(), Code::Exhausted, "{fault}");
                turned_away += 1;
            }
        }
    }
    assert_eq!((stalled.len(), turned_away), (32, 2));
    let mut longest = Duration::ZERO;
    for _ in 0..50 {
        let asked = Instant::now();
        resident().await;
        longest = longest.max(asked.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    let grown = resident().await.saturating_sub(before) >> 20;
    println!("others waited {longest:?} at the most; {grown} MiB for 32 stalled streams");
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    assert!(grown < 224, "{grown} MiB");
    // After a while they make room for who gets on.
    let asked = Instant::now();
    while let Err(fault) = rest(&link, &digest, 0).await {
        assert_eq!(fault.code(), Code::Exhausted, "{fault}");
        assert!(asked.elapsed() < PATIENCE, "they never made room");
        sleep(Duration::from_millis(100)).await;
    }
    // What they took off is short, and says so.
    let mut pieces = stalled.pop().unwrap();
    // The others hold what their connection may have on its way.
    drop(stalled);
    let mut took = 0;
    let cut = loop {
        match timeout(PATIENCE, pieces.message()).await.unwrap() {
            Ok(Some(piece)) => took += piece.data.len(),
            Ok(None) => panic!("it looks whole after {took} bytes"),
            Err(status) => break Fault::from(status),
        }
    };
    assert_eq!(cut.code(), Code::Unavailable, "{cut}");
    assert!(took < content.len());
    assert_eq!(rest(&link, &digest, took as u64).await.unwrap(), content[took..]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_makes_no_sense_is_refused_with_a_reason() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    assert_eq!(begun(&link, &[1; 32], 5).await.unwrap(), 0);
    // Nobody sends it any more; another size would be another blob.
    let other = begun(&link, &[1; 32], 6).await.unwrap_err();
    assert!(other.code() == Code::InvalidInput && other.message.contains("5 bytes"), "{other}");
    let short = begun(&link, &[1; 31], 5).await.unwrap_err();
    assert!(short.message.contains("32 bytes"), "{short}");
    let large = begun(&link, &[2; 32], u64::MAX).await.unwrap_err();
    assert!(large.message.contains("256 GiB"), "{large}");
    let missing = rest(&link, &[3; 32], 0).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound, "{missing}");
    let unfinished = rest(&link, &[1; 32], 0).await.unwrap_err();
    assert_eq!(unfinished.code(), Code::Conflict, "{unfinished}");
    let data = v1::BlobPart { what: Some(blob_part::What::Data(vec![1].into())) };
    let status = link.blobs().put(stream::iter([data])).await.unwrap_err();
    assert!(Fault::from(status).message.contains("says which blob"));
}
