//! Limits of stages: each has its own where the suite says so, and what all have where not.

use std::time::{Duration, Instant};

use darwin::{
    config::suite as config,
    domain::evaluation::{FailureKind, Metric},
};

use super::{cases::log, *};

/// A suite whose evaluator has three stages, each of which takes as long as the agent says.
async fn staged(world: &World, times: &str) -> Bench {
    let text = "
import runpy, time
def stage(path, number):
    time.sleep(runpy.run_path(path)['naps'][number - 1])
    return {'combined_score': number}
def evaluate_stage1(path): return stage(path, 1)
def evaluate_stage2(path): return stage(path, 2)
def evaluate_stage3(path): return stage(path, 3)
";
    let suite =
        format!("kind = \"python\"\nevaluator = \"evaluator.py\"\n{times}\n[limits]\ntime = 2\n");
    world.open(&config::parse(&suite).unwrap(), &[("evaluator.py", text)]).await.unwrap()
}

#[tokio::test]
async fn each_stage_of_an_evaluator_has_its_own_time() {
    let world = World::new();
    let bench = staged(&world, "cascade_times = [0.3, 5]").await;
    let run = async |naps: &str| {
        let begun = Instant::now();
        let found = bench.evaluate(&program(&format!("naps = {naps}")), 0).await.unwrap();
        (found, begun.elapsed())
    };
    // The second may take longer than the limit of all.
    let (fine, _) = run("[0, 2.2, 0]").await;
    assert_eq!(fine.scores, Ok(vec![3.0]), "{fine:?}");
    let (late, took) = run("[9, 0, 0]").await;
    assert_failed(late, FailureKind::TimedOut, "within 0.3 s");
    assert!(took < Duration::from_secs(2), "{took:?}");
    // The third, of which nothing is said, has the limit of all; what came before it counts.
    let (late, took) = run("[0, 0, 9]").await;
    assert_eq!(late.scores, Ok(vec![2.0]), "{late:?}");
    assert_eq!(late.metrics["timeout"], Metric::Flag(true));
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(5), "{took:?}");
    bench.close().await;
}

#[tokio::test]
async fn times_of_stages_are_not_those_of_an_evaluator_without_any() {
    let world = World::new();
    let text = "kind = \"python\"\nevaluator = \"evaluator.py\"\ncascade_times = [0.1]\n";
    let whole =
        "import time\ndef evaluate(path):\n    time.sleep(0.6)\n    return {'combined_score': 7}";
    let suite = config::parse(text).unwrap();
    let bench = world.open(&suite, &[("evaluator.py", whole)]).await.unwrap();
    let evaluation = bench.evaluate(&program(""), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![7.0]), "{evaluation:?}");
    bench.close().await;
}

#[tokio::test]
async fn each_stage_of_cases_has_its_own_limits() {
    let text = r#"
kind = "cases"
argv = ["python3", "-c", "import sys; exec(sys.stdin.read())"]
stages = [
    { cases = "small", limits = { time = 0.5, memory_mib = 64, processes = 8, output_kib = 1 } },
    { cases = "large" },
]
[limits]
time = 10
memory_mib = 512
processes = 64
"#;
    let suite = config::parse(text).unwrap();
    let tries = [
        // In words of the control group, or of Python where there is none to be had.
        ("import time; time.sleep(1); print('well')", ["within 0.5 s"; 2]),
        ("a = bytearray(200 << 20); print('well')", ["64 MiB", "MemoryError"]),
        (
            "import subprocess
naps = [subprocess.Popen(['sleep', '9']) for _ in range(24)]
for nap in naps: nap.kill()
print('well')",
            ["8 processes", "BlockingIOError"],
        ),
        ("print('well' + ' ' * 5000)", ["more than 1 KiB"; 2]),
    ];
    let case = |(input, _): &(&str, [&str; 2])| {
        serde_json::json!({ "input": input, "expected": "well" }).to_string()
    };
    let cases = tries.iter().map(case).collect::<Vec<_>>().join("\n");
    let world = World::new();
    let files = [("small", cases.as_str()), ("large", cases.as_str())];
    let bench = world.open(&suite, &files).await.unwrap();
    let evaluation = bench.evaluate(&genome(&[("any", "")]), 0).await.unwrap();
    let log = log(&evaluation);
    let (small, large) = log.split_at(tries.len());
    for (line, (input, why)) in small.iter().zip(tries) {
        assert_eq!(line["pass"], false, "{input}: {line}");
        let said = line["why"].as_str().unwrap();
        assert!(why.iter().any(|why| said.contains(why)), "{input}: {line}");
    }
    assert!(large.iter().all(|line| line["pass"] == true), "{large:?}");
    assert_eq!(evaluation.scores, Ok(vec![0.5]));
    bench.close().await;
}
