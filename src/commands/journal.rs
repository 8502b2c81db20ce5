//! `darwin journal`: what is recorded about an agent, or about the agents of a run.

use clap::{Args, ValueEnum, builder::PossibleValuesParser};

use crate::{
    domain::journal::EventKind,
    link::client::Link,
    wire::v1::{JournalEntry, JournalRequest, event},
};

use super::{
    context::{Context, now_ms},
    error::Failure,
    json, markdown, naming,
    output::Tone,
    text::{self, brief, gain, id, maybe, plain, utc},
};

/// The most entries of one page.
const PAGE: u32 = 1000;
/// The most parameters and metrics that a line holds.
const SHOWN: usize = 6;

const EXAMPLES: &str = "\
Examples:
  darwin journal 0198c2a4-7f3e-7000-8003
  darwin journal RUN --only champion                 # what beat all before its generation
  darwin journal RUN --only archived --since 1h      # what failed in the last hour
  darwin journal RUN --format markdown > journal.md

With --json: one document a line, one line an entry.";

/// Read the journal of an agent, or those of a run's agents
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Journal {
    /// The agent or run, by its id or a unique start of it
    #[arg(value_name = "AGENT|RUN")]
    of: String,
    /// Only events of this kind, or of agents with this verdict (may be repeated)
    #[arg(long, value_name = "WHAT", value_parser = PossibleValuesParser::new(FILTERS))]
    #[arg(value_delimiter = ',')]
    only: Vec<String>,
    /// Only what happened since: a time ago, like 90s or 2h; or @SECONDS since 1970
    #[arg(long, value_name = "TIME", value_parser = |text: &str| text::parse_since(text, now_ms()))]
    since: Option<u64>,
    /// At most this many entries
    #[arg(long, value_name = "N", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    limit: u32,
    /// The form
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What `--only` takes.
const FILTERS: [&str; 7] =
    ["proposed", "evaluated", "judged", "archived", "scored", "improved", "champion"];

/// The form of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON document a line
    Json,
    /// Markdown
    Markdown,
}

impl Journal {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let link = context.link().await?;
        let format = if context.out.json() { Format::Json } else { self.format };
        let (mut cursor, mut seen, mut more) = (bytes::Bytes::new(), 0, true);
        if format == Format::Markdown {
            context.out.line(markdown::title(&self.of))?;
        }
        while more && seen < self.limit {
            let (entries, next) = self.page(&link, cursor, self.limit - seen).await?;
            seen += u32::try_from(entries.len()).unwrap_or(u32::MAX);
            more = !next.is_empty();
            cursor = next;
            for entry in &entries {
                match format {
                    Format::Json => context.out.document("journal-entry", json::entry(entry))?,
                    Format::Markdown => context.out.content(markdown::entry(entry).as_bytes())?,
                    Format::Text => show(context, entry)?,
                }
            }
            context.out.flush()?;
        }
        if seen == 0 {
            context.out.note("no entry fits");
        } else if more {
            context.out.note(format_args!("{seen} shown; --limit shows more"));
        }
        Ok(())
    }

    async fn page(
        &self,
        link: &Link,
        cursor: bytes::Bytes,
        missing: u32,
    ) -> Result<(Vec<JournalEntry>, bytes::Bytes), Failure> {
        let request = JournalRequest {
            of: self.of.clone(),
            only: self.only.clone(),
            since_ms: self.since.unwrap_or(0),
            limit: missing.min(PAGE),
            cursor,
        };
        let page = link.journals().read(request).await?.into_inner();
        Ok((page.entries, page.cursor))
    }
}

fn show(context: &mut Context, entry: &JournalEntry) -> Result<(), Failure> {
    let agent = context.out.paint(Tone::Bold, &id(&entry.agent_id));
    context.out.line(agent)?;
    let place = format!("  {:9}  {}", format!("entry {}", entry.seq), plain(&entry.cid));
    let place = context.out.paint(Tone::Dim, &place);
    context.out.line(place)?;
    if entry.shredded {
        context.out.line(format_args!("  {}", naming::SHREDDED))?;
    }
    for event in entry.events.iter().filter_map(|event| event.event.as_ref()) {
        let (kind, words) = words(event);
        let kind = context.out.paint(Tone::Dim, &format!("{kind:9}"));
        context.out.line(format_args!("  {kind}  {words}"))?;
    }
    Ok(())
}

fn words(event: &event::Event) -> (&'static str, String) {
    match event {
        event::Event::Proposed(it) => {
            let parents: Vec<_> = it.parents.iter().map(|parent| id(parent)).collect();
            let from = match parents.len() {
                0 => String::new(),
                _ => format!(" from {}", parents.join(" and ")),
            };
            let how = match plain(&it.operators.join("+")) {
                none if none.is_empty() => "initial agent".to_owned(),
                how => how,
            };
            let place = format!("generation {}, slot {}", it.generation, it.slot);
            (EventKind::Proposed.as_str(), format!("{place}: {how}{from}"))
        }
        event::Event::Evaluated(it) => {
            let Some(result) = &it.evaluation else {
                return (EventKind::Evaluated.as_str(), String::new());
            };
            let mut words = if result.failure.is_empty() {
                format!("score {}", maybe(result.fitness))
            } else {
                format!("{}: {}", plain(&result.failure), plain(&result.reason))
            };
            let metrics = markdown::metrics(result);
            for (name, value) in metrics.iter().take(SHOWN) {
                words += &format!("  {name}={value}");
            }
            if metrics.len() > SHOWN {
                words += "  …";
            }
            words += &format!("  ({}, {})", brief(result.wall_us), utc(it.at_ms));
            (EventKind::Evaluated.as_str(), words)
        }
        event::Event::Judged(it) => {
            let gain = it.delta.map(|delta| format!(", {} on its best parent", gain(delta)));
            let gain = gain.unwrap_or_default();
            (EventKind::Judged.as_str(), format!("{}{gain}", plain(&it.verdict)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lifecycle::Verdict;

    #[test]
    fn the_filters_are_all_kinds_and_verdicts() {
        let kinds = EventKind::ALL.map(EventKind::as_str);
        let verdicts = Verdict::ALL.map(Verdict::as_str);
        assert_eq!(FILTERS.to_vec(), [&kinds[..], &verdicts[..]].concat());
    }
}
