//! What a candidate can reach: nothing of the machine, of others, of the next one.

use std::{collections::BTreeSet, process::Command, time::Duration};

use super::*;

/// Tries what no candidate may do; a list of what worked.
const ATTEMPTS: &str = r"
import ctypes, os, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
worked = []
def attempt(name):
    def run(function):
        try:
            if function() not in (None, False, -1):
                worked.append(name)
        except BaseException:
            pass
    return run
def call(number, *args):
    return libc.syscall(number, *args)
secret = sys.argv[1] if len(sys.argv) > 1 else SECRET

@attempt('read a file of another user')
def _(): return open(secret).read()
@attempt('see the home directory')
def _(): return os.listdir(os.path.dirname(secret))
@attempt('see other processes')
def _(): return len([p for p in os.listdir('/proc') if p.isdigit()]) > 3 or None
@attempt('see the environment')
def _(): return os.environ.get('DARWIN_TEST_SECRET')
@attempt('write to the system')
def _():
    path = '/usr/darwin-test-%d' % os.getpid()
    open(path, 'w').close()
    os.unlink(path)
    return True
@attempt('write to the suite')
def _(): return open(os.path.join(os.environ.get('DARWIN_TEST_SUITE', '/suite'), 'x'), 'w').write('x')
@attempt('reach the network')
def _():
    with socket.create_connection(('127.0.0.1', int(PORT)), timeout=1): return True
@attempt('reach an abstract socket')
def _():
    with socket.socket(socket.AF_UNIX) as s: s.connect('\0darwin-test-' + PORT); return True
@attempt('open a vsock')
def _(): return socket.socket(40, socket.SOCK_STREAM).fileno()
@attempt('open a netlink socket')
def _(): return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).fileno()
@attempt('make a user namespace')
def _():
    pid = os.fork()
    if pid == 0: os._exit(0 if libc.unshare(0x10000000) == 0 else 1)
    return os.waitpid(pid, 0)[1] == 0 or None
@attempt('clone into a user namespace')
def _():
    pid = call(56, 0x10000000 | 17, 0, 0, 0, 0)
    if pid == 0: os._exit(0)
    if pid > 0: os.waitpid(pid, 0)
    return pid
@attempt('mount')
def _():
    if libc.mount(b'tmpfs', b'/mnt' if os.path.isdir('/mnt') else b'/tmp', b'tmpfs', 0, None): return None
    libc.umount2(b'/mnt', 2)
    return True
@attempt('trace')
def _():
    pid = os.fork()
    if pid == 0: os._exit(0 if libc.ptrace(0, 0, 0, 0) == 0 else 1)
    return os.waitpid(pid, 0)[1] == 0 or None
@attempt('read the memory of another process')
def _():
    pid = os.fork()
    if pid == 0:
        import time; time.sleep(30); os._exit(0)
    try:
        buffer = ctypes.create_string_buffer(8)
        iov = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 8)
        return call(310, pid, iov, 1, iov, 1, 0)
    finally:
        os.kill(pid, 9); os.waitpid(pid, 0)
@attempt('use keys')
def _(): return call(250, 0, -3, 1)
@attempt('use io_uring')
def _(): return call(425, 4, ctypes.create_string_buffer(120))
@attempt('use bpf')
def _():
    attributes = ctypes.create_string_buffer(72)
    attributes[0:16] = (1).to_bytes(4, 'little') + (4).to_bytes(4, 'little') * 3
    return call(321, 0, attributes, 72)
@attempt('use userfaultfd')
def _(): return call(323, 0)
@attempt('watch performance')
def _():
    attributes = ctypes.create_string_buffer(112)
    attributes[0:8] = (1).to_bytes(4, 'little') + (112).to_bytes(4, 'little')
    return call(298, attributes, 0, -1, -1, 0)
@attempt('use clone3')
def _():
    arguments = ctypes.create_string_buffer(64)
    arguments[32:40] = (17).to_bytes(8, 'little')
    pid = call(435, arguments, 64)
    if pid == 0: os._exit(0)
    if pid > 0: os.waitpid(pid, 0)
    return pid
@attempt('become root')
def _(): return os.setuid(0) or os.getuid() == 0 or None
@attempt('find capabilities')
def _():
    status = open('/proc/self/status').read()
    return any(int(line.split()[1], 16) for line in status.splitlines() if line.startswith('CapE')) or None
@attempt('gain privileges')
def _(): return libc.prctl(39, 0, 0, 0, 0) == 0 or None
@attempt('signal another process')
def _(): return os.kill(int(PARENT), 0) is None
score = float(len(worked))
print(repr(sorted(worked)))
";

#[tokio::test]
async fn nothing_of_the_machine_is_in_reach() {
    let world = World::new();
    let private = TempDir::new().unwrap();
    let secret = private.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let name = format!("darwin-test-{port}");
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(
            name,
        )
        .unwrap();
    let _abstract = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let head = format!(
        "SECRET = {:?}\nPORT = '{port}'\nPARENT = '{}'\n",
        secret.display().to_string(),
        std::process::id()
    );
    let attempts = format!("{head}{ATTEMPTS}");

    // The control: outside all but a few work, so they are real.
    let suite = private.path().join("suite");
    fs::create_dir(&suite).unwrap();
    let output = Command::new("python3")
        .args(["-c", &attempts])
        .env("DARWIN_TEST_SECRET", "1")
        .env("DARWIN_TEST_SUITE", &suite)
        .output()
        .unwrap();
    let outside = String::from_utf8(output.stdout).unwrap();
    let outside: BTreeSet<_> = outside.split('\'').skip(1).step_by(2).collect();
    let everywhere = [
        "clone into a user namespace",
        "make a user namespace",
        "open a netlink socket",
        "open a vsock",
        "reach an abstract socket",
        "reach the network",
        "read a file of another user",
        "read the memory of another process",
        "see other processes",
        "see the environment",
        "see the home directory",
        "signal another process",
        "trace",
        "use clone3",
        "use io_uring",
        "use keys",
        "write to the suite",
    ];
    let of_root = [
        "become root",
        "find capabilities",
        "mount",
        "use bpf",
        "use userfaultfd",
        "watch performance",
        "write to the system",
    ];
    let root = rustix::process::geteuid().is_root();
    let expected = everywhere.iter().chain(of_root.iter().filter(|_| root));
    let dull: Vec<_> = expected.filter(|name| !outside.contains(*name)).collect();
    assert!(dull.is_empty(), "these do not even work outside: {dull:?}");

    let bench = world
        .python(&format!(
            "import runpy\ndef evaluate(path):\n    {}",
            "import contextlib, io
    out = io.StringIO()
    with contextlib.redirect_stdout(out): result = runpy.run_path(path)
    return {'combined_score': result['score'], 'worked': out.getvalue()}"
        ))
        .await
        .unwrap();
    let evaluation = bench.evaluate(&program(&attempts), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![0.0]), "{:?}", evaluation.metrics);
    bench.close().await;

    let bench = world.shell("python3 agent.py >&2 && exit 9", limits()).await;
    let evaluation = bench.evaluate(&program(&attempts), 0).await.unwrap();
    assert_eq!(evaluation.artifacts["stderr"], &b"[]\n"[..], "{evaluation:?}");
    bench.close().await;
}

#[tokio::test]
async fn nothing_is_left_for_the_next_candidate() {
    let world = World::new();
    let bench = world
        .python(
            "
import builtins, os, runpy
def evaluate(path):
    before = sorted(os.listdir('/tmp')) + sorted(os.listdir('/dev/shm')) + [hasattr(builtins, 'mark')]
    before += [int(line.split()[0]) for line in open('/proc/sysvipc/shm').readlines()[1:]]
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
import builtins, ctypes, os, subprocess
builtins.mark = 1
open('/tmp/mark', 'w').close(); open('/dev/shm/mark2', 'w').close()
os.environ['MARK'] = '1'
libc = ctypes.CDLL(None)
assert libc.shmget(1234, 4096, 0o1666) >= 0
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

#[test]
fn hundreds_of_evaluations_leave_nothing() {
    // A process of its own, so that other tests' workers are not counted.
    if std::env::var_os("DARWIN_TEST_ALONE").is_none() {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "contained::hundreds_of_evaluations_leave_nothing", "--nocapture"])
            .env("DARWIN_TEST_ALONE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let (mounts_before, world) = (mounts(), World::new());
    let mut before = 0;
    for round in 0..3 {
        runtime.block_on(async {
            let bench = Arc::new(world.python(RUN).await.unwrap());
            let shell = world.shell(". ./run", limits()).await;
            for i in 0..100 {
                let text = match i % 20 {
                    7 => "import os; os.kill(os.getppid(), 9); os._exit(1)".to_owned(),
                    13 => "a = bytearray(1 << 30)".to_owned(),
                    _ => format!("score = {i}\nopen('x', 'w').write('x' * 100000)"),
                };
                bench.evaluate(&program(&text), 0).await.unwrap();
                if i % 5 == 0 {
                    let run = genome(&[("run", "sleep 99 & echo '{\"score\": 1}'")]);
                    assert!(shell.evaluate(&run, 0).await.unwrap().scores.is_ok());
                }
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
            shell.close().await;
            // What was dropped goes by itself.
            let gone = async {
                while !processes().is_empty() || !groups().is_empty() {
                    tokio::task::yield_now().await;
                }
            };
            let gone = tokio::time::timeout(Duration::from_secs(10), gone).await.is_ok();
            assert!(gone, "left: {:?} {:?}", processes(), groups());
        });
        if round == 0 {
            before = descriptors();
        }
    }
    assert_eq!(mounts(), mounts_before);
    assert_eq!(fs::read_dir(world.scratch.path()).unwrap().count(), 0);
    assert!(descriptors() <= before, "{} descriptors, {before} before", descriptors());
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
    let _ = Evaluator::new(EvaluatorConfig {
        python: "python3".into(),
        helper: DARWIND.into(),
        scratch: scratch.clone(),
    });
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    fs::remove_dir(&scratch).unwrap();
}
