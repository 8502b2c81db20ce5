//! A full disk: status 75, nothing that was acknowledged is lost, and it works again with room.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::Path,
};

use crate::{disk::SmallDisk, shell::Shell};

const SPHERE: &str = "[suite]\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 2\n";
const FULL: [&str; 2] = ["no space is left", "(code exhausted;"];

/// A shell whose home is a disk of that size, with a spec, a suite and an agent beside it.
fn shell(size: &str) -> Option<(Shell, SmallDisk)> {
    let shell = Shell::new();
    shell.write("spec.toml", SPHERE);
    shell.write("suite.toml", SPHERE.trim_start_matches("[suite]\n"));
    shell.write("agent/params.json", "{\"x0\": 1.0, \"x1\": 1.0}");
    fs::create_dir(shell.path("home")).unwrap();
    let disk = SmallDisk::new(&shell.path("home"), size)?;
    Some((shell, disk))
}

/// Fills the disk to its last byte with the file at `path`.
fn fill(path: &Path) {
    let mut file = File::options().create(true).append(true).open(path).unwrap();
    for size in [4096, 1] {
        loop {
            match file.write(&vec![0; size]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn what_cannot_be_stored_is_told_and_may_be_tried_again() {
    let Some((shell, _disk)) = shell("4m") else { return };
    shell.good("session new before");
    let run = shell.json("evolve spec.toml --max-generations 1");
    let run = run["id"].as_str().unwrap();
    let ballast = shell.path("home/ballast");
    fill(&ballast);
    let names = || {
        let listed = shell.json("session list --all");
        let mut names: Vec<_> = listed["sessions"].as_array().unwrap().clone();
        names.sort_by_key(|session| session["name"].as_str().unwrap().to_owned());
        names.into_iter().map(|session| session["name"].clone()).collect::<Vec<_>>()
    };
    for line in [
        "session new during".to_owned(),
        "session close before".to_owned(),
        "eval agent --suite suite.toml".to_owned(),
        format!("eval {run} --suite suite.toml"),
        "evolve spec.toml --max-generations 1".to_owned(),
    ] {
        shell.fails(&line, 75, &FULL);
    }
    let said = shell.run("session new during --json");
    assert_eq!(said.status, 75);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&json["kind"], &json["code"]), (&"error".into(), &"exhausted".into()));
    // What there is can be read meanwhile, and is whole.
    assert_eq!(names(), ["before", "default"]);
    shell.good(&format!("runs show {run}"));
    shell.good("store verify");

    fs::remove_file(&ballast).unwrap();
    shell.good("session new after");
    shell.good("eval agent --suite suite.toml");
    assert_eq!(names(), ["after", "before", "default"]);
    shell.good("store verify");
    shell.good("down");
}

#[test]
fn a_daemon_that_has_no_room_to_start_says_so_and_starts_when_it_has() {
    let Some((shell, _disk)) = shell("4m") else { return };
    // As a new home, without room even for a certificate, and with some of it.
    let ballast = shell.path("home/ballast");
    fill(&ballast);
    let parts = ["did not start: no space is left", "home/state/darwind.log", "(code exhausted;"];
    shell.fails("up", 75, &parts);
    fs::remove_file(&ballast).unwrap();
    shell.good("session new before");
    shell.good("down");
    fill(&ballast);
    shell.fails("up", 75, &["did not start: ", "(code exhausted;"]);
    shell.fails("session list", 75, &["did not start: "]);
    fs::remove_file(&ballast).unwrap();
    assert_eq!(shell.json("session list")["sessions"][0]["name"], "before");
    shell.good("store verify");
    shell.good("down");
}

#[test]
fn a_new_home_needs_room_and_whatever_it_lacks_it_says_so() {
    for blocks in (2..=40).step_by(2) {
        let Some((shell, _disk)) = shell(&format!("{}k", blocks * 4)) else { return };
        let said = shell.run("up");
        assert!(said.status == 75 || said.status == 0, "{blocks} blocks: {}", said.err);
        assert!(said.status == 75 || blocks > 20, "{blocks} blocks are not enough");
        if said.status == 75 {
            assert!(said.err.contains("(code exhausted;"), "{}", said.err);
            assert!(shell.daemon().is_none());
        } else {
            shell.good("down");
        }
    }
}

#[test]
fn what_is_written_for_the_user_is_whole_or_named() {
    let Some((shell, _disk)) = shell("4m") else { return };
    let run = shell.json("evolve spec.toml --max-generations 1");
    let run = run["id"].as_str().unwrap();
    let out = shell.path("out");
    fs::create_dir(&out).unwrap();
    let Some(_small) = SmallDisk::new(&out, "64k") else { return };
    fill(&out.join("ballast"));
    for line in [
        format!("lineage export {run} -o out/x.car"),
        format!("lineage export {run} --format json -o out/x.json"),
        format!("agents export {run} out/best"),
        format!("eval {run} --suite suite.toml --junit out/x.xml"),
    ] {
        shell.fails(&line, 75, &["can't write out/", "No space left", "(code exhausted;"]);
    }
    assert!(!out.join("x.car").exists() && !out.join("x.car.part").exists());
    shell.good("down");
}
