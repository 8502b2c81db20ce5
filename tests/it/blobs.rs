//! Files of any size, kept with a session: stored and fetched, whoever is killed meanwhile.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
};

use darwin::provenance::digest::sha256;
use serde_json::Value;

use crate::{
    home::until,
    shell::{Said, Shell},
};

const MIB: usize = 1 << 20;

/// A file of that size, no two parts of which are alike, and its digest.
fn file(shell: &Shell, name: &str, size: usize) -> (PathBuf, Vec<u8>, String) {
    let seed = name.len() as u64;
    let words = (0..size as u64 / 8 + 1)
        .flat_map(|at| ((at + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at).to_le_bytes());
    let content: Vec<u8> = words.take(size).collect();
    let digest = sha256(&content).to_string();
    (shell.write(name, &content), content, digest)
}

fn spawn(shell: &Shell, line: &str) -> Child {
    let mut command = shell.command(line.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// How much of the first blob is stored.
fn stored(shell: &Shell) -> u64 {
    let blobs = shell.json("blob list");
    blobs["blobs"][0]["have"].as_u64().unwrap_or(0)
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
    let first = until("something is stored", || Some(stored(&shell)).filter(|it| *it > 0));
    client.kill().unwrap();
    client.wait().unwrap();
    assert!(first < size as u64, "it was too quick to be killed");
    let client = spawn(&shell, "blob put weights --json");
    until("more is stored", || Some(stored(&shell)).filter(|it| *it > first + 8 * MIB as u64));
    shell.kill_daemon();
    let said = client.wait_with_output().unwrap();
    let talk = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{talk}");
    let told: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&told["digest"], &told["size"]), (&digest.into(), &size.into()));
    assert!(told["sent"].as_u64().unwrap() < size as u64, "{told}");

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
