//! What evaluations leave behind: nothing.

use std::{process::Command, time::Duration};

use darwin::config;

use super::*;

#[tokio::test]
async fn nothing_is_left_for_the_next_candidate() {
    let world = World::new();
    let bench = world
        .python(
            "
import builtins, os, runpy
def evaluate(path):
    before = sorted(os.listdir('/tmp')) + sorted(os.listdir('/dev/shm')) + [hasattr(builtins, 'mark')]
    runpy.run_path(path)
    return {'combined_score': 1, 'before': before,
            'fds': [link for link in map(target, range(64)) if link]}
def target(fd):
    try: return os.readlink('/proc/self/fd/%d' % fd)
    except OSError: return None
",
        )
        .await
        .unwrap();
    let mark = "
import builtins, os, subprocess
builtins.mark = 1
open('/tmp/mark', 'w').close(); open('/dev/shm/mark2', 'w').close()
os.environ['MARK'] = '1'
subprocess.Popen(['sleep', '4567'], start_new_session=True)
";
    let first = bench.evaluate(&program(mark), 0).await.unwrap();
    assert_eq!(first.scores, Ok(vec![1.0]), "{first:?}");
    let second = bench.evaluate(&program(mark), 0).await.unwrap();
    assert_eq!(first.metrics["before"], second.metrics["before"]);
    let text = |name: &str| format!("{:?}", second.metrics[name]);
    assert!(
        !text("before").contains("mark") && text("before").contains("false"),
        "{}",
        text("before")
    );
    // Its own three, and the pipe of its report.
    assert_eq!(text("fds").matches("pipe:").count(), 3, "{}", text("fds"));
    assert_eq!(text("fds").matches(',').count(), 3, "{}", text("fds"));
    assert!(!processes().iter().any(|(pid, _)| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("4567"))
    }));
    bench.close().await;
}

/// The control groups of this process that are there.
fn groups() -> Vec<PathBuf> {
    groups_of(std::process::id())
}

/// The control groups of the daemon with that process id.
fn groups_of(daemon: u32) -> Vec<PathBuf> {
    let own = format!("darwin-{daemon}-");
    let mut found = Vec::new();
    let mut next = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(dir) = next.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().starts_with(&own) {
                    found.push(entry.path());
                }
                next.push(entry.path());
            }
        }
    }
    found
}

/// A bench of each kind but `python`, all of which score [`leaving`] with 1.
async fn others(world: &World) -> [(&'static str, Bench); 6] {
    let cases = "kind = \"cases\"\nargv = [\"sh\", \"answer\"]\ncases = \"c\"\n";
    let case = [("c", "{\"input\": \"\", \"expected\": \"well\"}")];
    let rpc = [("c", "{\"input\": \"\", \"expected\": \"rpc\"}")];
    let lines = cases.replace("answer", "serve") + "protocol = \"json-rpc\"\n";
    let build = format!("{cases}[build]\nargv = [\"sh\", \"build\"]\n");
    let open = async |text: &str, files: &[(&str, &str)]| {
        let suite = Suite { limits: limits(), ..config::suite::parse(text).unwrap() };
        world.open(&suite, files).await.unwrap()
    };
    let (mut suite, script) = (shinka::shinka(limits(), &[]), shinka::script());
    if let Method::Shinka { program, .. } = &mut suite.method {
        *program = Some("agent.py".to_owned());
    }
    let script = world.open(&suite, &[("evaluate.py", &script)]).await.unwrap();
    let run = "darwin-run sh score > $TMPDIR/said; cat $TMPDIR/said";
    [
        ("command", world.shell(". ./score", limits()).await),
        ("darwin-run", world.shell(run, limits()).await),
        ("cases", open(cases, &case).await),
        ("json-rpc", open(&lines, &rpc).await),
        ("build", open(&build, &case).await),
        ("shinka", script),
    ]
}

/// An agent that is right in each of them, and leaves a process and a file whatever runs of it.
fn leaving(number: usize) -> Genome {
    let shell = |text: &str| format!("sleep 99 & echo {number} > $TMPDIR/left; {text}");
    let program = format!(
        "import subprocess\nopen('/tmp/left', 'w').write('x')\n\
         subprocess.Popen(['sleep', '99'], start_new_session=True)\n{}",
        shinka::FINE.replace("2.5", "1.0")
    );
    let [score, answer, build, serve] = [
        "echo '{\"score\": 1}'",
        "echo well",
        "echo $$ > built",
        "while read line; do echo '{\"jsonrpc\": \"2.0\", \"id\": 1, \"result\": \"rpc\"}'; done",
    ]
    .map(shell);
    genome(&[
        ("score", &score),
        ("answer", &answer),
        ("build", &build),
        ("serve", &serve),
        ("agent.py", &program),
    ])
}

/// How many evaluations the next test makes, if `DARWIN_TEST_EVALUATIONS` doesn't say so.
const EVALUATIONS: usize = 500;

#[test]
fn evaluations_of_all_kinds_leave_no_process_mount_group_or_file() {
    // A process of its own, so that other tests' workers are not counted.
    if std::env::var_os("DARWIN_TEST_ALONE").is_none() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "contained::evaluations_of_all_kinds_leave_no_process_mount_group_or_file",
                "--nocapture",
            ])
            .env("DARWIN_TEST_ALONE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let count = std::env::var("DARWIN_TEST_EVALUATIONS").ok();
    let count = count.map_or(EVALUATIONS, |count| count.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let (mounts_before, world) = (mounts(), World::new());
    let (mut before, mut made, mut built) = (None, 0, 0);
    while made < count {
        runtime.block_on(async {
            let bench = Arc::new(world.python(RUN).await.unwrap());
            let others = others(&world).await;
            for i in 0..50 {
                let text = match i % 20 {
                    7 => "import os; os.kill(0, 9)".to_owned(),
                    13 => "a = bytearray(1 << 30)".to_owned(),
                    _ => format!("score = {i}\nopen('x', 'w').write('x' * 100000)"),
                };
                bench.evaluate(&program(&text), 0).await.unwrap();
                made += 1;
                let (kind, other) = &others[i % others.len()];
                let evaluation = other.evaluate(&leaving(made), 0).await.unwrap();
                assert_eq!(evaluation.scores, Ok(vec![1.0]), "{kind}: {evaluation:?}");
                made += 1;
                built += usize::from(*kind == "build");
            }
            // One that is dropped while it runs.
            let (dropped, agent) = (bench.clone(), program("while True: pass"));
            let task = tokio::spawn(async move { dropped.evaluate(&agent, 0).await });
            while !processes().iter().any(|(_, name)| name.starts_with("python")) {
                tokio::task::yield_now().await;
            }
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            Arc::into_inner(bench).unwrap().close().await;
            for (_, bench) in others {
                bench.close().await;
            }
            // What was dropped goes by itself.
            let gone = async {
                while !processes().is_empty() || !groups().is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            let gone = tokio::time::timeout(Duration::from_secs(10), gone).await.is_ok();
            assert!(gone, "left: {:?} {:?}", processes(), groups());
        });
        assert_eq!(mounts(), mounts_before);
        // What was built is kept, and that alone.
        let files = |dir: &Path| fs::read_dir(dir).unwrap().count();
        assert_eq!(files(world.scratch.path()), 1);
        assert_eq!(files(&world.scratch.path().join("builds")), built);
        let before = *before.get_or_insert_with(descriptors);
        assert!(descriptors() <= before, "{} descriptors, {before} before", descriptors());
    }
    println!("{made} evaluations left nothing");
}

/// Starts an endless candidate, says so, and waits to be killed.
async fn be_a_daemon() {
    let world = World::new();
    let bench = world.python(RUN).await.unwrap();
    println!("scratch {}", world.scratch.path().display());
    let _ = bench.evaluate(&program("import os\nos.fork()\nwhile True: pass"), 0).await;
}

#[test]
fn a_daemon_that_is_killed_leaves_no_process_and_no_group() {
    use std::io::{BufRead as _, BufReader};
    if std::env::var_os("DARWIN_TEST_ALONE").is_some() {
        tokio::runtime::Runtime::new().unwrap().block_on(be_a_daemon());
        return;
    }
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "contained::a_daemon_that_is_killed_leaves_no_process_and_no_group"])
        .arg("--nocapture")
        .env("DARWIN_TEST_ALONE", "1")
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let scratch = lines
        .find_map(|line| line.unwrap().split_once("scratch ").map(|(_, path)| PathBuf::from(path)));
    let scratch = scratch.unwrap();
    let pid = daemon.id();
    let below = |root| {
        let all = processes_below(root);
        all.into_iter().map(|(pid, _)| pid).collect::<Vec<_>>()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    // The keeper, the harness, the candidate and its fork.
    while below(pid).len() < 4 {
        assert!(std::time::Instant::now() < deadline, "{:?}", below(pid));
        std::thread::yield_now();
    }
    let all = below(pid);
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let alive = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    };
    while all.iter().any(alive) || !groups_of(pid).is_empty() {
        assert!(std::time::Instant::now() < deadline, "left: {:?} {:?}", all, groups_of(pid));
        std::thread::yield_now();
    }
    // The suite's directory goes when the next one starts.
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 1);
    let _ = Evaluator::new(config(&scratch));
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    fs::remove_dir(&scratch).unwrap();
}
