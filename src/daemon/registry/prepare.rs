//! The first stage of the writer: numbers, links, seals and signs agents, in their order.
//!
//! It runs on a thread of its own, ahead of the commits. An epoch ends whenever a commit
//! fails: what was prepared on top of it is refused, and what is remembered is forgotten.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use cid::Cid;
use opentelemetry::trace::SpanContext;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
};

use super::{
    error::RegistryError,
    known::{Known, fingerprint, same},
    measured::Sought,
    model::{Finished, MAX_ENTRIES},
    recent::Recent,
    salts::Salts,
    vault::Session,
};
use crate::{
    daemon::store::warm::{
        Warm,
        marks::Mark,
        rows::{BlobRow, Change, Group, NewAgent, NewHead, NewResult, Node},
        uploads::NewPart,
    },
    domain::{
        digest::Digest,
        id::{AgentId, RunId},
        journal::Event,
    },
    provenance::{
        block::Block,
        entry::{self, Keys, Link},
        error::Error as FormatError,
        manifest::genome_digest,
        seal::BlobKind,
        sign::Signer,
    },
};

/// Agents that are remembered for sure, as parents and to know repetitions.
const AGENTS: usize = 10_000;
/// Blobs that are remembered for sure.
const BLOBS: usize = 2_000;

/// How an answer finds its way back.
pub type Reply<T> = oneshot::Sender<Result<T, RegistryError>>;

/// Room in the queue: for agents, and for their files.
pub type Room = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// A run at work.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    /// Its id.
    pub id: RunId,
    /// Its number.
    pub node: i64,
}

/// What the writer is asked for.
pub enum Job {
    /// To store entries of journals.
    Write {
        /// Which.
        what: What,
        /// Their session.
        session: Arc<Session>,
        /// Their room in the queue.
        room: Room,
        /// The span that asks.
        cause: SpanContext,
        /// The calls that are made by it.
        marks: Vec<Mark>,
        /// Gets the entries, in order.
        reply: Reply<Vec<Cid>>,
    },
    /// To make other changes, all or none, after all that was asked for before.
    Change(Vec<Change>, Reply<()>),
    /// To answer, after all that was asked for before.
    Ping(Reply<()>),
}

/// What is to be stored.
pub enum What {
    /// Agents of a run, or of none, parents before children.
    Agents(Option<Running>, Vec<Finished>),
    /// More entries in an agent's journal.
    Entries(AgentId, Vec<Vec<Event>>),
    /// The next part of a blob: the blob's id, the part's number, and its content.
    Part([u8; 32], u64, Bytes),
}

/// What is ready to be committed.
pub enum Ready {
    /// Entries of journals.
    Write(Prepared),
    /// Other changes, and the epoch in which they were asked for.
    Change(Vec<Change>, u64, Reply<()>),
    /// To answer.
    Ping(Reply<()>),
}

/// Entries that are sealed and signed.
pub struct Prepared {
    /// The epoch in which they were.
    pub epoch: u64,
    /// Their agents' run.
    pub run: Option<RunId>,
    /// What becomes of them.
    pub work: Work,
    /// The size of the blocks.
    pub bytes: usize,
    /// Their room in the queue.
    pub room: Room,
    /// The span that asked for it.
    pub cause: SpanContext,
    /// Gets the heads.
    pub reply: Reply<Vec<Cid>>,
}

/// What is to be committed.
#[derive(Default)]
pub struct Work {
    /// The rows.
    pub rows: Group,
    /// All blocks.
    pub blocks: Vec<Block>,
    /// The head of each agent that was asked for.
    pub heads: Vec<Cid>,
    /// The calls that are made by it.
    pub marks: Vec<Mark>,
}

/// The first stage.
pub struct Preparer {
    warm: Warm,
    signer: Arc<Signer>,
    runtime: Handle,
    epoch: Arc<AtomicU64>,
    seen: u64,
    last: Node,
    agents: Recent<AgentId, Known>,
    blobs: Recent<[u8; 32], Vec<Cid>>,
    /// By run: the last generation that may hold agents which are not remembered.
    stored: HashMap<i64, Option<u64>>,
    salts: Salts,
}

impl Preparer {
    /// The stage over what `warm` holds; numbers go on behind `last`.
    #[must_use]
    pub fn new(
        warm: Warm,
        signer: Arc<Signer>,
        runtime: Handle,
        epoch: Arc<AtomicU64>,
        last: Node,
    ) -> Self {
        Self {
            warm,
            signer,
            runtime,
            epoch,
            seen: 0,
            last,
            agents: Recent::new(AGENTS),
            blobs: Recent::new(BLOBS),
            stored: HashMap::new(),
            salts: Salts::default(),
        }
    }

    /// Works until nobody asks for anything any more.
    pub fn run(mut self, mut jobs: mpsc::Receiver<Job>, ready: mpsc::Sender<Ready>) {
        while let Some(job) = jobs.blocking_recv() {
            let epoch = self.epoch.load(Ordering::Acquire);
            if epoch != self.seen {
                self.agents.clear();
                self.blobs.clear();
                self.stored.clear();
                self.seen = epoch;
            }
            let next = match job {
                Job::Change(changes, reply) => Ready::Change(changes, epoch, reply),
                Job::Ping(reply) => Ready::Ping(reply),
                Job::Write { what, session, room, cause, marks, reply } => {
                    match self.write(what, &session) {
                        Ok((run, work)) => {
                            let work = Work { marks, ..work };
                            let bytes = work.blocks.iter().map(|block| block.bytes.len()).sum();
                            Ready::Write(Prepared { epoch, run, work, bytes, room, cause, reply })
                        }
                        Err(error) => {
                            // Whoever asked may have gone.
                            drop(reply.send(Err(error)));
                            continue;
                        }
                    }
                }
            };
            if ready.blocking_send(next).is_err() {
                return;
            }
        }
    }

    fn write(
        &mut self,
        what: What,
        session: &Session,
    ) -> Result<(Option<RunId>, Work), RegistryError> {
        match what {
            What::Agents(run, batch) => {
                Ok((run.map(|run| run.id), self.agents(run, session, batch)?))
            }
            What::Part(of, number, content) => {
                Ok((None, self.part(session, of, number, &content)?))
            }
            What::Entries(agent, entries) => Ok((None, self.append(agent, session, &entries)?)),
        }
    }

    /// Seals a part of a blob.
    fn part(
        &mut self,
        session: &Session,
        of: [u8; 32],
        number: u64,
        content: &[u8],
    ) -> Result<Work, RegistryError> {
        // A salt of its own: a part that comes again, after a crash, may be another one.
        let blocks = session.sealer.seal_blocks(BlobKind::Part, content, self.salt()?)?;
        let mut work = Work::default();
        let part = |block: &Block| NewPart { of, number, cid: block.cid };
        work.rows.parts.extend(blocks.iter().map(part));
        work.blocks = blocks;
        Ok(work)
    }

    fn salt(&mut self) -> Result<[u8; 32], RegistryError> {
        let salt = self.salts.next();
        if self.salts.failed() {
            return Err(RegistryError::Invalid("the system has no random numbers".to_owned()));
        }
        Ok(salt)
    }

    /// Continues an agent's journal behind what was handed in before.
    fn append(
        &mut self,
        agent: AgentId,
        session: &Session,
        entries: &[Vec<Event>],
    ) -> Result<Work, RegistryError> {
        self.remember(vec![agent])?;
        let missing = || RegistryError::NotFound { what: "agent", text: agent.to_string() };
        let mut known = self.agents.get(&agent).ok_or_else(missing)?;
        let mut work = Work::default();
        for events in entries {
            let seq = known.seq + 1;
            if seq >= MAX_ENTRIES {
                let what =
                    format!("the journal of agent {agent} is full: it has {MAX_ENTRIES} entries");
                return Err(RegistryError::Invalid(what));
            }
            let link = Link { agent, seq, prev: Some(known.head()), parents: Vec::new() };
            let (head, _) = self.entry(session, &link, events, &mut work)?;
            work.rows.appended.push(NewHead { node: known.node, head, seq });
            work.heads.push(head);
            known = Known::new(known.node, &head, seq, known.same);
        }
        self.agents.put(agent, known);
        self.keep(&work);
        Ok(work)
    }

    fn agents(
        &mut self,
        run: Option<Running>,
        session: &Session,
        batch: Vec<Finished>,
    ) -> Result<Work, RegistryError> {
        self.look_up(run, &batch)?;
        let mut work = Work::default();
        // Nothing is remembered of a batch that fails.
        let mut fresh: HashMap<AgentId, Known> = HashMap::with_capacity(batch.len());
        for finished in batch {
            let known = fresh.get(&finished.agent).copied();
            if let Some(known) = known.or_else(|| self.agents.get(&finished.agent)) {
                let digest = genome_digest(&finished.proposed.genome, &finished.proposed.space)?;
                let mac = session.sealer.mac(BlobKind::Genome, &digest);
                if same(&finished, &mac) != known.same {
                    let what = format!("agent {}", finished.agent);
                    return Err(RegistryError::Conflict { what });
                }
                work.heads.push(known.head());
                continue;
            }
            let agent = finished.agent;
            let known = self.one(run, session, finished, &fresh, &mut work)?;
            work.heads.push(known.head());
            fresh.insert(agent, known);
        }
        for (agent, known) in fresh {
            self.agents.put(agent, known);
        }
        self.keep(&work);
        Ok(work)
    }

    /// Remembers the blobs that are about to be stored.
    fn keep(&mut self, work: &Work) {
        for blob in &work.rows.blobs {
            self.blobs.put(blob.mac, blob.cids.clone());
        }
    }

    /// Seals and signs one agent.
    fn one(
        &mut self,
        run: Option<Running>,
        session: &Session,
        finished: Finished,
        fresh: &HashMap<AgentId, Known>,
        work: &mut Work,
    ) -> Result<Known, RegistryError> {
        let agent = finished.agent;
        let (mut parents, mut heads) = (Vec::new(), Vec::new());
        for parent in &finished.proposed.parents {
            let known = fresh.get(parent).copied().or_else(|| self.agents.get(parent));
            let known = known.ok_or(RegistryError::Orphan { agent, parent: *parent })?;
            parents.push(known.node);
            heads.push(known.head());
        }
        let link = Link { agent, seq: 0, prev: None, parents: heads };
        let Finished { proposed, evaluated, repeats, judged, .. } = finished;
        let (generation, slot) = (proposed.generation, proposed.slot);
        let operators = proposed.operators.join(",");
        let (fitness, at_ms) = (evaluated.fitness, evaluated.at_ms);
        let ids = proposed.parents.clone();
        // What repeats come to is no result of its own.
        let measured = 1..=repeats.len().max(1);
        let mut events = vec![Event::Proposed(proposed)];
        events.extend(repeats.into_iter().map(Event::Evaluated));
        events.extend([Event::Evaluated(evaluated), Event::Judged(judged)]);
        let (head, digest) = self.entry(session, &link, &events, work)?;
        let digest = digest.ok_or_else(|| {
            FormatError::Invalid("an entry without a proposal begins no journal".to_owned())
        })?;
        let genome = session.sealer.mac(BlobKind::Genome, &digest);
        self.last += 1;
        let node = self.last;
        let results = events[measured].iter().filter_map(|event| match event {
            Event::Evaluated(evaluated) => Sought::of(digest, evaluated),
            _ => None,
        });
        let key = |sought: Sought| NewResult { key: sought.key(&session.sealer), agent: node };
        work.rows.results.extend(results.map(key));
        let same = fingerprint(&genome, fitness, judged.verdict.as_str(), &ids);
        work.rows.agents.push(NewAgent {
            node,
            id: agent,
            session: session.node,
            run: run.map(|run| run.node),
            generation,
            slot,
            parents,
            operators,
            fitness,
            verdict: judged.verdict,
            delta: judged.delta,
            genome,
            head,
            seq: 0,
            at_ms,
        });
        Ok(Known::new(node, &head, 0, same))
    }

    /// Seals and signs an entry; gives it and the digest of the genome that it proposes.
    fn entry(
        &mut self,
        session: &Session,
        link: &Link,
        events: &[Event],
        work: &mut Work,
    ) -> Result<(Cid, Option<Digest>), RegistryError> {
        let Self { warm, runtime, blobs, salts, signer, .. } = self;
        let mut failed = None;
        let mut known = |mac: &[u8; 32]| {
            let twin = work.rows.blobs.iter().find(|blob| blob.mac == *mac);
            if let Some(cids) = twin.map(|blob| blob.cids.clone()).or_else(|| blobs.get(mac)) {
                return Some(cids);
            }
            let found = runtime.block_on(warm.rows().blob(*mac)).unwrap_or_else(|error| {
                failed = Some(error);
                None
            });
            if let Some(cids) = &found {
                blobs.put(*mac, cids.clone());
            }
            found
        };
        let keys = Keys { signer, sealer: &session.sealer };
        let written = entry::write(keys, link, events, &mut || salts.next(), &mut known)?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        if self.salts.failed() {
            return Err(RegistryError::Invalid("the system has no random numbers".to_owned()));
        }
        let (head, genome) = (written.entry.cid, written.genome);
        for blob in written.blobs {
            let cids = blob.blocks.iter().map(|block| block.cid).collect();
            work.rows.blobs.push(BlobRow { mac: blob.mac, cids });
            work.blocks.extend(blob.blocks);
        }
        work.blocks.extend(written.body);
        work.blocks.push(written.entry);
        Ok((head, genome))
    }

    /// Remembers whatever the batch needs to know of agents that were stored earlier.
    fn look_up(&mut self, run: Option<Running>, batch: &[Finished]) -> Result<(), RegistryError> {
        let stored = match run {
            None => Some(u64::MAX),
            Some(run) => self.stored(run)?,
        };
        let mut unknown: Vec<AgentId> = Vec::new();
        for finished in batch {
            let old = stored.is_some_and(|last| finished.proposed.generation <= last);
            unknown.extend(old.then_some(finished.agent));
            unknown.extend(&finished.proposed.parents);
        }
        self.remember(unknown)
    }

    /// Remembers those of these agents that are stored.
    fn remember(&mut self, mut unknown: Vec<AgentId>) -> Result<(), RegistryError> {
        unknown.retain(|agent| self.agents.get(agent).is_none());
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort_unstable();
        unknown.dedup();
        for row in self.runtime.block_on(self.warm.rows().agents(unknown))? {
            self.agents.put(row.id, Known::from(&row));
        }
        Ok(())
    }

    /// The last generation of a run of which agents may be stored that are not remembered.
    fn stored(&mut self, run: Running) -> Result<Option<u64>, RegistryError> {
        if let Some(known) = self.stored.get(&run.node) {
            return Ok(*known);
        }
        let row = self.runtime.block_on(self.warm.rows().run(run.id))?;
        let stored = row.filter(|row| row.agents > 0).map(|row| row.generation);
        self.stored.insert(run.node, stored);
        Ok(stored)
    }
}
