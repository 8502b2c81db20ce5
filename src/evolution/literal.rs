//! Numeric literals in program text: found without parsing the language, and perturbed.

use std::{ops::Range, sync::Arc};

use crate::domain::genome::{File, FilePath, Files};

use super::{
    draw::Draw,
    text::{comment, prose, regions, text},
};

/// A number in a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Literal {
    /// Where it stands, its unary minus included.
    pub range: Range<usize>,
    /// Its value.
    pub value: f64,
    /// Whether it is written without point or exponent; it then stays so.
    pub whole: bool,
    /// Whether a minus sign may stand here.
    pub signed: bool,
}

/// What may follow a number without a space, in the languages that have suffixes.
const SUFFIXES: [&str; 21] = [
    "f", "F", "d", "L", "l", "u", "U", "j", "n", "f32", "f64", "i8", "i16", "i32", "i64", "u8",
    "u16", "u32", "u64", "usize", "isize",
];

/// The numbers of `text` that lie in one of `regions`: not those in names, strings, comments
/// (to the end of the line from `comment` on, or in `/* */`), subscripts such as `x[0]`,
/// versions such as `1.2.3`, or in hexadecimal.
pub(super) fn literals(text: &str, comment: &str, regions: &[Range<usize>]) -> Vec<Literal> {
    let (bytes, mut at, mut found) = (text.as_bytes(), 0, Vec::new());
    while at < bytes.len() {
        let rest = &bytes[at..];
        at = if rest.starts_with(comment.as_bytes()) {
            at + line_end(rest)
        } else if comment == "//" && rest.starts_with(b"/*") {
            at + 2 + find(&rest[2..], b"*/").map_or(rest.len() - 2, |end| end + 2)
        } else if matches!(rest[0], b'"' | b'\'' | b'`') {
            at + string_end(rest)
        } else if rest[0].is_ascii_digit() || (rest[0] == b'.' && digit(rest.get(1))) {
            let (end, number) = number(text, at);
            if let Some(literal) = number
                && regions.iter().any(|region| region.start <= at && end <= region.end)
            {
                found.push(literal);
            }
            end
        } else if name_part(rest[0]) {
            // A name, with the digits in it.
            at + rest.iter().take_while(|byte| name_part(**byte)).count()
        } else {
            at + 1
        };
    }
    found
}

fn digit(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_digit)
}

fn name_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn line_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len())
}

/// The length of the string that starts at `bytes[0]`, or 1 if it is no string after all:
/// a quote that its line doesn't close, such as a Rust lifetime or an apostrophe.
fn string_end(bytes: &[u8]) -> usize {
    let quote = bytes[0];
    let triple = [quote; 3];
    if quote != b'`' && bytes.starts_with(&triple) {
        return find(&bytes[3..], &triple).map_or(bytes.len(), |end| end + 6);
    }
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'\n' if quote != b'`' => return 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    1
}

/// Reads the number at `at`: where it ends, suffix and all, and the number itself if it is
/// one to change.
fn number(text: &str, at: usize) -> (usize, Option<Literal>) {
    let bytes = text.as_bytes();
    let run = |from: usize| {
        bytes[from..].iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'_').count()
    };
    let mut end = at + run(at);
    let mut whole = true;
    // A point belongs to the number unless it starts a range (0..3) or a method (1.max(2)).
    let after = bytes.get(end + 1).copied().unwrap_or(b' ');
    if bytes.get(end) == Some(&b'.') && after != b'.' && !after.is_ascii_alphabetic() {
        whole = false;
        end += 1 + run(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if digit(bytes.get(end + 1 + sign)) {
            whole = false;
            end += 1 + sign + run(end + 1 + sign);
        }
    }
    let suffix = bytes[end..].iter().take_while(|byte| name_part(**byte)).count();
    // Versions and addresses (1.2.3) are skipped whole.
    let dotted = bytes[end..].iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let stop = end + suffix.max(dotted);
    let ranged = bytes[end..].starts_with(b"..");
    let fine = (suffix == 0 || SUFFIXES.contains(&&text[end..end + suffix]))
        && (dotted == 0 || ranged && whole)
        && !subscript(bytes, at, end);
    let stop = if ranged { end } else { stop };
    let digits = text[at..end].replace('_', "");
    let Some(value) = digits.parse::<f64>().ok().filter(|value| fine && value.is_finite()) else {
        return (stop.max(end), None);
    };
    let head = blank_end(&bytes[..at]);
    let literal = match head.strip_suffix(b"-") {
        Some(before) if opens(blank_end(before)) => {
            Literal { range: before.len()..end, value: -value, whole, signed: true }
        }
        _ => Literal { range: at..end, value, whole, signed: opens(head) },
    };
    (stop.max(end), Some(literal))
}

/// `bytes` without the blanks at its end.
fn blank_end(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &bytes[..bytes.len() - blanks]
}

/// Whether an operand, not an operator, is due after this text.
fn opens(head: &[u8]) -> bool {
    head.ends_with(b"return") || head.last().is_none_or(|byte| b"(,=[{:<>;\n".contains(byte))
}

/// Whether the number is all there is between brackets after a name: `x[0]`.
fn subscript(bytes: &[u8], at: usize, end: usize) -> bool {
    let head = bytes[..at].trim_ascii_end();
    let head = head.strip_suffix(b"-").unwrap_or(head);
    let after = bytes[end..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    after == Some(&b']')
        && head
            .strip_suffix(b"[")
            .and_then(<[u8]>::last)
            .is_some_and(|byte| name_part(*byte) || matches!(byte, b']' | b')'))
}

impl Literal {
    /// What it becomes by a normal step of standard deviation `sigma`, relative to its size
    /// (0 counts as 1). A whole number moves by at least 1.
    pub fn tweaked(&self, sigma: f64, draw: &mut Draw) -> String {
        let size = if self.value == 0.0 { 1.0 } else { self.value.abs() };
        let step = draw.normal() * sigma * size;
        let fit = |value: f64| if self.signed { value } else { value.abs() };
        if self.whole {
            let step = if step.abs() < 1.0 { 1f64.copysign(step) } else { step.round() };
            let moved = fit(self.value + step);
            let moved = if moved == self.value { moved + 1.0 } else { moved };
            return format!("{}", moved.clamp(-9e15, 9e15));
        }
        // Nine digits: enough to tune by, short enough to read.
        let moved = fit(self.value + step);
        let rounded = format!("{moved:.8e}").parse::<f64>().unwrap_or(moved) + 0.0;
        if rounded.is_finite() { format!("{rounded:?}") } else { format!("{:?}", self.value) }
    }
}

/// The numbers of a file that may change: in code, those in the regions that may; where
/// nothing is marked, none in prose, where a number is part of a sentence.
pub(super) fn tweakable(path: &FilePath, text: &str, marked: bool) -> Vec<Literal> {
    if !marked && prose(path) {
        return Vec::new();
    }
    literals(text, comment(path, text), &regions(text, marked))
}

/// `files` with some numbers perturbed: each with chance 1/n, at least one.
pub(super) fn tweak(files: &Files, marked: bool, sigma: f64, draw: &mut Draw) -> Files {
    let found: Vec<_> = files
        .iter()
        .filter_map(|(path, file)| {
            let text = text(file)?;
            Some((path, file, text, tweakable(path, text, marked)))
        })
        .collect();
    let count: usize = found.iter().map(|(.., literals)| literals.len()).sum();
    if count == 0 {
        return files.clone();
    }
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2⁵³")]
    let rate = 1.0 / count as f64;
    let sure = draw.below(count);
    let (mut child, mut at) = (files.as_ref().clone(), 0);
    for (path, file, text, literals) in found {
        let (mut changed, mut from) = (String::new(), 0);
        for literal in literals {
            if at == sure || draw.chance(rate) {
                changed.push_str(&text[from..literal.range.start]);
                changed.push_str(&literal.tweaked(sigma, draw));
                from = literal.range.end;
            }
            at += 1;
        }
        if from > 0 {
            changed.push_str(&text[from..]);
            let file = File { bytes: changed.into(), executable: file.executable };
            child.insert(path.clone(), file);
        }
    }
    Arc::new(child)
}
