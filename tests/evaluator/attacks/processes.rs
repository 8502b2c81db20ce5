//! Other processes: traced, read, signalled, left behind.

use std::os::unix::process::ExitStatusExt as _;

use super::*;

attacks! {
    Anyone being_traced: "worked = in_child(lambda: libc.ptrace(0, 0, 0, 0) == 0)";
    Anyone tracing: "worked = with_child(lambda pid: libc.ptrace(16, pid, None, None) == 0)";
    Anyone reading_the_memory_of_another_process: r"
page = ctypes.create_string_buffer(8)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(page), 8)
worked = with_child(lambda pid: granted('process_vm_readv', pid, vector, 1, vector, 1, 0))";
    Anyone writing_the_memory_of_another_process: r"
page = ctypes.create_string_buffer(8)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(page), 8)
worked = with_child(lambda pid: granted('process_vm_writev', pid, vector, 1, vector, 1, 0))";
    Anyone taking_the_descriptors_of_another_process: r"
worked = with_child(lambda pid: granted('pidfd_getfd', os.pidfd_open(pid), 0, 0))";
    Anyone advising_on_the_memory_of_another_process: r"
worked = reaches('process_madvise', -1, None, 0, 0, 0)";
    Anyone signalling_the_daemon: "worked = os.kill(FACTS['parent'], 0) is None";
    Anyone signalling_all_there_are: "worked = os.kill(-1, 0) is None";
    Anyone signalling_the_owner_of_a_pipe: r"
import fcntl
read, write = os.pipe()
fcntl.fcntl(read, fcntl.F_SETOWN, FACTS['parent'])
worked = fcntl.fcntl(read, fcntl.F_GETOWN) == FACTS['parent']";
}

const KILL_THE_PARENT: &str = "
import os, signal
if os.getppid() > 0: os.kill(os.getppid(), signal.SIGKILL)
score = 2
print('{\"score\": 2}')";

#[tokio::test]
async fn the_parent_of_a_candidate_is_out_of_its_reach() {
    // The control: a plain parent dies of it.
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("agent.py"), KILL_THE_PARENT).unwrap();
    let mut parent = Command::new("sh");
    let parent = parent.args(["-c", "python3 agent.py; true"]).current_dir(&dir).status().unwrap();
    assert_eq!(parent.signal(), Some(9), "{parent:?}");
    let world = World::new();
    for bench in
        [world.python(RUN).await.unwrap(), world.shell("exec python3 agent.py", limits()).await]
    {
        let evaluation = bench.evaluate(&program(KILL_THE_PARENT), 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![2.0]), "{evaluation:?}");
        bench.close().await;
    }
}

#[tokio::test]
async fn orphans_do_not_outlive_their_candidate() {
    let seconds = format!("7{}", std::process::id());
    let code = format!(
        "
import os, signal
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.fork() == 0:
        os.set_inheritable(write, True)
        for fd in (1, 2): os.dup2(os.open('/dev/null', os.O_RDWR), fd)
        os.execvp('sh', ['sh', '-c', 'echo up >&%d; exec sleep {seconds}' % write])
    os._exit(0)
os.read(read, 1)
score = 1
print('{{\"score\": 1}}')"
    );
    // The control: of a plain process they do.
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("agent.py"), &code).unwrap();
    assert!(plain(dir.path(), &["python3", "agent.py"]).status.success());
    let orphans = running(&seconds);
    orphans.iter().for_each(|pid| end(*pid));
    assert_eq!(orphans.len(), 1, "{orphans:?}");
    let world = World::new();
    for bench in
        [world.python(RUN).await.unwrap(), world.shell("exec python3 agent.py", limits()).await]
    {
        let evaluation = bench.evaluate(&program(&code), 0).await.unwrap();
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
        assert_eq!(running(&seconds), [0; 0]);
        bench.close().await;
    }
}
