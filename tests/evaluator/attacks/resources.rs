//! Taking all there is: processes, memory, disk, time to read what was written.

use super::*;

#[tokio::test]
async fn a_fork_bomb() {
    let code = "
children = []
try:
    while len(children) < 100:
        pid = os.fork()
        if pid == 0:
            signal.pause()
            os._exit(0)
        children.append(pid)
finally:
    for pid in children: os.kill(pid, signal.SIGKILL)
    if len(children) < 100: os._exit(1)
worked = True";
    stopped(code, FailureKind::OverLimit, "32 processes").await;
}

#[tokio::test]
async fn a_bomb_of_threads() {
    let code = "
import threading
threading.stack_size(65536)
over = threading.Event()
try:
    for i in range(100): threading.Thread(target=over.wait, daemon=True).start()
    worked = True
finally:
    over.set()
    if not worked: os._exit(1)";
    stopped(code, FailureKind::OverLimit, "32 processes").await;
}

#[tokio::test]
async fn a_memory_bomb_in_one_process() {
    let code = "
bomb = bytearray(400 << 20)
bomb[::4096] = b'x' * len(bomb[::4096])
worked = True";
    stopped(code, FailureKind::OverLimit, "256 MiB").await;
}

#[tokio::test]
async fn a_memory_bomb_in_many_processes() {
    // Each has less than the limit, and holds it until all have theirs.
    let code = "
full, filled = os.pipe()
children = []
for i in range(8):
    pid = os.fork()
    if pid == 0:
        part = bytearray(50 << 20)
        part[::4096] = b'x' * len(part[::4096])
        os.write(filled, b'.')
        signal.pause()
    children.append(pid)
os.close(filled)
count = 0
while count < 8:
    pid, status = os.waitpid(-1, os.WNOHANG)
    if pid: os._exit(1)
    import select
    if select.select([full], [], [], 0.05)[0]: count += len(os.read(full, 8))
for pid in children: os.kill(pid, signal.SIGKILL)
worked = True";
    stopped(code, FailureKind::OverLimit, "256 MiB").await;
}

#[tokio::test]
async fn a_zip_bomb_that_is_unpacked() {
    let code = "
import zlib
packer = zlib.compressobj(9)
bomb = b''.join([packer.compress(bytes(1 << 20)) for i in range(400)] + [packer.flush()])
assert len(bomb) < 1 << 20
worked = len(zlib.decompress(bomb)) == 400 << 20";
    stopped(code, FailureKind::OverLimit, "256 MiB").await;
}

#[tokio::test]
async fn a_full_disk() {
    let code = "
with open('x', 'wb') as file:
    for i in range(24): file.write(b'x' * (1 << 20))
os.unlink('x')
worked = True";
    // Whether or not the attack catches the error, it got no further.
    contained(Who::Anyone, code).await;
}

#[tokio::test]
async fn a_full_disk_of_many_files_and_of_what_is_called_shared_memory() {
    let code = "
for name in ('x', '/dev/shm/darwin-test-%d' % os.getpid()):
    for i in range(6):
        with open(name + str(i), 'wb') as file: file.write(b'x' * (2 << 20))
for name in ('x', '/dev/shm/darwin-test-%d' % os.getpid()):
    for i in range(6): os.unlink(name + str(i))
worked = True";
    contained(Who::Anyone, code).await;
}

#[tokio::test]
async fn a_disk_without_inodes() {
    let code = "
for i in range(66000): os.symlink('x', str(i))
worked = True
for i in range(66000): os.unlink(str(i))";
    contained(Who::Anyone, code).await;
}

#[tokio::test]
async fn endless_output() {
    let code = "
for i in range(160): os.write(1, b'x' * 65536)
worked = True";
    let bait = Bait::new();
    assert!(bait.outside(code).stdout.len() > 10 << 20);
    for evaluation in
        [bait.as_function(code, limits()).await, bait.as_program(code, limits()).await]
    {
        let kept: usize = evaluation.artifacts.values().map(bytes::Bytes::len).sum();
        assert!(kept <= 64 << 10, "{kept}");
    }
    let failure = failure(bait.as_program(code, limits()).await);
    assert!(failure.reason.contains("64 KiB"), "{failure:?}");
}

/// An evaluator that returns what the candidate calls its result.
const GIVEN: &str = "
import runpy
def evaluate(path): return runpy.run_path(path)['result']
";

#[tokio::test]
async fn deep_results() {
    // The control: a plain reader stumbles over them.
    let print = "print('{\"score\": 1, \"deep\": ' + '[' * 200000 + ']' * 200000 + '}')";
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("agent.py"), print).unwrap();
    let read = "python3 agent.py | python3 -c 'import json, sys; json.load(sys.stdin)'";
    let output = plain(dir.path(), &["sh", "-c", read]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("RecursionError"), "{output:?}");
    let world = World::new();
    let patient = Limits { output_kib: 1024, ..limits() };
    let bench = world.shell("exec python3 agent.py", patient).await;
    let told = bench.evaluate(&program(print), 0).await.unwrap();
    assert_failed(told, FailureKind::BadMetrics, "recursion");
    bench.close().await;
    let bench = world.python(GIVEN).await.unwrap();
    let deep = "
result = {'combined_score': 1, 'deep': None}
for i in range(50000): result['deep'] = [result['deep']]";
    let told = bench.evaluate(&program(deep), 0).await.unwrap();
    assert_failed(told, FailureKind::Crashed, "RecursionError");
    let next = bench.evaluate(&program("result = {'combined_score': 2}"), 0).await.unwrap();
    assert_eq!(next.scores, Ok(vec![2.0]));
    bench.close().await;
}

/// Makes of a tree what a careless reader does not get to the end of.
const TREES: [(&str, &str); 3] = [
    ("for i in range(3000): os.mkdir('d'); os.chdir('d')", "deep"),
    ("for i in range(11000): open('f%d' % i, 'w').close()", "more than 10000"),
    ("open('large', 'w').truncate(100 << 20)", "64 MiB"),
];

#[tokio::test]
async fn deep_and_huge_trees_of_results() {
    // What a build leaves is the one tree that is collected.
    let text = "kind = \"cases\"\nargv = [\"true\"]\ncases = \"c\"\n\
                [build]\nargv = [\"python3\", \"build.py\"]\n";
    let suite = darwin::config::suite::parse(text).unwrap();
    let world = World::new();
    let case = "{\"input\": \"\", \"expected\": \"\"}";
    let bench = world.open(&suite, &[("c", case)]).await.unwrap();
    for (make, said) in TREES {
        let make = format!("import os\n{make}");
        let told = bench.evaluate(&genome(&[("build.py", &make)]), 0).await.unwrap();
        assert_failed(told, FailureKind::BadMetrics, said);
        let fine = bench.evaluate(&genome(&[("build.py", "")]), 0).await.unwrap();
        assert_eq!(fine.scores, Ok(vec![1.0]), "after {make}");
        // The control: who collects it without bounds has too much of it, or fails.
        let dir = TempDir::new().unwrap();
        let collect = "
import os, sys
def collect(path):
    if os.path.isfile(path): return [len(open(path, 'rb').read())]
    return [size for name in os.listdir(path) for size in collect(path + '/' + name)]
sizes = collect('.')
print(len(sizes) > 10000 or sum(sizes) > 64 << 20)";
        let made = plain(dir.path(), &["python3", "-c", &make]);
        assert!(made.status.success(), "{made:?}");
        let output = plain(dir.path(), &["python3", "-c", collect]);
        let (all, failed) = (&output.stdout[..] == b"True\n", !output.status.success());
        assert!(all || failed, "{make}: {output:?}");
        assert!(plain(dir.path(), &["rm", "-rf", "d"]).status.success());
    }
    bench.close().await;
}

#[tokio::test]
async fn huge_results() {
    let world = World::new();
    let bench = world.python(GIVEN).await.unwrap();
    for huge in [
        "result = {str(i): 'x' * 100 for i in range(100000)}",
        "result = {'combined_score': 1, 'word': 'x' * (50 << 20)}",
        "result = {'combined_score': 1, 'x' * (50 << 20): 1}",
        "import types
result = types.SimpleNamespace(metrics={'combined_score': 1},
                               artifacts={str(i): b'x' * (1 << 20) for i in range(50)})",
    ] {
        // The control: a plain reader would have all of it.
        let dir = TempDir::new().unwrap();
        let whole = plain(dir.path(), &["python3", "-c", &format!("{huge}\nprint(repr(result))")]);
        assert!(whole.stdout.len() > 10 << 20);
        let evaluation = bench.evaluate(&program(huge), 0).await.unwrap();
        let kept: usize = evaluation.artifacts.values().map(bytes::Bytes::len).sum();
        assert!(kept <= 64 << 10 && evaluation.metrics.len() <= 1000, "{huge}: {kept}");
        assert!(format!("{:?}", evaluation.metrics).len() < 1 << 20, "{huge}");
    }
    bench.close().await;
}

/// Of each way to pack: what packs so many MiB, and what unpacks them.
const PACKERS: [(&str, u64, &str); 2] = [("bomb.zip", 40, ZIP), ("bomb.lz4", 10, LZ4)];
const ZIP: &str = "
import io, zipfile
def pack(size):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w', zipfile.ZIP_DEFLATED) as file: file.writestr('x', bytes(size))
    return packed.getvalue()
def unpack(packed): return zipfile.ZipFile(io.BytesIO(packed)).read('x')
";
/// A block of LZ4: sequences of letters, how far back to go, and how many to repeat from there.
const LZ4: &str = "
def pack(size):
    rest = size - 20
    return b'\\x1fx\\x01\\0' + b'\\xff' * (rest // 255) + bytes([rest % 255])
def unpack(packed):
    out, at = bytearray(), 0
    def length(known):
        nonlocal at
        more = 255 if known == 15 else 0
        while more == 255:
            more = packed[at]
            at, known = at + 1, known + more
        return known
    while at < len(packed):
        token = packed[at]
        at += 1
        letters = length(token >> 4)
        out += packed[at:at + letters]
        at += letters
        if at < len(packed):
            back = packed[at] + 256 * packed[at + 1]
            at += 2
            repeated = length(token & 15) + 4
            out += (out[-back:] * (repeated // back + 1))[:repeated]
    return out
";

#[tokio::test]
async fn an_lz4_bomb_that_is_unpacked() {
    let code = format!("{LZ4}\nworked = len(unpack(pack(400 << 20))) == 400 << 20");
    stopped(&code, FailureKind::OverLimit, "256 MiB").await;
}

#[tokio::test]
async fn bombs_among_the_artefacts_stay_packed() {
    for (name, mib, packer) in PACKERS {
        let text = format!(
            "{packer}
def evaluate(path):
    bomb = pack({mib} << 20)
    return type('Result', (), {{'metrics': {{'combined_score': len(bomb)}},
                               'artifacts': {{{name:?}: bomb}}}})()"
        );
        let world = World::new();
        let bench = world.python(&text).await.unwrap();
        let evaluation = bench.evaluate(&program(""), 0).await.unwrap();
        let bomb = &evaluation.artifacts[name];
        assert_eq!(evaluation.scores, Ok(vec![bomb.len() as f64]));
        assert!(bomb.len() < 64 << 10, "{}", bomb.len());
        bench.close().await;
        // The control: who unpacks it has all of it.
        let dir = TempDir::new().unwrap();
        fs::write(dir.path().join(name), bomb).unwrap();
        let unpack = format!("{packer}\nprint(len(unpack(open({name:?}, 'rb').read())) >> 20)");
        let output = plain(dir.path(), &["python3", "-c", &unpack]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{mib}\n"), "{output:?}");
    }
}

#[tokio::test]
async fn ten_gigabytes_of_output() {
    let code = "
block = b'x' * (1 << 20)
for i in range(10 << 10):
    rest = memoryview(block)
    while rest: rest = rest[os.write(1, rest):]
worked = True";
    let bait = Bait::new();
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("agent.py"), bait.program(code)).unwrap();
    // The control: who reads a plain process's output gets all of it.
    let output = plain(dir.path(), &["sh", "-c", "python3 agent.py | wc -c"]);
    let count: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert!(count > 10 << 30, "{output:?}");
    let patient = Limits { time: 300.0, ..limits() };
    let function = bait.as_function(code, patient.clone()).await;
    assert_eq!(function.scores, Ok(vec![1.0]), "{function:?}");
    let program = bait.as_program(code, patient.clone()).await;
    let answer = bait.as_answer(code, patient).await;
    for evaluation in [&function, &program, &answer] {
        let kept: usize = evaluation.artifacts.values().map(bytes::Bytes::len).sum();
        assert!(kept <= 64 << 10, "{kept}");
    }
    assert_failed(program, FailureKind::BadMetrics, "64 KiB");
    assert!(cases::log(&answer)[0]["why"].as_str().unwrap().contains("64 KiB"), "{answer:?}");
}
