//! What evaluators may return and rely on, and what it comes to.

use std::sync::Arc;

use darwin::{
    daemon::evaluator::Profile,
    domain::{
        evaluation::{FailureKind, Isolation, Metric},
        genome::{Genome, Kind, Param, Space},
        suite::{Limits, Method, Suite},
    },
};

use super::*;

#[tokio::test]
async fn a_dict_is_scored_and_everything_in_it_recorded() {
    let world = World::new();
    let bench = world
        .python(
            "
def evaluate(path):
    return {'combined_score': 0.1 + 0.2, 'n': 10**400, 'flag': True, 'nan': float('nan'),
            'word': 'fine', 'nested': {'a': [1]}, 'none': None, 'bad\\udc80': 1}
",
        )
        .await
        .unwrap();
    let evaluation = bench.evaluate(&program(""), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![0.1 + 0.2]));
    let metric = |name: &str| evaluation.metrics[name].clone();
    assert_eq!(metric("n"), Metric::Text("inf".into()));
    assert_eq!(metric("flag"), Metric::Flag(true));
    assert_eq!(metric("nan"), Metric::Text("nan".into()));
    assert_eq!(metric("word"), Metric::Text("fine".into()));
    assert_eq!(metric("nested"), Metric::Text(r#"{"a": [1]}"#.into()));
    assert_eq!(metric("none"), Metric::Text("null".into()));
    assert_eq!(metric("bad?"), Metric::Number(1.0));
    assert_eq!(evaluation.isolation, Isolation::Full);
    assert!(evaluation.in_process && !evaluation.cached);
    assert!(evaluation.usage.wall_us > 0 && evaluation.usage.max_rss > 1 << 20);
    bench.close().await;
}

#[tokio::test]
async fn an_evaluation_result_brings_artefacts_as_text_and_bytes() {
    let world = World::new();
    let bench = world
        .python(
            "
from openevolve.evaluation_result import EvaluationResult
async def evaluate(path):
    result = EvaluationResult(metrics={'a': 1.0, 'b': 2, 'complexity': 50, 'ok': True},
                              artifacts={'text': 'grüß', 'bytes': b'\\x00\\xff', 'tree': {'k': 1}})
    assert result.has_artifacts() and result.get_artifact_size('text') == 6
    assert result.get_total_artifact_size() > 8 and 'tree' in result.get_artifact_keys()
    assert not EvaluationResult.from_dict({'a': 1}).has_artifacts()
    assert EvaluationResult.from_dict({'a': 1}).to_dict() == {'a': 1}
    return result
",
        )
        .await
        .unwrap();
    let evaluation = bench.evaluate(&program(""), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1.5]), "{evaluation:?}");
    assert_eq!(evaluation.artifacts["text"], "grüß".as_bytes());
    assert_eq!(evaluation.artifacts["bytes"], &b"\x00\xff"[..]);
    assert_eq!(evaluation.artifacts["tree"], &br#"{"k": 1}"#[..]);
    bench.close().await;
}

/// Three stages whose results the candidate's text says, as a list of Python expressions.
const STAGES: &str = "
import os, time
assert __name__ == 'evaluation_module' and os.environ['ENABLE_ARTIFACTS'] == 'true'
def stage(n, path):
    return eval(open(path).read())[n - 1]
def evaluate_stage1(path): return stage(1, path)
def evaluate_stage2(path): return stage(2, path)()
def evaluate_stage3(path): return stage(3, path)()
def evaluate(path): raise AssertionError('stages come first')
";

#[tokio::test]
async fn stages_run_as_far_as_their_thresholds_let_them() {
    let world = World::new();
    let quick = Limits { time: 2.0, ..limits() };
    let bench = world.open(&python(quick), &[("evaluator.py", STAGES)]).await.unwrap();
    let run = async |text: &str| bench.evaluate(&program(text), 0).await.unwrap();

    let first = run("[{'combined_score': 0.4}]").await;
    assert_eq!(first.scores, Ok(vec![0.4]));
    // Later results override; the mean of all numbers decides where there is no such score.
    let second = run("[{'a': 0.5, 'error': -9}, lambda: {'a': 0.7, 'b': 0.2}]").await;
    assert_eq!(second.metrics["a"], Metric::Number(0.7));
    let all =
        run("[{'combined_score': 0.5}, lambda: {'combined_score': 0.75}, lambda: {'combined_score': 3}]")
            .await;
    assert_eq!(all.scores, Ok(vec![3.0]));

    let early = run("[1 / 0]").await;
    assert_eq!(early.metrics["stage1_passed"], Metric::Number(0.0));
    assert_eq!(early.metrics["error"], Metric::Number(0.0));
    assert!(early.artifacts["traceback"].ends_with(b"ZeroDivisionError: division by zero\n"));
    assert_failed(early, FailureKind::Crashed, "ZeroDivisionError: division by zero");

    // A later stage that fails leaves what was measured before.
    let late = run("[{'combined_score': 0.6}, lambda: 1 / 0]").await;
    assert_eq!(late.scores, Ok(vec![0.6]));
    assert_eq!(late.metrics["stage2_passed"], Metric::Number(0.0));
    // Each stage has its own time.
    let slow = run("[time.sleep(1.5) or {'combined_score': 0.6}, lambda: time.sleep(60)]").await;
    assert_eq!(slow.scores, Ok(vec![0.6]));
    assert_eq!(slow.metrics["timeout"], Metric::Flag(true));
    let never = run("[time.sleep(60)]").await;
    assert_eq!(never.metrics["timeout"], Metric::Flag(true));
    assert_failed(never, FailureKind::TimedOut, "2 s");
    bench.close().await;
}

/// What stages come to whose results are these Python expressions.
async fn staged(world: &World, suite: &Suite, results: &[&str]) -> Evaluation {
    let mut text = "nan = float('nan')\n".to_owned();
    for (at, result) in (1..).zip(results) {
        text += &format!("async def evaluate_stage{at}(path): return {result}\n");
    }
    text += "def evaluate(path): return {'combined_score': 9, 'whole': 1}\n";
    let bench = world.open(suite, &[("evaluator.py", &text)]).await.unwrap();
    let evaluation = bench.evaluate(&program(""), 0).await.unwrap();
    bench.close().await;
    evaluation
}

#[tokio::test]
async fn a_threshold_is_passed_by_openevolves_rule() {
    let world = World::new();
    let suite = python(limits());
    for (first, passes) in [
        ("{'combined_score': 0.5}", true),
        ("{'combined_score': 0.49, 'other': 9}", false),
        // Without a combined score that is a number: the mean of all numbers and flags, `error`
        // excepted.
        ("{'a': 0, 'b': 1}", true),
        ("{'a': 0.25, 'ok': True, 'error': -9, 'word': 'x', 'list': [5]}", true),
        ("{'a': 0.75, 'ok': False}", false),
        ("{'combined_score': 'high', 'a': 1}", true),
        ("{'combined_score': nan, 'a': 1}", false),
        ("{'complexity': 1}", true),
        ("{'word': 'x'}", false),
        ("{}", false),
    ] {
        let found = staged(&world, &suite, &[first, "{'second': 1}"]).await;
        assert_eq!(found.metrics.contains_key("second"), passes, "{first}: {found:?}");
    }
}

#[tokio::test]
async fn stages_are_awaited_and_merged_and_stop_where_the_thresholds_do() {
    let world = World::new();
    let mut suite = python(limits());
    let results = [
        "{'combined_score': 1, 'a': 1, 'artifacts': {'one': 'x', 'both': 'old'}}",
        "{'combined_score': 2, 'a': 2, 'artifacts': {'both': b'new'}}",
        "{'combined_score': 3, 'c': 3}",
    ];
    let all = staged(&world, &suite, &results).await;
    assert_eq!(all.scores, Ok(vec![3.0]), "{all:?}");
    assert_eq!(
        (&all.metrics["a"], &all.metrics["c"]),
        (&Metric::Number(2.0), &Metric::Number(3.0))
    );
    assert_eq!((&all.artifacts["one"][..], &all.artifacts["both"][..]), (&b"x"[..], &b"new"[..]));
    assert!(!all.metrics.contains_key("whole"));

    let thresholds = |suite: &mut Suite, list: &[f64], on| {
        let Method::Python { cascade, cascade_thresholds, .. } = &mut suite.method else {
            unreachable!()
        };
        (*cascade, *cascade_thresholds) = (on, list.to_vec());
    };
    // There is no threshold for the third.
    thresholds(&mut suite, &[0.5], true);
    assert_eq!(staged(&world, &suite, &results).await.scores, Ok(vec![2.0]));
    thresholds(&mut suite, &[0.5, 2.5], true);
    assert_eq!(staged(&world, &suite, &results).await.scores, Ok(vec![2.0]));
    // Without stages, or without the first of them, the whole is evaluated.
    thresholds(&mut suite, &[0.5, 0.5], false);
    assert_eq!(staged(&world, &suite, &results).await.scores, Ok(vec![9.0]));
    thresholds(&mut suite, &[0.5, 0.5], true);
    let lone = "def evaluate_stage2(path): return {'combined_score': 2}\n\
                def evaluate(path): return {'combined_score': 9}";
    let bench = world.open(&suite, &[("evaluator.py", lone)]).await.unwrap();
    assert_eq!(bench.evaluate(&program(""), 0).await.unwrap().scores, Ok(vec![9.0]));
    bench.close().await;
}

#[tokio::test]
async fn a_dicts_own_artefacts_are_artefacts_and_features_are_not_in_the_mean() {
    let world = World::new();
    let text = "def evaluate(path): return eval(open(path).read())";
    let bench = world.python(text).await.unwrap();
    let run = async |text: &str| bench.evaluate(&program(text), 0).await.unwrap();
    let found =
        run("{'a': 1, 'b': 3, 'complexity': 50, 'artifacts': {'log': 'l', 'raw': b'\\xff', \
                     'tree': [1]}}")
        .await;
    assert_eq!(found.scores, Ok(vec![2.0]), "{found:?}");
    assert_eq!(
        (&found.artifacts["log"][..], &found.artifacts["raw"][..]),
        (&b"l"[..], &b"\xff"[..])
    );
    assert_eq!(found.artifacts["tree"], "[1]");
    assert!(!found.metrics.contains_key("artifacts"));
    // What is no dictionary of them is a metric like any other.
    let odd = run("{'a': 1, 'artifacts': 3}").await;
    assert_eq!((odd.scores, &odd.metrics["artifacts"]), (Ok(vec![2.0]), &Metric::Number(3.0)));
    bench.close().await;
}

#[tokio::test]
async fn what_is_no_score_is_a_failure_with_a_reason() {
    let world = World::new();
    let bench =
        world.python("def evaluate(path):\n    return eval(open(path).read())\n").await.unwrap();
    for (text, said) in [
        ("{'combined_score': float('nan')}", "nan"),
        ("{'combined_score': float('inf')}", "inf"),
        ("{'combined_score': -float('inf')}", "-inf"),
        ("{'combined_score': [1.0]}", "[1.0]"),
        ("{'combined_score': '0.5'}", "0.5"),
        ("{'combined_score': True}", "true"),
        ("{'combined_score': None}", "null"),
        ("{'a': float('inf'), 'b': 1}", "inf"),
        ("{'words': 'only'}", "words"),
        ("{}", "no metrics"),
        ("{i: i for i in range(2000)}", "1000"),
        ("[1.0]", "list"),
        ("None", "NoneType"),
        ("0.5", "float"),
    ] {
        let evaluation = bench.evaluate(&program(text), 0).await.unwrap();
        assert_failed(evaluation, FailureKind::BadMetrics, said);
    }
    bench.close().await;
}

#[tokio::test]
async fn an_agent_gets_its_files_its_parameters_and_its_seed() {
    let world = World::new();
    let params = [
        ("x", Kind::Real { min: 0.0, max: 1.0, log: false }),
        ("n", Kind::Integer { min: 0, max: 9, log: false }),
        ("c", Kind::Categorical { choices: vec!["a".into(), "b".into()] }),
    ]
    .map(|(name, kind)| Param { name: name.into(), kind, init: None });
    let space = Arc::new(Space { params: params.to_vec() });
    let files = bundle(&[
        (
            "evaluator.py",
            "
import helper, json, os, random
def evaluate(path):
    import numpy.random
    params = json.load(open(os.path.join(path, 'params.json')))
    return {'combined_score': helper.ONE, 'params': json.dumps(params, sort_keys=True),
            'files': sorted(os.path.relpath(os.path.join(d, f), path)
                            for d, _, fs in os.walk(path) for f in fs),
            'mode': os.access(os.path.join(path, 'run.sh'), os.X_OK),
            'seed': os.environ['DARWIN_SEED'], 'random': random.random(),
            'numpy': numpy.random.seeds}
",
        ),
        // Stands in for the real one, which is not everywhere.
        ("numpy/__init__.py", ""),
        ("numpy/random.py", "seeds = []\nseed = seeds.append"),
        ("helper.py", "ONE = 1"),
    ]);
    let suite = python(limits());
    let bench = world.evaluator.open(&suite, &files, space, Profile::Full, 1).await.unwrap();
    let agent = Genome {
        params: Arc::new([0.5, 3.0, 1.0]),
        ..genome(&[("main.py", ""), ("deep/er/x.txt", "x"), ("run.sh", "")])
    };
    let evaluation = bench.evaluate(&agent, 77).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    let text = |name: &str| match &evaluation.metrics[name] {
        Metric::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text("params"), r#"{"c": "b", "n": 3, "x": 0.5}"#);
    assert_eq!(text("files"), r#"["deep/er/x.txt", "main.py", "params.json", "run.sh"]"#);
    assert_eq!(evaluation.metrics["mode"], Metric::Flag(true));
    assert_eq!((text("seed"), text("numpy")), ("77".into(), "[77]".into()));
    // The same seed, the same draw; another seed, another.
    let draw = async |seed| bench.evaluate(&agent, seed).await.unwrap().metrics["random"].clone();
    assert_eq!(draw(77).await, evaluation.metrics["random"]);
    assert_ne!(draw(78).await, evaluation.metrics["random"]);
    bench.close().await;
}

#[tokio::test]
async fn the_named_program_or_the_only_file_or_the_directory_is_handed_over() {
    let world = World::new();
    let evaluator = "import os\ndef evaluate(path): return {'combined_score': 1, 'p': path}\n";
    let mut suite = python(limits());
    let path = async |suite: &Suite, agent: &Genome| {
        let bench = world.open(suite, &[("evaluator.py", evaluator)]).await.unwrap();
        let evaluation = bench.evaluate(agent, 0).await.unwrap();
        bench.close().await;
        evaluation
    };
    let two = genome(&[("a.py", ""), ("b.rs", "")]);
    let agent = "/tmp/agent";
    for (agent, expected) in [
        (&program(""), format!("{agent}/agent.py")),
        (&two, agent.to_owned()),
        (&Genome::default(), agent.to_owned()),
    ] {
        assert_eq!(path(&suite, agent).await.metrics["p"], Metric::Text(expected));
    }
    let Method::Python { program: named, .. } = &mut suite.method else { unreachable!() };
    *named = Some("b.rs".into());
    assert_eq!(path(&suite, &two).await.metrics["p"], Metric::Text(format!("{agent}/b.rs")));
    assert_failed(path(&suite, &program("")).await, FailureKind::Crashed, "b.rs");
}

#[tokio::test]
async fn a_program_prints_its_metrics() {
    let world = World::new();
    let script = r#"
test "$PWD" = /tmp/agent || exit 3
test -r "$(dirname "$0")/score.sh" || exit 4
printf '{"score": %s, "note": NaN, "seed": %s}' "$(cat number)" "$DARWIN_SEED"
"#;
    let bench = world.shell(script, limits()).await;
    let evaluation = bench.evaluate(&genome(&[("number", "2.5")]), 9).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![2.5]), "{evaluation:?}");
    assert_eq!(evaluation.metrics["note"], Metric::Text("nan".into()));
    assert_eq!(evaluation.metrics["seed"], Metric::Number(9.0));
    for (number, kind, said) in [
        ("NaN", FailureKind::BadMetrics, "nan"),
        ("1e999", FailureKind::BadMetrics, ""),
        ("true", FailureKind::BadMetrics, "true"),
        ("[1]", FailureKind::BadMetrics, "[1]"),
        ("} {", FailureKind::BadMetrics, "no JSON object"),
    ] {
        let evaluation = bench.evaluate(&genome(&[("number", number)]), 0).await.unwrap();
        assert_failed(evaluation, kind, said);
    }
    let missing = bench.evaluate(&program(""), 0).await.unwrap();
    assert!(missing.artifacts["stderr"].starts_with(b"cat: number"));
    assert_failed(missing, FailureKind::BadMetrics, "no JSON object");
    bench.close().await;
}

#[tokio::test]
async fn objectives_are_found_by_name_and_gates_hold() {
    let world = World::new();
    let mut suite = python(limits());
    suite.objectives = vec![objective("good"), objective("fast")];
    suite.objectives[1].gate = Some(10.0);
    let files = [("evaluator.py", "def evaluate(path): return eval(open(path).read())")];
    let bench = world.open(&suite, &files).await.unwrap();
    let run = async |text: &str| bench.evaluate(&program(text), 0).await.unwrap();
    assert_eq!(run("{'good': 1, 'fast': 11}").await.scores, Ok(vec![1.0, 11.0]));
    assert_failed(run("{'good': 1, 'fast': 9}").await, FailureKind::GateMissed, "fast");
    assert_failed(run("{'good': 1}").await, FailureKind::BadMetrics, "fast");
    bench.close().await;
}

/// What evaluators of others do: data beside them, temporary files, processes, threads, alarms.
const BUSY: &str = "
import asyncio, concurrent.futures, multiprocessing, os, pickle, signal, socket, subprocess
import sys, tempfile, threading, time
DATA = open('table.txt').read()
assert os.path.dirname(__file__) == os.getcwd()
def square(x): return x * x
def evaluate(path):
    done = [DATA]
    with tempfile.NamedTemporaryFile('w', suffix='.py') as script:
        script.write('import sys; exec(open(sys.argv[1]).read()); print(x)')
        script.flush()
        run = subprocess.run([sys.executable, script.name, path], capture_output=True, timeout=20)
        done.append(run.stdout.decode().strip())
    with multiprocessing.Pool(2) as pool: done.append(sum(pool.map(square, range(4))))
    with concurrent.futures.ProcessPoolExecutor(1) as pool: done.append(pool.submit(square, 3).result())
    with concurrent.futures.ThreadPoolExecutor(2) as pool: done.append(sum(pool.map(square, range(3))))
    def late(*_): raise TimeoutError
    signal.signal(signal.SIGALRM, late); signal.setitimer(signal.ITIMER_REAL, 0.05)
    try: time.sleep(20)
    except TimeoutError: done.append('alarm')
    async def main(): await asyncio.sleep(0); return 'async'
    done.append(asyncio.run(main()))
    a, b = socket.socketpair(); a.send(b'pair'); done.append(b.recv(9).decode())
    open('relative.txt', 'w').write('y'); done.append(os.path.exists('relative.txt'))
    done.append(subprocess.check_output('echo $HOME', shell=True).decode().strip())
    done.append(callable(exit) and callable(quit))
    return {'combined_score': 1, 'done': done}
";

#[tokio::test]
async fn an_evaluator_may_use_what_evaluators_use() {
    let world = World::new();
    let missing = world.python(BUSY).await.map(|_| ()).unwrap_err();
    assert!(missing.to_string().contains("table.txt"), "{missing}");
    let files = [("evaluator.py", BUSY), ("table.txt", "table")];
    let bench = world.open(&python(limits()), &files).await.unwrap();
    let evaluation = bench.evaluate(&program("x = 42"), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    let done = r#"["table", "42", 14, 9, 5, "alarm", "async", "pair", true, "/tmp", true]"#;
    assert_eq!(evaluation.metrics["done"], Metric::Text(done.into()));
    bench.close().await;
}

#[tokio::test]
async fn files_are_moved_and_linked_from_one_directory_to_another() {
    let move_them = "
import os
os.mkdir('a')
for name in ('one', 'two'): open(name, 'w').close()
os.rename('one', 'a/one')
os.link('two', 'a/two')
os.rename('a', os.environ['TMPDIR'] + '/b')
score = 1.0
print('{\"score\": 1}')";
    let (lesser, _dir) = super::machines::lesser(false);
    let text = "kind = \"cases\"\nargv = [\"python3\", \"agent.py\"]\ncases = \"c\"\n";
    let cases = darwin::config::suite::parse(text).unwrap();
    let case = "{\"input\": \"\", \"expected\": \"{\\\"score\\\": 1}\"}";
    let argv = ["darwin-run", "python3", "agent.py"].map(str::to_owned).to_vec();
    let method = Method::Command { argv, build: None };
    let command = Suite { objectives: vec![objective("score")], ..Suite::new("test", method) };
    for (world, profile) in [(&World::new(), Profile::Full), (&lesser, Profile::Reduced)] {
        for suite in [python(limits()), cases.clone(), command.clone()] {
            let suite = Suite { limits: limits(), ..suite };
            let files = bundle(&[("evaluator.py", RUN), ("c", case)]);
            let space = Arc::new(Space::default());
            let bench = world.evaluator.open(&suite, &files, space, profile, 1).await.unwrap();
            let evaluation = bench.evaluate(&program(move_them), 0).await.unwrap();
            assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
            bench.close().await;
        }
    }
}
