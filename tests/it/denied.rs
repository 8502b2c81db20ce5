//! What a user may not read or write: named, with the status for it, and nothing is changed.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use crate::shell::Shell;

const SPHERE: &str = "[suite]\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 2\n";
const DENIED: &str = "Permission denied";

/// What `check` gives while nobody may do anything with the file or directory at `path`.
fn without<T>(path: &Path, check: impl FnOnce() -> T) -> T {
    let before = fs::metadata(path).unwrap().permissions();
    fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
    let result = check();
    fs::set_permissions(path, before).unwrap();
    result
}

#[test]
fn input_that_may_not_be_read_is_named() {
    let shell = Shell::of_a_mere_user();
    shell.write("spec.toml", SPHERE);
    shell.write("lone/suite.toml", SPHERE.trim_start_matches("[suite]\n"));
    shell.write("split/darwin.toml", "suite = \"suite.toml\"\n[agent]\nfiles = [\"x.txt\"]\n");
    shell.write("split/suite.toml", SPHERE.trim_start_matches("[suite]\n"));
    shell.write("split/x.txt", "1.0");
    shell.write("open/initial_program.py", "X = 1\n");
    shell.write("open/evaluator.py", "def evaluate(path):\n    return {'combined_score': 1.0}\n");
    shell.write("open/config.yaml", "random_seed: 1\n");
    shell.write("task/initial.py", "# EVOLVE-BLOCK-START\nX = 1\n# EVOLVE-BLOCK-END\n");
    shell.write("task/evaluate.py", "def main(program_path, results_dir):\n    pass\n");
    shell.write("agent/deep/x.txt", "1");
    shell.write("file.car", "");
    let trust = "ab".repeat(32);
    for (file, line) in [
        ("spec.toml", "evolve spec.toml".to_owned()),
        ("split", "evolve split".to_owned()),
        ("split/darwin.toml", "evolve split".to_owned()),
        ("split/suite.toml", "evolve split".to_owned()),
        ("split/x.txt", "evolve split".to_owned()),
        ("open", "evolve open".to_owned()),
        ("open/initial_program.py", "evolve open".to_owned()),
        ("open/evaluator.py", "evolve open".to_owned()),
        ("open/config.yaml", "evolve open".to_owned()),
        ("task", "evolve task".to_owned()),
        ("task/initial.py", "evolve task".to_owned()),
        ("task/evaluate.py", "evolve task".to_owned()),
        ("open", "eval open".to_owned()),
        ("lone/suite.toml", "eval agent --suite lone".to_owned()),
        ("open/evaluator.py", "eval agent --suite open".to_owned()),
        ("agent", "eval agent --suite lone".to_owned()),
        ("agent/deep", "eval agent --suite lone".to_owned()),
        ("agent/deep/x.txt", "eval agent --suite lone".to_owned()),
        ("file.car", format!("lineage verify file.car --trust {trust}")),
    ] {
        without(&shell.path(file), || shell.fails(&line, 77, &[file, DENIED, "(code denied;"]));
    }
    assert!(shell.daemon().is_none(), "what is wrong is found before a daemon is started");
}

#[test]
fn a_configuration_that_may_not_be_read_is_named() {
    let shell = Shell::of_a_mere_user();
    let file = shell.write("home/darwind.toml", "[registry]\ngroup = 64\n");
    for line in ["config check", "config show", "up", "status"] {
        without(&file, || shell.fails(line, 77, &["home/darwind.toml", DENIED]));
    }
    without(&shell.path("home"), || shell.fails("status", 77, &["home/", DENIED]));
}

#[test]
fn a_home_of_another_user_is_left_alone() {
    let shell = Shell::of_a_mere_user();
    fs::create_dir(shell.path("home")).unwrap();
    fs::set_permissions(shell.path("home"), Permissions::from_mode(0o755)).unwrap();
    shell.write("home/mine", "");
    fs::set_permissions(shell.path("home"), Permissions::from_mode(0o555)).unwrap();
    for line in ["up", "session new mine"] {
        shell.fails(line, 77, &["home/state", DENIED, "(code denied;"]);
    }
    assert_eq!(fs::read_dir(shell.path("home")).unwrap().count(), 1);
    fs::set_permissions(shell.path("home"), Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn keys_and_stores_that_may_not_be_read_are_named() {
    let shell = Shell::of_a_mere_user();
    shell.good("up");
    let paths = shell.paths();
    for file in ["client.key", "client.pem", "ca.pem"] {
        let parts = [file, DENIED, "the user who runs the daemon"];
        without(&paths.pki().join(file), || shell.fails("session list", 77, &parts));
    }
    without(&paths.endpoint(), || shell.fails("status", 77, &["endpoint.json", DENIED]));
    // A key that others may read is none.
    let key = paths.pki().join("client.key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    shell.fails("status", 77, &["client.key", "chmod 600"]);
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    shell.good("down");

    for file in ["keys/master.key", "keys/signing.key", "pki/server.key", "darwind.lock"] {
        let path = paths.data_dir.join(file);
        without(&path, || shell.fails("up", 77, &["did not start: ", file, DENIED]));
    }
    for file in ["store/warm.db", "store/cold", "store"] {
        let path = paths.data_dir.join(file);
        without(&path, || shell.fails("up", 77, &["did not start: ", "store"]));
    }
    without(&paths.keys(), || {
        shell.fails("lineage verify x.car", 77, &["trusted.keys", "--trust FINGERPRINT"]);
    });
    shell.good("up");
    shell.good("store verify");
}

#[test]
fn output_that_may_not_be_written_is_named() {
    let shell = Shell::of_a_mere_user();
    shell.write("spec.toml", SPHERE);
    let run = shell.json("evolve spec.toml --max-generations 1");
    let run = run["id"].as_str().unwrap();
    shell.write("suite.toml", SPHERE.trim_start_matches("[suite]\n"));
    let shut = shell.path("shut");
    fs::create_dir(&shut).unwrap();
    without(&shut, || {
        for line in [
            format!("agents export {run} shut/best"),
            format!("lineage export {run} -o shut/x.car"),
            format!("lineage export {run} --format json -o shut/x.json"),
            format!("eval {run} --suite suite.toml --junit shut/x.xml"),
            "completions --write shut/made".to_owned(),
        ] {
            shell.fails(&line, 77, &["can't write shut/", DENIED]);
        }
    });
}
