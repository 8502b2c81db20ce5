//! Metrics as a program writes them: one JSON object, checked.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::domain::evaluation::Metric;

/// The most metrics of one evaluation.
pub const MAX_METRICS: usize = 1000;
/// What is kept of a metric that is no number, in characters.
const MAX_TEXT: usize = 4096;

/// The metrics that `text` is.
///
/// # Errors
/// Tells what it is instead, as the end of a sentence.
pub fn object(text: &[u8]) -> Result<BTreeMap<String, Metric>, String> {
    let members = members(text)?;
    if members.len() > MAX_METRICS {
        return Err(format!("more than {MAX_METRICS} metrics"));
    }
    Ok(members.into_iter().map(|(name, value)| (name, metric(&value))).collect())
}

/// The members of the JSON object that `text` is. NaN and the infinities, which JSON does not
/// have but many programs print, become texts.
///
/// # Errors
/// Tells what it is instead, as the end of a sentence.
pub fn members(text: &[u8]) -> Result<Map<String, Value>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "no UTF-8 text".to_owned())?;
    let text = text.trim();
    if text.is_empty() {
        return Err("nothing instead of a JSON object".to_owned());
    }
    let value: Value = serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&quoted(text)).map_err(|_| error))
        .map_err(|error| format!("no JSON object: {error}"))?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err("JSON that is no object".to_owned()),
    }
}

/// The value as it came, as text where it is neither a number nor a flag.
#[must_use]
pub fn metric(value: &Value) -> Metric {
    match value {
        Value::Bool(flag) => Metric::Flag(*flag),
        Value::Number(number) => match number.as_f64() {
            Some(number) if number.is_finite() => Metric::Number(number),
            _ => Metric::Text(number.to_string()),
        },
        Value::String(text) => Metric::Text(short(text)),
        Value::Null | Value::Array(_) | Value::Object(_) => Metric::Text(short(&value.to_string())),
    }
}

/// The text, shortened.
#[must_use]
pub fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// `text` with NaN and the infinities between quotes, where they stand outside of any.
fn quoted(text: &str) -> String {
    const WORDS: [(&str, &str); 3] =
        [("NaN", "\"nan\""), ("-Infinity", "\"-inf\""), ("Infinity", "\"inf\"")];
    let mut out = String::with_capacity(text.len() + 16);
    let (mut rest, mut inside) = (text, false);
    while let Some(next) = rest.chars().next() {
        if !inside
            && let Some((word, quoted)) = WORDS.iter().find(|(word, _)| rest.starts_with(word))
        {
            out.push_str(quoted);
            rest = &rest[word.len()..];
            continue;
        }
        let mut length = next.len_utf8();
        match next {
            '"' => inside = !inside,
            // What is escaped ends no text.
            '\\' if inside => length += rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => {}
        }
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_kept_as_it_came() {
        let text = br#" {"a": 1.5, "b": true, "c": NaN, "d": -Infinity, "e": "NaN \" NaN",
            "f": [1, {"x": null}], "g": null, "h": 12345678901234567890} "#;
        let found = object(text).unwrap();
        assert_eq!(found["a"], Metric::Number(1.5));
        assert_eq!(found["b"], Metric::Flag(true));
        assert_eq!(found["c"], Metric::Text("nan".into()));
        assert_eq!(found["d"], Metric::Text("-inf".into()));
        assert_eq!(found["e"], Metric::Text("NaN \" NaN".into()));
        assert_eq!(found["f"], Metric::Text(r#"[1,{"x":null}]"#.into()));
        assert_eq!(found["g"], Metric::Text("null".into()));
        assert_eq!(found["h"], Metric::Number(12_345_678_901_234_567_890.0));
    }

    #[test]
    fn a_number_is_the_one_that_was_printed_to_its_last_bit() {
        for number in (1..5000).map(|i| f64::from(i).sqrt() * 1e-7) {
            let found = object(format!("{{\"a\": {number}}}").as_bytes()).unwrap();
            assert_eq!(found["a"], Metric::Number(number));
        }
    }

    #[test]
    fn what_is_no_object_is_refused_with_a_reason() {
        let deep = "[".repeat(100_000);
        for text in ["", "  ", "3", "[1]", "{", "{\"a\": }", "score: 3", "{} {}", &deep] {
            let reason = object(text.as_bytes()).unwrap_err();
            assert!(reason.contains("object"), "{text:.20}: {reason}");
        }
        assert!(object(b"\xff").is_err());
        let many: Vec<_> = (0..=MAX_METRICS).map(|i| format!("\"{i}\": 1")).collect();
        assert!(object(format!("{{{}}}", many.join(",")).as_bytes()).is_err());
    }
}
