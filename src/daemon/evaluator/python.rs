//! Finds the Python interpreter: its real executable behind any shim, and the directories
//! that it needs.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::Deserialize;
use tokio::{io::AsyncReadExt as _, process::Command, time::timeout};

use super::{
    error::EvaluatorError,
    plan::{Contract, Task},
    private::Private,
};

/// How long the interpreter may take to tell about itself.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that it may tell, in bytes.
const MAX_ANSWER: u64 = 1 << 20;
/// What it is asked.
const QUESTION: &str = "\
import json, os, sys
print(json.dumps({
    'executable': sys.executable,
    'version': list(sys.version_info[:2]),
    'roots': [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(sys.executable),
              os.path.dirname(os.path.realpath(sys.executable))],
    'path': [p for p in sys.path if os.path.isabs(p) and os.path.isdir(p)],
}))";
/// What it may see of our environment: how shims and user installations are found.
const VARIABLES: [&str; 6] =
    ["PATH", "HOME", "PYENV_ROOT", "PYENV_VERSION", "PYTHONPATH", "VIRTUAL_ENV"];
/// Directories that every sandbox has.
pub const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/// Directories that a sandbox has for itself.
const OWN: [&str; 5] = ["/tmp", "/proc", "/dev", "/suite", "/run/darwin"];

/// An interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interpreter {
    /// The program to start.
    pub executable: PathBuf,
    /// Where it looks for modules.
    pub path: Vec<String>,
    /// The directories that it needs beside the system's.
    pub binds: Vec<PathBuf>,
}

impl Interpreter {
    /// To keep `evaluator` warm.
    #[must_use]
    pub fn task(&self, evaluator: &str, contract: Contract) -> Task {
        let (python, path) = (self.executable.clone(), self.path.clone());
        Task::Python { python, path, evaluator: evaluator.to_owned(), contract }
    }
}

#[derive(Deserialize)]
struct Answer {
    executable: PathBuf,
    version: (u32, u32),
    roots: Vec<PathBuf>,
    path: Vec<String>,
}

/// Asks `python` about itself. What would show something `private` is never bound.
///
/// # Errors
/// If there is none, it does not answer, or it lies where a sandbox cannot have it.
pub async fn find(python: &Path, private: &Private) -> Result<Interpreter, EvaluatorError> {
    let failed = |reason: String| EvaluatorError::Python {
        reason: format!("{}: {reason}", python.display()),
    };
    let mut child = Command::new(python)
        .args(["-c", QUESTION])
        .env_clear()
        .envs(VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    let ask = async {
        let mut text = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MAX_ANSWER).read_to_end(&mut text).await?;
        }
        Ok::<_, std::io::Error>((text, child.wait().await?))
    };
    let (text, status) = timeout(PATIENCE, ask)
        .await
        .map_err(|_| failed(format!("no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(format!("it ends with {status}")));
    }
    let answer: Answer =
        serde_json::from_slice(&text).map_err(|_| failed("its answer is unreadable".into()))?;
    interpreter(answer, private).map_err(failed)
}

/// What the interpreter itself needs must fit in; what it was told to look for modules in
/// beside, by PYTHONPATH or a `.pth` file, is left out where it does not.
fn interpreter(answer: Answer, private: &Private) -> Result<Interpreter, String> {
    if answer.version < (3, 8) {
        return Err(format!("it is version {}.{}", answer.version.0, answer.version.1));
    }
    let mut wanted = BTreeSet::new();
    for dir in answer.roots {
        if let Some(reason) = unfit(&dir, private) {
            return Err(format!("it needs {}, which {reason}", dir.display()));
        }
        wanted.insert(dir);
    }
    let mut path = answer.path;
    path.retain(|dir| {
        let reason = unfit(Path::new(dir), private);
        if let Some(reason) = &reason {
            tracing::warn!(
                "agents and evaluators go without {dir} of Python's path, which {reason}; put the \
                 modules that they need in a directory of their own and name that in PYTHONPATH"
            );
        }
        reason.is_none()
    });
    wanted.extend(path.iter().map(PathBuf::from));
    // One that lies in another comes with it; sorted, the outer one stands first.
    let mut binds: Vec<PathBuf> = Vec::new();
    for dir in wanted.into_iter().filter(|dir| dir.is_absolute() && !is_system(dir)) {
        if !binds.iter().any(|outer| dir.starts_with(outer)) {
            binds.push(dir);
        }
    }
    Ok(Interpreter { executable: answer.executable, path, binds })
}

/// Why a sandbox cannot have the directory, if it cannot: the end of a sentence about it.
fn unfit(dir: &Path, private: &Private) -> Option<String> {
    if is_system(dir) {
        return None;
    }
    if dir.file_name().is_none() {
        return Some("is the whole machine".to_owned());
    }
    let own = OWN.iter().find(|own| dir.starts_with(own));
    let own = own.map(|own| format!("lies under {own}, which a sandbox has for itself"));
    own.or_else(|| Some(format!("{}, and that no agent may read", private.shown_by(dir)?)))
}

fn is_system(dir: &Path) -> bool {
    SYSTEM.iter().any(|system| dir.starts_with(system))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(roots: &[&str], path: &[&str]) -> Answer {
        Answer {
            executable: "/opt/py/bin/python3".into(),
            version: (3, 11),
            roots: roots.iter().map(PathBuf::from).collect(),
            path: path.iter().map(|&dir| dir.to_owned()).collect(),
        }
    }

    #[test]
    fn only_what_the_system_lacks_is_bound_and_nothing_twice() {
        let list = answer(&["/usr", "/opt/py", "/opt/py/bin"], &["/opt/py/lib", "/home/u/lib"]);
        let private = Private::new(["/home/u/data".into()], ["/home/u".into()]);
        let found = interpreter(list, &private).unwrap();
        assert_eq!(found.binds, [Path::new("/home/u/lib"), Path::new("/opt/py")]);
    }

    #[test]
    fn an_interpreter_that_would_show_private_files_or_be_hidden_is_refused() {
        let private = Private::new(["/srv/data".into()], ["/home/u".into()]);
        let roots =
            ["/home/u", "/home", "/srv", "/srv/data/venv", "/home/u/.ssh", "/tmp/venv", "/"];
        for root in roots {
            assert!(interpreter(answer(&[root], &[]), &private).is_err(), "{root}");
        }
        assert!(interpreter(answer(&["/home/u/venv"], &[]), &private).is_ok());
        let old = Answer { version: (3, 7), ..answer(&[], &[]) };
        assert!(interpreter(old, &private).is_err());
    }

    #[test]
    fn what_the_path_names_beside_is_left_out_where_it_would() {
        let private = Private::new(["/srv/data".into()], ["/home/u".into()]);
        let wrong = ["/", "/srv", "/srv/data/keys", "/home/u", "/home/u/.ssh", "/tmp", "/proc"];
        let list = answer(&["/opt/py"], &[&wrong[..], &["/home/u/lib"]].concat());
        let found = interpreter(list, &private).unwrap();
        assert_eq!(found.binds, [Path::new("/home/u/lib"), Path::new("/opt/py")]);
        assert_eq!(found.path, ["/home/u/lib"]);
    }
}
