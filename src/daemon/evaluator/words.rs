//! The lines in which programs talk to each other: a JSON object each.
//!
//! In a room everything is bytes. What a program says is there as its JSON, or, of a text, as it is,
//! unless that could be taken for JSON: so people can read it, and programs get what was meant.

use serde::Deserialize;
use serde_json::{Value, json};

/// What a program says.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// Something, to a member or to whoever it usually talks to.
    Say {
        /// To whom.
        to: Option<String>,
        /// What, as it is in the room.
        content: Vec<u8>,
        /// In how many seconds an answer must come.
        within: Option<f64>,
    },
    /// How a match has ended: what each player has won, in the order of their seats.
    Scores(Vec<f64>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    to: Option<String>,
    #[serde(default, deserialize_with = "some")]
    message: Option<Value>,
    within: Option<f64>,
    scores: Option<Vec<f64>>,
}

/// A value that is there, be it null.
fn some<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// What a line says.
///
/// # Errors
/// Tells in words what is wrong with it.
pub fn read(line: &[u8]) -> Result<Line, String> {
    let said: Said = serde_json::from_slice(line)
        .map_err(|error| format!("its line is not what a program may say: {error}"))?;
    match said {
        Said { to, message: Some(message), within, scores: None } => {
            if within.is_some_and(|seconds| !(seconds > 0.0 && seconds <= 86_400.0)) {
                return Err("its “within” is no number of seconds above 0".to_owned());
            }
            if within.is_some() && to.is_none() {
                return Err("its “within” needs “to”: who is to answer in time".to_owned());
            }
            Ok(Line::Say { to, content: content(&message), within })
        }
        Said { to: None, message: None, within: None, scores: Some(scores) } => {
            Ok(Line::Scores(scores))
        }
        _ => Err("its line must have either a message or scores".to_owned()),
    }
}

/// The line that tells a program what somebody says.
#[must_use]
pub fn heard(from: &str, content: &[u8]) -> Vec<u8> {
    line(&json!({ "from": from, "message": message(content) }))
}

/// A line.
#[must_use]
pub fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

/// What is said, as it is in a room.
fn content(message: &Value) -> Vec<u8> {
    match message {
        Value::String(text) if serde_json::from_str::<Value>(text).is_err() => {
            text.clone().into_bytes()
        }
        other => other.to_string().into_bytes(),
    }
}

/// And back.
fn message(content: &[u8]) -> Value {
    serde_json::from_slice(content)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(content).into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
            "(1|true|null|\"x\"|\\[\\]| 1 |1e5)".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(".{0,5}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_one_program_says_another_one_gets(said in json()) {
            let line = line(&json!({ "message": said }));
            let Ok(Line::Say { content, .. }) = read(&line) else { panic!("{line:?}") };
            let heard: Value = serde_json::from_slice(&heard("ann", &content)).unwrap();
            prop_assert_eq!(&heard["message"], &said);
            prop_assert_eq!(&heard["from"], "ann");
        }

        #[test]
        fn no_line_is_too_odd(line in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = read(&line);
            let heard = heard("x", &line);
            prop_assert_eq!(heard.iter().position(|byte| *byte == b'\n'), Some(heard.len() - 1));
        }
    }

    #[test]
    fn a_line_says_something_or_how_it_ended() {
        let say = |to: Option<&str>, content: &str, within| Line::Say {
            to: to.map(str::to_owned),
            content: content.as_bytes().to_vec(),
            within,
        };
        for (line, said) in [
            (r#"{"message": "cooperate"}"#, say(None, "cooperate", None)),
            (r#"{"message": null, "to": "0"}"#, say(Some("0"), "null", None)),
            (r#"{"to": "1", "message": "5", "within": 1.5}"#, say(Some("1"), "\"5\"", Some(1.5))),
            (r#"{"scores": [3, 0.5]}"#, Line::Scores(vec![3.0, 0.5])),
        ] {
            assert_eq!(read(line.as_bytes()), Ok(said), "{line}");
        }
        for bad in [
            "",
            "cooperate",
            "{}",
            r#"{"scores": [1], "message": 1}"#,
            r#"{"to": "0"}"#,
            r#"{"to": "0", "message": 1, "within": 0}"#,
            r#"{"message": 1, "within": 1}"#,
            r#"{"message": 1, "extra": 1}"#,
            r#"{"scores": ["1"]}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
