//! Warm sandboxes are replaced: after so many evaluations, and when they keep what they should not.

use std::time::Duration;

use super::*;

/// Nothing but its number of uses wears a sandbox with it out.
const LASTING: Wear = Wear { uses: u32::MAX, looks: 1, memory: u64::MAX, files: u64::MAX };

/// Tells which warm process evaluates, and does `leak` in it, once, while it waits for a request.
fn evaluator(leak: &str) -> String {
    format!(
        "
import os, signal, subprocess, time
BORN, kept = str(time.monotonic_ns()), []
def leak(*_): {leak}
signal.signal(signal.SIGALRM, leak)
signal.setitimer(signal.ITIMER_REAL, 0.2)
def evaluate(path):
    return {{'combined_score': 1, 'born': BORN}}
"
    )
}

/// Which warm processes make these evaluations, one a while after the other, by number.
async fn processes_of<const N: usize>(wear: Wear, leak: &str, pause: Duration) -> [usize; N] {
    let world = World::wearing(wear);
    let bench = world.python(&evaluator(leak)).await.unwrap();
    let (mut seen, mut numbers) = (Vec::new(), [0; N]);
    for number in &mut numbers {
        let evaluation = bench.evaluate(&program(""), 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        let born = format!("{:?}", evaluation.metrics["born"]);
        *number = seen.iter().position(|known| *known == born).unwrap_or_else(|| {
            seen.push(born);
            seen.len() - 1
        });
        tokio::time::sleep(pause).await;
    }
    bench.close().await;
    numbers
}

#[tokio::test]
async fn a_sandbox_is_replaced_after_so_many_evaluations() {
    let wear = Wear { uses: 3, ..LASTING };
    let found = processes_of(wear, "pass", Duration::ZERO).await;
    assert_eq!(found, [0, 0, 0, 1, 1, 1, 2, 2]);
}

#[tokio::test]
async fn a_sandbox_that_keeps_memory_files_or_processes_is_replaced() {
    let (memory, files) = (32 << 20, 128);
    let pause = Duration::from_millis(500);
    for (leak, wear) in [
        ("kept.append(b'x' * (100 << 20))", Wear { memory, ..LASTING }),
        ("kept.extend(open('/dev/null') for _ in range(400))", Wear { files, ..LASTING }),
        ("kept.append(subprocess.Popen(['sleep', '99']))", LASTING),
    ] {
        // It is looked at after each evaluation, the second being the first that it may show in.
        assert_eq!(processes_of(wear, leak, pause).await, [0, 0, 1], "{leak}");
        // The control: it is by looking that it is found.
        let blind = Wear { looks: u32::MAX, ..wear };
        assert_eq!(processes_of(blind, leak, pause).await, [0, 0, 0], "{leak}");
    }
    let wear = Wear { memory, files, ..LASTING };
    assert_eq!(processes_of(wear, "pass", pause).await, [0, 0, 0], "without a leak");
}

#[tokio::test]
async fn what_candidates_do_wears_no_sandbox_out() {
    let wear = Wear { looks: 1, ..Wear::default() };
    let world = World::wearing(wear);
    let run = "    import runpy; runpy.run_path(path)\n    return";
    let text = evaluator("pass").replace("    return", run);
    let bench = world.python(&text).await.unwrap();
    let greedy = "
import os, subprocess
kept = [b'x' * (100 << 20), [open('/dev/null') for _ in range(400)]]
subprocess.Popen(['sleep', '99'], start_new_session=True)";
    let mut born = Vec::new();
    for _ in 0..5 {
        let evaluation = bench.evaluate(&program(greedy), 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        born.push(format!("{:?}", evaluation.metrics["born"]));
    }
    assert!(born.iter().all(|one| *one == born[0]), "{born:?}");
    bench.close().await;
}
