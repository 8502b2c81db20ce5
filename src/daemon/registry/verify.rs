//! Checks of what is stored: one ancestry, or everything.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use cid::Cid;

use super::{Registry, error::RegistryError, journal::digest, reader::Reader, recent::Recent};
use crate::{
    code::Code,
    daemon::store::{
        cold::Wanted,
        error::{Damage, StoreError},
        warm::{
            PAGE,
            rows::{AgentRow, Node},
        },
    },
    domain::{
        id::{AgentId, SessionId},
        journal::{Evaluated, Event, Judged, Proposed},
    },
    provenance::{
        blob::BlobRef,
        entry::{self, Entry},
        error::Error as FormatError,
        seal::{BlobKind, Sealer},
        verify::{VerifyError, verify},
    },
};

/// The most faults that a check names.
const MAX_FAULTS: usize = 100;
/// How many pages of agents are checked at the same time.
const AT_ONCE: usize = 2;
/// How many parents' journals are remembered for sure while a page is checked.
const JOURNALS: usize = 20_000;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Agents checked.
    pub agents: u64,
    /// Entries of their journals.
    pub entries: u64,
    /// Blocks.
    pub blocks: u64,
    /// Whether all sealed contents were opened and checked.
    pub contents: bool,
    /// Sessions whose contents nobody can check, because their keys were destroyed.
    pub shredded: u64,
    /// What is wrong, the first first; at most 100.
    pub faults: Vec<String>,
}

impl Verified {
    fn fault(&mut self, fault: impl ToString) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault.to_string());
        }
    }

    fn damages(&mut self, found: Vec<Damage>) {
        found.into_iter().for_each(|damage| self.fault(damage));
    }
}

impl Registry {
    /// Checks every signature, link, digest and score record of an agent's ancestry; contents
    /// too where the session's key is there. Stops at the first fault and names it.
    ///
    /// # Errors
    /// If there is no such agent, or something can't be read.
    pub async fn verify_agent(&self, id: AgentId) -> Result<Verified, RegistryError> {
        self.agent(id).await?;
        let mut found = self
            .reading(move |reader| {
                let ring = reader.registry().inner.ring.clone();
                let registry = reader.registry().clone();
                let mut keys = Keys::new(&registry);
                let mut sealers = |session| keys.get(session);
                let checked = verify(reader, &ring, &mut sealers, &[id], &mut |_| ());
                let shredded = keys.destroyed;
                let mut found = Verified { contents: true, shredded, ..Verified::default() };
                match checked {
                    Ok(report) => {
                        found.agents = report.agents;
                        found.entries = report.entries;
                        found.blocks = report.blocks;
                        found.contents = report.opened == report.entries;
                    }
                    Err(VerifyError::Fault(fault)) => found.fault(fault),
                    Err(VerifyError::Source(error)) => return Err(error),
                }
                Ok(found)
            })
            .await?;
        // The rows about these agents, against what their journals say.
        let mut cursor = Vec::new();
        while found.faults.is_empty() {
            let page = self.ancestors(id, &cursor, PAGE).await?;
            let faults = self.check_rows(page.agents).await?;
            faults.faults.into_iter().for_each(|fault| found.fault(fault));
            cursor = page.cursor;
            if cursor.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    /// Checks everything that is stored: each block of cold, the database's own structure, the
    /// sealed columns of sessions and runs, each agent's row against its signed journal and its
    /// parents', and that no entry is left over.
    ///
    /// # Errors
    /// If something can't be read at all; damage is no error but in the answer.
    pub async fn verify_all(&self) -> Result<Verified, RegistryError> {
        let stores = &self.inner.stores;
        let mut found = Verified { contents: true, ..Verified::default() };
        found.damages(stores.cold.survey().await?);
        let mut stored = 0;
        for segment in stores.cold.segments().await? {
            let checked = stores.cold.check(segment).await?;
            found.blocks += checked.blocks;
            stored += checked.entries;
            for damage in checked.faults {
                let text = damage.to_string();
                if !found.faults.contains(&text) {
                    found.fault(text);
                }
            }
        }
        found.damages(stores.warm.rows().check().await?);
        let columns = self.check_columns().await?;
        found.shredded = columns.shredded;
        found.contents = columns.shredded == 0;
        columns.faults.into_iter().for_each(|fault| found.fault(fault));
        let (mut after, mut more): (Node, _) = (0, true);
        // Two pages at once, whose findings are taken in order.
        let mut checks = VecDeque::new();
        while more || !checks.is_empty() {
            if more && checks.len() < AT_ONCE {
                let rows = stores.warm.rows().agents_after(None, after, PAGE).await?;
                after = rows.last().map_or(after, |last| last.node);
                more = rows.len() == PAGE;
                let registry = self.clone();
                checks.push_back(tokio::spawn(async move { registry.check_rows(rows).await }));
                continue;
            }
            let Some(checked) = checks.pop_front() else { break };
            let checked = checked.await.map_err(|_| StoreError::Cancelled)??;
            found.agents += checked.agents;
            found.entries += checked.entries;
            found.contents &= checked.contents;
            checked.faults.into_iter().for_each(|fault| found.fault(fault));
        }
        // What was committed meanwhile is among the journals only.
        if found.faults.is_empty() && stored > found.entries {
            let lost = stored - found.entries;
            found.fault(format!(
                "{lost} of the {stored} journal entries in the cold tier belong to no agent's \
                 journal: rows were removed or changed"
            ));
        }
        Ok(found)
    }

    async fn check_rows(&self, rows: Vec<AgentRow>) -> Result<Verified, RegistryError> {
        self.reading(move |reader| {
            let mut found = Verified { contents: true, ..Verified::default() };
            let mut journals = Journals { known: Recent::new(JOURNALS) };
            journals.learn(reader, &rows)?;
            let head = |row: &AgentRow| Wanted { cid: row.head, hint: Some(row.segment) };
            reader.read_ahead(&rows.iter().map(head).collect::<Vec<_>>());
            let read: Vec<_> = rows.iter().map(|row| reader.journal(row)).collect();
            let bodies = rows.iter().zip(&read).flat_map(|(row, journal)| {
                let bodies = journal.iter().flatten().flat_map(|entry| &entry.header.body);
                bodies.map(|cid| Wanted { cid: *cid, hint: Some(row.segment) })
            });
            reader.read_ahead(&bodies.collect::<Vec<_>>());
            for (row, journal) in rows.iter().zip(read) {
                reader.near(row.segment);
                let checked =
                    journal.and_then(|it| check_row(reader, &mut journals, row, &it, &mut found));
                match checked {
                    Ok(()) => found.agents += 1,
                    // What is damaged is named; what can't be read at all ends the check.
                    Err(error) if error.code() == Code::Corrupt => {
                        found.fault(format!("agent {}: {error}", row.id));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        })
        .await
    }
}

/// The sealers of sessions, as far as their keys are there.
pub(super) struct Keys<'a> {
    registry: &'a Registry,
    known: HashMap<SessionId, Option<Arc<Sealer>>>,
    /// How many of them were destroyed.
    destroyed: u64,
}

impl<'a> Keys<'a> {
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry, known: HashMap::new(), destroyed: 0 }
    }

    /// What opens a session's contents; to be asked on a thread that may block.
    pub fn get(&mut self, session: SessionId) -> Option<Arc<Sealer>> {
        let destroyed = &mut self.destroyed;
        let found = || {
            let session = self.registry.inner.vault.session(session);
            let session = tokio::runtime::Handle::current().block_on(session);
            *destroyed += u64::from(matches!(session, Err(RegistryError::Shredded(_))));
            session.ok().map(|session| Arc::clone(&session.sealer))
        };
        self.known.entry(session).or_insert_with(found).clone()
    }
}

/// The journals of agents that others have as parents: what children may link.
struct Journals {
    known: Recent<AgentId, Journal>,
}

#[derive(Clone)]
struct Journal {
    head: Cid,
    /// The entries before it, if there are any.
    earlier: Option<Arc<[Cid]>>,
}

impl Journals {
    /// Notes the journals of these agents and of their parents.
    fn learn(&mut self, reader: &mut Reader, rows: &[AgentRow]) -> Result<(), RegistryError> {
        for row in rows {
            self.note(reader, row)?;
        }
        let mut unknown: Vec<AgentId> = rows.iter().flat_map(|row| &row.parents).copied().collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown.retain(|parent| self.known.get(parent).is_none());
        for row in reader.agents(unknown)? {
            self.note(reader, &row)?;
        }
        Ok(())
    }

    fn note(&mut self, reader: &mut Reader, row: &AgentRow) -> Result<(), RegistryError> {
        let earlier = match row.seq {
            0 => None,
            _ => match reader.journal(row) {
                Ok(entries) => Some(entries.iter().map(|entry| entry.cid).collect()),
                // It is named where this agent itself is checked.
                Err(error) if error.code() == Code::Corrupt => None,
                Err(error) => return Err(error),
            },
        };
        self.known.put(row.id, Journal { head: row.head, earlier });
        Ok(())
    }

    /// Whether these are entries of the journals of these agents, in order.
    fn hold(&mut self, parents: &[AgentId], linked: &[Cid]) -> bool {
        let mut holds = |(parent, cid): (&AgentId, &Cid)| {
            self.known.get(parent).is_some_and(|journal| {
                journal.head == *cid || journal.earlier.is_some_and(|earlier| earlier.contains(cid))
            })
        };
        parents.len() == linked.len() && parents.iter().zip(linked).all(&mut holds)
    }
}

/// Checks a row against the journal that it names, and the journal's links against the rows.
fn check_row(
    reader: &mut Reader,
    journals: &mut Journals,
    row: &AgentRow,
    journal: &[Entry],
    found: &mut Verified,
) -> Result<(), RegistryError> {
    let mismatch = |why: &str| Err(FormatError::Mismatch(why.to_owned()).into());
    let sealer = reader.sealer(row.session)?;
    for entry in journal {
        found.entries += 1;
        let header = &entry.header;
        if header.link.seq == 0 && !journals.hold(&row.parents, &header.link.parents) {
            return mismatch("its journal does not link entries of its parents' journals");
        }
        if header.session != row.session {
            return mismatch("its journal belongs to another session");
        }
        let Some(sealer) = &sealer else {
            found.contents = false;
            continue;
        };
        let outline = entry::outline(entry, sealer, &mut |cid| reader.get(cid))?;
        let mut measured = None;
        for event in &outline.events {
            let fits = match event {
                Event::Proposed(proposed) => {
                    proposed_fits(row, proposed)
                        && genome_fits(row, sealer, proposed, &outline.blobs)?
                }
                Event::Evaluated(evaluated) => {
                    measured = Some(evaluated);
                    true
                }
                Event::Judged(judged) => judged_fits(row, measured, judged),
            };
            if !fits {
                let kind = event.kind().as_str();
                return mismatch(&format!("its row differs from what its journal has {kind}"));
            }
        }
    }
    Ok(())
}

fn proposed_fits(row: &AgentRow, proposed: &Proposed) -> bool {
    proposed.run == row.run
        && proposed.generation == row.generation
        && proposed.slot == row.slot
        && proposed.parents == row.parents
        && proposed.operators == row.operators
}

/// Whether the keyed digest in the row is that of the genome, of which larger files are known
/// by their digests.
fn genome_fits(
    row: &AgentRow,
    sealer: &Sealer,
    proposed: &Proposed,
    blobs: &[BlobRef],
) -> Result<bool, RegistryError> {
    let digest = digest(proposed, blobs)?;
    Ok(sealer.mac(BlobKind::Genome, &digest) == row.genome)
}

/// Whether the row has the score that was judged, and how.
fn judged_fits(row: &AgentRow, measured: Option<&Evaluated>, judged: &Judged) -> bool {
    let scored = measured.is_none_or(|evaluated| {
        evaluated.fitness.map(f64::to_bits) == row.fitness.map(f64::to_bits)
            && evaluated.at_ms == row.at_ms
    });
    scored
        && judged.verdict == row.verdict
        && judged.delta.map(f64::to_bits) == row.delta.map(f64::to_bits)
}
