//! Control groups, version 2 or 1: memory and processes of a sandbox counted together.
//!
//! Only below the group that the daemon itself is in, never beside or above it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::domain::suite::Limits;

/// How the names of our groups begin.
const PREFIX: &str = "darwin-";
/// Where the daemon itself moves in version 2, which has no processes in inner groups.
const LEAF: &str = "darwind";
/// How long the kernel may take to forget the dead.
const EMPTYING: Duration = Duration::from_secs(2);

/// The directories below which groups can be made here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Homes {
    memory: Option<Home>,
    pids: Option<Home>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Home {
    dir: PathBuf,
    version: u8,
}

/// The groups of one sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Bounds memory.
    memory: Option<PathBuf>,
    /// Bounds processes.
    pids: Option<PathBuf>,
}

/// How often the limits of a group were hit so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hits {
    /// Processes killed for want of memory.
    pub memory: u64,
    /// Processes that could not be started.
    pub processes: u64,
}

impl Homes {
    /// Looks where this process may make groups, and removes those that dead daemons left.
    #[must_use]
    pub fn find() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let homes = Self::choose(&own, &mounts);
        for home in [&homes.memory, &homes.pids].into_iter().flatten() {
            sweep(&home.dir);
        }
        homes
    }

    fn choose(own: &str, mounts: &str) -> Self {
        let unified = place(own, mounts, "").and_then(|dir| delegated(&dir));
        let home = |controller| {
            if let Some(dir) = &unified
                && lists(&dir.join("cgroup.subtree_control"), controller)
            {
                return Some(Home { dir: dir.clone(), version: 2 });
            }
            let dir = place(own, mounts, controller)?;
            writable(&dir).then_some(Home { dir, version: 1 })
        };
        Self { memory: home("memory"), pids: home("pids") }
    }

    /// The groups of a sandbox of that name. Nothing is made yet.
    #[must_use]
    pub fn group(&self, name: &str) -> Group {
        let below = |home: &Option<Home>| {
            home.as_ref()
                .map(|home| home.dir.join(format!("{PREFIX}{}-{name}", std::process::id())))
        };
        Group { memory: below(&self.memory), pids: below(&self.pids) }
    }

    /// What bounds memory and processes here, in words: version and controller.
    #[must_use]
    pub fn describe(&self) -> [Option<String>; 2] {
        [&self.memory, &self.pids].map(|home| {
            home.as_ref().map(|home| format!("cgroup v{} at {}", home.version, home.dir.display()))
        })
    }
}

impl Group {
    /// Makes the groups, with `limits`; `own` processes of ours are counted beside. What
    /// cannot be made is left out.
    #[must_use]
    pub fn make(mut self, limits: &Limits, own: u32) -> Self {
        let memory = limits.memory_mib.saturating_mul(1 << 20).to_string();
        let pids = limits.processes.saturating_add(own).to_string();
        self.memory = self.memory.filter(|dir| {
            made(dir) && {
                // Swap must not take what memory refuses; not every kernel counts it.
                let _ = fs::write(dir.join("memory.swap.max"), "0");
                let bound =
                    set(dir, "memory.max", &memory) || set(dir, "memory.limit_in_bytes", &memory);
                let _ = fs::write(dir.join("memory.memsw.limit_in_bytes"), &memory);
                bound || !remove(dir)
            }
        });
        self.pids = self.pids.filter(|dir| {
            (made(dir) && set(dir, "pids.max", &pids)) || {
                remove(dir);
                false
            }
        });
        self
    }

    /// Whether memory is bounded.
    #[must_use]
    pub fn bounds_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// Puts a process in.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn add(&self, pid: i32) -> io::Result<()> {
        self.dirs().try_for_each(|dir| fs::write(dir.join("cgroup.procs"), pid.to_string()))
    }

    /// How often the limits were hit.
    #[must_use]
    pub fn hits(&self) -> Hits {
        let count = |dir: &Option<PathBuf>, files: &[&str], key| {
            let dir = dir.as_ref()?;
            let text = files.iter().find_map(|file| fs::read_to_string(dir.join(file)).ok())?;
            text.lines().find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
        };
        Hits {
            memory: count(&self.memory, &["memory.events", "memory.oom_control"], "oom_kill ")
                .unwrap_or(0),
            processes: count(&self.pids, &["pids.events"], "max ").unwrap_or(0),
        }
    }

    /// Whether the number of processes is bounded.
    #[must_use]
    pub fn bounds_processes(&self) -> bool {
        self.pids.is_some()
    }

    /// Removes the groups if they are empty, without waiting.
    pub fn try_remove(&self) {
        self.dirs().for_each(|dir| {
            let _ = fs::remove_dir(dir);
        });
    }

    /// Removes the groups, once their last process is gone.
    pub fn remove(&self) {
        self.dirs().for_each(|dir| {
            remove(dir);
        });
    }

    fn dirs(&self) -> impl Iterator<Item = &PathBuf> {
        let two = self.pids.iter().filter(|dir| self.memory.as_ref() != Some(dir));
        self.memory.iter().chain(two)
    }
}

/// The directory of this process's group in the hierarchy of `controller` (empty: version 2).
fn place(own: &str, mounts: &str, controller: &str) -> Option<PathBuf> {
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (number, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let fits = if controller.is_empty() {
            number == "0" && controllers.is_empty()
        } else {
            controllers.split(',').any(|name| name == controller)
        };
        fits.then_some(path)
    })?;
    mounts.lines().find_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, at) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        let (kind, options) = (kind.next()?, kind.nth(1)?);
        let fits = if controller.is_empty() {
            kind == "cgroup2"
        } else {
            kind == "cgroup" && options.split(',').any(|name| name == controller)
        };
        let below = Path::new(path).strip_prefix(root).ok()?;
        fits.then(|| Path::new(at).join(below))
    })
}

/// The version 2 group below which ours can be made: the own one if it was delegated to
/// this process alone, or its parent where the daemon has moved already.
fn delegated(dir: &Path) -> Option<PathBuf> {
    if dir.file_name().is_some_and(|name| name == LEAF) {
        return dir.parent().map(Path::to_owned);
    }
    let wanted = ["memory", "pids"];
    let all = |file| wanted.iter().all(|controller| lists(&dir.join(file), controller));
    if all("cgroup.subtree_control") && writable(dir) {
        return Some(dir.to_owned());
    }
    let own = std::process::id().to_string();
    let alone = fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|procs| procs.trim() == own);
    let leaf = dir.join(LEAF);
    if !alone || !all("cgroup.controllers") || !made(&leaf) {
        return None;
    }
    let moved =
        set(&leaf, "cgroup.procs", &own) && set(dir, "cgroup.subtree_control", "+memory +pids");
    if !moved {
        set(dir, "cgroup.procs", &own);
        remove(&leaf);
    }
    moved.then(|| dir.to_owned())
}

/// Removes the groups of daemons that are no more.
fn sweep(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if pid
            .is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
        {
            // One that still has processes stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn lists(file: &Path, controller: &str) -> bool {
    fs::read_to_string(file)
        .is_ok_and(|text| text.split_whitespace().any(|name| name == controller))
}

fn writable(dir: &Path) -> bool {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let probe = dir.join(format!("{PREFIX}{}-probe{count}", std::process::id()));
    made(&probe) && fs::remove_dir(probe).is_ok()
}

fn made(dir: &Path) -> bool {
    fs::create_dir(dir).is_ok() || dir.is_dir()
}

fn set(dir: &Path, file: &str, value: &str) -> bool {
    // Never creates the file, should the directory be none of the kernel's.
    let file = fs::OpenOptions::new().write(true).open(dir.join(file));
    file.and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes())).is_ok()
}

/// Removes a group, waiting for its last process to go. True if it is gone.
fn remove(dir: &Path) -> bool {
    let deadline = Instant::now() + EMPTYING;
    loop {
        match fs::remove_dir(dir) {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return true,
            Err(_) if Instant::now() >= deadline => return false,
            Err(_) => thread::sleep(Duration::from_millis(2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
24 1 0:20 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
25 24 0:21 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
26 24 0:22 /docker/ab /sys/fs/cgroup/pids rw shared:3 - cgroup cgroup rw,pids
27 24 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
";
    const OWN: &str = "8:pids:/docker/ab/c\n4:cpu,memory:/user/x\n0::/user.slice/y\n";

    #[test]
    fn the_own_group_is_found_in_each_hierarchy() {
        let found = |controller| place(OWN, MOUNTS, controller);
        assert_eq!(found("memory"), Some("/sys/fs/cgroup/memory/user/x".into()));
        assert_eq!(found("pids"), Some("/sys/fs/cgroup/pids/c".into()));
        assert_eq!(found(""), Some("/sys/fs/cgroup/unified/user.slice/y".into()));
        assert_eq!(found("cpuset"), None);
    }

    #[test]
    fn what_is_not_there_bounds_nothing() {
        assert_eq!(Homes::choose("", ""), Homes::default());
        assert_eq!(Homes::choose("rubbish\n::\n", "- - -\n"), Homes::default());
        let group = Homes::default().group("x").make(&Limits::default(), 1);
        assert!(!group.bounds_memory());
        assert_eq!(group, Group::default());
        assert_eq!(group.hits(), Hits::default());
    }

    #[test]
    fn a_delegated_group_of_version_2_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let mounts = format!("1 1 0:1 / {} rw - cgroup2 none rw", dir.path().display());
        assert_eq!(Homes::choose("0::/", &mounts), Homes::default());
        fs::write(dir.path().join("cgroup.subtree_control"), "cpu memory pids\n").unwrap();
        let homes = Homes::choose("0::/", &mounts);
        assert_eq!(homes.memory.as_ref().map(|home| home.version), Some(2));
        let Group { memory: Some(memory), pids } = homes.group("1") else { panic!("no group") };
        assert_eq!(Some(&memory), pids.as_ref());
        assert!(memory.starts_with(dir.path()));
    }
}
