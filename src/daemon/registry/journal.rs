//! Journals for people: entries with their events, filtered, in pages.

use super::{
    Registry,
    error::RegistryError,
    lineage::{decode, encode},
    reader::Reader,
};
use crate::{
    daemon::store::warm::{
        PAGE,
        rows::{AgentRow, Node},
    },
    domain::{
        digest::Digest,
        id::{AgentId, RunId},
        journal::{Event, EventKind, Proposed},
        lifecycle::Verdict,
    },
    provenance::{
        blob::BlobRef,
        entry::{self, Entry},
        error::Error as FormatError,
        manifest::genome_digest_with,
        seal::{BlobKind, Sealer},
    },
};

/// The most agents that are looked at for one page, whether they pass the filter or not.
const LOOKED_AT: usize = 20 * PAGE;
/// The largest artefact that an entry shows, in bytes; larger ones are left out.
const MAX_ARTIFACT: u64 = 64 << 10;
/// All artefacts of a page together, in bytes.
const MAX_ARTIFACTS: u64 = 2 << 20;
/// A page ends when it has as many events, however few its entries.
const MAX_EVENTS: usize = 4 * PAGE;

/// Whose journals are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// One agent's.
    Agent(AgentId),
    /// Those of a run's agents.
    Run(RunId),
}

/// What of the journals is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Events of these kinds; empty: all.
    pub kinds: Vec<EventKind>,
    /// Agents with one of these verdicts; empty: all.
    pub verdicts: Vec<Verdict>,
    /// Entries of which an evaluation ended at this time or later, in milliseconds since the
    /// Unix epoch.
    pub since_ms: u64,
}

/// An entry as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalEntry {
    /// The entry: its header and CID.
    pub entry: Entry,
    /// Its events that are wanted. Files are named, without their content, and so are
    /// artefacts beyond 64 KiB. `None` if the session's key was destroyed.
    pub events: Option<Vec<Event>>,
    /// The digest of the genome that it proposes, if it does and can be opened.
    pub genome: Option<Digest>,
}

/// One page of journals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JournalPage {
    /// The entries: agents in the order of their commits, each with its own from the first on.
    pub entries: Vec<JournalEntry>,
    /// Where the next page starts; empty if this was the last. A page that is not the last
    /// may be short, or empty, where few agents pass the filter.
    pub cursor: Vec<u8>,
}

impl Registry {
    /// Reads journals: at most `limit` entries (and at most 1,000).
    ///
    /// # Errors
    /// If there is no such agent or run, the cursor is none of ours, or something is damaged.
    pub async fn journal(
        &self,
        of: Of,
        filter: Filter,
        cursor: &[u8],
        limit: usize,
    ) -> Result<JournalPage, RegistryError> {
        let start = Place::decode(cursor)?;
        let limit = limit.clamp(1, PAGE);
        let (rows, next) = match of {
            Of::Agent(id) => {
                let row = self.agent(id).await?;
                (if passes(&filter, &row) { vec![row] } else { Vec::new() }, 0)
            }
            Of::Run(run) => {
                self.need_run(run).await?;
                self.matching(run, &filter, start.after, limit).await?
            }
        };
        self.reading(move |reader| read(reader, &filter, &rows, start, next, limit)).await
    }

    /// The score of an agent that no run made, as its user reads it; from its journal, since
    /// only the suite that it was measured by tells unit and sign. Without its session's key it
    /// is the fitness.
    ///
    /// # Errors
    /// If its journal can't be read.
    pub async fn score(&self, row: &AgentRow) -> Result<Option<f64>, RegistryError> {
        let row = row.clone();
        self.reading(move |reader| {
            let first = reader.journal(&row)?.into_iter().next();
            let Some((first, sealer)) = first.zip(reader.sealer(row.session)?) else {
                return Ok(row.fitness);
            };
            let outline = entry::outline(&first, &sealer, &mut |cid| reader.get(cid))?;
            // What repeats come to stands behind them.
            let measured = outline.events.iter().rev().find_map(|event| match event {
                Event::Evaluated(evaluated) => Some(evaluated.shown()),
                _ => None,
            });
            Ok(measured.unwrap_or(row.fitness))
        })
        .await
    }

    /// Rows of a run that pass the filter, and the number behind which to go on; 0 at the end.
    async fn matching(
        &self,
        run: RunId,
        filter: &Filter,
        mut after: Node,
        limit: usize,
    ) -> Result<(Vec<AgentRow>, Node), RegistryError> {
        let (mut found, mut looked) = (Vec::new(), 0);
        while found.len() < limit && looked < LOOKED_AT {
            let rows = self.inner.stores.warm.rows().agents_after(Some(run), after, PAGE).await?;
            let last_page = rows.len() < PAGE;
            for row in rows {
                after = row.node;
                looked += 1;
                if passes(filter, &row) {
                    found.push(row);
                    if found.len() >= limit {
                        return Ok((found, after));
                    }
                }
            }
            if last_page {
                return Ok((found, 0));
            }
        }
        Ok((found, after))
    }
}

/// Where a page starts: behind all entries of the agent `after`, at entry `seq` of the next
/// that passes the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    after: Node,
    seq: u64,
}

impl Place {
    fn encode(self) -> Vec<u8> {
        let seq = i64::try_from(self.seq).unwrap_or(0);
        encode(&[self.after, self.after.saturating_add(seq)])
    }

    fn decode(cursor: &[u8]) -> Result<Self, RegistryError> {
        let numbers = decode(cursor)?;
        let after = numbers.first().copied().unwrap_or(0);
        let seq = numbers.get(1).map_or(0, |place| place - after);
        Ok(Self { after, seq: u64::try_from(seq).unwrap_or(0) })
    }
}

/// Whether an agent may have entries that are wanted. When those behind its first were written
/// only they themselves tell.
fn passes(filter: &Filter, row: &AgentRow) -> bool {
    (filter.verdicts.is_empty() || filter.verdicts.contains(&row.verdict))
        && (row.at_ms >= filter.since_ms || row.seq > 0)
}

fn read(
    reader: &mut Reader,
    filter: &Filter,
    rows: &[AgentRow],
    mut at: Place,
    next: Node,
    limit: usize,
) -> Result<JournalPage, RegistryError> {
    let (mut entries, mut events, mut room) = (Vec::new(), 0, MAX_ARTIFACTS);
    for row in rows {
        let sealer = reader.sealer(row.session)?;
        for entry in reader.journal(row)? {
            let seq = entry.header.link.seq;
            if seq < at.seq {
                continue;
            }
            if entries.len() >= limit || events >= MAX_EVENTS {
                return Ok(JournalPage { entries, cursor: Place { seq, ..at }.encode() });
            }
            let kinds = &entry.header.kinds;
            if !kinds.iter().any(|kind| filter.kinds.is_empty() || filter.kinds.contains(kind)) {
                continue;
            }
            let shown = match &sealer {
                Some(sealer) => opened(reader, filter, sealer, entry, &mut room)?,
                None => {
                    let late = seq > 0 || row.at_ms >= filter.since_ms;
                    late.then_some(JournalEntry { entry, events: None, genome: None })
                }
            };
            events += shown.iter().flat_map(|shown| &shown.events).map(Vec::len).sum::<usize>();
            entries.extend(shown);
        }
        at = Place { after: row.node, seq: 0 };
    }
    let cursor = if next == 0 { Vec::new() } else { Place { after: next, seq: 0 }.encode() };
    Ok(JournalPage { entries, cursor })
}

/// An entry with its events, unless it is too old.
fn opened(
    reader: &mut Reader,
    filter: &Filter,
    sealer: &Sealer,
    entry: Entry,
    room: &mut u64,
) -> Result<Option<JournalEntry>, RegistryError> {
    let wanted = |kind| filter.kinds.is_empty() || filter.kinds.contains(&kind);
    let mut left = *room;
    let mut small = |blob: &BlobRef| {
        let fits = blob.kind == BlobKind::Artifact && blob.size <= MAX_ARTIFACT.min(left);
        let load = fits && wanted(EventKind::Evaluated);
        left -= if load { blob.size } else { 0 };
        load
    };
    let outline = entry::open_some(&entry, sealer, &mut small, &mut |cid| reader.get(cid))?;
    let mut events = outline.events;
    let late = |event: &Event| match event {
        Event::Evaluated(evaluated) => evaluated.at_ms >= filter.since_ms,
        Event::Proposed(_) | Event::Judged(_) => filter.since_ms == 0,
    };
    if !events.iter().any(late) {
        return Ok(None);
    }
    *room = left;
    let genome = events.iter().find_map(|event| match event {
        Event::Proposed(proposed) => Some(digest(proposed, &outline.blobs)),
        _ => None,
    });
    let genome = genome.transpose()?;
    events.retain(|event| wanted(event.kind()));
    Ok(Some(JournalEntry { entry, events: Some(events), genome }))
}

/// The digest of a genome of which larger files are known by their own digests.
pub(super) fn digest(proposed: &Proposed, blobs: &[BlobRef]) -> Result<Digest, FormatError> {
    let beside = |path: &str| {
        let stored = blobs.iter().find(|blob| blob.kind == BlobKind::File && blob.name == path);
        stored.map(|blob| (blob.size, blob.digest))
    };
    genome_digest_with(&proposed.genome, &proposed.space, &beside)
}
