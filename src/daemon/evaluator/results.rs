//! What a `ShinkaEvolve` evaluator left in its results' directory. Nothing in it is trusted.

use std::collections::BTreeMap;

use serde_json::Value;

use super::metrics::{MAX_METRICS, members, metric, short};
use crate::domain::evaluation::{Failure, FailureKind, Metric, PRIVATE};

/// The file with the metrics.
pub const METRICS: &str = "metrics.json";
/// The file that says whether they count.
pub const CORRECT: &str = "correct.json";

/// A file's content, or why it has none, as the end of a sentence.
pub type Content<'a> = Result<&'a [u8], &'a str>;

/// What `metrics.json` says.
#[derive(Debug, Default, PartialEq)]
pub struct Measured {
    /// The public ones by their names, the private ones with [`PRIVATE`] before them.
    pub metrics: BTreeMap<String, Metric>,
    /// What the evaluator has to say beside numbers.
    pub feedback: String,
}

/// Whether `correct.json` says that the candidate is correct.
///
/// # Errors
/// Tells that it is not, as a missed gate, or what is wrong with the file.
pub fn verdict(correct: Content<'_>) -> Result<(), Failure> {
    let said = object(CORRECT, correct)
        .map_err(|reason| Failure { kind: FailureKind::BadMetrics, reason })?;
    if said.get("correct") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    let why = said.get("error").map(text).filter(|why| !why.is_empty());
    let reason = format!("it is not correct: {}", why.as_deref().unwrap_or("no error is given"));
    Err(Failure { kind: FailureKind::GateMissed, reason })
}

/// What `metrics.json` says.
///
/// # Errors
/// Tells what is wrong with the file.
pub fn measured(metrics: Content<'_>) -> Result<Measured, String> {
    let mut said = object(METRICS, metrics)?;
    // For those who analyse a run afterwards; nothing that is measured.
    said.remove("extra_data");
    let feedback = said.remove("text_feedback").as_ref().map(text).unwrap_or_default();
    let mut found = Vec::new();
    for (part, prefix) in [("public", ""), ("private", PRIVATE)] {
        match said.remove(part) {
            Some(Value::Object(members)) => {
                found.extend(members.into_iter().map(|(name, value)| (prefix, name, value)));
            }
            Some(value) => found.push((prefix, part.to_owned(), value)),
            None => {}
        }
    }
    // What stands by itself goes before what is public under the same name.
    found.extend(said.into_iter().map(|(name, value)| ("", name, value)));
    if found.len() > MAX_METRICS {
        return Err(format!("{METRICS} holds more than {MAX_METRICS} metrics"));
    }
    let named = |(prefix, name, value): (&str, String, Value)| {
        (format!("{prefix}{}", short(&name)), metric(&value))
    };
    Ok(Measured { metrics: found.into_iter().map(named).collect(), feedback })
}

fn object(file: &str, content: Content<'_>) -> Result<serde_json::Map<String, Value>, String> {
    let content = content.map_err(|why| format!("{file} {why}"))?;
    members(content).map_err(|what| format!("{file} holds {what}"))
}

/// A text, or several, as one.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_metrics_have_their_names_and_private_ones_are_marked() {
        let text = br#"{"combined_score": 2.5, "public": {"n": 3, "combined_score": 9},
            "private": {"n": NaN, "why": {"a": [1]}}, "execution_time_mean": 0.25,
            "text_feedback": ["one", "two"], "extra_data": {"big": [1, 2]}, "early_stop": null}"#;
        let Measured { metrics, feedback } = measured(Ok(text)).unwrap();
        let text = |text: &str| Metric::Text(text.to_owned());
        let expected = [
            ("combined_score", Metric::Number(2.5)),
            ("early_stop", text("null")),
            ("execution_time_mean", Metric::Number(0.25)),
            ("n", Metric::Number(3.0)),
            ("private/n", text("nan")),
            ("private/why", text(r#"{"a":[1]}"#)),
        ];
        assert_eq!(metrics, expected.map(|(name, value)| (name.to_owned(), value)).into());
        assert_eq!(feedback, "one\ntwo");
        let odd = measured(Ok(br#"{"public": [1], "private": 7, "text_feedback": null}"#)).unwrap();
        assert_eq!(odd.metrics["private/private"], Metric::Number(7.0));
        assert_eq!((odd.metrics.len(), odd.feedback.as_str()), (2, ""));
    }

    #[test]
    fn only_true_is_correct_and_the_error_is_the_reason() {
        assert_eq!(verdict(Ok(br#"{"correct": true, "error": "ignored"}"#)), Ok(()));
        for (said, kind, part) in [
            (r#"{"correct": false, "error": "overlap"}"#, FailureKind::GateMissed, "overlap"),
            (r#"{"correct": "true"}"#, FailureKind::GateMissed, "no error"),
            (r#"{"correct": 1, "error": null}"#, FailureKind::GateMissed, "no error"),
            ("{}", FailureKind::GateMissed, "no error"),
            ("[true]", FailureKind::BadMetrics, "correct.json holds JSON that is no object"),
            ("", FailureKind::BadMetrics, "correct.json holds nothing"),
        ] {
            let failure = verdict(Ok(said.as_bytes())).unwrap_err();
            assert!(failure.kind == kind && failure.reason.contains(part), "{said}: {failure:?}");
        }
        assert_eq!(verdict(Err("is missing")).unwrap_err().reason, "correct.json is missing");
    }

    #[test]
    fn deep_and_endless_metrics_are_refused() {
        let deep = format!("{{\"public\": {}", "[".repeat(1 << 20));
        let many: Vec<_> = (0..=MAX_METRICS).map(|n| format!("\"{n}\": 1")).collect();
        let many = format!("{{\"public\": {{{}}}}}", many.join(","));
        for text in [&deep, &many] {
            assert!(measured(Ok(text.as_bytes())).unwrap_err().starts_with("metrics.json holds "));
        }
        assert!(measured(Ok(b"\xff{}")).is_err());
    }
}
