//! The warm harness of suites that run programs: a place per candidate, in namespaces of its
//! own, for the suite's scorer, for a build, or for the agent's answers.

use std::{
    fs,
    io::{self, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{net::UnixStream, process::ExitStatusExt as _},
    },
    time::{Duration, Instant},
};

use rustix::{
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open},
};

use super::{
    answers,
    place::{For, Kept, Place},
    process,
    run::Runs,
    talk, tree,
};
use crate::{
    daemon::evaluator::{
        frame,
        plan::{Job, Reply, Request, Status, Turn},
        sweep,
    },
    domain::genome::{MAX_FILES, MAX_GENOME, MAX_PATH},
};

/// What is kept of the standard error: its end.
const KEPT_ERRORS: usize = 64 << 10;
/// The longest request: an agent's files and what was built of them, and inputs.
const MAX_REQUEST: usize = 4 * MAX_GENOME;
/// The longest description of what a build left.
const MAX_TREE: usize = MAX_GENOME + 2 * MAX_FILES * MAX_PATH;

/// Answers requests until the daemon hangs up. `listener` is where scorers ask for runs.
pub fn serve(place: &Place<'_>, listener: &OwnedFd, control: &UnixStream) {
    let _ = process::adopt_orphans();
    // Beside the candidate's own directory each run of it has one.
    let numbers = (0u64..).step_by(1 << 20);
    let mut from = control;
    for count in numbers {
        let Ok(frame) = frame::read(&mut from, MAX_REQUEST) else { return };
        let Ok(request) = frame.header::<Request>() else { return };
        let one = One { place, request: &request, body: &frame.body, count };
        let done = match &request.job {
            Job::Answer { lines, judges, inputs } => {
                let what = if *judges { For::Judge } else { For::Agent };
                one.answer(what, *lines, inputs, control)
            }
            Job::Talk { referees } => one.talk(*referees, control),
            Job::Score => one.whole(Some(listener), control),
            Job::Build => one.whole(None, control),
        };
        // Without an answer the daemon sees this process end, and starts another.
        if done.is_err() {
            return;
        }
    }
}

/// One request.
struct One<'a> {
    place: &'a Place<'a>,
    request: &'a Request,
    body: &'a [u8],
    count: u64,
}

impl One<'_> {
    /// Runs a program to its end: a scorer, which may have the agent's programs run, or a build.
    fn whole(&self, listener: Option<&OwnedFd>, mut control: &UnixStream) -> io::Result<()> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let ((out, to_out), (err, to_err), (end, to_end)) = (pipe()?, pipe()?, pipe()?);
        let (place, request) = (self.place, self.request);
        let started = Instant::now();
        let runs = |listener| {
            let (files, seed) = (&request.files, request.seed);
            Runs::new(place, listener, files, self.body, seed, self.count)
        };
        let mut runs = listener.map(runs);
        let Some(child) = place.fork(0)? else {
            drop((out, err, end));
            let mut to_end = fs::File::from(to_end);
            std::process::exit(self.become_first([to_out, to_err], &mut to_end).is_err().into());
        };
        drop((to_out, to_err, to_end));
        let limit = usize::try_from(place.limits.output_kib << 10).unwrap_or(usize::MAX);
        let mut kept =
            [Kept::start(out, limit), Kept::end(err, KEPT_ERRORS), Kept::start(end, MAX_TREE)];
        let timed_out = watch(child, &mut kept, runs.as_mut(), started, place.limits.time)?;
        let (mut cpu_us, mut max_rss) = (0, 0);
        if let Some(mut runs) = runs {
            runs.end();
            (cpu_us, max_rss) = (runs.cpu_us, runs.max_rss);
        }
        let ended = process::wait_for(child)?;
        self.sweep();
        kept.iter_mut().for_each(Kept::drain);
        let [out, mut err, end] = kept;
        let told = end.bytes.split_first_chunk();
        let (status, tree) = match told {
            Some((status, tree)) => {
                (std::process::ExitStatus::from_raw(i32::from_be_bytes(*status)), tree)
            }
            None => (ended.status, &[][..]),
        };
        let stderr = err.last();
        let reply = Reply {
            status: match (status.code(), status.signal()) {
                (Some(code), _) => Status::Exited(code),
                (None, signal) => Status::Killed(signal.unwrap_or(0)),
            },
            timed_out,
            wall_us: micros(started),
            cpu_us: ended.cpu_us + cpu_us,
            max_rss: ended.max_rss.max(max_rss),
            records: tree.len(),
            stdout: out.bytes.len(),
            stderr: stderr.len(),
            stdout_cut: out.cut,
            ..Reply::default()
        };
        control.write_all(&frame::encode(&reply, &[tree, &out.bytes, &stderr])?)
    }

    /// The first process of a place: starts the program, reaps until that has ended, and tells
    /// its wait status, and of a build what it left.
    fn become_first(&self, outputs: [OwnedFd; 2], end: &mut fs::File) -> io::Result<()> {
        let request = self.request;
        let builds = matches!(request.job, Job::Build);
        let what = if builds { For::Agent } else { For::Scorer };
        let entered =
            self.place.enter(what, self.count, &request.files, self.body, request.seed)?;
        let [out, err] = outputs;
        let null = fs::File::open("/dev/null")?.into();
        let child = entered.start(&entered.fill(&request.argv), [null, out, err])?;
        let status = process::reap_until(child)?.as_raw();
        if builds || !self.place.namespaces {
            entered.clear();
        }
        end.write_all(&status.to_be_bytes())?;
        if builds && status == 0 {
            end.write_all(&tree::collect(&entered.agent, &request.files, self.body)?)?;
        }
        Ok(())
    }

    /// Has a program answer `inputs`, whose contents follow the files in the body.
    fn answer(
        &self,
        what: For,
        lines: bool,
        inputs: &[usize],
        mut control: &UnixStream,
    ) -> io::Result<()> {
        let (place, request) = (self.place, self.request);
        let laid = request.files.iter().map(|file| file.size).sum();
        let (files, mut rest) =
            self.body.split_at_checked(laid).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut contents = Vec::with_capacity(inputs.len());
        for size in inputs {
            let (input, after) =
                rest.split_at_checked(*size).ok_or(io::ErrorKind::UnexpectedEof)?;
            contents.push(input);
            rest = after;
        }
        let (replies, to_replies) = pipe_with(PipeFlags::CLOEXEC)?;
        let started = Instant::now();
        let Some(child) = place.fork(0)? else {
            drop(replies);
            let mut to = fs::File::from(to_replies);
            let seed = request.seed;
            let code =
                place.enter(what, self.count, &request.files, files, seed).and_then(|entered| {
                    let argv = entered.fill(&request.argv);
                    let done =
                        answers::converse(&entered, &argv, &contents, lines, place.limits, &mut to);
                    entered.clear();
                    done
                });
            std::process::exit(code.is_err().into());
        };
        drop(to_replies);
        let most = usize::try_from(place.limits.output_kib << 10).unwrap_or(usize::MAX >> 1);
        answers::pass_on(replies, most + (64 << 10), &mut control)?;
        let ended = process::wait_for(child)?;
        self.sweep();
        let reply = Reply {
            status: match (ended.status.code(), ended.status.signal()) {
                (Some(code), _) => Status::Exited(code),
                (None, signal) => Status::Killed(signal.unwrap_or(0)),
            },
            wall_us: micros(started),
            cpu_us: ended.cpu_us,
            max_rss: ended.max_rss,
            ..Reply::default()
        };
        control.write_all(&frame::encode(&reply, &[])?)
    }

    /// Has a program talk to its end.
    fn talk(&self, referees: bool, mut control: &UnixStream) -> io::Result<()> {
        let what = if referees { For::Judge } else { For::Agent };
        let (request, as_what) = (self.request, (what, self.count));
        let talked = talk::talk(self.place, request, self.body, as_what, control);
        self.sweep();
        let (reply, errors, over) = talked?;
        control.write_all(&frame::encode(&reply, &[&errors])?)?;
        // What was said to one that had ended: the next request comes behind it.
        let mut over = over;
        while !over {
            over = frame::read(&mut control, talk::MAX_WAITING)?.header::<Turn>()?.over;
        }
        Ok(())
    }

    /// Without namespaces: removes what the candidate left.
    fn sweep(&self) {
        if !self.place.namespaces {
            process::kill_children();
            let _ = sweep::remove(&self.place.directory(self.count));
        }
    }
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// Takes the outputs until the candidate is gone; kills it when its time is over, and tells so.
fn watch(
    child: Pid,
    outputs: &mut [Kept],
    mut runs: Option<&mut Runs<'_>>,
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
        let wait = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        // An output that has ended would wake this loop for ever.
        let mut wanted = vec![(pidfd.as_fd(), process::READABLE)];
        let open = outputs.iter().filter(|output| output.open);
        wanted.extend(open.map(|output| (output.fd.as_fd(), process::READABLE)));
        let own = wanted.len();
        wanted.extend(runs.iter().flat_map(|runs| runs.wanted()));
        let ready = process::poll_all(&wanted, Some(wait))?;
        let (own, rest) = ready.split_at(own);
        if own.first() == Some(&true) {
            return Ok(false);
        }
        let open = outputs.iter_mut().filter(|output| output.open);
        for (output, ready) in open.zip(own.iter().skip(1)) {
            if *ready {
                output.take()?;
            }
        }
        if let Some(runs) = runs.as_deref_mut()
            && rest.contains(&true)
        {
            runs.serve(rest);
        }
    }
}
