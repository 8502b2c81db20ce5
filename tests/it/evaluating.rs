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

/// An agent's program that answers right only if it finds no answers beside itself.
const HONEST: &str = "
import os, sys
seen = [open(name).read() for name in os.listdir('.') if name != 'main.py']
print('peeked' if any('expected' in text for text in seen) else eval(sys.stdin.read()))
";

#[test]
fn the_answers_of_a_suite_are_not_handed_to_its_agent() {
    let shell = Shell::new();
    let cases = "{\"input\": \"2 + 3\", \"expected\": \"5\"}\n";
    let suite = "kind = \"cases\"\nargv = [\"python3\", \"main.py\"]\ncases = \"cases.jsonl\"\n\
                 held_out = \"hidden.jsonl\"\n";
    let project = |files: &str| {
        let text = format!("[agent]\nfiles = {files}\n[suite]\n{suite}");
        shell.write("p/darwin.toml", text);
    };
    let hidden = cases.replace('3', "4").replace('5', "6");
    for (name, text) in [
        ("p/main.py", HONEST),
        ("p/cases.jsonl", cases),
        ("p/hidden.jsonl", &hidden),
        ("p/notes.txt", cases),
        ("p/more.txt", &hidden),
        ("p/near.txt", &format!("{cases}\n")),
    ] {
        shell.write(name, text);
    }
    // They lie beside the program, and it does not get them.
    project("[\"main.py\"]");
    let found = shell.json("eval p");
    assert_eq!(found["score"], 1.0, "{found}");
    assert_eq!(found["evaluations"][0]["metrics"]["held_out_accuracy"], 1.0, "{found}");
    // The control: the program would notice. What is not the file itself is not recognised.
    project("[\"main.py\", \"near.txt\"]");
    assert_eq!(shell.json("eval p")["score"], 0.0);

    for (files, named) in [
        ("[\"main.py\", \"notes.txt\"]", "“notes.txt” is the file of cases “cases.jsonl”"),
        ("[\"main.py\", \"more.txt\"]", "“more.txt” is the file of cases “hidden.jsonl”"),
        ("[\"main.py\", \"cases.jsonl\"]", "“cases.jsonl”"),
        ("[\"main.py\", \"hidden.jsonl\"]", "“hidden.jsonl”"),
    ] {
        project(files);
        shell.fails("eval p", 64, &[named]);
        shell.fails("evolve p", 64, &[named]);
    }
    // Nor does a directory that is an agent, by a suite from elsewhere.
    shell.write("s/suite.toml", suite);
    shell.write("s/cases.jsonl", cases);
    shell.write("s/hidden.jsonl", &hidden);
    shell.write("agent/main.py", HONEST);
    assert_eq!(shell.json("eval agent --suite s")["score"], 1.0);
    shell.write("agent/data/copy.txt", &hidden);
    let said = "“data/copy.txt” is the file of cases “hidden.jsonl”";
    shell.fails("eval agent --suite s", 64, &[said]);
}

#[test]
fn a_suite_whose_agents_ask_models_is_refused_as_long_as_no_proxy_is_configured() {
    let shell = Shell::new();
    let suite = "kind = \"python\"\nevaluator = \"evaluator.py\"\nmodels = true\n";
    shell.write("p/darwin.toml", format!("[agent]\nfiles = [\"a.py\"]\n[suite]\n{suite}"));
    shell.write("p/a.py", "x = 1\n");
    shell.write("p/evaluator.py", "def evaluate(path): return {'combined_score': 1}\n");
    shell.fails("eval p", 78, &["lets agents ask models", "set evaluator.model_socket"]);
}

#[test]
fn the_daemons_pythonpath_brings_modules_into_reach_and_no_keys() {
    let shell = Shell::of_a_home_that_could_be_shown();
    shell.write("u/.ssh/id_ed25519", "secret");
    shell.write("u/lib/helper.py", "GOOD = 1");
    let evaluator = "import helper, runpy
def evaluate(path):
    return {'combined_score': helper.GOOD, **runpy.run_path(path)['found']}";
    shell.write("evaluator.py", evaluator);
    let suite = "name = \"reach\"\nkind = \"python\"\nfiles = [\"evaluator.py\"]\n\
                 evaluator = \"evaluator.py\"\nprogram = \"agent.py\"\n";
    shell.write("suite.toml", suite);
    let [home, keys] = [shell.path("u"), shell.paths().keys()];
    let agent = format!(
        "import os\nhome, keys = {home:?}, {keys:?}\nfound = dict(
    ssh=os.path.exists(home + '/.ssh/id_ed25519'), keys=os.path.isdir(keys),
    home=sorted(os.listdir(home)) == ['lib'])"
    );
    shell.write("agent/agent.py", agent);
    let path = format!("{0}/lib:{0}:{0}/.ssh:{0}/darwin:{1}", home.display(), keys.display());
    let said = shell.run_with(&[("PYTHONPATH", &path)], "eval agent --suite suite.toml --json");
    assert_eq!(said.status, 0, "{}", said.err);
    let found: Value = serde_json::from_str(&said.out).unwrap();
    let metrics = &found["evaluations"][0]["metrics"];
    assert_eq!(metrics["combined_score"], 1.0, "what is harmless is there: {found}");
    for (name, there) in [("ssh", false), ("keys", false), ("home", true)] {
        assert_eq!(metrics[name], there, "{name}: {found}");
    }
    assert!(fs::read_dir(&keys).unwrap().count() > 1, "there was something to be found");
    let log = fs::read_to_string(shell.paths().log_file()).unwrap();
    assert_eq!(log.matches("agents and evaluators go without").count(), 4, "{log}");
}
