//! Attacks, each with its control: the same code is run as a plain process first, where it must
//! succeed, so that its failure in the sandbox says something.
//!
//! An attack is Python that sets `worked`. It is tried as a candidate of a `python` suite, as
//! the program of a `command` suite, and as one that answers a case.

mod builds;
mod clocks;
mod deadline;
mod kernel;
mod network;
mod paths;
mod processes;
mod reading;
mod resources;
mod results;
mod state;

use std::{
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
    process::{Command, Output},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::json;

use super::{required::not_run, *};

/// What attacks are written with.
const TOOLS: &str = r"
import ctypes, errno, os, platform, resource, signal, socket, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    'x86_64': dict(
        add_key=248, adjtimex=159, bpf=321, clock_settime=227, clone=56, keyctl=250,
        memfd_create=319, mq_open=240, name_to_handle_at=303, perf_event_open=298,
        personality=135, process_vm_readv=310, process_vm_writev=311, settimeofday=164,
        shmget=29, syncfs=306, userfaultfd=323, vmsplice=278),
    'aarch64': dict(
        add_key=217, adjtimex=171, bpf=280, clock_settime=112, clone=220, keyctl=219,
        memfd_create=279, mq_open=180, name_to_handle_at=264, perf_event_open=241,
        personality=92, process_vm_readv=270, process_vm_writev=271, settimeofday=170,
        shmget=194, syncfs=267, userfaultfd=282, vmsplice=75),
}[platform.machine()]
NUMBERS.update(io_uring_setup=425, open_tree=428, clone3=435, pidfd_getfd=438,
               process_madvise=440)
def call(name, *args):
    args = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    ctypes.set_errno(0)
    return libc.syscall(NUMBERS[name], *args)
def granted(name, *args):
    return call(name, *args) >= 0
def reaches(name, *args):
    # Whether the kernel looks at what it is asked at all.
    return granted(name, *args) or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS)
def is_known(*kind):
    # Whether the kernel looks for such a socket at all.
    try: return socket.socket(*kind).fileno() >= 0
    except OSError as error: return error.errno not in (errno.EPERM, errno.ENOSYS)
def in_child(function):
    pid = os.fork()
    if pid == 0:
        try: os._exit(0 if function() else 1)
        finally: os._exit(2)
    return os.waitpid(pid, 0)[1] == 0
def with_child(function):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, b'.')
        signal.pause()
        os._exit(0)
    try:
        os.read(read, 1)
        return function(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
";

/// Runs the attack.
const TRY: &str = r"
worked, said = None, ''
try:
    exec(CODE)
except BaseException as error:
    said = repr(error)
score = float(bool(worked))
if __name__ == '__main__':
    import json
    print(json.dumps({'score': score, 'said': said}))
";

/// Runs an attack of a candidate in the evaluator's process.
const EVALUATOR: &str = "
import runpy
def evaluate(path):
    found = runpy.run_path(path)
    return {'combined_score': found['score'], 'said': found['said']}
";

/// Who can make an attack that is not contained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Any user.
    Anyone,
    /// Root alone; for others the kernel itself refuses.
    Root,
}

impl Who {
    fn can(self) -> bool {
        self == Self::Anyone || rustix::process::geteuid().is_root()
    }
}

/// A test for each: `who name: code`.
macro_rules! attacks {
    ($($who:ident $name:ident: $code:expr;)*) => {
        $(#[tokio::test]
        async fn $name() {
            $crate::attacks::contained($crate::attacks::Who::$who, $code).await;
        })*
    };
}
use attacks;

/// What there is to be found on the machine by who gets out: files, sockets, this process.
struct Bait {
    /// A user's home, with keys and the daemon's store.
    home: TempDir,
    /// What none may learn.
    secret: String,
    _held: (fs::File, TcpListener, UnixListener, UnixListener),
    facts: serde_json::Value,
}

impl Bait {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let secret = format!("secret-{}-{count}", std::process::id());
        // Not below `/tmp`, which every sandbox has for itself, whatever else it has.
        let home = TempDir::new_in("/var/tmp").unwrap();
        let path = |name: &str| home.path().join(name);
        for file in ["ssh/id_ed25519", "keys/master.key", "warm.db", "note"] {
            fs::create_dir_all(path(file).parent().unwrap()).unwrap();
            fs::write(path(file), &secret).unwrap();
        }
        // Started processes inherit it, as they would what a careless library opened.
        let open = fs::File::open(path("note")).unwrap();
        rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UnixListener::bind(path("darwind.sock")).unwrap();
        let name = SocketAddr::from_abstract_name(&secret).unwrap();
        let hidden = UnixListener::bind_addr(&name).unwrap();
        let inside = ["PATH", "HOME", "TMPDIR", "LANG"];
        let environment: Vec<_> = std::env::vars()
            .filter(|(name, _)| !inside.contains(&name.as_str()) && !name.starts_with("PYTHON"))
            .collect();
        let facts = json!({
            "home": home.path(),
            "secret": secret,
            "parent": std::process::id(),
            "tcp": tcp.local_addr().unwrap().port(),
            "udp": *SERVER.get_or_init(echo),
            "environment": environment,
        });
        Self { home, secret, _held: (open, tcp, socket, hidden), facts }
    }

    /// The program that makes the attack.
    fn program(&self, code: &str) -> String {
        format!("{TOOLS}FACTS = {}\nCODE = {}\n{TRY}", self.facts, json!(code))
    }

    /// Makes the attack without a sandbox, in a directory of its own.
    fn outside(&self, code: &str) -> Output {
        let dir = self.home.path().join("outside");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("attack.py"), self.program(code)).unwrap();
        plain(&dir, &["python3", "attack.py"])
    }

    /// Whether the attack works without a sandbox, and what was said if not.
    fn works_outside(&self, code: &str) -> (bool, String) {
        let output = self.outside(code);
        let (out, err) = [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .into();
        (out.contains("\"score\": 1.0"), format!("{out}{err}"))
    }

    /// Makes it as a candidate of a `python` suite.
    async fn as_function(&self, code: &str, limits: Limits) -> Evaluation {
        let world = World::new();
        let bench = world.open(&python(limits), &[("evaluator.py", EVALUATOR)]).await.unwrap();
        let evaluation = bench.evaluate(&program(&self.program(code)), 0).await.unwrap();
        bench.close().await;
        evaluation
    }

    /// Makes it as a candidate of a `command` suite.
    async fn as_program(&self, code: &str, limits: Limits) -> Evaluation {
        let world = World::new();
        // A scorer has the agent's files as data only: what writes does so beside them.
        let script = "mkdir $TMPDIR/work && cd $TMPDIR/work && exec python3 $OLDPWD/agent.py";
        let bench = world.shell(script, limits).await;
        let evaluation = bench.evaluate(&program(&self.program(code)), 0).await.unwrap();
        bench.close().await;
        evaluation
    }

    /// Makes it as a program that answers a case.
    async fn as_answer(&self, code: &str, limits: Limits) -> Evaluation {
        let world = World::new();
        let text = "kind = \"cases\"\nargv = [\"python3\", \"agent.py\"]\ncases = \"c\"\n";
        let suite = Suite { limits, ..darwin::config::suite::parse(text).unwrap() };
        let case = "{\"input\": \"\", \"expected\": \"\"}";
        let bench = world.open(&suite, &[("c", case)]).await.unwrap();
        let evaluation = bench.evaluate(&program(&self.program(code)), 0).await.unwrap();
        bench.close().await;
        evaluation
    }
}

/// What became of an attack by a program that answers a case, as it says itself.
fn said(evaluation: &Evaluation) -> String {
    let [line] = &cases::log(evaluation)[..] else { panic!("{evaluation:?}") };
    line["output"].as_str().unwrap().to_owned()
}

/// Runs a program without a sandbox, but not for ever.
fn plain(dir: &Path, argv: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.arg("60").args(argv).current_dir(dir);
    command.output().unwrap()
}

/// The port of a server that answers what it is asked, as a name server would.
static SERVER: OnceLock<u16> = OnceLock::new();

fn echo() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    port
}

/// Makes sure that the attack works without a sandbox and does nothing in one.
async fn contained(who: Who, code: &str) {
    let bait = Bait::new();
    let (worked, said) = bait.works_outside(code);
    assert_eq!(worked, who.can(), "the control: {said}");
    fails_inside(&bait, code).await;
}

/// Makes sure that the attack does nothing in a sandbox, and works without one or fails there for
/// just this reason, that the machine's kernel was made without what it `needs`; then it says so.
async fn contained_unless(needs: &str, lacks: &str, code: &str) {
    let bait = Bait::new();
    let (worked, said) = bait.works_outside(code);
    assert!(worked || said.contains(lacks), "the control: {said}");
    if !worked {
        not_run(needs, &format!("the control of an attack fails: {}", said.trim()));
    }
    fails_inside(&bait, code).await;
}

async fn fails_inside(bait: &Bait, code: &str) {
    for evaluation in
        [bait.as_function(code, limits()).await, bait.as_program(code, limits()).await]
    {
        assert_eq!(evaluation.scores, Ok(vec![0.0]), "it works inside: {evaluation:?}");
    }
    let answer = bait.as_answer(code, limits()).await;
    assert!(said(&answer).contains("\"score\": 0.0"), "it works inside: {answer:?}");
}

/// Makes sure that the attack works without a sandbox, and that a candidate which tries it
/// fails for that reason.
async fn stopped(code: &str, kind: FailureKind, said: &str) {
    let bait = Bait::new();
    let (worked, told) = bait.works_outside(code);
    assert!(worked, "the control: {told}");
    let layers = World::new().evaluator.layers().await;
    let groups =
        layers.iter().filter(|layer| ["memory limit", "process limit"].contains(&layer.name));
    let counted =
        groups.clone().count() == 2 && groups.into_iter().all(|layer| layer.state.is_ok());
    let function = bait.as_function(code, limits()).await;
    let program = bait.as_program(code, limits()).await;
    if counted {
        assert_failed(function, kind, said);
        // What a program makes of a refusal is its own affair, but it has no score.
        let failure = failure(program);
        assert!([kind, FailureKind::Crashed].contains(&failure.kind), "{failure:?}");
    } else {
        // Nobody counts how often a process was refused what is over its own limit.
        for evaluation in [function, program] {
            assert_ne!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        }
    }
    let answer = bait.as_answer(code, limits()).await;
    assert!(!self::said(&answer).contains("\"score\": 1.0"), "{answer:?}");
}

/// The processes of this machine that were started with `mark` among their arguments.
fn running(mark: &str) -> Vec<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let marked = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(['\0', ' ']).any(|word| word == mark)
    };
    pids.filter(marked).collect()
}

/// Ends a process that a control left.
fn end(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
}
