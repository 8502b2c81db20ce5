//! Scorer and candidate apart: what is expected is nowhere in a candidate's reach, what it
//! prints is no result, and `darwin-run` gives it a place of its own.

use darwin::config::suite as config;

use super::{cases::log, *};

/// Prints where `NEEDLE` is found: in all files, environments, other processes, descriptors.
const SEARCH: &str = r"
import os, stat, sys, time
found = []
def look(path):
    try:
        status = os.stat(path)
        # A pipe could make this wait, and the system's own files are old.
        if stat.S_ISREG(status.st_mode) and (path.startswith('/proc') or status.st_mtime > time.time() - 3600):
            with open(path, 'rb') as file:
                if NEEDLE.encode() in file.read(1 << 24):
                    found.append(path)
    except OSError:
        pass
for directory, inner, files in os.walk('/'):
    if directory == '/':
        inner[:] = [name for name in inner if name not in ('proc', 'sys')]
    for name in files:
        look(os.path.join(directory, name))
if NEEDLE in repr(os.environ) + repr(sys.argv):
    found.append('environment')
for pid in filter(str.isdigit, os.listdir('/proc')):
    for name in ['environ', 'cmdline'] + ['fd/%d' % fd for fd in range(64)]:
        look('/proc/%s/%s' % (pid, name))
    if int(pid) == os.getpid():
        continue
    try:
        with open('/proc/%s/maps' % pid) as maps, open('/proc/%s/mem' % pid, 'rb', 0) as memory:
            for line in maps:
                start, end = (int(part, 16) for part in line.split()[0].split('-'))
                memory.seek(start)
                if NEEDLE.encode() in memory.read(min(end - start, 1 << 24)):
                    found.append('memory of ' + pid)
    except (OSError, ValueError):
        pass
";

/// The search for a text that no file of the agent holds in one piece.
fn search(needle: &str) -> String {
    let (start, end) = needle.split_at(needle.len() / 2);
    format!("NEEDLE = {start:?} + {end:?}\n{SEARCH}")
}

/// A text that is nowhere on this machine.
fn needle() -> String {
    format!("needle-{}-{}", std::process::id(), line!())
}

#[tokio::test]
async fn a_candidate_finds_the_expected_answers_in_a_python_suite_and_in_no_other() {
    let world = World::new();
    let needle = needle();
    let found = format!("{}print(*(found or ['nothing']))", search(&needle));

    // The control: where the evaluator loads the candidate, the search does find.
    let evaluator = format!(
        "EXPECTED = {needle:?}
import contextlib, io, runpy
def evaluate(path):
    out = io.StringIO()
    with contextlib.redirect_stdout(out): runpy.run_path(path)
    return {{'combined_score': 1, 'found': out.getvalue()}}"
    );
    let bench = world.python(&evaluator).await.unwrap();
    let evaluation = bench.evaluate(&program(&found), 0).await.unwrap();
    let text = format!("{:?}", evaluation.metrics["found"]);
    assert!(text.contains("/suite/evaluator.py") && evaluation.in_process, "{text}");
    bench.close().await;

    // A control of the rest of the search: the same in a `command` scorer's own place.
    let environment = "import os, subprocess, sys
done = subprocess.run([sys.executable, 'agent.py'], env={'LEFT': open('/suite/secret').read()},
                      capture_output=True, text=True)
sys.exit(done.stdout + done.stderr)";
    let files = [("score.py", environment), ("secret", &*needle)];
    let bench = world.open(&command(limits()), &files).await.unwrap();
    let evaluation = bench.evaluate(&program(&found), 0).await.unwrap();
    let text = failure(evaluation).reason;
    for place in ["/suite/secret", "environment", "/proc/"] {
        assert!(text.contains(place), "{place}: {text}");
    }
    bench.close().await;

    for protocol in ["stdio", "json-rpc"] {
        let main = if protocol == "stdio" {
            found.clone()
        } else {
            let answer =
                "print(json.dumps({'jsonrpc': '2.0', 'id': 1, 'result': found or 'nothing'}))";
            format!("import json\ninput()\n{}{answer}", search(&needle))
        };
        let text = format!(
            "kind = \"cases\"\nargv = [\"python3\", \"main.py\"]\ncases = \"cases.jsonl\"\n\
             held_out = \"hidden.jsonl\"\nprotocol = {protocol:?}\n"
        );
        let judge = "{\"input\": 1, \"expected\": 1, \"check\": {\"kind\": \"command\", \"argv\": [\"cat\"]}}";
        let files = [
            ("cases.jsonl", format!("{{\"input\": \"go\", \"expected\": {needle:?}}}\n{judge}")),
            ("hidden.jsonl", format!("{{\"input\": \"go\", \"expected\": {needle:?}}}")),
            ("judge.txt", needle.clone()),
        ];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        let bench = world.open(&config::parse(&text).unwrap(), &files).await.unwrap();
        let evaluation = bench.evaluate(&genome(&[("main.py", &main)]), 0).await.unwrap();
        let log = log(&evaluation);
        let output = log[0]["output"].as_str().unwrap();
        assert!(output.contains("nothing") && !evaluation.in_process, "{protocol}: {log:?}");
        bench.close().await;
    }

    // And where a scorer has it run by `darwin-run`.
    let score = "import subprocess, sys
done = subprocess.run(['darwin-run', 'python3', 'agent.py'], stdin=subprocess.DEVNULL,
                      env={'PATH': __import__('os').environ['PATH'], 'LEFT': open('/suite/secret').read()},
                      capture_output=True, text=True)
sys.exit(done.stdout + done.stderr)";
    let files = [("score.py", score), ("secret", &*needle)];
    let bench = world.open(&command(limits()), &files).await.unwrap();
    let evaluation = bench.evaluate(&program(&found), 0).await.unwrap();
    let reason = failure(evaluation).reason;
    assert!(reason.ends_with(": nothing"), "{reason}");
    bench.close().await;
}

#[tokio::test]
async fn nothing_of_held_out_cases_is_shown() {
    let world = World::new();
    let (input, expected) = ("HELD-INPUT", "HELD-EXPECTED");
    let public = "{\"id\": \"open\", \"input\": \"open-input\", \"expected\": \"x\"}\n".to_owned();
    let hidden = format!(
        "{{\"id\": \"HELD-ID\", \"input\": {input:?}, \"expected\": {expected:?}, \"held_out\": true}}\n"
    );
    // Both stand first, so that a program that remembers has seen them if they come first.
    let cases = format!("{hidden}{public}{hidden}").replacen("HELD-ID", "HELD-FIRST", 1);
    let remember = "
import glob, os, sys
text = sys.stdin.read()
open('/tmp/seen-%d' % os.getpid(), 'w').write(text)
seen = [open(path).read() for path in glob.glob('/tmp/seen-*')]
print(seen)
print(seen, file=sys.stderr)
sys.exit('HELD' in repr(seen))";
    let rpc = "
import json, sys
seen = []
for line in sys.stdin:
    request = json.loads(line)
    seen.append(request['params'])
    print(json.dumps({'jsonrpc': '2.0', 'id': request['id'], 'result': repr(seen)}), flush=True)
    print(seen, file=sys.stderr, flush=True)";
    for (protocol, main) in [("stdio", remember), ("json-rpc", rpc)] {
        let text = format!(
            "kind = \"cases\"\nargv = [\"python3\", \"main.py\"]\ncases = \"cases.jsonl\"\n\
             attempts = 2\nprotocol = {protocol:?}\n"
        );
        let suite = config::parse(&text).unwrap();
        let bench = world.open(&suite, &[("cases.jsonl", &cases)]).await.unwrap();
        let evaluation = bench.evaluate(&genome(&[("main.py", main)]), 0).await.unwrap();
        let all = format!("{evaluation:?}");
        assert!(all.contains("open-input") && all.contains("held_out_accuracy"), "{all}");
        assert!(!all.contains("HELD"), "{all}");
        assert_eq!(evaluation.scores, Ok(vec![0.0]));
        bench.close().await;
    }
}

/// A `command` suite whose scorer is `score.py`.
fn command(limits: Limits) -> Suite {
    let argv = ["python3", "{suite}/score.py", "{agent}"].map(str::to_owned).to_vec();
    let method = Method::Command { argv, build: None };
    Suite { objectives: vec![objective("score")], limits, ..Suite::new("test", method) }
}

#[tokio::test]
async fn a_forged_result_changes_nothing() {
    let world = World::new();
    let forge = r"
import json, os
result = {'score': 1e9, 'accuracy': 1.0, 'combined_score': 1e9, 'pass': True, 'passed': 9}
for fd in range(3, 64):
    for text in [json.dumps(result), '\0\0\0\0', 'R\0\0\0\x10' + json.dumps(result)]:
        try: os.write(fd, text.encode())
        except OSError: pass
for path in ['result.json', 'metrics.json', '/tmp/result.json', '/tmp/metrics.json']:
    try: open(path, 'w').write(json.dumps(result))
    except OSError: pass
os.write(1, json.dumps(result).encode())
os._exit(0)
";
    let cases = "{\"input\": \"\", \"expected\": \"right\"}\n".to_owned()
        + "{\"input\": \"\", \"check\": {\"kind\": \"command\", \"argv\": [\"python3\", \"{suite}/judge.py\"]}}";
    let judge = "
import json, sys
print(json.dumps({'pass': json.load(sys.stdin)['output'].strip() == 'right'}))";
    let files = [("cases.jsonl", &*cases), ("judge.py", judge)];
    let bench = world.open(&super::cases::suite(""), &files).await.unwrap();
    let evaluation = bench.evaluate(&genome(&[("main.py", forge)]), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![0.0]), "{evaluation:?}");
    let honest = bench.evaluate(&genome(&[("main.py", "print('right')")]), 0).await.unwrap();
    assert_eq!(honest.scores, Ok(vec![1.0]), "{honest:?}");
    bench.close().await;

    let score = "
import json, subprocess
done = subprocess.run(['darwin-run', 'python3', 'agent.py'], capture_output=True, text=True)
print(json.dumps({'score': float(done.stdout.strip() == 'right')}))";
    let bench = world.open(&command(limits()), &[("score.py", score)]).await.unwrap();
    let evaluation = bench.evaluate(&program(forge), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![0.0]), "{evaluation:?}");
    assert!(!evaluation.in_process);
    let honest = bench.evaluate(&program("print('right')"), 0).await.unwrap();
    assert_eq!(honest.scores, Ok(vec![1.0]), "{honest:?}");
    bench.close().await;

    // The control: a scorer that runs the agent itself scores the honest one alike, and the same
    // forgery as it wants.
    let own = "
import contextlib, io, json, runpy
with contextlib.redirect_stdout(io.StringIO()) as said: runpy.run_path('agent.py')
print(json.dumps({'score': float(said.getvalue().strip() == 'right')}))";
    let bench = world.open(&command(limits()), &[("score.py", own)]).await.unwrap();
    let evaluation = bench.evaluate(&program(forge), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1e9]), "{evaluation:?}");
    let honest = bench.evaluate(&program("print('right')"), 0).await.unwrap();
    assert_eq!(honest.scores, Ok(vec![1.0]), "{honest:?}");
    bench.close().await;
}

/// Evaluates an agent of one file with a scorer that must print `{"score": 1}`.
async fn scored(score: &str, agent: &str) {
    let world = World::new();
    let limits = Limits { time: 30.0, ..limits() };
    let head = "
import json, os, signal, socket, subprocess, sys, threading, time
def run(*argv, **more):
    return subprocess.run(['darwin-run', *argv], capture_output=True, text=True, **more)
";
    let text = format!("{head}{score}\nprint('{{\"score\": 1}}')");
    let bench = world.open(&command(limits), &[("score.py", &*text)]).await.unwrap();
    let evaluation = bench.evaluate(&program(agent), 7).await.unwrap();
    let errors = evaluation.artifacts.get("stderr").map(|text| String::from_utf8_lossy(text));
    assert_eq!(evaluation.scores, Ok(vec![1.0]), "{}", errors.unwrap_or_default());
    bench.close().await;
}

#[tokio::test]
async fn a_run_has_the_streams_and_the_status_of_its_caller() {
    scored(
        r#"
done = run('sh', '-c', 'cat; echo "$1" "$DARWIN_SEED" "$PWD" >&2; exit 7', 'sh', 'a "b" é\n', input='in')
assert (done.returncode, done.stdout, done.stderr) == (7, 'in', 'a "b" é\n 7 /tmp/agent\n'), done
assert run('sh', '-c', 'kill -11 $$').returncode == 128 + 11
assert run('./nowhere').returncode == 127
# Both names lead to it, and it is asked in vain without a program.
assert subprocess.run([os.environ['DARWIN_RUN'], 'true']).returncode == 0
assert subprocess.run(['darwin-run']).returncode == 125
# Much at once, and a pipe that ends when its writer does.
large = run('cat', input='x' * (1 << 20)).stdout
assert len(large) == 1 << 20
callers = [subprocess.Popen(['darwin-run', 'sh', '-c', 'cat'], stdin=subprocess.PIPE) for _ in range(6)]
for caller in callers:
    caller.stdin.close()
assert [caller.wait() for caller in callers] == [0] * 6
"#,
        "",
    )
    .await;
}

#[tokio::test]
async fn a_run_is_in_a_place_of_its_own() {
    scored(
        r"
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(('127.0.0.1', 0))
name = socket.socket(socket.AF_UNIX)
name.bind('\0name')
name.listen()
open('/tmp/mine', 'w').close()
for round in range(2):
    done = run('python3', 'agent.py', str(server.getsockname()[1]), str(os.getpid()))
    assert done.stdout == 'well\n' and not done.stderr, done
# The agent's files are data here: neither this program nor a run changes them.
assert os.listdir('.') == ['agent.py']
try:
    open('agent.py', 'w')
    raise SystemExit('wrote into the agent')
except OSError:
    pass
",
        r"
import os, socket, sys
assert not os.path.exists('/suite/score.py') and not os.listdir('/suite')
assert not os.listdir('/run/darwin'), os.listdir('/run/darwin')
assert 'DARWIN_RUN' not in os.environ and 'darwin' not in os.environ['PATH']
# Its own files only, and fresh ones; itself the second process.
assert os.listdir('/tmp') == ['agent'] and os.listdir('.') == ['agent.py']
open('left', 'w').close()
assert os.getpid() == 2 or not os.path.exists('/proc/self')
for kind, address in [
    ((socket.AF_INET, socket.SOCK_DGRAM), ('127.0.0.1', int(sys.argv[1]))),
    ((socket.AF_UNIX, socket.SOCK_STREAM), '\0name'),
]:
    with socket.socket(*kind) as there:
        try:
            there.connect(address)
            raise SystemExit('reached ' + repr(address))
        except OSError:
            pass
for fd in range(3, 64):
    try:
        os.fstat(fd)
        raise SystemExit('has descriptor %d' % fd)
    except OSError:
        pass
print('well')
",
    )
    .await;
}

#[tokio::test]
async fn a_run_ends_with_its_caller_and_no_directory_gets_through() {
    scored(
        r"
# One that is killed takes what it had run with it: its end of the pipe closes.
read, write = os.pipe()
caller = subprocess.Popen(['darwin-run', 'sh', '-c', 'echo up; exec sleep 99'], stdout=write)
os.close(write)
assert os.read(read, 9) == b'up\n'
caller.kill()
assert os.read(read, 9) == b''
# A directory would be a way to everything beside it.
inside = os.open('/suite', os.O_RDONLY)
assert run('true', stdin=inside).returncode == 125
inside = os.open('/suite/score.py', os.O_PATH)
assert run('true', stdin=inside).returncode == 125
assert run('true', stdin=open('/suite/score.py')).returncode == 0
# Rubbish in the socket, and callers who never say a word, are in nobody's way.
silent = []
for text in [b'', b'x', b'x' * 65536, None]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as there:
        there.connect('/run/darwin/run.socket')
        if text is None:
            silent.append(os.dup(there.fileno()))
        else:
            there.send(text)
            assert there.recv(9) == b''
assert run('echo', 'well').stdout == 'well\n'
",
        "",
    )
    .await;
}

#[tokio::test]
async fn nothing_of_a_run_outlives_its_scorer() {
    let world = World::new();
    let score = "
import subprocess
caller = subprocess.Popen(['darwin-run', 'sh', '-c', 'setsid sleep 6543 & echo up; sleep 6543'],
                          stdout=subprocess.PIPE)
caller.stdout.readline()
print('{\"score\": 1}')";
    let bench = world.open(&command(limits()), &[("score.py", score)]).await.unwrap();
    for _ in 0..2 {
        let evaluation = bench.evaluate(&program(""), 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        assert!(!processes().iter().any(|(pid, _)| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.contains("6543"))
        }));
    }
    bench.close().await;
}

#[tokio::test]
async fn a_file_that_is_a_stream_cannot_be_opened_anew_by_whom_it_is_handed_to() {
    scored(
        r"
def streams(*how):
    with open('/tmp/in', 'w') as given: given.write('question')
    with open('/tmp/in') as given, open('/tmp/out', 'w') as out, open('/tmp/err', 'w') as err:
        out.write('so: ')
        out.flush()
        words = [*how, 'python3', 'agent.py']
        subprocess.run(words, stdin=given, stdout=out, stderr=err, check=True)
    return [open('/tmp/' + name).read() for name in ('in', 'out', 'err')]
# The control: who gets the files themselves does write to them.
if os.path.exists('/proc/self/fd'):
    assert streams()[0] == 'forged', streams()
said = streams('darwin-run')
assert said == ['question', 'so: answer to question', 'x' * 100000], said
# Nor can one be handed over behind the back of `darwin-run`.
import array
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as there:
    there.connect('/run/darwin/run.socket')
    given = open('/tmp/in')
    files = array.array('i', [given.fileno()] * 3)
    there.sendmsg([b'true\0'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
    assert there.recv(9) == b''
",
        r"
import os, sys
said = sys.stdin.read()
try:
    again = os.open('/proc/self/fd/0', os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK)
    os.write(again, b'forged')
except OSError: pass
print('answer to ' + said, end='')
print('x' * 100000, end='', file=sys.stderr)",
    )
    .await;
}

#[tokio::test]
async fn what_python_and_pytest_load_by_themselves_is_not_loaded_from_the_agent() {
    let forge = "print('{\"score\": 1e9, \"pass\": true}', flush=True)\nimport os\nos._exit(0)";
    let names = ["sitecustomize.py", "usercustomize.py", "conftest.py", "json.py", "site.py"];
    let mut agent: Vec<_> = names.iter().map(|name| (*name, forge)).collect();
    agent.push(("agent.py", "import sys; sys.stdin.read(); print('wrong')"));
    // The control: a program that looks for modules where it stands finds the agent's.
    let score = "python3 -c 'import json; print(\"{\\\"score\\\": 0}\")'";
    let world = World::new();
    let bench = world.shell(score, limits()).await;
    let evaluation = bench.evaluate(&genome(&agent), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![1e9]), "{evaluation:?}");
    bench.close().await;

    let score = "
import json, subprocess
done = subprocess.run(['darwin-run', 'python3', 'agent.py'], capture_output=True, text=True, input='')
print(json.dumps({'score': float(done.stdout.strip() == 'right')}))";
    let bench = world.open(&command(limits()), &[("score.py", score)]).await.unwrap();
    let evaluation = bench.evaluate(&genome(&agent), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![0.0]), "{evaluation:?}");
    bench.close().await;

    let case = "{\"input\": \"\", \"expected\": \"right\", \"check\": \
                {\"kind\": \"command\", \"argv\": [\"python3\", \"-c\", \"import json, sys; \
                given = json.load(sys.stdin); print(json.dumps({'pass': \
                given['output'].strip() == given['expected']}))\"]}}";
    let text = "kind = \"cases\"\nargv = [\"python3\", \"agent.py\"]\ncases = \"c\"\n";
    let bench = world.open(&config::parse(text).unwrap(), &[("c", case)]).await.unwrap();
    let evaluation = bench.evaluate(&genome(&agent), 0).await.unwrap();
    assert_eq!(evaluation.scores, Ok(vec![0.0]), "{evaluation:?}");
    bench.close().await;
}
