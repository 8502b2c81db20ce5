//! Calls about blobs.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, future::ready, stream};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc},
    time::{sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::Instrument as _;

use crate::{
    code::Code,
    daemon::registry::blobs::{Blob, Content, Upload},
    domain::digest::Digest,
    wire::{
        fault::Fault,
        limits,
        v1::{
            self, BlobPart, BlobPiece, BlobState, GetBlobRequest, ListBlobsRequest,
            ListBlobsResponse, NewBlob, blob_part::What, blobs_server::Blobs,
        },
    },
};

use super::context::{Context, peer, refuse};

/// What is ready for a client and not yet sent: states, or one part, which has up to 1 MiB.
const STATES: usize = 4;
const PARTS: usize = 1;
/// How many blobs are on their way at once; each costs a few MiB.
const TRANSFERS: usize = 32;
static TRANSFER: Semaphore = Semaphore::const_new(TRANSFERS);
/// When to come again where there are so many.
const AGAIN: Duration = Duration::from_secs(1);
/// Who sends or takes nothing for so long makes room for others, and may go on later.
const STALLED: Duration = Duration::from_secs(15);

pub struct Service(pub Arc<Context>);

#[async_trait]
impl Blobs for Service {
    type PutStream = Pin<Box<dyn Stream<Item = Result<BlobState, Status>> + Send>>;

    async fn put(
        &self,
        request: Request<Streaming<BlobPart>>,
    ) -> Result<Response<Self::PutStream>, Status> {
        let user = peer(&request)?.user;
        let transfer = transfer()?;
        let mut parts = request.into_inner();
        let first = timeout(STALLED, parts.message()).await.map_err(|_| stalled())??;
        let Some(BlobPart { what: Some(What::Begin(begin)) }) = first else {
            let text = "the first message of a call to Blobs.Put says which blob follows";
            return Err(Fault::new(Code::InvalidInput, text).into());
        };
        let NewBlob { session, digest, size, name } = begin;
        let session = self.0.named_session(&user, &session).await?;
        let digest = self::digest(&digest)?;
        let upload = self.0.registry.store_blob(session, digest, size, &name).await;
        let upload = upload.map_err(refuse)?;
        self.0.registry.touch_session(session).await.map_err(refuse)?;
        let (told, states) = mpsc::channel(STATES);
        let stop = self.0.stop.clone();
        let taking = async move {
            let _transfer = transfer;
            if let Err(status) = take(upload, parts, &told, stop).await {
                // Whoever sends it may have gone.
                let _ = told.send(Err(status)).await;
            }
        };
        // Its commits belong to the trace of the call.
        tokio::spawn(taking.in_current_span());
        Ok(Response::new(ReceiverStream::new(states).boxed()))
    }

    type GetStream = Pin<Box<dyn Stream<Item = Result<BlobPiece, Status>> + Send>>;

    async fn get(
        &self,
        request: Request<GetBlobRequest>,
    ) -> Result<Response<Self::GetStream>, Status> {
        let user = peer(&request)?.user;
        let transfer = transfer()?;
        let GetBlobRequest { session, digest, offset } = request.into_inner();
        let session = self.0.named_session(&user, &session).await?;
        let blob = self.0.registry.blob(session, self::digest(&digest)?).await.map_err(refuse)?;
        if offset > blob.size {
            let text = format!("the blob has {} bytes, and none from {offset} on", blob.size);
            return Err(Fault::new(Code::InvalidInput, text).into());
        }
        let (told, pieces) = mpsc::channel(PARTS);
        let (stop, whole) = (self.0.stop.clone(), Arc::new(AtomicBool::new(false)));
        let ended = whole.clone();
        tokio::spawn(async move {
            let _transfer = transfer;
            give(blob, offset, told, stop, &ended).await;
        });
        // A stream that was given up must not look like one that ended well.
        let cut = stream::once(async move { (!whole.load(Ordering::Acquire)).then(|| Err(cut())) });
        let pieces = ReceiverStream::new(pieces).chain(cut.filter_map(ready));
        Ok(Response::new(pieces.boxed()))
    }

    async fn list(
        &self,
        request: Request<ListBlobsRequest>,
    ) -> Result<Response<ListBlobsResponse>, Status> {
        let user = peer(&request)?.user;
        let ListBlobsRequest { session, limit } = request.into_inner();
        let session = self.0.named_session(&user, &session).await?;
        let limit = limits::page(limit) as usize;
        let blobs = self.0.registry.blobs(session, limit).await.map_err(refuse)?;
        Ok(Response::new(ListBlobsResponse { blobs: blobs.into_iter().map(message).collect() }))
    }
}

/// Takes the bytes of a blob as they come, and tells how many are on disk. What came before an end or
/// an error is kept.
async fn take(
    mut upload: Upload,
    mut parts: Streaming<BlobPart>,
    told: &mpsc::Sender<Result<BlobState, Status>>,
    stop: CancellationToken,
) -> Result<(), Status> {
    let state = |have, done| Ok(BlobState { have, done });
    let mut shown = upload.have();
    // Nobody needs to hear it.
    let _ = told.send(state(shown, upload.done())).await;
    if upload.done() {
        return Ok(());
    }
    loop {
        let part = tokio::select! {
            part = parts.message() => part?,
            () = sleep(STALLED) => return Err(stalled()),
            () = stop.cancelled() => return Err(ending()),
        };
        let data = match part.map(|part| part.what) {
            None => break,
            Some(Some(What::Data(data))) => data,
            Some(_) => {
                let text = "what follows the first message of a call to Blobs.Put are bytes";
                return Err(Fault::new(Code::InvalidInput, text).into());
            }
        };
        upload.write(&data).await.map_err(refuse)?;
        if upload.have() > shown {
            shown = upload.have();
            // One who does not listen misses some.
            let _ = told.try_send(state(shown, false));
        }
    }
    let size = upload.size();
    upload.finish().await.map_err(refuse)?;
    let _ = told.send(state(size, true)).await;
    Ok(())
}

/// Sends a blob from `offset` on, and says whether that is the whole. An empty one has one piece, so
/// that its size is told.
async fn give(
    blob: Content,
    mut offset: u64,
    told: mpsc::Sender<Result<BlobPiece, Status>>,
    stop: CancellationToken,
    whole: &AtomicBool,
) {
    let mut first = true;
    loop {
        let piece = tokio::select! {
            piece = blob.from(offset) => piece.map_err(refuse),
            () = stop.cancelled() => Err(ending()),
        };
        let length = piece.as_ref().map_or(0, Bytes::len);
        let ended = length == 0 && !first;
        if ended && piece.is_ok() {
            whole.store(true, Ordering::Release);
            return;
        }
        let failed = piece.is_err();
        let piece = piece.map(|data| BlobPiece { data, size: blob.size });
        let sent = tokio::select! {
            sent = told.send(piece) => sent.is_ok(),
            () = sleep(STALLED) => false,
            () = stop.cancelled() => false,
        };
        if failed || !sent {
            return;
        }
        (first, offset) = (false, offset + length as u64);
    }
}

/// The right to one of the transfers.
fn transfer() -> Result<SemaphorePermit<'static>, Fault> {
    TRANSFER.try_acquire().map_err(|_| {
        let text = format!("{TRANSFERS} blobs are on their way, the most at once; try again soon");
        Fault::new(Code::Exhausted, text).after(AGAIN)
    })
}

fn stalled() -> Status {
    let text = "nothing came for a while; the same again goes on where this stopped";
    Fault::new(Code::Unavailable, text).into()
}

fn cut() -> Status {
    let text = "nothing was taken off for a while, or the daemon is ending; ask for the rest";
    Fault::new(Code::Unavailable, text).into()
}

fn ending() -> Status {
    let text = "the daemon is ending; the same again goes on where this stopped";
    Fault::new(Code::Unavailable, text).into()
}

fn digest(bytes: &[u8]) -> Result<Digest, Fault> {
    let text = "a blob is named by the 32 bytes of its SHA-256 digest";
    bytes.try_into().map(Digest).map_err(|_| Fault::new(Code::InvalidInput, text))
}

fn message(blob: Blob) -> v1::Blob {
    let Blob { digest, name, size, have, done, begun_ms } = blob;
    v1::Blob { digest: digest.0.to_vec().into(), name, size, have, done, begun_ms }
}
