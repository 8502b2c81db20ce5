//! Evaluations a second of a trivial suite in the full sandbox, beside plain processes in the
//! same run: `python3` started anew for each candidate, without a sandbox and in bubblewrap,
//! bare fork, exec and wait, and bare forks of Python, which no warm harness can outdo. The
//! same with an evaluator that imports numpy and scipy, where the interpreter has them.
//!
//! `cargo bench --bench evaluator`. `DARWIN_BENCH_EVALUATIONS` sets the most evaluations of
//! one series (default 100,000).

#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a bench stops at once")]

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use darwin::{
    config::suite as config,
    daemon::evaluator::{
        Bench, Evaluator, EvaluatorConfig, Profile, private::Private, worker::Wear,
    },
    domain::{
        genome::{File, FilePath, Genome, Space},
        objective::{Goal, Objective},
        suite::{Bundle, Method, Suite},
    },
};
use futures_util::{StreamExt as _, stream};

const EVALUATOR: &str = "
def evaluate(path):
    with open(path) as file:
        return {'combined_score': float(len(file.read()))}
";
const SCIENTIFIC: &str = "
import numpy, scipy.optimize
def evaluate(path):
    with open(path) as file:
        text = file.read()
    return {'combined_score': float(numpy.linalg.norm(numpy.full(9, len(text))))}
";
const MAIN: &str = "
import sys
print(evaluate(sys.argv[1]))
";
const FORKS: &str = "
import ctypes, importlib.util, inspect, json, os, random, select, sys, traceback
exec(open(sys.argv[2]).read().partition('print(')[0])
for i in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0: os._exit(0)
    os.waitpid(pid, 0)
";
const CASES: &str = "kind = \"cases\"\nargv = [\"cat\"]\ncases = \"cases.jsonl\"\n";
/// Two players that answer with one word, and a referee that asks each once.
const ARENA: &str = "kind = \"arena\"\nargv = [\"sed\", \"-u\", 's/.*/{\"message\": 1}/']\n\
                     referee = [\"sh\", \"{suite}/referee.sh\"]\nopponents = [\"all/one\"]\nmatches = 1\n";
const REFEREE: &str = "
read opening
echo '{\"message\": \"?\"}'
read first; read second
echo '{\"scores\": [1, 0]}'
read end
";
const PROGRAM: &str = "# EVOLVE-BLOCK-START\nx = 1.0\n# EVOLVE-BLOCK-END\n";
/// How often plain processes are started.
const PLAIN: usize = 100;

fn main() {
    let workers = thread::available_parallelism().map_or(1, Into::into);
    println!("{workers} workers; evaluations/s");
    let scratch = tempfile::tempdir().unwrap();

    // The interpreter itself, and not a shim before it.
    let python = Command::new("python3")
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .map(|output| String::from_utf8(output.stdout).unwrap())
        .unwrap();
    let python = python.trim();
    show(
        "bare fork+exec+wait of true",
        10 * PLAIN,
        plain(workers, 10 * PLAIN, || Command::new("/bin/true")),
    );
    let scientific = Command::new(python).args(["-c", "import numpy, scipy.optimize"]).output();
    let scientific = scientific.unwrap().status.success();
    if !scientific {
        println!("{python} has no numpy and scipy: nothing is measured with them");
    }
    let texts = [("", EVALUATOR), (" with numpy, scipy", SCIENTIFIC)];
    let texts = || texts.into_iter().filter(|(kind, _)| scientific || kind.is_empty());
    beside(workers, scratch.path(), python, texts());

    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let opener = Evaluator::new(EvaluatorConfig {
            python: python.into(),
            helper: Path::new(env!("CARGO_BIN_EXE_darwind")).to_owned(),
            scratch: scratch.path().join("sandboxes"),
            models: None,
            private: Private::default(),
            wear: Wear::default(),
        });
        let open = async |method, text: &str| {
            let objectives = vec![Objective::new("combined_score", Goal::Maximize)];
            let suite = Suite { objectives, ..Suite::new("bench", method) };
            let bundle = files("evaluator.py", text);
            let space = Arc::new(Space::default());
            opener.open(&suite, &bundle, space, Profile::Full, workers).await.unwrap()
        };
        let method = || Method::Python {
            evaluator: "evaluator.py".into(),
            program: None,
            cascade: true,
            cascade_thresholds: Vec::new(),
            cascade_times: Vec::new(),
            feature_dimensions: Vec::new(),
        };
        for (kind, text) in texts() {
            let bench = open(method(), text).await;
            evaluate(&bench, workers, 2 * workers).await;
            let times = evaluate(&bench, workers, 2_000).await;
            show(&format!("python suite, full sandbox{kind}"), 2_000, times[1_999]);
            bench.close().await;
        }
        let bench = open(method(), EVALUATOR).await;
        evaluate(&bench, workers, 2 * workers).await;
        let most = std::env::var("DARWIN_BENCH_EVALUATIONS").ok();
        let most = most.map_or(100_000, |most| most.parse().unwrap());
        for count in [100, 1_000, 10_000, 100_000].into_iter().filter(|count| *count <= most) {
            let times = evaluate(&bench, workers, count).await;
            show("the same, however many", count, times[count - 1]);
            if count >= 10_000 {
                let tenth = count / 10;
                let first = tenth as f64 / times[tenth - 1].as_secs_f64();
                let last = times[count - 1].saturating_sub(times[count - tenth - 1]).as_secs_f64();
                let last = tenth as f64 / last;
                println!(
                    "{:>59} first tenth {first:.0}, last tenth {last:.0}: {:.0} %; \
                     resident here {} MiB",
                    "",
                    100.0 * last / first,
                    resident() >> 10
                );
            }
        }
        bench.close().await;

        let argv = ["echo", "{\"combined_score\": 1}"].map(str::to_owned).to_vec();
        let bench = open(Method::Command { argv, build: None }, "").await;
        evaluate(&bench, workers, 2 * workers).await;
        let times = evaluate(&bench, workers, 1_000).await;
        show("command suite, full sandbox", 1_000, times[999]);
        bench.close().await;

        let cases = config::parse(CASES).unwrap();
        let bundle = files("cases.jsonl", "{\"input\": \"x\", \"expected\": \"x\"}");
        let space = Arc::new(Space::default());
        let bench = opener.open(&cases, &bundle, space, Profile::Full, workers).await.unwrap();
        evaluate(&bench, workers, 2 * workers).await;
        let times = evaluate(&bench, workers, 1_000).await;
        show("cases suite (cat), full sandbox", 1_000, times[999]);
        let times = evaluate(&bench, 1, 100).await;
        println!("{:>45} an agent alone: {:.1} ms", "", times[99].as_secs_f64() * 10.0);
        bench.close().await;

        let arena = config::parse(ARENA).unwrap();
        let mut bundle = files("referee.sh", REFEREE);
        bundle.extend(files("all/one/a.py", PROGRAM));
        let space = Arc::new(Space::default());
        let bench = opener.open(&arena, &bundle, space, Profile::Full, workers).await.unwrap();
        evaluate(&bench, workers, 2 * workers).await;
        let times = evaluate(&bench, workers, 1_000).await;
        show("arena suite (sed), matches of three sandboxes", 1_000, times[999]);
        let times = evaluate(&bench, 1, 100).await;
        println!("{:>45} a match alone: {:.1} ms", "", times[99].as_secs_f64() * 10.0);
        bench.close().await;
    });
}

/// Processes without a harness: Python started anew for each candidate, without a sandbox and in
/// bubblewrap, and forked from one that has imported the evaluator.
fn beside<'a>(
    workers: usize,
    scratch: &Path,
    python: &str,
    texts: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let program = scratch.join("a.py");
    std::fs::write(&program, PROGRAM).unwrap();
    let bubblewrap = Command::new("bwrap").arg("--version").output().is_ok();
    if !bubblewrap {
        println!("there is no bubblewrap (bwrap): nothing is measured beside it");
    }
    for (kind, text) in texts {
        let evaluator = scratch.join("evaluator.py");
        std::fs::write(&evaluator, format!("{text}{MAIN}")).unwrap();
        let each = |mut command: Command| {
            command.arg(&evaluator).arg(&program);
            command
        };
        let time = plain(workers, PLAIN, || each(Command::new(python)));
        show(&format!("python3 for each{kind}"), PLAIN, time);
        if bubblewrap {
            let time = plain(workers, PLAIN, || each(wrapped(scratch, python)));
            show(&format!("bubblewrap for each{kind}"), PLAIN, time);
        }
        let forks = 20 * PLAIN;
        let time = plain(workers, workers, || {
            let mut command = Command::new(python);
            command.args(["-c", FORKS, &(forks / workers).to_string()]).arg(&evaluator);
            command
        });
        show(&format!("bare fork+wait in Python{kind}"), forks, time);
    }
}

/// Bubblewrap, made to give what the sandbox does, as far as it can: no system call filter, no
/// limits.
fn wrapped(scratch: &Path, python: &str) -> Command {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--die-with-parent", "--new-session", "--clearenv"]);
    command.args(["--cap-drop", "ALL", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]);
    command.args(["--tmpfs", "/tmp", "--ro-bind"]).arg(scratch).arg(scratch).arg(python);
    command
}

/// Evaluates `count` times, as many at once as there are workers; when each was done.
async fn evaluate(bench: &Bench, workers: usize, count: usize) -> Vec<Duration> {
    let genome = Genome { files: Arc::new(files("a.py", PROGRAM)), ..Genome::default() };
    let start = Instant::now();
    let results = stream::iter(0..count).map(|seed| bench.evaluate(&genome, seed as u64));
    let done = results.buffer_unordered(workers).map(|result| {
        assert!(result.unwrap().scores.is_ok());
        start.elapsed()
    });
    done.collect().await
}

/// The time that `count` processes take, as many at once as there are workers.
fn plain(workers: usize, count: usize, command: impl Fn() -> Command + Sync) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                for _ in 0..count / workers {
                    assert!(command().stdout(Stdio::null()).status().unwrap().success());
                }
            });
        }
    });
    start.elapsed()
}

fn files(path: &str, text: &str) -> Bundle {
    let file = File { bytes: text.to_owned().into(), executable: false };
    [(FilePath::new(path).unwrap(), file)].into()
}

fn show(what: &str, count: usize, time: Duration) {
    println!("{what:<46} {count:>6}: {:>8.0}/s", count as f64 / time.as_secs_f64());
}

/// This process's resident memory, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
