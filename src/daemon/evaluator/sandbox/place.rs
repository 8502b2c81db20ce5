//! A place for one candidate, in namespaces of its own: its first process is ours, lays its
//! files, starts its programs and reaps; when it ends, the kernel kills all that is left.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Pid;
use seccompiler::sock_filter;

use super::{confine, process, reach::Reach, view};
use crate::{daemon::evaluator::plan::Item, domain::suite::Limits};

const CHUNK: usize = 64 << 10;
/// The most that a pipe holds, in chunks, once its writers are gone.
const PIPE_CHUNKS: usize = 64;

/// Where and how candidates run.
pub struct Place<'a> {
    /// The suite's directory.
    pub suite: &'a Path,
    /// The directory to write in.
    pub tmp: &'a Path,
    /// Our own directory, with what starts candidates for a scorer.
    pub ours: &'a Path,
    /// The environment's variables, all of them.
    pub environment: Vec<(&'static str, OsString)>,
    /// Whether the agent's own programs may ask models.
    pub models: bool,
    /// The system call filter.
    pub filter: &'a [sock_filter],
    /// What candidates may reach at most.
    pub reach: Option<&'a Reach>,
    /// What one evaluation may use.
    pub limits: &'a Limits,
    /// Whether each candidate has namespaces of its own.
    pub namespaces: bool,
}

/// What a place is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// A program of the suite that has the agent's run: it sees the suite's files, and the
    /// agent's as data.
    Scorer,
    /// A program of the suite that judges answers: it sees the suite's files.
    Judge,
    /// The agent's own programs: nothing of the suite is there.
    Agent,
}

/// A place that this process has entered.
pub struct Entered<'a> {
    place: &'a Place<'a>,
    what: For,
    /// The one directory to write in.
    directory: PathBuf,
    /// Where the agent's files lie.
    pub agent: PathBuf,
    seed: u64,
}

impl Place<'_> {
    /// Forks a process that is to enter the place. `None` in the child.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn fork(&self, more: libc::c_int) -> io::Result<Option<Pid>> {
        let own = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | more;
        process::fork(if self.namespaces { own } else { 0 })
    }

    /// Where the `count`-th candidate may write.
    #[must_use]
    pub fn directory(&self, count: u64) -> PathBuf {
        if self.namespaces { self.tmp.to_owned() } else { self.tmp.join(count.to_string()) }
    }

    /// Makes this forked process the first one of the place, with the agent's files laid.
    ///
    /// # Errors
    /// If the kernel refuses, or the files do not fit.
    pub fn enter(
        &self,
        what: For,
        count: u64,
        files: &[Item],
        body: &[u8],
        seed: u64,
    ) -> io::Result<Entered<'_>> {
        rustix::process::setsid()?;
        confine::die_with_parent()?;
        // The programs see this process: they must find no socket in it, nor any way into it.
        confine::hide()?;
        let directory = self.directory(count);
        let agent = directory.join("agent");
        if self.namespaces {
            view::mount_tmp(self.tmp, &view::tmp_options(self.limits.disk_mib))?;
            let _ = view::mount_proc(Path::new("/proc"));
            lay(&agent, files, body)?;
            if self.models && what != For::Agent {
                view::remove(Path::new(view::MODELS))?;
            }
            match what {
                For::Scorer => view::protect(&agent)?,
                For::Judge => view::cover(self.ours)?,
                For::Agent => {
                    view::remove(self.suite)?;
                    view::cover(self.ours)?;
                }
            }
            confine::drop_privileges()?;
        } else {
            process::adopt_orphans()?;
            fs::create_dir(&directory)?;
            lay(&agent, files, body)?;
        }
        if let Some(reach) = self.reach {
            // Without mounts to take away, this is what keeps the suite from the agent.
            let hidden = [self.suite, self.ours];
            reach.enter(&directory, if what == For::Agent { &hidden } else { &[] })?;
        }
        seccompiler::apply_filter(self.filter).map_err(io::Error::other)?;
        Ok(Entered { place: self, what, directory, agent, seed })
    }
}

impl Entered<'_> {
    /// `argv` without its placeholders.
    #[must_use]
    pub fn fill(&self, argv: &[String]) -> Vec<OsString> {
        let fill = |argument: &String| {
            let filled = argument.replace("{suite}", &self.place.suite.to_string_lossy());
            OsString::from(filled.replace("{agent}", &self.agent.to_string_lossy()))
        };
        argv.iter().map(fill).collect()
    }

    /// Starts a program in the agent's directory with these standard streams.
    ///
    /// # Errors
    /// If there is none named, or the kernel refuses to fork. One that cannot be executed says
    /// so on its standard error and ends with status 127.
    pub fn start(&self, argv: &[OsString], streams: [OwnedFd; 3]) -> io::Result<Pid> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if let Some(child) = process::fork(0)? {
            // The streams are closed here, so that they end when the program's own ends do.
            return Ok(child);
        }
        let environment = self.environment();
        let [input, out, err] = streams;
        let mut complaint = fs::File::from(err.try_clone()?);
        let error = Command::new(find(program, &self.agent, &environment))
            .arg0(program)
            .args(arguments)
            .env_clear()
            .envs(environment)
            .current_dir(&self.agent)
            .stdin(Stdio::from(input))
            .stdout(out)
            .stderr(err)
            .exec();
        let _ = writeln!(complaint, "{}: {error}", program.to_string_lossy());
        std::process::exit(127);
    }

    /// Kills all processes here but this one, and waits until they are gone.
    pub fn clear(&self) {
        process::kill_all(self.place.namespaces);
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut all = self.place.environment.clone();
        all.push(("DARWIN_SEED", self.seed.to_string().into()));
        for (name, value) in &mut all {
            match *name {
                "HOME" | "TMPDIR" => *value = self.directory.clone().into(),
                "PATH" if self.what == For::Scorer => {
                    value.push(":");
                    value.push(self.place.ours);
                }
                _ => {}
            }
        }
        if self.what == For::Agent && self.place.models {
            all.push((view::MODELS_VARIABLE, view::MODELS.into()));
        }
        if self.what == For::Scorer {
            all.push(("DARWIN_RUN", self.place.ours.join(view::RUN).into()));
        }
        all
    }
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

/// What is kept of an output, of which there may be any amount.
pub struct Kept {
    /// Where it comes from.
    pub fd: OwnedFd,
    /// What was read and kept.
    pub bytes: Vec<u8>,
    most: usize,
    tail: bool,
    /// Whether something was dropped.
    pub cut: bool,
    /// Whether its end was not reached yet.
    pub open: bool,
}

impl Kept {
    /// Keeps the first `most` bytes.
    #[must_use]
    pub fn start(fd: OwnedFd, most: usize) -> Self {
        Self { fd, bytes: Vec::new(), most, tail: false, cut: false, open: true }
    }

    /// Keeps the last `most` bytes at least, and twice as many at most.
    #[must_use]
    pub fn end(fd: OwnedFd, most: usize) -> Self {
        Self { tail: true, ..Self::start(fd, 2 * most) }
    }

    /// The last bytes, as many as were asked for; the others are forgotten.
    #[must_use]
    pub fn last(&mut self) -> Vec<u8> {
        let kept = self.bytes.len().saturating_sub(self.most / 2);
        std::mem::take(&mut self.bytes).split_off(kept)
    }

    /// Reads once.
    ///
    /// # Errors
    /// If the kernel refuses, or there is nothing yet.
    pub fn take(&mut self) -> io::Result<()> {
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
    pub fn drain(&mut self) {
        let _ = rustix::io::ioctl_fionbio(&self.fd, true);
        for _ in 0..PIPE_CHUNKS {
            if !self.open || self.take().is_err() {
                return;
            }
        }
    }
}
