//! Writes an agent's ancestry to a file or to stdout.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::json;

use crate::{
    link::client::Link,
    wire::v1::{Agent, ExportRequest},
};

use super::{
    context::Context,
    error::Failure,
    json,
    output::document,
    text::{bytes, id, plural},
    verify,
};

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Content-addressed archive: signed, can be verified anywhere
    Car,
    /// One JSON document with all agents
    Json,
}

/// Writes a CAR of `agent`'s ancestry.
///
/// # Errors
/// If the daemon or the disk fails; then no file is left behind.
pub async fn car(
    context: &mut Context,
    link: &Link,
    agent: &Agent,
    path: Option<&Path>,
    disclose: bool,
) -> Result<(), Failure> {
    let mut target = Target::open(context, path, true)?;
    let request = ExportRequest { agent: id(&agent.id), disclose };
    let mut chunks = link.lineage().export(request).await?.into_inner();
    while let Some(chunk) = chunks.message().await? {
        target.write(context, &chunk.data)?;
    }
    let written = target.finish()?;
    if let Some(path) = path.filter(|path| *path != Path::new("-")) {
        let path = path.display();
        context.out.note(format_args!("wrote {} to {path}", bytes(written)));
        let trust = Context::paths().ok().and_then(|paths| verify::own_fingerprint(&paths));
        let trust = trust.map(|key| format!(" --trust {key}")).unwrap_or_default();
        context.out.note("whoever has it can check it, without a daemon:");
        context.out.note(format_args!("  darwin lineage verify {path}{trust}"));
    }
    Ok(())
}

/// Writes `agents` as one JSON document.
///
/// # Errors
/// If the disk fails; then no file is left behind.
pub fn json(context: &mut Context, agents: &[Agent], path: Option<&Path>) -> Result<(), Failure> {
    let mut target = Target::open(context, path, false)?;
    let fields: Vec<_> = agents.iter().map(json::agent).collect();
    let text = document("lineage", json!({"agents": fields}), true) + "\n";
    target.write(context, text.as_bytes())?;
    target.finish()?;
    if let Some(path) = path.filter(|path| *path != Path::new("-")) {
        let count = plural(agents.len() as u64, "agent");
        context.out.note(format_args!("wrote {count} to {}", path.display()));
    }
    Ok(())
}

/// A file that appears when it is whole, or stdout.
struct Target {
    file: Option<(File, PathBuf, PathBuf)>,
    written: u64,
}

impl Target {
    fn open(context: &Context, path: Option<&Path>, binary: bool) -> Result<Self, Failure> {
        let path = path.filter(|path| *path != Path::new("-"));
        let Some(path) = path else {
            if binary && context.out.data_tty() {
                return Err(Failure::usage("a CAR file is binary, not for a terminal")
                    .hint("name a file: -o lineage.car"));
            }
            return Ok(Self { file: None, written: 0 });
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let part = path.with_file_name(name);
        let file = File::create(&part).map_err(|error| Failure::file("write", path, &error))?;
        Ok(Self { file: Some((file, part, path.to_owned())), written: 0 })
    }

    fn write(&mut self, context: &mut Context, bytes: &[u8]) -> Result<(), Failure> {
        self.written += bytes.len() as u64;
        match &mut self.file {
            None => context.out.raw(bytes),
            Some((file, _, path)) => {
                file.write_all(bytes).map_err(|error| Failure::file("write", path, &error))
            }
        }
    }

    fn finish(mut self) -> Result<u64, Failure> {
        if let Some((file, part, path)) = self.file.take() {
            let finished = file.sync_all().and_then(|()| fs::rename(&part, &path));
            finished.map_err(|error| {
                // The error to tell is the one before.
                let _ = fs::remove_file(&part);
                Failure::file("write", &path, &error)
            })?;
        }
        Ok(self.written)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some((_, part, _)) = &self.file {
            // What is left of a failed export is of no use, and its error is told.
            let _ = fs::remove_file(part);
        }
    }
}
