//! What the filters answer, asked with a small interpreter of their programs.

use std::collections::BTreeSet;

use super::*;

const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;
const REFUSED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const UNKNOWN: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

/// What `program` answers to a call.
fn ask(program: &[sock_filter], call: c_long, arguments: &[u64]) -> u32 {
    let arch = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    // struct seccomp_data: the number, the architecture, the instruction's address, arguments.
    let mut data = vec![u32::try_from(call).unwrap(), arch, 0, 0];
    for at in 0..6 {
        let argument = arguments.get(at).copied().unwrap_or_default();
        data.extend([argument as u32, (argument >> 32) as u32]);
    }
    let (mut value, mut at) = (0, 0);
    loop {
        let step = &program[at];
        at += 1;
        let jump = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
        match step.code {
            0x20 => value = data[step.k as usize / 4],
            0x54 => value &= step.k,
            0x05 => at += step.k as usize,
            0x15 => at += jump(value == step.k),
            0x25 => at += jump(value > step.k),
            0x35 => at += jump(value >= step.k),
            0x06 => return step.k,
            other => panic!("an instruction {other:#x}"),
        }
    }
}

/// What a harness and a candidate hear, each with and without namespaces.
fn answers(call: c_long, arguments: &[u64]) -> [(u32, u32); 2] {
    let narrow = ask(&candidate().unwrap(), call, arguments);
    [true, false].map(|namespaces| {
        let wide = ask(&program(namespaces).unwrap(), call, arguments);
        (wide, if narrow == ALLOWED { wide } else { narrow })
    })
}

/// What everybody hears.
fn answer(call: c_long, arguments: &[u64]) -> u32 {
    let all: BTreeSet<_> = answers(call, arguments).into_iter().flat_map(<[_; 2]>::from).collect();
    assert_eq!(all.len(), 1, "{call} {arguments:?}: {all:x?}");
    all.into_iter().next().unwrap()
}

/// Other processes' memory, the kernel's own state, keys, tracing, clocks, and interfaces with
/// a long record of holes.
const DANGEROUS: Calls = calls![
    SYS_acct SYS_add_key SYS_adjtimex SYS_bpf SYS_chroot SYS_clock_adjtime SYS_clock_settime
    SYS_delete_module SYS_fanotify_init SYS_fanotify_mark SYS_finit_module SYS_fsconfig
    SYS_fsmount SYS_fsopen SYS_fspick SYS_init_module SYS_io_cancel SYS_io_setup SYS_io_submit
    SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup SYS_ioprio_set SYS_kcmp
    SYS_kexec_file_load SYS_kexec_load SYS_keyctl SYS_lookup_dcookie SYS_mbind SYS_memfd_create
    SYS_memfd_secret SYS_migrate_pages SYS_mount_setattr SYS_move_mount SYS_move_pages
    SYS_mq_open SYS_msgget SYS_name_to_handle_at SYS_nfsservctl SYS_open_by_handle_at
    SYS_open_tree SYS_perf_event_open SYS_personality SYS_pidfd_getfd SYS_pivot_root
    SYS_process_madvise SYS_process_mrelease SYS_process_vm_readv SYS_process_vm_writev
    SYS_ptrace SYS_quotactl SYS_quotactl_fd SYS_reboot SYS_remap_file_pages SYS_request_key
    SYS_semget SYS_set_mempolicy SYS_setdomainname SYS_sethostname SYS_settimeofday SYS_shmget
    SYS_swapoff SYS_swapon SYS_sync SYS_syncfs SYS_syslog SYS_userfaultfd
    SYS_vhangup SYS_vmsplice
];
#[cfg(target_arch = "x86_64")]
const DANGEROUS_HERE: Calls = calls![
    SYS__sysctl SYS_ioperm SYS_iopl SYS_modify_ldt SYS_sysfs SYS_uselib SYS_ustat
];
#[cfg(not(target_arch = "x86_64"))]
const DANGEROUS_HERE: Calls = &[];

#[test]
fn the_dangerous_calls_are_refused_to_all() {
    for (name, call) in DANGEROUS.iter().chain(DANGEROUS_HERE) {
        assert_eq!(answer(*call, &[]), REFUSED, "{name}");
    }
}

#[test]
fn the_ordinary_calls_are_allowed_to_all() {
    for (name, call) in ORDINARY.iter().chain(HERE) {
        assert_eq!(answer(*call, &[u64::MAX; 6]), ALLOWED, "{name}");
    }
}

#[test]
fn the_lists_are_sorted_and_name_no_call_twice() {
    for list in [ORDINARY, HERE, HARNESS_ONLY, DANGEROUS, DANGEROUS_HERE] {
        assert!(list.is_sorted_by(|a, b| a.0 < b.0), "{list:?}");
    }
    let by_arguments = [("SYS_clone", libc::SYS_clone), ("SYS_ioctl", libc::SYS_ioctl)];
    let all = [ORDINARY, HERE, HARNESS_ONLY, DANGEROUS, DANGEROUS_HERE, &by_arguments].concat();
    let numbers: BTreeSet<_> = all.iter().map(|(_, call)| call).collect();
    assert_eq!(numbers.len(), all.len());
}

#[test]
fn what_is_newer_than_the_lists_and_what_cannot_be_seen_is_unknown() {
    for call in [435, 463, 467, 470, 9999, 0x4000_0000, 0x4000_0000 + libc::SYS_ptrace] {
        assert_eq!(answer(call, &[]), UNKNOWN, "{call}");
    }
    // A number that the kernel knows and the lists do not is refused, not unknown.
    assert_eq!(answer(457, &[]), REFUSED);
}

#[test]
fn only_a_harness_with_namespaces_makes_namespaces_and_mounts() {
    let flags = NAMESPACES.map(|flag| (libc::SYS_clone, vec![long(flag) | 17]));
    let calls = HARNESS_ONLY.iter().map(|(_, call)| (*call, Vec::new()));
    for (call, arguments) in flags.into_iter().chain(calls) {
        let expected = [(ALLOWED, REFUSED), (REFUSED, REFUSED)];
        assert_eq!(answers(call, &arguments), expected, "{call} {arguments:x?}");
    }
    // As fork and threads do.
    for flags in [17, 0x003d_0f00, 0x0120_0011, 0x4111] {
        assert_eq!(answer(libc::SYS_clone, &[flags]), ALLOWED);
    }
}

#[test]
fn sockets_are_of_few_kinds_and_without_namespaces_of_one() {
    let inside = |arguments: [i32; 3]| {
        let [with, without] = answers(libc::SYS_socket, &arguments.map(long));
        let asking = arguments == [libc::AF_UNIX, libc::SOCK_SEQPACKET, 0];
        let expected = if asking { ALLOWED } else { REFUSED };
        assert_eq!(without, (expected, expected));
        assert_eq!(with.0, with.1);
        with.0
    };
    let nonblocking = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    for fine in [
        [libc::AF_UNIX, libc::SOCK_SEQPACKET, 0],
        [libc::AF_INET, libc::SOCK_STREAM | nonblocking, 0],
        [libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP],
        [libc::AF_INET6, libc::SOCK_DGRAM | nonblocking, libc::IPPROTO_UDP],
    ] {
        assert_eq!(inside(fine), ALLOWED, "{fine:?}");
    }
    for strange in [
        [libc::AF_VSOCK, libc::SOCK_STREAM, 0],
        [libc::AF_NETLINK, libc::SOCK_RAW, 0],
        [libc::AF_PACKET, libc::SOCK_RAW, 0],
        [libc::AF_ALG, libc::SOCK_SEQPACKET, 0],
        [libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP],
        [libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP],
        [libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP],
        [libc::AF_INET, libc::SOCK_SEQPACKET, 0],
    ] {
        assert_eq!(inside(strange), REFUSED, "{strange:?}");
    }
    assert_eq!(answer(libc::SYS_socketpair, &[long(libc::AF_UNIX), 5]), ALLOWED);
    assert_eq!(answer(libc::SYS_socketpair, &[long(libc::AF_TIPC)]), REFUSED);
}

#[test]
fn nobody_types_into_a_terminal_or_lowers_the_kernels_guard() {
    for request in INJECTING {
        // What stands above the low half does not hide it.
        assert_eq!(answer(libc::SYS_ioctl, &[0, request | 1 << 40]), REFUSED);
    }
    assert_eq!(answer(libc::SYS_ioctl, &[0, 0x5401]), ALLOWED); // TCGETS
    // PR_SET_SPECULATION_CTRL, PR_SET_MEMORY_MERGE, and numbers of nothing.
    for option in [53, 67, libc::PR_SET_MM, 9999, -1] {
        assert_eq!(answer(libc::SYS_prctl, &[u64::from(option as u32)]), REFUSED, "{option}");
    }
    assert_eq!(answer(libc::SYS_prctl, &[long(libc::PR_SET_NAME)]), ALLOWED);
}

#[test]
fn nobody_changes_the_limit_of_core_dumps() {
    let [core, files] = [libc::RLIMIT_CORE, libc::RLIMIT_NOFILE].map(u64::from);
    assert_eq!(answer(libc::SYS_prlimit64, &[0, core, 0x1000, 0]), REFUSED);
    assert_eq!(answer(libc::SYS_prlimit64, &[0, core | 1 << 40, 0x1000, 0]), REFUSED);
    assert_eq!(answer(libc::SYS_prlimit64, &[0, core, 0, 0x1000]), ALLOWED);
    assert_eq!(answer(libc::SYS_prlimit64, &[0, files, 0x1000, 0]), ALLOWED);
    if cfg!(target_arch = "x86_64") {
        assert_eq!(answer(libc::SYS_setrlimit, &[core, 0x1000]), REFUSED);
        assert_eq!(answer(libc::SYS_setrlimit, &[files, 0x1000]), ALLOWED);
    }
}

#[test]
fn calls_of_another_architecture_end_the_process() {
    let mut of_another = program(true).unwrap();
    // As if the number's neighbour, the architecture, had been another.
    let check = of_another.iter_mut().find(|step| step.code == 0x15 && step.k > 0xc000_0000);
    check.unwrap().k = 0x4000_0003;
    assert_eq!(ask(&of_another, libc::SYS_read, &[]), libc::SECCOMP_RET_KILL_PROCESS);
}

#[test]
fn what_is_loaded_for_each_candidate_is_short() {
    assert!(candidate().unwrap().len() < 100);
    assert_eq!(bytes(&candidate().unwrap()).len(), candidate().unwrap().len() * 8);
}
