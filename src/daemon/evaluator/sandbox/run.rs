//! How a suite's scorer has a candidate run where the suite is not: it starts `darwin-run`,
//! which hands its arguments and its three standard streams to our first process over a
//! socket; that forks a second place, and answers with the status.
//!
//! The streams travel as descriptors, so nothing is copied but files, and a pipe ends when its
//! writers do. One message holds a whole request, and the socket is only in the scorer's place.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::{self, IoSlice, IoSliceMut, Read as _, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::{OsStrExt as _, OsStringExt as _},
            fs::PermissionsExt as _,
            process::ExitStatusExt as _,
        },
    },
    path::Path,
    process::ExitStatus,
    thread::{self, JoinHandle},
};

use rustix::{
    fs::{FileType, OFlags, fcntl_getfl, fstat},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with,
        bind, connect, listen as accept_from, recvmsg, sendmsg, socket_with,
    },
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use super::{
    place::{For, Place},
    process, view,
};
use crate::daemon::evaluator::{plan::Item, sweep};

/// The socket's name, among our own files.
const SOCKET: &str = "run.socket";
/// The longest list of arguments, in bytes.
const MAX_ARGUMENTS: usize = 64 << 10;
/// The most that run, or ask for it, at once.
const MAX_RUNS: usize = 64;
/// The status of `darwin-run` itself, where it could not start anything.
pub const FAILED: u8 = 125;

/// What `darwin-run` does: has `args` run, and waits. Its exit status.
///
/// # Errors
/// If there is nobody to ask, or what is asked is too much.
pub fn ask(args: &[impl AsRef<OsStr>]) -> io::Result<u8> {
    if args.is_empty() {
        return Err(io::Error::other("give the program to run and its arguments"));
    }
    let mut message = Vec::new();
    for argument in args {
        message.extend_from_slice(argument.as_ref().as_bytes());
        message.push(0);
    }
    if message.len() > MAX_ARGUMENTS {
        return Err(io::Error::other("the arguments are longer than 64 KiB"));
    }
    let own = std::env::var_os("DARWIN_RUN");
    let ours = own.as_deref().and_then(|path| Path::new(path).parent());
    let to = socket(SocketFlags::CLOEXEC)?;
    connect(&to, &SocketAddrUnix::new(ours.unwrap_or(Path::new(view::OURS)).join(SOCKET))?)?;
    let (input, _) = piped(io::stdin().as_fd(), true)?;
    let (out, out_pump) = piped(io::stdout().as_fd(), false)?;
    let (err, err_pump) = piped(io::stderr().as_fd(), false)?;
    {
        let streams = [input.as_fd(), out.as_fd(), err.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut rights = SendAncillaryBuffer::new(&mut space);
        rights.push(SendAncillaryMessage::ScmRights(&streams));
        sendmsg(&to, &[IoSlice::new(&message)], &mut rights, SendFlags::empty())?;
    }
    // Their readers shall see the end when the program's own ends close.
    drop((input, out, err));
    let mut status = [0; 4];
    fs::File::from(to).read_exact(&mut status).map_err(|_| {
        io::Error::other("it could not be started; its streams must be no directories")
    })?;
    for pump in [out_pump, err_pump].into_iter().flatten() {
        let _ = pump.join();
    }
    let status = ExitStatus::from_raw(i32::from_be_bytes(status));
    let signal = || 128 + status.signal().unwrap_or(0);
    Ok(u8::try_from(status.code().unwrap_or_else(signal)).unwrap_or(FAILED))
}

/// A stream to hand over: `own`, but where that is a file a pipe, from or to which its content is
/// pumped. Who has a file as a stream could open it anew, for writing, too.
fn piped(own: BorrowedFd<'_>, input: bool) -> io::Result<(OwnedFd, Option<JoinHandle<()>>)> {
    let own = own.try_clone_to_owned()?;
    if !is_file(&own)? || fcntl_getfl(&own)?.contains(OFlags::PATH) {
        return Ok((own, None));
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    let (given, from, to) = if input { (read, own, write) } else { (write, read, own) };
    let (mut from, mut to) = (fs::File::from(from), fs::File::from(to));
    let pump = move || {
        // Whoever reads may stop before the end.
        let _ = io::copy(&mut from, &mut to);
    };
    Ok((given, Some(thread::Builder::new().spawn(pump)?)))
}

fn is_file(stream: &OwnedFd) -> io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(stream)?.st_mode).is_file())
}

/// Makes the socket in `dir`.
///
/// # Errors
/// If the kernel refuses.
pub fn listen(dir: &Path) -> io::Result<OwnedFd> {
    let path = dir.join(SOCKET);
    let at = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
    bind(&at, &SocketAddrUnix::new(&path)?)?;
    // Whoever can reach it may: the directory decides.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
    accept_from(&at, 16)?;
    Ok(at)
}

fn socket(flags: SocketFlags) -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}

/// What one scorer has running.
pub struct Runs<'a> {
    place: &'a Place<'a>,
    listener: &'a OwnedFd,
    files: &'a [Item],
    body: &'a [u8],
    seed: u64,
    /// Numbers the directories, where there are no namespaces.
    count: u64,
    asking: Vec<OwnedFd>,
    running: Vec<Run>,
    /// The processor time that was used, in microseconds.
    pub cpu_us: u64,
    /// The largest resident memory, in bytes.
    pub max_rss: u64,
}

struct Run {
    caller: OwnedFd,
    child: Pid,
    pidfd: OwnedFd,
    status: OwnedFd,
    count: u64,
}

impl<'a> Runs<'a> {
    /// None yet; callers of an earlier scorer are forgotten. Directories are numbered from
    /// `count` on.
    #[must_use]
    pub fn new(
        place: &'a Place<'a>,
        listener: &'a OwnedFd,
        files: &'a [Item],
        body: &'a [u8],
        seed: u64,
        count: u64,
    ) -> Self {
        while accept_with(listener, SocketFlags::CLOEXEC).is_ok() {}
        let (asking, running) = (Vec::new(), Vec::new());
        Self { place, listener, files, body, seed, count, asking, running, cpu_us: 0, max_rss: 0 }
    }

    /// What to wait for, in the order that [`Runs::serve`] takes it.
    #[must_use]
    pub fn wanted(&self) -> Vec<(BorrowedFd<'_>, i16)> {
        let mut all = vec![(self.listener.as_fd(), process::READABLE)];
        all.extend(self.asking.iter().map(|fd| (fd.as_fd(), process::READABLE)));
        for run in &self.running {
            all.push((run.caller.as_fd(), process::HUNG_UP));
            all.push((run.pidfd.as_fd(), process::READABLE));
        }
        all
    }

    /// Does what there is to do.
    pub fn serve(&mut self, ready: &[bool]) {
        let [new, rest @ ..] = ready else { return };
        let (asked, ended) = rest.split_at(self.asking.len().min(rest.len()));
        let mut pairs = ended.chunks_exact(2);
        let mut running = Vec::new();
        for run in std::mem::take(&mut self.running) {
            if pairs.next().is_some_and(|pair| pair.contains(&true)) {
                self.finish(run);
            } else {
                running.push(run);
            }
        }
        self.running = running;
        let mut asking = Vec::new();
        for (caller, asked) in std::mem::take(&mut self.asking).into_iter().zip(asked) {
            if *asked {
                // A caller of whom nothing comes of sees its socket closed.
                let _ = self.begin(caller);
            } else {
                asking.push(caller);
            }
        }
        self.asking = asking;
        if *new && let Ok(caller) = accept_with(self.listener, SocketFlags::CLOEXEC) {
            self.asking.push(caller);
        }
        // The kernel keeps those that come then waiting.
        if self.asking.len() + self.running.len() > MAX_RUNS {
            self.asking.pop();
        }
    }

    /// Ends all.
    pub fn end(&mut self) {
        for run in std::mem::take(&mut self.running) {
            self.finish(run);
        }
    }

    fn begin(&mut self, caller: OwnedFd) -> io::Result<()> {
        let (argv, streams) = receive(&caller)?;
        let (status, to_status) = pipe_with(PipeFlags::CLOEXEC)?;
        self.count += 1;
        let Some(child) = self.place.fork(libc::CLONE_NEWNET)? else {
            let code = match self.become_first(&argv, streams) {
                Ok(ended) => fs::File::from(to_status).write_all(&ended).is_err().into(),
                Err(_) => i32::from(FAILED),
            };
            std::process::exit(code);
        };
        let pidfd = pidfd_open(child, PidfdFlags::empty())?;
        self.running.push(Run { caller, child, pidfd, status, count: self.count });
        Ok(())
    }

    /// The first process of the second place; the wait status of what ran there.
    fn become_first(&self, argv: &[OsString], streams: [OwnedFd; 3]) -> io::Result<[u8; 4]> {
        let entered = self.place.enter(For::Agent, self.count, self.files, self.body, self.seed)?;
        let child = entered.start(argv, streams)?;
        let status = process::reap_until(child)?;
        if !self.place.namespaces {
            process::kill_children();
        }
        Ok(status.as_raw().to_be_bytes())
    }

    /// Tells the caller how it ended, after killing it if it has not.
    fn finish(&mut self, run: Run) {
        let _ = kill_process(run.child, Signal::KILL);
        let Ok(ended) = process::wait_for(run.child) else { return };
        self.cpu_us += ended.cpu_us;
        self.max_rss = self.max_rss.max(ended.max_rss);
        if !self.place.namespaces {
            let _ = sweep::remove(&self.place.directory(run.count));
        }
        let mut status = [0; 4];
        if fs::File::from(run.status).read_exact(&mut status).is_err() {
            status = ended.status.into_raw().to_be_bytes();
        }
        let _ = fs::File::from(run.caller).write_all(&status);
    }
}

/// The arguments and the streams of a request.
fn receive(from: &OwnedFd) -> io::Result<(Vec<OsString>, [OwnedFd; 3])> {
    let bad = || io::Error::from(io::ErrorKind::InvalidInput);
    let mut message = vec![0; MAX_ARGUMENTS];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let got = recvmsg(from, &mut [IoSliceMut::new(&mut message)], &mut rights, flags)?;
    let fds = rights.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds: Vec<OwnedFd> = fds.flatten().collect();
    for fd in &fds {
        // From a directory the way leads on, past every mount that hides; a file could be opened
        // anew, and written to.
        let path = fcntl_getfl(fd)?.contains(OFlags::PATH);
        if path || is_file(fd)? || FileType::from_raw_mode(fstat(fd)?.st_mode).is_dir() {
            return Err(bad());
        }
    }
    let arguments = message.get(..got.bytes).unwrap_or_default().strip_suffix(b"\0");
    let arguments = arguments.ok_or_else(bad)?.split(|byte| *byte == 0);
    let argv = arguments.map(|argument| OsString::from_vec(argument.to_vec())).collect();
    Ok((argv, fds.try_into().map_err(|_| bad())?))
}
