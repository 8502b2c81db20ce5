//! What there is, as its user looks at it; and what is damaged.

use std::fs;

use serde_json::Value;

use crate::shell::{Shell, cut_off};

#[test]
fn sessions_are_listed_the_last_used_first() {
    let shell = Shell::with_sphere();
    let none = shell.run("session list");
    assert_eq!((none.status, none.out.as_str()), (0, ""));
    assert!(none.err.contains("`darwin session new NAME`"), "{}", none.err);
    let first = shell.good("session new first");
    shell.good("session new second");
    shell.good("evolve sphere.toml --max-generations 1 --session first -q");
    shell.good("session close second");
    let rows = |line: &str| -> Vec<Vec<String>> {
        let text = shell.good(line);
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        text.lines().map(words).collect()
    };
    let open = rows("session list");
    assert_eq!(open[0], ["SESSION", "NAME", "STATE", "USED"]);
    assert_eq!(open[1][..3], [&first[..13], "first", "open"]);
    assert_eq!(open.len(), 2);
    let all = rows("session list --all");
    let states: Vec<_> = all[1..].iter().map(|row| (row[1].as_str(), row[2].as_str())).collect();
    assert_eq!(states, [("second", "closed"), ("first", "open")]);
    let json = shell.json("session list --all");
    let sessions = json["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!((&sessions[0]["name"], &sessions[0]["closed"]), (&"second".into(), &true.into()));
    assert_eq!((&sessions[1]["id"], &sessions[1]["user"]), (&first.trim().into(), &"ada".into()));
    let resumed = shell.good("session resume second");
    assert!(resumed.contains("open") && resumed.contains("0 runs"), "{resumed}");
    assert_eq!(rows("session list").len(), 3);
}

#[test]
fn the_specification_of_a_run_makes_the_same_run_again() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --population 12 --max-generations 3");
    assert_eq!(run["agents"], 48, "{run}");
    let spec = shell.good(&format!("runs show {} --spec", run["id"].as_str().unwrap()));
    assert!(spec.contains("population = 12") && spec.contains("generations = 3"), "{spec}");
    shell.write("again.toml", &spec);
    let again = shell.json("evolve again.toml");
    for field in ["name", "seed", "agents", "generation", "best", "objective"] {
        assert_eq!(again[field], run[field], "{field}");
    }
    assert_ne!(again["id"], run["id"]);
    let shown = shell.json(&format!("runs show {}", run["id"].as_str().unwrap()));
    assert_eq!(shown["spec_toml"], spec);
    shell.fails("evolve sphere.toml --population 1", 64, &["1 is not in 2..=100000"]);
}

#[test]
fn the_sandbox_that_was_asked_for_is_stamped_on_results() {
    let shell = Shell::new();
    shell.write(
        "problem/initial_program.py",
        "X = 1\n# EVOLVE-BLOCK-START\nY = 1.0\n# EVOLVE-BLOCK-END\n",
    );
    shell
        .write("problem/evaluator.py", "def evaluate(path):\n    return {'combined_score': 1.0}\n");
    for sandbox in ["full", "reduced"] {
        let run = shell.json(&format!("evolve problem --max-evaluations 2 --sandbox {sandbox}"));
        let journal = shell.good(&format!("journal {} --json", run["id"].as_str().unwrap()));
        let entry: Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
        let events = entry["events"].as_array().unwrap();
        let evaluated = events.iter().find(|event| event["kind"] == "evaluated").unwrap();
        assert_eq!(evaluated["isolation"], sandbox);
        let eval = shell.json(&format!("eval problem --suite problem --sandbox {sandbox}"));
        assert_eq!(eval["evaluations"][0]["isolation"], sandbox);
    }
    shell.fails("evolve problem --sandbox none", 64, &["[possible values: full, reduced]"]);
}

#[test]
fn an_agent_and_its_files_are_shown() {
    let shell = Shell::with_sphere();
    shell.write("code/main.txt", "# EVOLVE-BLOCK-START\n1.0\n# EVOLVE-BLOCK-END\n");
    shell.write("code/sub/more.txt", "2.0\n");
    shell.write(
        "code/darwin.toml",
        "[agent]\nfiles = [\"main.txt\", \"sub\"]\n[stop]\nevaluations = 8\n[suite]\n\
         kind = \"command\"\nargv = [\"sh\", \"-c\", \"echo '{\\\"score\\\": 1}'\"]\n\
         [[suite.objectives]]\nname = \"score\"\n",
    );
    let run = shell.json("evolve code");
    let best = run["best_agent"].as_str().unwrap();
    let text = shell.good(&format!("agents show {best}"));
    for part in [best, "generation 0, slot ", "verdict", "initial", "main.txt", "sub/more.txt"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let listed = shell.good(&format!("agents files {best}"));
    assert!(listed.starts_with("FILE") && listed.contains("sub/more.txt"), "{listed}");
    let json = shell.json(&format!("agents files {best}"));
    let paths: Vec<_> =
        json["files"].as_array().unwrap().iter().map(|file| file["path"].clone()).collect();
    assert_eq!(paths, ["main.txt", "sub/more.txt"]);
    assert_eq!(shell.good(&format!("agents files {best} sub/more.txt")), "2.0\n");
    let parts = ["no file “gone.txt”", "one of: main.txt, sub/more.txt"];
    shell.fails(&format!("agents files {best} gone.txt"), 1, &parts);

    // One of parameters has none, and that is said.
    let run = shell.json("evolve sphere.toml --max-generations 1");
    let best = run["best_agent"].as_str().unwrap();
    let text = shell.good(&format!("agents show {best}"));
    assert!(text.contains("PARAMETER") && text.contains("\nx0 "), "{text}");
    let said = shell.run(&format!("agents files {best}"));
    assert_eq!((said.status, said.out.as_str()), (0, ""));
    assert!(said.err.contains("no files, only parameters"), "{}", said.err);
    shell.fails(
        &format!("agents files {best} x.py"),
        1,
        &["it has no files", "`darwin agents show`"],
    );
}

#[test]
fn a_lineage_is_exported_into_a_pipe() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --max-generations 4");
    let best = run["best_agent"].as_str().unwrap();
    let whole = shell.path("whole.car");
    for line in [format!("lineage export {best}"), format!("lineage export {best} -o -")] {
        let piped = shell.command(line.split(' ')).output().unwrap();
        assert!(piped.status.success() && piped.stderr.is_empty(), "{piped:?}");
        fs::write(&whole, piped.stdout).unwrap();
        assert!(shell.good("lineage verify whole.car").starts_with("sound"));
    }
    let json = shell.good(&format!("lineage export {best} --format json"));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["kind"], &json["agents"][0]["id"]), (&"lineage".into(), &best.into()));
    // Who reads no further is no error.
    let line = format!("lineage export {best}");
    let said = cut_off(shell.command(line.split(' ')), 16);
    assert_eq!((said.status, said.err.as_str()), (0, ""));
}

#[test]
fn damage_is_named_wherever_it_is_looked_at_and_nothing_is_dropped() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --max-generations 6");
    let best = run["best_agent"].as_str().unwrap();
    shell.good(&format!("lineage verify {best}"));
    shell.good("down");
    let segment = shell.paths().store().join("cold/segment-000001.car");
    let sound = fs::read(&segment).unwrap();
    let mut damaged = sound.clone();
    // In the midst of the first entries, from which all others come.
    let at = sound.len() / 20;
    damaged[at] ^= 1;
    fs::write(&segment, &damaged).unwrap();

    let backup = "restore it from a backup";
    shell.fails("store verify", 65, &["the store: segment-000001.car at byte ", backup]);
    let said = shell.run("store verify --json");
    assert_eq!(said.status, 65);
    let documents: Vec<Value> =
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [found, error] = &documents[..] else { panic!("{}", said.out) };
    assert_eq!((&found["kind"], &found["sound"]), (&"verification".into(), &false.into()));
    assert!(found["fault"].as_str().unwrap().starts_with("segment-000001.car at byte "));
    assert_eq!(error["code"], "corrupt");
    let all = shell.json(&format!("lineage tree {} --all", run["id"].as_str().unwrap()));
    let all = all["agents"].as_array().unwrap();
    let ids: Vec<_> = all.iter().map(|agent| agent["id"].as_str().unwrap()).collect();
    let verified = |id: &&&str| shell.run(&format!("lineage verify {id}")).status;
    let hurt: Vec<_> = ids.iter().filter(|id| verified(id) == 65).collect();
    assert!(!hurt.is_empty(), "byte {at} of {} is nobody's", sound.len());
    let one = hurt.last().unwrap();
    let line = format!("lineage verify {one}");
    shell.fails(&line, 65, &[one, "the content of block", "does not have the digest", backup]);
    shell.fails(&format!("lineage export {one} -o x.car"), 65, &["the content of block"]);
    assert!(!shell.path("x.car").exists() && !shell.path("x.car.part").exists());
    // All rows are there still, and nothing was written over the damage.
    assert_eq!(shell.json("runs list")["runs"][0]["agents"], run["agents"]);
    shell.good("down");
    assert!(fs::read(&segment).unwrap().starts_with(&damaged));

    fs::remove_file(&segment).unwrap();
    shell.fails("store verify", 65, &["segment-000001.car: the segment is missing"]);
    shell.good("down");
    fs::write(&segment, sound).unwrap();
    shell.good("store verify");
    shell.good(&format!("lineage verify {best}"));
}

#[test]
fn a_database_that_is_none_is_not_started_on() {
    let shell = Shell::with_sphere();
    shell.good("evolve sphere.toml --max-generations 2");
    shell.good("down");
    let database = shell.paths().store().join("warm.db");
    let sound = fs::read(&database).unwrap();
    fs::write(&database, "not a database, but long enough to be looked at\n".repeat(99)).unwrap();
    let parts = ["darwind did not start: the database: ", "is not a database"];
    let said = shell.fails("up", 65, &parts);
    assert!(!said.err.contains("ERROR"), "the log's own words are not the user's: {}", said.err);
    fs::write(&database, sound).unwrap();
    shell.good("store verify");
}
