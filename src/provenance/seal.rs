//! Sealing: AES-256-GCM blocks under keys derived from a session's key.
//!
//! A sealed block is a header of 78 bytes in clear, the ciphertext, and a tag of 16:
//!
//! | bytes | what                                                     |
//! |-------|----------------------------------------------------------|
//! | 4     | `DWNS`                                                   |
//! | 1     | format, 1                                                |
//! | 1     | kind of content                                          |
//! | 4     | number of this chunk, from 0, big-endian                 |
//! | 4     | number of chunks of the object, big-endian               |
//! | 32    | salt: random, one per object                             |
//! | 32    | key commitment                                           |
//!
//! HKDF-SHA256 (input the session's key, salt as above, info `darwin sealed block 1`)
//! gives 64 bytes: the block key, then the commitment. The nonce is 8 zero bytes and the
//! chunk's number; the associated data is the header and the session's id. All chunks of
//! an object share a salt and all but the last are full, so that none can be left out,
//! repeated, moved, or taken from elsewhere.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    constant_time::verify_slices_are_equal,
    hkdf::{HKDF_SHA256, KeyType, Salt},
    hmac,
};
use bytes::Bytes;
use zeroize::Zeroizing;

use crate::domain::{digest::Digest, id::SessionId};

use super::{
    block::{Block, MAX_BLOCK},
    error::{Error, Result},
};

/// The bytes before the ciphertext.
pub const HEADER: usize = 78;
const TAG: usize = 16;
/// By how much a sealed block is larger than its content.
pub const OVERHEAD: usize = HEADER + TAG;
/// The most content that one block holds.
pub const MAX_CHUNK: usize = MAX_BLOCK - OVERHEAD;
/// The largest object, in bytes of content.
pub const MAX_OBJECT: usize = 64 << 20;

const MAGIC: [u8; 4] = *b"DWNS";
const FORMAT: u8 = 1;

/// What a sealed object holds. Part of what is authenticated, so that one kind is never
/// taken for another. The numbers are stored: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BlobKind {
    /// The body of a journal entry.
    Body = 1,
    /// A file of a genome.
    File = 2,
    /// An artefact of an evaluation.
    Artifact = 3,
    /// The parameters' space of a run.
    Space = 4,
    /// A run's specification, suite and files.
    Run = 5,
    /// An engine's snapshot.
    Checkpoint = 6,
    /// A session's context.
    Context = 7,
    /// A genome's manifest; only its digest is used, as a keyed one.
    Genome = 8,
    /// A session's key, sealed by the master key.
    SessionKey = 9,
    /// What a result depends on; only its digest is used, as a keyed one.
    Result = 10,
    /// A part of a blob; the keyed digest of the whole names the blob.
    Part = 11,
    /// A blob's name and digest.
    Label = 12,
}

impl BlobKind {
    fn name(self) -> &'static str {
        match self {
            Self::Body => "journal entry",
            Self::File => "file of a genome",
            Self::Artifact => "artefact",
            Self::Space => "parameter space",
            Self::Run => "run",
            Self::Checkpoint => "checkpoint",
            Self::Context => "session context",
            Self::Genome => "genome",
            Self::SessionKey => "session key",
            Self::Result => "result",
            Self::Part => "part of a blob",
            Self::Label => "label of a blob",
        }
    }
}

/// The key of a session, from which the keys of all its blocks are derived.
#[derive(Clone)]
pub struct SessionKey(Zeroizing<[u8; 32]>);

/// The key that wraps sessions' keys, and nothing else.
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// Which key sealed something: derived from the key, and of no help in finding it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealId(pub [u8; 16]);

impl fmt::Display for SealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SealId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl SessionKey {
    /// The key of these 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for those to whom a user discloses them.
    #[must_use]
    pub fn disclose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Which key it is.
    #[must_use]
    pub fn id(&self) -> SealId {
        let mut id = [0; 16];
        derive(&self.0[..], &[], b"darwin session key id 1", &mut id);
        SealId(id)
    }
}

impl MasterKey {
    /// The key of these 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key of a file's or a credential's content.
    ///
    /// # Errors
    /// If it is not 32 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.try_into();
        bytes.map(Self::new).map_err(|_| Error::BadKey { what: "master key", why: "not 32 bytes" })
    }

    /// Which key it is.
    #[must_use]
    pub fn id(&self) -> SealId {
        let mut id = [0; 16];
        derive(&self.0[..], &[], b"darwin master key id 1", &mut id);
        SealId(id)
    }

    /// The keyed digest of a request to `method`: nobody without the key can find out with it what
    /// was asked for.
    #[must_use]
    pub fn request_mac(&self, method: &str, request: &[u8]) -> [u8; 32] {
        let mut key = Zeroizing::new([0; 32]);
        derive(&self.0[..], &[], b"darwin request digest 1", &mut key[..]);
        let mut signing = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key[..]));
        signing.update(method.as_bytes());
        signing.update(&[0]);
        signing.update(request);
        let mut out = [0; 32];
        out.copy_from_slice(signing.sign().as_ref());
        out
    }

    /// Seals the key of `session`. `salt` is random and used once.
    #[must_use]
    pub fn wrap(&self, key: &SessionKey, session: SessionId, salt: [u8; 32]) -> Bytes {
        let head = head(BlobKind::SessionKey, 0, 1, &salt);
        Cipher::new(&self.0, head).seal(&session, &key.0[..])
    }

    /// Opens what [`MasterKey::wrap`] sealed.
    ///
    /// # Errors
    /// If it is malformed, was sealed by another key or for another session, or was changed.
    pub fn unwrap(&self, wrapped: &[u8], session: SessionId) -> Result<SessionKey> {
        let plain = Zeroizing::new(open(&self.0, &session, BlobKind::SessionKey, &[wrapped])?);
        let key = plain.as_slice().try_into();
        key.map(SessionKey::new)
            .map_err(|_| Error::BadKey { what: "session key", why: "not 32 bytes" })
    }
}

/// Seals and opens what belongs to one session.
pub struct Sealer {
    session: SessionId,
    key: SessionKey,
    id: SealId,
    mac: hmac::Key,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("session", &self.session).field("id", &self.id).finish()
    }
}

impl Sealer {
    /// Seals for `session` with its key.
    #[must_use]
    pub fn new(session: SessionId, key: &SessionKey) -> Self {
        let mut mac = Zeroizing::new([0; 32]);
        derive(&key.0[..], &[], b"darwin keyed digest 1", &mut mac[..]);
        Self {
            session,
            key: key.clone(),
            id: key.id(),
            mac: hmac::Key::new(hmac::HMAC_SHA256, &mac[..]),
        }
    }

    /// Whose things it seals.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Which key it seals with.
    #[must_use]
    pub fn id(&self) -> SealId {
        self.id
    }

    /// The key, for those to whom a user discloses it.
    #[must_use]
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    /// The keyed digest under which content is looked up: equal content of the same kind
    /// has an equal one within a session, and nobody without the key can tell which.
    #[must_use]
    pub fn mac(&self, kind: BlobKind, content: &Digest) -> [u8; 32] {
        let mut input = [kind as u8; 33];
        input[1..].copy_from_slice(&content.0);
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&self.mac, &input).as_ref());
        out
    }

    /// Seals `plain` as one piece, for example for a column of a table: the chunks of
    /// [`Sealer::seal_blocks`] one after another.
    ///
    /// `salt` is random and used once: the same salt for two contents gives both away.
    ///
    /// # Errors
    /// If it is larger than [`MAX_OBJECT`].
    pub fn seal(&self, kind: BlobKind, plain: &[u8], salt: [u8; 32]) -> Result<Bytes> {
        let mut chunks = self.chunks(kind, plain, salt)?;
        if chunks.len() == 1 {
            return Ok(chunks.remove(0));
        }
        Ok(chunks.concat().into())
    }

    /// Opens what [`Sealer::seal`] sealed.
    ///
    /// # Errors
    /// If it is malformed, was sealed by another key, as another kind or for another
    /// session, or was changed.
    pub fn open(&self, kind: BlobKind, sealed: &[u8]) -> Result<Vec<u8>> {
        let chunks: Vec<&[u8]> = sealed.chunks(MAX_BLOCK).collect();
        open(&self.key.0, &self.session, kind, &chunks)
    }

    /// Seals `plain` as blocks, of which each but the last is [`MAX_BLOCK`] long.
    /// `salt` as with [`Sealer::seal`].
    ///
    /// # Errors
    /// If it is larger than [`MAX_OBJECT`].
    pub fn seal_blocks(&self, kind: BlobKind, plain: &[u8], salt: [u8; 32]) -> Result<Vec<Block>> {
        Ok(self.chunks(kind, plain, salt)?.into_iter().map(Block::raw).collect())
    }

    /// Opens the blocks of one object, in their order.
    ///
    /// # Errors
    /// As [`Sealer::open`], and if a block is missing, moved, repeated or foreign.
    pub fn open_blocks(&self, kind: BlobKind, blocks: &[Bytes]) -> Result<Vec<u8>> {
        let chunks: Vec<&[u8]> = blocks.iter().map(|block| &block[..]).collect();
        open(&self.key.0, &self.session, kind, &chunks)
    }

    fn chunks(&self, kind: BlobKind, plain: &[u8], salt: [u8; 32]) -> Result<Vec<Bytes>> {
        if plain.len() > MAX_OBJECT {
            let (size, limit) = (plain.len() as u64, MAX_OBJECT as u64);
            return Err(Error::TooLarge { what: kind.name(), size, limit });
        }
        let count = chunks_of(plain.len());
        let mut cipher = Cipher::new(&self.key.0, head(kind, 0, count, &salt));
        let mut out = Vec::with_capacity(count as usize);
        for index in 0..count {
            let from = index as usize * MAX_CHUNK;
            let to = plain.len().min(from + MAX_CHUNK);
            cipher.head[6..10].copy_from_slice(&index.to_be_bytes());
            out.push(cipher.seal(&self.session, &plain[from..to]));
        }
        Ok(out)
    }
}

/// How many blocks an object of `size` bytes takes; `size` is at most [`MAX_OBJECT`].
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "64 MiB are 65 blocks")]
pub fn chunks_of(size: usize) -> u32 {
    size.div_ceil(MAX_CHUNK).max(1) as u32
}

fn head(kind: BlobKind, index: u32, count: u32, salt: &[u8; 32]) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    head[..4].copy_from_slice(&MAGIC);
    head[4] = FORMAT;
    head[5] = kind as u8;
    head[6..10].copy_from_slice(&index.to_be_bytes());
    head[10..14].copy_from_slice(&count.to_be_bytes());
    head[14..46].copy_from_slice(salt);
    head
}

struct Cipher {
    key: LessSafeKey,
    head: [u8; HEADER],
}

impl Cipher {
    /// Derives the block key for the salt in `head`, and writes its commitment there.
    fn new(key: &[u8; 32], mut head: [u8; HEADER]) -> Self {
        let mut okm = Zeroizing::new([0; 64]);
        derive(&key[..], &head[14..46], b"darwin sealed block 1", &mut okm[..]);
        head[46..].copy_from_slice(&okm[32..]);
        let key = UnboundKey::new(&AES_256_GCM, &okm[..32]).expect("the key is 32 bytes");
        Self { key: LessSafeKey::new(key), head }
    }

    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[8..].copy_from_slice(&self.head[6..10]);
        Nonce::assume_unique_for_key(nonce)
    }

    fn aad(&self, session: &SessionId) -> Aad<[u8; HEADER + 16]> {
        let mut aad = [0; HEADER + 16];
        aad[..HEADER].copy_from_slice(&self.head);
        aad[HEADER..].copy_from_slice(session.as_bytes());
        Aad::from(aad)
    }

    fn seal(&self, session: &SessionId, plain: &[u8]) -> Bytes {
        let mut out = Vec::with_capacity(plain.len() + OVERHEAD);
        out.extend(self.head);
        out.extend(plain);
        let content = &mut out[HEADER..];
        let tag = self.key.seal_in_place_separate_tag(self.nonce(), self.aad(session), content);
        out.extend(tag.expect("a block is far below what AES-GCM takes").as_ref());
        out.into()
    }
}

fn open(key: &[u8; 32], session: &SessionId, kind: BlobKind, chunks: &[&[u8]]) -> Result<Vec<u8>> {
    let what = kind.name();
    let malformed = |at: usize, why| Error::Malformed { what, at: at as u64, why };
    if chunks.is_empty() || chunks.len() > chunks_of(MAX_OBJECT) as usize {
        return Err(malformed(0, "no block, or more than an object has"));
    }
    let mut cipher: Option<Cipher> = None;
    let mut out = Vec::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum());
    for (index, chunk) in (0_u32..).zip(chunks) {
        if chunk.len() < OVERHEAD || chunk.len() > MAX_BLOCK {
            return Err(malformed(chunk.len(), "a sealed block is of another length"));
        }
        let (start, content) = chunk.split_at(HEADER);
        if start[..4] != MAGIC {
            return Err(malformed(0, "not a sealed block"));
        }
        if start[4] != FORMAT {
            return Err(Error::Newer { what, format: u64::from(start[4]) });
        }
        if start[5] != kind as u8 {
            return Err(malformed(5, "content of another kind"));
        }
        if start[6..10] != index.to_be_bytes() {
            return Err(malformed(6, "a chunk out of its place"));
        }
        if u64::from(be32(&start[10..14])) != chunks.len() as u64 {
            return Err(malformed(10, "chunks are missing or left over"));
        }
        let full = chunk.len() == MAX_BLOCK;
        if !full && index as usize + 1 != chunks.len() {
            return Err(malformed(chunk.len(), "a chunk is cut"));
        }
        if index > 0 && content.len() == TAG {
            return Err(malformed(HEADER, "a chunk without content"));
        }
        if cipher.is_none() {
            let mut head = [0; HEADER];
            head.copy_from_slice(start);
            let made = Cipher::new(key, head);
            verify_slices_are_equal(&made.head[46..], &start[46..])
                .map_err(|_| Error::WrongKey { what })?;
            cipher = Some(made);
        }
        let Some(cipher) = &mut cipher else { continue };
        if cipher.head[14..] != start[14..] {
            return Err(malformed(14, "a chunk of another object"));
        }
        cipher.head[6..10].copy_from_slice(&index.to_be_bytes());
        let from = out.len();
        out.extend_from_slice(content);
        let plain = cipher.key.open_in_place(cipher.nonce(), cipher.aad(session), &mut out[from..]);
        let length = plain.map_err(|_| Error::Tampered { what })?.len();
        out.truncate(from + length);
    }
    Ok(out)
}

fn be32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// HKDF-SHA256 (RFC 5869), extract and expand.
fn derive(key: &[u8], salt: &[u8], info: &[u8], out: &mut [u8]) {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let okm = Salt::new(HKDF_SHA256, salt).extract(key);
    let info = [info];
    let filled = okm.expand(&info, Length(out.len())).and_then(|okm| okm.fill(out));
    filled.expect("HKDF gives up to 8,160 bytes");
}
