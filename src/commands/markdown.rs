//! Journals as Markdown. Pure.

use std::fmt::Write as _;

use crate::wire::v1::{Evaluation, JournalEntry, event, metric};

use super::{
    naming::SHREDDED,
    text::{brief, bytes, gain, id, maybe, plain, plain_lines, score, utc},
};

/// The most that is shown of an artefact, in bytes.
const MAX_ARTIFACT: usize = 16 << 10;

/// The heading of a document.
pub fn title(of: &str) -> String {
    format!("# Journal of {}\n", escaped(of))
}

/// One entry.
pub fn entry(entry: &JournalEntry) -> String {
    let mut text = format!("## Agent `{}`, entry {}\n\n", id(&entry.agent_id), entry.seq);
    if entry.shredded {
        let _ = writeln!(text, "- {}", escaped(SHREDDED));
    }
    for event in entry.events.iter().filter_map(|event| event.event.as_ref()) {
        match event {
            event::Event::Proposed(it) => {
                let operators = match it.operators.join(", ") {
                    none if none.is_empty() => "initial agent".to_owned(),
                    operators => escaped(&operators),
                };
                let _ = writeln!(
                    text,
                    "- **proposed**: generation {}, slot {}, {operators}; genome `{}`",
                    it.generation,
                    it.slot,
                    plain(&it.genome)
                );
                for parent in &it.parents {
                    let _ = writeln!(text, "  - parent `{}`", id(parent));
                }
            }
            event::Event::Evaluated(it) => {
                let empty = Evaluation::default();
                let result = it.evaluation.as_ref().unwrap_or(&empty);
                let outcome = if result.failure.is_empty() {
                    format!("score {}", maybe(result.fitness))
                } else {
                    format!("{}: {}", escaped(&result.failure), escaped(&result.reason))
                };
                let _ = writeln!(
                    text,
                    "- **evaluated** at {}: {outcome} (in {}, sandbox {}{})",
                    utc(it.at_ms),
                    brief(result.wall_us),
                    escaped(&result.isolation),
                    if result.in_process { ", in-process" } else { "" }
                );
                for (name, value) in metrics(result) {
                    let _ = writeln!(text, "  - {} = {}", escaped(&name), escaped(&value));
                }
                for file in &result.artifacts {
                    artifact(&mut text, &file.path, &file.content);
                }
            }
            event::Event::Judged(it) => {
                let gain = it.delta.map(|delta| format!(" ({} on its best parent)", gain(delta)));
                let gain = gain.unwrap_or_default();
                let _ = writeln!(text, "- **judged**: {}{gain}", escaped(&it.verdict));
            }
        }
    }
    let _ = writeln!(text, "\n`{}`, signed by `{}`\n", plain(&entry.cid), plain(&entry.signer));
    text
}

/// The metrics that an evaluator reported, as text.
pub fn metrics(evaluation: &Evaluation) -> Vec<(String, String)> {
    let shown = |value: &metric::Value| match value {
        metric::Value::Number(number) => score(*number),
        metric::Value::Flag(flag) => flag.to_string(),
        metric::Value::Text(text) => plain(text),
    };
    let metrics = evaluation.metrics.iter();
    metrics
        .filter_map(|metric| Some((plain(&metric.name), shown(metric.value.as_ref()?))))
        .collect()
}

fn artifact(text: &mut String, name: &str, content: &[u8]) {
    let size = bytes(content.len() as u64);
    let _ = writeln!(text, "  - artefact {} ({size})", escaped(name));
    let Ok(body) = str::from_utf8(content) else { return };
    let shown = &body[..body.floor_char_boundary(MAX_ARTIFACT)];
    // A fence longer than any within.
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let _ = writeln!(text, "\n    {fence}");
    for line in plain_lines(shown).lines() {
        let _ = writeln!(text, "    {line}");
    }
    let _ = writeln!(text, "    {fence}\n");
}

/// `text` on one line, so that nothing in it is markup.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in plain(text).chars() {
        if matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '&') {
            safe.push('\\');
        }
        safe.push(c);
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1::{Evaluated, Event, File, Judged};

    #[test]
    fn what_agents_say_is_no_markup() {
        let evaluation = Evaluation {
            failure: "crashed".to_owned(),
            reason: "<b>\n# no".to_owned(),
            artifacts: vec![File {
                path: "log".to_owned(),
                content: "a ```` b".into(),
                executable: false,
            }],
            ..Evaluation::default()
        };
        let evaluated =
            Evaluated { evaluation: Some(evaluation), at_ms: 1000, ..Evaluated::default() };
        let judged = Judged { verdict: "archived".to_owned(), delta: None };
        let events = [event::Event::Evaluated(evaluated), event::Event::Judged(judged)]
            .map(|event| Event { event: Some(event) });
        let text = entry(&JournalEntry { events: events.into(), ..JournalEntry::default() });
        assert!(text.contains(r"crashed: \<b\> \# no"), "{text}");
        assert!(text.contains("\n    `````\n    a ```` b\n    `````\n"), "{text}");
        assert!(text.contains("- **judged**: archived\n"), "{text}");
    }
}
