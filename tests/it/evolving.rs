//! The main job as its user sees it: evolve, watch, stop, resume, inspect, trust.

use std::{fs, process::Command};

use insta::assert_snapshot;
use regex::Regex;
use serde_json::Value;

use crate::shell::{Said, Shell};

/// Starts a run that won't end by itself, and gives its id.
fn endless(shell: &Shell) -> String {
    let id = shell.good("evolve sphere.toml --max-generations 1000000000 --detach");
    id.trim().to_owned()
}

fn state(shell: &Shell, run: &str) -> Value {
    shell.json(&format!("runs show {run}"))["state"].clone()
}

#[test]
fn a_run_in_a_pipe_tells_its_start_and_its_end() {
    let shell = Shell::with_sphere();
    shell.good("up");
    let text = shell.transcript(&["evolve sphere.toml --seed 7 --max-generations 5", "runs list"]);
    // How well the engine does is not what is tested here, nor how many bests it tells of.
    let text: Vec<_> = text.lines().filter(|line| !line.starts_with("2> generation")).collect();
    let number = Regex::new(r"\d+\.\d+(e-?\d+)?").unwrap();
    let text = text.join("\n");
    let text = number.replace_all(&text, "[N]");
    // Columns are as wide as what they hold.
    assert_snapshot!(Regex::new(r"(\S) {2,}").unwrap().replace_all(&text, "$1  "));
}

#[test]
fn the_same_seed_gives_the_same_run_whatever_the_workers() {
    let shell = Shell::with_sphere();
    let mut seen = Vec::new();
    for workers in [1, 2, 8] {
        let line = format!("evolve sphere.toml --seed 7 --max-generations 9 --workers {workers}");
        let run = shell.json(&line);
        assert_eq!(run["state"], "finished");
        assert_eq!(run["seed"], 7);
        let agent = shell.json(&format!("agents show {}", run["best_agent"].as_str().unwrap()));
        let tree = shell.json(&format!("lineage tree {}", run["id"].as_str().unwrap()));
        let verdicts: Vec<_> = tree["agents"].as_array().unwrap().iter().map(judged).collect();
        seen.push((run["best"].clone(), agent["genome_digest"].clone(), verdicts));
    }
    assert!(seen.iter().all(|one| one == &seen[0]), "{seen:?}");
    // Who beat nobody is no champion: the first generation has none.
    let verdicts = &seen[0].2;
    let champion = |judged: &&(u64, u64, String)| judged.2 == "champion";
    assert!(verdicts.iter().filter(champion).all(|judged| judged.0 > 0), "{verdicts:?}");
    assert!(verdicts.iter().any(|judged| champion(&judged)), "{verdicts:?}");
}

/// An agent's generation, slot and verdict.
fn judged(agent: &Value) -> (u64, u64, String) {
    let number = |name: &str| agent[name].as_u64().unwrap();
    (number("generation"), number("slot"), agent["verdict"].as_str().unwrap().to_owned())
}

#[test]
fn limits_stop_a_run_and_are_named() {
    let shell = Shell::with_sphere();
    for (flags, reason) in [
        ("--max-generations 3", "generations"),
        ("--max-evaluations 100", "evaluations"),
        ("--max-time 300ms --max-generations 1000000000", "time"),
        ("--target 1000", "target"),
    ] {
        let run = shell.json(&format!("evolve sphere.toml {flags}"));
        assert_eq!((&run["state"], &run["reason"]), (&"finished".into(), &reason.into()), "{run}");
        if reason == "evaluations" {
            assert_eq!(run["agents"], 100);
        }
    }
}

#[test]
fn a_detached_run_is_watched_stopped_and_resumed() {
    let shell = Shell::with_sphere();
    let run = endless(&shell);
    assert_eq!(state(&shell, &run), "running");

    // Watching leaves it as it is.
    let watch = shell.start(&format!("runs watch {run}"));
    watch.waits_for("generation");
    watch.interrupt();
    let said = watch.end();
    assert_eq!(said.status, 130, "{}", said.err);
    assert!(said.err.contains("the run goes on; see it again: darwin runs watch"), "{}", said.err);
    assert_eq!(state(&shell, &run), "running");

    let watch = shell.start(&format!("runs watch {run}"));
    watch.waits_for("generation");
    shell.good(&format!("runs stop {run}"));
    let said = watch.end();
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.err.contains(&format!("darwin runs resume {}", &run[..13])), "{}", said.err);
    let stopped = shell.json(&format!("runs show {run}"));
    assert_eq!(stopped["state"], "stopped");
    let again = shell.run(&format!("runs stop {run}"));
    assert_eq!(again.status, 1, "{}", again.err);

    let more = stopped["generation"].as_u64().unwrap() + 10;
    let resumed = shell.json(&format!("runs resume {run} --max-generations {more}"));
    assert_eq!((&resumed["id"], &resumed["state"]), (&run.into(), &"finished".into()));
    assert_eq!(resumed["generation"], more);
    assert!(resumed["agents"].as_u64() > stopped["agents"].as_u64());
}

#[test]
fn ctrl_c_stops_the_run_cleanly_and_says_how_to_go_on() {
    let shell = Shell::with_sphere();
    let evolve = shell.start("evolve sphere.toml --max-generations 1000000000");
    evolve.waits_for("\ngeneration");
    evolve.interrupt();
    let Said { status, out, err } = evolve.end();
    assert_eq!(status, 130, "{err}");
    assert!(err.contains("stopping once"), "{err}");
    let run = out.lines().next().unwrap().split_whitespace().last().unwrap().to_owned();
    assert!(err.contains(&format!("darwin runs resume {}", &run[..13])), "{out}{err}");
    assert_eq!(state(&shell, &run), "stopped");
}

#[test]
fn a_run_survives_the_daemon() {
    let shell = Shell::with_sphere();
    let run = endless(&shell);
    let watch = shell.start(&format!("runs watch {run}"));
    watch.waits_for("generation");
    shell.kill_daemon();
    watch.waits_for("lost sight of the run");
    // The next command starts a daemon, and the daemon takes the run up again.
    assert_eq!(state(&shell, &run), "running");
    watch.waits_for("found it again");
    shell.good(&format!("runs stop {run}"));
    assert_eq!(watch.end().status, 0);
    shell.good("store verify");
}

#[test]
fn who_watches_a_run_gives_up_when_its_daemon_stays_away() {
    let shell = Shell::with_sphere();
    let run = endless(&shell);
    let watch = shell.start(&format!("runs watch {run}"));
    watch.waits_for("generation");
    shell.kill_daemon();
    let said = watch.end();
    assert_eq!(said.status, 69, "{}", said.err);
    assert!(said.err.contains(&format!("darwin runs watch {run}")), "{}", said.err);
}

#[test]
fn an_agent_is_shown_exported_and_measured_again() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --seed 3 --max-generations 12");
    let (run_id, best) = (run["id"].as_str().unwrap(), run["best_agent"].as_str().unwrap());
    let agent = shell.json(&format!("agents show {best}"));
    assert_eq!(agent["score"], run["best"]);
    assert_eq!(agent["verdict"], "champion");
    // A run stands for its best agent, and a start of an id for the id.
    assert_eq!(shell.json(&format!("agents show {run_id} -q")), agent);
    assert_eq!(shell.json(&format!("agents show {}", &best[..23])), agent);

    shell.good(&format!("agents export {best} out"));
    let params = fs::read_to_string(shell.path("out/params.json")).unwrap();
    let params: Value = serde_json::from_str(&params).unwrap();
    assert_eq!(params, agent["genome"]["params"]);
    let again = shell.run(&format!("agents export {best} out"));
    assert_eq!(again.status, 64, "{}", again.err);
    shell.good(&format!("agents export {best} out --force"));

    shell.write(
        "suite.toml",
        "name = \"s\"\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 3\n",
    );
    for what in ["out", best] {
        let result = shell.json(&format!("eval {what} --suite suite.toml --repeat 2"));
        assert_eq!(result["score"], run["best"], "{result}");
        assert_eq!(result["evaluations"].as_array().unwrap().len(), 2);
    }
    // The sphere is minimised: a score above the bar misses it.
    shell.good(&format!("eval {best} --suite suite.toml --fail-under 1000"));
    let missed =
        shell.run(&format!("eval {best} --suite suite.toml --fail-under=-1 --junit report.xml"));
    assert_eq!(missed.status, 1, "{}", missed.err);
    assert!(missed.err.contains("is above the bar of -1"), "{}", missed.err);
    let report = fs::read_to_string(shell.path("report.xml")).unwrap();
    assert!(report.contains("failures=\"1\" errors=\"0\""), "{report}");
}

#[test]
fn measurements_by_hand_are_in_the_agents_journal_and_in_what_is_exported() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --seed 3 --max-generations 1");
    let best = run["best_agent"].as_str().unwrap();
    let before = shell.json(&format!("agents show {best}"));
    shell.write(
        "suite.toml",
        "name = \"s\"\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 3\n",
    );
    let said = shell.run(&format!("eval {best} --suite suite.toml --repeat 3 --seed 5"));
    assert!(said.err.contains(&format!("recorded in the journal of agent {best}")), "{}", said.err);
    let journal = |agent: &str| -> Vec<Value> {
        let lines = shell.good(&format!("journal {agent} --json"));
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let [_, entry] = &journal(best)[..] else { panic!("two entries are expected") };
    assert_eq!((&entry["seq"], &entry["agent"]), (&1.into(), &best.into()));
    let events = entry["events"].as_array().unwrap();
    let seeds: Vec<_> = events.iter().map(|event| event["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [5, 6, 7]);
    assert!(events.iter().all(|event| event["fitness"] == run["best"]), "{entry}");
    let text = shell.good(&format!("journal {best}"));
    assert!(text.contains("entry 1") && text.matches("evaluated").count() == 4, "{text}");
    let markdown = shell.good(&format!("journal {best} --format markdown"));
    assert!(markdown.contains(&format!("## Agent `{best}`, entry 1")), "{markdown}");
    // What the run gave stays.
    let after = shell.json(&format!("agents show {best}"));
    assert_eq!(after["head"], entry["cid"]);
    assert_eq!((&after["score"], &after["verdict"]), (&before["score"], &before["verdict"]));

    // A directory becomes an agent, with its score in the suite's own terms.
    shell.good(&format!("agents export {best} out"));
    let made = shell.json("eval out --suite suite.toml --repeat 3");
    let made = made["agent"].as_str().unwrap();
    assert_eq!(shell.json(&format!("agents show {made}"))["score"], run["best"]);
    let counts: Vec<_> =
        journal(made).iter().map(|entry| entry["events"].as_array().unwrap().len()).collect();
    // How it was made, three evaluations, what they come to, and how that was judged.
    assert_eq!(counts, [6]);

    shell.good("store verify");
    let sound = shell.json(&format!("lineage verify {best}"));
    let (agents, entries) = (sound["agents"].as_u64().unwrap(), sound["entries"].as_u64().unwrap());
    assert_eq!((&sound["sound"], entries), (&true.into(), agents + 1));
    let said = shell.run(&format!("lineage export {best} -o open.car --disclose"));
    let fingerprint = said.err.trim().rsplit(' ').next().unwrap();
    shell.good("down");
    let found = shell.json(&format!("lineage verify open.car --trust {fingerprint}"));
    assert_eq!(found["entries"], entries);
    // And so says a verifier that was written from the documentation alone.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/verify_export.py");
    let checked = Command::new("python3")
        .args([script, "--trust", fingerprint])
        .arg(shell.path("open.car"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&checked.stdout);
    assert!(text.starts_with(&format!("{agents} agents, {entries} entries")), "{checked:?}");
}

#[test]
fn journals_are_filtered_and_exported() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --seed 3 --max-generations 12");
    let (run_id, best) = (run["id"].as_str().unwrap(), run["best_agent"].as_str().unwrap());
    let text = shell.good(&format!("journal {best}"));
    for part in [best, "proposed", "evaluated", "judged", "champion"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let champions = shell.good(&format!("journal {run_id} --only champion --json"));
    let champions: Vec<Value> =
        champions.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(champions.len() > 1);
    for entry in &champions {
        assert_eq!(
            (&entry["format"], &entry["kind"]),
            (&"darwin/1".into(), &"journal-entry".into())
        );
        let events = entry["events"].as_array().unwrap();
        assert_eq!(events.last().unwrap()["verdict"], "champion");
    }
    assert_eq!(champions.last().unwrap()["agent"], best);
    let all = shell.good(&format!("journal {run_id} --json --limit 1000"));
    assert_eq!(all.lines().count() as u64, run["agents"].as_u64().unwrap());
    let since = shell.good(&format!("journal {run_id} --json --since 1h --limit 7"));
    assert_eq!(since.lines().count(), 7);
    let markdown = shell.good(&format!("journal {best} --format markdown"));
    assert!(markdown.starts_with("# Journal of ") && markdown.contains("- **judged**: champion"));
}

#[test]
fn lineage_is_walked_compared_and_drawn() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --seed 3 --max-generations 12");
    let (run_id, best) = (run["id"].as_str().unwrap(), run["best_agent"].as_str().unwrap());
    let ancestors = shell.json(&format!("lineage ancestors {best} --limit 1000"));
    let ancestors = ancestors["agents"].as_array().unwrap().clone();
    assert!(!ancestors.is_empty());
    let oldest = ancestors.iter().min_by_key(|agent| agent["generation"].as_u64()).unwrap();
    assert_eq!(oldest["generation"], 0);
    let oldest = oldest["id"].as_str().unwrap();
    let descendants = shell.json(&format!("lineage descendants {oldest} --limit 1000"));
    let descendants = descendants["agents"].as_array().unwrap().clone();
    assert!(descendants.iter().any(|agent| agent["id"] == best), "{descendants:?}");

    let diff = shell.good(&format!("lineage diff {oldest} {best}"));
    assert!(diff.starts_with(&format!("--- {oldest}  generation 0")), "{diff}");
    assert!(diff.contains("PARAMETER") && diff.contains("x0"), "{diff}");
    assert_eq!(shell.good(&format!("lineage diff {best} {best} -q")).lines().count(), 2);

    let tree = shell.good(&format!("lineage tree {run_id} -q"));
    assert!(tree.contains(best), "{tree}");
    let all = shell.good(&format!("lineage tree {run_id} --all -q"));
    assert_eq!(all.lines().count() as u64, run["agents"].as_u64().unwrap());
}

#[test]
fn an_export_is_verified_without_a_daemon_and_forgery_is_found() {
    let shell = Shell::with_sphere();
    let run = shell.json("evolve sphere.toml --seed 3 --max-generations 4");
    let best = run["best_agent"].as_str().unwrap().to_owned();
    let sound = shell.json(&format!("lineage verify {best}"));
    assert_eq!((&sound["sound"], &sound["contents_checked"]), (&true.into(), &true.into()));
    let said = shell.run(&format!("lineage export {best} -o sealed.car"));
    assert_eq!(said.status, 0, "{}", said.err);
    let fingerprint = said.err.trim().rsplit(' ').next().unwrap().to_owned();
    assert_eq!(fingerprint.len(), 64, "{}", said.err);
    shell.good(&format!("lineage export {best} -o open.car --disclose"));
    let json = shell.json(&format!("lineage export {best} --format json"));
    assert_eq!(json["agents"].as_array().unwrap().len() as u64, sound["agents"].as_u64().unwrap());
    shell.good("down");

    for (file, opened) in [("sealed.car", false), ("open.car", true)] {
        let found = shell.json(&format!("lineage verify {file} --trust {fingerprint}"));
        assert_eq!(found["contents_checked"], opened, "{found}");
        assert_eq!((&found["agents"], &found["of"][0]), (&sound["agents"], &best.clone().into()));
        // Without --trust this home's own key counts.
        shell.good(&format!("lineage verify {file}"));
    }
    let stranger = "ab".repeat(32);
    let refused = shell.run(&format!("lineage verify open.car --trust {stranger}"));
    assert_eq!(refused.status, 65, "{}", refused.err);
    assert!(refused.err.contains("not trusted"), "{}", refused.err);

    let mut bytes = fs::read(shell.path("open.car")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    shell.write("flipped.car", &bytes);
    assert_eq!(shell.run("lineage verify flipped.car").status, 65);
    bytes[middle] ^= 1;
    bytes.truncate(middle);
    shell.write("cut.car", &bytes);
    assert_eq!(shell.run("lineage verify cut.car").status, 65);
    assert!(shell.daemon().is_none(), "none of this needs a daemon");
}

#[test]
fn what_is_not_there_is_named() {
    let shell = Shell::with_sphere();
    shell.good("up");
    let missing = "0198c2a4-7f3e-7000-8003-000000000000";
    for line in [
        format!("runs show {missing}"),
        format!("runs watch {missing}"),
        format!("agents show {missing}"),
        format!("lineage ancestors {missing}"),
        format!("journal {missing}"),
        "session resume nobody".to_owned(),
        "evolve sphere.toml --session nobody".to_owned(),
    ] {
        let said = shell.run(&line);
        assert_eq!(said.status, 1, "{line}: {}", said.err);
        assert!(said.err.contains("(code not-found;"), "{line}: {}", said.err);
    }
}

#[test]
fn sessions_hold_their_runs() {
    let shell = Shell::with_sphere();
    let session = shell.good("session new packing");
    let run = shell.json("evolve sphere.toml --max-generations 2 --session packing");
    assert_eq!(run["session"], session.trim());
    let listed = shell.json("runs list --session packing");
    assert_eq!(listed["runs"][0]["id"], run["id"]);
    assert_eq!(shell.json("session resume packing")["runs"][0]["id"], run["id"]);
    shell.good("session close packing");
    let refused = shell.run("evolve sphere.toml --session packing");
    assert_eq!(refused.status, 1, "{}", refused.err);
    assert!(refused.err.contains("(code conflict;"), "{}", refused.err);
}
