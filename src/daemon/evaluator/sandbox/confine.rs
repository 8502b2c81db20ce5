//! What a process in a sandbox gives up: its user, its privileges, its descriptors.

use std::io;

use libc::c_int;
use rustix::{
    process::{Resource, Rlimit, Signal, setrlimit},
    thread::{CapabilitySet, CapabilitySets},
};

use super::process;
use crate::{daemon::evaluator::cgroup::Group, domain::suite::Limits};

const DESCRIPTORS: u64 = 1024;

/// Becomes user and group `id` for good, in no other group.
///
/// # Errors
/// If the kernel refuses.
pub fn become_user(id: u32) -> io::Result<()> {
    // Where another user made the namespace, the kernel forbids to change groups, and then
    // they count for nothing.
    // SAFETY: a null list of no groups; the process has one thread, as all calls below.
    let _ = unsafe { libc::setgroups(0, std::ptr::null()) };
    // SAFETY: plain numbers.
    check(unsafe { libc::setresgid(id, id, id) })?;
    // SAFETY: plain numbers.
    check(unsafe { libc::setresuid(id, id, id) })
}

/// Dies with its parent from now on.
///
/// # Errors
/// If the kernel refuses.
pub fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Lets go of the daemon's socket and pipe, and of the kernel's leave for others of this user
/// to look into this process.
///
/// # Errors
/// If the kernel refuses.
pub fn hide() -> io::Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for fd in 0..3 {
        // SAFETY: the owner of descriptor 0 is never used again in this process, and never
        // dropped, as it ends by `exit`; 1 and 2 are the standard outputs, which nobody owns.
        unsafe { process::place(&null, fd)? };
    }
    Ok(())
}

/// The limits that every process has for itself. Those of memory and processes stand in
/// for a control group where `group` has none; `own` processes of ours are counted beside.
///
/// # Errors
/// If the kernel refuses.
pub fn limit(limits: &Limits, group: &Group, own: u32) -> io::Result<()> {
    let mib = |mib: u64| mib.saturating_mul(1 << 20);
    // The group, which counts how often it was hit, shall be hit first.
    let room = if group.bounds_processes() { own + 16 } else { own };
    let mut list = vec![
        // Not 0: a program of the system that takes core dumps from a pipe would get them
        // all the same, but not with this length, which the kernel holds for a fault. The filter
        // keeps it so.
        (Resource::Core, 1),
        (Resource::Nofile, DESCRIPTORS),
        (Resource::Fsize, mib(limits.disk_mib.max(1))),
        (Resource::Nproc, u64::from(limits.processes.saturating_add(room))),
        (Resource::Memlock, 64 << 10),
        (Resource::Rtprio, 0),
        (Resource::Nice, 0),
    ];
    if !group.bounds_memory() {
        list.push((Resource::Data, mib(limits.memory_mib)));
    }
    for (resource, most) in list {
        // Never more than there is already.
        let there = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let most = Some(most.min(there));
        setrlimit(resource, Rlimit { current: most, maximum: most })?;
    }
    Ok(())
}

/// Keeps no capability but the one for making namespaces and mounts, and that over `exec`;
/// no program that is executed brings new ones.
///
/// # Errors
/// If the kernel refuses.
pub fn keep_only_namespaces() -> io::Result<()> {
    let keep = CapabilitySet::SYS_ADMIN;
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if one != keep {
            // Numbers that this kernel does not know are refused.
            let _ = rustix::thread::remove_capability_from_bounding_set(one);
        }
    }
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: keep };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::thread::configure_capability_in_ambient_set(keep, true)?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Gives up every capability, for good.
///
/// # Errors
/// If the kernel refuses.
pub fn drop_privileges() -> io::Result<()> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    let _ = rustix::thread::clear_ambient_capability_set();
    rustix::thread::set_capabilities(None, sets)?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

/// Closes every descriptor from `first` on.
///
/// # Errors
/// If the kernel refuses.
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the callers own no object that still uses a descriptor in this range.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    check(if result == 0 { 0 } else { -1 })
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
