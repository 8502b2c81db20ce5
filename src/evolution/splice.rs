//! Prompt splice: a passage of another agent's prompt takes the place of one of one's own.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use crate::domain::genome::{File, FilePath, Files};

use super::{
    draw::Draw,
    text::{MAX_TEXT, is_marker, prose, regions, text},
};

/// A file may grow to this many times its size plus 4 KiB in one splice; the run's own limit
/// is [`MAX_TEXT`].
const MAX_GROWTH: usize = 2;

/// A place for a passage, or a passage.
struct Site<'a> {
    path: &'a FilePath,
    text: &'a str,
    region: Range<usize>,
}

/// Whether there is text to splice.
pub(super) fn possible(files: &Files, marked: bool) -> bool {
    !sites(files, marked).is_empty()
}

/// Whether there are lines to begin with.
pub(super) fn has_lines(files: &Files, marked: bool) -> bool {
    let lines = |site: &Site<'_>| !passages(site.text, site.region.clone(), false).is_empty();
    sites(files, marked).iter().any(lines)
}

/// `own` with one passage (some lines, or paragraphs) exchanged for one of `donor`'s. The
/// passage comes from the same file half of the time, else from any text of the donor's,
/// so that an agent can bring a stock of passages in files that never change.
pub(super) fn splice(own: &Files, donor: &Files, marked: bool, draw: &mut Draw) -> Files {
    let places = sites(own, marked);
    if places.is_empty() {
        return own.clone();
    }
    let place = &places[draw.below(places.len())];
    let stock = stock(donor, place.path, draw.chance(0.5));
    if stock.is_empty() {
        return own.clone();
    }
    let (source, region) = &stock[draw.below(stock.len())];
    let paragraphs = draw.chance(0.25);
    let theirs = passages(source, region.clone(), paragraphs);
    let mine = passages(place.text, place.region.clone(), paragraphs);
    if theirs.is_empty() {
        return own.clone();
    }
    let passage = &source[run(&theirs, draw)];
    let target = if mine.is_empty() {
        place.region.start..place.region.start
    } else {
        let run = run(&mine, draw);
        // Mostly in place of one's own, sometimes before it.
        if draw.chance(0.2) { run.start..run.start } else { run }
    };
    let size = place.text.len() - target.len() + passage.len();
    if size > MAX_TEXT || size > MAX_GROWTH * place.text.len() + 4096 {
        return own.clone();
    }
    let mut bytes = Vec::with_capacity(size + 2);
    bytes.extend_from_slice(&place.text.as_bytes()[..target.start]);
    bytes.extend_from_slice(passage.as_bytes());
    let rest = &place.text[target.end..];
    if !rest.is_empty() && !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(rest.as_bytes());
    let mut child = own.as_ref().clone();
    if let Some(file) = child.get_mut(place.path) {
        *file = File { bytes: Bytes::from(bytes), executable: file.executable };
    }
    Arc::new(child)
}

/// Where a passage may be put: the regions that may change, of prose only where the agent
/// has any.
fn sites(files: &Files, marked: bool) -> Vec<Site<'_>> {
    let all = files.iter().filter_map(|(path, file)| Some((path, text(file)?)));
    let mut found: Vec<_> = all
        .flat_map(|(path, text)| {
            regions(text, marked).into_iter().map(move |region| Site { path, text, region })
        })
        .collect();
    if found.iter().any(|site| prose(site.path)) {
        found.retain(|site| prose(site.path));
    }
    found
}

/// Where a passage may come from: the same file, or all prose; markers divide it.
fn stock<'a>(donor: &'a Files, path: &FilePath, same: bool) -> Vec<(&'a str, Range<usize>)> {
    let own = donor.get(path).and_then(text);
    let texts: Vec<&str> = if let (true, Some(own)) = (same, own) {
        vec![own]
    } else {
        let prose = donor.iter().filter(|(path, _)| prose(path));
        let found: Vec<_> = prose.filter_map(|(_, file)| text(file)).collect();
        if found.is_empty() { own.into_iter().collect() } else { found }
    };
    texts
        .into_iter()
        .filter(|text| !text.trim().is_empty())
        .map(|text| (text, 0..text.len()))
        .collect()
}

/// The lines or paragraphs of a region that hold anything, as byte ranges; markers and, of
/// paragraphs, the blank lines between them belong to none.
fn passages(text: &str, region: Range<usize>, paragraphs: bool) -> Vec<Range<usize>> {
    let (mut found, mut at, mut joined): (Vec<Range<usize>>, _, _) =
        (Vec::new(), region.start, false);
    for line in text[region].split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        let content = !line.trim().is_empty() && !is_marker(line);
        if content && joined && paragraphs {
            if let Some(last) = found.last_mut() {
                last.end = range.end;
            }
        } else if content {
            found.push(range);
        }
        joined = content;
    }
    found
}

/// One to three passages in a row that nothing but blank lines divides... as one range.
fn run(passages: &[Range<usize>], draw: &mut Draw) -> Range<usize> {
    let first = draw.below(passages.len());
    let mut last = first;
    while last + 1 < passages.len()
        && last < first + 2
        && passages[last + 1].start == passages[last].end
        && draw.chance(0.3)
    {
        last += 1;
    }
    passages[first].start..passages[last].end
}

#[cfg(test)]
mod tests {
    use crate::domain::id::Slot;

    use super::*;
    use crate::evolution::draw::Source;

    fn files(all: &[(&str, &str)]) -> Files {
        let entry = |(path, text): &(&str, &str)| {
            let bytes = text.as_bytes().to_vec().into();
            (FilePath::new(path).unwrap(), File { bytes, executable: false })
        };
        Arc::new(all.iter().map(entry).collect())
    }

    fn content(files: &Files, path: &str) -> String {
        String::from_utf8(files[&FilePath::new(path).unwrap()].bytes.to_vec()).unwrap()
    }

    #[test]
    fn a_passage_of_the_donor_takes_a_place_in_the_region() {
        let own = files(&[
            ("code.py", "x = 1\n"),
            (
                "p.md",
                "head\n<!-- EVOLVE-BLOCK-START -->\none\ntwo\n\n<!-- EVOLVE-BLOCK-END -->\ntail",
            ),
        ]);
        let donor = files(&[
            (
                "p.md",
                "head\n<!-- EVOLVE-BLOCK-START -->\nONE\nTWO\n<!-- EVOLVE-BLOCK-END -->\ntail",
            ),
            ("stock.txt", "three\n\nfour\nfive\n"),
        ]);
        let mut draw = Source::new(8).at(Slot::default());
        let mut lines = std::collections::BTreeSet::new();
        for _ in 0..2_000 {
            let child = splice(&own, &donor, true, &mut draw);
            assert_eq!(content(&child, "code.py"), "x = 1\n");
            let text = content(&child, "p.md");
            let body = text
                .strip_prefix("head\n<!-- EVOLVE-BLOCK-START -->\n")
                .and_then(|rest| rest.strip_suffix("<!-- EVOLVE-BLOCK-END -->\ntail"))
                .unwrap_or_else(|| panic!("{text}"));
            lines.extend(body.lines().map(str::to_owned));
        }
        let expected = ["", "ONE", "TWO", "five", "four", "head", "one", "tail", "three", "two"];
        assert_eq!(lines.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_empty_region_is_filled_and_an_empty_donor_changes_nothing() {
        let mut draw = Source::new(8).at(Slot::default());
        let donor = files(&[("p.md", "one passage")]);
        for blank in ["", "\n"] {
            let text = format!("EVOLVE-BLOCK-START\n{blank}EVOLVE-BLOCK-END\n");
            let own = files(&[("p.md", text.as_str())]);
            assert!(possible(&own, true));
            let child = splice(&own, &donor, true, &mut draw);
            let filled = format!("EVOLVE-BLOCK-START\none passage\n{blank}EVOLVE-BLOCK-END\n");
            assert_eq!(content(&child, "p.md"), filled);
            assert!(Arc::ptr_eq(&splice(&own, &files(&[]), true, &mut draw), &own));
        }
        assert!(!possible(&donor, true));
    }

    #[test]
    fn texts_do_not_grow_without_bound() {
        let mut own = files(&[("p.md", "a\nb\nc\n")]);
        let big = "x".repeat(10_000);
        let donor = files(&[("p.md", big.as_str())]);
        let mut draw = Source::new(8).at(Slot::default());
        for _ in 0..50 {
            own = splice(&own, &donor, false, &mut draw);
        }
        assert_eq!(content(&own, "p.md"), "a\nb\nc\n");
    }
}
