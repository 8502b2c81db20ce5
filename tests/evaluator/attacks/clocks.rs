//! Tampering with clocks: the machine's, or by which a candidate is measured.

use super::*;

attacks! {
    // To what it is already, which is a success like any other.
    Root setting_the_clock: r"
worked = time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME)) is None";
    Root steering_the_clock: r"
steps = ctypes.create_string_buffer(256)
assert libc.adjtimex(steps) >= 0
# What was read, and that the largest error be set to what it is.
steps[0:4] = (4).to_bytes(4, sys.byteorder)
worked = libc.adjtimex(steps) >= 0";
    Anyone asking_the_clocks_steering: r"
worked = granted('adjtimex', ctypes.create_string_buffer(256))";
    // Without a time to set, which the kernel would see before it asks who wants to.
    Anyone setting_a_clock_to_nothing: "worked = reaches('clock_settime', 0, 1)";
    Anyone setting_the_time_of_day: "worked = reaches('settimeofday', 1, None)";
}

#[tokio::test]
async fn clocks_of_ones_own() {
    let code = r"
def shifted():
    before = time.monotonic()
    if libc.unshare(0x10000080) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with open('/proc/self/timens_offsets', 'w') as offsets: offsets.write('monotonic 1000 0\n')
    return in_child(lambda: time.monotonic() - before > 999)
worked = in_child(shifted)";
    contained_unless("time-namespaces", "Invalid argument", code).await;
}

/// Has its own clocks stand still, the alarm not ring, and goes on for ever.
const TIMELESS: &str = "
import os, signal, time
time.time = time.monotonic = time.perf_counter = lambda: 0.0
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
os.times = lambda: os.times_result((0.0,) * 5)
while True: pass
";

#[tokio::test]
async fn a_candidate_whose_clocks_stand_still_ends_in_time_all_the_same() {
    // The control: an evaluator that measures and ends its candidate by itself does not.
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("agent.py"), TIMELESS).unwrap();
    let watch = "
import runpy, signal, sys, time
def over(*_): raise SystemExit('its time is over')
signal.signal(signal.SIGALRM, over)
signal.setitimer(signal.ITIMER_REAL, 0.5)
runpy.run_path('agent.py')";
    let argv = ["timeout", "-s", "KILL", "3", "python3", "-c", watch];
    let output = Command::new("env").args(argv).current_dir(&dir).output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("its time is over"), "{output:?}");
    let short = Limits { time: 0.5, ..limits() };
    let world = World::new();
    let bench = world.open(&python(short.clone()), &[("evaluator.py", RUN)]).await.unwrap();
    let shell = world.shell("exec python3 agent.py", short).await;
    for bench in [&bench, &shell] {
        let evaluation = bench.evaluate(&program(TIMELESS), 0).await.unwrap();
        let took = evaluation.usage.wall_us;
        assert!((500_000..2_000_000).contains(&took), "{took}");
        assert_failed(evaluation, FailureKind::TimedOut, "0.5 s");
    }
    bench.close().await;
    shell.close().await;
}
