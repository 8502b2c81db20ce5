//! How one agent's genome differs from another's.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use crate::{
    link::client::Link,
    wire::v1::{Agent, AgentRef, Genome},
};

use super::{
    context::Context,
    error::Failure,
    json,
    output::{Side, Tone},
    text::{bytes, gain, id, maybe, plain, plain_lines, score},
};

/// Lines shown around a change.
const AROUND: usize = 3;
/// How long a comparison may look for the smallest difference.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

/// Shows how `b`'s genome differs from `a`'s.
///
/// # Errors
/// If one can't be read.
pub async fn show(context: &mut Context, link: &Link, a: &Agent, b: &Agent) -> Result<(), Failure> {
    let mut agents = link.agents();
    let mut genomes = Vec::with_capacity(2);
    for agent in [a, b] {
        genomes.push(agents.genome(AgentRef { agent: id(&agent.id) }).await?.into_inner());
    }
    let (old, new) = (&genomes[0], &genomes[1]);
    let (params, files) = (params(old, new), files(old, new));
    if context.out.json() {
        return context.out.document(
            "diff",
            json!({
                "a": json::agent(a),
                "b": json::agent(b),
                "params": params.iter().map(Change::json).collect::<Vec<_>>(),
                "files": files.iter().map(Patch::json).collect::<Vec<_>>(),
            }),
        );
    }
    for (sign, agent) in [("---", a), ("+++", b)] {
        let line = format!(
            "{sign} {}  generation {}, score {}",
            id(&agent.id),
            agent.generation,
            maybe(agent.score)
        );
        let line = context.out.paint(Tone::Bold, &line);
        context.out.line(line)?;
    }
    if params.is_empty() && files.is_empty() {
        context.out.note("the genomes are the same");
        return Ok(());
    }
    if !params.is_empty() {
        let rows: Vec<_> = params.iter().map(Change::row).collect();
        let head = [
            ("PARAMETER", Side::Left),
            ("OLD", Side::Right),
            ("NEW", Side::Right),
            ("CHANGE", Side::Right),
        ];
        context.out.line("")?;
        context.out.table(head, &rows)?;
    }
    for patch in &files {
        context.out.line("")?;
        for line in patch.text.lines() {
            let tone = match line.as_bytes().first() {
                _ if line.starts_with("--- ") || line.starts_with("+++ ") => Some(Tone::Bold),
                Some(b'+') => Some(Tone::Good),
                Some(b'-') => Some(Tone::Bad),
                Some(b'@') => Some(Tone::Dim),
                _ => None,
            };
            let line = plain_lines(line);
            let line = tone.map_or(line.clone(), |tone| context.out.paint(tone, &line));
            context.out.line(line)?;
        }
    }
    Ok(())
}

/// A parameter that differs.
struct Change {
    name: String,
    old: Value,
    new: Value,
}

impl Change {
    fn json(&self) -> Value {
        json!({"name": self.name, "old": self.old, "new": self.new})
    }

    fn row(&self) -> [String; 4] {
        let shown = |value: &Value| match value {
            Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), score),
            Value::String(text) => plain(text),
            _ => "–".to_owned(),
        };
        let change = match (self.old.as_f64(), self.new.as_f64()) {
            (Some(old), Some(new)) => gain(new - old),
            _ => String::new(),
        };
        [plain(&self.name), shown(&self.old), shown(&self.new), change]
    }
}

fn params(old: &Genome, new: &Genome) -> Vec<Change> {
    let values = |genome: &Genome| match json::params(&genome.params) {
        Value::Object(values) => values,
        _ => serde_json::Map::new(),
    };
    let (olds, news) = (values(old), values(new));
    // In the order of the genome, then what only the old one has.
    let names = new.params.iter().chain(&old.params).map(|param| &param.name);
    let mut seen = BTreeSet::new();
    names
        .filter(|name| seen.insert(*name))
        .map(|name| {
            let value = |of: &serde_json::Map<_, Value>| of.get(name).cloned().unwrap_or_default();
            Change { name: name.clone(), old: value(&olds), new: value(&news) }
        })
        .filter(|change| change.old != change.new)
        .collect()
}

/// A file that differs: a unified diff, or a line that says so.
struct Patch {
    path: String,
    text: String,
}

impl Patch {
    fn json(&self) -> Value {
        json!({"path": self.path, "diff": self.text})
    }
}

fn files(old: &Genome, new: &Genome) -> Vec<Patch> {
    let by_path = |genome: &Genome| -> BTreeMap<String, bytes::Bytes> {
        genome.files.iter().map(|file| (file.path.clone(), file.content.clone())).collect()
    };
    let (olds, news) = (by_path(old), by_path(new));
    let paths: BTreeSet<_> = olds.keys().chain(news.keys()).collect();
    let empty = bytes::Bytes::new();
    paths
        .into_iter()
        .filter(|path| olds.get(*path) != news.get(*path))
        .map(|path| {
            let side = |files: &BTreeMap<_, bytes::Bytes>| files.get(path).cloned();
            let (old, new) = (side(&olds), side(&news));
            let name =
                |side: &Option<_>| if side.is_some() { plain(path) } else { "/dev/null".into() };
            let (old_name, new_name) = (name(&old), name(&new));
            let (old, new) = (old.unwrap_or(empty.clone()), new.unwrap_or(empty.clone()));
            let text = match (str::from_utf8(&old), str::from_utf8(&new)) {
                (Ok(old), Ok(new)) => patch(old, new, &old_name, &new_name),
                _ => format!(
                    "--- {old_name}\n+++ {new_name}\nnot text: {} → {}\n",
                    bytes(old.len() as u64),
                    bytes(new.len() as u64)
                ),
            };
            Patch { path: path.clone(), text }
        })
        .collect()
}

fn patch(old: &str, new: &str, old_name: &str, new_name: &str) -> String {
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
    if diff.iter_all_changes().all(|change| change.tag() == ChangeTag::Equal) {
        return format!("--- {old_name}\n+++ {new_name}\n");
    }
    diff.unified_diff().context_radius(AROUND).header(old_name, new_name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1::{File, Param, param};

    fn genome(files: &[(&str, &[u8])], params: &[(&str, f64)]) -> Genome {
        let file = |(path, content): &(&str, &[u8])| File {
            path: (*path).to_owned(),
            content: bytes::Bytes::copy_from_slice(content),
            executable: false,
        };
        let param = |(name, value): &(&str, f64)| Param {
            name: (*name).to_owned(),
            value: Some(param::Value::Real(*value)),
        };
        Genome {
            files: files.iter().map(file).collect(),
            params: params.iter().map(param).collect(),
            ..Genome::default()
        }
    }

    #[test]
    fn only_parameters_that_differ_are_listed_in_their_order() {
        let old = genome(&[], &[("x10", 1.0), ("x2", 2.0), ("gone", 3.0)]);
        let new = genome(&[], &[("x10", 1.5), ("x2", 2.0), ("more", 4.0)]);
        let rows: Vec<_> = params(&old, &new).iter().map(Change::row).collect();
        assert_eq!(rows[0], ["x10", "1", "1.5", "+0.5"]);
        assert_eq!(rows[1], ["more", "–", "4", ""]);
        assert_eq!(rows[2], ["gone", "3", "–", ""]);
    }

    #[test]
    fn text_is_compared_by_line_and_the_rest_by_size() {
        let old = genome(&[("a", b"1\n2\n"), ("b", b"\xff"), ("same", b"x")], &[]);
        let new =
            genome(&[("a", b"1\n3\n"), ("b", b"\xff\xff"), ("c", b"n\n"), ("same", b"x")], &[]);
        let patches = files(&old, &new);
        let paths: Vec<_> = patches.iter().map(|patch| patch.path.as_str()).collect();
        assert_eq!(paths, ["a", "b", "c"]);
        assert!(patches[0].text.ends_with(" 1\n-2\n+3\n"), "{}", patches[0].text);
        assert!(patches[1].text.contains("not text: 1 B → 2 B"));
        assert!(patches[2].text.starts_with("--- /dev/null\n+++ c\n"), "{}", patches[2].text);
    }
}
