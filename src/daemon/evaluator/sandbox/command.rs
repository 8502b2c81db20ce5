//! The warm harness of `command` suites: a process per candidate, in namespaces of its own.
//!
//! A candidate's first process is ours, so that the program has an init that reaps; it ends
//! with the program, and the kernel kills all that is left.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            fs::OpenOptionsExt as _,
            net::UnixStream,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};
use seccompiler::sock_filter;

use super::{confine, process, reach::Reach, view};
use crate::{
    daemon::evaluator::{
        frame,
        plan::{Item, Reply, Request, Status},
    },
    domain::{genome::MAX_GENOME, suite::Limits},
};

/// What is kept of the standard error: its end.
const KEPT_ERRORS: usize = 64 << 10;
/// What of the standard error is held at most.
const HELD_ERRORS: usize = 2 * KEPT_ERRORS;
const CHUNK: usize = 64 << 10;
/// The most that a pipe holds, in chunks, once its writers are gone.
const PIPE_CHUNKS: usize = 64;

/// Where and how candidates run.
pub struct Place<'a> {
    /// The program and its arguments, with their placeholders.
    pub argv: &'a [String],
    /// The suite's directory.
    pub suite: &'a Path,
    /// The directory to write in.
    pub tmp: &'a Path,
    /// The environment's variables, all of them.
    pub environment: Vec<(&'static str, OsString)>,
    /// The system call filter.
    pub filter: &'a [sock_filter],
    /// What candidates may reach at most.
    pub reach: Option<&'a Reach>,
    /// What one evaluation may use.
    pub limits: &'a Limits,
    /// Whether each candidate has namespaces of its own.
    pub namespaces: bool,
}

/// Answers requests until the daemon hangs up.
pub fn serve(place: &Place<'_>, control: &UnixStream) {
    let mut control = control;
    let _ = process::adopt_orphans();
    let mut count = 0u64;
    while let Ok(frame) = frame::read(&mut control, 2 * MAX_GENOME) {
        count += 1;
        let Ok(request) = frame.header::<Request>() else { return };
        let answer = evaluate(place, &request, &frame.body, count);
        // Without an answer the daemon sees this process end, and starts another.
        let Ok((reply, stdout, stderr)) = answer else { return };
        let Ok(bytes) = frame::encode(&reply, &[&stdout, &stderr]) else { return };
        if control.write_all(&bytes).is_err() {
            return;
        }
    }
}

type Answer = (Reply, Vec<u8>, Vec<u8>);

fn evaluate(place: &Place<'_>, request: &Request, body: &[u8], count: u64) -> io::Result<Answer> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let (out, to_out) = pipe()?;
    let (err, to_err) = pipe()?;
    let (end, to_end) = pipe()?;
    let started = Instant::now();
    let own = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC;
    let directory =
        if place.namespaces { place.tmp.to_owned() } else { place.tmp.join(count.to_string()) };
    let Some(child) = process::fork(if place.namespaces { own } else { 0 })? else {
        drop((out, err, end));
        let code = match keep(place, request, body, &directory, [to_out, to_err]) {
            Ok(status) => fs::File::from(to_end).write_all(&status.to_be_bytes()).is_err().into(),
            Err(_) => 1,
        };
        std::process::exit(code);
    };
    drop((to_out, to_err, to_end));
    let limit = usize::try_from(place.limits.output_kib << 10).unwrap_or(usize::MAX);
    let mut out =
        Kept { fd: out, bytes: Vec::new(), most: limit, tail: false, cut: false, open: true };
    let mut err =
        Kept { fd: err, bytes: Vec::new(), most: HELD_ERRORS, tail: true, cut: false, open: true };
    let timed_out = watch(child, &mut out, &mut err, started, place.limits.time)?;
    let ended = process::wait_for(child)?;
    if !place.namespaces {
        process::kill_children();
        let _ = fs::remove_dir_all(&directory);
    }
    out.drain();
    err.drain();
    let mut status = [0; 4];
    let told = fs::File::from(end).read_exact(&mut status).is_ok();
    let status = if told {
        std::process::ExitStatus::from_raw(i32::from_be_bytes(status))
    } else {
        ended.status
    };
    let kept = err.bytes.len().saturating_sub(KEPT_ERRORS);
    let stderr = err.bytes.split_off(kept);
    let reply = Reply {
        status: match (status.code(), status.signal()) {
            (Some(code), _) => Status::Exited(code),
            (None, signal) => Status::Killed(signal.unwrap_or(0)),
        },
        timed_out,
        wall_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        cpu_us: ended.cpu_us,
        max_rss: ended.max_rss,
        stdout: out.bytes.len(),
        stderr: stderr.len(),
        stdout_cut: out.cut,
        ..Reply::default()
    };
    Ok((reply, out.bytes, stderr))
}

/// The candidate's first process: builds its place, starts the program, reaps until that has
/// ended. Returns the program's wait status.
fn keep(
    place: &Place<'_>,
    request: &Request,
    body: &[u8],
    directory: &Path,
    outputs: [OwnedFd; 2],
) -> io::Result<i32> {
    rustix::process::setsid()?;
    confine::die_with_parent()?;
    // The program sees this process: it must find no socket in it, nor any way into it.
    confine::hide()?;
    if place.namespaces {
        view::mount_tmp(place.tmp, &view::tmp_options(place.limits.disk_mib))?;
        let _ = view::mount_proc(Path::new("/proc"));
        confine::drop_privileges()?;
    } else {
        process::adopt_orphans()?;
        fs::create_dir(directory)?;
    }
    if let Some(reach) = place.reach {
        reach.enter(directory)?;
    }
    seccompiler::apply_filter(place.filter).map_err(io::Error::other)?;
    let agent = directory.join("agent");
    lay(&agent, &request.files, body)?;
    let fill = |argument: &String| {
        let filled = argument.replace("{suite}", &place.suite.to_string_lossy());
        OsString::from(filled.replace("{agent}", &agent.to_string_lossy()))
    };
    let argv: Vec<OsString> = place.argv.iter().map(fill).collect();
    let Some((program, arguments)) = argv.split_first() else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let Some(child) = process::fork(0)? else {
        let [out, err] = outputs;
        let mut complaint = fs::File::from(err.try_clone()?);
        let error = Command::new(find(program, &agent, &place.environment))
            .arg0(program)
            .args(arguments)
            .env_clear()
            .envs(place.environment.iter().map(|(name, value)| (name, value)))
            .env("DARWIN_SEED", request.seed.to_string())
            .env("HOME", directory)
            .env("TMPDIR", directory)
            .current_dir(&agent)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .exec();
        let _ = writeln!(complaint, "{}: {error}", program.to_string_lossy());
        std::process::exit(127);
    };
    // So that the pipes end when the program's own ends do.
    drop(outputs);
    let status = process::reap_until(child)?;
    if !place.namespaces {
        process::kill_children();
    }
    Ok(status.as_raw())
}

/// The program's file: as it is if it has a slash, else the first on the path.
fn find(program: &OsStr, agent: &Path, environment: &[(&'static str, OsString)]) -> OsString {
    if program.to_string_lossy().contains('/') {
        return agent.join(program).into();
    }
    let path = environment.iter().find(|(name, _)| *name == "PATH");
    let path = path.map(|(_, value)| value.as_os_str()).unwrap_or_default();
    let found =
        std::env::split_paths(path).map(|dir| dir.join(program)).find(|file| file.is_file());
    found.map_or_else(|| program.to_owned(), Into::into)
}

/// Writes the agent's files under `directory`, which must not be there yet.
fn lay(directory: &Path, files: &[Item], body: &[u8]) -> io::Result<()> {
    fs::create_dir(directory)?;
    let mut rest = body;
    for file in files {
        let path = directory.join(&file.path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let (content, after) =
            rest.split_at_checked(file.size).ok_or(io::ErrorKind::UnexpectedEof)?;
        rest = after;
        let mode = if file.executable { 0o755 } else { 0o644 };
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(content)?;
    }
    Ok(())
}

/// Takes the outputs until the candidate is gone; kills it when its time is over, and tells so.
fn watch(
    child: Pid,
    out: &mut Kept,
    err: &mut Kept,
    started: Instant,
    seconds: f64,
) -> io::Result<bool> {
    let pidfd = pidfd_open(child, PidfdFlags::empty())?;
    let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    loop {
        let left = limit.saturating_sub(started.elapsed());
        if left.is_zero() {
            kill_process(child, Signal::KILL)?;
            return Ok(true);
        }
        // One that has ended would wake this loop for ever: wait for its process instead.
        let wait = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let first = if out.open { out.fd.as_fd() } else { pidfd.as_fd() };
        let second = if err.open { err.fd.as_fd() } else { pidfd.as_fd() };
        let readable = [first, second, pidfd.as_fd()].map(|fd| (fd, process::READABLE));
        let [some_out, some_err, gone] = process::poll(readable, Some(wait))?;
        if gone {
            return Ok(false);
        }
        if some_out && out.open {
            out.take()?;
        }
        if some_err && err.open {
            err.take()?;
        }
    }
}

/// What is kept of an output, of which there may be any amount.
struct Kept {
    fd: OwnedFd,
    bytes: Vec<u8>,
    most: usize,
    /// Whether the end is kept and not the start.
    tail: bool,
    cut: bool,
    open: bool,
}

impl Kept {
    /// Reads once.
    fn take(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let read = rustix::io::read(&self.fd, &mut chunk)?;
        self.open = read > 0;
        let new = &chunk[..read];
        if self.tail {
            self.bytes.extend_from_slice(new);
            if self.bytes.len() > self.most {
                self.bytes.drain(..self.bytes.len() - self.most / 2);
                self.cut = true;
            }
        } else {
            let room = self.most - self.bytes.len();
            self.cut |= new.len() > room;
            self.bytes.extend_from_slice(&new[..new.len().min(room)]);
        }
        Ok(())
    }

    /// Reads what is there, and waits for no more.
    fn drain(&mut self) {
        let _ = rustix::io::ioctl_fionbio(&self.fd, true);
        for _ in 0..PIPE_CHUNKS {
            if !self.open || self.take().is_err() {
                return;
            }
        }
    }
}
