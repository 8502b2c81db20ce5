//! `darwin blob`: files of any size, kept with a session.

use std::{
    fs::File,
    io::{Seek as _, SeekFrom},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand, ValueHint};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    code::Code,
    domain::digest::Digest,
    link::client::Link,
    provenance::digest::Hasher,
    wire::v1::{Blob, BlobPart, GetBlobRequest, ListBlobsRequest, NewBlob, blob_part::What},
};

use super::{
    context::{Context, now_ms},
    error::Failure,
    output::Side,
    text::{ago, bytes, plain},
    transfer::{Progress, Target, Tries, piece},
};

/// Pieces that are read ahead.
const AHEAD: usize = 4;
/// How long whoever reads the file may take to notice that nobody wants it.
const READER: Duration = Duration::from_secs(1);
/// The most blobs of a listing.
const MOST: u32 = 1000;

/// Keep files of any size with a session: weights, data sets
///
/// A blob is named by the SHA-256 digest of its content, and sealed with the session's key. What was
/// interrupted goes on where it stopped: give the same command again.
#[derive(Debug, Args)]
pub struct Blobs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Store a file, and print its digest
    #[command(after_help = "Examples:
  darwin blob put weights.safetensors
  darwin blob put data.tar --session packing --name training-data")]
    Put {
        /// The file
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        /// What you call it; without it, the file's name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        session: Of,
    },
    /// Write a blob to a file or to stdout, checked against its digest
    #[command(after_help = "Examples:
  darwin blob get 9f86d081884c -o weights.safetensors
  darwin blob get training-data | tar x")]
    Get {
        /// Its digest, a unique start of it, or its name
        blob: String,
        /// The file; - or nothing: stdout
        #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
        #[command(flatten)]
        session: Of,
    },
    /// List a session's blobs, the last begun first
    #[command(after_help = "Examples:
  darwin blob list
  darwin blob list --session packing --json | jq -r '.blobs[].digest'")]
    List {
        #[command(flatten)]
        session: Of,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// The session's id, a unique start of it, or its name; without it, your default session
    #[arg(long, default_value = "", hide_default_value = true)]
    session: String,
}

impl Blobs {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self.verb {
            Verb::Put { file, name, session } => put(context, &file, name, session.session).await,
            Verb::Get { blob, output, session } => {
                let output = output.filter(|path| path != Path::new("-"));
                get(context, &blob, output.as_deref(), session.session).await
            }
            Verb::List { session } => list(context, session.session).await,
        }
    }
}

async fn put(
    context: &mut Context,
    path: &Path,
    name: Option<String>,
    session: String,
) -> Result<(), Failure> {
    let of_file = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.unwrap_or_else(of_file);
    let cannot = |error: &_| Failure::file("read", path, error);
    let file = File::open(path).map_err(|error| cannot(&error))?;
    let hashed = hash(file, &mut Progress::new(context, "reading"));
    let (digest, size) = hashed.map_err(|error| cannot(&error))?;
    let new = NewBlob { session, digest: digest.0.to_vec().into(), size, name: name.clone() };
    let mut progress = Progress::new(context, "storing");
    let (mut have, mut first) = (0, None);
    let mut tries = Tries::default();
    loop {
        let link = context.link().await?;
        let before = have;
        let sent = send(&link, &new, path, &mut have, &mut first, &mut progress).await;
        match sent {
            Ok(()) => break,
            Err(failure) => tries.again(failure, have > before).await?,
        }
    }
    let sent = size - first.unwrap_or_default();
    drop(progress);
    if context.out.json() {
        let digest = digest.to_string();
        let fields = json!({"digest": digest, "name": name, "size": size, "sent": sent});
        return context.out.document("blob", fields);
    }
    let what = if sent == 0 && size > 0 { "was there already" } else { "stored" };
    context.out.note(format_args!("{}, {}: {what}", plain(&name), bytes(size)));
    context.out.line(digest)
}

/// Sends what the daemon doesn't have of a file. `have` is how much it has, `first` how much it had
/// at first.
async fn send(
    link: &Link,
    new: &NewBlob,
    path: &Path,
    have: &mut u64,
    first: &mut Option<u64>,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let (parts, stream) = mpsc::channel(AHEAD);
    let part = |what| BlobPart { what: Some(what) };
    // There is room for the first.
    let _ = parts.try_send(part(What::Begin(new.clone())));
    let mut states = link.blobs().put(ReceiverStream::new(stream)).await?.into_inner();
    let cut = || Failure::new(Code::Unavailable, "the daemon went away before the blob was stored");
    let state = states.message().await?.ok_or_else(cut)?;
    *have = state.have;
    first.get_or_insert(state.have);
    if state.done {
        return Ok(());
    }
    let (from, file) = (state.have, path.to_owned());
    // The file is read on a thread that may wait for it.
    let reading = tokio::task::spawn_blocking(move || -> std::io::Result<()> {
        let mut file = File::open(file)?;
        file.seek(SeekFrom::Start(from))?;
        while let Some(piece) = piece(&mut file)? {
            if parts.blocking_send(part(What::Data(piece.into()))).is_err() {
                break;
            }
        }
        Ok(())
    });
    let ended = loop {
        match states.message().await {
            Ok(Some(state)) if state.done => return Ok(()),
            Ok(Some(state)) => {
                *have = state.have;
                progress.show(*have, new.size);
            }
            Ok(None) => break cut(),
            Err(status) => break status.into(),
        }
    };
    drop(states);
    // If it could not be read, that is the reason.
    match timeout(READER, reading).await {
        Ok(Ok(Err(error))) => Err(Failure::file("read", path, &error)),
        _ => Err(ended),
    }
}

async fn get(
    context: &mut Context,
    name: &str,
    output: Option<&Path>,
    session: String,
) -> Result<(), Failure> {
    if output.is_none() && (context.out.data_tty() || context.out.json()) {
        return Err(Failure::usage("a blob's content is neither for a terminal nor JSON")
            .hint("name a file: -o FILE"));
    }
    let link = context.link().await?;
    let blob = find(&link, name, &session).await?;
    let digest = digest(&blob)?;
    let mut progress = Progress::new(context, "fetching");
    let mut target = Target::open(output, digest, &mut progress)?;
    if blob.done && target.written > blob.size {
        target.restart()?;
    }
    let (resumed, mut tries, mut link) = (target.written, Tries::default(), Some(link));
    loop {
        let before = target.written;
        let link = match link.take() {
            Some(link) => link,
            None => context.link().await?,
        };
        match fetch(context, &link, &session, &blob, &mut target, &mut progress).await {
            Ok(()) => break,
            Err(failure) => tries.again(failure, target.written > before).await?,
        }
    }
    let written = target.written;
    target.finish(digest)?;
    drop(progress);
    let Some(path) = output else { return Ok(()) };
    if context.out.json() {
        let path = path.display().to_string();
        let fields = json!({
            "digest": digest.to_string(), "name": blob.name, "size": written,
            "received": written - resumed, "path": path,
        });
        return context.out.document("blob", fields);
    }
    context.out.note(format_args!("wrote {} to {}", bytes(written), path.display()));
    Ok(())
}

async fn fetch(
    context: &mut Context,
    link: &Link,
    session: &str,
    blob: &Blob,
    target: &mut Target,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let request = GetBlobRequest {
        session: session.to_owned(),
        digest: blob.digest.clone(),
        offset: target.written,
    };
    let mut pieces = link.blobs().get(request).await?.into_inner();
    let mut size = None;
    while let Some(piece) = pieces.message().await? {
        target.write(context, &piece.data)?;
        progress.show(target.written, piece.size);
        size = Some(piece.size);
    }
    if size == Some(target.written) {
        return Ok(());
    }
    Err(Failure::new(Code::Unavailable, "the daemon went away before the whole blob came"))
}

async fn list(context: &mut Context, session: String) -> Result<(), Failure> {
    let link = context.link().await?;
    let request = ListBlobsRequest { session, limit: MOST };
    let blobs = link.blobs().list(request).await?.into_inner().blobs;
    if context.out.json() {
        let blobs: Result<Vec<Value>, Failure> = blobs.iter().map(fields).collect();
        return context.out.document("blobs", json!({"blobs": blobs?}));
    }
    if blobs.is_empty() {
        context.out.note("no blobs; `darwin blob put FILE` stores one");
        return Ok(());
    }
    let now = now_ms();
    let rows: Result<Vec<_>, Failure> = blobs
        .iter()
        .map(|blob| {
            let share = blob.have.saturating_mul(100) / blob.size.max(1);
            let state = if blob.done { "whole".to_owned() } else { format!("{share} % of it") };
            let digest = digest(blob)?.to_string()[..16].to_owned();
            let begun = ago(blob.begun_ms, now);
            Ok([digest, plain(&blob.name), bytes(blob.size), state, begun])
        })
        .collect();
    let heads = [
        ("DIGEST", Side::Left),
        ("NAME", Side::Left),
        ("SIZE", Side::Right),
        ("STATE", Side::Left),
        ("BEGUN", Side::Left),
    ];
    context.out.table(heads, &rows?)
}

fn fields(blob: &Blob) -> Result<Value, Failure> {
    let Blob { name, size, have, done, begun_ms, .. } = blob;
    let digest = digest(blob)?.to_string();
    Ok(json!({
        "digest": digest, "name": name, "size": size, "have": have, "whole": done,
        "begun_ms": begun_ms,
    }))
}

fn digest(blob: &Blob) -> Result<Digest, Failure> {
    let odd =
        |_| Failure::new(Code::Bug, "the daemon names a blob by something else than a digest");
    blob.digest[..].try_into().map(Digest).map_err(odd)
}

/// The blob that a user names: by its digest, the start of it that no other has, or its name.
async fn find(link: &Link, name: &str, session: &str) -> Result<Blob, Failure> {
    let request = ListBlobsRequest { session: session.to_owned(), limit: MOST };
    let blobs = link.blobs().list(request).await?.into_inner().blobs;
    let mut found = Vec::new();
    for blob in blobs {
        let start = name.len() >= 4 && digest(&blob)?.to_string().starts_with(name);
        if start || blob.name == name {
            found.push(blob);
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => match name.parse::<Digest>() {
            // It may be older than those of a listing.
            Ok(whole) => Ok(Blob { digest: whole.0.to_vec().into(), ..Blob::default() }),
            Err(_) => {
                let text = format!("there is no blob “{name}” in this session");
                Err(Failure::new(Code::NotFound, text).hint("darwin blob list"))
            }
        },
        several => {
            let text = format!("{several} blobs of this session are called “{name}”");
            Err(Failure::new(Code::InvalidInput, text)
                .hint("name one by its digest: darwin blob list"))
        }
    }
}

/// Hashes what is left of a file: its digest and its size.
fn hash(mut file: File, progress: &mut Progress) -> std::io::Result<(Digest, u64)> {
    let whole = file.metadata()?.len();
    let (mut hasher, mut size) = (Hasher::default(), 0);
    while let Some(piece) = piece(&mut file)? {
        hasher.update(&piece);
        size += piece.len() as u64;
        progress.show(size, whole);
    }
    Ok((hasher.finish(), size))
}
