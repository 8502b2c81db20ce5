//! The system call filter: what code in a sandbox may ask of the kernel, and nothing else.
//!
//! One filter is for all, from the harness on; it is loaded once per sandbox. A candidate gets
//! a short second one, which takes away what only a harness needs. Of several filters the
//! strictest answer counts.

use std::{collections::BTreeMap, io};

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, sock_filter,
};

/// System calls by name.
type Calls = &'static [(&'static str, c_long)];

macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// What ordinary programs need: the usual interpreters and runtimes, compilers, shells. Not
/// among them are memory that no file system and no limit counts (`memfd_create`, System V),
/// and what makes the machine's own disks work (`sync`, `syncfs`).
const ORDINARY: Calls = calls![
    SYS_accept SYS_accept4 SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir SYS_clock_getres
    SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range SYS_connect
    SYS_copy_file_range SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait
    SYS_epoll_pwait2 SYS_eventfd2 SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_faccessat
    SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown
    SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock SYS_fremovexattr
    SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex SYS_futex_waitv
    SYS_get_robust_list SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid
    SYS_getgroups SYS_getitimer SYS_getpeername SYS_getpgid SYS_getpid SYS_getppid
    SYS_getpriority SYS_getrandom SYS_getresgid SYS_getresuid SYS_getrusage SYS_getsid
    SYS_getsockname SYS_getsockopt SYS_gettid SYS_gettimeofday SYS_getuid SYS_getxattr
    SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch SYS_kill
    SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lgetxattr
    SYS_linkat SYS_listen SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr
    SYS_madvise SYS_membarrier SYS_mincore SYS_mkdirat SYS_mknodat SYS_mlock SYS_mlock2
    SYS_mlockall SYS_mmap SYS_mprotect SYS_mremap SYS_mseal SYS_msync SYS_munlock SYS_munlockall
    SYS_munmap SYS_nanosleep SYS_newfstatat SYS_openat SYS_openat2 SYS_pidfd_open
    SYS_pidfd_send_signal SYS_pipe2 SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_ppoll
    SYS_pread64 SYS_preadv SYS_preadv2 SYS_prlimit64 SYS_pselect6 SYS_pwrite64 SYS_pwritev
    SYS_pwritev2 SYS_read SYS_readahead SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg
    SYS_recvmsg SYS_removexattr SYS_renameat2 SYS_restart_syscall SYS_rseq SYS_rt_sigaction
    SYS_rt_sigpending SYS_rt_sigprocmask SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend
    SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam
    SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr
    SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_sendfile
    SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_set_robust_list SYS_set_tid_address SYS_setfsgid
    SYS_setfsuid SYS_setgid SYS_setgroups SYS_setitimer SYS_setpgid SYS_setpriority SYS_setregid
    SYS_setresgid SYS_setresuid SYS_setreuid SYS_setsid SYS_setsockopt SYS_setuid SYS_setxattr
    SYS_shutdown SYS_sigaltstack SYS_signalfd4 SYS_splice SYS_statfs SYS_statx SYS_symlinkat
    SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create SYS_timer_delete SYS_timer_getoverrun
    SYS_timer_gettime SYS_timer_settime SYS_timerfd_create SYS_timerfd_gettime
    SYS_timerfd_settime SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat
    SYS_utimensat SYS_wait4 SYS_waitid SYS_write SYS_writev
];

/// Those that only this architecture has, or that the C library's names lack elsewhere.
#[cfg(target_arch = "x86_64")]
const HERE: Calls = calls![
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create
    SYS_epoll_wait SYS_eventfd SYS_fchmodat2 SYS_fork SYS_futimesat SYS_getdents SYS_getpgrp
    SYS_getrlimit SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_mknod SYS_open
    SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_renameat SYS_rmdir SYS_select
    SYS_setrlimit SYS_signalfd SYS_stat SYS_symlink SYS_sync_file_range SYS_time SYS_unlink
    SYS_utime SYS_utimes SYS_vfork
];
#[cfg(target_arch = "aarch64")]
const HERE: Calls = &[("SYS_fchmodat2", 452), ("SYS_renameat", 38), ("SYS_sync_file_range", 84)];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const HERE: Calls = &[];

/// What a harness needs to contain its candidates, and a candidate never.
const HARNESS_ONLY: Calls = calls![SYS_mount SYS_setns SYS_umount2 SYS_unshare];

/// The kinds of namespace that `clone` makes.
const NAMESPACES: [i32; 8] = [
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
    0x80, // CLONE_NEWTIME
];

/// Stream and datagram sockets by their kinds and protocols: TCP and UDP, for the network
/// namespace is empty. Every other family and protocol is one more piece of the kernel, and
/// AF_VSOCK is in no namespace.
const INTERNET: [(i32, [i32; 2]); 2] = [
    (libc::SOCK_STREAM, [libc::IPPROTO_IP, libc::IPPROTO_TCP]),
    (libc::SOCK_DGRAM, [libc::IPPROTO_IP, libc::IPPROTO_UDP]),
];

/// The terminal's ioctls that put input into somebody else's shell.
const INJECTING: [u64; 2] = [0x5412, 0x541c]; // TIOCSTI, TIOCLINUX

/// What a process may ask and set about itself: not how the kernel guards it against
/// speculation, nor that equal pages be merged with those of others.
const ABOUT_ITSELF: [i32; 25] = [
    libc::PR_CAPBSET_DROP,
    libc::PR_CAPBSET_READ,
    libc::PR_CAP_AMBIENT,
    libc::PR_GET_CHILD_SUBREAPER,
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_KEEPCAPS,
    libc::PR_GET_NAME,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_GET_PDEATHSIG,
    libc::PR_GET_SECCOMP,
    libc::PR_GET_THP_DISABLE,
    libc::PR_GET_TIMERSLACK,
    libc::PR_GET_TID_ADDRESS,
    libc::PR_SET_CHILD_SUBREAPER,
    libc::PR_SET_DUMPABLE,
    libc::PR_SET_KEEPCAPS,
    libc::PR_SET_NAME,
    libc::PR_SET_NO_NEW_PRIVS,
    libc::PR_SET_PDEATHSIG,
    libc::PR_SET_PTRACER,
    libc::PR_SET_SECCOMP,
    libc::PR_SET_THP_DISABLE,
    libc::PR_SET_TIMERSLACK,
    libc::PR_SET_VMA,
    51, // PR_SVE_GET_VL
];

/// The filter for the harness and all below it. Without `namespaces` it stands in for the
/// empty network: then there are no sockets but pairs, and those by which runs are asked for.
///
/// # Errors
/// If this machine's architecture has none.
pub fn program(namespaces: bool) -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let own = if namespaces { HARNESS_ONLY } else { &[] };
    for (_, call) in ORDINARY.iter().chain(HERE).chain(own) {
        rules.insert(*call, Vec::new());
    }
    // At any other length than theirs, be it none, core dumps would go to the machine's helper.
    let core = u64::from(libc::RLIMIT_CORE);
    let another = |argument| rule([condition(argument, Width::Dword, Is::Ne, core)]);
    let asked = rule([condition(2, Width::Qword, Is::Eq, 0)]);
    rules.insert(libc::SYS_prlimit64, vec![another(1)?, asked?]);
    if let Some(set) = rules.get_mut(&libc::SYS_setrlimit) {
        *set = vec![another(0)?];
    }
    if namespaces {
        rules.insert(libc::SYS_clone, Vec::new());
        let unix = rule([is(0, Is::Eq, libc::AF_UNIX)]);
        let internet = [libc::AF_INET, libc::AF_INET6].into_iter().flat_map(|family| {
            INTERNET.into_iter().flat_map(move |(kind, protocols)| {
                protocols.map(|protocol| {
                    rule([
                        is(0, Is::Eq, family),
                        is(1, Is::MaskedEq(0xf), kind),
                        is(2, Is::Eq, protocol),
                    ])
                })
            })
        });
        let all = std::iter::once(unix).chain(internet);
        rules.insert(libc::SYS_socket, all.collect::<io::Result<_>>()?);
    } else {
        // How a scorer asks for a run; what else listens on a machine is of other kinds.
        let asking =
            rule([is(0, Is::Eq, libc::AF_UNIX), is(1, Is::MaskedEq(0xf), libc::SOCK_SEQPACKET)]);
        rules.insert(libc::SYS_socket, vec![asking?]);
        let all = NAMESPACES.iter().fold(0, |all, flag| all | long(*flag));
        let none = condition(0, Width::Qword, Is::MaskedEq(all), 0);
        rules.insert(libc::SYS_clone, vec![rule([none])?]);
    }
    rules.insert(libc::SYS_socketpair, vec![rule([is(0, Is::Eq, libc::AF_UNIX)])?]);
    let harmless = INJECTING.map(|request| condition(1, Width::Dword, Is::Ne, request));
    rules.insert(libc::SYS_ioctl, vec![rule(harmless)?]);
    let options = ABOUT_ITSELF.iter().map(|option| rule([is(0, Is::Eq, *option)]));
    rules.insert(libc::SYS_prctl, options.collect::<io::Result<_>>()?);
    let allowed = compile(rules, SeccompAction::Allow, refusal())?;
    Ok(unknown_calls().into_iter().chain(allowed).collect())
}

/// What a candidate gets on top: no namespaces and no mounts.
///
/// # Errors
/// If this machine's architecture has none.
pub fn candidate() -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        HARNESS_ONLY.iter().map(|(_, call)| (*call, Vec::new())).collect();
    let making = NAMESPACES
        .iter()
        .map(|flag| rule([condition(0, Width::Qword, Is::MaskedEq(long(*flag)), long(*flag))]));
    rules.insert(libc::SYS_clone, making.collect::<io::Result<_>>()?);
    compile(rules, refusal(), SeccompAction::Allow)
}

/// The filter as the bytes that `prctl` takes.
#[must_use]
pub fn bytes(program: &[sock_filter]) -> Vec<u8> {
    program
        .iter()
        .flat_map(|step| {
            let jumps = [step.jt, step.jf];
            [&step.code.to_ne_bytes()[..], &jumps, &step.k.to_ne_bytes()].concat()
        })
        .collect()
}

/// Answers "no such call" to all that are newer than the lists, as an older kernel would, so
/// that libraries do without; among them are the x32 numbers of all calls. The same to
/// `clone3`, whose flags a filter cannot see: libraries then use `clone`.
fn unknown_calls() -> [sock_filter; 4] {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, of the call's number at offset 0
    const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const ABOVE: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const CLONE3: u32 = 435;
    let newest = ORDINARY.iter().chain(HERE).map(|(_, call)| *call).max().unwrap_or_default();
    let newest = u32::try_from(newest).unwrap_or_default();
    let no_such_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    [
        sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: EQUAL, jt: 1, jf: 0, k: CLONE3 },
        sock_filter { code: ABOVE, jt: 0, jf: 1, k: newest },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: no_such_call },
    ]
}

fn refusal() -> SeccompAction {
    SeccompAction::Errno(libc::EPERM.unsigned_abs())
}

/// The program that answers `listed` to the calls of `rules` and `other` to all others.
fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    listed: SeccompAction,
    other: SeccompAction,
) -> io::Result<BpfProgram> {
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, other, listed, arch).map_err(io::Error::other)?;
    filter.try_into().map_err(io::Error::other)
}

/// All conditions at once.
fn rule<const N: usize>(conditions: [io::Result<SeccompCondition>; N]) -> io::Result<SeccompRule> {
    let conditions = conditions.into_iter().collect::<io::Result<_>>()?;
    SeccompRule::new(conditions).map_err(io::Error::other)
}

/// A condition on an argument that is an `int`.
fn is(argument: u8, operator: Is, value: i32) -> io::Result<SeccompCondition> {
    condition(argument, Width::Dword, operator, long(value))
}

fn condition(argument: u8, width: Width, operator: Is, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, width, operator, value).map_err(io::Error::other)
}

fn long(value: i32) -> u64 {
    u64::from(value.unsigned_abs())
}

#[cfg(test)]
mod tests;
