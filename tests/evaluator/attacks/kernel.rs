//! What only the kernel's own workers should use.

use super::attacks;

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
    Anyone asking_the_clocks_steering: r"
worked = granted('adjtimex', ctypes.create_string_buffer(256))";
    // Without a time to set, which the kernel would see before it asks who wants to.
    Anyone setting_the_clock: "worked = reaches('clock_settime', 0, 1)";
    Anyone setting_the_time_of_day: "worked = reaches('settimeofday', 1, None)";
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
