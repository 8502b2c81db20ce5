//! Problems with code of their own: evolved whole, whatever the workers and the daemon's deaths.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{home::until, shell::Shell};

fn root(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// All entries of a run's journals.
pub fn journal(shell: &Shell, run: &str) -> Vec<Value> {
    let text = shell.good(&format!("journal {run} --json --limit 1000"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The event of that kind in an entry.
pub fn event<'a>(entry: &'a Value, kind: &str) -> &'a Value {
    let events = entry["events"].as_array().unwrap();
    events.iter().find(|event| event["kind"] == kind).unwrap()
}

/// What each agent of a run is and how it scored, by its place.
fn outcomes(shell: &Shell, run: &str) -> BTreeMap<(u64, u64), [Value; 3]> {
    let mut found = BTreeMap::new();
    for entry in journal(shell, run) {
        let made = event(&entry, "proposed");
        let place = (made["generation"].as_u64().unwrap(), made["slot"].as_u64().unwrap());
        let scores = event(&entry, "evaluated")["scores"].clone();
        let outcome = [made["genome"].clone(), scores, event(&entry, "judged")["verdict"].clone()];
        assert!(found.insert(place, outcome).is_none(), "{place:?} is there twice");
    }
    found
}

#[test]
fn an_openevolve_problem_is_evolved_unmodified() {
    let shell = Shell::new();
    let problem = root("tests/data/openevolve");
    let line = format!("evolve {} --max-evaluations 120 --json", problem.display());
    let said = shell.run(&line);
    assert_eq!(said.status, 0, "{}", said.err);
    assert_eq!(said.err.matches("warning:").count(), 1, "{}", said.err);
    let run: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((&run["agents"], &run["seed"]), (&120.into(), &11.into()));
    let entries = journal(&shell, run["id"].as_str().unwrap());
    // Commits come in any order.
    let initial = |entry: &&Value| {
        let made = event(entry, "proposed");
        (made["generation"].as_u64(), made["slot"].as_u64()) == (Some(0), Some(0))
    };
    let first = event(entries.iter().find(initial).unwrap(), "evaluated");
    let (score, best) = (first["scores"][0].as_f64().unwrap(), run["best"].as_f64().unwrap());
    assert!(best > score, "{score} was not improved");
    // Both stages, and what the evaluator made of them.
    assert_eq!(first["metrics"]["exact"], false);
    assert_eq!(first["metrics"]["runs"], 1.0);
    assert_eq!(first["artifacts"]["prediction"], "f(10) = 10.5");
}

#[test]
fn every_example_is_evolved_and_gets_better() {
    let shell = Shell::new();
    for (example, evaluations) in
        [("circle-packing", 600), ("function-minimization", 150), ("prompt-splice", 100)]
    {
        let dir = root("examples").join(example);
        let line = format!("evolve {} --max-evaluations {evaluations}", dir.display());
        let run = shell.json(&line);
        let agents = journal(&shell, run["id"].as_str().unwrap());
        assert_eq!(agents.len() as u64, run["agents"].as_u64().unwrap());
        let scores = agents.iter().filter(|entry| event(entry, "proposed")["generation"] == 0);
        let scores = scores.map(|entry| event(entry, "evaluated")["fitness"].as_f64().unwrap());
        let best = run["best"].as_f64().unwrap();
        if run["goal"] == "maximize" {
            let first = scores.fold(f64::NEG_INFINITY, f64::max);
            assert!(best > first, "{example}: {first}, then {best}");
            // Nothing is known to it at the start that a search should find.
            assert!(example != "circle-packing" || first < 2.2, "{first}");
        } else {
            let first = scores.fold(f64::INFINITY, f64::min);
            assert!(best < first, "{example}: {first}, then {best}");
        }
    }
}

/// A python problem whose evaluations take longer or shorter, so that they end in another order
/// than they began in.
fn uneven(shell: &Shell, mode: &str) -> PathBuf {
    let code = "import json, os, time\n\
                def evaluate(path):\n    \
                    x = json.load(open(os.path.join(path, 'params.json')))\n    \
                    time.sleep(int(os.environ['DARWIN_SEED']) % 5 / 100)\n    \
                    return {'combined_score': -sum((v - 0.5) ** 2 for v in x.values())}\n";
    shell.write("uneven/evaluator.py", code);
    let spec = format!(
        "name = \"uneven\"\nseed = 5\n[params.x]\ntype = \"real\"\nmin = 0\nmax = 1\ncount = 4\n\
         [search]\nmode = \"{mode}\"\npopulation = 12\n[stop]\nevaluations = 150\n\
         [suite]\nkind = \"python\"\nevaluator = \"evaluator.py\"\n"
    );
    shell.write("uneven/darwin.toml", spec)
}

#[test]
fn evaluations_that_end_in_any_order_give_the_same_run() {
    let shell = Shell::new();
    uneven(&shell, "generational");
    let all = [1, 2, 8].map(|workers| {
        let run = shell.json(&format!("evolve uneven --workers {workers}"));
        outcomes(&shell, run["id"].as_str().unwrap())
    });
    assert_eq!(all[0].len(), 150);
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
}

#[test]
fn a_run_of_programs_goes_on_by_itself_after_every_kill() {
    for mode in ["generational", "steady-state"] {
        let (calm, stormy) = (Shell::new(), Shell::new());
        uneven(&calm, mode);
        uneven(&stormy, mode);
        let expected = calm.json("evolve uneven --workers 4");
        let run = stormy.good("evolve uneven --workers 4 --detach").trim().to_owned();
        let shown = || stormy.json(&format!("runs show {run}"));
        for kill in 1..=5u64 {
            // The command starts the daemon again, and that takes the run up.
            let told = until("the run gets on", || {
                let now = shown();
                let agents = now["agents"].as_u64().unwrap();
                (agents >= kill * 20 || now["state"] != "running").then_some(agents)
            });
            assert!(told < 150, "it ended before the kill");
            stormy.kill_daemon();
            assert!(shown()["agents"].as_u64().unwrap() >= told, "{mode}, kill {kill}");
        }
        let ended = until("the run ends", || Some(shown()).filter(|it| it["state"] != "running"));
        assert_eq!((&ended["state"], &ended["agents"]), (&"finished".into(), &150.into()));
        let (before, after) =
            (outcomes(&calm, expected["id"].as_str().unwrap()), outcomes(&stormy, &run));
        assert_eq!((before.len(), after.len()), (150, 150), "{mode}");
        if mode == "generational" {
            assert_eq!(before, after);
        }
        assert_eq!(stormy.json("store verify")["sound"], true);
        let left: Vec<_> = fs::read_dir(stormy.paths().scratch())
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert!(left.len() <= 4, "rooms are left: {left:?}");
    }
}
