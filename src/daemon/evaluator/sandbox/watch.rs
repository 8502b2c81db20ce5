//! The keeper's watch: until the inner process ends, the daemon goes, or, where no control
//! group bounds memory, all processes together have too much of it.

use std::{
    fs, io,
    os::{fd::AsFd as _, unix::net::UnixStream},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::process::{HUNG_UP, READABLE, poll};

/// How often memory is added up, in milliseconds.
const PERIOD: u64 = 50;
/// More processes than a sandbox may have are not walked through.
const MAX_PROCESSES: usize = 10_000;

/// What ended the watch.
pub enum Ended {
    /// The inner process is gone.
    Inside,
    /// The daemon is gone, or wants no more of this sandbox.
    Daemon,
}

/// Waits. `bound` is in bytes; the largest process below the inner one is killed over it.
///
/// # Errors
/// If the kernel refuses to wait.
pub fn until_over(inner: Pid, control: &UnixStream, bound: Option<u64>) -> io::Result<Ended> {
    let inner_fd = pidfd_open(inner, PidfdFlags::empty())?;
    loop {
        // Of the socket only its end: what is sent is for the inner process.
        let waiting = [(inner_fd.as_fd(), READABLE), (control.as_fd(), HUNG_UP)];
        match poll(waiting, bound.map(|_| PERIOD))? {
            [_, true] => return Ok(Ended::Daemon),
            [true, _] => return Ok(Ended::Inside),
            [false, false] => {}
        }
        if let Some(bound) = bound {
            let all = below(inner.as_raw_nonzero().get());
            if all.iter().map(|(_, bytes)| bytes).sum::<u64>() > bound {
                let largest = all.iter().skip(1).max_by_key(|(_, bytes)| *bytes).or(all.first());
                if let Some(victim) = largest.and_then(|(pid, _)| Pid::from_raw(*pid)) {
                    let _ = kill_process(victim, Signal::KILL);
                }
            }
        }
    }
}

/// The processes from `first` down and the memory of their own that each has, in bytes.
fn below(first: i32) -> Vec<(i32, u64)> {
    let mut found: Vec<(i32, u64)> = Vec::new();
    let mut next = vec![first];
    while let Some(pid) = next.pop()
        && found.len() < MAX_PROCESSES
    {
        found.push((pid, memory(pid)));
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            next.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    found
}

/// Its anonymous and shared memory; pages of files cost nothing that cannot be had back.
fn memory(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    (kib("RssAnon:") + kib("RssShmem:")) << 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_children_are_added_up() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let all = below(own);
        assert_eq!(all[0].0, own);
        assert!(all[0].1 > 100_000, "{all:?}");
        assert!(all.iter().any(|(pid, _)| *pid == i32::try_from(child.id()).unwrap()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
