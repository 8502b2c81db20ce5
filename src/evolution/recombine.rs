//! Crossover of two agents' text files, by the blocks of lines in which they differ.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use similar::{Algorithm, DiffOp};

use crate::domain::genome::{File, FilePath, Files};

use super::{
    draw::Draw,
    numeric::Cross,
    text::{regions, text},
};

/// Files with more lines than this are taken whole from one parent or the other.
const MAX_LINES: usize = 20_000;

/// Some lines of one file in which the parents differ.
struct Block<'a> {
    path: &'a FilePath,
    /// What is replaced, in the first parent's file.
    first: Range<usize>,
    /// What the second parent has there.
    second: &'a str,
}

/// The first parent's files with some blocks of lines from the second's. Only regions that
/// may change are touched; a file that only one parent has stays as the first has it.
pub(super) fn files(
    cross: Cross,
    first: &Files,
    second: &Files,
    marked: bool,
    draw: &mut Draw,
) -> Files {
    let mut blocks = Vec::new();
    for (path, mine) in first.iter() {
        let Some(other) = second.get(path).filter(|other| other.bytes != mine.bytes) else {
            continue;
        };
        if let (Some(mine), Some(other)) = (text(mine), text(other)) {
            compare(path, mine, other, marked, &mut blocks);
        }
    }
    if blocks.is_empty() {
        return first.clone();
    }
    let chosen = cross.second(blocks.len(), draw);
    let taken: Vec<_> = blocks
        .into_iter()
        .zip(chosen)
        .filter_map(|(block, taken)| taken.then_some(block))
        .collect();
    let mut child = first.as_ref().clone();
    for blocks in taken.chunk_by(|a, b| a.path == b.path) {
        let path = blocks[0].path;
        if let Some(file) = first.get(path) {
            child.insert(path.clone(), patched(file, blocks));
        }
    }
    Arc::new(child)
}

/// Finds the blocks in which two versions of a file differ.
fn compare<'a>(
    path: &'a FilePath,
    mine: &'a str,
    other: &'a str,
    marked: bool,
    blocks: &mut Vec<Block<'a>>,
) {
    let (here, there) = (regions(mine, marked), regions(other, marked));
    if here.len() != there.len() {
        return;
    }
    for (here, there) in here.into_iter().zip(there) {
        let old = lines(mine, here.clone());
        let new = lines(other, there.clone());
        if old.len() > MAX_LINES || new.len() > MAX_LINES {
            blocks.push(Block { path, first: here, second: &other[there] });
            continue;
        }
        let content = |text: &'a str, ranges: &[Range<usize>]| -> Vec<&'a str> {
            ranges.iter().map(|range| &text[range.clone()]).collect()
        };
        let ops = similar::capture_diff_slices(
            Algorithm::Myers,
            &content(mine, &old),
            &content(other, &new),
        );
        for op in ops.iter().filter(|op| !matches!(op, DiffOp::Equal { .. })) {
            let (was, is) = (op.old_range(), op.new_range());
            // As many lines on both sides are exchanged one by one, else all together.
            let pairs: Vec<_> = if was.len() == is.len() {
                was.zip(is).map(|(was, is)| (was..was + 1, is..is + 1)).collect()
            } else {
                vec![(was, is)]
            };
            blocks.extend(pairs.into_iter().map(|(was, is)| Block {
                path,
                first: span(&old, was, here.end),
                second: &other[span(&new, is, there.end)],
            }));
        }
    }
}

/// The lines of a region as byte ranges of the file.
fn lines(text: &str, region: Range<usize>) -> Vec<Range<usize>> {
    let mut at = region.start;
    let next = |line: &str| {
        at += line.len();
        at - line.len()..at
    };
    text[region].split_inclusive('\n').map(next).collect()
}

/// The bytes of some lines; of none, the place before the next.
fn span(lines: &[Range<usize>], which: Range<usize>, end: usize) -> Range<usize> {
    let start = lines.get(which.start).map_or(end, |line| line.start);
    let end = which
        .end
        .checked_sub(1)
        .filter(|_| !which.is_empty())
        .map_or(start, |last| lines.get(last).map_or(start, |line| line.end));
    start..end
}

/// The file with these blocks replaced; they stand in order and don't overlap.
fn patched(file: &File, blocks: &[Block]) -> File {
    let mut bytes = Vec::with_capacity(file.bytes.len());
    let mut at = 0;
    for block in blocks {
        bytes.extend_from_slice(&file.bytes[at..block.first.start]);
        // A last line without its end must not swallow the one after it.
        if !block.second.is_empty() && !bytes.is_empty() && !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(block.second.as_bytes());
        at = block.first.end;
        if at < file.bytes.len() && !bytes.is_empty() && !bytes.ends_with(b"\n") {
            bytes.push(b'\n');
        }
    }
    bytes.extend_from_slice(&file.bytes[at..]);
    File { bytes: Bytes::from(bytes), executable: file.executable }
}

#[cfg(test)]
mod tests {
    use crate::domain::id::Slot;

    use super::*;
    use crate::evolution::draw::Source;

    fn one(text: &str) -> Files {
        let file = File { bytes: text.to_owned().into(), executable: false };
        Arc::new([(FilePath::new("f.py").unwrap(), file)].into())
    }

    fn children(cross: Cross, a: &str, b: &str, marked: bool) -> Vec<String> {
        let mut draw = Source::new(3).at(Slot::default());
        let (a, b) = (one(a), one(b));
        let mut all: Vec<_> = (0..500)
            .map(|_| {
                let child = files(cross, &a, &b, marked, &mut draw);
                let file = child.values().next().unwrap();
                String::from_utf8(file.bytes.to_vec()).unwrap()
            })
            .collect();
        all.sort();
        all.dedup();
        all
    }

    #[test]
    fn lines_come_from_one_parent_or_the_other() {
        let (a, b) = ("1\nx\n2\ny\n3\n", "I\nx\nII\ny\nIII\n");
        let uniform = children(Cross::Uniform, a, b, false);
        assert_eq!(uniform.len(), 6, "every mix of three places but the parents: {uniform:?}");
        let one = children(Cross::OnePoint, a, b, false);
        assert_eq!(one, ["1\nx\n2\ny\nIII\n", "1\nx\nII\ny\nIII\n"]);
        assert_eq!(children(Cross::TwoPoint, a, b, false).len(), 6);
    }

    #[test]
    fn whole_passages_are_exchanged_where_their_lengths_differ() {
        let all = children(Cross::Uniform, "a\nb\nc\n", "a\nB\nB2\nB3\nc\nd\n", false);
        assert_eq!(all, ["a\nB\nB2\nB3\nc\n", "a\nb\nc\nd\n"]);
        let ends = children(Cross::Uniform, "a\nb", "a\nb\nc", false);
        assert_eq!(ends, ["a\nb", "a\nb\nc"], "a last line without an end stays a line");
    }

    #[test]
    fn nothing_outside_the_markers_changes() {
        let text = |head: &str, body: &str, tail: &str| {
            format!("{head}\n# EVOLVE-BLOCK-START\n{body}# EVOLVE-BLOCK-END\n{tail}\n")
        };
        let (a, b) = (text("h", "1\n2\n", "t"), text("H", "I\nII\nIII\n", "T"));
        for cross in [Cross::OnePoint, Cross::TwoPoint, Cross::Uniform] {
            for child in children(cross, &a, &b, true) {
                assert!(
                    [text("h", "1\n2\n", "t"), text("h", "I\nII\nIII\n", "t")].contains(&child)
                );
            }
        }
        let (a, b) = (text("h", "", "t"), text("h", "new\n", "t"));
        assert_eq!(
            children(Cross::Uniform, &a, &b, true).len(),
            2,
            "an empty region can be filled"
        );
        // Another number of regions: not the same program any more.
        let more = format!("{b}{b}");
        assert_eq!(children(Cross::Uniform, &a, &more, true), [a]);
    }

    #[test]
    fn files_of_one_parent_only_and_binary_ones_stay() {
        let path = |name| FilePath::new(name).unwrap();
        let file = |bytes: &[u8]| File { bytes: bytes.to_vec().into(), executable: false };
        let a: Files = Arc::new([(path("a"), file(b"1\n")), (path("x"), file(&[0, 1]))].into());
        let b: Files = Arc::new([(path("b"), file(b"2\n")), (path("x"), file(&[0, 2]))].into());
        let mut draw = Source::new(3).at(Slot::default());
        assert!(Arc::ptr_eq(&files(Cross::Uniform, &a, &b, false, &mut draw), &a));
    }
}
