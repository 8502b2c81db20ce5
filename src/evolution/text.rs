//! Which parts of an agent's files may change: the regions between EVOLVE-BLOCK markers,
//! or, where no file has markers, every text file.

use std::{ops::Range, str};

use crate::domain::genome::{File, FilePath, Files};

/// The largest file that operators change, in bytes.
pub(super) const MAX_TEXT: usize = 1 << 20;
const START: &str = "EVOLVE-BLOCK-START";
const END: &str = "EVOLVE-BLOCK-END";
const PROSE: [&str; 9] =
    ["md", "markdown", "txt", "text", "prompt", "rst", "j2", "jinja", "jinja2"];

/// Whether any of the files has markers: then nothing outside them ever changes.
pub(super) fn marked(files: &Files) -> bool {
    files.values().filter_map(text).any(|text| text.lines().any(|line| line.contains(START)))
}

/// The file's text, if it is one that operators may look at.
pub(super) fn text(file: &File) -> Option<&str> {
    if file.bytes.len() > MAX_TEXT || file.bytes.contains(&0) {
        return None;
    }
    str::from_utf8(&file.bytes).ok()
}

/// Whether the file is written for people or models rather than for a compiler.
pub(super) fn prose(path: &FilePath) -> bool {
    let name = path.as_str().rsplit('/').next().unwrap_or("").to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((_, extension)) => PROSE.contains(&extension),
        None => name.contains("prompt"),
    }
}

/// The parts of `text` that may change, as byte ranges of whole lines, in order. A region
/// that is never closed runs to the end of the file.
pub(super) fn regions(text: &str, marked: bool) -> Vec<Range<usize>> {
    if !marked {
        return (!text.is_empty()).then_some(0..text.len()).into_iter().collect();
    }
    let (mut found, mut open, mut at) = (Vec::new(), None, 0);
    for line in text.split_inclusive('\n') {
        let next = at + line.len();
        if line.contains(START) {
            open = open.or(Some(next));
        } else if line.contains(END)
            && let Some(start) = open.take()
        {
            found.push(start..at);
        }
        at = next;
    }
    if let Some(start) = open {
        found.push(start..at);
    }
    found
}

/// Whether `line` is, or could be taken for, a marker.
pub(super) fn is_marker(line: &str) -> bool {
    line.contains(START) || line.contains(END)
}

/// What starts a comment to the end of the line in this file: as its markers are written,
/// else by its extension.
pub(super) fn comment<'a>(path: &FilePath, text: &'a str) -> &'a str {
    let marker = text.lines().find(|line| line.contains(START));
    if let Some((before, _)) = marker.and_then(|line| line.split_once(START)) {
        let sign = before.trim();
        if !sign.is_empty() && sign.len() <= 4 && !sign.contains(char::is_alphanumeric) {
            return sign;
        }
    }
    match path.as_str().rsplit('.').next().unwrap_or("") {
        "rs" | "c" | "h" | "cc" | "cpp" | "cxx" | "hpp" | "cu" | "cuh" | "go" | "java" | "js"
        | "jsx" | "ts" | "tsx" | "swift" | "kt" | "scala" | "cs" | "php" | "zig" | "v" | "sv"
        | "dart" => "//",
        "lua" | "sql" | "hs" | "elm" | "ada" | "vhd" | "vhdl" => "--",
        "f90" | "f95" | "f03" | "f" => "!",
        "tex" | "m" | "erl" => "%",
        "lisp" | "clj" | "scm" | "el" | "asm" | "ini" => ";",
        _ => "#",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "a = 1\n# EVOLVE-BLOCK-START\nb = 2\nc = 3\n# EVOLVE-BLOCK-END\nd = 4\n\
        // EVOLVE-BLOCK-START\n// EVOLVE-BLOCK-END\n# EVOLVE-BLOCK-START\ne = 5";

    #[test]
    fn regions_lie_between_the_markers() {
        let found: Vec<_> = regions(CODE, true).into_iter().map(|range| &CODE[range]).collect();
        assert_eq!(found, ["b = 2\nc = 3\n", "", "e = 5"]);
        assert_eq!(regions(CODE, false), std::iter::once(0..CODE.len()).collect::<Vec<_>>());
        assert!(regions("EVOLVE-BLOCK-END\nx\n", true).is_empty());
        assert!(regions("", false).is_empty());
    }

    #[test]
    fn a_marker_shows_how_comments_begin() {
        let path = |name| FilePath::new(name).unwrap();
        assert_eq!(comment(&path("x.unknown"), "  // EVOLVE-BLOCK-START\n"), "//");
        assert_eq!(comment(&path("x.py"), CODE), "#");
        assert_eq!(comment(&path("x.rs"), ""), "//");
        assert_eq!(comment(&path("dir.rs/x"), ""), "#");
        assert!(prose(&path("a/b.MD")) && prose(&path("system_prompt")) && !prose(&path("b.py")));
    }

    #[test]
    fn binary_and_huge_files_are_left_alone() {
        let file = |bytes: Vec<u8>| File { bytes: bytes.into(), executable: false };
        assert_eq!(text(&file(b"ok\n".to_vec())), Some("ok\n"));
        assert_eq!(text(&file(vec![b'a', 0])), None);
        assert_eq!(text(&file(vec![0xff, 0xfe])), None);
        assert_eq!(text(&file(vec![b' '; MAX_TEXT + 1])), None);
    }
}
