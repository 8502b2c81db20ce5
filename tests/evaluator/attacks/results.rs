//! What a candidate reports, and what it leaves where results might be looked for.

use super::*;

#[tokio::test]
async fn links_in_the_place_of_results_lead_nowhere() {
    let code = "
names = ['metrics.json', 'result.json', 'correct.json', 'stdout', 'stderr', 'agent.py']
for name in names:
    for place in ('.', '/tmp'):
        try: os.unlink(os.path.join(place, name))
        except OSError: pass
        target = os.path.join(FACTS['home'], 'note')
        try: os.link(target, os.path.join(place, name))
        except OSError: os.symlink(target, os.path.join(place, name))
worked = True";
    let code = code.replace("'/tmp'", "'..'");
    let bait = Bait::new();
    // The control: who reads the result without a sandbox reads the secret.
    assert!(bait.works_outside(&code).0);
    let read = fs::read_to_string(bait.home.path().join("outside/result.json")).unwrap();
    assert_eq!(read, bait.secret);
    for evaluation in
        [bait.as_function(&code, limits()).await, bait.as_program(&code, limits()).await]
    {
        assert_eq!(evaluation.scores, Ok(vec![1.0]));
        let all = format!("{:?}{:?}", evaluation.metrics, evaluation.artifacts);
        assert!(!all.contains(&bait.secret), "{all}");
    }
}

/// Puts links in the place of results and results in the place of links, without end.
pub const SWAP: &str = "
import os
def swap_files():
    while True:
        for name in FINE:
            os.symlink(TARGET + '/' + name, 'new')
            os.rename('new', name)
            with open('new', 'w') as file: file.write(FINE[name])
            os.rename('new', name)
def swap_directories():
    here = os.getcwd()
    os.chdir('..')
    while True:
        os.rename(here, 'real')
        os.symlink(TARGET, here)
        os.unlink(here)
        os.rename('real', here)
";

/// The control of such a race: who looks whether it is a link and then opens it loses, and soon.
/// The files are those that `FINE` has, with what each holds and what the link leads to; `mark`
/// is in the latter of the first.
pub fn loses_to_a_swap(files: &[(&str, &str, &str)], mark: &str) {
    let dir = TempDir::new().unwrap();
    let (target, results) = (dir.path().join("target"), dir.path().join("results"));
    for at in [&target, &results] {
        fs::create_dir(at).unwrap();
    }
    let mut fines = serde_json::Map::new();
    for (name, fine, forged) in files {
        fs::write(results.join(name), fine).unwrap();
        fs::write(target.join(name), forged).unwrap();
        fines.insert((*name).to_owned(), (*fine).into());
    }
    let naive = format!(
        "TARGET = {:?}\nFINE = {}\n{SWAP}
import signal, sys, time
where = os.path.join(os.getcwd(), {:?})
for swap in (swap_files, swap_directories):
    pid = os.fork()
    if pid == 0:
        try: swap()
        finally: os._exit(1)
    end, lost = time.monotonic() + 20, False
    while time.monotonic() < end and not lost:
        try:
            if not os.path.islink(where) and not os.path.islink(os.path.dirname(where)):
                with open(where) as file: lost = {mark:?} in file.read()
        except OSError: pass
    os.kill(pid, signal.SIGKILL)
    os.wait()
    # It may have been amid a turn.
    if os.path.isdir('../real'):
        if os.path.islink(os.path.dirname(where)): os.unlink(os.path.dirname(where))
        os.rename('../real', os.path.dirname(where))
    print(lost)",
        target.display().to_string(),
        json!(fines),
        files[0].0,
    );
    let output = plain(&results, &["python3", "-c", &naive]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "True\nTrue\n", "{output:?}");
}

#[tokio::test]
async fn whoever_swaps_results_for_links_while_they_are_read_wins_no_race() {
    let (forged, fine) = ("{\"combined_score\": 99}", "{\"combined_score\": 2.5}");
    let right = "{\"correct\": true}";
    let fines = format!("FINE = {{'metrics.json': {fine:?}, 'correct.json': {right:?}}}");
    loses_to_a_swap(&[("metrics.json", fine, forged), ("correct.json", right, right)], "99");

    let world = World::new();
    let script = shinka::script();
    let files =
        [("evaluate.py", script.as_str()), ("metrics.json", forged), ("correct.json", right)];
    let bench = world.open(&shinka::shinka(limits(), &[]), &files).await.unwrap();
    let mut read = 0;
    for turn in 0..40 {
        let swap = ["swap_files", "swap_directories"][turn % 2];
        let text = format!(
            "{}\nTARGET = '/suite'\n{fines}\n{SWAP}
os.chdir(args.results_dir)
if os.fork() == 0: {swap}()",
            shinka::FINE
        );
        let evaluation = bench.evaluate(&program(&text), 0).await.unwrap();
        match &evaluation.scores {
            Ok(scores) => {
                assert_eq!(scores, &[2.5], "{evaluation:?}");
                read += 1;
            }
            Err(failure) => assert!(failure.reason.contains(".json"), "{failure:?}"),
        }
    }
    assert!(read > 0, "it was at work, and yet results were read");
    bench.close().await;
}

#[tokio::test]
async fn pipes_devices_and_sockets_in_the_place_of_results_hold_nobody_up() {
    let code = "
os.mkfifo('result.json')
os.symlink('/dev/zero', 'metrics.json')
with socket.socket(socket.AF_UNIX) as server: server.bind('correct.json')
worked = True";
    let bait = Bait::new();
    // The control: who opens them without a sandbox waits, reads without end, or fails.
    assert!(bait.works_outside(code).0);
    let left = bait.home.path().join("outside");
    let read = "timeout 0.2 cat result.json; test $? = 124 && \
                    test $(timeout 5 head -c 1000000 metrics.json | wc -c) = 1000000 && \
                    ! cat correct.json";
    assert!(plain(&left, &["sh", "-c", read]).status.success());
    for evaluation in
        [bait.as_function(code, limits()).await, bait.as_program(code, limits()).await]
    {
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        assert!(evaluation.artifacts.is_empty(), "{evaluation:?}");
    }
}

/// Writes a result of its own into the pipe of its report, and ends. It works: here the
/// candidate is in the evaluator's process, and the result is stamped so.
const FORGE: &str = "
import json, os, stat
def record(tag, header):
    header = json.dumps(header).encode()
    body = len(header).to_bytes(4, 'big') + header
    return tag + len(body).to_bytes(4, 'big') + body
for fd in range(3, 64):
    try:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.write(fd, record(b'R', {'stage': 1, 'metrics': {'combined_score': ['number', '999.0']}}))
    except OSError: pass
os._exit(0)
";

#[tokio::test]
async fn a_forged_result_is_stamped_in_process_and_reaches_nothing_else() {
    let world = World::new();
    let bench = world.python(RUN).await.unwrap();
    let forged = bench.evaluate(&program(FORGE), 0).await.unwrap();
    assert_eq!((forged.scores, forged.in_process), (Ok(vec![999.0]), true));
    let next = bench.evaluate(&program("score = 1"), 0).await.unwrap();
    assert_eq!(next.scores, Ok(vec![1.0]));
    // Nor does a record that says what only the harness may say take anybody down.
    for tag in ["X", "S", "E", "?"] {
        let lie = FORGE.replace("b'R', {", &format!("b'{tag}', {{'text': 'no room', "));
        assert!(bench.evaluate(&program(&lie), 0).await.unwrap().scores.is_err());
        let next = bench.evaluate(&program("score = 1"), 0).await.unwrap();
        assert_eq!(next.scores, Ok(vec![1.0]), "after {tag}");
    }
    bench.close().await;
}

/// Changes whatever the evaluator and the harness are made of, for the next one to find.
const POISON: &str = "
import builtins, importlib.abc, json, os, random, runpy, sys
module = sys.modules.get('evaluation_module') or sys.modules['__main__']
module.evaluate = lambda path: {'combined_score': 1e9}
class Hook(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None): raise SystemExit(name)
sys.meta_path.insert(0, Hook())
sys.modules.pop('runpy', None)
sys.path.insert(0, '/tmp')
builtins.open = builtins.float = builtins.len = lambda *args: 1e9
json.dumps = lambda *args, **names: '{\"combined_score\": 1e9}'
random.seed = os.write = lambda *args: None
score = 7
";

#[tokio::test]
async fn a_patched_evaluator_is_not_the_next_ones() {
    // The control: in one process, as evaluators are run elsewhere, it is.
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("poison.py"), POISON).unwrap();
    let twice = format!("{RUN}\nfor path in ('poison.py', 'honest.py'): found = evaluate(path)\n");
    fs::write(dir.path().join("evaluator.py"), format!("{twice}print(found)")).unwrap();
    let output = plain(dir.path(), &["python3", "evaluator.py"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "{'combined_score': 1000000000.0}\n");
    let world = World::new();
    let bench = world.python(RUN).await.unwrap();
    for _ in 0..3 {
        bench.evaluate(&program(POISON), 0).await.unwrap();
        let honest = bench.evaluate(&program("score = 5"), 0).await.unwrap();
        assert_eq!(honest.scores, Ok(vec![5.0]), "{honest:?}");
    }
    bench.close().await;
}

#[tokio::test]
async fn files_that_python_and_pytest_load_by_themselves_are_not_loaded_for_the_next_one() {
    let names = ["sitecustomize.py", "usercustomize.py", "conftest.py", "helper.py", "json.py"];
    let poison = "import sys; print('poisoned')";
    let plant = format!(
        "
import os, site, sys
places = ['.', '..', os.environ.get('HOME', '.'), site.getusersitepackages(), *sys.path]
places += ['/suite', '/run/darwin', '/usr/local/lib']
score = 1.0
for place in places if INSIDE else ['.']:
    for name in {names:?}:
        try:
            os.makedirs(place, exist_ok=True)
            with open(os.path.join(place, name), 'w') as file: file.write({poison:?})
        except OSError: pass
"
    );
    // The control: where the next one starts in the same directory, they are.
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("agent.py"), format!("INSIDE = False\n{plant}")).unwrap();
    let next = "python3 agent.py && PYTHONPATH=. python3 -c pass && python3 -c 'import helper'";
    let output = plain(dir.path(), &["sh", "-c", next]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.lines().filter(|line| *line == "poisoned").count() > 1, "{output:?}");
    let text = "
import helper, runpy, subprocess, sys
def evaluate(path):
    found = runpy.run_path(path)['score']
    def say(*words): return subprocess.run([sys.executable, *words], capture_output=True).stdout
    import json
    return {'combined_score': found, 'said': str(say('-c', 'pass')),
            'helped': helper.GOOD, 'json': hasattr(json, 'dumps')}
";
    let files = [("evaluator.py", text), ("helper.py", "GOOD = True")];
    let world = World::new();
    let bench = world.open(&python(limits()), &files).await.unwrap();
    let planted = bench.evaluate(&program(&format!("INSIDE = True\n{plant}")), 0).await.unwrap();
    assert!(planted.scores.is_ok(), "{planted:?}");
    // The agent's own files are not on the evaluator's path either.
    let own: Vec<_> = names.map(|name| (name, poison)).into();
    let own = [&own[..], &[("agent.py", "score = 2")]].concat();
    let mut suite = python(limits());
    if let Method::Python { program, .. } = &mut suite.method {
        *program = Some("agent.py".into());
    }
    let second = world.open(&suite, &files).await.unwrap();
    for evaluation in [
        bench.evaluate(&program("score = 2"), 0).await.unwrap(),
        second.evaluate(&genome(&own), 0).await.unwrap(),
    ] {
        assert_eq!(evaluation.scores, Ok(vec![2.0]), "{evaluation:?}");
        let told = format!("{:?}", evaluation.metrics);
        assert!(!told.contains("poisoned") && !told.contains("false"), "{told}");
    }
    bench.close().await;
    second.close().await;
}

#[tokio::test]
async fn what_a_terminal_would_act_on_is_in_no_sentence() {
    let noise = r"\x1b]0;owned\x07\x1b[31m\r\x9b2J\xff";
    let raise = format!("import os\nos.write(2, b'{noise}\\n')\nraise ValueError('{noise}\\n')");
    // The control: a plain process's complaint would reach the terminal as it is.
    let dir = TempDir::new().unwrap();
    let output = plain(dir.path(), &["python3", "-c", &raise]);
    assert!(output.stderr.windows(4).any(|bytes| bytes == b"\x1b]0;"));
    assert!(String::from_utf8(output.stderr).is_err());
    let world = World::new();
    let bench = world.python(RUN).await.unwrap();
    let shell = world.shell("exec python3 agent.py", limits()).await;
    let missing = format!("score = {{'{noise}': 1}}");
    let dict = format!("print('{{\"{noise}\": 1}}')");
    for evaluation in [
        bench.evaluate(&program(&raise), 0).await.unwrap(),
        bench.evaluate(&program(&missing), 0).await.unwrap(),
        shell.evaluate(&program(&raise), 0).await.unwrap(),
        shell.evaluate(&program(&dict), 0).await.unwrap(),
        shell.evaluate(&program(&format!("import os; os.write(1, b'{noise}')")), 0).await.unwrap(),
    ] {
        let failure = failure(evaluation);
        assert!(!failure.reason.contains(char::is_control), "{failure:?}");
    }
    bench.close().await;
    shell.close().await;
}
