//! What ARCHITECTURE.md names is there: files, tests and benches, and every row of the plan.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data should stop")]

use std::{fs, path::Path};

const ROWS: [(&str, u32); 7] =
    [("C", 5), ("M", 7), ("P", 3), ("E", 4), ("H", 4), ("O", 2), ("L", 7)];

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// What stands between backticks in `text`, code blocks excepted.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// Why `name`, a path with perhaps a test in it, doesn't hold.
fn fault(name: &str) -> Option<String> {
    let (path, test) = name.split_once('#').map_or((name, None), |(path, test)| (path, Some(test)));
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if !full.exists() {
        return Some(format!("there is no {path}"));
    }
    let test = test?;
    (!is_test(&read(path), test)).then(|| format!("{path} has no test {test}"))
}

/// Whether a function of that name in `source` is run as a test: an attribute above it says so.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    let begins = |line: &str| line.strip_prefix("async ").unwrap_or(line).starts_with(&head);
    let attribute = |line: &&&str| **line == "#[test]" || line.starts_with("#[tokio::test");
    (0..lines.len()).filter(|at| begins(lines[*at])).any(|at| {
        let above = lines[..at].iter().rev();
        let above = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        above.filter(attribute).count() > 0
    })
}

#[test]
fn a_function_is_a_test_by_its_attribute_alone() {
    let source = "#[test]\nfn a() {}\n#[tokio::test(start_paused = true)]\n#[ignore]\n// why\nasync fn b() {}\n\
                  fn c() {}\nproptest! {\n    #[test]\n    fn d(x in 0..3) {}\n}\nfn helper() {}\n";
    for (name, expected) in [("a", true), ("b", true), ("c", false), ("d", true), ("helper", false)]
    {
        assert_eq!(is_test(source, name), expected, "{name}");
    }
}

#[test]
fn every_file_test_and_bench_that_is_named_exists() {
    for document in ["ARCHITECTURE.md", "README.md"] {
        let text = read(document);
        let names: Vec<_> = quoted(&text)
            .filter(|name| {
                let first = name.split('/').next().unwrap_or_default();
                let ours = ["src", "tests", "benches", "examples", "proto", "migrations", ".ci"];
                name.contains('/') && ours.contains(&first)
            })
            .collect();
        let faults: Vec<_> = names.iter().filter_map(|name| fault(name)).collect();
        assert!(faults.is_empty(), "{document}:\n{}", faults.join("\n"));
        assert!(!names.is_empty(), "{document} names nothing");
    }
}

#[test]
fn every_row_of_the_plan_has_a_state_and_what_works_is_shown() {
    let text = read("ARCHITECTURE.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| S-"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let names: Vec<_> = rows.iter().map(|row| row[0]).collect();
    let expected: Vec<_> = ROWS
        .iter()
        .flat_map(|(kind, count)| (1..=*count).map(move |n| format!("S-{kind}{n}")))
        .collect();
    assert_eq!(names, expected);
    for row in rows {
        let [name, _, state, place, shown] = row.as_slice() else { panic!("{row:?}") };
        let there = *state == "works" || state.starts_with("in part: ");
        assert!(there || *state == "not yet", "{name}: {state}");
        assert_eq!(there, !place.is_empty(), "{name}: where?");
        let proof = shown.contains('#') || shown.contains("benches/");
        assert_eq!(there, proof, "{name}: shown by what?");
    }
}
