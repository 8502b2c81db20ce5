//! Wrong input of each kind: a clear error, the documented exit status, nothing lost.

use std::fs;

use serde_json::Value;

use crate::{disk::SmallDisk, home::until, shell::Shell};

/// What is said of a full disk, whichever file meets it first.
const FULL: &str = "no space is left";
const PROGRAM: &str = "# EVOLVE-BLOCK-START\nX = 1.0\n# EVOLVE-BLOCK-END\n";

/// A shell with an OpenEvolve problem in `problem`.
fn problem(evaluator: &str) -> Shell {
    let shell = Shell::new();
    shell.write("problem/initial_program.py", PROGRAM);
    shell.write("problem/evaluator.py", evaluator);
    shell.write("problem/config.yaml", "evaluator:\n  timeout: 2\n");
    shell
}

#[test]
fn a_spec_with_a_mistake_starts_nothing() {
    let shell = Shell::new();
    for (name, content, part) in [
        ("empty.toml", "", "suite"),
        ("broken.toml", "name = [", "line 1"),
        ("typo.toml", "sede = 7\n[suite]\nkind = \"builtin\"\n", "sede"),
        (
            "function.toml",
            "[suite]\nkind = \"builtin\"\nfunction = \"spere\"\ndimensions = 2\n",
            "sphere",
        ),
        ("missing.toml", "suite = \"nowhere.toml\"\n", "nowhere.toml"),
    ] {
        shell.write(name, content);
        let said = shell.run(&format!("evolve {name}"));
        assert_eq!(said.status, 64, "{name}: {}", said.err);
        assert!(said.err.contains(part), "{name}: {}", said.err);
    }
    shell.write("only/evaluator.py", "");
    assert_eq!(shell.run("evolve only").status, 64);
    assert!(shell.daemon().is_none(), "a mistake is found before a daemon is started");
}

#[test]
fn what_is_no_file_is_named() {
    let shell = Shell::new();
    shell.write("directory/suite.toml/x", "");
    shell.write("large.toml", vec![b'#'; (1 << 20) + 1]);
    shell.write("binary.toml", [b'#', 0xff]);
    let trust = "ab".repeat(32);
    for (line, parts) in [
        ("evolve large.toml", ["large.toml", "larger than 1 MiB"]),
        ("evolve binary.toml", ["binary.toml", "not UTF-8"]),
        ("evolve gone.toml", ["gone.toml", "No such file"]),
        ("eval directory --suite directory", ["suite.toml", "not a regular file"]),
        ("eval directory --suite /dev/null", ["/dev/null", "not a regular file"]),
        (&format!("lineage verify directory --trust {trust}"), ["no file directory", "--trust"]),
        (
            &format!("lineage verify gone.car --trust {trust}"),
            ["can't read gone.car", "No such file"],
        ),
        ("lineage verify large.toml --trust 00", ["--trust 00", "64 hexadecimal digits"]),
    ] {
        shell.fails(line, 64, &parts);
    }
    assert!(shell.daemon().is_none());
}

#[test]
fn an_evaluator_that_floods_or_forks_for_ever_is_a_recorded_failure() {
    let flood = "import sys\ndef evaluate(path):\n    while True:\n        \
                 sys.stdout.write('x' * 65536)\n";
    let flood_errors = flood.replace("stdout", "stderr");
    let fork = "import os\ndef evaluate(path):\n    while True:\n        os.fork()\n";
    let patient = "import os\ndef evaluate(path):\n    while True:\n        try:\n            \
                   os.fork()\n        except OSError:\n            pass\n";
    let shell = problem("");
    for (evaluator, failures) in [
        (flood, &["timed-out", "over-limit"][..]),
        (&flood_errors, &["timed-out", "over-limit"]),
        (fork, &["over-limit", "crashed"]),
        (patient, &["timed-out", "over-limit"]),
    ] {
        shell.write("problem/evaluator.py", evaluator);
        let said = shell.run("evolve problem --max-evaluations 2 --json");
        assert_eq!(said.status, 1, "{}", said.err);
        let told = |text: &str| failures.iter().any(|failure| text.contains(failure));
        assert!(told(&said.err), "{evaluator}\n{}", said.err);
        let run: serde_json::Value =
            serde_json::from_str(said.out.lines().next().unwrap()).unwrap();
        assert_eq!((&run["state"], &run["failed"]), (&"finished".into(), &2.into()));
        let archived = format!("journal {} --only archived --json", run["id"].as_str().unwrap());
        let archived = shell.good(&archived);
        assert_eq!(archived.lines().count(), 2);
        assert!(archived.lines().all(told), "{evaluator}\n{archived}");
        let eval = shell.run("eval problem --suite problem");
        eval.failed("eval", 1, &["1 evaluation failed", "(code bar-missed;"]);
        assert!(told(&eval.out), "{evaluator}\n{}", eval.out);
    }
    // Nobody was hurt: the same daemon works on, and has nothing left to do.
    shell.write("problem/evaluator.py", "def evaluate(path):\n    return {'combined_score': 1}\n");
    assert_eq!(shell.json("eval problem --suite problem")["score"], 1.0);
    assert_eq!(shell.json("status")["running"], 0);
    shell.good("store verify");
}

#[test]
fn an_evaluator_that_talks_much_and_then_scores_is_no_failure() {
    let shell = problem(
        "def evaluate(path):\n    print('x' * (8 << 20))\n    return {'combined_score': 1.0}\n",
    );
    let run = shell.json("evolve problem --max-evaluations 2");
    assert_eq!((&run["failed"], &run["best"]), (&0.into(), &1.0.into()), "{run}");
}

#[test]
fn an_evaluator_that_fails_is_told_and_recorded() {
    for (evaluator, part) in [
        ("def evaluate(path):\n    raise RuntimeError('boom')\n", "boom"),
        ("def evaluate(path):\n    return 'rubbish'\n", "bad-metrics"),
        ("def evaluate(path):\n    return {'combined_score': float('nan')}\n", "bad-metrics"),
        ("import time\ndef evaluate(path):\n    time.sleep(3600)\n", "timed-out"),
        ("import os\ndef evaluate(path):\n    os._exit(3)\n", "crashed"),
    ] {
        let shell = problem(evaluator);
        let said = shell.run("evolve problem --max-evaluations 2");
        assert_eq!(said.status, 1, "{}", said.err);
        assert!(said.err.contains("no agent has a score"), "{}", said.err);
        assert!(said.err.contains(part), "{part}: {}", said.err);
        let run = shell.json("runs list")["runs"][0].clone();
        assert_eq!((&run["agents"], &run["failed"]), (&2.into(), &2.into()));
        let failed = format!("journal {} --only archived --json", run["id"].as_str().unwrap());
        assert_eq!(shell.good(&failed).lines().count(), 2);
        let eval = shell.run("eval problem --suite problem");
        assert_eq!(eval.status, 1, "{}", eval.err);
        assert!(eval.out.contains(part), "{part}: {}", eval.out);
    }
}

#[test]
fn an_evaluator_that_cannot_be_loaded_is_refused() {
    let shell = problem("def (\n");
    let said = shell.run("evolve problem --max-evaluations 2");
    assert_eq!(said.status, 64, "{}", said.err);
    assert!(said.err.contains("SyntaxError"), "{}", said.err);
}

#[test]
fn a_module_that_the_interpreter_lacks_comes_with_what_to_do() {
    let remedy = "set evaluator.python (DARWIN_EVALUATOR__PYTHON) to an interpreter that has it";
    let at_once = "import nonsense\n";
    let later = "def evaluate(path):\n    import nonsense\n";
    let shinka = "if __name__ == '__main__':\n    import nonsense\n";
    for (file, evaluator, status) in [
        ("evaluator.py", at_once, 64),
        ("evaluator.py", later, 1),
        ("evaluate.py", at_once, 64),
        ("evaluate.py", shinka, 1),
    ] {
        let shell = Shell::new();
        let initial = if file == "evaluate.py" { "initial.py" } else { "initial_program.py" };
        shell.write(&format!("problem/{initial}"), PROGRAM);
        shell.write(&format!("problem/{file}"), evaluator);
        let parts = ["No module named 'nonsense'", remedy];
        shell.fails("evolve problem --max-evaluations 2", status, &parts);
        shell.fails("eval problem", status, &[remedy]);
    }
    let other = problem("def evaluate(path):\n    raise RuntimeError('boom')\n");
    let said = other.fails("evolve problem --max-evaluations 2", 1, &["boom"]);
    assert!(!said.err.contains("evaluator.python"), "{}", said.err);
}

#[test]
fn code_is_evolved_compared_and_exported() {
    let shell = problem(
        "import runpy\ndef evaluate(path):\n    \
         x = runpy.run_path(path)['X']\n    return {'combined_score': -abs(x - 2.5)}\n",
    );
    let run = shell.json("evolve problem --seed 1 --max-evaluations 120");
    assert!(run["best"].as_f64().unwrap() > -1.5, "{run}");
    let id = run["id"].as_str().unwrap();
    shell.good(&format!("agents export {id} best"));
    let program = fs::read_to_string(shell.path("best/initial_program.py")).unwrap();
    assert!(program.contains("EVOLVE-BLOCK-START") && program != PROGRAM, "{program}");
    assert_eq!(shell.good(&format!("agents files {id} initial_program.py -q")), program);
    let ancestors = shell.json(&format!("lineage ancestors {id} -q --limit 1000"));
    let first = ancestors["agents"].as_array().unwrap().last().unwrap()["id"].clone();
    let diff = shell.good(&format!("lineage diff {} {id} -q", first.as_str().unwrap()));
    assert!(diff.contains("+++ initial_program.py") && diff.contains("\n+X = "), "{diff}");
    let again = shell.json("eval best --suite problem");
    assert_eq!(again["score"], run["best"]);
}

#[test]
fn a_full_disk_makes_a_run_wait_and_nothing_is_lost() {
    let shell = Shell::new();
    let home = shell.path("home");
    fs::create_dir(&home).unwrap();
    let Some(_disk) = SmallDisk::new(&home, "24m") else { return };
    shell.write("home/ballast", vec![0; 16 << 20]);
    shell.write(
        "spec.toml",
        "[search]\npopulation = 8\n\
         [suite]\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 3\n",
    );
    let run = shell.good("evolve spec.toml --max-generations 1000000000 --detach");
    let run = run.trim();
    let show = || shell.json(&format!("runs show {run}"));
    let full = until("the disk is full", || {
        let told = |run: &Value| run["waiting"].as_str().is_some_and(|why| why.contains(FULL));
        Some(show()).filter(told)
    });
    assert_eq!(full["state"], "running");
    assert!(shell.good("status").contains(FULL));
    shell.good("store verify");

    fs::remove_file(home.join("ballast")).unwrap();
    until("the run goes on", || {
        (show()["agents"].as_u64() > full["agents"].as_u64()).then_some(())
    });
    shell.good(&format!("runs stop {run}"));
    shell.good("store verify");
    shell.kill_daemon();
}
