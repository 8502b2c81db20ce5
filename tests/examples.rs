//! The examples and the test data are sound: their specs load, their evaluators run on the
//! initial agent, and no answer is hidden in them.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data should stop")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use darwin::{
    config::spec::{self, Project},
    domain::suite::Method,
};

fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

fn load(below: &str) -> Project {
    spec::load(&path(below)).unwrap()
}

/// What `code` prints, run by Python with only its standard library.
fn python(code: &str, args: &[&str]) -> String {
    let run = Command::new("python3")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-s", "-c", code])
        .args(args)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).unwrap().trim().to_owned()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap()
}

#[test]
fn every_example_loads_without_a_warning_and_says_what_to_expect() {
    let mut found = 0;
    for entry in fs::read_dir(path("examples")).unwrap() {
        let dir = entry.unwrap().path();
        let project = spec::load(&dir).unwrap();
        assert_eq!(project.warnings, Vec::<String>::new(), "{}", dir.display());
        let sent = spec::to_toml(&project.spec).unwrap();
        assert_eq!(spec::parse(&sent).unwrap(), project.spec, "{}", dir.display());
        assert!(fs::read_to_string(dir.join("README.md")).unwrap().contains("Expect"));
        found += 1;
    }
    assert_eq!(found, 6);
}

#[test]
fn a_packing_is_checked_exactly_and_a_random_one_is_poor() {
    let project = load("examples/circle-packing");
    assert_eq!(spec::space(&project.spec).unwrap().params.len(), 52);
    assert!(project.spec.stop.time.is_some_and(|time| time <= 300.0));
    let dir = path("examples/circle-packing");
    let code = r#"
import json, random, sys, tempfile
sys.path.insert(0, sys.argv[1])
import evaluator as e

def score(points):
    with tempfile.TemporaryDirectory() as dir:
        names = {f"{axis}{i}": point["xy".index(axis)] for i, point in enumerate(points) for axis in "xy"}
        json.dump(names, open(dir + "/params.json", "w"))
        return e.evaluate(dir)["combined_score"]

draw = random.Random(1)
best = max(score([(draw.random(), draw.random()) for _ in range(26)]) for _ in range(64))
assert 1 < best < 2.2, best
assert score([(0.5, 0.5)] * 26) < 0.6
# A grid of 5 by 5: circles of radius 1/10, but for two that share a centre.
grid = [((2 * i + 1) / 10, (2 * j + 1) / 10) for i in range(5) for j in range(5)]
assert abs(score(grid + [(0.1, 0.1)]) - 2.4) < 1e-9
xs, ys = [e.ONE // 4, 3 * e.ONE // 4] + [0] * 24, [e.ONE // 2] * 2 + list(range(0, e.ONE, e.ONE // 24))[:24]
fine = [e.ONE // 4] * 2 + [0] * 24
e.check(xs, ys, fine)
for wrong in ([e.ONE // 4 + 1, e.ONE // 4], [e.ONE // 4, e.ONE // 4 + 1], [-1, 0]):
    try:
        e.check(xs, ys, wrong + [0] * 24)
    except ValueError:
        continue
    raise SystemExit("one unit too much was not noticed")
print(best)
"#;
    assert!(number(&python(code, &[dir.to_str().unwrap()])) < 2.2);
}

#[test]
fn the_program_to_minimise_with_starts_far_from_the_minimum() {
    let project = load("examples/function-minimization");
    let dir = path("examples/function-minimization");
    let code = "import sys\nsys.path.insert(0, sys.argv[1])\nimport evaluator as e\n\
                print(e.evaluate(sys.argv[1] + '/program.py')['value'], e.height(-1.704083, 0.677508))";
    let printed = python(code, &[dir.to_str().unwrap()]);
    let (start, lowest) = printed.split_once(' ').unwrap();
    let target = project.spec.stop.target.unwrap();
    assert!(number(start) > -0.1 && number(lowest) < target, "{printed}");
}

#[test]
fn a_prompt_can_win_every_point_and_the_first_wins_none() {
    let project = load("examples/prompt-splice");
    assert!(matches!(project.spec.suite.method, Method::Command { .. }));
    let code = r#"
import json, pathlib, subprocess, sys, tempfile
example = pathlib.Path(sys.argv[1])

def points(prompt):
    with tempfile.TemporaryDirectory() as dir:
        pathlib.Path(dir, "prompt.md").write_text(prompt)
        scorer = [sys.executable, str(example / "suite/score.py"), dir]
        return json.loads(subprocess.run(scorer, check=True, capture_output=True).stdout)["points"]

first = (example / "prompt.md").read_text()
bad = ("pirate", "Write as much", "creative")
stock = [line for file in sorted((example / "passages").iterdir()) for line in file.open()]
best = "".join(line for line in stock if not any(word in line for word in bad))
print(points(first), points(best + "\nTicket:\n"))
"#;
    let printed = python(code, &[path("examples/prompt-splice").to_str().unwrap()]);
    let (first, best) = printed.split_once(' ').unwrap();
    assert!(number(first) < 1.0);
    assert_eq!(Some(number(best)), project.spec.stop.target);
}

#[test]
fn the_program_that_answers_cases_starts_with_most_of_them_right_and_holds_no_answer() {
    let project = load("examples/ticket-triage");
    let Method::Cases(suite) = &project.spec.suite.method else {
        panic!("{:?}", project.spec.suite)
    };
    let code = r#"
import json, pathlib, subprocess, sys
example = pathlib.Path(sys.argv[1])
program = (example / "main.py").read_text()
for name in sys.argv[2:]:
    cases = [json.loads(line) for line in (example / "suite" / name).open()]
    assert not any(case["input"] in program for case in cases)
    requests = [{"jsonrpc": "2.0", "id": case["id"], "method": "answer", "params": case} for case in cases]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([sys.executable, example / "main.py"], input=lines, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [case["id"] for case in cases]
    print(sum(answer["result"] == case["expected"] for answer, case in zip(answers, cases)), len(cases))
"#;
    let dir = path("examples/ticket-triage");
    let mut args = vec![dir.to_str().unwrap()];
    args.extend(suite.files());
    assert_eq!(python(code, &args), "23 36\n11 18");
}

#[test]
fn an_openevolve_problem_is_read_unmodified() {
    let project = load("tests/data/openevolve");
    let Method::Python { evaluator, program, cascade, .. } = &project.spec.suite.method else {
        panic!("{:?}", project.spec.suite)
    };
    assert_eq!(
        (evaluator.as_str(), program.as_deref()),
        ("evaluator.py", Some("initial_program.py"))
    );
    assert!(*cascade && project.suite_files.len() == 4 && project.agent_files.len() == 1);
    assert_eq!((project.spec.seed, project.spec.stop.evaluations), (Some(11), Some(401)));
    let [warning] = project.warnings.as_slice() else { panic!("{:?}", project.warnings) };
    for key in ["llm", "prompt", "database.num_islands", "max_code_length", "log_level"] {
        assert!(warning.contains(key), "{warning}");
    }
    for key in ["random_seed", "evaluator.timeout", "population_size"] {
        assert!(!warning.contains(key), "{warning}");
    }
}

#[test]
fn the_referee_counts_as_the_dilemma_is_known_and_lets_nobody_wait() {
    let dir = path("examples/prisoners-dilemma/suite");
    // It plays both seats with the referee: a player each, or one that is late or has left.
    let code = r#"
import json, subprocess, sys

def match(first, second):
    referee = subprocess.Popen([sys.executable, sys.argv[1] + "/referee.py"], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    def tell(line):
        referee.stdin.write(json.dumps(line) + "\n")
        referee.stdin.flush()
    tell({"players": 2, "seed": 1})
    players = {"0": first, "1": second}
    for line in referee.stdout:
        said = json.loads(line)
        if "scores" in said:
            return said["scores"]
        move = players[said["to"]](said["message"]["last"])
        tell({move: said["to"]} if move in ("late", "left") else {"from": said["to"], "message": move})

good, bad = lambda last: "cooperate", lambda last: "defect"
tit = lambda last: "defect" if last and last[1] == "d" else "cooperate"
assert match(good, good) == [3, 3]
assert match(bad, bad) == [1, 1]
assert match(good, bad) == [0, 5]
assert match(bad, tit) == [(5 + 49) / 50, 49 / 50], match(bad, tit)
assert match(lambda last: "late", good) == [0, 5]
assert match(good, lambda last: "left" if last else "cooperate") == [(3 + 5 * 49) / 50, 3 / 50]
assert match(lambda last: ["odd"], lambda last: "wait") == [0, 0]
print("sound")
"#;
    assert_eq!(python(code, &[dir.to_str().unwrap()]), "sound");
}
