//! Exports: an ancestry in one CAR file that can be checked anywhere, offline.
//!
//! The file is the statement (its root), the statement's pages, and then the stored
//! blocks, unchanged, in exactly the order that the pages give: an entry after everything
//! that it names.

use std::{
    collections::{BTreeMap, HashMap},
    io::{Read, Seek, SeekFrom},
    sync::Arc,
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    code::Code,
    domain::{
        digest::Digest,
        id::{AgentId, SessionId},
    },
};

use super::{
    block::{Block, cid_bytes, cid_from_bytes, digest_of},
    car::{self, CarError, CarReader, Framed},
    error::Error,
    seal::{Sealer, SessionKey},
    sign::{KeyRing, Signer},
    statement::{self, SigningKey, Statement},
    verify::{Fault, Report, Sealers, Source, VerifyError, verify},
};

/// What is to be exported.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The agents whose ancestry it is.
    pub agents: &'a [AgentId],
    /// The present time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// All signing keys so far, that of the signer included.
    pub keys: &'a [SigningKey],
    /// The keys of sessions that the user chose to give along.
    pub disclosed: &'a [(SessionId, SessionKey)],
}

/// Why an export was not made.
#[derive(Debug, thiserror::Error)]
pub enum ExportError<E, W> {
    /// What is stored is not sound, so that it is not exported; or it could not be read.
    #[error("{0}")]
    Verify(VerifyError<E>),
    /// The export could not be written out.
    #[error("{0}")]
    Write(W),
}

impl<E, W> From<VerifyError<E>> for ExportError<E, W> {
    fn from(error: VerifyError<E>) -> Self {
        Self::Verify(error)
    }
}

/// A source that remembers the heads that it gave: what is stated is what was checked.
struct Remembering<'a, S> {
    source: &'a mut S,
    heads: BTreeMap<AgentId, Cid>,
}

impl<S: Source> Source for Remembering<'_, S> {
    type Error = S::Error;

    fn get(&mut self, cid: &Cid) -> Result<Option<Bytes>, S::Error> {
        self.source.get(cid)
    }

    fn head(&mut self, agent: AgentId) -> Result<Option<Cid>, S::Error> {
        let head = self.source.head(agent)?;
        head.map(|head| self.heads.insert(agent, head));
        Ok(head)
    }
}

/// Writes an export to `out`, piece by piece. Everything is checked first, with the trust
/// and the keys given, so that nothing damaged leaves unnoticed.
///
/// # Errors
/// The first fault of what is stored, or that of the source or of `out`.
pub fn export<S: Source, W>(
    source: &mut S,
    trusted: &KeyRing,
    sealers: &mut Sealers<'_>,
    signer: &Signer,
    request: Request<'_>,
    out: &mut dyn FnMut(Vec<u8>) -> Result<(), W>,
) -> Result<Report, ExportError<S::Error, W>> {
    let mut source = Remembering { source, heads: BTreeMap::new() };
    let mut names: Vec<[u8; 36]> = Vec::new();
    let visit = &mut |cid: &Cid| names.push(cid_bytes(cid));
    let report = verify(&mut source, trusted, sealers, request.agents, visit)?;
    let heads: Vec<_> = source.heads.into_iter().collect();
    let cids: Vec<Cid> = names.iter().filter_map(|name| cid_from_bytes(name)).collect();
    let Request { agents, at_ms, keys, disclosed } = request;
    let content =
        statement::Content { at_ms, keys, agents, disclosed, heads: &heads, blocks: &cids };
    let first = statement::write(signer, &content).map_err(|error| at_fault(None, error))?;
    let mut piece = car::header(&[first[0].cid]);
    for block in &first {
        car::append(&mut piece, block);
    }
    out(piece).map_err(ExportError::Write)?;
    for cid in cids {
        let bytes = source.source.get(&cid).map_err(VerifyError::Source)?;
        let block = bytes
            .ok_or_else(|| Error::Missing(cid.to_string()))
            .and_then(|bytes| Block::found(cid, bytes))
            .map_err(|error| at_fault(Some(cid), error))?;
        let mut piece = Vec::with_capacity(block.bytes.len() + 40);
        car::append(&mut piece, &block);
        out(piece).map_err(ExportError::Write)?;
    }
    Ok(report)
}

fn at_fault<E>(block: Option<Cid>, error: Error) -> VerifyError<E> {
    VerifyError::Fault(Box::new(Fault { agent: None, seq: None, block, error }))
}

/// Why an export is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is damaged or not one, or cannot be read.
    #[error(transparent)]
    Car(#[from] CarError),
    /// What it holds is not sound.
    #[error("{0}")]
    Fault(Box<Fault>),
}

impl ImportError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Car(error) => error.code(),
            Self::Fault(fault) => fault.error.code(),
        }
    }
}

impl From<VerifyError<CarError>> for ImportError {
    fn from(error: VerifyError<CarError>) -> Self {
        match error {
            VerifyError::Fault(fault) => Self::Fault(fault),
            VerifyError::Source(error) => Self::Car(error),
        }
    }
}

/// An export whose statement, block list and digests were checked.
#[derive(Debug)]
pub struct Export<R> {
    input: R,
    statement: Statement,
    heads: BTreeMap<AgentId, Cid>,
    /// Where each block's content stands, by its digest.
    index: HashMap<Digest, (u64, u32)>,
    /// The signer's key and those that it vouches for.
    trusted: KeyRing,
    sealers: BTreeMap<SessionId, Arc<Sealer>>,
    blocks: u64,
}

impl<R: Read + Seek> Export<R> {
    /// Reads an export and checks it as a whole: that its statement is signed by a key that
    /// `pinned` trusts, and that it holds what the statement lists, in order, and no more.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or is signed by nobody who is trusted.
    pub fn open(input: R, pinned: &KeyRing) -> Result<Self, ImportError> {
        let (mut car, roots) = CarReader::new(std::io::BufReader::with_capacity(1 << 18, input))?;
        let mut trusted = pinned.clone();
        let root = next(&mut car)?;
        if roots != [root.block.cid] {
            return Err(fault(root.at, "the root of an export is its first block").into());
        }
        let placed = |at, error| ImportError::Car(CarError::Fault { at, error });
        let statement = Statement::read(&root.block, &mut trusted);
        let statement = statement.map_err(|error| placed(root.at, error))?;
        let start = car.at();
        let mut pages = Vec::new();
        for cid in statement.pages() {
            pages.push(expect(&mut car, cid)?.block);
        }
        let heads = statement.heads(&pages).map_err(|error| placed(start, error))?;
        let listed = statement.blocks(&pages).map_err(|error| placed(start, error))?;
        drop(pages);
        let mut index = HashMap::with_capacity(listed.len());
        for cid in &listed {
            let framed = expect(&mut car, cid)?;
            let length = u32::try_from(framed.block.bytes.len()).unwrap_or(u32::MAX);
            index.insert(digest_of(cid).unwrap_or_default(), (framed.content, length));
        }
        if let Some(more) = car.next()? {
            return Err(fault(more.at, "a block that the export's statement does not list").into());
        }
        let sealer = |(session, key): &(SessionId, SessionKey)| {
            (*session, Arc::new(Sealer::new(*session, key)))
        };
        let sealers = statement.disclosed.iter().map(sealer).collect();
        let (heads, blocks) = (heads.into_iter().collect(), listed.len() as u64);
        let input = car.into_inner().into_inner();
        Ok(Self { input, statement, heads, index, trusted, sealers, blocks })
    }

    /// What its maker states.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The agents in it, with the last entry of each journal.
    #[must_use]
    pub fn heads(&self) -> &BTreeMap<AgentId, Cid> {
        &self.heads
    }

    /// The keys whose signatures count in it: those pinned and those vouched for.
    #[must_use]
    pub fn trusted(&self) -> &KeyRing {
        &self.trusted
    }

    /// What opens the contents of a session whose key was disclosed.
    #[must_use]
    pub fn sealer(&self, session: SessionId) -> Option<Arc<Sealer>> {
        self.sealers.get(&session).cloned()
    }

    /// Checks every journal in it; with disclosed keys and those of `sealers` its contents.
    ///
    /// # Errors
    /// The first fault, or if the file cannot be read any more.
    pub fn verify(&mut self, sealers: &mut Sealers<'_>) -> Result<Report, ImportError> {
        let agents: Vec<_> = self.heads.keys().copied().collect();
        if let Some(missing) =
            self.statement.agents.iter().find(|agent| !self.heads.contains_key(*agent))
        {
            let error = Error::Mismatch("it was asked for and is not in the export".to_owned());
            let fault = Fault { agent: Some(*missing), seq: None, block: None, error };
            return Err(ImportError::Fault(Box::new(fault)));
        }
        let (trusted, disclosed) = (self.trusted.clone(), self.sealers.clone());
        let sealers = &mut |session| disclosed.get(&session).cloned().or_else(|| sealers(session));
        let report = verify(self, &trusted, sealers, &agents, &mut |_| ())?;
        // Without its key a content cannot be told from a stray block.
        if report.opened == report.entries && report.blocks != self.blocks {
            let why = "it holds blocks that no journal in it names".to_owned();
            return Err(at_fault::<CarError>(None, Error::Mismatch(why)).into());
        }
        Ok(report)
    }
}

impl<R: Read + Seek> Source for Export<R> {
    type Error = CarError;

    fn get(&mut self, cid: &Cid) -> Result<Option<Bytes>, CarError> {
        let place = digest_of(cid).and_then(|digest| self.index.get(&digest));
        let Some((at, length)) = place.copied() else { return Ok(None) };
        self.input.seek(SeekFrom::Start(at))?;
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes)?;
        Ok(Some(bytes.into()))
    }

    fn head(&mut self, agent: AgentId) -> Result<Option<Cid>, CarError> {
        Ok(self.heads.get(&agent).copied())
    }
}

/// The next block, which must be there.
fn next<R: Read>(car: &mut CarReader<R>) -> Result<Framed, CarError> {
    let at = car.at();
    car.next()?.ok_or_else(|| fault(at, "it ends before what its statement lists"))
}

/// The next block, which must be `cid`.
fn expect<R: Read>(car: &mut CarReader<R>, cid: &Cid) -> Result<Framed, CarError> {
    let framed = next(car)?;
    if framed.block.cid == *cid {
        return Ok(framed);
    }
    Err(fault(framed.at, "another block than its statement lists here"))
}

fn fault(at: u64, why: &'static str) -> CarError {
    CarError::Fault { at, error: Error::Malformed { what: "export", at, why } }
}
