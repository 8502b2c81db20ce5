//! The sandbox, from inside: what `darwind` becomes when it starts itself with [`ARGUMENT`].
//!
//! Two processes of one thread each. The *keeper* stays outside: it makes the namespaces and
//! control groups, watches, and clears up. The *inner* one is the first process of the new
//! pid namespace: it builds the view, gives up what it has, and becomes the harness. When the
//! daemon goes, the keeper sees its end of the socket close, and kills the inner process;
//! with it the kernel kills all others of the namespace.
//!
//! `unsafe` is for system calls that no library wraps; both processes have one thread.

mod process;
mod filter;
mod view;
mod confine;
mod reach;
mod watch;
mod place;
mod run;
mod tree;
mod answers;
mod talk;
mod serve;
mod inner;

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read as _, Write as _},
    os::{
        fd::{FromRawFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    process::ExitCode,
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, kill_process},
};

use self::watch::Ended;
use super::{
    frame,
    plan::{Fault, MAX_PLAN, Plan, Start, USER},
    sweep,
};

/// The first argument of a `darwind` that is to be a sandbox.
pub const ARGUMENT: &str = "__sandbox";

/// Users that nobody has: the kernel's process id is added, so that each sandbox is another.
const USERS: u32 = 0x7000_0000;
/// The user "nobody", where the others cannot be had.
const NOBODY: u32 = 65_534;

/// The version of Landlock that bounds what is in a sandbox once more, if there is one.
#[must_use]
pub fn landlock() -> Option<String> {
    reach::version()
}

/// Becomes a sandbox if the first argument says so, or what starts candidates in one if the
/// program's own name does, with which `args` begin. `darwind` asks this before all else,
/// while it has one thread.
///
/// Closes whatever descriptors were inherited beside the standard ones: a daemon outlives the
/// command that started it, and must not hold its locks and pipes open.
#[must_use]
pub fn entry<T: AsRef<OsStr>>(args: &[T]) -> Option<ExitCode> {
    let _ = confine::close_from(3);
    let (own, args) = args.split_first()?;
    if Path::new(own).file_name() == Some(OsStr::new(view::RUN)) {
        return Some(run::ask(args).map_or_else(
            |error| {
                let _ = writeln!(io::stderr(), "{}: {error}", view::RUN);
                ExitCode::from(run::FAILED)
            },
            ExitCode::from,
        ));
    }
    (args.first()?.as_ref() == ARGUMENT).then(keep)
}

fn keep() -> ExitCode {
    // SAFETY: the daemon starts this process with one end of a socket as standard input, and
    // nothing else uses that descriptor.
    let mut control = UnixStream::from(unsafe { OwnedFd::from_raw_fd(0) });
    let plan = frame::read(&mut control, MAX_PLAN).and_then(|frame| frame.header::<Plan>());
    let Ok(mut plan) = plan else {
        // Somebody tried it by hand.
        return ExitCode::from(crate::code::Code::Usage.exit());
    };
    let ended = run(&mut plan, &control);
    let _ = sweep::remove(&plan.room);
    match ended {
        // A daemon that lives reads from the groups what went wrong, and removes them.
        Ok(Ended::Inside) => ExitCode::SUCCESS,
        Ok(Ended::Daemon) => {
            plan.group.remove();
            ExitCode::SUCCESS
        }
        Err(fault) => {
            tell(&control, &Start::Fault(fault));
            ExitCode::FAILURE
        }
    }
}

/// Starts the inner process and stays until it is gone.
fn run(plan: &mut Plan, control: &UnixStream) -> Result<Ended, Fault> {
    let layer = |name: &'static str| move |error: io::Error| Fault::new(name, &error);
    plan.group = std::mem::take(&mut plan.group).make(&plan.limits, plan.task.own());
    let _ = rustix::process::setsid();
    let _ = process::adopt_orphans();
    let (go, start) = pipe_with(PipeFlags::CLOEXEC).map_err(|error| layer("pipe")(error.into()))?;
    let spaces = match (process::fork(NAMESPACES), plan.reduced) {
        (Ok(forked), _) => Ok((forked, true)),
        (Err(_), true) => process::fork(0).map(|forked| (forked, false)),
        (Err(error), false) => Err(error),
    };
    let (forked, namespaces) = spaces.map_err(layer("namespaces"))?;
    // Without namespaces root's code becomes another user all the same.
    let lone = rustix::process::geteuid().is_root().then(|| USERS + std::process::id());
    let Some(inner) = forked else {
        drop(start);
        let mut word = [0; 1];
        if fs::File::from(go).read_exact(&mut word).is_err() {
            std::process::exit(1);
        }
        let fault = inner::become_inner(plan, control, lone, namespaces);
        tell(control, &Start::Fault(fault));
        std::process::exit(1);
    };
    drop(go);
    let mut start = fs::File::from(start);
    let released = (|| {
        if namespaces {
            map_user(inner).map_err(layer("own user"))?;
        }
        plan.group.add(inner.as_raw_nonzero().get()).map_err(layer("control groups"))?;
        start.write_all(b".").map_err(layer("pipe"))
    })();
    let watched = released.and_then(|()| {
        let bound = (!plan.group.bounds_memory()).then_some(plan.limits.memory_mib << 20);
        watch::until_over(inner, control, bound).map_err(layer("watch"))
    });
    let _ = kill_process(inner, Signal::KILL);
    // With a pid namespace that was all; without one, the rest is this process's own now.
    process::kill_children();
    watched
}

const NAMESPACES: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// Gives the inner process one user, which is nobody else's: for root, one without any
/// rights outside; for anybody else, the only one that the kernel lets be mapped.
fn map_user(inner: Pid) -> io::Result<()> {
    let proc = format!("/proc/{}", inner.as_raw_nonzero());
    let map = |what: &str, outside: u32| {
        fs::write(format!("{proc}/{what}_map"), format!("{USER} {outside} 1\n"))
    };
    let own = rustix::process::geteuid();
    if own.is_root() {
        let id = USERS + std::process::id();
        // In a container that has few users of its own, only the second one exists.
        map("uid", id)
            .and_then(|()| map("gid", id))
            .or_else(|_| map("uid", NOBODY).and_then(|()| map("gid", NOBODY)))
    } else {
        fs::write(format!("{proc}/setgroups"), "deny")?;
        map("uid", own.as_raw())?;
        map("gid", rustix::process::getegid().as_raw())
    }
}

/// Tells the daemon how the start went. If it is gone, nobody needs to know.
fn tell(mut control: &UnixStream, start: &Start) {
    let _ = frame::encode(start, &[]).and_then(|bytes| control.write_all(&bytes));
}
