//! ShinkaEvolve's contract: a script that leaves its results in files.

use darwin::{
    daemon::evaluator::Profile,
    domain::{
        evaluation::{Evaluation, FailureKind, Isolation, Metric},
        genome::Space,
        suite::{Limits, Method, Suite},
    },
};

use super::*;

pub fn shinka(limits: Limits, args: &[&str]) -> Suite {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    let method = Method::Shinka { evaluator: "evaluate.py".into(), program: None, args };
    Suite { limits, ..Suite::new("test", method) }
}

/// The head of scripts that do without ShinkaEvolve's own helper.
const HEAD: &str = "
import argparse, json, os, sys
def write(name, value):
    with open(os.path.join(args.results_dir, name + '.json'), 'w') as file: json.dump(value, file)
def parse():
    parser = argparse.ArgumentParser()
    for name in ('program_path', 'results_dir', 'scale'): parser.add_argument('--' + name)
    return parser.parse_args()
";

/// A script that runs its candidate, whose text may write what it wants.
const EXEC: &str = "
if __name__ == '__main__':
    args = parse()
    exec(open(args.program_path).read())
";

/// Such a script with its head.
pub fn script() -> String {
    format!("{HEAD}{EXEC}")
}

/// What a candidate says to be scored.
pub const FINE: &str =
    "write('metrics', {'combined_score': 2.5}); write('correct', {'correct': True})\n";

async fn bench(world: &World, limits: Limits) -> Bench {
    world.open(&shinka(limits, &[]), &[("evaluate.py", &script())]).await.unwrap()
}

async fn run(bench: &Bench, text: &str) -> Evaluation {
    bench.evaluate(&program(text), 0).await.unwrap()
}

#[tokio::test]
async fn a_script_gets_its_arguments_and_its_files_count() {
    let world = World::new();
    let script = format!(
        "{HEAD}
import table
TEXT = open('table.py').read()
if __name__ == '__main__':
    args = parse()
    open('beside.txt', 'w').write('y')
    write('metrics', {{'combined_score': len(open(args.program_path).read()) * int(args.scale),
                      'public': {{'n': 3, 'name': sys.argv[0], 'seed': os.environ['DARWIN_SEED']}},
                      'private': {{'answer': table.ANSWER}}, 'text_feedback': ['a', 'b']}})
    write('correct', {{'correct': True, 'error': None}})
    sys.exit('this does not matter')
"
    );
    let files = [("evaluate.py", script.as_str()), ("table.py", "ANSWER = 42")];
    let bench = world.open(&shinka(limits(), &["--scale", "2"]), &files).await.unwrap();
    let evaluation = bench.evaluate(&program("12345"), 7).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![10.0]), "{evaluation:?}");
    assert_eq!(evaluation.metrics["n"], Metric::Number(3.0));
    assert_eq!(evaluation.metrics["name"], Metric::Text("/suite/evaluate.py".into()));
    assert_eq!(evaluation.metrics["seed"], Metric::Text("7".into()));
    assert_eq!(evaluation.metrics["private/answer"], Metric::Number(42.0));
    assert_eq!(evaluation.artifacts["text_feedback"], "a\nb");
    assert!(evaluation.in_process && evaluation.isolation == Isolation::Full);
    assert!(evaluation.usage.cpu_us > 0 && evaluation.usage.max_rss > 1 << 20);
    bench.close().await;
}

/// An evaluator as most are written: with ShinkaEvolve's helper.
const HELPED: &str = "
import argparse
from shinka.core import run_shinka_eval
def aggregate(results):
    return {'combined_score': float(sum(results)), 'public': {'runs': len(results)},
            'private': {'all': results}, 'extra_data': {'results': results}}
def validate(result):
    return (result >= 0, 'below zero') if result > -5 else (False, 'far below zero')
def main(program_path, results_dir):
    run_shinka_eval(program_path=program_path, results_dir=results_dir,
                    experiment_fn_name='experiment', num_runs=3, run_workers=WORKERS,
                    get_experiment_kwargs=lambda run: {'n': run}, validate_fn=validate,
                    aggregate_metrics_fn=aggregate)
if __name__ == '__main__':
    parser = argparse.ArgumentParser()
    parser.add_argument('--program_path', default='initial.py')
    parser.add_argument('--results_dir', default='results')
    given = parser.parse_args()
    main(given.program_path, given.results_dir)
";

#[tokio::test]
async fn the_helper_that_tasks_import_is_there() {
    let world = World::new();
    for workers in ["1", "2"] {
        let script = HELPED.replace("WORKERS", workers);
        let files = [("evaluate.py", script.as_str())];
        let bench = world.open(&shinka(limits(), &[]), &files).await.unwrap();
        let fine = run(&bench, "def experiment(n): return 10 ** n").await;
        assert_eq!(fine.scores, Ok(vec![111.0]), "{fine:?}");
        assert_eq!(fine.metrics["runs"], Metric::Number(3.0));
        assert_eq!(fine.metrics["num_valid_runs"], Metric::Number(3.0));
        assert_eq!(fine.metrics["private/all"], Metric::Text("[1,10,100]".into()));
        assert!(!fine.metrics.contains_key("extra_data"), "{fine:?}");
        let wrong = run(&bench, "def experiment(n): return -4 * n").await;
        assert_eq!(wrong.metrics["combined_score"], Metric::Number(-12.0));
        let said = "it is not correct: Validation failed: below zero; far below zero";
        assert_failed(wrong, FailureKind::GateMissed, said);
        for (text, said) in [
            ("def experiment(n): return 1 / n", "ZeroDivisionError"),
            ("def other(n): return 1", "experiment"),
            ("def experiment(n) return 1", "SyntaxError"),
            ("def experiment(n): return 1e308 * 10", "combined_score is inf"),
        ] {
            assert_failed(run(&bench, text).await, FailureKind::GateMissed, said);
        }
        let gone = run(&bench, "import os\ndef experiment(n): os._exit(3)").await;
        assert!(gone.scores.is_err(), "{gone:?}");
        bench.close().await;
    }
}

#[tokio::test]
async fn however_the_script_ends_its_files_count() {
    let world = World::new();
    let bench = bench(&world, limits()).await;
    for end in ["", "sys.exit(3)", "1 / 0", "os._exit(7)", "os.kill(os.getpid(), 9)", "os.abort()"]
    {
        let evaluation = run(&bench, &format!("{FINE}{end}")).await;
        assert_eq!(evaluation.scores, Ok(vec![2.5]), "{end}: {evaluation:?}");
        assert!(evaluation.artifacts.is_empty(), "{end}: {evaluation:?}");
    }
    // What it leaves running does not outlive it.
    let orphan = "import subprocess; subprocess.Popen(['sleep', '5677'], start_new_session=True)";
    assert_eq!(run(&bench, &format!("{orphan}\n{FINE}")).await.scores, Ok(vec![2.5]));
    let line = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    assert!(!processes().iter().any(|(pid, _)| line(*pid).contains("5677")));
    bench.close().await;
}

#[tokio::test]
async fn what_is_not_correct_or_not_said_is_a_failure_with_a_reason() {
    let world = World::new();
    let bench = bench(&world, limits()).await;
    let correct = "write('correct', {'correct': True})\n";
    let score = "write('metrics', {'combined_score': 1, 'public': {'kept': 7}})\n";
    for (text, kind, said) in [
        ("write('correct', {'correct': False, 'error': 'too \\x1b[2J big'})", GATE, "too \u{fffd}"),
        ("write('correct', {'correct': 1})", GATE, "no error is given"),
        ("pass", BAD, "correct.json is missing"),
        ("open(args.results_dir + '/correct.json', 'w').write('{')", BAD, "correct.json holds"),
        ("raise ValueError('boom')", FailureKind::Crashed, "status 1: ValueError: boom"),
        ("os.abort()", FailureKind::Crashed, "signal 6"),
    ] {
        let failed = run(&bench, &format!("{score}{text}")).await;
        assert_eq!(failed.metrics["kept"], Metric::Number(7.0), "{text}: {failed:?}");
        assert_failed(failed, kind, said);
    }
    for (text, said) in [
        ("", "metrics.json is missing"),
        ("open(args.results_dir + '/metrics.json', 'w').write('[1]')", "metrics.json holds"),
        ("write('metrics', {'public': {'combined': 1}})", "“combined_score” is missing"),
        ("write('metrics', {'combined_score': float('nan')})", "nan"),
        ("write('metrics', {'combined_score': -float('inf')})", "-inf"),
        ("write('metrics', {'combined_score': '1'})", "not a finite number"),
        ("write('metrics', {'combined_score': None})", "null"),
    ] {
        assert_failed(run(&bench, &format!("{correct}{text}")).await, BAD, said);
    }
    bench.close().await;
}

const GATE: FailureKind = FailureKind::GateMissed;
const BAD: FailureKind = FailureKind::BadMetrics;

#[tokio::test]
async fn results_that_are_no_plain_files_are_refused_and_nothing_waits_for_them() {
    let world = World::new();
    let bench = bench(&world, limits()).await;
    let metrics =
        "import shutil, socket; path = args.results_dir + '/metrics.json'; os.remove(path);";
    for (text, said) in [
        ("os.symlink('/suite/evaluate.py', path)", "cannot be read"),
        ("os.symlink('/dev/zero', path)", "cannot be read"),
        ("os.symlink(path, path)", "cannot be read"),
        ("os.mkfifo(path)", "is no regular file"),
        ("os.mkdir(path)", "is no regular file"),
        ("socket.socket(socket.AF_UNIX).bind(path)", "cannot be read"),
        ("open(path, 'w').write(' ' * (2 << 20))", "is larger than"),
        ("open(path, 'w').write('[' * 1000000)", "metrics.json holds no JSON object"),
        ("open(path, 'w').write('{\"public\": ' * 10000)", "metrics.json holds no JSON object"),
        ("open(path, 'wb').write(b'{\"a\": \"\\xff\"}')", "metrics.json holds no UTF-8"),
        ("open(path, 'w').write('')", "metrics.json holds nothing"),
        ("open(path, 'w').write('{}'); os.chmod(path, 0)", "cannot be read"),
        ("write('metrics', {'public': {str(n): n for n in range(2000)}})", "more than 1000"),
    ] {
        let begun = std::time::Instant::now();
        let failed = run(&bench, &format!("{FINE}{metrics}{text}")).await;
        assert!(begun.elapsed().as_secs() < 10, "{text}");
        assert_failed(failed, BAD, said);
    }
    let directory = "import shutil; shutil.rmtree(args.results_dir);";
    for (text, said) in [
        ("pass", "correct.json is missing"),
        ("os.symlink('/suite', args.results_dir)", "correct.json cannot be read"),
        ("os.mkfifo(args.results_dir)", "correct.json cannot be read"),
    ] {
        assert_failed(run(&bench, &format!("{FINE}{directory}{text}")).await, BAD, said);
    }
    assert_eq!(run(&bench, FINE).await.scores, Ok(vec![2.5]));
    bench.close().await;
}

#[tokio::test]
async fn what_it_imports_is_imported_once_and_nothing_else_is_kept() {
    let world = World::new();
    let script = format!(
        "{HEAD}
import helper
if __name__ == '__main__':
    args = parse()
    helper.SEEN.append(1)
    write('metrics', {{'combined_score': len(helper.SEEN), 'public': {{'token': helper.TOKEN}}}})
    write('correct', {{'correct': True}})
"
    );
    let helper = "import os\nTOKEN, SEEN = os.urandom(8).hex(), []\n";
    let files = [("evaluate.py", script.as_str()), ("helper.py", helper)];
    let space = Arc::new(Space::default());
    let suite = shinka(limits(), &[]);
    let opened = world.evaluator.open(&suite, &bundle(&files), space, Profile::Full, 1).await;
    let bench = opened.unwrap();
    let (first, second) = (run(&bench, "").await, run(&bench, "").await);
    assert_eq!((&first.scores, &second.scores), (&Ok(vec![1.0]), &Ok(vec![1.0])));
    assert_eq!(first.metrics["token"], second.metrics["token"]);
    bench.close().await;
}

#[tokio::test]
async fn a_script_without_a_guard_works_and_one_that_cannot_be_imported_is_refused() {
    let world = World::new();
    let suite = shinka(limits(), &[]);
    let bare = format!("{HEAD}\nargs = parse()\n{FINE}");
    let bench = world.open(&suite, &[("evaluate.py", &bare)]).await.unwrap();
    assert_eq!(run(&bench, "").await.scores, Ok(vec![2.5]));
    bench.close().await;
    for (text, said) in [("import not_there", "not_there"), ("def", "SyntaxError")] {
        let error = world.open(&suite, &[("evaluate.py", text)]).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_script_is_held_to_its_limits() {
    let world = World::new();
    let bench = bench(&world, Limits { time: 1.0, ..limits() }).await;
    let fork = "import time\nif os.fork() == 0: os.setsid()\n";
    let hangs = run(&bench, &format!("{fork}while True: time.sleep(9)")).await;
    assert_failed(hangs, FailureKind::TimedOut, "1 s");
    let large = run(&bench, "a = bytearray(1 << 30)").await;
    assert!(failure(large).kind != FailureKind::BadMetrics);
    let full = run(&bench, "open('x', 'wb').write(bytes(64 << 20))").await;
    assert_failed(full, FailureKind::Crashed, "No space left");
    assert_eq!(run(&bench, FINE).await.scores, Ok(vec![2.5]));
    bench.close().await;
}
