//! JSON-RPC 2.0 by lines, as far as cases need it: one request a case, one response each.

use serde::Deserialize;
use serde_json::{Value, json};

/// The request for an answer to `input`, with the end of its line.
#[must_use]
pub fn request(id: usize, input: &Value) -> Vec<u8> {
    let params = json!({ "input": input });
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": "answer", "params": params });
    format!("{request}\n").into_bytes()
}

/// A line that a program wrote.
#[derive(Deserialize)]
struct Response {
    jsonrpc: Option<Value>,
    id: Option<Value>,
    #[serde(default, deserialize_with = "some")]
    result: Option<Value>,
    error: Option<Value>,
}

/// A value that is there, be it null.
fn some<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

/// The answer in `line`, which must be the response to the request of that `id`.
///
/// # Errors
/// Tells in words what is wrong with it.
pub fn answer(line: &str, id: usize) -> Result<Value, String> {
    let response: Response = serde_json::from_str(line)
        .map_err(|error| format!("its line is no JSON-RPC response: {error}"))?;
    if response.jsonrpc != Some(json!("2.0")) {
        return Err("its response lacks “jsonrpc”: “2.0”".to_owned());
    }
    if response.id != Some(json!(id)) {
        let found = response.id.unwrap_or_default().to_string();
        let found: String = found.chars().take(40).collect();
        return Err(format!("its response has id {found} where {id} was asked for"));
    }
    match (response.result, response.error) {
        (Some(result), None) => Ok(result),
        (None, Some(error)) => {
            let message = error.get("message").and_then(Value::as_str).unwrap_or("no message");
            Err(format!("it answered with an error: {message}"))
        }
        _ => Err("its response must have either a result or an error".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_whatever_the_input() {
        let line = request(3, &json!({"text": "a\nb"}));
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
        let value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["params"]["input"]["text"], "a\nb");
        assert_eq!((&value["id"], &value["method"]), (&json!(3), &json!("answer")));
    }

    #[test]
    fn only_the_response_to_the_request_is_an_answer() {
        let ok = r#"{"jsonrpc": "2.0", "id": 1, "result": null}"#;
        assert_eq!(answer(ok, 1), Ok(Value::Null));
        for (line, said) in [
            ("", "no JSON-RPC response"),
            ("null", "no JSON-RPC response"),
            ("hello", "no JSON-RPC response"),
            (r#"{"id": 1, "result": 1}"#, "lacks “jsonrpc”"),
            (r#"{"jsonrpc": "2.0", "id": 2, "result": 1}"#, "id 2 where 1"),
            (r#"{"jsonrpc": "2.0", "id": "1", "result": 1}"#, "id \"1\" where 1"),
            (r#"{"jsonrpc": "2.0", "result": 1}"#, "id null where 1"),
            (r#"{"jsonrpc": "2.0", "id": 1}"#, "either a result or an error"),
            (r#"{"jsonrpc": "2.0", "id": 1, "result": 1, "error": {}}"#, "either"),
            (r#"{"jsonrpc": "2.0", "id": 1, "error": {"message": "no"}}"#, "an error: no"),
        ] {
            let error = answer(line, 1).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
