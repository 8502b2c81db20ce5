//! What a process and those below it hold, as the kernel tells it to anybody.

use std::{fs, ops::AddAssign};

/// More processes than a sandbox may have are not walked through.
const MAX_PROCESSES: usize = 10_000;

/// What processes hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holding {
    /// How many there are.
    pub processes: u64,
    /// Their anonymous and shared memory, in bytes; pages of files cost nothing that cannot be
    /// had back.
    pub memory: u64,
    /// The files that they have had open at once, rounded up to the size of the kernel's table.
    pub files: u64,
}

impl AddAssign for Holding {
    fn add_assign(&mut self, other: Self) {
        self.processes += other.processes;
        self.memory += other.memory;
        self.files += other.files;
    }
}

/// The processes from `first` down, and what each holds.
#[must_use]
pub fn below(first: i32) -> Vec<(i32, Holding)> {
    let mut found = Vec::new();
    let mut next = vec![first];
    while let Some(pid) = next.pop()
        && found.len() < MAX_PROCESSES
    {
        found.push((pid, one(pid)));
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            next.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
    }
    found
}

/// What the processes from `first` down hold together.
#[must_use]
pub fn together(first: i32) -> Holding {
    let mut sum = Holding::default();
    below(first).into_iter().for_each(|(_, holding)| sum += holding);
    sum
}

fn one(pid: i32) -> Holding {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let number = |key| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    Holding {
        processes: 1,
        memory: (number("RssAnon:") + number("RssShmem:")) << 10,
        files: number("FDSize:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_children_are_added_up() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        let all = below(own);
        assert_eq!(all[0].0, own);
        assert!(all[0].1.memory > 100_000 && all[0].1.files > 0, "{all:?}");
        assert!(all.iter().any(|(pid, _)| *pid == i32::try_from(child.id()).unwrap()));
        assert!(together(own).processes > 1);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
