//! A user's shell: runs `darwin` in a home of its own and writes down what it said.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use darwin::{config::Paths, link::endpoint::Endpoint};
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{guard::Guard, home::until};

/// A home and a working directory; the daemon that `darwin` started there ends with it.
pub struct Shell {
    _guard: Guard,
    dir: TempDir,
    /// What the environment says of where things lie.
    places: Vec<(String, PathBuf)>,
    /// The user, where it is not that of the tests.
    user: Option<u32>,
    darwin: PathBuf,
}

/// A spec that is quick: the sphere in three dimensions.
pub const SPHERE: &str = "\
name = \"sphere\"\n\
[params.x]\ntype = \"real\"\nmin = -5\nmax = 5\ncount = 3\n\
[search]\npopulation = 8\n\
[suite]\nname = \"sphere\"\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 3\n";
/// A user without any rights.
const NOBODY: u32 = 65_534;

/// How a command ended, and what it said.
pub struct Said {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Shell {
    pub fn new() -> Self {
        Self::with(&[("DARWIN_HOME", "home")])
    }

    /// One with [`SPHERE`] in `sphere.toml`.
    pub fn with_sphere() -> Self {
        let shell = Self::new();
        shell.write("sphere.toml", SPHERE);
        shell
    }

    /// One whose environment names these directories below the working directory.
    pub fn with(places: &[(&str, &str)]) -> Self {
        Self::at(tempfile::tempdir().unwrap(), places)
    }

    /// One of a user whose home, with all of Darwin in it, lies where a sandbox has nothing of
    /// its own, so that only what it is not given is not there.
    pub fn of_a_home_that_could_be_shown() -> Self {
        let dir = TempDir::new_in("/var/tmp").unwrap();
        Self::at(dir, &[("HOME", "u"), ("DARWIN_HOME", "u/darwin")])
    }

    fn at(dir: TempDir, places: &[(&str, &str)]) -> Self {
        let places =
            places.iter().map(|(name, below)| ((*name).to_owned(), dir.path().join(below)));
        let darwin = PathBuf::from(env!("CARGO_BIN_EXE_darwin"));
        let guard = Guard::of(dir.path());
        Self { _guard: guard, places: places.collect(), user: None, darwin, dir }
    }

    /// One whose user is not the superuser, so that modes of files mean something. Its programs
    /// lie where he can reach them.
    pub fn of_a_mere_user() -> Self {
        let mut shell = Self::new();
        if rustix::process::geteuid().is_root() {
            shell.user = Some(NOBODY);
            chown(shell.dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
            let bin = shell.path("bin");
            fs::create_dir(&bin).unwrap();
            for program in [env!("CARGO_BIN_EXE_darwin"), env!("CARGO_BIN_EXE_darwind")] {
                let copy = bin.join(Path::new(program).file_name().unwrap());
                fs::hard_link(program, &copy)
                    .or_else(|_| fs::copy(program, &copy).map(|_| ()))
                    .unwrap();
            }
            shell.darwin = bin.join("darwin");
        }
        shell
    }

    /// A file below the working directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn paths(&self) -> Paths {
        let place = |wanted: &str| self.places.iter().find(|(name, _)| name == wanted);
        Paths::from_env(&|name| place(name).map(|(_, path)| path.clone().into())).unwrap()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// `darwin` with these arguments, in an environment that holds nothing else.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.darwin);
        command.env_clear().envs(self.places.iter().cloned()).env("USER", "ada");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command.current_dir(self.dir.path()).stdin(Stdio::null()).args(args);
        command
    }

    /// Runs `darwin` with the words of `line` and waits for its end.
    pub fn run(&self, line: &str) -> Said {
        Said::of(self.command(line.split_whitespace()).output().unwrap())
    }

    /// As [`Shell::run`], in an environment that holds these too.
    pub fn run_with(&self, env: &[(&str, &str)], line: &str) -> Said {
        Said::of(self.command(line.split_whitespace()).envs(env.iter().copied()).output().unwrap())
    }

    /// As [`Shell::run`], and fails if it does not end with `status` or does not say all `parts`
    /// on stderr.
    pub fn fails(&self, line: &str, status: i32, parts: &[&str]) -> Said {
        let said = self.run(line);
        said.failed(line, status, parts);
        said
    }

    /// As [`Shell::run`], and fails if the command does.
    pub fn good(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.status, 0, "darwin {line}\n{}\n{}", said.out, said.err);
        said.out
    }

    /// The JSON document that the command prints.
    pub fn json(&self, line: &str) -> serde_json::Value {
        serde_json::from_str(&self.good(&format!("{line} --json"))).unwrap()
    }

    /// The commands with what they said, ids and times and the like replaced.
    pub fn transcript(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let said = self.run(line);
            let _ = write!(text, "$ darwin {line}\n{}", said.out);
            for line in said.err.lines() {
                let _ = writeln!(text, "2> {line}");
            }
            if said.status != 0 {
                let _ = writeln!(text, "[exit status {}]", said.status);
            }
        }
        self.normal(&text)
    }

    /// `text` without what differs from run to run.
    pub fn normal(&self, text: &str) -> String {
        let mut text = text.replace(self.dir.path().to_str().unwrap(), "[DIR]");
        for (pattern, name) in [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "[ID]"),
            (r"[0-9a-f]{8}-[0-9a-f]{4}\b", "[SHORT]"),
            (r"\b[0-9a-f]{64}\b", "[DIGEST]"),
            (r"\bbafyrei[a-z2-7]{52}\b", "[CID]"),
            (r"process \d+", "process [PID]"),
            (r"127\.0\.0\.1:\d+", "[ADDRESS]"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[TIME]"),
            (r"\b\d+\.\ds\b|\b\d+s\b|\b\d+m\d\ds\b", "[SPAN]"),
            (r"just now|\[SPAN\] ago", "[AGO]"),
            (r"[\d,]+(\.\d)?/s\b", "[RATE]"),
        ] {
            text = Regex::new(pattern).unwrap().replace_all(&text, name).into_owned();
        }
        text
    }

    /// The daemon that runs in this home, if one does.
    pub fn daemon(&self) -> Option<Endpoint> {
        Endpoint::read(&self.paths().run_dir).unwrap()
    }

    /// Kills the daemon and waits for its end.
    pub fn kill_daemon(&self) {
        kill(&self.daemon().unwrap());
    }
}

fn kill(endpoint: &Endpoint) {
    let pid = Pid::from_raw(i32::try_from(endpoint.pid).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    until("the daemon is gone", || (!is_darwind(endpoint.pid)).then_some(()));
}

/// Whether the process of that number is a daemon of ours: it may be somebody else's by now,
/// and what nobody has waited for yet has no program any more.
fn is_darwind(pid: u32) -> bool {
    let exe = fs::read_link(format!("/proc/{pid}/exe"));
    exe.is_ok_and(|exe| exe.file_name() == Path::new(env!("CARGO_BIN_EXE_darwind")).file_name())
}

impl Drop for Shell {
    fn drop(&mut self) {
        let found = Endpoint::read(&self.paths().run_dir).ok().flatten();
        found.iter().filter(|endpoint| is_darwind(endpoint.pid)).for_each(kill);
    }
}

impl Said {
    /// Fails unless it ended with `status` and said all `parts` on stderr.
    pub fn failed(&self, line: &str, status: i32, parts: &[&str]) {
        assert_eq!(self.status, status, "darwin {line}\n{}\n{}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "darwin {line}: {part}\n{}", self.err);
        }
    }

    pub fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// A command that goes on, and what it has said so far on stderr.
pub struct Going {
    child: Child,
    err: PathBuf,
}

impl Shell {
    /// Starts `darwin` and does not wait; its stderr goes to a file, its stdout to a pipe.
    pub fn start(&self, line: &str) -> Going {
        let err = self.path(&format!("err-{}", fs::read_dir(self.dir.path()).unwrap().count()));
        let mut command = self.command(line.split_whitespace());
        command.stdout(Stdio::piped()).stderr(fs::File::create(&err).unwrap());
        Going { child: command.spawn().unwrap(), err }
    }
}

impl Going {
    pub fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap()
    }

    pub fn waits_for(&self, part: &str) {
        until(part, || self.said().contains(part).then_some(()));
    }

    pub fn interrupt(&self) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
    }

    pub fn end(mut self) -> Said {
        let status = until("the command ends", || self.child.try_wait().unwrap());
        let mut out = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        Said { status: status.code().unwrap_or(-1), out, err: self.said() }
    }
}

/// Runs `command`, gives it `input`, and reads no more than `bytes` of what it says.
pub fn cut_off(mut command: Command, bytes: usize) -> Said {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut head = vec![0; bytes];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut head).unwrap();
    drop(out);
    let mut said = Said::of(child.wait_with_output().unwrap());
    said.out = String::from_utf8_lossy(&head).into_owned();
    std::io::stderr().flush().unwrap();
    said
}
