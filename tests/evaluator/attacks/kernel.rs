//! What only the kernel's own workers should use.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use super::*;

attacks! {
    Anyone nested_user_namespaces: "worked = in_child(lambda: libc.unshare(0x10000000) == 0)";
    Anyone a_clone_into_a_user_namespace: r"
pid = call('clone', 0x10000000 | 17, 0, 0, 0, 0)
if pid == 0: os._exit(0)
worked = pid > 0 and os.waitpid(pid, 0)";
    Anyone clone3_whose_flags_nobody_sees: r"
arguments = ctypes.create_string_buffer(64)
arguments[32:40] = (17).to_bytes(8, sys.byteorder)
pid = call('clone3', arguments, 64)
if pid == 0: os._exit(0)
worked = pid > 0 and os.waitpid(pid, 0)";
    Anyone mounting_as_root_of_a_namespace: r"
def mount():
    return libc.unshare(0x10020000) == 0 and libc.mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0
worked = in_child(mount)";
    Root mounting: r"
os.mkdir('at')
worked = libc.mount(b'x', b'at', b'tmpfs', 0, None) == 0
libc.umount2(b'at', 2)";
    Anyone copies_of_mounts: "worked = granted('open_tree', -100, b'/', 0)";
    Root bpf: r"
attributes = ctypes.create_string_buffer(72)
attributes[0:16] = (1).to_bytes(4, sys.byteorder) + (4).to_bytes(4, sys.byteorder) * 3
worked = granted('bpf', 0, attributes, 72)";
    Anyone perf: "worked = reaches('perf_event_open', None, 0, -1, -1, -1)";
    Anyone keys: "worked = granted('keyctl', 0, -3, 1)";
    Anyone new_keys: "worked = granted('add_key', b'user', b'darwin-test', b'x', 1, -2)";
    Anyone io_uring: "worked = granted('io_uring_setup', 4, ctypes.create_string_buffer(120))";
    Anyone userfaultfd: "worked = granted('userfaultfd', 1)";
    Anyone file_handles: r"
handle = ctypes.create_string_buffer((128).to_bytes(4, sys.byteorder), 136)
worked = granted('name_to_handle_at', -100, b'/', handle, ctypes.create_string_buffer(4), 0)";
    Anyone another_personality: "worked = granted('personality', 0xffffffff)";
    Anyone pages_given_to_a_pipe: r"
page = ctypes.create_string_buffer(8)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(page), 8)
worked = granted('vmsplice', os.pipe()[1], vector, 1, 0)";
    Anyone memory_in_no_file_system: "worked = granted('memfd_create', b'x', 0)";
    Anyone memory_of_no_process: r"
worked = granted('shmget', 0, 4096, 0o1600)";
    Anyone queues_of_no_process: r"
worked = granted('mq_open', b'darwin-test', os.O_CREAT | os.O_RDWR, 0o600, None)
libc.mq_unlink(b'/darwin-test')";
    Anyone the_machines_disks_made_to_work: "worked = granted('syncfs', os.open('/', 0))";
    Root becoming_root: "worked = os.setuid(0) is None and os.getuid() == 0";
    Root capabilities: r"
status = open('/proc/self/status').read().split('CapEff:')[1]
worked = int(status.split()[0], 16)";
    Anyone privileges_that_a_program_brings: "worked = libc.prctl(39, 0, 0, 0, 0) == 0";
    Anyone core_dumps: r"
def crash():
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
    if os.fork() == 0:
        os.abort()
    return os.WCOREDUMP(os.wait()[1])
worked = in_child(crash)";
    Root another_core_dump_helper: "worked = open('/proc/sys/kernel/core_pattern', 'r+')";
}

/// The setting that names who gets the core dumps of this machine, put back at the end.
struct Pattern(String);

impl Pattern {
    const FILE: &str = "/proc/sys/kernel/core_pattern";

    /// Has `helper` get them, or says why not.
    fn set(helper: &Path) -> std::io::Result<Self> {
        let old = fs::read_to_string(Self::FILE)?;
        fs::write(Self::FILE, format!("|{} %e", helper.display()))?;
        Ok(Self(old))
    }
}

impl Drop for Pattern {
    fn drop(&mut self) {
        fs::write(Self::FILE, &self.0).unwrap();
    }
}

#[tokio::test]
async fn a_core_dump_helper_of_the_machine_gets_no_candidate() {
    // Such a helper runs as root, outside, and is fed by whoever crashes: whatever the limit of
    // core dumps is, if it is not 1.
    let dir = TempDir::new().unwrap();
    let (helper, seen) = (dir.path().join("helper"), dir.path().join("seen"));
    let script = format!("#!/bin/sh\ncat > /dev/null\necho \"$1\" >> {}\n", seen.display());
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The kernel shows 15 letters.
    let mark = |place: &str| format!("{place}-{}", std::process::id() % 10_000);
    let crash = |place: &str| {
        let (mark, inside) = (mark(place), if place == "outside" { "False" } else { "True" });
        format!(
            "
if os.fork() == 0:
    libc.prctl(15, b'{mark}', 0, 0, 0)
    try: resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (OSError, ValueError): pass
    if {inside} and resource.getrlimit(resource.RLIMIT_CORE) != (1, 1): os._exit(9)
    os.abort()
worked = os.WTERMSIG(os.wait()[1]) == signal.SIGABRT"
        )
    };
    let pattern = match Pattern::set(&helper) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let kind = error.kind();
            use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
            assert!([PermissionDenied, ReadOnlyFilesystem].contains(&kind), "{error}");
            not_run("core_pattern", &format!("{} cannot be written: {error}", Pattern::FILE));
            None
        }
    };
    let bait = Bait::new();
    for evaluation in [
        bait.as_function(&crash("function"), limits()).await,
        bait.as_program(&crash("program"), limits()).await,
    ] {
        assert_eq!(evaluation.scores, Ok(vec![1.0]), "{evaluation:?}");
    }
    let answer = bait.as_answer(&crash("answer"), limits()).await;
    assert!(said(&answer).contains("\"score\": 1.0"), "{answer:?}");
    // The limit is as it should be, and stays so; what the kernel makes of it, only its helper
    // can tell.
    let Some(_pattern) = pattern else { return };
    // The control, last: when its crash has come through, so has what came before.
    assert!(bait.works_outside(&crash("outside")).0);
    let all = || fs::read_to_string(&seen).unwrap_or_default();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !all().contains(&mark("outside")) {
        assert!(std::time::Instant::now() < deadline, "the control: {:?}", all());
        std::thread::yield_now();
    }
    for place in ["function", "program", "answer"] {
        assert!(!all().contains(&mark(place)), "{}", all());
    }
}

macro_rules! calls {
    ($($name:ident)*) => { [$((stringify!($name), libc::$name)),*] };
}

/// Asks for each of `CALLS` with arguments that come to nothing, in a process without a terminal
/// that could be taken away. `worked` are those that the kernel looks at.
const ASK: &str = "
read, write = os.pipe()
if os.fork() == 0:
    try:
        os.setsid()
        for name, number in CALLS.items():
            # The first makes a queue of everything but this, the second knows nothing else.
            given = {'SYS_msgget': [0x7ffffff1, 0], 'SYS_modify_ldt': [0, 0, 0]}
            given = [ctypes.c_long(one) for one in given.get(name, [-1] * 6)]
            ctypes.set_errno(0)
            code = ctypes.get_errno() if libc.syscall(number, *given) == -1 else 0
            os.write(write, ('%s %d\\n' % (name[4:], code)).encode())
    finally: os._exit(0)
os.close(write)
answers = dict(line.split() for line in open(read))
os.wait()
assert len(answers) == len(CALLS), answers
heard = lambda code: [name for name in answers if answers[name] == str(code)]
refused, unknown = heard(errno.EPERM), heard(errno.ENOSYS)
worked = [name for name in answers if name not in refused + unknown]
said = 'refused: %s; unknown: %s; heard: %s' % (refused, unknown, worked)";

#[tokio::test]
async fn the_dangerous_calls_are_not_even_looked_at() {
    // Not among them: `sync`, which takes no argument that would keep it from its work.
    let mut all = calls![
        SYS_acct SYS_add_key SYS_adjtimex SYS_bpf SYS_chroot SYS_clock_adjtime SYS_clock_settime
        SYS_delete_module SYS_fanotify_init SYS_fanotify_mark SYS_finit_module SYS_fsconfig
        SYS_fsmount SYS_fsopen SYS_fspick SYS_init_module SYS_io_cancel SYS_io_setup SYS_io_submit
        SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup SYS_ioprio_set SYS_kcmp
        SYS_kexec_file_load SYS_kexec_load SYS_keyctl SYS_lookup_dcookie SYS_mbind
        SYS_memfd_create SYS_memfd_secret SYS_migrate_pages SYS_mount SYS_mount_setattr
        SYS_move_mount SYS_move_pages SYS_mq_open SYS_msgget SYS_name_to_handle_at SYS_nfsservctl
        SYS_open_by_handle_at SYS_open_tree SYS_perf_event_open SYS_personality SYS_pidfd_getfd
        SYS_pivot_root SYS_process_madvise SYS_process_mrelease SYS_process_vm_readv
        SYS_process_vm_writev SYS_ptrace SYS_quotactl SYS_quotactl_fd SYS_reboot
        SYS_remap_file_pages SYS_request_key SYS_semget SYS_set_mempolicy SYS_setdomainname
        SYS_sethostname SYS_setns SYS_settimeofday SYS_shmget SYS_swapoff SYS_swapon SYS_syncfs
        SYS_syslog SYS_umount2 SYS_unshare SYS_userfaultfd SYS_vhangup SYS_vmsplice
    ]
    .to_vec();
    #[cfg(target_arch = "x86_64")]
    all.extend(calls![
        SYS__sysctl SYS_ioperm SYS_iopl SYS_modify_ldt SYS_sysfs SYS_uselib SYS_ustat
    ]);
    let numbers: std::collections::BTreeMap<_, _> = all.iter().copied().collect();
    let code = format!("CALLS = {}\n{ASK}", json!(numbers));
    let bait = Bait::new();
    let (worked, said) = bait.works_outside(&code);
    // The control: the kernel looks at all that it has, if it is the superuser who asks; and of
    // most it has all.
    let heard = said.rsplit_once("heard: ").unwrap().1.matches('\'').count() / 2;
    assert!(worked && heard > all.len() / 2, "the control: {said}");
    assert!(!Who::Root.can() || said.contains("refused: []"), "the control: {said}");
    fails_inside(&bait, &code).await;
}
