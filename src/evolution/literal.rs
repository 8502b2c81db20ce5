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

/// What may stand before a string in Python, Rust, C and others.
const PREFIXES: [&[u8]; 12] =
    [b"f", b"b", b"r", b"u", b"l", b"br", b"rb", b"fr", b"rf", b"u8", b"c", b"cr"];

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
        } else if rest[0].is_ascii_digit() || (rest[0] == b'.' && starts_number(bytes, at)) {
            let (end, number) = number(text, at);
            if let Some(literal) = number
                && regions.iter().any(|region| region.start <= at && end <= region.end)
            {
                found.push(literal);
            }
            end
        } else if name_part(rest[0]) {
            // A name, with the digits in it, and an apostrophe after it, as in "don't", that
            // begins no string.
            let length = rest.iter().take_while(|byte| name_part(**byte)).count();
            let prefixed =
                PREFIXES.iter().any(|prefix| rest[..length].eq_ignore_ascii_case(prefix));
            at + length + usize::from(rest.get(length) == Some(&b'\'') && !prefixed)
        } else {
            at + 1
        };
    }
    found
}

fn digit(byte: Option<&u8>) -> bool {
    byte.is_some_and(u8::is_ascii_digit)
}

/// Whether the point at `at` begins a number: `.5`, but not in `a.5`, `x[0].5` or `0..5`.
fn starts_number(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| bytes[before]);
    let joined = |byte: u8| name_part(byte) || matches!(byte, b'.' | b')' | b']');
    digit(bytes.get(at + 1)) && !before.is_some_and(joined)
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
        let digits = |byte: &&u8| byte.is_ascii_digit() || **byte == b'_';
        let length = bytes[from..].iter().take_while(digits).count();
        // An underscore at the end belongs to a suffix: 1_f64.
        length - bytes[from..from + length].iter().rev().take_while(|b| **b == b'_').count()
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
    let mut stop = end + suffix;
    // Versions and addresses (1.2.3) are skipped whole.
    while bytes.get(stop) == Some(&b'.') && digit(bytes.get(stop + 1)) {
        stop += 1 + run(stop + 1);
    }
    let known = text[end..end + suffix].trim_start_matches('_');
    let fine = (suffix == 0 || SUFFIXES.contains(&known))
        && stop == end + suffix
        && !subscript(bytes, at, end);
    let digits = text[at..end].replace('_', "");
    let Some(value) = digits.parse::<f64>().ok().filter(|value| fine && value.is_finite()) else {
        return (stop, None);
    };
    let head = blank_end(&bytes[..at]);
    let literal = match head.strip_suffix(b"-") {
        Some(before) if opens(blank_end(before)) => {
            Literal { range: before.len()..end, value: -value, whole, signed: true }
        }
        _ => Literal { range: at..end, value, whole, signed: opens(head) },
    };
    (stop, Some(literal))
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

#[cfg(test)]
mod tests {
    use crate::domain::id::Slot;

    use super::*;
    use crate::evolution::draw::Source;

    fn found(text: &str, comment: &str) -> Vec<String> {
        let all = literals(text, comment, &[0..text.len()]);
        all.into_iter().map(|literal| text[literal.range].to_owned()).collect()
    }

    #[test]
    fn numbers_are_found_and_look_alikes_are_not() {
        let python = "x1 = 2.5e-3 * y_2 + .5  # 9\ns = 'a 3 \\' 4' + \"5\"\nz = x[0] + f(7, -1.5)\n\
            d = \"\"\"doc 8\n 9 \"\"\"\nv = 1.2.3\nh = 0xff\nq = 1_000\nr = 10//3\nreturn -4\n";
        assert_eq!(found(python, "#"), ["2.5e-3", ".5", "7", "-1.5", "1_000", "10", "3", "-4"]);
        let rust = "let a: [f64; 3] = [1.0_f64, 2f32, 3u8]; // 9\nfor i in 0..10 {}\n/* 8 */ \
            fn f<'a>(x: &'a str) -> i32 { 5.max(6) - 7 }\nlet c = '1'; let v = y[2];";
        assert_eq!(found(rust, "//"), ["3", "1.0", "2", "3", "0", "10", "5", "6", "7"]);
        assert_eq!(found("don't stop at 7 o'clock", "#"), ["7"]);
        assert_eq!(found("w = a[i][-1] * b[2:3] + [4]", "#"), ["2", "3", "4"]);
        assert_eq!(found("x = 1e400 + 2px", "#"), Vec::<String>::new());
        assert_eq!(found("größe2 = 3", "#"), ["3"]);
        assert_eq!(found("'unclosed 4\n5", "#"), ["4", "5"]);
    }

    #[test]
    fn only_those_within_the_regions_count() {
        let text = "a = 1\nb = 2\nc = 3\n";
        let literals = literals(text, "#", &[6..12]);
        assert_eq!(literals, [Literal { range: 10..11, value: 2.0, whole: true, signed: true }]);
    }

    #[test]
    fn kinds_and_signs_are_kept() {
        let mut draw = Source::new(1).at(Slot::default());
        let literal = |value: f64, whole, signed| Literal { range: 0..1, value, whole, signed };
        for _ in 0..2_000 {
            let whole: i64 = literal(3.0, true, false).tweaked(0.5, &mut draw).parse().unwrap();
            assert!(whole >= 0 && whole != 3, "{whole}");
            let text = literal(0.25, false, false).tweaked(0.5, &mut draw);
            let real: f64 = text.parse().unwrap();
            assert!(real >= 0.0 && text.contains(['.', 'e']), "{text}");
            let text = literal(0.0, true, true).tweaked(0.5, &mut draw);
            assert!(text.parse::<i64>().is_ok_and(|whole| whole != 0), "{text}");
            let text = literal(1e300, false, true).tweaked(1e10, &mut draw);
            assert!(text.parse::<f64>().unwrap().is_finite(), "{text}");
        }
        let spread = |signed| {
            let mut draw = Source::new(2).at(Slot::default());
            let literal = literal(2.0, false, signed);
            let values: Vec<f64> =
                (0..4_000).map(|_| literal.tweaked(1.0, &mut draw).parse().unwrap()).collect();
            values.iter().filter(|value| **value < 0.0).count()
        };
        // A step of two deviations or more: 16 % where a sign may stand, none elsewhere.
        assert!((550..730).contains(&spread(true)), "{}", spread(true));
        assert_eq!(spread(false), 0);
    }

    #[test]
    fn a_subtraction_is_not_turned_into_two_signs() {
        let (path, mut draw) = (FilePath::new("a.c").unwrap(), Source::new(4).at(Slot::default()));
        let file = |text: &str| File { bytes: text.to_owned().into(), executable: true };
        let files: Files = Arc::new([(path.clone(), file("y = x-3.0;\n"))].into());
        for _ in 0..500 {
            let child = tweak(&files, false, 3.0, &mut draw);
            let text = std::str::from_utf8(&child[&path].bytes).unwrap();
            assert!(text.starts_with("y = x-") && text.matches('-').count() <= 2, "{text}");
            assert!(!text.contains("--") && text.ends_with(";\n"), "{text}");
            assert!(child[&path].executable && child != files);
        }
    }

    #[test]
    fn numbers_in_prose_are_left_alone_unless_marked() {
        let path = FilePath::new("prompt.md").unwrap();
        assert!(tweakable(&path, "Name 3 reasons.\n", false).is_empty());
        let marked = "EVOLVE-BLOCK-START\nName 3 reasons.\nEVOLVE-BLOCK-END\n";
        assert_eq!(tweakable(&path, marked, true).len(), 1);
    }
}
