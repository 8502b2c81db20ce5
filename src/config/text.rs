//! Bounded reading of text files, and the nearest name to a mistyped one.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The largest configuration, specification or suite file, in bytes.
pub const MAX_TEXT: u64 = 1 << 20;

/// Reads a UTF-8 file of at most [`MAX_TEXT`] bytes.
///
/// # Errors
/// If the system refuses, or it is no such file.
pub fn read(path: &Path) -> io::Result<String> {
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_TEXT {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

/// The one of `known` that `word` most likely stands for, if any is near.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = |other: &str| distance(word, other);
    known
        .into_iter()
        .map(|other| (near(other), other))
        .filter(|(steps, other)| *steps <= 2.max(other.len() / 3))
        .min()
        .map(|(_, other)| other)
}

/// “; did you mean X?”, or which there are.
pub(super) fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(name) => format!("did you mean “{name}”?"),
        None => format!("known are: {}", known.join(", ")),
    }
}

/// The Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        assert_eq!(nearest("listem", ["level", "listen", "admin"]), Some("listen"));
        assert_eq!(nearest("popluation", ["population", "elitism"]), Some("population"));
        assert_eq!(nearest("zebra", ["listen", "admin"]), None);
    }
}
