//! The keeper's watch: until the inner process ends, the daemon goes, or, where no control
//! group bounds memory, all processes together have too much of it.

use std::{
    io,
    os::{fd::AsFd as _, unix::net::UnixStream},
};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use super::process::{HUNG_UP, READABLE, poll};
use crate::daemon::evaluator::holding;

/// How often memory is added up, in milliseconds.
const PERIOD: u64 = 50;

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
            let all = holding::below(inner.as_raw_nonzero().get());
            if all.iter().map(|(_, held)| held.memory).sum::<u64>() > bound {
                let below = all.iter().skip(1).max_by_key(|(_, held)| held.memory);
                let largest = below.or(all.first());
                if let Some(victim) = largest.and_then(|(pid, _)| Pid::from_raw(*pid)) {
                    let _ = kill_process(victim, Signal::KILL);
                }
            }
        }
    }
}
