//! What the daemon finds when it looks at itself and its machine.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::Command;

use crate::{
    daemon::{
        evaluator::{Evaluator, Layer},
        registry::Registry,
    },
    resilience::deadline::within,
    wire::v1::Check,
};

/// Less free space than this is worth a warning, in bytes.
const LITTLE_SPACE: u64 = 1 << 30;
/// How long an interpreter may take to tell its version.
const VERSION: Duration = Duration::from_secs(10);
/// The oldest Python that suites' harness runs on.
const PYTHON: (u32, u32) = (3, 8);

/// What a check came to: what was found, or what is missing and what to do.
type Found = Result<String, (String, String)>;

/// Looks at the parts of the daemon and at its machine.
pub async fn checks(
    registry: &Registry,
    evaluator: &Evaluator,
    home: &Path,
    python: &PathBuf,
    tiers: &[(&'static str, String)],
) -> Vec<Check> {
    let mut checks = vec![
        check("python", "missing", python_found(python).await),
        check("space", "warning", space(home)),
        check("store", "missing", store(registry)),
        check("master key", "missing", Ok(format!("from {}", registry.origins().master))),
        check("signing key", "missing", Ok(format!("from {}", registry.origins().signing))),
    ];
    let warm = tiers.iter().find(|(tier, _)| *tier == "warm");
    checks.extend(warm.and_then(|(_, url)| plaintext(url)));
    let hot = registry.stores().hot.state().findings().await;
    checks.extend(hot.into_iter().map(|one| check(one.about, "warning", one.found)));
    checks.extend(evaluator.layers().await.into_iter().map(layer));
    checks
}

/// A warning of a database that is reached without TLS, as its URL explicitly says.
fn plaintext(url: &str) -> Option<Check> {
    url.contains("plaintext=loopback").then(|| {
        let hint = "who may read this machine's loopback reads it; give certificates instead";
        let found = Err((format!("{url}: not encrypted"), hint.to_owned()));
        check("warm tier: way", "warning", found)
    })
}

fn layer(layer: Layer) -> Check {
    let worse = if layer.mandatory { "missing" } else { "warning" };
    let hint = if layer.mandatory {
        "`--sandbox=reduced` does without, and stamps the results"
    } else {
        "the sandbox holds without it, with one fence less or a limit kept less exactly"
    };
    let found = layer.state.map_err(|why| (why, hint.to_owned()));
    check(&format!("sandbox: {}", layer.name), worse, found)
}

fn check(name: &str, worse: &str, found: Found) -> Check {
    let (state, detail, hint) = match found {
        Ok(detail) => ("ok", detail, String::new()),
        Err((detail, hint)) => (worse, detail, hint),
    };
    Check { name: name.to_owned(), state: state.to_owned(), detail, hint }
}

async fn python_found(program: &PathBuf) -> Found {
    let hint = "install Python 3.8 or later, or set evaluator.python to its path; suites of \
                kind “python” and “shinka” need it, and programs of the others find it on their path";
    let fault = |what: String| (what, hint.to_owned());
    let run = Command::new(program)
        .args(["-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = within(VERSION, "asking Python for its version", run)
        .await
        .map_err(|late| fault(late.to_string()))?
        .map_err(|error| fault(format!("{}: {error}", program.display())))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.trim();
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= PYTHON => {
            Ok(format!("{} {version}", program.display()))
        }
        (Some(_), Some(_)) => Err(fault(format!("{} is version {version}", program.display()))),
        _ => Err(fault(format!("{} is no Python ({})", program.display(), output.status))),
    }
}

fn space(home: &Path) -> Found {
    let hint = "free some space; runs pause while the disk is full, and go on by themselves";
    let fault = |what: String| (what, hint.to_owned());
    let stat = rustix::fs::statvfs(home).map_err(|error| fault(error.to_string()))?;
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let text = format!("{} MiB free in {}", free >> 20, home.display());
    if free < LITTLE_SPACE { Err(fault(text)) } else { Ok(text) }
}

fn store(registry: &Registry) -> Found {
    if let Some(error) = registry.trouble() {
        return Err((error.to_string(), "darwin status".to_owned()));
    }
    match registry.faults() {
        [] => Ok("opened without a fault; `darwin store verify` checks everything".to_owned()),
        [first, ..] => Err((first.to_string(), "darwin store verify".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_is_no_python_is_told_apart() {
        let missing = python_found(&PathBuf::from("/nowhere/python3")).await.unwrap_err();
        assert!(missing.0.contains("/nowhere/python3"), "{missing:?}");
        let other = python_found(&PathBuf::from("true")).await.unwrap_err();
        assert!(other.0.contains("is no Python"), "{other:?}");
        assert!(other.1.contains("evaluator.python"));
    }

    #[test]
    fn space_is_measured_where_the_data_lies() {
        let dir = tempfile::tempdir().unwrap();
        let (Ok(text) | Err((text, _))) = space(dir.path());
        assert!(text.contains(" MiB free in "), "{text}");
        assert!(space(Path::new("/nowhere")).is_err());
    }
}
