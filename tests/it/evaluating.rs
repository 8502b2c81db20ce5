//! `darwin eval`: a project as it is, several objectives, repeats, and what CI is told.

use std::fs;

use serde_json::Value;

use crate::shell::{Said, Shell};

const EVALUATE: &str = "
import argparse, json, os, random
if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    for name in ('program_path', 'results_dir'): parser.add_argument('--' + name)
    args = parser.parse_args()
    names = {}
    exec(open(args.program_path).read(), names)
    metrics = {'combined_score': -abs(names['x'] - 3), 'public': {'noise': random.random()},
               'private': {'answer': 3}}
    for name, value in (('metrics', metrics), ('correct', {'correct': names['fixed'] == 5})):
        json.dump(value, open(os.path.join(args.results_dir, name + '.json'), 'w'))
";

/// A shell with a ShinkaEvolve task in it.
fn task() -> Shell {
    let shell = Shell::new();
    let program = "fixed = 5\n# EVOLVE-BLOCK-START\nx = 2.0\n# EVOLVE-BLOCK-END\n";
    shell.write("task/initial.py", program);
    shell.write("task/evaluate.py", EVALUATE);
    let objectives = "\
        [[objectives]]\nname = \"combined_score\"\ngate = -2\n\
        [[objectives]]\nname = \"noise\"\ngoal = \"minimize\"\nweight = 0.5\n";
    shell.write(
        "both.toml",
        format!(
            "name = \"both\"\nkind = \"shinka\"\nfiles = [\"task\"]\n\
                 evaluator = \"task/evaluate.py\"\nprogram = \"initial.py\"\n{objectives}"
        ),
    );
    shell
}

#[test]
fn a_shinkaevolve_task_is_evaluated_and_evolved_as_it_is() {
    let shell = task();
    let first = shell.json("eval task");
    assert_eq!((&first["score"], &first["suite"]), (&(-1.0).into(), &"task".into()));
    let evaluation = &first["evaluations"][0];
    assert_eq!(evaluation["metrics"]["private/answer"], 3.0);
    assert_eq!(evaluation["in_process"], true);

    let run = shell.json("evolve task --seed 1 --max-evaluations 60");
    assert_eq!((&run["state"], &run["agents"]), (&"finished".into(), &60.into()));
    assert!(run["best"].as_f64().unwrap() > -1.0, "{run}");
    // What is outside the markers never changed: else an agent would not be correct.
    assert_eq!(run["failed"], 0);
    shell.good(&format!("agents export {} best", run["best_agent"].as_str().unwrap()));
    let best = fs::read_to_string(shell.path("best/initial.py")).unwrap();
    assert!(best.starts_with("fixed = 5\n# EVOLVE-BLOCK-START\nx = "), "{best}");
    assert_eq!(shell.json("eval best --suite task")["score"], run["best"]);
}

#[test]
fn a_project_without_a_first_agent_and_an_agent_without_a_suite_are_named() {
    let shell = Shell::new();
    shell.write(
        "p/darwin.toml",
        "[suite]\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 2\n",
    );
    let said = shell.run("eval p");
    assert_eq!(said.status, 64, "{}", said.err);
    assert!(said.err.contains("“x0” has no init"), "{}", said.err);
    let said = shell.run("eval 0198c2a4");
    assert_eq!(said.status, 64, "{}", said.err);
    assert!(said.err.contains("--suite"), "{}", said.err);
}

#[test]
fn several_objectives_and_repeats_are_shown_with_their_means() {
    let shell = task();
    let text = shell.good("eval task --suite both.toml --repeat 4");
    for part in ["OBJECTIVE", "combined_score  maximize", "noise           minimize", "(95 %: "] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let found = shell.json("eval task --suite both.toml --repeat 4");
    let [first, second] = &found["means"].as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!((&first["mean"], &first["gate"]), (&(-1.0).into(), &(-2.0).into()));
    assert_eq!(first["interval"], Value::from(vec![-1.0, -1.0]));
    let ends = |of: &Value| [0, 1].map(|at| of["interval"][at].as_f64().unwrap());
    let ([low, high], mean) = (ends(second), second["mean"].as_f64().unwrap());
    assert!(low < mean && mean < high, "{second}");
    // Four seeds, four draws; the whole is the weighted sum.
    assert!((found["score"].as_f64().unwrap() + 1.0 + 0.5 * mean).abs() < 1e-12, "{found}");
}

#[test]
fn ci_is_told_what_failed() {
    let shell = task();
    let run = |line: &str, actions: bool| -> Said {
        let mut command = shell.command(line.split_whitespace());
        if actions {
            command.env("GITHUB_ACTIONS", "true");
        }
        Said::of(command.output().unwrap())
    };
    let quiet = run("eval task", false);
    assert!(!quiet.err.contains("::"), "{}", quiet.err);
    let fine = run("eval task --fail-under=-2 --json", true);
    let notice = "::notice title=task by task::score -1 (bar -2)\n";
    assert!(fine.status == 0 && fine.err.contains(notice), "{}", fine.err);
    let document: Value = serde_json::from_str(&fine.out).unwrap();
    assert_eq!(document["passed"], true);
    let missed = run("eval task --fail-under 0 --github --junit report.xml", false);
    let error = "::error title=task by task::the score -1 is below the bar of 0\n";
    assert!(missed.status == 1 && missed.err.contains(error), "{}", missed.err);
    let report = fs::read_to_string(shell.path("report.xml")).unwrap();
    assert!(report.contains("tests=\"2\" failures=\"1\" errors=\"0\""), "{report}");

    shell.write("task/initial.py", "fixed, x = 4, 'a, b: 100 %'\n");
    let wrong = run("eval task --github", false);
    assert_eq!(wrong.status, 1);
    assert!(wrong.err.contains("::error title=task by task::evaluation 1: "), "{}", wrong.err);
}
