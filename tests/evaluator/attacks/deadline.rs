//! Trees that do not want to end: at the deadline they do, and at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    thread,
    time::{Duration, Instant},
};

use darwin::config;

use super::{
    super::{cases, machines, shinka},
    *,
};

/// From a candidate's deadline to the end of its last process.
const MOST: Duration = Duration::from_millis(250);
/// How many processes the tree below has, its root left out.
const TREE: usize = 10;
/// How many of them would be traced.
const TRACED: usize = 2;
const TIME: Duration = Duration::from_millis(1200);

/// Starts processes that ignore signals, have sessions of their own and no parents, are
/// stopped, try to be traced, or are busy; and goes on for ever.
const STUBBORN: &str = "
import ctypes, os, signal, time
libc = ctypes.CDLL(None)
def stubborn(kind):
    if os.fork(): return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTSTP):
        signal.signal(number, signal.SIG_IGN)
    if kind & 1:
        os.setsid()
        if os.fork(): os._exit(0)
    if kind & 8: libc.ptrace(0, 0, 0, 0)
    calm = 'kill -STOP $$; ' if kind & 2 else ''
    work = ':' if kind & 4 else 'sleep 1'
    os.execvp('sh', ['sh', '-c', calm + 'while :; do %s; done' % work, MARK])
for kind in (0, 1, 2, 3, 4, 5, 6, 7, 9, 12): stubborn(kind)
while True: pass
";

/// The tree's code, with a mark to find its processes by.
fn stubborn(name: &str) -> (String, String) {
    let mark = format!("stubborn-{name}-{}", std::process::id());
    (format!("MARK = '{mark}'\n{STUBBORN}"), mark)
}

/// How often each kind is measured: the median counts, for a machine at work with other things
/// may be late now and then.
const TIMES: usize = 5;
/// How often a tree may not have grown whole before its deadline.
const MOST_TRIES: usize = 4 * TIMES;

/// One tree after the other: each is at work as much as it can.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Evaluates such a tree until it was whole some times.
async fn ends_in_time(bench: &Bench, name: &str) {
    let (code, mark) = stubborn(name);
    let mut all = Vec::new();
    for turn in 0..MOST_TRIES {
        let _one = ONE.lock().await;
        let (most, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let watcher = thread::spawn({
            let (mark, most, over) = (mark.clone(), most.clone(), over.clone());
            move || {
                while !over.load(Ordering::Relaxed) {
                    most.fetch_max(running(&mark).len(), Ordering::Relaxed);
                    // Looking is work, too: not more than a tenth of the time.
                    thread::park_timeout(Duration::from_millis(20));
                }
            }
        });
        // What is built of an agent is known by its content.
        let agent = program(&format!("# {turn}\n{code}"));
        let start = Instant::now();
        let evaluation = bench.evaluate(&agent, 0).await.unwrap();
        let late = start.elapsed().saturating_sub(TIME);
        assert_eq!(running(&mark), [0; 0], "{name}");
        over.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
        let said = match &evaluation.scores {
            Ok(_) => cases::log(&evaluation)[0]["why"].to_string(),
            Err(failure) => format!("{:?}: {}", failure.kind, failure.reason),
        };
        assert!(said.contains("within 1.2 s"), "{name}: {said}");
        if most.load(Ordering::Relaxed) >= TREE {
            all.push(late);
        }
        if all.len() == TIMES {
            all.sort();
            assert!(all[TIMES / 2] <= MOST, "{name}: {all:?} after the deadline");
            return;
        }
    }
    panic!("{name}: the tree was whole {} times of {MOST_TRIES}", all.len());
}

fn short() -> Limits {
    Limits { time: TIME.as_secs_f64(), ..limits() }
}

/// Tries it with a suite.
async fn suite_ends_in_time(name: &str, suite: &Suite, files: &[(&str, &str)]) {
    let world = World::new();
    let bench = world.open(suite, files).await.unwrap();
    ends_in_time(&bench, name).await;
    bench.close().await;
}

#[tokio::test]
async fn a_stubborn_tree_is_dead_in_time() {
    suite_ends_in_time("function", &python(short()), &[("evaluator.py", RUN)]).await;
    let script = shinka::script();
    suite_ends_in_time("script", &shinka::shinka(short(), &[]), &[("evaluate.py", &script)]).await;
    let world = World::new();
    for (name, script) in
        [("scorer", "exec python3 agent.py"), ("run", "exec darwin-run python3 agent.py")]
    {
        let bench = world.shell(script, short()).await;
        ends_in_time(&bench, name).await;
        bench.close().await;
    }
}

#[tokio::test]
async fn a_stubborn_tree_that_answers_or_builds_is_dead_in_time() {
    let answers = "kind = \"cases\"\nargv = [\"python3\", \"agent.py\"]\ncases = \"c\"\n";
    let files = [("c", "{\"input\": \"\", \"expected\": \"\"}")];
    for protocol in ["stdio", "json-rpc"] {
        let text = format!("{answers}protocol = \"{protocol}\"\n");
        let suite = Suite { limits: short(), ..config::suite::parse(&text).unwrap() };
        suite_ends_in_time(protocol, &suite, &files).await;
    }
    let build = "[build]\nargv = [\"python3\", \"agent.py\"]\n[build.limits]\ntime = 1.2\n";
    let suite = config::suite::parse(&format!("{answers}{build}")).unwrap();
    suite_ends_in_time("build", &suite, &files).await;
}

#[tokio::test]
async fn a_stubborn_tree_is_dead_in_time_without_namespaces() {
    let (world, _dir) = machines::lesser(false);
    let files = bundle(&[("evaluator.py", RUN)]);
    let space = Arc::new(Space::default());
    let suite = python(short());
    let bench = world.evaluator.open(&suite, &files, space, Profile::Reduced, 1).await.unwrap();
    ends_in_time(&bench, "reduced").await;
    bench.close().await;
}

#[test]
fn a_stubborn_tree_outlives_its_root_without_a_sandbox() {
    let (code, mark) = stubborn("control");
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("agent.py"), code).unwrap();
    let mut root = Command::new("python3").arg("agent.py").current_dir(&dir).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while running(&mark).len() < TREE && Instant::now() < deadline {
        thread::yield_now();
    }
    root.kill().unwrap();
    root.wait().unwrap();
    let left = running(&mark);
    // Those that were about to begin, too.
    while !running(&mark).is_empty() {
        running(&mark).iter().for_each(|pid| end(*pid));
    }
    // Those whose tracer it was get the signal that they were stopped by.
    assert!(left.len() >= TREE - TRACED, "{left:?}");
}
