//! What takes its time and goes on where it stopped: patience, files that appear when they are whole,
//! and how far it is.

use std::{
    fs::{self, File},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    code::Code, domain::digest::Digest, provenance::digest::Hasher, resilience::backoff::Backoff,
};

use super::{context::Context, error::Failure, output::Live, text::bytes};

/// How much is read and sent at once, in bytes.
const PIECE: usize = 512 << 10;
/// How often in a row it is tried again without getting on.
const ATTEMPTS: u32 = 5;
/// How long before the first time, and before the last.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(3));
/// How often the progress is shown.
const EVERY: Duration = Duration::from_millis(100);

/// The next piece of a file; `None` at its end.
///
/// # Errors
/// If it can't be read.
pub fn piece(file: &mut File) -> std::io::Result<Option<Vec<u8>>> {
    let mut piece = Vec::with_capacity(PIECE);
    file.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok((!piece.is_empty()).then_some(piece))
}

/// What is left of the patience with a daemon that goes away.
#[derive(Default)]
pub struct Tries {
    failed: u32,
    backoff: Option<Backoff>,
}

impl Tries {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// With the failure, if trying again is of no use or was of none for too long.
    pub async fn again(&mut self, failure: Failure, got_on: bool) -> Result<(), Failure> {
        if got_on {
            *self = Self::default();
        }
        self.failed += 1;
        let away = matches!(failure, Failure::Fault { code: Code::Unavailable, .. });
        if !away || self.failed > ATTEMPTS {
            let hint = "what came so far is kept: the same command goes on with it";
            return Err(if away { failure.hint(hint) } else { failure });
        }
        let wait = self.backoff.get_or_insert(BACKOFF).next(rand::random());
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

/// Where a blob goes: a file that appears when it is whole, or stdout.
pub struct Target {
    file: Option<Part>,
    hasher: Hasher,
    /// How much of it there is, in bytes.
    pub written: u64,
}

/// What came of a file.
struct Part {
    file: File,
    path: PathBuf,
    whole: PathBuf,
}

impl Target {
    /// Goes on with what came of this blob before, if something did.
    ///
    /// # Errors
    /// If the file can't be written, or what is left of it not be read.
    pub fn open(
        path: Option<&Path>,
        digest: Digest,
        progress: &mut Progress,
    ) -> Result<Self, Failure> {
        let Some(whole) = path else {
            return Ok(Self { file: None, hasher: Hasher::default(), written: 0 });
        };
        let mut name = whole.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", &digest.to_string()[..12]));
        let (path, whole) = (whole.with_file_name(name), whole.to_owned());
        let cannot = |error: &_| Failure::file("write", &whole, error);
        let mut options = File::options();
        let options = options.create(true).truncate(false).read(true).write(true);
        let mut file = options.open(&path).map_err(|error| cannot(&error))?;
        let (mut hasher, mut written) = (Hasher::default(), 0);
        while let Some(piece) = piece(&mut file).map_err(|error| cannot(&error))? {
            hasher.update(&piece);
            written += piece.len() as u64;
            progress.show(written, 0);
        }
        Ok(Self { file: Some(Part { file, path, whole }), hasher, written })
    }

    /// Forgets what came of it before: it is not what it should be.
    ///
    /// # Errors
    /// If the file can't be cut.
    pub fn restart(&mut self) -> Result<(), Failure> {
        if let Some(Part { file, whole, .. }) = &mut self.file {
            let cut = file.set_len(0).and_then(|()| file.rewind());
            cut.map_err(|error| Failure::file("write", whole, &error))?;
        }
        (self.hasher, self.written) = (Hasher::default(), 0);
        Ok(())
    }

    /// Writes the next piece.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&mut self, context: &mut Context, bytes: &[u8]) -> Result<(), Failure> {
        match &mut self.file {
            None => context.out.raw(bytes)?,
            Some(Part { file, whole, .. }) => {
                let written = file.write_all(bytes);
                written.map_err(|error| Failure::file("write", whole, &error))?;
            }
        }
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file its name, if its content is what it should be.
    ///
    /// # Errors
    /// If it is not, or the file can't be written.
    pub fn finish(self, digest: Digest) -> Result<(), Failure> {
        let sound = self.hasher.finish() == digest;
        if let Some(Part { file, path, whole }) = self.file {
            let ended = if sound {
                file.sync_all().and_then(|()| fs::rename(&path, &whole))
            } else {
                fs::remove_file(&path)
            };
            ended.map_err(|error| Failure::file("write", &whole, &error))?;
        }
        if sound {
            return Ok(());
        }
        let text = format!("what came is not what the digest {digest} says");
        let hint = "get it again; if that fails too: darwin store verify";
        Err(Failure::new(Code::Corrupt, text).hint(hint))
    }
}

/// How far it is, on a terminal.
pub struct Progress {
    live: Option<Live>,
    doing: &'static str,
    shown: Option<Instant>,
    /// When it began, and from where.
    began: Option<(Instant, u64)>,
}

impl Progress {
    /// Shows that this is being done.
    pub fn new(context: &Context, doing: &'static str) -> Self {
        Self { live: context.out.live(), doing, shown: None, began: None }
    }

    /// How far it is, in bytes; 0 as the whole: nobody knows.
    pub fn show(&mut self, done: u64, whole: u64) {
        let Some(live) = &mut self.live else { return };
        let now = Instant::now();
        let (began, first) = *self.began.get_or_insert((now, done));
        if self.shown.is_some_and(|shown| now - shown < EVERY) {
            return;
        }
        self.shown = Some(now);
        let share = if whole == 0 {
            String::new()
        } else {
            format!(" of {}, {} %", bytes(whole), done.saturating_mul(100) / whole)
        };
        let seconds = (now - began).as_secs_f64();
        let rate = if seconds < 0.5 {
            String::new()
        } else {
            format!(", {}/s", bytes(((done - first) as f64 / seconds) as u64))
        };
        live.show(&[format!("{} {}{share}{rate}", self.doing, bytes(done))]);
    }
}
