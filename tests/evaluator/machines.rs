//! Machines that have less: an ordinary user, no namespaces, no control groups.

use std::os::unix::fs::PermissionsExt as _;

use darwin::{
    code::Code,
    config::suite as config,
    domain::{
        evaluation::{FailureKind, Isolation},
        suite::Limits,
    },
};

use super::*;

const NOBODY: u32 = 65_534;

/// A program that starts `darwind` as an ordinary user, and where `namespaces` is false with
/// a filter that refuses new user namespaces.
pub fn helper(dir: &Path, namespaces: bool) -> PathBuf {
    let path = dir.join("helper");
    let text = format!(
        "#!/usr/bin/env -S python3 -I
import ctypes, os, sys
if os.getuid() == 0:
    os.setgroups([])
    os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
    os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
if not {}:
    # load the call's number; if it is clone, load its flags; if CLONE_NEWUSER is set: EPERM
    steps = [(0x20, 0, 0, 0), (0x15, 0, 3, {clone}), (0x20, 0, 0, 16), (0x45, 0, 1, 0x10000000),
             (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
    code = b''.join(c.to_bytes(2, 'little') + bytes([t, f]) + k.to_bytes(4, 'little')
                    for c, t, f, k in steps)
    class Filter(ctypes.Structure):
        _fields_ = [('n', ctypes.c_ushort), ('steps', ctypes.c_char_p)]
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Filter(len(steps), code)), 0, 0) == 0
os.execv({DARWIND:?}, [{DARWIND:?}] + sys.argv[1:])
",
        if namespaces { "True" } else { "False" },
        clone = if cfg!(target_arch = "aarch64") { 220 } else { 56 },
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A world in which sandboxes are started by such a helper.
pub fn lesser(namespaces: bool) -> (World, TempDir) {
    lesser_with(namespaces, None)
}

/// The same, of a daemon that knows a proxy to models.
pub fn lesser_with(namespaces: bool, models: Option<PathBuf>) -> (World, TempDir) {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Nobody can reach an interpreter in somebody's home.
    let world = World::of("/usr/bin/python3", &helper(dir.path(), namespaces), models);
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(world.scratch.path(), open).unwrap();
    (world, dir)
}

#[tokio::test]
async fn an_ordinary_user_has_the_full_sandbox() {
    let (world, _dir) = lesser(true);
    let small = Limits { time: 2.0, memory_mib: 128, processes: 16, ..limits() };
    let bench = world.open(&python(small), &[("evaluator.py", RUN)]).await.unwrap();
    let run = async |text: &str| bench.evaluate(&program(text), 0).await.unwrap();
    let fine = run("import os; score = os.getuid()").await;
    assert_eq!((fine.scores, fine.isolation), (Ok(vec![1000.0]), Isolation::Full));
    assert_failed(run("while True: pass").await, FailureKind::TimedOut, "2 s");
    // No control group is his: the watcher and the limits of each process stand in.
    let failed = failure(run("a = bytearray(1 << 30)").await);
    assert!(failed.kind == FailureKind::OverLimit, "{failed:?}");
    let many = "
import os, time
for i in range(6):
    if os.fork() == 0:
        a = bytearray(50 << 20)
        a[::4096] = b'x' * len(a[::4096])
        time.sleep(9)
os._exit(os.wait()[1] & 127)";
    let failed = failure(run(many).await);
    assert!(failed.kind == FailureKind::Crashed, "{failed:?}");
    let bomb = "import os\nwhile os.fork() >= 0: pass";
    let failed = failure(run(bomb).await);
    assert!(failed.reason.contains("BlockingIOError"), "{failed:?}");
    assert_eq!(run("score = 2").await.scores, Ok(vec![2.0]));
    bench.close().await;
}

#[tokio::test]
async fn without_namespaces_a_full_sandbox_is_refused_and_a_reduced_one_is_stamped() {
    let (world, _dir) = lesser(false);
    let files = [("evaluator.py", RUN)];
    let suite = python(Limits { time: 1.0, ..limits() });
    let error = world.open(&suite, &files).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), Code::Sandbox);
    assert!(error.to_string().contains("namespaces") && error.to_string().contains("reduced"));
    let layers = world.evaluator.layers().await;
    assert!(layers[0].mandatory && layers[0].state.is_err(), "{layers:?}");

    let space = Arc::new(Space::default());
    let bench =
        world.evaluator.open(&suite, &bundle(&files), space, Profile::Reduced, 1).await.unwrap();
    let run = async |text: &str| bench.evaluate(&program(text), 0).await.unwrap();
    let fine = run("score = 3\nopen('x', 'w').write('y')").await;
    assert_eq!((fine.scores, fine.isolation), (Ok(vec![3.0]), Isolation::Reduced));
    // What it leaves running dies with it, and cannot look into the harness meanwhile.
    let escape = "
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: os.execvp('sleep', ['sleep', '5678'])
    os._exit(0)
try:
    open('/proc/%d/mem' % os.getppid(), 'r+b').close()
    score = 0
except OSError:
    score = 1";
    assert_eq!(run(escape).await.scores, Ok(vec![1.0]));
    assert_failed(run(&format!("{escape}\ntime.sleep(9)")).await, FailureKind::TimedOut, "1 s");
    let script = "sleep 5678 & setsid sleep 5678 & echo '{\"score\": 1}'";
    let shell = Suite {
        objectives: vec![objective("score")],
        method: Method::Command {
            argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
            build: None,
        },
        ..suite
    };
    let space = Arc::new(Space::default());
    let command =
        world.evaluator.open(&shell, &Bundle::new(), space, Profile::Reduced, 1).await.unwrap();
    assert_eq!(command.evaluate(&program(""), 0).await.unwrap().scores, Ok(vec![1.0]));
    assert!(!processes().iter().any(|(pid, _)| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("5678"))
    }));
    command.close().await;

    let suite = shinka::shinka(Limits { time: 1.0, ..limits() }, &[]);
    let files = bundle(&[("evaluate.py", &shinka::script())]);
    let space = Arc::new(Space::default());
    let script = world.evaluator.open(&suite, &files, space, Profile::Reduced, 1).await.unwrap();
    let run = async |text: &str| script.evaluate(&program(text), 0).await.unwrap();
    let fine = run(&format!("{}os.abort()", shinka::FINE)).await;
    assert_eq!((fine.scores, fine.isolation), (Ok(vec![2.5]), Isolation::Reduced));
    let hangs = "import time\nif os.fork() == 0: os.setsid()\ntime.sleep(9)";
    assert_failed(run(hangs).await, FailureKind::TimedOut, "1 s");
    assert_eq!(run(shinka::FINE).await.scores, Ok(vec![2.5]));
    script.close().await;
    bench.close().await;
    assert_eq!(fs::read_dir(world.scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn without_namespaces_cases_are_answered_and_runs_started_all_the_same() {
    let (world, _dir) = lesser(false);
    let open = async |suite: &Suite, files: &[(&str, &str)]| {
        let space = Arc::new(Space::default());
        let (suite, files) = (suite.clone(), bundle(files));
        world.evaluator.open(&suite, &files, space, Profile::Reduced, 1).await.unwrap()
    };
    // Of this process alone: the same test may run elsewhere on this machine.
    let mark = format!("5679.{}", std::process::id());
    let main = format!(
        "import os, sys\nif os.fork() == 0: os.execvp('sleep', ['sleep', '{mark}'])\n\
         print(sys.stdin.read() + open('made').read())"
    );
    let text = "argv = [\"python3\", \"main.py\"]\n[build]\nargv = [\"sh\", \"-c\", \"printf y > made\"]\n";
    let text = format!("kind = \"cases\"\ncases = \"c.jsonl\"\n{text}");
    let cases =
        "{\"input\": \"x\", \"expected\": \"xy\"}\n{\"input\": \"y\", \"expected\": \"yy\"}";
    let bench = open(&config::parse(&text).unwrap(), &[("c.jsonl", cases)]).await;
    let evaluation = bench.evaluate(&genome(&[("main.py", &main)]), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    assert!(evaluation.isolation == Isolation::Reduced && !evaluation.in_process);
    bench.close().await;

    let script = r#"
darwin-run sh -c 'echo up; exec sleep MARK' > "$TMPDIR/up" &
until test -s "$TMPDIR/up"; do :; done
echo "{\"score\": $(darwin-run cat data)}""#;
    let script = script.replace("MARK", &mark);
    let argv = ["sh", "-c", &script].map(str::to_owned).to_vec();
    let suite = Suite {
        objectives: vec![objective("score")],
        limits: limits(),
        ..Suite::new("test", Method::Command { argv, build: None })
    };
    let bench = open(&suite, &[]).await;
    let evaluation = bench.evaluate(&genome(&[("data", "7")]), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![7.0]), "{evaluation:?}");
    // Without walls the candidate could reach its scorer.
    assert!(evaluation.in_process);
    bench.close().await;
    assert!(!processes().iter().any(|(pid, _)| {
        fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&mark))
    }));
}

/// Whether Landlock stands in for the mounts that are missing here; without it nothing does.
fn walls() -> bool {
    darwin::daemon::evaluator::sandbox::landlock().is_some()
}

#[tokio::test]
async fn without_namespaces_landlock_keeps_the_suite_from_the_agents_own_programs() {
    let (world, _dir) = lesser(false);
    let open = async |suite: &Suite, files: &[(&str, &str)]| {
        let space = Arc::new(Space::default());
        let (suite, files) = (suite.clone(), bundle(files));
        world.evaluator.open(&suite, &files, space, Profile::Reduced, 1).await.unwrap()
    };
    // The control: the scorer itself reads what it then has the agent look for.
    let script = r#"
grep -q needle "$1/secret" || exit 3
darwin-run cat "$1/secret" data > "$TMPDIR/said"
grep -q mine "$TMPDIR/said" || exit 4
echo "{\"score\": $(grep -c needle "$TMPDIR/said")}""#;
    let argv = ["sh", "{suite}/score.sh", "{suite}"].map(str::to_owned).to_vec();
    let suite = Suite {
        objectives: vec![objective("score")],
        limits: limits(),
        ..Suite::new("test", Method::Command { argv, build: None })
    };
    let bench = open(&suite, &[("score.sh", script), ("secret", "needle\n")]).await;
    let evaluation = bench.evaluate(&genome(&[("data", "mine\n")]), 0).await.unwrap();
    let found = f64::from(u8::from(!walls()));
    assert_eq!(evaluation.scores, Ok(vec![found]), "{evaluation:?}");
    bench.close().await;

    // Of a suite of cases, too: what its own programs judge by lies beside.
    let text = "kind = \"cases\"\nargv = [\"python3\", \"main.py\"]\ncases = \"c.jsonl\"\n";
    let scratch = world.scratch.path();
    let case = serde_json::json!({
        "input": scratch,
        "check": { "kind": "command", "argv": ["python3", "{suite}/judge.py"] },
    });
    let judge = "print('{\"pass\": true}') # needle";
    let files = [("c.jsonl", &*case.to_string()), ("judge.py", judge)];
    let bench = open(&config::parse(text).unwrap(), &files).await;
    let main = "
import glob, sys
found = []
for path in glob.glob(sys.stdin.read().strip() + '/suite-*/*'):
    try: found.append('needle' in open(path).read())
    except OSError: pass
print('found' if any(found) else 'nothing')";
    let evaluation = bench.evaluate(&genome(&[("main.py", main)]), 0).await.unwrap();
    let inside =
        fs::read_dir(scratch).unwrap().flatten().map(|entry| entry.path().join("judge.py"));
    assert_eq!(inside.filter(|path| path.exists()).count(), 1, "the control");
    let output = super::cases::log(&evaluation)[0]["output"].clone();
    assert_eq!(output, if walls() { "nothing\n" } else { "found\n" });
    bench.close().await;
}

/// Leaves what is deeper than a process may have files open, and closed to its owner.
const LEAVE: &str = "
import os
home = os.environ['TMPDIR']
os.chdir(home)
for _ in range(1500):
    os.mkdir('d')
    os.chdir('d')
open('x', 'w').close()
os.chmod('.', 0)
os.chmod(home, 0)
score = 1.0
print('well')";

#[tokio::test]
async fn without_namespaces_nothing_is_left_on_disk_however_it_was_left() {
    let (world, _dir) = lesser(false);
    let open = async |suite: &Suite, files: &[(&str, &str)]| {
        let space = Arc::new(Space::default());
        let (suite, files) = (Suite { limits: limits(), ..suite.clone() }, bundle(files));
        world.evaluator.open(&suite, &files, space, Profile::Reduced, 1).await.unwrap()
    };
    let text = "kind = \"cases\"\nargv = [\"python3\", \"agent.py\"]\ncases = \"c\"\n";
    let case = "{\"input\": \"\", \"expected\": \"well\"}";
    let cases = open(&config::parse(text).unwrap(), &[("c", case)]).await;
    let function = open(&python(limits()), &[("evaluator.py", RUN)]).await;
    let script = "test \"$(darwin-run python3 agent.py)\" = well && echo '{\"score\": 1}'";
    let argv = ["sh", "-c", script].map(str::to_owned).to_vec();
    let method = Method::Command { argv, build: None };
    let suite = Suite { objectives: vec![objective("score")], ..Suite::new("test", method) };
    let command = open(&suite, &[]).await;
    for bench in [&cases, &function, &command] {
        let evaluation = bench.evaluate(&program(LEAVE), 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        let rooms = fs::read_dir(world.scratch.path()).unwrap().flatten();
        let places = rooms.filter_map(|room| fs::read_dir(room.path().join("tmp")).ok());
        let left: Vec<_> = places.flatten().map(|one| one.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    for bench in [cases, function, command] {
        bench.close().await;
    }
    assert_eq!(fs::read_dir(world.scratch.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn this_machine_has_every_mandatory_layer() {
    let layers = World::new().evaluator.layers().await;
    let missing: Vec<_> =
        layers.iter().filter(|layer| layer.mandatory && layer.state.is_err()).collect();
    assert!(missing.is_empty() && layers.len() == 9, "{missing:?}");
}
