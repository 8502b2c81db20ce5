//! Suites of cases: protocols, scorers, builds, and what rubbish comes to.

use darwin::{
    config::suite as config,
    domain::{
        evaluation::{FailureKind, Metric},
        suite::Method,
    },
};
use serde_json::Value;

use super::*;

/// The suite that `text` describes, of Python agents.
pub fn suite(text: &str) -> Suite {
    let head = "kind = \"cases\"\nargv = [\"python3\", \"main.py\"]\ncases = \"cases.jsonl\"\n";
    let mut suite = config::parse(&format!("{head}{text}")).unwrap();
    if suite.limits == Limits::default() {
        suite.limits = limits();
    }
    suite
}

/// What an evaluation says of each answer.
pub fn log(evaluation: &Evaluation) -> Vec<Value> {
    let text = std::str::from_utf8(&evaluation.artifacts["cases.jsonl"]).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn number(evaluation: &Evaluation, name: &str) -> f64 {
    match evaluation.metrics.get(name) {
        Some(Metric::Number(number)) => *number,
        other => panic!("{name}: {other:?}"),
    }
}

/// Evaluates one agent that is a `main.py` with this text.
async fn run(suite: &Suite, files: &[(&str, &str)], main: &str) -> Evaluation {
    let world = World::new();
    let bench = world.open(suite, files).await.unwrap();
    let evaluation = bench.evaluate(&genome(&[("main.py", main)]), 5).await.unwrap();
    bench.close().await;
    evaluation
}

const SUMS: &str = r#"
{"id": "one", "input": "1 2", "expected": "3"}
{"input": "20 22", "expected": 42, "weight": 3}
{"id": "odd", "input": {"numbers": [4, 4]}, "expected": "8"}
"#;

#[tokio::test]
async fn a_process_answers_each_case_on_its_standard_output() {
    let main = "
import sys
text = sys.stdin.read()
print(sum(int(word) for word in text.split()) if text[0] != '{' else repr(text))";
    let evaluation = run(&suite(""), &[("cases.jsonl", SUMS)], main).await;
    assert_eq!(evaluation.scores, Ok(vec![0.8]), "{evaluation:?}");
    assert_eq!((number(&evaluation, "passed"), number(&evaluation, "total")), (2.0, 3.0));
    assert!(!evaluation.in_process && evaluation.usage.wall_us > 0);
    let log = log(&evaluation);
    let ids: Vec<_> = log.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["one", "cases.jsonl:3", "odd"]);
    assert_eq!((&log[0]["pass"], &log[0]["output"]), (&Value::from(true), &Value::from("3\n")));
    assert!(log[0]["wall_us"].as_u64() > Some(0));
    // JSON that is no text comes as one line.
    assert_eq!(log[2]["output"], "'{\"numbers\":[4,4]}\\n'\n");
    assert_eq!(log[2]["why"], "it is not the expected answer");
}

/// An agent that adds by JSON-RPC; `more` is done with each request and the response to it.
fn adder(more: &str) -> String {
    format!(
        "
import json, os, sys, time
def say(value):
    print(json.dumps(value), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    numbers = [int(word) for word in request['params']['input'].split()]
    response = {{'jsonrpc': '2.0', 'id': request['id'], 'result': str(sum(numbers))}}
    {more}
    say(response)
"
    )
}

const RPC: &str = r#"{"id": "a", "input": "1 2", "expected": "3"}
{"id": "b", "input": "2 2", "expected": "4"}
{"id": "c", "input": "3 2", "expected": "5"}
"#;

#[tokio::test]
async fn one_process_answers_all_cases_by_lines_of_json_rpc() {
    let main = adder("response['result'] += f' by {os.getpid()} of {os.environ[\"DARWIN_SEED\"]}'");
    let scorer = "protocol = \"json-rpc\"\n[scorer]\nkind = \"regex\"\n";
    let evaluation = run(&suite(scorer), &[("cases.jsonl", RPC)], &main).await;
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    let word = |line: &Value| {
        let output = line["output"].as_str().unwrap().to_owned();
        output.rsplit_once(" by ").unwrap().1.to_owned()
    };
    let log = log(&evaluation);
    assert!(log.iter().all(|line| word(line) == word(&log[0])), "{log:?}");
    assert!(word(&log[0]).contains("of 5"));
}

#[tokio::test]
async fn each_scorer_tells_right_from_wrong() {
    let cases = r#"
{"input": "A ", "check": {"kind": "exact", "trim": false, "expected": "A "}}
{"input": "A ", "check": {"kind": "exact", "trim": false, "expected": "A"}}
{"input": "abc", "expected": "^a.c$", "check": {"kind": "regex"}}
{"input": "abcd", "expected": "bc", "check": {"kind": "regex", "full": true}}
{"input": "10.4", "check": {"kind": "numeric", "absolute": 0.5, "expected": 10}}
{"input": "11", "check": {"kind": "numeric", "relative": 0.01, "expected": 10}}
{"input": "{\"a\": [1, {\"b\": 2, \"c\": 3}], \"d\": 4}", "expected": {"a": [1, {"b": 2}]}, "check": {"kind": "json"}}
{"input": "{\"a\": []}", "expected": {"a": [1]}, "check": {"kind": "json"}}
{"input": "yes", "expected": ["y", "s"], "check": {"kind": "command", "argv": ["python3", "{suite}/judge.py"]}}
{"input": "no", "expected": ["y", "s"], "check": {"kind": "command", "argv": ["python3", "{suite}/judge.py"]}}
"#;
    let judge = "
import json, sys
given = json.load(sys.stdin)
assert given['input'] == given['output'], given
print(json.dumps({'pass': all(letter in given['output'] for letter in given['expected'])}))
";
    let files = [("cases.jsonl", cases), ("judge.py", judge)];
    let echo = "import sys; sys.stdout.write(sys.stdin.read())";
    let evaluation = run(&suite(""), &files, echo).await;
    let passes: Vec<_> = log(&evaluation).iter().map(|line| line["pass"] == true).collect();
    assert_eq!(passes, [true, false].repeat(5), "{:?}", log(&evaluation));
}

#[tokio::test]
async fn a_scorer_program_gives_parts_of_a_point_and_its_faults_are_recorded() {
    let judge = "
import json, os, sys
given = json.load(sys.stdin)
exec(given['input'])
";
    let line = |code: &str| serde_json::json!({ "input": code }).to_string();
    let codes = [
        "print(json.dumps({'score': 0.25}))",
        "print(json.dumps({'score': 0.75, 'pass': True, 'why': 'nearly\\x1b'}))",
        "print(json.dumps({'score': 1.5}))",
        "print(json.dumps({'score': float('nan')}))",
        "print('{}')",
        "print('[]')",
        "sys.exit('out of order')",
        "os.kill(os.getpid(), 9)",
        "assert given['output'] == 'x' and given['expected'] is None; print('{\"pass\": true}')",
        // Of the agent's files it has none, and of the suite's not the cases.
        "print(json.dumps({'pass': os.listdir('.') == [] and os.listdir('/suite') == ['judge.py']}))",
    ];
    let cases = codes.map(line).join("\n");
    let text = "[scorer]\nkind = \"command\"\nargv = [\"python3\", \"{suite}/judge.py\"]\n";
    let files = [("cases.jsonl", cases.as_str()), ("judge.py", judge)];
    let evaluation = run(&suite(text), &files, "print('x', end='')").await;
    let log = log(&evaluation);
    let scores: Vec<_> = log.iter().map(|line| line["score"].as_f64().unwrap()).collect();
    assert_eq!(scores, [0.25, 0.75, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], "{log:?}");
    assert_eq!(number(&evaluation, "passed"), 3.0);
    assert_eq!(log[1]["why"], "nearly\u{fffd}");
    for (at, said) in [
        (2, "1.5"),
        (3, "the suite's scorer failed"),
        (4, "neither score nor pass"),
        (5, "the suite's scorer failed"),
        (6, "out of order"),
        (7, "signal 9"),
    ] {
        assert!(log[at]["why"].as_str().unwrap().contains(said), "{}", log[at]);
    }
}

#[tokio::test]
async fn rubbish_is_a_failed_case_with_a_reason_and_the_next_case_is_well() {
    let rubbish = [
        ("sys.stdout.buffer.write(b'\\xff\\xfe')", "no UTF-8"),
        ("print('x' * 70000)", "more than 64 KiB"),
        ("while True: print('flood')", "more than 64 KiB"),
        ("sys.exit(3)", "status 3"),
        ("sys.exit('what\\x1b a pity')", "what� a pity"),
        ("os.kill(os.getpid(), 11)", "signal 11"),
        ("time.sleep(99)", "within 2 s"),
        ("os.closerange(0, 99); time.sleep(99)", "within 2 s"),
        ("os.kill(0, signal.SIGSTOP)", "within 2 s"),
        ("a = b'x' * (1 << 30)", World::new().too_much("256 MiB")),
        ("open('f', 'wb').write(b'x' * (20 << 20))", "status 1"),
        ("pass", "not the expected answer"),
    ];
    let mut cases = String::new();
    for (code, _) in rubbish {
        for input in [code, "print('fine')"] {
            let line = serde_json::json!({ "input": input, "expected": "fine" });
            cases += &format!("{line}\n");
        }
    }
    let main = "import os, signal, sys, time\nexec(sys.stdin.read())";
    let evaluation = run(
        &suite("[limits]\ntime = 2\nmemory_mib = 256\ndisk_mib = 16\noutput_kib = 64\n"),
        &[("cases.jsonl", &cases)],
        main,
    )
    .await;
    let log = log(&evaluation);
    for (at, (code, said)) in rubbish.iter().enumerate() {
        let (bad, good) = (&log[2 * at], &log[2 * at + 1]);
        assert!(bad["why"].as_str().unwrap().contains(said), "{code}: {bad}");
        assert_eq!(good["pass"], true, "after {code}: {good}");
    }
    assert_eq!(evaluation.scores, Ok(vec![0.5]));
}

#[tokio::test]
async fn what_breaks_the_rules_of_json_rpc_is_a_failed_case_and_the_next_is_well() {
    let text = "protocol = \"json-rpc\"\n[limits]\ntime = 3\nmemory_mib = 256\noutput_kib = 64\n";
    let mut suite = suite(text);
    suite.limits.processes = 32;
    let world = World::new();
    let bench = world.open(&suite, &[("cases.jsonl", RPC)]).await.unwrap();
    for (more, said) in [
        ("response['id'] += request['id'] == 2", "id 3 where 2"),
        (
            "response['id'] = str(request['id']) if request['id'] == 2 else 1 + 2 * (request['id'] > 2)",
            "id \"2\" where 2",
        ),
        ("if request['id'] == 2: response = [1]", "no JSON-RPC response"),
        ("if request['id'] == 2: print('hello')", "no JSON-RPC response"),
        ("if request['id'] == 2: response.pop('result')", "either a result or an error"),
        (
            "if request['id'] == 2: response = {'jsonrpc': '2.0', 'id': 2, 'error': {'code': 1, 'message': 'no idea'}}",
            "no idea",
        ),
        ("if request['id'] == 2: os.write(1, b'\\xff\\n'); continue", "no UTF-8"),
        (
            "if request['id'] == 2: print(end=json.dumps(response)); sys.stdout.flush(); os._exit(0)",
            "ended without a result",
        ),
        ("if request['id'] == 2: sys.exit(7)", "status 7"),
        ("if request['id'] == 2: time.sleep(99)", "within 3 s"),
        ("while request['id'] == 2: os.write(1, b'x' * 1000)", "more than 64 KiB"),
    ] {
        let agent = genome(&[("main.py", &adder(more))]);
        let evaluation = bench.evaluate(&agent, 0).await.unwrap();
        let log = log(&evaluation);
        assert_eq!(log[0]["pass"], true, "{more}: {log:?}");
        assert!(log[1]["why"].as_str().unwrap().contains(said), "{more}: {log:?}");
        // Of an extra line the case after is the victim, or it comes in time to be dropped.
        if !more.contains("hello") {
            assert_eq!(log[2]["pass"], true, "{more}: {log:?}");
        }
    }
    // An extra line after an answer is told apart from the next one, whenever it comes.
    let twice = genome(&[("main.py", &adder("say(response)"))]);
    let log = log(&bench.evaluate(&twice, 0).await.unwrap());
    assert_eq!((&log[0]["pass"], &log[1]["pass"]), (&Value::from(true), &Value::from(false)));
    let why = log[1]["why"].as_str().unwrap();
    assert!(why.contains("more than one line") || why.contains("id 1 where 2"), "{why}");
    bench.close().await;
}

#[tokio::test]
async fn pass_at_k_counts_attempts_with_seeds_of_their_own() {
    let main = "
import os, sys
print('right' if int(os.environ['DARWIN_SEED']) % 4 == int(sys.stdin.read()) else 'wrong')";
    let cases = r#"{"input": 1, "expected": "right"}
{"input": 9, "expected": "right"}"#;
    let evaluation = run(&suite("attempts = 4\n"), &[("cases.jsonl", cases)], main).await;
    // Of seeds 5 to 8 one fits the first case, and none the second.
    assert_eq!(evaluation.scores, Ok(vec![0.125]), "{evaluation:?}");
    assert_eq!((number(&evaluation, "passed"), number(&evaluation, "total")), (1.0, 8.0));
    for (k, expected) in [(1, 0.125), (2, 0.25), (3, 0.375), (4, 0.5)] {
        let found = number(&evaluation, &format!("pass@{k}"));
        assert!((found - expected).abs() < 1e-12, "pass@{k}: {found}");
    }
    assert_eq!(log(&evaluation).len(), 8);
}

#[tokio::test]
async fn stages_go_on_only_over_their_threshold() {
    let head = "kind = \"cases\"\nargv = [\"sh\", \"main.sh\"]\nheld_out = \"hidden\"\n\
                stages = [{ cases = \"smoke\", threshold = 0.5 }, { cases = \"all\" }]\n";
    let suite = config::parse(head).unwrap();
    let world = World::new();
    let case = |input: &str| format!("{{\"input\": \"{input}\", \"expected\": \"{input}\"}}\n");
    let smoke = case("a") + &case("b");
    let all = case("a") + &case("c");
    let hidden = case("a");
    let files = [("smoke", &*smoke), ("all", &*all), ("hidden", &*hidden)];
    let bench = world.open(&suite, &files).await.unwrap();
    for (script, accuracy, held_out, lines) in
        [("cat", 1.0, 1.0, 4), ("echo a", 0.5, 1.0, 4), ("echo c", 0.0, 0.0, 2)]
    {
        let evaluation = bench.evaluate(&genome(&[("main.sh", script)]), 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![accuracy]), "{script}: {evaluation:?}");
        assert_eq!(number(&evaluation, "held_out_accuracy"), held_out, "{script}");
        assert_eq!(log(&evaluation).len(), lines, "{script}");
    }
    bench.close().await;
}

#[tokio::test]
async fn a_suite_whose_cases_cannot_be_read_is_refused() {
    let world = World::new();
    for (cases, said) in [("", "no case"), ("{\"input\": 1}", "cases.jsonl:1: expected is missing")]
    {
        let error =
            world.open(&suite(""), &[("cases.jsonl", cases)]).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code(), darwin::code::Code::InvalidInput);
        assert!(error.to_string().contains(said), "{error}");
    }
    assert_eq!(fs::read_dir(world.scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn what_a_build_makes_is_there_for_the_cases_and_kept() {
    let build = "[build]\nargv = [\"python3\", \"build.py\"]\n[build.limits]\ntime = 5\n";
    let mut suite = suite(build);
    let Method::Cases(own) = &mut suite.method else { panic!("{suite:?}") };
    own.argv = vec!["{agent}/bin/answer".to_owned()];
    let cases = "{\"input\": \"x\", \"expected\": \"built from 1\"}\n";
    let world = World::new();
    let bench = world.open(&suite, &[("cases.jsonl", cases)]).await.unwrap();
    let build = "
import os, time
os.mkdir('bin')
made = open('bin/answer', 'w')
made.write('#!/bin/sh\\necho built from ' + open('source').read() + '\\n')
os.fchmod(made.fileno(), 0o755)
if os.fork() == 0:
    time.sleep(99)";
    let agent = genome(&[("build.py", build), ("source", "1")]);
    let kept = world.scratch.path().join("builds");
    for _ in 0..2 {
        let evaluation = bench.evaluate(&agent, 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        assert_eq!(fs::read_dir(&kept).unwrap().count(), 1);
    }
    // What is kept is used, and not made again; a byte less of it, and it is made again.
    let file = fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(bench.evaluate(&agent, 0).await.unwrap().scores, Ok(vec![1.0]));
    assert_eq!(fs::read(&file).unwrap(), whole);
    let other = genome(&[("build.py", build), ("source", "2")]);
    assert_eq!(bench.evaluate(&other, 0).await.unwrap().scores, Ok(vec![0.0]));
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 2);
    for (build, kind, said) in [
        (
            "import sys; sys.exit('main.c:3: error: no')",
            FailureKind::Crashed,
            "its build failed: main.c:3",
        ),
        ("while True: pass", FailureKind::TimedOut, "its build failed: it did not end"),
        ("import os; os.symlink('/etc/passwd', 'x')", FailureKind::BadMetrics, "“x” is a link"),
        ("import os; os.mkfifo('x')", FailureKind::BadMetrics, "neither a file"),
    ] {
        let evaluation = bench.evaluate(&genome(&[("build.py", build)]), 0).await.unwrap();
        assert_failed(evaluation, kind, said);
    }
    assert_eq!(fs::read_dir(&kept).unwrap().count(), 2);
    bench.close().await;
}
