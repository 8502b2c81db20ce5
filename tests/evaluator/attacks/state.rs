//! What is left for the next candidate: nothing of any kind.

use super::*;

/// Leaves a mark wherever one can be left.
const LEAVE: &str = r"
import builtins, decimal, fcntl, gc, os, random, resource, signal, socket, subprocess, sys, time
def tried(*functions):
    for function in functions:
        try: function()
        except OSError: pass
def write(path):
    with open(path, 'w') as file: file.write('mark')
builtins.mark = 1
sys.modules['mark'] = sys
sys.path.append('/mark')
sys.meta_path.append(type('mark', (), {'find_spec': lambda *_: None})())
sys.setrecursionlimit(765)
sys.stdout.mark = 1
os.environ['MARK'] = '1'
decimal.getcontext().prec = 7
time.gmtime = None
gc.disable()
os.umask(0o123)
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_NOFILE, (77, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
os.setpriority(os.PRIO_PROCESS, 0, 7)
held = os.open(__file__, os.O_RDONLY)
os.dup2(held, 55)
tried(lambda: write('/tmp/darwin-mark'), lambda: write('/dev/shm/darwin-mark'),
      lambda: write(os.path.expanduser('~/darwin-mark')))
left = socket.socket(socket.AF_UNIX)
left.bind('\0darwin-mark')
left.listen()
sleeper = subprocess.Popen(['sleep', '4321'], start_new_session=True, pass_fds=[left.fileno()],
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
def shown():
    while '4321' not in open('/proc/%d/cmdline' % sleeper.pid).read(): time.sleep(0.01)
tried(shown)
";

/// Names the marks that are found.
const PROBE: &str = r"
def probe():
    import builtins, decimal, gc, glob, os, resource, signal, socket, sys, time
    def is_open(fd):
        try: return os.fstat(fd) is not None
        except OSError: return False
    def listens():
        with socket.socket(socket.AF_UNIX) as there: return there.connect_ex('\0darwin-mark') == 0
    def line(pid):
        try:
            with open('/proc/%s/cmdline' % pid) as file: return file.read()
        except OSError: return ''
    mask = os.umask(0)
    os.umask(mask)
    marks = {
        'builtins': hasattr(builtins, 'mark'), 'modules': 'mark' in sys.modules,
        'path': '/mark' in sys.path, 'hooks': any(type(one).__name__ == 'mark' for one in sys.meta_path),
        'recursion': sys.getrecursionlimit() == 765, 'stdout': hasattr(sys.stdout, 'mark'),
        'environment': 'MARK' in os.environ, 'decimal': decimal.getcontext().prec == 7,
        'time': time.gmtime is None, 'collector': not gc.isenabled(), 'umask': mask == 0o123,
        'signal': signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN,
        'limit': resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 77,
        'priority': os.getpriority(os.PRIO_PROCESS, 0) == 7, 'descriptor': is_open(55),
        'file': os.path.exists('/tmp/darwin-mark'), 'shared': os.path.exists('/dev/shm/darwin-mark'),
        'home': os.path.exists(os.path.expanduser('~/darwin-mark')), 'socket': listens(),
        'process': any('4321' in line(pid) for pid in os.listdir('/proc') if pid.isdigit()),
    }
    return [name for name in marks if marks[name]]
";
/// How many marks there are.
const MARKS: usize = 20;

#[tokio::test]
async fn nothing_that_one_leaves_is_there_for_the_next() {
    let leave = format!("{LEAVE}\nscore = 1.0");
    let print = format!("{PROBE}\nprint(' '.join(probe()) or 'nothing')");
    // The control: in one process, as evaluators are run elsewhere, all of it is.
    let dir = TempDir::new().unwrap();
    let end = "
sleeper.kill()
for path in ('/tmp/darwin-mark', '/dev/shm/darwin-mark', os.path.expanduser('~/darwin-mark')):
    if os.path.exists(path): os.unlink(path)";
    fs::write(dir.path().join("agent.py"), format!("{leave}\n{print}\n{end}")).unwrap();
    let output = plain(dir.path(), &["python3", "agent.py"]);
    let found = String::from_utf8_lossy(&output.stdout);
    assert_eq!(found.split_whitespace().count(), MARKS, "{output:?}");

    let world = World::new();
    let evaluator = format!(
        "{PROBE}
import runpy
def evaluate(path):
    before = probe()
    return {{'combined_score': runpy.run_path(path)['score'], 'before': ' '.join(before)}}"
    );
    let bench = world.python(&evaluator).await.unwrap();
    for text in [&leave, "score = 1.0", &leave, &leave] {
        let evaluation = bench.evaluate(&program(text), 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        let before = format!("{:?}", evaluation.metrics["before"]);
        assert_eq!(before, "Text(\"\")");
    }
    bench.close().await;

    let text = "kind = \"cases\"\nargv = [\"python3\", \"agent.py\"]\ncases = \"c\"\n";
    let suite = darwin::config::suite::parse(text).unwrap();
    let case = "{\"input\": \"\", \"expected\": \"nothing\"}";
    let cases = world.open(&Suite { limits: limits(), ..suite }, &[("c", case)]).await.unwrap();
    let score = "
import json, subprocess
done = subprocess.run(['darwin-run', 'python3', 'agent.py'], capture_output=True, text=True)
print(json.dumps({'score': float(done.stdout == 'nothing\\n'), 'said': done.stdout + done.stderr}))";
    let argv = ["python3", "{suite}/score.py"].map(str::to_owned).to_vec();
    let suite = Suite {
        objectives: vec![objective("score")],
        limits: limits(),
        ..Suite::new("test", Method::Command { argv, build: None })
    };
    let command = world.open(&suite, &[("score.py", score)]).await.unwrap();
    for bench in [&cases, &command] {
        for (text, score) in [(&leave, 0.0), (&print, 1.0), (&leave, 0.0), (&print, 1.0)] {
            let evaluation = bench.evaluate(&program(text), 0).await.unwrap();
            assert_eq!(evaluation.scores, Ok(vec![score]), "{evaluation:?}");
        }
    }
    cases.close().await;
    command.close().await;
}

/// An evaluator that keeps a file open, whose position all its forks share.
const READER: &str = "
import os, runpy
table = os.open(os.path.join(os.path.dirname(__file__), 'table'), os.O_RDONLY)
def evaluate(path):
    first = os.read(table, 3)
    return {'combined_score': runpy.run_path(path, {'table': table})['score'], 'first': first.decode()}
";

#[tokio::test]
async fn a_file_that_the_evaluator_holds_open_stands_where_it_stood() {
    let move_it = "
import fcntl, os
os.lseek(table, 7, os.SEEK_SET)
fcntl.fcntl(table, fcntl.F_SETFL, os.O_NONBLOCK | os.O_APPEND)
score = 1.0";
    // The control: of forks of one process the next one reads elsewhere.
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("table"), "one two three").unwrap();
    fs::write(dir.path().join("move.py"), move_it).unwrap();
    let fork = "
for turn in range(2):
    if os.fork() == 0: print(evaluate('move.py')['first'], flush=True); os._exit(0)
    os.wait()";
    fs::write(dir.path().join("evaluator.py"), format!("{READER}{fork}")).unwrap();
    let output = plain(dir.path(), &["python3", "evaluator.py"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "one\n th\n");
    let world = World::new();
    let files = [("evaluator.py", READER), ("table", "one two three")];
    let bench = world.open(&python(limits()), &files).await.unwrap();
    let flags = "import fcntl\nscore = float(fcntl.fcntl(table, fcntl.F_GETFL) & 0o6000 == 0)";
    for text in [move_it, flags, move_it, flags] {
        let evaluation = bench.evaluate(&program(text), 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        assert_eq!(format!("{:?}", evaluation.metrics["first"]), "Text(\"one\")");
    }
    bench.close().await;
}
