//! Candidates and evaluators that misbehave: each is recorded with a reason, and the next
//! one is evaluated as if nothing had been.

use std::time::{Duration, Instant};

use super::*;

/// What exceeding a limit is: a control group tells of it; without one a candidate meets it as a
/// call that fails, and what it makes of that is its own.
fn told(group: bool) -> FailureKind {
    if group { FailureKind::OverLimit } else { FailureKind::Crashed }
}

#[tokio::test]
async fn whatever_a_candidate_does_the_next_one_is_well() {
    let world = World::new();
    let layers = world.evaluator.optional();
    let small = Limits { time: 3.0, memory_mib: 128, processes: 16, disk_mib: 8, output_kib: 64 };
    let files = [("evaluator.py", RUN)];
    let hasty = world.open(&python(small.clone()), &files).await.unwrap();
    let patient = Limits { time: 30.0, ..small };
    let bench = world.open(&python(patient), &files).await.unwrap();
    for (text, kind, said) in [
        ("raise ValueError('a\\x1b[31m\\nb')", FailureKind::Crashed, "ValueError: a"),
        ("score = missing", FailureKind::Crashed, "NameError"),
        ("syntax error", FailureKind::Crashed, "SyntaxError"),
        ("import sys; sys.exit(3)", FailureKind::Crashed, "SystemExit"),
        ("import os; os._exit(3)", FailureKind::Crashed, "status 3"),
        ("import os; os._exit(0)", FailureKind::Crashed, "without a result"),
        ("import os; os.fork(); os._exit(0)", FailureKind::Crashed, "without a result"),
        ("import ctypes; ctypes.string_at(0)", FailureKind::Crashed, "signal 11"),
        ("class E(Exception):\n  def __str__(self): raise E\nraise E", FailureKind::Crashed, "E"),
        ("while True: pass", FailureKind::TimedOut, "3 s"),
        ("import os, time\nos.closerange(0, 99)\ntime.sleep(99)", FailureKind::TimedOut, "3 s"),
        (
            "import os, signal\nos.kill(0, signal.SIGSTOP)\nwhile True: pass",
            FailureKind::TimedOut,
            "",
        ),
        (
            "a = bytearray(1 << 30)\na[::4096] = b'x' * len(a[::4096])",
            FailureKind::OverLimit,
            "128 MiB",
        ),
        (
            "import os\nfor i in range(8):\n  if os.fork() == 0:\n    a = b'x' * (30 << 20)\n    import signal; signal.pause()\nos._exit(os.wait()[1] & 127)",
            // The watcher, as the kernel, kills the largest; only the group counts that it did.
            told(layers.memory_group),
            if layers.memory_group { "128 MiB" } else { "status 9" },
        ),
        (
            "import os, time\nwhile True:\n  try: os.fork()\n  except OSError: os._exit(1)",
            told(layers.process_group),
            if layers.process_group { "16 processes" } else { "status 1" },
        ),
        (
            "import threading, time\nfor i in range(99): threading.Thread(target=time.sleep, args=[9]).start()",
            told(layers.process_group),
            if layers.process_group { "16 processes" } else { "new thread" },
        ),
        ("open('x', 'wb').write(b'x' * (9 << 20))", FailureKind::OverLimit, "8 MiB"),
        ("for i in range(70000): open(str(i), 'w').close()", FailureKind::OverLimit, "8 MiB"),
        (
            "import sys\nfor i in range(2000): sys.stdout.write('x' * 65536)\nraise KeyError('flood')",
            FailureKind::Crashed,
            "flood",
        ),
    ] {
        let bench = if kind == FailureKind::TimedOut { &hasty } else { &bench };
        let evaluation = bench.evaluate(&program(text), 0).await.unwrap();
        let kept: usize = evaluation.artifacts.values().map(bytes::Bytes::len).sum();
        assert!(kept <= 64 << 10, "{kept} bytes kept of {text}");
        let failure = failure(evaluation);
        assert!(
            failure.kind == kind && failure.reason.contains(said),
            "{text}\n{failure:?}, expected {kind:?} {said}"
        );
        assert!(!failure.reason.contains(char::is_control));
        let next = bench.evaluate(&program("score = 4.5"), 0).await.unwrap();
        assert_eq!(next.scores, Ok(vec![4.5]), "after {text}");
        assert_eq!((next.isolation, next.layers), (Isolation::Full, Some(layers)));
    }
    hasty.close().await;
    bench.close().await;
}

#[tokio::test]
async fn whatever_a_program_does_the_next_one_is_well() {
    let world = World::new();
    let layers = world.evaluator.optional();
    let small = Limits { time: 3.0, memory_mib: 128, processes: 16, disk_mib: 8, output_kib: 64 };
    let bench = world.shell(". ./run", small).await;
    for (text, kind, said) in [
        ("exit 7", FailureKind::Crashed, "status 7"),
        ("echo 'what a pity' >&2; exit 1", FailureKind::Crashed, "what a pity"),
        ("kill -SEGV $$", FailureKind::Crashed, "signal 11"),
        ("kill -9 $$", FailureKind::Crashed, "signal 9"),
        ("sleep 60", FailureKind::TimedOut, "3 s"),
        ("exec >&- 2>&-; sleep 60", FailureKind::TimedOut, "3 s"),
        (
            "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 60 & done",
            told(layers.process_group),
            if layers.process_group { "16 processes" } else { "Cannot fork" },
        ),
        ("yes", FailureKind::TimedOut, ""),
        ("head -c 1000000 /dev/zero", FailureKind::BadMetrics, "64 KiB"),
        ("head -c 1000000 /dev/zero >&2; exit 1", FailureKind::Crashed, "status 1"),
        (":", FailureKind::BadMetrics, "nothing"),
        ("printf '\\377'", FailureKind::BadMetrics, "UTF-8"),
        ("echo '{\"other\": 1}'", FailureKind::BadMetrics, "score"),
        ("head -c 20000000 /dev/zero > x || exit 1", FailureKind::Crashed, ""),
    ] {
        let evaluation = bench.evaluate(&genome(&[("run", text)]), 0).await.unwrap();
        let failure = failure(evaluation);
        assert!(
            failure.kind == kind && failure.reason.contains(said),
            "{text}\n{failure:?}, expected {kind:?} {said}"
        );
        let good = genome(&[("run", "sleep 60 & echo '{\"score\": 1}'")]);
        let start = Instant::now();
        let next = bench.evaluate(&good, 0).await.unwrap();
        assert_eq!(next.scores, Ok(vec![1.0]), "after {text}");
        assert!(start.elapsed() < Duration::from_secs(30), "waits for what is left running");
    }
    bench.close().await;
}

#[tokio::test]
async fn an_evaluator_that_cannot_be_loaded_is_refused_at_once() {
    let world = World::new();
    for (text, said) in [
        ("import nonsense", "No module named 'nonsense'"),
        ("def evaluate(path:", "SyntaxError"),
        ("x = 1", "defines no function evaluate"),
        ("evaluate = 3", "defines no function evaluate"),
        ("import sys; sys.exit('enough')", "enough"),
        ("import os; os.write(2, b'so long\\n'); os._exit(1)", "so long"),
        ("import os; os._exit(1)", "ended while it started"),
        ("a = bytearray(1 << 30)", world.too_much("256 MiB")),
    ] {
        let error = world.python(text).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, EvaluatorError::Import { .. }), "{error:?}");
        assert_eq!(error.code(), darwin::code::Code::InvalidInput);
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert!(!error.to_string().contains('\n'));
    }
    // A module that is missing is the one thing that another interpreter may have.
    let script = [("evaluate.py", "import nonsense")];
    let lacking = [
        world.python("import nonsense").await,
        world.open(&shinka::shinka(limits(), &[]), &script).await,
    ];
    for error in lacking.map(|opened| opened.map(|_| ()).unwrap_err().to_string()) {
        for part in ["No module named 'nonsense'; set evaluator.python", "DARWIN_EVALUATOR__PYTHON"]
        {
            assert!(error.contains(part), "{error}");
        }
    }
    let other = world.python("def evaluate(path:").await.map(|_| ()).unwrap_err();
    assert!(!other.to_string().contains("evaluator.python"), "{other}");
    let missing = world.open(&python(limits()), &[]).await.map(|_| ()).unwrap_err();
    assert!(missing.to_string().contains("evaluator.py"), "{missing}");
    assert_eq!(fs::read_dir(world.scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_missing_interpreter_is_named() {
    let world = World::with("/nowhere/python3", Path::new(DARWIND));
    let error = world.python(RUN).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), darwin::code::Code::Config);
    assert!(error.to_string().contains("/nowhere/python3"), "{error}");
    let world = World::with("false", Path::new(DARWIND));
    assert!(matches!(world.python(RUN).await, Err(EvaluatorError::Python { .. })));
}
