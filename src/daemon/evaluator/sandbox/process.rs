//! System calls about processes and descriptors that no library of ours wraps.

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd},
        unix::process::ExitStatusExt as _,
    },
    process::ExitStatus,
};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait},
};

/// How a child ended and what it used.
pub struct Ended {
    /// Its wait status.
    pub status: ExitStatus,
    /// Processor time of it and of all that it waited for, in microseconds.
    pub cpu_us: u64,
    /// The largest resident memory of one of them, in bytes.
    pub max_rss: u64,
}

/// What there is on a descriptor: something to read, or its end.
pub const READABLE: i16 = libc::POLLIN;
/// There is room to write, or nobody who reads.
pub const WRITABLE: i16 = libc::POLLOUT;
/// The other side will send no more.
pub const HUNG_UP: i16 = libc::POLLRDHUP;

/// Forks, into new namespaces where `flags` name some. `None` in the child.
///
/// # Errors
/// If the kernel refuses.
pub fn fork(flags: libc::c_int) -> io::Result<Option<Pid>> {
    // SAFETY: like fork(2): the stack is null, so the child goes on with a copy of this one,
    // and this process has one thread, so the child may do whatever its parent may.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0) };
    match pid {
        ..0 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        #[expect(clippy::cast_possible_truncation, reason = "a process id")]
        pid => Ok(Pid::from_raw(pid as i32)),
    }
}

/// Waits until one of `fds` has what is asked of it, `None`: for ever. Tells for each
/// whether it has.
///
/// # Errors
/// If the kernel refuses.
pub fn poll<const N: usize>(
    fds: [(BorrowedFd<'_>, i16); N],
    milliseconds: Option<u64>,
) -> io::Result<[bool; N]> {
    let mut ready = [false; N];
    ready.copy_from_slice(&poll_all(&fds, milliseconds)?);
    Ok(ready)
}

/// Like [`poll`], of any number.
///
/// # Errors
/// If the kernel refuses.
pub fn poll_all(fds: &[(BorrowedFd<'_>, i16)], milliseconds: Option<u64>) -> io::Result<Vec<bool>> {
    let entry = |(fd, events): &(BorrowedFd<'_>, i16)| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: *events,
        revents: 0,
    };
    let mut list: Vec<_> = fds.iter().map(entry).collect();
    let timeout = milliseconds.map_or(-1, |ms| i32::try_from(ms).unwrap_or(i32::MAX));
    // SAFETY: the list is that long and outlives the call.
    let ready = unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, timeout) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok(vec![false; list.len()]);
    }
    Ok(list.iter().map(|fd| fd.revents != 0).collect())
}

/// Waits for `child` to end.
///
/// # Errors
/// If it is no child of this process.
pub fn wait_for(child: Pid) -> io::Result<Ended> {
    let mut status = 0;
    // SAFETY: all-zero bytes are a valid rusage, which is plain numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both places are ours and outlive the call.
        let pid = unsafe {
            libc::wait4(child.as_raw_nonzero().get(), &raw mut status, 0, &raw mut usage)
        };
        if pid >= 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let us =
        |time: libc::timeval| time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_usec.unsigned_abs();
    Ok(Ended {
        status: ExitStatus::from_raw(status),
        cpu_us: us(usage.ru_utime) + us(usage.ru_stime),
        max_rss: usage.ru_maxrss.unsigned_abs() << 10,
    })
}

/// Reaps whatever ends until `child` does; how it ended.
///
/// # Errors
/// If there is no such child.
pub fn reap_until(child: Pid) -> io::Result<WaitStatus> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => return Ok(status),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes `to` another name of `fd`, one that lives on over `exec`.
///
/// # Errors
/// If the kernel refuses.
///
/// # Safety
/// No object may own `to`.
pub unsafe fn place(fd: &impl AsFd, to: i32) -> io::Result<()> {
    // SAFETY: plain numbers; that nobody owns the second is the caller's to see to.
    let result = unsafe {
        // If it has that name already, `dup2` leaves it as it is: closed on exec.
        libc::dup2(fd.as_fd().as_raw_fd(), to) | libc::fcntl(to, libc::F_SETFD, 0)
    };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives this process's uts namespace a name of its own. Without one it keeps the old name.
pub fn name_host(name: &str) {
    // SAFETY: the bytes are that many and outlive the call.
    let _ = unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) };
}

/// From now on the orphans among this process's descendants become its children.
///
/// # Errors
/// If the kernel refuses.
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: a plain number.
    let result = unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Kills all other processes of this one's pid namespace, whose first process it must be, and
/// waits until they are gone; with `namespace` false, all its children and theirs.
pub fn kill_all(namespace: bool) {
    if !namespace {
        return kill_children();
    }
    // SAFETY: plain numbers. All at once, so that none can fork away; this process is the
    // first of its namespace and is left out.
    let _ = unsafe { libc::kill(-1, libc::SIGKILL) };
    while !matches!(wait(WaitOptions::empty()), Err(Errno::CHILD)) {}
}

/// Kills all children of this process, and theirs as they become its own, until none is left.
pub fn kill_children() {
    loop {
        let own = std::process::id();
        let children = fs::read_to_string(format!("/proc/self/task/{own}/children"));
        for pid in children.unwrap_or_default().split_whitespace() {
            if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
