//! Reading what is others', and writing where others read.

use super::*;

attacks! {
    Anyone ssh_keys: r"
worked = FACTS['secret'] in open(os.path.join(FACTS['home'], 'ssh/id_ed25519')).read()";
    Anyone the_daemons_keys: r"
worked = FACTS['secret'] in open(os.path.join(FACTS['home'], 'keys/master.key')).read()";
    Anyone the_daemons_store: r"
worked = FACTS['secret'] in open(os.path.join(FACTS['home'], 'warm.db')).read()";
    Anyone the_home_directory: "worked = os.listdir(FACTS['home'])";
    Anyone the_starters_environment: r"
worked = any(os.environ.get(name) == value for name, value in FACTS['environment'])";
    Anyone the_daemons_environment: r"
worked = len(open('/proc/%d/environ' % FACTS['parent']).read())";
    Anyone the_daemons_memory: "worked = open('/proc/%d/maps' % FACTS['parent']).read()";
    Anyone the_daemons_root: r"
inside = '/proc/%d/root%s/note' % (FACTS['parent'], FACTS['home'])
worked = FACTS['secret'] in open(inside).read()";
    Anyone inherited_descriptors: r"
def held(fd):
    try: return FACTS['secret'].encode() in os.pread(fd, 99, 0)
    except OSError: return False
worked = any(map(held, range(1024)))";
    Anyone what_others_are_called: r"
def line(pid):
    try: return open('/proc/%s/cmdline' % pid).read()
    except OSError: return ''
mine = line(FACTS['parent'])
worked = mine and mine in [line(pid) for pid in os.listdir('/proc') if pid.isdigit()]";
    Anyone the_machines_devices: "worked = os.listdir('/sys/class')";
    Root the_kernels_settings: "worked = open('/proc/sys/vm/swappiness', 'r+')";
    Anyone writing_into_the_home: "worked = open(os.path.join(FACTS['home'], 'x'), 'w')";
    Root writing_into_the_system: r"
path = '/usr/darwin-test-%d' % os.getpid()
worked = open(path, 'w')
os.unlink(path)";
    Root a_device_of_ones_own: r"
os.mknod('memory', 0o20600, os.makedev(1, 1))
worked = os.path.exists('memory')
os.unlink('memory')";
}

#[tokio::test]
async fn the_suite_is_not_written_to() {
    let world = World::new();
    let bench = world.python(RUN).await.unwrap();
    let code = "
import glob, os
score = 0
for path in glob.glob('/suite') + glob.glob('/suite/evaluator.py') + ['/run/darwin/harness.py']:
    try:
        os.rename(path, path + '~')
        score += 1
    except OSError: pass
    try:
        open(path if os.path.isfile(path) else path + '/x', 'a')
        score += 1
    except OSError: pass
assert os.path.exists('/suite/evaluator.py')";
    assert_eq!(bench.evaluate(&program(code), 0).await.unwrap().scores, Ok(vec![0.0]));
    bench.close().await;
    // The control: a plain process changes the same files.
    let suite = TempDir::new().unwrap();
    fs::write(suite.path().join("evaluator.py"), RUN).unwrap();
    let code = code.replace("/suite", &suite.path().display().to_string());
    let code = code.replace("os.rename(path, path + '~')", "os.rename(path, path)");
    fs::write(suite.path().join("agent.py"), format!("{code}\nprint(score)")).unwrap();
    let output = plain(suite.path(), &["python3", "agent.py"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "4\n", "{output:?}");
}

/// Looks for a mark in whatever temporary files there are, for as long as it may take another
/// to leave one.
const SEARCH: &str = "
import glob, os, time
def found():
    for root in ['/tmp'] + glob.glob('/proc/[0-9]*/root/tmp') + glob.glob('/proc/[0-9]*/cwd'):
        for dir, _, files in os.walk(root):
            if MARK in files: return True
    return False
end = time.monotonic() + SECONDS
score = 0.0
while time.monotonic() < end and not score: score = float(found())
";

#[tokio::test]
async fn agents_do_not_see_each_others_files() {
    let world = World::new();
    let bench = world.python(RUN).await.unwrap();
    let mark = format!("mark-{}-of-another", std::process::id());
    let leave = format!("import time\nopen('{mark}', 'w').close()\ntime.sleep(2.0)\nscore = 0.0");
    let search = format!("MARK, SECONDS = '{mark}', 2.0\n{SEARCH}");
    let (left, searching) = (program(&leave), program(&search));
    let (one, other) = tokio::join!(bench.evaluate(&left, 0), bench.evaluate(&searching, 0));
    assert_eq!(one.unwrap().scores, Ok(vec![0.0]));
    assert_eq!(other.unwrap().scores, Ok(vec![0.0]));
    bench.close().await;
    // The control: of plain processes one finds the other's.
    let (one, two) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(one.path().join(&mark), "").unwrap();
    fs::write(two.path().join("agent.py"), format!("{search}\nprint(score)")).unwrap();
    let output = plain(two.path(), &["python3", "agent.py"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "1.0\n", "{output:?}");
}
