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

/// Luck, and nothing else.
const LUCK: &str = "    return {'combined_score': seed % 1000 / 1000}\n";

/// Whether it is the journal of the run's first agent.
fn is_first(entry: &Value) -> bool {
    let made = event(entry, "proposed");
    (&made["generation"], &made["slot"]) == (&0.into(), &0.into())
}

fn score(evaluated: &Value) -> f64 {
    evaluated["scores"][0].as_f64().unwrap()
}

#[test]
fn a_champion_is_looked_at_again_before_it_is_called_one() {
    let shell = problem(LUCK, "");
    let (_, entries) = run(&shell, "--max-evaluations 80");
    let (mut champions, mut again) = (0, 0);
    for entry in &entries {
        let made = event(entry, "proposed");
        let first_of_all = is_first(entry);
        let champion = event(entry, "judged")["verdict"] == "champion";
        champions += u64::from(champion);
        let measured = evaluations(entry);
        let (whole, runs) = measured.split_last().unwrap();
        let [first, second, check @ ..] = runs else {
            assert!(runs.is_empty() && !champion && made["generation"] != 0, "{entry}");
            continue;
        };
        again += u64::from(made["generation"] != 0);
        assert_ne!(first["seed"], second["seed"]);
        // The first seed gives the same again.
        assert_eq!(check.len(), usize::from(made["generation"] != 0 || first_of_all), "{entry}");
        for check in check {
            assert_eq!((&check["seed"], score(check)), (&first["seed"], score(first)));
        }
        assert!((score(whole) - f64::midpoint(score(first), score(second))).abs() < 1e-12);
        assert_eq!(whole["metrics"]["repeats"], 2.0);
        assert_eq!(whole["metrics"]["inconsistent"], Value::Null);
    }
    // Most of the lucky ones were not lucky twice.
    assert!(again > champions && again > 3, "{again} looked at again, {champions} champions");
    assert_eq!(shell.json("store verify")["sound"], true);
}

#[test]
fn neither_the_best_nor_what_reaches_the_target_is_one_lucky_evaluation() {
    let lucky = |suite: &str, flags: &str| {
        let shell = problem(LUCK, suite);
        let (run, entries) = run(&shell, flags);
        let best = entries.iter().find(|it| it["agent"] == run["best_agent"]).unwrap();
        let most = entries.iter().map(|it| score(evaluations(it)[0])).fold(0.0, f64::max);
        (run["reason"].as_str().unwrap().to_owned(), evaluations(best).len(), most)
    };
    // The control: luck is the best, and reaches the target, where nothing is confirmed.
    let (reason, times, most) = lucky("confirm = 0\n", "--max-evaluations 80 --target 0.9");
    assert!((&*reason, times) == ("target", 1) && most >= 0.9, "{reason}, {times}, {most}");
    let (reason, times, most) = lucky("confirm = 4\n", "--max-evaluations 80 --target 0.9");
    assert!(&*reason == "evaluations" && times > 5 && most >= 0.9, "{reason}, {times}, {most}");
    // Nor in the first generation, where nobody is there to beat.
    let (_, times, _) = lucky("", "--max-evaluations 8");
    assert!(times >= 3, "its two evaluations, and what they come to: {times}");
}

#[test]
fn a_seed_that_gives_two_scores_is_flagged_and_everybody_is_told() {
    let clock = "    import time\n    return {'combined_score': time.time_ns() % 1000003}\n";
    let said = "is inconsistent: evaluated again by the same suite with the same seed";
    let shell = problem(clock, "");
    let begun = shell.run("evolve moody --max-evaluations 16 --json");
    assert!(begun.status == 0 && begun.err.contains(said), "{}", begun.err);
    let run: Value = serde_json::from_str(&begun.out).unwrap();
    let entries = journal(&shell, run["id"].as_str().unwrap());
    let first = entries.iter().find(|entry| is_first(entry)).unwrap();
    let [one, other, check, third, whole] = evaluations(first)[..] else { panic!("{first}") };
    assert!(one["seed"] == check["seed"] && one["seed"] == third["seed"], "{first}");
    assert_eq!(score(whole), f64::midpoint(score(other), score(third)), "the last counts");
    assert_eq!(whole["metrics"]["inconsistent"], true);
    let numbers = [one, check, third].map(score);
    let mean = numbers.iter().sum::<f64>() / 3.0;
    let spread = (numbers.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    let told = whole["metrics"]["combined_score.seed_sd"].as_f64().unwrap();
    assert!((told / spread - 1.0).abs() < 1e-9, "{told} and {spread}");
    let name = first["agent"].as_str().unwrap();
    assert_eq!(shell.json(&format!("agents show {name}"))["inconsistent"], true);
    let shown = shell.good(&format!("agents show {name}"));
    assert!(shown.contains("doubt      inconsistent: "), "{shown}");
    assert!(shell.good(&format!("journal {name}")).contains("inconsistent=true"));

    // The control: the seed decides.
    let shell = problem(LUCK, "");
    let said = shell.run("evolve moody --max-evaluations 16 --json");
    assert!(said.status == 0 && !said.err.contains("inconsistent"), "{}", said.err);
    let run: Value = serde_json::from_str(&said.out).unwrap();
    let best = run["best_agent"].as_str().unwrap();
    assert_eq!(shell.json(&format!("agents show {best}"))["inconsistent"], false);
}

#[test]
fn an_evaluation_that_is_on_record_with_another_score_is_flagged() {
    let clock = "    import time\n    return {'combined_score': time.time_ns() % 1000003}\n";
    for (body, inconsistent) in [(clock, true), (LUCK, false)] {
        let shell = problem(body, "");
        // The first is as good as any; who comes back with its seed is compared.
        let made = shell.json("eval moody --seed 5");
        assert_eq!((&made["inconsistent"], made["score"].is_null()), (&false.into(), false));
        let agent = made["agent"].as_str().unwrap().to_owned();
        for what in [format!("{agent} --suite moody"), "moody".to_owned()] {
            let line = format!("eval {what} --seed 5 --repeat 2");
            let text = shell.run(&line);
            assert_eq!(text.err.contains("warning: inconsistent"), inconsistent, "{}", text.err);
            let found = shell.json(&line);
            assert_eq!(found["inconsistent"], inconsistent, "{found}");
            let all = found["evaluations"].as_array().unwrap();
            assert!(all.len() == 2 && all.iter().all(|it| it["cached"] == false), "{found}");
            let flagged = all[0]["metrics"]["inconsistent"] == true;
            assert_eq!(flagged, inconsistent, "{found}");
        }
        let entries = journal(&shell, &agent);
        let flagged = |it: &&&Value| it["metrics"]["inconsistent"] == true;
        let recorded = entries.iter().flat_map(evaluations).collect::<Vec<_>>();
        assert_eq!(recorded.iter().any(|it| flagged(&it)), inconsistent, "{recorded:?}");
        // One, then four times two; what differs from the record is followed by one more.
        assert!(if inconsistent { recorded.len() > 5 } else { recorded.len() == 5 });
        assert_eq!(shell.json(&format!("agents show {agent}"))["inconsistent"], inconsistent);
        assert_eq!(shell.json("store verify")["sound"], true);
    }
}

#[test]
fn outside_runs_it_is_measured_as_the_suite_says_too() {
    let shell = problem(LUCK, "repeats = 3\n");
    let found = shell.json("eval moody");
    let scores: Vec<_> = found["evaluations"].as_array().unwrap().iter().map(fitness).collect();
    assert_eq!(scores, [0.0, 0.001, 0.002]);
    assert!((found["score"].as_f64().unwrap() - 0.001).abs() < 1e-12, "{found}");
    let agent = found["agent"].as_str().unwrap();
    // The new agent's score is that mean.
    assert_eq!(shell.json(&format!("agents show {agent}"))["score"], found["score"]);
    let fewer = shell.json("eval moody --repeat 1");
    assert_eq!(fewer["evaluations"].as_array().unwrap().len(), 1);
    assert_eq!(shell.run("eval moody --fail-under 0.001").status, 0);
    assert_eq!(shell.run("eval moody --fail-under 0.0011").status, 1);
}

#[test]
fn outside_runs_a_failure_that_comes_and_goes_is_tried_again_too() {
    let body = "    import time\n    if (time.time_ns() >> 10) % 4 == 0:\n        \
                raise OSError('flaky')\n    return {'combined_score': x}\n";
    let shell = problem(body, "repeats = 4\n");
    // Some of twenty such evaluations have a failure that does not come again, and nothing else.
    let found = (0..20).map(|seed| shell.run(&format!("eval moody --json --seed {}", seed * 10)));
    let found = found.filter(|said| said.status == 0).map(|said| {
        let found: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(found["evaluations"].as_array().unwrap().len(), 4);
        found
    });
    let flagged = found.filter(|it| it["inconsistent"] == true).collect::<Vec<_>>();
    let one = flagged.first().expect("one of them is mended by a second try");
    let entries = journal(&shell, one["agent"].as_str().unwrap());
    let recorded = evaluations(&entries[0]);
    assert!(recorded.len() > 5, "four, at least one again, and what they come to: {recorded:?}");
    assert!(recorded.iter().any(|it| it["failure"] == "crashed"), "{recorded:?}");
}

fn fitness(evaluation: &Value) -> f64 {
    evaluation["fitness"].as_f64().unwrap()
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
        // But the last look at a score is fresh: the same seed once more.
        let check = |at: usize| other[..at].iter().any(|it| it["seed"] == other[at]["seed"]);
        let mut fresh = (0..other.len()).filter(|at| other[*at]["cached"] == false);
        assert!(fresh.all(check), "{other:?}");
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

#[test]
fn a_run_is_never_ranked_with_results_of_another_sandbox() {
    // What is measured says in which sandbox, and differs from one evaluation to the next.
    let body = "    return {'combined_score': -abs(x - 1.5), 'when': os.times().elapsed}\n";
    let shell = problem(body, "");
    let mut seen = Vec::new();
    // The third and fourth find what the first two left: each its own.
    for (turn, sandbox) in ["reduced", "full", "reduced", "full"].into_iter().enumerate() {
        let (run, entries) = run(&shell, &format!("--max-evaluations 40 --sandbox {sandbox}"));
        assert_eq!((&run["state"], entries.len()), (&"finished".into(), 40), "{run}");
        for one in entries.iter().flat_map(evaluations) {
            assert_eq!(one["isolation"], sandbox, "{one}");
        }
        // The first look at each; the last at what would lead is always fresh.
        let measured: Vec<_> = entries.iter().map(|entry| evaluations(entry)[0]).collect();
        let found = measured.iter().filter(|one| one["cached"] == true).count();
        // Within a run, too, twins are found.
        let all = found == measured.len();
        assert_eq!(all, turn > 1, "{sandbox}: {found} of {} were found", measured.len());
        let when = |one: &&Value| one["metrics"]["when"].to_string();
        seen.push(measured.iter().map(when).collect::<std::collections::BTreeSet<_>>());
    }
    assert!(seen[2].is_subset(&seen[0]) && seen[3].is_subset(&seen[1]), "each finds its own");
    assert!(seen[0].is_disjoint(&seen[1]), "neither had results of the other's");
    // Nor after it was stopped and taken up again: its sandbox is the one it was started in.
    let run = shell.json("evolve moody --max-evaluations 10 --seed 9 --sandbox reduced");
    let id = run["id"].as_str().unwrap();
    shell.json(&format!("runs resume {id} --max-evaluations 30"));
    for one in journal(&shell, id).iter().flat_map(evaluations) {
        assert_eq!(one["isolation"], "reduced", "{one}");
    }
}
