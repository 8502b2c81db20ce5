//! Sessions as their user has them: what is kept with them, and their end.

use std::{fs, path::Path, process::Stdio};

use rusqlite::Connection;
use serde_json::Value;

use crate::shell::{SPHERE, Said, Shell};

fn shell() -> Shell {
    let shell = Shell::with_sphere();
    shell.write("suite.toml", SPHERE.split_once("[suite]\n").unwrap().1);
    shell
}

/// Runs the command with `input` on its stdin.
fn fed(shell: &Shell, line: &str, input: &[u8]) -> Said {
    shell.write("input", input);
    let mut command = shell.command(line.split_whitespace());
    command.stdin(Stdio::from(fs::File::open(shell.path("input")).unwrap()));
    Said::of(command.output().unwrap())
}

#[test]
fn a_context_is_kept_with_its_session_until_it_is_cleared() {
    let shell = shell();
    let session = shell.good("session new packing");
    let none = shell.run("session context packing");
    assert_eq!((none.status, none.out.as_str()), (0, ""));
    assert!(none.err.contains("darwin session context packing --set FILE"), "{}", none.err);
    let text = "Pack the circles.\n\nLarge ones first: é\n";
    shell.write("notes.md", text);
    shell.good("session context packing --set notes.md");
    assert_eq!(shell.good("session context packing"), text);
    let json = shell.json("session context packing");
    assert_eq!((&json["kind"], &json["text"]), (&"context".into(), &text.into()));
    assert_eq!(json["session"], session.trim());
    // It is there after an end and after a kill, and to be seen by whoever comes back.
    shell.good("down");
    assert_eq!(shell.good("session context packing"), text);
    shell.kill_daemon();
    assert_eq!(shell.good("session context packing"), text);
    let resumed = shell.good("session resume packing");
    assert!(resumed.contains("context  40 B: Pack the circles. …"), "{resumed}");
    assert_eq!(shell.json("session resume packing")["context"]["text"], text);

    let said = fed(&shell, "session context packing --set -", b"from a pipe");
    assert_eq!((said.status, said.out.as_str()), (0, ""), "{}", said.err);
    assert_eq!(shell.good("session context packing"), "from a pipe");
    // As much as there may be, and what may not.
    let most = "x".repeat(1 << 20);
    assert_eq!(fed(&shell, "session context packing --set -", most.as_bytes()).status, 0);
    assert_eq!(shell.good("session context packing"), most);
    let over = fed(&shell, "session context packing --set -", format!("{most}x").as_bytes());
    assert_eq!(over.status, 64);
    assert!(over.err.contains("is over 1 MiB"), "{}", over.err);
    let odd = fed(&shell, "session context packing --set -", b"\xff\xfe");
    assert!(odd.status == 64 && odd.err.contains("is no text in UTF-8"), "{}", odd.err);
    shell.fails("session context packing --set gone.md", 64, &["can't read gone.md"]);
    shell.fails("session context packing --set a --clear", 64, &["cannot be used with"]);
    shell.fails("session context nobody", 1, &["there is no session “nobody”"]);
    assert_eq!(shell.good("session context packing"), most);

    shell.good("session close packing");
    shell.fails("session context packing --clear", 1, &["`darwin session resume "]);
    assert_eq!(shell.good("session context packing"), most);
    shell.good("session resume packing");
    shell.good("session context packing --clear");
    assert_eq!(shell.json("session context packing")["text"], Value::Null);
    assert_eq!(shell.good("session context packing"), "");
}

#[test]
fn sessions_of_one_name_are_told_apart_by_their_ids() {
    let shell = shell();
    let ids = [shell.good("session new twin"), shell.good("session new twin")];
    for line in ["session resume twin", "session close twin", "evolve sphere.toml --session twin"] {
        shell.fails(line, 64, &["several sessions are called “twin”", "session list --all"]);
    }
    assert_eq!(shell.json(&format!("session close {}", ids[0].trim()))["id"], ids[0].trim());
    assert_eq!(shell.json("session list")["sessions"][0]["id"], ids[1].trim());
}

#[test]
fn nothing_is_shredded_while_it_is_in_use_or_unless_somebody_confirms() {
    let shell = shell();
    shell.good("session new packing");
    let line = "evolve sphere.toml --session packing --max-generations 1000000000 --detach";
    let run = shell.good(line);
    let run = run.trim();
    shell.fails("session shred packing --yes", 1, &["is open", "`darwin session close "]);
    shell.good("session close packing");
    let at_work = format!("`darwin runs stop {run}`");
    shell.fails("session shred packing --yes", 1, &["is at work", &at_work]);
    shell.good(&format!("runs stop {run}"));
    shell.fails("session shred packing", 64, &["nobody is there to confirm", "--yes"]);
    shell.fails("session shred nobody --yes", 1, &["there is no session “nobody”"]);
    // All of it is there still.
    assert!(shell.good(&format!("runs show {run} --spec")).contains("population"));
    assert_eq!(shell.json("session list --all")["sessions"][0]["shredded"], false);
    shell.good(&format!("lineage verify {run}"));
}

/// The wrapped keys of all sessions, by name, as they are stored.
fn wrapped_keys(shell: &Shell) -> Vec<(String, Vec<u8>)> {
    let database = Connection::open(shell.paths().store().join("warm.db")).unwrap();
    let sql = "SELECT s.name, k.wrapped FROM session_key k JOIN session s ON s.node = k.session";
    let mut rows = database.prepare(sql).unwrap();
    let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The files below `dir` that hold these bytes.
fn files_with(dir: &Path, bytes: &[u8], found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_with(&path, bytes, found);
        } else if fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes) {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn of_a_shredded_session_the_lineage_is_left_and_nothing_else() {
    let shell = shell();
    shell.good("session new packing");
    shell.write("notes.md", "a note");
    shell.good("session context packing --set notes.md");
    let run = shell.json("evolve sphere.toml --session packing --max-generations 3");
    let (run, best) = (run["id"].as_str().unwrap(), run["best_agent"].as_str().unwrap());
    let other = shell.json("evolve sphere.toml --max-generations 1")["id"].clone();
    let other = other.as_str().unwrap();
    let before = shell.json(&format!("agents show {best}"));
    let tree = shell.good(&format!("lineage tree {run} --all"));
    shell.good(&format!("lineage export {best} -o before.car --disclose"));
    let keys = wrapped_keys(&shell);
    assert_eq!(keys.len(), 2);
    let left = |name: &str| {
        let mut files = Vec::new();
        let (_, key) = keys.iter().find(|(of, _)| of == name).unwrap();
        files_with(&shell.path("home"), key, &mut files);
        files
    };
    assert!(!left("packing").is_empty() && !left("default").is_empty());

    shell.good("session close packing");
    let said = shell.run("session shred packing --yes");
    assert_eq!((said.status, said.out.as_str()), (0, ""), "{}", said.err);
    assert!(said.err.contains("its key is destroyed"), "{}", said.err);
    assert_eq!(left("packing"), [""; 0]);
    let check = || {
        assert_eq!(left("packing"), [""; 0]);
        assert!(!left("default").is_empty());
        let listed = shell.good("session list --all");
        assert!(listed.lines().any(|line| line.contains("packing  shredded")), "{listed}");
        let sessions = shell.json("session list --all")["sessions"].clone();
        let packing = sessions.as_array().unwrap().iter().find(|one| one["name"] == "packing");
        assert_eq!(packing.unwrap()["shredded"], true);
        // What stands in clear columns.
        let agent = shell.json(&format!("agents show {best}"));
        for clear in ["id", "run", "generation", "slot", "parents", "operators", "score", "head"] {
            assert_eq!(agent[clear], before[clear], "{clear}");
        }
        assert_eq!((&agent["shredded"], &agent["genome"]), (&true.into(), &Value::Null));
        assert_eq!(before["shredded"], false);
        let shown = shell.good(&format!("agents show {run}"));
        assert!(shown.contains(best) && shown.contains("genome     shredded: "), "{shown}");
        assert_eq!(shell.good(&format!("lineage tree {run} --all")), tree);
        assert_eq!(shell.json(&format!("runs show {run}"))["agents"], 32);
        assert_eq!(shell.json("runs list --session packing")["runs"][0]["id"], run);
        assert!(shell.good(&format!("runs show {run}")).contains("content    shredded: "));
        let journal = shell.good(&format!("journal {best}"));
        assert!(journal.contains("shredded: its session's key is destroyed"), "{journal}");
        let entry = shell.json(&format!("journal {best}"));
        assert_eq!((&entry["shredded"], &entry["events"]), (&true.into(), &Value::Array(vec![])));
        let markdown = shell.good(&format!("journal {best} --format markdown"));
        assert!(markdown.contains("- shredded: "), "{markdown}");
        // Its contents are nobody's.
        for line in [
            format!("agents files {best}"),
            format!("agents export {best} out"),
            format!("lineage diff {best} {other}"),
            format!("lineage export {best} -o x.car --disclose"),
            format!("runs show {run} --spec"),
            format!("runs resume {run}"),
            format!("eval {best} --suite suite.toml"),
            "session context packing".to_owned(),
            "session context packing --clear".to_owned(),
            "session resume packing".to_owned(),
            "evolve sphere.toml --session packing".to_owned(),
        ] {
            let said = shell.run(&line);
            assert_eq!(said.status, 77, "darwin {line}\n{}\n{}", said.out, said.err);
            assert!(said.err.contains("key is destroyed"), "darwin {line}\n{}", said.err);
        }
        assert_eq!(shell.json(&format!("runs show {run}"))["state"], "finished");
        // Signatures and links hold, and it is said what was not checked.
        for line in [format!("lineage verify {best}"), "store verify".to_owned()] {
            let said = shell.run(&line);
            let contents = "contents not checked in 1 shredded session";
            assert!(said.status == 0 && said.out.starts_with("sound"), "{}", said.err);
            assert!(said.out.contains(contents), "{}", said.out);
            let json = shell.json(&line);
            assert_eq!((&json["sound"], &json["contents_checked"]), (&true.into(), &false.into()));
            assert_eq!(json["shredded"], 1);
        }
        shell.good(&format!("lineage export {best} -o after.car"));
        assert!(shell.good("lineage verify after.car").contains("contents not checked"));
        // Nobody else's are concerned, nor what was given away before.
        assert_eq!(shell.json(&format!("lineage verify {other}"))["contents_checked"], true);
        assert!(shell.good("lineage verify before.car").contains("contents checked"));
    };
    check();
    shell.good("down");
    assert_eq!(left("packing"), [""; 0]);
    check();
    shell.kill_daemon();
    check();
    // Once more does no harm, and the name is free.
    shell.good("session shred packing --yes");
    shell.good("evolve sphere.toml --max-generations 1");
}

#[test]
fn damage_of_a_journal_is_found_without_its_key() {
    let shell = shell();
    shell.good("session new packing");
    let run = shell.json("evolve sphere.toml --session packing --max-generations 3");
    let best = run["best_agent"].as_str().unwrap();
    shell.good("session close packing");
    shell.good("session shred packing --yes");
    shell.good("down");
    let segment = shell.paths().store().join("cold/segment-000001.car");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() / 20;
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    shell.fails("store verify", 65, &["segment-000001.car"]);
    let all = shell.json(&format!("lineage tree {} --all", run["id"].as_str().unwrap()));
    let ids = all["agents"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
    let verified = |id: &str| shell.run(&format!("lineage verify {id}")).status;
    assert!(ids.into_iter().any(|id| verified(id) == 65), "not even of {best}");
}
