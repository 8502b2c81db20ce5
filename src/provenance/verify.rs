//! Checks an agent's whole ancestry: signatures, links, digests, contents, score records.
//!
//! Only keys that the caller pinned are trusted. Contents are checked where the caller has
//! the session's key; elsewhere the signed chain and the digests of the sealed blocks are.
//! Entries are checked parents first, each once, and the first fault ends the check.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use cid::Cid;

use crate::{
    code::Code,
    domain::{
        digest::Digest,
        id::{AgentId, SessionId},
        journal::{Evaluated, Event, EventKind, Judged},
        lifecycle::Verdict,
    },
};

use super::{
    blob::{BlobRef, blocks},
    block::{Block, cid_bytes, digest_of},
    digest::sha256,
    entry::{self, Entry},
    error::Error,
    seal::Sealer,
    sign::KeyRing,
};

/// Where blocks and journals' heads come from.
pub trait Source {
    /// Why it could not be read.
    type Error;

    /// The block of that name, if it is there. It need not be checked.
    ///
    /// # Errors
    /// If the place could not be read.
    fn get(&mut self, cid: &Cid) -> Result<Option<Bytes>, Self::Error>;

    /// The latest entry of an agent's journal, if the agent is known.
    ///
    /// # Errors
    /// If the place could not be read.
    fn head(&mut self, agent: AgentId) -> Result<Option<Cid>, Self::Error>;
}

/// What opens a session's contents, if the caller has its key.
pub type Sealers<'a> = dyn FnMut(SessionId) -> Option<Arc<Sealer>> + 'a;

/// The first thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The agent in whose journal it is, as far as that is known.
    pub agent: Option<AgentId>,
    /// The entry of that journal.
    pub seq: Option<u64>,
    /// The block that was being checked.
    pub block: Option<Cid>,
    /// What is wrong.
    pub error: Error,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.agent, self.seq) {
            (Some(agent), Some(seq)) => write!(f, "agent {agent}, entry {seq}: {}", self.error),
            (Some(agent), None) => write!(f, "agent {agent}: {}", self.error),
            _ => self.error.fmt(f),
        }
    }
}

/// Why a check did not pass.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError<E> {
    /// Something is wrong.
    #[error("{0}")]
    Fault(Box<Fault>),
    /// The place could not be read, so that nothing can be said.
    #[error("{0}")]
    Source(E),
}

impl<E> VerifyError<E> {
    /// The stable code; `source` tells that of the place's own errors.
    pub fn code(&self, source: impl FnOnce(&E) -> Code) -> Code {
        match self {
            Self::Fault(fault) => fault.error.code(),
            Self::Source(error) => source(error),
        }
    }
}

/// What was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Agents.
    pub agents: u64,
    /// Entries of their journals.
    pub entries: u64,
    /// Entries whose contents were opened and checked; of the others it holds: “content
    /// not checked”.
    pub opened: u64,
    /// Blocks.
    pub blocks: u64,
    /// The bytes of these blocks.
    pub bytes: u64,
}

/// Checks the journals of `agents` and of all their ancestors.
///
/// `visit` gets each block once, in an order in which they can be stored: an entry after
/// everything that it names.
///
/// # Errors
/// The first fault, or that of the source.
pub fn verify<S: Source>(
    source: &mut S,
    trusted: &KeyRing,
    sealers: &mut Sealers<'_>,
    agents: &[AgentId],
    visit: &mut dyn FnMut(&Cid),
) -> Result<Report, VerifyError<S::Error>> {
    let mut walk = Walk {
        source,
        trusted,
        sealers,
        visit,
        seen: HashMap::new(),
        opened: HashSet::new(),
        beside: HashSet::new(),
        places: HashSet::new(),
        journals: HashMap::new(),
        report: Report::default(),
        steps: Vec::new(),
        due: Vec::new(),
    };
    for agent in agents {
        walk.journal(*agent)?;
        // Each agent met on the way has a journal of its own, perhaps longer than what
        // its children link.
        while let Some(agent) = walk.due.pop() {
            walk.journal(agent)?;
        }
    }
    walk.ends()?;
    Ok(walk.report)
}

/// A fitness, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Score {
    /// The entry that tells was not opened.
    Sealed,
    /// It is this; none if there is none.
    Known(Option<f64>),
}

/// What is kept of an entry that was checked.
#[derive(Debug, Clone, Copy)]
struct Node {
    agent: AgentId,
    session: SessionId,
    seq: u64,
    fitness: Score,
    best_parent: Score,
}

/// What is kept of a journal.
#[derive(Debug, Default)]
struct Journal {
    /// The last place that anything links.
    last: u64,
    /// The place of the entry that its source calls the latest.
    head: Option<u64>,
}

#[derive(Debug)]
enum Step {
    /// An entry is to be read; the agent and the entry that link it, or whose last it is.
    Enter(Cid, AgentId, Option<u64>),
    /// What an entry links was checked; now itself.
    Leave(Box<Entry>, Bytes),
}

/// Either side's error, while contents are loaded.
enum Failed<E> {
    Format(Error),
    Source(E),
}

impl<E> From<Error> for Failed<E> {
    fn from(error: Error) -> Self {
        Self::Format(error)
    }
}

struct Walk<'a, 'b, S> {
    source: &'a mut S,
    trusted: &'a KeyRing,
    sealers: &'a mut Sealers<'b>,
    visit: &'a mut dyn FnMut(&Cid),
    seen: HashMap<Digest, Node>,
    /// The contents beside bodies that were opened.
    opened: HashSet<Digest>,
    /// Their blocks.
    beside: HashSet<Digest>,
    places: HashSet<(AgentId, u64)>,
    journals: HashMap<AgentId, Journal>,
    report: Report,
    steps: Vec<Step>,
    due: Vec<AgentId>,
}

impl<S: Source> Walk<'_, '_, S> {
    /// Checks an agent's journal from its latest entry back, and what that links.
    fn journal(&mut self, agent: AgentId) -> Result<(), VerifyError<S::Error>> {
        if self.journals.get(&agent).is_some_and(|journal| journal.head.is_some()) {
            return Ok(());
        }
        let head = self.source.head(agent).map_err(VerifyError::Source)?;
        let Some(head) = head else {
            let error = Error::Missing("that its journal ends with".to_owned());
            return Err(fault(Some(agent), None, None, error));
        };
        self.steps.push(Step::Enter(head, agent, None));
        while let Some(step) = self.steps.pop() {
            match step {
                Step::Enter(cid, agent, seq) => self.enter(cid, agent, seq)?,
                Step::Leave(entry, bytes) => self.leave(&entry, &bytes)?,
            }
        }
        let last = self.seen.get(&key(&head)).filter(|node| node.agent == agent);
        let Some(last) = last else {
            let error = Error::Mismatch("its journal is said to end with another's".to_owned());
            return Err(fault(Some(agent), None, Some(head), error));
        };
        self.journals.entry(agent).or_default().head = Some(last.seq);
        Ok(())
    }

    /// Reads an entry, and plans what it links before itself.
    fn enter(
        &mut self,
        cid: Cid,
        agent: AgentId,
        seq: Option<u64>,
    ) -> Result<(), VerifyError<S::Error>> {
        if self.seen.contains_key(&key(&cid)) {
            return Ok(());
        }
        let bytes = self.source.get(&cid).map_err(VerifyError::Source)?;
        let read = bytes
            .ok_or_else(|| Error::Missing(cid.to_string()))
            .and_then(|bytes| Block::found(cid, bytes))
            .and_then(|block| Ok((entry::read(&block, self.trusted)?, block.bytes)));
        let (entry, bytes) = read.map_err(|error| fault(Some(agent), seq, Some(cid), error))?;
        let link = &entry.header.link;
        let (own, place) = (link.agent, Some(link.seq));
        let journal = self.journals.entry(link.agent).or_insert_with(|| {
            self.due.push(link.agent);
            Journal::default()
        });
        journal.last = journal.last.max(link.seq);
        if !self.places.insert((link.agent, link.seq)) {
            let error = Error::Mismatch("its journal forks: two entries have this place".into());
            return Err(fault(Some(link.agent), Some(link.seq), Some(cid), error));
        }
        let linked: Vec<Cid> = link.prev.iter().chain(&link.parents).copied().collect();
        self.steps.push(Step::Leave(Box::new(entry), bytes));
        self.steps.extend(linked.into_iter().rev().map(|cid| Step::Enter(cid, own, place)));
        Ok(())
    }

    /// Checks an entry whose links were checked.
    fn leave(&mut self, entry: &Entry, bytes: &Bytes) -> Result<(), VerifyError<S::Error>> {
        let link = &entry.header.link;
        let checked = self.links(entry).map_err(Failed::Format);
        let checked = checked.and_then(|node| self.contents(entry, node));
        let node = checked.map_err(|failed| match failed {
            Failed::Format(error) => {
                fault(Some(link.agent), Some(link.seq), Some(entry.cid), error)
            }
            Failed::Source(error) => VerifyError::Source(error),
        })?;
        self.count(&entry.cid, bytes.len());
        self.report.agents += u64::from(link.seq == 0);
        self.report.entries += 1;
        self.seen.insert(key(&entry.cid), node);
        Ok(())
    }

    fn count(&mut self, cid: &Cid, bytes: usize) {
        (self.visit)(cid);
        self.report.blocks += 1;
        self.report.bytes += bytes as u64;
    }

    /// Checks that the entry follows the one before it; what is known before its contents.
    fn links(&self, entry: &Entry) -> Result<Node, Error> {
        let header = &entry.header;
        let (agent, seq, session) = (header.link.agent, header.link.seq, header.session);
        let linked =
            |cid: &Cid| self.seen.get(&key(cid)).ok_or_else(|| Error::Missing(cid.to_string()));
        let mut node = Node {
            agent,
            session,
            seq,
            fitness: Score::Known(None),
            best_parent: Score::Known(None),
        };
        if let Some(prev) = &header.link.prev {
            let before = linked(prev)?;
            let follows = before.agent == agent
                && before.session == session
                && before.seq.checked_add(1) == Some(seq);
            if !follows {
                let why = "it does not follow the entry that it names as the one before";
                return Err(Error::Mismatch(why.to_owned()));
            }
            (node.fitness, node.best_parent) = (before.fitness, before.best_parent);
        }
        for parent in &header.link.parents {
            let parent = linked(parent)?;
            node.best_parent = best(node.best_parent, parent.fitness);
        }
        Ok(node)
    }

    /// Checks what the entry seals: all of it, or, without a key, the digests of its blocks.
    fn contents(&mut self, entry: &Entry, mut node: Node) -> Result<Node, Failed<S::Error>> {
        let header = &entry.header;
        let mut loaded = Vec::new();
        let source = &mut *self.source;
        let mut get = |cid: &Cid| {
            let bytes = source.get(cid).map_err(Failed::Source)?;
            loaded.push((*cid, bytes.as_ref().map_or(0, Bytes::len)));
            Ok::<_, Failed<S::Error>>(bytes)
        };
        let events = if let Some(sealer) = (self.sealers)(node.session) {
            let outline = entry::outline(entry, &sealer, &mut get)?;
            for blob in &outline.blobs {
                // Many agents share a file: it is opened once.
                if self.opened.insert(identity(blob)) {
                    blob.load(&sealer, &mut get)?;
                }
            }
            Some(outline.events)
        } else {
            blocks(&header.body, &mut get)?;
            None
        };
        let (body, beside): (Vec<_>, Vec<_>) =
            loaded.into_iter().partition(|(cid, _)| header.body.contains(cid));
        for (cid, size) in beside {
            if self.beside.insert(key(&cid)) {
                self.count(&cid, size);
            }
        }
        for (cid, size) in body {
            self.count(&cid, size);
        }
        let Some(events) = events else {
            if header.kinds.contains(&EventKind::Judged) {
                node.fitness = Score::Sealed;
            }
            return Ok(node);
        };
        self.report.opened += 1;
        Ok(self.records(entry, &events, node)?)
    }

    /// Checks that what the events say of parents and scores agrees with the chain. An agent's
    /// score is what was judged last: other evaluations are on record beside it.
    fn records(&self, entry: &Entry, events: &[Event], mut node: Node) -> Result<Node, Error> {
        let mut measured = node.fitness;
        for event in events {
            match event {
                Event::Proposed(proposed) => {
                    let named = proposed.parents.iter().copied().map(Some);
                    let linked = &entry.header.link.parents;
                    let linked = linked.iter().map(|cid| self.seen.get(&key(cid)));
                    if !named.eq(linked.map(|node| node.map(|node| node.agent))) {
                        let why = "its parents are not the agents whose entries it links";
                        return Err(Error::Mismatch(why.to_owned()));
                    }
                }
                Event::Evaluated(evaluated) => measured = Score::Known(fitness(evaluated)?),
                Event::Judged(judged) => {
                    node.fitness = measured;
                    judgement(judged, &node)?;
                }
            }
        }
        Ok(node)
    }

    /// Checks that no journal was followed beyond what its source calls its end.
    fn ends(&self) -> Result<(), VerifyError<S::Error>> {
        let late = self.journals.iter().filter(|(_, journal)| Some(journal.last) > journal.head);
        let Some((agent, journal)) = late.min_by_key(|(agent, _)| **agent) else { return Ok(()) };
        let why = "its journal goes on after the entry that is said to be its last";
        Err(fault(Some(*agent), Some(journal.last), None, Error::Mismatch(why.to_owned())))
    }
}

fn fault<E>(
    agent: Option<AgentId>,
    seq: Option<u64>,
    block: Option<Cid>,
    error: Error,
) -> VerifyError<E> {
    VerifyError::Fault(Box::new(Fault { agent, seq, block, error }))
}

/// What an entry is kept by: a third of a CID's size in memory. Every link of an entry
/// that was read has a digest.
fn key(cid: &Cid) -> Digest {
    digest_of(cid).unwrap_or_default()
}

/// All that is said of a content beside a body but its name.
fn identity(blob: &BlobRef) -> Digest {
    let mut all = vec![blob.kind as u8];
    all.extend(blob.size.to_be_bytes());
    all.extend(blob.digest.0);
    blob.cids.iter().for_each(|cid| all.extend(cid_bytes(cid)));
    sha256(&all)
}

fn best(a: Score, b: Score) -> Score {
    match (a, b) {
        (Score::Known(Some(a)), Score::Known(Some(b))) => Score::Known(Some(a.max(b))),
        (Score::Known(a), Score::Known(b)) => Score::Known(a.or(b)),
        _ => Score::Sealed,
    }
}

fn fitness(evaluated: &Evaluated) -> Result<Option<f64>, Error> {
    if evaluated.fitness.is_some() && evaluated.evaluation.scores.is_err() {
        let why = "it has a fitness, although its evaluation failed";
        return Err(Error::Mismatch(why.to_owned()));
    }
    Ok(evaluated.fitness)
}

/// Checks a judgement against the fitness of the agent and of its parents.
fn judgement(judged: &Judged, node: &Node) -> Result<(), Error> {
    let Score::Known(own) = node.fitness else { return Ok(()) };
    if (judged.verdict == Verdict::Archived) != own.is_none() {
        let why = "it is judged as if it had a score that it has not, or the other way round";
        return Err(Error::Mismatch(why.to_owned()));
    }
    let Score::Known(parent) = node.best_parent else { return Ok(()) };
    let delta = own.zip(parent).map(|(own, parent)| own - parent);
    if judged.delta != delta {
        let why = "the recorded difference to its parents is not that of the recorded scores";
        return Err(Error::Mismatch(why.to_owned()));
    }
    let improved = delta.is_some_and(|delta| delta > 0.0);
    let fits = match judged.verdict {
        Verdict::Improved => improved,
        Verdict::Scored => !improved,
        Verdict::Archived | Verdict::Champion => true,
    };
    let why = "its verdict does not fit the recorded scores";
    if fits { Ok(()) } else { Err(Error::Mismatch(why.to_owned())) }
}
