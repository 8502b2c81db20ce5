//! What a user of the programs waits for: the help, the first generation, evaluations in Python,
//! a large file, and the example that the README begins with.
//!
//! `cargo bench --bench programs [-- help|first|blob|python|packing]`; all of them take about twelve
//! minutes. Each figure stands beside a baseline of the same minute.

#![allow(clippy::expect_used, clippy::cast_precision_loss, reason = "a benchmark")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use darwin::{
    config::spec,
    domain::{
        genome::{File, FilePath},
        id::RunId,
        suite::Bundle,
    },
    wire::{convert, envelope::Keyed as _, v1},
};
use support::{Home, finished, root, start_request};

/// Long enough for the longest of these runs.
const PATIENCE: Duration = Duration::from_secs(1800);
/// How often a program is started whose start is timed.
const STARTS: usize = 21;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    // `cargo test --benches` runs this too: only what is quick.
    let all = std::env::args().any(|arg| arg == "--bench") && asked.is_empty();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let wanted = |name: &str| all || asked.iter().any(|asked| asked == name);
    if wanted("help") || !all && asked.is_empty() {
        help();
    }
    if wanted("first") {
        first();
    }
    if wanted("blob") {
        blob();
    }
    if wanted("python") {
        runtime.block_on(python());
    }
    if wanted("packing") {
        runtime.block_on(packing());
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// The median of `STARTS` times.
fn median(mut time: impl FnMut() -> Duration) -> f64 {
    let mut times: Vec<_> = (0..STARTS).map(|_| time()).collect();
    times.sort();
    times[STARTS / 2].as_secs_f64() * 1e3
}

fn help() {
    let run = |program: &str, args: &[&str]| {
        let start = Instant::now();
        let run = Command::new(program).args(args).stdout(Stdio::null()).status();
        assert!(run.expect("it starts").success());
        start.elapsed()
    };
    let bare = median(|| run("true", &[]));
    let ours = median(|| run(env!("CARGO_BIN_EXE_darwin"), &["--help"]));
    let met = verdict(ours < 30.0);
    println!("darwin --help: {ours:.1} ms beside {bare:.1} ms for `true` (goal < 30 ms: {met})");
}

/// From the command to the first line about a generation, in an empty home.
fn first() {
    let home = tempfile::tempdir().expect("a directory");
    let darwin = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_darwin"));
        command.env("DARWIN_HOME", home.path()).args(args);
        command
    };
    let example = root().join("examples/circle-packing");
    let start = Instant::now();
    let mut child = darwin(&["evolve", "--max-generations", "2"])
        .arg(&example)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("darwin starts");
    let said = BufReader::new(child.stderr.take().expect("its talk"));
    let line = said.lines().map_while(Result::ok).find(|line| line.starts_with("generation"));
    let ours = start.elapsed().as_secs_f64();
    let _ended = child.wait();
    let _down = darwin(&["down"]).stderr(Stdio::null()).status();
    let evaluator = "import sys; sys.path.insert(0, sys.argv[1]); import evaluator";
    let start = Instant::now();
    let bare = Command::new("python3").args(["-c", evaluator]).arg(&example).status();
    let bare = bare.map(|_| start.elapsed().as_secs_f64() * 1e3).unwrap_or_default();
    println!(
        "the first evolve, its daemon's start and keys included: {ours:.2} s to “{}”, beside \
         {bare:.0} ms to import the evaluator in Python (goal < 3 s: {})",
        line.unwrap_or_default(),
        verdict(ours < 3.0)
    );
}

/// The size of a large file, in MiB.
const LARGE: usize = 1024;

/// A large file put, put again, and got, beside a copy of it that is synced, and its digest.
fn blob() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    let mut content = Vec::with_capacity(LARGE << 20);
    let mut state = 1_u64;
    while content.len() < LARGE << 20 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        content.extend_from_slice(&(state ^ state >> 29).to_le_bytes());
    }
    std::fs::write(path("large"), &content).expect("a file");
    drop(content);
    let rate = |start: Instant| LARGE as f64 / start.elapsed().as_secs_f64();
    let start = Instant::now();
    std::fs::copy(path("large"), path("copy")).expect("a copy");
    std::fs::File::open(path("copy")).and_then(|copy| copy.sync_all()).expect("it is synced");
    let copied = rate(start);
    let start = Instant::now();
    let sum = Command::new("sha256sum").arg(path("large")).output().expect("a digest");
    assert!(sum.status.success());
    println!(
        "{LARGE} MiB: copied and synced {copied:.0} MiB/s, sha256sum {:.0} MiB/s",
        rate(start)
    );
    let darwin = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_darwin"));
        command.env("DARWIN_HOME", path("home")).current_dir(dir.path()).args(args);
        let said = command.output().expect("darwin starts");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        said.stdout
    };
    darwin(&["up"]);
    for (what, args) in [
        ("put", &["blob", "put", "large"][..]),
        ("put again", &["blob", "put", "large"]),
        ("get", &["blob", "get", "large", "-o", "got"]),
    ] {
        let start = Instant::now();
        darwin(args);
        println!("  darwin blob {what}: {:.0} MiB/s", rate(start));
    }
    let status: serde_json::Value =
        serde_json::from_slice(&darwin(&["status", "--json"])).expect("JSON");
    println!("  the daemon has {} MiB then", status["resident_bytes"].as_u64().unwrap_or(0) >> 20);
    darwin(&["down"]);
}

const EVALUATOR: &str = "def evaluate(path):\n    with open(path) as file:\n        \
                         return {'combined_score': float(len(file.read()))}\n";
const PROGRAM: &str = "# EVOLVE-BLOCK-START\nx = 1.0\n# EVOLVE-BLOCK-END\n";

fn file(path: &str, text: &str) -> Bundle {
    let file = File { bytes: text.to_owned().into(), executable: false };
    [(FilePath::new(path).expect("a path"), file)].into()
}

/// A trivial `python` suite through the whole daemon, every agent durable.
async fn python() {
    let dir = tempfile::tempdir().expect("a directory");
    let (program, script) = (dir.path().join("a.py"), dir.path().join("evaluator.py"));
    std::fs::write(&program, PROGRAM).expect("a file");
    std::fs::write(&script, format!("{EVALUATOR}import sys\nevaluate(sys.argv[1])\n"))
        .expect("a file");
    let start = Instant::now();
    for _ in 0..STARTS {
        let run = Command::new("python3").arg(&script).arg(&program).status();
        assert!(run.expect("python3 starts").success());
    }
    println!(
        "python3 evaluator.py anew for each, one at a time: {:.0} evaluations/s",
        STARTS as f64 / start.elapsed().as_secs_f64()
    );
    let mut home = Home::new();
    let link = home.start().await;
    let mut rates = Vec::new();
    for (number, agents) in [(1, 100), (2, 1_000), (3, 10_000), (4, 100_000)] {
        let id = RunId::new(1_700_000_000_000, [number; 10]);
        let spec = format!(
            "name = \"bench\"\nseed = {number}\n[agent]\nfiles = [\"a.py\"]\n[stop]\nevaluations = {agents}\n\
             [suite]\nname = \"trivial\"\nkind = \"python\"\nevaluator = \"evaluator.py\"\n"
        );
        let request = v1::StartRequest {
            agent_files: convert::files(&file("a.py", PROGRAM)),
            suite_files: convert::files(&file("evaluator.py", EVALUATOR)),
            ..start_request(id, &spec)
        };
        let start = Instant::now();
        link.runs().start(request.keyed()).await.expect("the run starts");
        let run = finished(&link, id, PATIENCE).await;
        assert_eq!((run.state.as_str(), run.agents), ("finished", agents), "{}", home.log());
        rates.push(agents as f64 / start.elapsed().as_secs_f64());
        println!(
            "darwin, {agents} agents of a trivial python suite: {:.0}/s, {} MiB resident",
            rates[rates.len() - 1],
            home.resident() >> 10
        );
    }
    let flat = rates[3] / rates[1];
    let met = verdict(rates.iter().all(|rate| *rate >= 40.0) && flat > 0.9);
    println!("  the last beside the second: {:.0} % (goal: 40/s, flat: {met})", flat * 100.0);
}

/// Draws packings at random, as many as the run looked at, or lets pycma search if it is there.
const BASELINE: &str = r#"
import json, random, sys, tempfile, os
sys.path.insert(0, sys.argv[1])
import evaluator
count = int(sys.argv[2])
names = [f"{axis}{i}" for axis in "xy" for i in range(evaluator.N)]
path = os.path.join(tempfile.mkdtemp(), "params.json")
def score(point):
    with open(path, "w") as file:
        json.dump(dict(zip(names, point)), file)
    return evaluator.evaluate(os.path.dirname(path))["combined_score"]
draw = random.Random(26)
best = max(score([draw.random() for _ in names]) for _ in range(count))
print(f"as many drawn at random: {best:.4f}")
try:
    import cma
except ImportError:
    print("pycma: (not installed; 2.52 after 12,000 evaluations was measured for it elsewhere)")
else:
    options = {"bounds": [0, 1], "maxfevals": count, "seed": 26, "verbose": -9}
    found = cma.fmin2(lambda x: -score(x), [draw.random() for _ in names], 0.2, options, restarts=9)
    print(f"pycma, as many: {-found[1].result.fbest:.4f}")
"#;

async fn packing() {
    let example = root().join("examples/circle-packing");
    let project = spec::load(&example).expect("the example loads");
    let mut home = Home::new();
    let link = home.start().await;
    let id = RunId::new(1_700_000_000_000, [9; 10]);
    let request = v1::StartRequest {
        agent_files: convert::files(&project.agent_files),
        suite_files: convert::files(&project.suite_files),
        ..start_request(id, &spec::to_toml(&project.spec).expect("a spec"))
    };
    let start = Instant::now();
    link.runs().start(request.keyed()).await.expect("the run starts");
    let run = finished(&link, id, PATIENCE).await;
    let took = start.elapsed().as_secs_f64();
    assert_eq!(run.state, "finished", "{}", home.log());
    let best = run.best.expect("it has a best");
    println!(
        "circle-packing: {best:.4} after {} evaluations in {took:.0} s (goal 2.45 in 300 s: {})",
        run.agents,
        verdict(best >= 2.45 && took <= 300.0)
    );
    let said = baseline(&example, run.agents);
    said.lines().for_each(|line| println!("  {line}"));
}

fn baseline(example: &Path, count: u64) -> String {
    let run = Command::new("python3")
        .args(["-c", BASELINE])
        .arg(example)
        .arg(count.to_string())
        .stderr(Stdio::inherit())
        .output();
    String::from_utf8_lossy(&run.expect("python3 starts").stdout).into_owned()
}
