//! Evaluators with moods: repeats, champions that are looked at again, results that are on record.

use serde_json::Value;

use crate::{
    problems::{event, journal},
    shell::Shell,
};

const PROGRAM: &str = "# EVOLVE-BLOCK-START\nX = 1.0\nY = 2.0\n# EVOLVE-BLOCK-END\n";

/// A problem that is scored by `body`, which has `seed`, `x` and `y`.
fn problem(body: &str, suite: &str) -> Shell {
    let shell = Shell::new();
    let evaluator = format!(
        "import os, runpy\ndef evaluate(path):\n    seed = int(os.environ['DARWIN_SEED'])\n    \
         found = runpy.run_path(path)\n    x, y = found['X'], found['Y']\n{body}"
    );
    shell.write("moody/evaluator.py", evaluator);
    shell.write("moody/program.py", PROGRAM);
    let spec = format!(
        "name = \"moody\"\nseed = 3\n[agent]\nfiles = [\"program.py\"]\n[search]\npopulation = 8\n\
         [suite]\nkind = \"python\"\nevaluator = \"evaluator.py\"\n{suite}"
    );
    shell.write("moody/darwin.toml", spec);
    shell
}

fn evaluations(entry: &Value) -> Vec<&Value> {
    let events = entry["events"].as_array().unwrap();
    events.iter().filter(|event| event["kind"] == "evaluated").collect()
}

fn run(shell: &Shell, flags: &str) -> (Value, Vec<Value>) {
    let run = shell.json(&format!("evolve moody {flags}"));
    let entries = journal(shell, run["id"].as_str().unwrap());
    (run, entries)
}

#[test]
fn a_champion_is_looked_at_again_before_it_is_called_one() {
    // Luck, and nothing else.
    let shell = problem("    return {'combined_score': seed % 1000 / 1000}\n", "");
    let (_, entries) = run(&shell, "--max-evaluations 80");
    let (mut champions, mut again) = (0, 0);
    for entry in &entries {
        let measured = evaluations(entry);
        let score = measured.last().unwrap()["scores"][0].as_f64().unwrap();
        champions += u64::from(event(entry, "judged")["verdict"] == "champion");
        if let [first, second, whole] = measured[..] {
            again += 1;
            assert_ne!(first["seed"], second["seed"]);
            let mean = |name: &str, of: &Value| of[name][0].as_f64().unwrap();
            let expected = (mean("scores", first) + mean("scores", second)) / 2.0;
            assert!((score - expected).abs() < 1e-12, "{entry}");
            assert_eq!(whole["metrics"]["repeats"], 2.0);
        } else {
            assert_eq!(
                (measured.len(), &event(entry, "judged")["verdict"] == "champion"),
                (1, false)
            );
        }
    }
    // Most of the lucky ones were not lucky twice.
    assert!(again > champions && again > 3, "{again} looked at again, {champions} champions");
    assert_eq!(shell.json("store verify")["sound"], true);
}

#[test]
fn repeats_are_averaged_and_their_spread_is_told() {
    let body = "    return {'combined_score': x + (seed % 3), 'other': 1}\n";
    let shell = problem(body, "repeats = 4\nconfirm = 0\n");
    let (_, entries) = run(&shell, "--max-evaluations 16");
    for entry in &entries {
        let measured = evaluations(entry);
        assert_eq!(measured.len(), 5, "{entry}");
        let whole = &measured[4]["metrics"];
        assert_eq!((&whole["repeats"], &whole["other"]), (&4.0.into(), &1.0.into()));
        assert!(whole["combined_score.sd"].as_f64().unwrap() < 1.5, "{whole}");
    }
}

#[test]
fn a_failure_that_comes_and_goes_is_flagged_and_tried_again() {
    // The clock decides, as on a flaky machine: one of four fails.
    let body = "    import time\n    if (time.time_ns() >> 10) % 4 == 0:\n        \
                raise OSError('flaky')\n    return {'combined_score': x}\n";
    let shell = problem(body, "repeats = 3\n");
    let (_, entries) = run(&shell, "--max-evaluations 60");
    let mut flagged = 0;
    for entry in &entries {
        let measured = evaluations(entry);
        let whole = measured.last().unwrap();
        let failed = measured.iter().filter(|one| !one["failure"].is_null()).count();
        if whole["metrics"]["inconsistent"] == true && whole["failure"].is_null() {
            flagged += 1;
            assert!(failed > 0, "{entry}");
        }
    }
    assert!(flagged > 0, "nothing was flagged among {} agents", entries.len());
}

#[test]
fn what_is_on_record_is_not_evaluated_again() {
    let body = "    return {'combined_score': -abs(x - 1.5), 'when': os.times().elapsed}\n";
    let shell = problem(body, "");
    let (first, before) = run(&shell, "--max-evaluations 40");
    let (second, after) = run(&shell, "--max-evaluations 40");
    assert_eq!(first["best"], second["best"]);
    for one in &before {
        // Commits come in any order.
        let place = |of: &Value| (of["generation"].clone(), of["slot"].clone());
        let same =
            |other: &&Value| place(event(one, "proposed")) == place(event(other, "proposed"));
        let (one, other) = (evaluations(one), evaluations(after.iter().find(same).unwrap()));
        assert!(other.iter().all(|it| it["cached"] == true), "{other:?}");
        // The same to what no evaluator would say twice; of twins that were evaluated at once
        // either counts.
        let when = |of: &[&Value]| of[0]["metrics"]["when"].clone();
        assert!(before.iter().any(|it| when(&evaluations(it)) == when(&other)), "{one:?}");
    }
    // Another seed, another suite, another session: other results.
    let fresh = |entries: &[Value]| evaluations(&entries[1])[0]["cached"] == false;
    assert!(fresh(&run(&shell, "--max-evaluations 10 --seed 4").1));
    shell.good("session new other");
    assert!(fresh(&run(&shell, "--max-evaluations 10 --session other").1));
    let evaluator = std::fs::read_to_string(shell.path("moody/evaluator.py")).unwrap();
    shell.write("moody/evaluator.py", format!("{evaluator}# changed\n"));
    assert!(fresh(&run(&shell, "--max-evaluations 10").1));
    assert_eq!(shell.json("store verify")["sound"], true);
}
