//! How an answer to a case is scored: pure rules. Answers are bytes of code that nobody has
//! read; each rule takes time in proportion to their length at most.

use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::suite::Scorer;

/// The most memory that one compiled expression takes, in bytes.
const MAX_REGEX: usize = 1 << 18;
/// What is shown of a text in a reason, in characters.
const SHOWN: usize = 60;

/// An answer, as its protocol has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Plain text.
    Text(String),
    /// A value.
    Json(Value),
}

impl Answer {
    /// The answer as a text: of a value that is none, its JSON.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) | Self::Json(Value::String(text)) => text.clone(),
            Self::Json(value) => value.to_string(),
        }
    }

    /// The answer as a value, if it is one.
    fn value(&self) -> Result<Value, String> {
        match self {
            Self::Text(text) => serde_json::from_str(text)
                .map_err(|error| format!("the answer is no JSON: {error}")),
            Self::Json(value) => Ok(value.clone()),
        }
    }
}

/// A scorer with what it expects.
#[derive(Debug, Clone)]
pub enum Check {
    /// The answer is this one.
    Exact {
        /// A text, or any other value.
        expected: Value,
        /// Space around either does not count.
        trim: bool,
    },
    /// It matches the whole answer, or a part.
    Regex(Regex),
    /// The answer is a number near this one.
    Numeric {
        /// The number.
        expected: f64,
        /// How far off it may be.
        tolerance: f64,
    },
    /// The answer holds all of this.
    Json(Value),
    /// A program decides.
    Command {
        /// The program and its arguments.
        argv: Vec<String>,
        /// What it is told to expect.
        expected: Value,
    },
}

impl Check {
    /// `scorer`, made ready.
    ///
    /// # Errors
    /// Tells what is wrong with `expected` or the scorer's settings, and what to do.
    pub fn new(scorer: &Scorer, expected: Option<Value>) -> Result<Self, String> {
        if let Scorer::Command { argv } = scorer {
            let expected = expected.unwrap_or_default();
            return Ok(Self::Command { argv: argv.clone(), expected });
        }
        let expected = expected.ok_or("expected is missing; give the answer that is right")?;
        Ok(match scorer {
            Scorer::Exact { trim } => Self::Exact { expected, trim: *trim },
            Scorer::Regex { full } => {
                let pattern = expected.as_str().ok_or("give a regular expression as a text")?;
                // By itself first: half an expression must not be made whole by what is around.
                let own = regex(pattern)?;
                Self::Regex(if *full { regex(&format!(r"\A\s*(?:{pattern})\s*\z"))? } else { own })
            }
            Scorer::Numeric { absolute, relative } => {
                let expected = expected.as_f64().ok_or("expected must be a number")?;
                Self::Numeric { expected, tolerance: absolute.max(relative * expected.abs()) }
            }
            Scorer::Json {} => Self::Json(expected),
            Scorer::Command { .. } => return Err("has no expected answer of its own".to_owned()),
        })
    }

    /// Whether `answer` is right, or why not; `None` if a program must decide. The reason
    /// does not tell what is expected: who changes an agent may read it.
    #[must_use]
    pub fn judge(&self, answer: &Answer) -> Option<Result<(), String>> {
        Some(match self {
            Self::Command { .. } => return None,
            Self::Exact { expected: Value::String(expected), trim } => {
                let text = answer.text();
                let same = if *trim { text.trim() == expected.trim() } else { text == *expected };
                if same { Ok(()) } else { Err("it is not the expected answer".to_owned()) }
            }
            Self::Exact { expected, .. } => answer.value().and_then(|value| {
                let same = same(expected, &value);
                if same { Ok(()) } else { Err("it is not the expected value".to_owned()) }
            }),
            Self::Regex(regex) => {
                let fits = regex.is_match(&answer.text());
                if fits { Ok(()) } else { Err("it does not match".to_owned()) }
            }
            Self::Numeric { expected, tolerance } => number(answer).and_then(|number| {
                let near = (number - expected).abs() <= *tolerance;
                if near { Ok(()) } else { Err(format!("{number} is too far off")) }
            }),
            Self::Json(expected) => {
                answer.value().and_then(|value| holds(expected, &value, "the answer"))
            }
        })
    }
}

fn regex(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(MAX_REGEX).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the regular expression is too large".to_owned(),
        other => {
            let text = other.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("is no regular expression: {}", last.trim_start_matches("error: "))
        }
    })
}

fn number(answer: &Answer) -> Result<f64, String> {
    let text = answer.text();
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| {
        let short: String = text.trim().chars().take(SHOWN).collect();
        format!("“{}” is no finite number", short.escape_debug())
    })
}

/// Whether two values are equal; numbers are by what they are worth.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let in_b = |(key, value)| b.get(key).is_some_and(|other| same(value, other));
            a.len() == b.len() && a.iter().all(in_b)
        }
        _ => a == b,
    }
}

/// Whether all of `expected` is in `value`: of an object its members, of a list its items in
/// their order and no others. `place` is what a reason calls `value`.
fn holds(expected: &Value, value: &Value, place: &str) -> Result<(), String> {
    match (expected, value) {
        (Value::Object(expected), Value::Object(value)) => {
            expected.iter().try_for_each(|(key, inner)| {
                let place = format!("“{}” in {place}", short(key));
                let found = value.get(key).ok_or_else(|| format!("{place} is missing"))?;
                holds(inner, found, &place)
            })
        }
        (Value::Array(expected), Value::Array(value)) => {
            if expected.len() != value.len() {
                return Err(format!("{place} has {} items, which is wrong", value.len()));
            }
            let pairs = expected.iter().zip(value).enumerate();
            let mut pairs = pairs.map(|(at, pair)| (format!("item {} of {place}", at + 1), pair));
            pairs.try_for_each(|(place, (expected, value))| holds(expected, value, &place))
        }
        _ if same(expected, value) => Ok(()),
        _ => Err(format!("{place} is not as expected")),
    }
}

fn short(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judge(scorer: &Scorer, expected: Value, answer: &Answer) -> Result<(), String> {
        Check::new(scorer, Some(expected)).unwrap().judge(answer).unwrap()
    }

    fn text(text: &str) -> Answer {
        Answer::Text(text.to_owned())
    }

    #[test]
    fn an_exact_answer_is_the_text_or_the_value() {
        let (trimmed, bare) = (Scorer::default(), Scorer::Exact { trim: false });
        assert!(judge(&trimmed, json!("Bonn"), &text(" Bonn\n")).is_ok());
        assert!(judge(&trimmed, json!("Bonn"), &text("bonn")).is_err());
        assert!(judge(&bare, json!("Bonn"), &text("Bonn\n")).is_err());
        assert!(judge(&bare, json!("Bonn\n"), &text("Bonn\n")).is_ok());
        assert!(judge(&bare, json!("Bonn"), &Answer::Json(json!("Bonn"))).is_ok());
        // What is no text is compared as a value.
        assert!(judge(&bare, json!(4), &text("4.0\n")).is_ok());
        assert!(judge(&bare, json!({"a": [1, null]}), &text(r#"{"a": [1.0, null]}"#)).is_ok());
        assert!(judge(&bare, json!({"a": 1}), &Answer::Json(json!({"a": 1, "b": 2}))).is_err());
        assert!(judge(&bare, json!(true), &text("yes")).unwrap_err().contains("no JSON"));
        assert!(judge(&bare, json!(null), &Answer::Json(json!(null))).is_ok());
    }

    #[test]
    fn an_expression_matches_a_part_or_the_whole() {
        let (part, full) = (Scorer::Regex { full: false }, Scorer::Regex { full: true });
        assert!(judge(&part, json!("b+"), &text("abbc")).is_ok());
        assert!(judge(&part, json!("^b"), &text("abbc")).is_err());
        assert!(judge(&full, json!("a|ab"), &text(" ab\n")).is_ok());
        assert!(judge(&full, json!("b+"), &text("abbc")).is_err());
        for (pattern, said) in [
            (json!("("), "unclosed group"),
            (json!("a)(b"), "unopened group"),
            (json!("a{1000}{1000}"), "too large"),
            (json!(3), "as a text"),
        ] {
            let error = Check::new(&full, Some(pattern)).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn an_expression_takes_time_in_proportion_only() {
        let start = std::time::Instant::now();
        let evil =
            judge(&Scorer::Regex { full: true }, json!("(a*)*b"), &text(&"a".repeat(1 << 20)));
        assert!(evil.is_err() && start.elapsed().as_secs() < 30);
    }

    #[test]
    fn a_number_may_be_off_by_the_larger_tolerance() {
        let scorer = Scorer::Numeric { absolute: 0.5, relative: 0.01 };
        for (expected, answer, right) in [
            (10.0, "10.5", true),
            (10.0, "10.6", false),
            (1000.0, "1009", true),
            (-1000.0, " -1e3\n", true),
            (0.0, "-0.5", true),
            (0.0, "nan", false),
            (1e300, "inf", false),
            (0.0, "", false),
            (1.0, "1 2", false),
        ] {
            assert_eq!(judge(&scorer, json!(expected), &text(answer)).is_ok(), right, "{answer}");
        }
        let default = Scorer::Numeric { absolute: 0.0, relative: 1e-9 };
        assert!(judge(&default, json!(3), &Answer::Json(json!(3.000_000_000_1))).is_ok());
        assert!(judge(&default, json!(3), &Answer::Json(json!([3]))).is_err());
        assert!(Check::new(&default, Some(json!("3"))).is_err());
    }

    #[test]
    fn json_must_hold_what_is_expected_and_may_hold_more() {
        let right =
            |expected: Value, answer: &str| judge(&Scorer::Json {}, expected, &text(answer));
        assert_eq!(right(json!({"a": {"b": 1}}), r#"{"a": {"b": 1.0, "c": 2}, "d": 3}"#), Ok(()));
        assert_eq!(right(json!([{"a": 1}, 2]), r#"[{"a": 1, "b": 1}, 2]"#), Ok(()));
        let missing = right(json!({"a": {"b": 1}}), r#"{"a": {}}"#).unwrap_err();
        assert_eq!(missing, "“b” in “a” in the answer is missing");
        for wrong in [r#"{"a": {"b": 2}}"#, r#"{"a": 1}"#, "[]", "", "{"] {
            assert!(right(json!({"a": {"b": 1}}), wrong).is_err());
        }
        assert!(right(json!([1]), "[1, 2]").unwrap_err().contains("2 items"));
        let deep = "[".repeat(100_000);
        assert!(right(json!([1]), &deep).unwrap_err().contains("no JSON"));
    }

    #[test]
    fn only_a_program_needs_no_expected_answer() {
        for scorer in [Scorer::default(), Scorer::Regex { full: false }, Scorer::Json {}] {
            assert!(Check::new(&scorer, None).unwrap_err().contains("expected is missing"));
        }
        let check = Check::new(&Scorer::Command { argv: vec!["x".to_owned()] }, None).unwrap();
        assert!(check.judge(&text("anything")).is_none());
    }
}
