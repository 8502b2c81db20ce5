//! The system call filter: what code in a sandbox may not ask of the kernel.

use std::{collections::BTreeMap, io};

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, sock_filter,
};

/// Who a filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// The warm harness, which makes namespaces for its candidates.
    Harness,
    /// Code that nobody has read.
    Candidate,
}

/// Refused to all: other processes' memory, the kernel's own state, keys, tracing, and
/// interfaces with a long record of holes.
const NEVER: &[c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_personality,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_remap_file_pages,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    libc::SYS_vmsplice,
];

#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[c_long] = &[
    libc::SYS__sysctl,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_modify_ldt,
    libc::SYS_sysfs,
    libc::SYS_uselib,
    libc::SYS_ustat,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[c_long] = &[];

/// What a harness needs to contain its candidates, and a candidate never.
const HARNESS_ONLY: &[c_long] =
    &[libc::SYS_mount, libc::SYS_setns, libc::SYS_umount2, libc::SYS_unshare];

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

/// The address families that sockets may have; the network namespace is empty. AF_VSOCK
/// above all is in no namespace.
const FAMILIES: [i32; 3] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6];

/// The terminal's ioctls that put input into somebody else's shell.
const IOCTLS: [u64; 2] = [0x5412, 0x541c]; // TIOCSTI, TIOCLINUX

/// The filter for `who`.
///
/// # Errors
/// If this machine's architecture has none.
pub fn program(who: For) -> io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let own = if who == For::Candidate { HARNESS_ONLY } else { &[] };
    for call in NEVER.iter().chain(NEVER_HERE).chain(own) {
        rules.insert(*call, Vec::new());
    }
    if who == For::Candidate {
        let making = NAMESPACES.iter().map(|flag| {
            let flag = u64::from(flag.unsigned_abs());
            rule(vec![condition(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?])
        });
        rules.insert(libc::SYS_clone, making.collect::<io::Result<_>>()?);
    }
    let strange = FAMILIES.iter().map(|family| {
        condition(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(family.unsigned_abs()))
    });
    rules.insert(libc::SYS_socket, vec![rule(strange.collect::<io::Result<_>>()?)?]);
    let inject = IOCTLS.iter().map(|request| {
        rule(vec![condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *request)?])
    });
    rules.insert(libc::SYS_ioctl, inject.collect::<io::Result<_>>()?);

    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch);
    let filter: BpfProgram =
        filter.map_err(io::Error::other)?.try_into().map_err(io::Error::other)?;
    Ok(unknown_calls().into_iter().chain(filter).collect())
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

/// Answers "no such call" to `clone3`, whose flags a filter cannot see (libraries then use
/// `clone`), and to the x32 numbers of all calls, which would pass by every rule.
fn unknown_calls() -> [sock_filter; 4] {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, of the call's number at offset 0
    const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const X32: u32 = 0x4000_0000;
    const CLONE3: u32 = 435;
    let no_such_call = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
    [
        sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: EQUAL, jt: 1, jf: 0, k: CLONE3 },
        sock_filter { code: AT_LEAST, jt: 0, jf: 1, k: X32 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: no_such_call },
    ]
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, length, operator, value).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harness_may_more_than_a_candidate() {
        let (harness, candidate) =
            (program(For::Harness).unwrap(), program(For::Candidate).unwrap());
        assert!(candidate.len() > harness.len());
        assert_eq!(bytes(&candidate).len(), candidate.len() * 8);
    }
}
