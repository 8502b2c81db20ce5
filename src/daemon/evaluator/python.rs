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
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
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

/// Asks `python` about itself. Directories that hold one of `private` are never bound.
///
/// # Errors
/// If there is none, it does not answer, or it lies where a sandbox cannot have it.
pub async fn find(python: &Path, private: &[&Path]) -> Result<Interpreter, EvaluatorError> {
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

fn interpreter(answer: Answer, private: &[&Path]) -> Result<Interpreter, String> {
    if answer.version < (3, 8) {
        return Err(format!("it is version {}.{}", answer.version.0, answer.version.1));
    }
    let all = answer.roots.iter().cloned().chain(answer.path.iter().map(PathBuf::from));
    let mut wanted = BTreeSet::new();
    for dir in all.filter(|dir| dir.is_absolute() && dir.components().count() > 1) {
        if SYSTEM.iter().any(|system| dir.starts_with(system)) {
            continue;
        }
        if let Some(own) = OWN.iter().find(|own| dir.starts_with(own)) {
            return Err(format!(
                "{} lies under {own}, which a sandbox has for itself",
                dir.display()
            ));
        }
        if let Some(private) = private.iter().find(|private| private.starts_with(&dir)) {
            return Err(format!(
                "it needs {}, which holds {}, and that no agent may read",
                dir.display(),
                private.display()
            ));
        }
        wanted.insert(dir);
    }
    // One that lies in another comes with it; sorted, the outer one stands first.
    let mut binds: Vec<PathBuf> = Vec::new();
    for dir in wanted {
        if !binds.iter().any(|outer| dir.starts_with(outer)) {
            binds.push(dir);
        }
    }
    Ok(Interpreter { executable: answer.executable, path: answer.path, binds })
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
        let found = interpreter(list, &[Path::new("/home/u/data")]).unwrap();
        assert_eq!(found.binds, [Path::new("/home/u/lib"), Path::new("/opt/py")]);
    }

    #[test]
    fn what_would_show_private_files_or_be_hidden_is_refused() {
        let private = [Path::new("/home/u/data")];
        assert!(interpreter(answer(&["/home/u"], &[]), &private).is_err());
        assert!(interpreter(answer(&["/home"], &[]), &private).is_err());
        assert!(interpreter(answer(&["/tmp/venv"], &[]), &private).is_err());
        let old = Answer { version: (3, 7), ..answer(&[], &[]) };
        assert!(interpreter(old, &[]).is_err());
    }
}
