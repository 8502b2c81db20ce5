//! Has an agent's program answer inputs: a process for each, or one for all that answers by
//! lines. Runs as the first process of the agent's place; what the program says is untrusted
//! bytes, of which a bounded part goes on.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::ExitStatusExt as _,
    },
    process::ExitStatus,
    time::{Duration, Instant},
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{
    place::{Entered, Kept},
    process,
};
use crate::{
    daemon::evaluator::{
        frame,
        plan::{Reply, Status},
    },
    domain::suite::Limits,
};

/// What is kept of the standard error of each answer: its end.
const KEPT_ERRORS: usize = 2 << 10;

/// How one turn of a program ended.
enum End {
    /// With an answer; the program waits for the next input.
    Line,
    /// The program is gone.
    Gone,
    /// Its time is over.
    Late,
    /// It said more than it may.
    Flood,
    /// It spoke before it was asked.
    Early,
}

/// Writes to `to` a reply for each of `inputs`, in their order.
///
/// # Errors
/// If nobody hears any more, or the kernel refuses.
pub fn converse(
    entered: &Entered<'_>,
    argv: &[OsString],
    inputs: &[&[u8]],
    lines: bool,
    limits: &Limits,
    to: &mut impl Write,
) -> io::Result<()> {
    let mut waiting: Option<Program> = None;
    for input in inputs {
        let started = Instant::now();
        let limit = Duration::try_from_secs_f64(limits.time).unwrap_or(Duration::MAX);
        // One that ended after its last answer is started anew.
        let mut program = match waiting.take().filter(|program| !program.has_ended()) {
            Some(program) => program,
            None => {
                entered.clear();
                Program::start(entered, argv, limits)?
            }
        };
        let end = program.turn(input, lines, started, limit)?;
        let mut status = Status::Exited(0);
        if !matches!(end, End::Line) {
            if matches!(end, End::Gone) {
                status = program.status()?;
            }
            entered.clear();
            program.out.drain();
            program.err.drain();
        }
        let answer = program.answer(lines);
        let errors = program.err.last();
        let reply = Reply {
            status,
            timed_out: matches!(end, End::Late),
            wall_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            stdout: answer.len(),
            stderr: errors.len(),
            stdout_cut: matches!(end, End::Flood) || program.out.cut,
            early: matches!(end, End::Early),
            ended: matches!(end, End::Gone),
            more: true,
            ..Reply::default()
        };
        to.write_all(&frame::encode(&reply, &[&answer, &errors])?)?;
        if matches!(end, End::Line) {
            waiting = Some(program);
        }
    }
    Ok(())
}

/// A running program and its streams.
struct Program {
    child: Pid,
    pidfd: OwnedFd,
    input: Option<OwnedFd>,
    out: Kept,
    err: Kept,
}

impl Program {
    fn start(entered: &Entered<'_>, argv: &[OsString], limits: &Limits) -> io::Result<Self> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let ((input, to_input), (out, to_out), (err, to_err)) = (pipe()?, pipe()?, pipe()?);
        let child = entered.start(argv, [input, to_out, to_err])?;
        rustix::io::ioctl_fionbio(&to_input, true)?;
        // One byte more, for the end of a line.
        let most = usize::try_from(limits.output_kib << 10).unwrap_or(usize::MAX - 1) + 1;
        Ok(Self {
            child,
            pidfd: pidfd_open(child, PidfdFlags::empty())?,
            input: Some(to_input),
            out: Kept::start(out, most),
            err: Kept::end(err, KEPT_ERRORS),
        })
    }

    fn has_ended(&self) -> bool {
        let ready = process::poll([(self.pidfd.as_fd(), process::READABLE)], Some(0));
        ready.is_ok_and(|[ended]| ended)
    }

    /// Gives the program its input and takes what it says, until it has answered.
    fn turn(
        &mut self,
        mut input: &[u8],
        lines: bool,
        started: Instant,
        limit: Duration,
    ) -> io::Result<End> {
        if lines {
            let [spoke] = process::poll([(self.out.fd.as_fd(), process::READABLE)], Some(0))?;
            if !self.out.bytes.is_empty() || spoke && self.out.open {
                return Ok(End::Early);
            }
        }
        loop {
            if lines && self.out.bytes.contains(&b'\n') {
                return Ok(End::Line);
            }
            if self.out.cut {
                return Ok(End::Flood);
            }
            let left = limit.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Ok(End::Late);
            }
            let wait = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
            // One that has ended would wake this loop for ever: wait for its process instead.
            let gone = (self.pidfd.as_fd(), process::READABLE);
            let from = |kept: &Kept| kept.open.then_some(process::READABLE);
            let out = from(&self.out).map_or(gone, |events| (self.out.fd.as_fd(), events));
            let err = from(&self.err).map_or(gone, |events| (self.err.fd.as_fd(), events));
            let to = self.input.as_ref().filter(|_| !input.is_empty() || !lines);
            let to = to.map_or(gone, |fd| (fd.as_fd(), process::WRITABLE));
            let writes = to.1 == process::WRITABLE;
            let [out, err, to, gone] = process::poll([out, err, to, gone], Some(wait))?;
            if out && self.out.open {
                self.out.take()?;
            }
            if err && self.err.open {
                self.err.take()?;
            }
            if to && writes {
                self.give(&mut input, lines);
            }
            if gone {
                self.out.drain();
                let answered = lines && self.out.bytes.contains(&b'\n');
                return Ok(if answered { End::Line } else { End::Gone });
            }
        }
    }

    /// Writes some of `input`; closes the stream after all of it, unless more will come.
    fn give(&mut self, input: &mut &[u8], lines: bool) {
        let Some(to) = &self.input else { return };
        match rustix::io::write(to, input) {
            Ok(written) => *input = input.get(written..).unwrap_or_default(),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            // It does not want to hear the rest.
            Err(_) => *input = &[],
        }
        if input.is_empty() && !lines {
            self.input = None;
        }
    }

    fn status(&self) -> io::Result<Status> {
        let status = ExitStatus::from_raw(process::reap_until(self.child)?.as_raw());
        Ok(match status.code() {
            Some(code) => Status::Exited(code),
            None => Status::Killed(status.signal().unwrap_or(0)),
        })
    }

    /// What was said; of lines the first, and the rest is kept.
    fn answer(&mut self, lines: bool) -> Vec<u8> {
        let end = self.out.bytes.iter().position(|byte| *byte == b'\n').filter(|_| lines);
        let rest = end.map_or(Vec::new(), |end| self.out.bytes.split_off(end + 1));
        let mut answer = std::mem::replace(&mut self.out.bytes, rest);
        answer.truncate(end.unwrap_or(usize::MAX));
        answer
    }
}

/// Sends the replies that come from `from` to `to`, as they are, until there are no more.
///
/// # Errors
/// If nobody hears any more.
pub fn pass_on(from: OwnedFd, most: usize, to: &mut impl Write) -> io::Result<()> {
    let mut from = fs::File::from(from);
    while let Ok(frame) = frame::read(&mut from, most) {
        to.write_all(&frame.bytes()?)?;
    }
    Ok(())
}
