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
        seal::BlobKind,
    },
};

/// The most agents that are looked at for one page, whether they pass the filter or not.
const LOOKED_AT: usize = 20 * PAGE;
/// The largest artefact that an entry shows, in bytes; larger ones are left out.
const MAX_ARTIFACT: u64 = 64 << 10;
/// All artefacts of a page together, in bytes.
const MAX_ARTIFACTS: u64 = 2 << 20;

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
    /// Agents evaluated at this time or later, in milliseconds since the Unix epoch.
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
    /// The entries, in the order of their commits.
    pub entries: Vec<JournalEntry>,
    /// Where the next page starts; empty if this was the last. A page that is not the last
    /// may be short, or empty, where few agents pass the filter.
    pub cursor: Vec<u8>,
}

impl Registry {
    /// Reads journals: at most `limit` agents' (and at most 1,000).
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
        let after = decode(cursor)?.first().copied().unwrap_or(0);
        let limit = limit.clamp(1, PAGE);
        match of {
            Of::Agent(id) => {
                let row = self.agent(id).await?;
                let passes = passes(&filter, &row);
                let rows = if passes { vec![row] } else { Vec::new() };
                self.reading(move |reader| read(reader, &filter, &rows, 0)).await
            }
            Of::Run(run) => {
                self.need_run(run).await?;
                let (rows, next) = self.matching(run, &filter, after, limit).await?;
                self.reading(move |reader| read(reader, &filter, &rows, next)).await
            }
        }
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

fn passes(filter: &Filter, row: &AgentRow) -> bool {
    (filter.verdicts.is_empty() || filter.verdicts.contains(&row.verdict))
        && row.at_ms >= filter.since_ms
}

fn read(
    reader: &mut Reader,
    filter: &Filter,
    rows: &[AgentRow],
    next: Node,
) -> Result<JournalPage, RegistryError> {
    let (mut entries, mut room) = (Vec::new(), MAX_ARTIFACTS);
    for row in rows {
        let sealer = reader.sealer(row.session)?;
        for entry in reader.journal(row)? {
            let wanted = |kind| filter.kinds.is_empty() || filter.kinds.contains(&kind);
            if !entry.header.kinds.iter().any(|kind| wanted(*kind)) {
                continue;
            }
            let Some(sealer) = &sealer else {
                entries.push(JournalEntry { entry, events: None, genome: None });
                continue;
            };
            let outline = entry::outline(&entry, sealer, &mut |cid| reader.get(cid))?;
            let mut events = outline.events;
            for blob in &outline.blobs {
                let small = blob.kind == BlobKind::Artifact && blob.size <= MAX_ARTIFACT;
                if !small || blob.size > room || !wanted(EventKind::Evaluated) {
                    continue;
                }
                room -= blob.size;
                let content = blob.load(sealer, &mut |cid| reader.get(cid))?;
                for event in &mut events {
                    let Event::Evaluated(evaluated) = event else { continue };
                    if let Some(artifact) = evaluated.evaluation.artifacts.get_mut(&blob.name) {
                        artifact.clone_from(&content);
                    }
                }
            }
            let genome = events.iter().find_map(|event| match event {
                Event::Proposed(proposed) => Some(digest(proposed, &outline.blobs)),
                _ => None,
            });
            let genome = genome.transpose()?;
            events.retain(|event| wanted(event.kind()));
            entries.push(JournalEntry { entry, events: Some(events), genome });
        }
    }
    let cursor = if next == 0 { Vec::new() } else { encode(&[next]) };
    Ok(JournalPage { entries, cursor })
}

/// The digest of a genome of which larger files are known by their own digests.
pub(super) fn digest(proposed: &Proposed, blobs: &[BlobRef]) -> Result<Digest, FormatError> {
    let beside = |path: &str| {
        let stored = blobs.iter().find(|blob| blob.kind == BlobKind::File && blob.name == path);
        stored.map(|blob| (blob.size, blob.digest))
    };
    genome_digest_with(&proposed.genome, &proposed.space, &beside)
}
