//! Has a program talk: what comes from the daemon goes to its standard input, and each line of its
//! standard output goes to the daemon, until one of them ends it. What it says is untrusted bytes,
//! and bounded.

use std::{
    fs,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::ExitStatusExt as _},
    },
    process::ExitStatus,
    time::{Duration, Instant},
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use super::{
    place::{For, Kept, Place},
    process,
};
use crate::daemon::evaluator::{
    frame,
    plan::{Reply, Request, Status, Turn},
};

/// What is kept of the standard error: its end.
const KEPT_ERRORS: usize = 64 << 10;
/// How long a program may take to end when nothing more comes, in milliseconds.
const LEAVING: u64 = 50;
/// What may wait for a program that does not read, in bytes.
pub const MAX_WAITING: usize = 1 << 20;

/// A program that talks.
struct Talk<'a> {
    control: &'a UnixStream,
    child: Pid,
    pidfd: OwnedFd,
    /// Its standard input, and what waits for it.
    input: Option<OwnedFd>,
    waiting: Vec<u8>,
    /// Its standard output: what came of a line, and how much there may still be.
    out: Kept,
    room: usize,
    err: Kept,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By itself.
    Gone,
    /// From here, as nothing more is to be said.
    Over,
    /// Its time is over.
    Late,
    /// It said more than it may, or does not read.
    Flood,
}

/// Starts the program of `request` in a place, the `count`-th; gives the last reply, what the program
/// said at last on its standard error, and whether the daemon has said that nothing more comes.
///
/// # Errors
/// If nobody hears any more, or the kernel refuses.
pub fn talk(
    place: &Place<'_>,
    request: &Request,
    body: &[u8],
    (what, count): (For, u64),
    control: &UnixStream,
) -> io::Result<(Reply, Vec<u8>, bool)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let ((input, to_input), (out, to_out), (err, to_err)) = (pipe()?, pipe()?, pipe()?);
    let (end, to_end) = pipe()?;
    let started = Instant::now();
    let Some(child) = place.fork(0)? else {
        drop((to_input, out, err, end));
        let first = || -> io::Result<()> {
            let entered = place.enter(what, count, &request.files, body, request.seed)?;
            let program = entered.start(&entered.fill(&request.argv), [input, to_out, to_err])?;
            let status = process::reap_until(program)?.as_raw();
            if !place.namespaces {
                entered.clear();
            }
            fs::File::from(to_end).write_all(&status.to_be_bytes())
        };
        std::process::exit(first().is_err().into());
    };
    drop((input, to_out, to_err, to_end));
    rustix::io::ioctl_fionbio(&to_input, true)?;
    let most = usize::try_from(place.limits.output_kib << 10).unwrap_or(usize::MAX >> 1);
    let mut program = Talk {
        control,
        child,
        pidfd: pidfd_open(child, PidfdFlags::empty())?,
        input: Some(to_input),
        waiting: Vec::new(),
        out: Kept::start(out, most),
        room: most,
        err: Kept::end(err, KEPT_ERRORS),
    };
    let limit = Duration::try_from_secs_f64(place.limits.time).unwrap_or(Duration::MAX);
    let how = program.until_its_end(started, limit)?;
    let ended = process::wait_for(child)?;
    let mut told = Kept::start(end, 4);
    told.drain();
    let status = match <[u8; 4]>::try_from(&told.bytes[..]) {
        Ok(raw) => ExitStatus::from_raw(i32::from_be_bytes(raw)),
        Err(_) => ended.status,
    };
    program.err.drain();
    let errors = program.err.last();
    let reply = Reply {
        status: match (how, status.code()) {
            // Ended from here: that is no fault of its.
            (End::Over, _) => Status::Exited(0),
            (_, Some(code)) => Status::Exited(code),
            (_, None) => Status::Killed(status.signal().unwrap_or(0)),
        },
        timed_out: how == End::Late,
        flooded: how == End::Flood,
        ended: how == End::Gone,
        wall_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        cpu_us: ended.cpu_us,
        max_rss: ended.max_rss,
        stderr: errors.len(),
        ..Reply::default()
    };
    Ok((reply, errors, how == End::Over))
}

impl Talk<'_> {
    /// Carries what is said both ways; when this returns, the program is dead, or about to be.
    fn until_its_end(&mut self, started: Instant, limit: Duration) -> io::Result<End> {
        loop {
            let left = limit.saturating_sub(started.elapsed());
            let end = if left.is_zero() { Some(End::Late) } else { self.step(left)? };
            match end {
                None => {}
                Some(End::Gone) => {
                    // Whatever it said before.
                    self.out.drain();
                    let flood = self.pass_lines()?;
                    return Ok(if flood { End::Flood } else { End::Gone });
                }
                Some(end) => {
                    if end == End::Over {
                        // Most end by themselves when nothing more comes, and what they used is
                        // known then.
                        self.input = None;
                        process::poll([(self.pidfd.as_fd(), process::READABLE)], Some(LEAVING))?;
                    }
                    kill_process(self.child, Signal::KILL)?;
                    return Ok(end);
                }
            }
        }
    }

    /// Waits until something happens, and does what is to be done.
    fn step(&mut self, left: Duration) -> io::Result<Option<End>> {
        let wait = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        // One that has ended would wake this loop for ever: wait for its process instead.
        let gone = (self.pidfd.as_fd(), process::READABLE);
        let from = |kept: &Kept| kept.open.then_some(process::READABLE);
        let out = from(&self.out).map_or(gone, |events| (self.out.fd.as_fd(), events));
        let err = from(&self.err).map_or(gone, |events| (self.err.fd.as_fd(), events));
        let to = self.input.as_ref().filter(|_| !self.waiting.is_empty());
        let to = to.map_or(gone, |fd| (fd.as_fd(), process::WRITABLE));
        let writes = to.1 == process::WRITABLE;
        let control = (self.control.as_fd(), process::READABLE);
        let [out, err, to, said, gone] = process::poll([out, err, to, control, gone], Some(wait))?;
        if gone {
            return Ok(Some(End::Gone));
        }
        if err && self.err.open {
            self.err.take()?;
        }
        if out && self.out.open {
            self.out.take()?;
            if self.pass_lines()? {
                return Ok(Some(End::Flood));
            }
        }
        if to && writes {
            self.give();
        }
        if said {
            let mut control = self.control;
            let frame = frame::read(&mut control, MAX_WAITING)?;
            if frame.header::<Turn>()?.over {
                return Ok(Some(End::Over));
            }
            if self.waiting.len() + frame.body.len() > MAX_WAITING {
                return Ok(Some(End::Flood));
            }
            self.waiting.extend_from_slice(&frame.body);
        }
        Ok(None)
    }

    /// Writes some of what waits.
    fn give(&mut self) {
        let Some(to) = &self.input else { return };
        match rustix::io::write(to, &self.waiting) {
            Ok(written) => drop(self.waiting.drain(..written)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // It does not want to hear more.
            Err(_) => (self.input, self.waiting) = (None, Vec::new()),
        }
    }

    /// Sends the lines that are whole; tells whether it said more than it may.
    fn pass_lines(&mut self) -> io::Result<bool> {
        while let Some(end) = self.out.bytes.iter().position(|byte| *byte == b'\n') {
            let rest = self.out.bytes.split_off(end + 1);
            let mut line = std::mem::replace(&mut self.out.bytes, rest);
            line.truncate(end);
            let Some(room) = self.room.checked_sub(line.len() + 1) else { return Ok(true) };
            self.room = room;
            let reply = Reply { stdout: line.len(), more: true, ..Reply::default() };
            let mut control = self.control;
            control.write_all(&frame::encode(&reply, &[&line])?)?;
        }
        Ok(self.out.cut || self.out.bytes.len() > self.room)
    }
}
