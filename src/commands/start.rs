//! Starting this user's daemon: detached, its log in a file, waited for until it answers.

use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    code::Code,
    config::Paths,
    link::{
        client::Link,
        endpoint::Endpoint,
        error::LinkError,
        files,
        pki::{Pki, Usage},
    },
};

use super::error::Failure;

/// How long a daemon may take until it answers: it may have a large store to look through.
const READY: Duration = Duration::from_secs(60);
/// How long one that found another starting waits for that one to answer.
const OTHER: Duration = Duration::from_secs(10);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(10);
/// A log beyond this size is put aside when a daemon starts.
const MAX_LOG: u64 = 16 << 20;
/// How much of the end of the log is searched for its last line.
const LOG_TAIL: u64 = 16 << 10;

/// The daemon of `paths`' home, if one answers to the certificate in `identity`.
///
/// # Errors
/// If one should be there but can't be talked to.
pub async fn running(
    paths: &Paths,
    identity: &Path,
) -> Result<Option<(Endpoint, Link)>, LinkError> {
    let Some(endpoint) = Endpoint::read(&paths.run_dir)? else { return Ok(None) };
    let identity = Pki::at(identity).identity(Usage::Client)?;
    match Link::connect(&endpoint, &identity).await {
        Ok(link) => Ok(Some((endpoint, link))),
        // What a killed daemon left behind, whose process number somebody else has now.
        Err(LinkError::Unreachable { .. } | LinkError::Stranger { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Starts a daemon for `paths`' home and waits until it answers.
///
/// # Errors
/// If there is no `darwind`, it ends (its last word is quoted), or it takes too long.
pub async fn start(paths: &Paths, identity: &Path) -> Result<(Endpoint, Link), Failure> {
    let program = program();
    let log = paths.log_file();
    files::make_dir(&paths.state_dir)?;
    let (file, before) = open_log(&log).map_err(|error| Failure::file("write", &log, &error))?;
    let errors = file.try_clone().map_err(|error| Failure::file("write", &log, &error))?;
    let mut child = Command::new(&program)
        .arg("--own-session")
        // glibc: one heap for all threads, or what one frees is not used again by the others.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .spawn()
        .map_err(|error| {
            let message = format!("can't start {}: {error}", program.display());
            Failure::new(Code::Unavailable, message)
                .hint("put darwind beside darwin, or into a directory of PATH")
        })?;
    wait(paths, identity, &mut child, before).await
}

/// `darwind` beside this program, else as PATH has it.
pub fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|darwin| darwin.with_file_name("darwind"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("darwind"))
}

/// The log, opened for appending, and its length.
fn open_log(path: &Path) -> std::io::Result<(File, u64)> {
    if fs::metadata(path).is_ok_and(|log| log.len() > MAX_LOG) {
        fs::rename(path, path.with_extension("log.old"))?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

async fn wait(
    paths: &Paths,
    identity: &Path,
    child: &mut Child,
    log_before: u64,
) -> Result<(Endpoint, Link), Failure> {
    let log = paths.log_file();
    let started = Instant::now();
    let mut limit = READY;
    let mut ended = None;
    loop {
        // A file that is only being written counts as none yet.
        if let Ok(Some(found)) = running(paths, identity).await {
            return Ok(found);
        }
        if ended.is_none()
            && let Ok(Some(status)) = child.try_wait()
        {
            let last = last_line(&log, log_before).unwrap_or_default();
            // Another process may have started one in the same moment; it holds the home.
            let beaten = status.code() == Some(i32::from(Code::Conflict.exit()));
            limit = started.elapsed() + if beaten { OTHER } else { Duration::ZERO };
            ended = Some((status, last));
        }
        if started.elapsed() >= limit {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    let hint = format!("read {}", log.display());
    match ended {
        Some((status, last)) => {
            // A daemon ends with the status that its fault has in our table.
            let code = Code::ALL.into_iter().find(|code| status.code() == Some(code.exit().into()));
            let code = match code {
                Some(code @ (Code::Config | Code::Denied | Code::Exhausted | Code::Corrupt)) => {
                    code
                }
                _ => Code::Unavailable,
            };
            let said = match (last.is_empty(), code) {
                (false, _) => last,
                (true, Code::Exhausted) => format!("no space is left for {}", log.display()),
                (true, _) => format!("it said nothing ({status})"),
            };
            Err(Failure::new(code, format!("darwind did not start: {said}")).hint(hint))
        }
        None => {
            let message = format!(
                "darwind (process {}) does not answer after {} s; it may still be starting",
                child.id(),
                READY.as_secs()
            );
            Err(Failure::new(Code::Deadline, message).hint(hint).hint("darwin status"))
        }
    }
}

/// The last line that was written to the log after its first `before` bytes.
fn last_line(log: &Path, before: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let from = before.max(file.metadata().ok()?.len().saturating_sub(LOG_TAIL));
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let line = tail.lines().rfind(|line| !line.trim().is_empty())?;
    Some(super::text::plain(message(line.trim()).trim()))
}

/// What a line of the log says, without when and where, whichever format it has.
fn message(line: &str) -> Cow<'_, str> {
    if let Ok(line) = serde_json::from_str::<serde_json::Value>(line)
        && let Some(said) = line["fields"]["message"].as_str()
    {
        return said.to_owned().into();
    }
    let said = line.split_once(" ERROR ").and_then(|(_, rest)| rest.split_once(": "));
    let said = said.map_or(line, |(_, said)| said);
    said.rsplit_once(" code=").map_or(said, |(said, _)| said).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_one_of_this_start() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("darwind.log");
        let (_, before) = open_log(&log).unwrap();
        assert_eq!((before, last_line(&log, before)), (0, None));
        fs::write(&log, "old\n").unwrap();
        let (_, before) = open_log(&log).unwrap();
        assert_eq!(last_line(&log, before), None);
        fs::write(&log, "old\nfirst\nthe\tlast\n\n").unwrap();
        assert_eq!(last_line(&log, before).as_deref(), Some("the last"));
    }

    #[test]
    fn a_line_is_quoted_without_when_and_where() {
        for line in [
            "2026-01-01T00:00:00.1Z ERROR darwin::daemon: a: b code=\"corrupt\"",
            "{\"level\":\"ERROR\",\"fields\":{\"message\":\"a: b\",\"code\":\"corrupt\"}}",
            "a: b",
        ] {
            assert_eq!(message(line), "a: b");
        }
    }

    #[test]
    fn a_long_log_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("darwind.log");
        File::create(&log).unwrap().set_len(MAX_LOG + 1).unwrap();
        assert_eq!(open_log(&log).unwrap().1, 0);
        assert_eq!(fs::metadata(dir.path().join("darwind.log.old")).unwrap().len(), MAX_LOG + 1);
    }
}
