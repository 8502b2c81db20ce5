//! Tests of what answers of sandboxes come to, lies and rubbish included.

use proptest::prelude::*;

use super::*;
use crate::domain::objective::Goal;

fn rules() -> Rules {
    Rules {
        objectives: vec![Objective::new("combined_score", Goal::Maximize)],
        limits: Limits { output_kib: 1, ..Limits::default() },
        features: Some(Vec::new()),
        staged: true,
        times: Vec::new(),
        isolation: Isolation::Full,
        layers: Layers { landlock: true, ..Layers::default() },
        in_process: true,
    }
}

fn record(tag: u8, header: &str, body: &[u8]) -> Vec<u8> {
    let narrow = |length: usize| u32::try_from(length).unwrap().to_be_bytes();
    let size = 4 + header.len() + body.len();
    [&[tag][..], &narrow(size), &narrow(header.len()), header.as_bytes(), body].concat()
}

fn judge(records: &[u8], reply: Reply) -> Evaluation {
    let reply = Reply { records: records.len(), ..reply };
    let answer = Answer::new(reply, records).unwrap();
    rules().python(&answer, Hits::default()).unwrap()
}

const RESULT: &str = r#"{"stage": 1, "metrics": {"combined_score": ["number", "2.5"]},
    "artifacts": [["a", 3], ["b", 2]]}"#;

#[test]
fn a_result_is_taken_with_its_artefacts() {
    let told = [record(b'S', r#"{"stage": 1}"#, b""), record(b'R', RESULT, b"onetw")].concat();
    let evaluation = judge(&told, Reply::default());
    assert_eq!(evaluation.scores, Ok(vec![2.5]));
    assert_eq!(evaluation.artifacts["a"], &b"one"[..]);
    assert_eq!(evaluation.artifacts["b"], &b"tw"[..]);
    // How the process ended afterwards does not matter.
    let crashed = Reply { status: Status::Exited(1), ..Reply::default() };
    assert_eq!(judge(&told, crashed).scores, Ok(vec![2.5]));
}

#[test]
fn what_makes_no_sense_is_no_result() {
    let start = record(b'S', r#"{"stage": 1}"#, b"");
    let result = record(b'R', RESULT, b"onetw");
    for told in [
        Vec::new(),
        start.clone(),
        // A result without its start, of another stage, with too little behind it, torn.
        result.clone(),
        [start.clone(), record(b'R', &RESULT.replace("1,", "2,"), b"onetw")].concat(),
        [start.clone(), record(b'R', RESULT, b"one")].concat(),
        [&start[..], &result[..result.len() - 1]].concat(),
        [start.clone(), record(b'R', "{", b"")].concat(),
        [start.clone(), record(b'?', "{}", b""), result.clone()].concat(),
        [record(b'S', r#"{"stage": 2}"#, b""), result].concat(),
    ] {
        let failure = judge(&told, Reply::default()).scores.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Crashed, "{told:?}");
    }
}

#[test]
fn a_number_that_is_none_is_kept_as_text() {
    for (said, metric) in [
        (r#"["number", "nan"]"#, Metric::Text("nan".into())),
        (r#"["number", "1e999"]"#, Metric::Text("1e999".into())),
        (r#"["number", "x"]"#, Metric::Text("x".into())),
        (r#"["text", "1.5"]"#, Metric::Text("1.5".into())),
        (r#"["flag", false]"#, Metric::Flag(false)),
    ] {
        let header = format!(r#"{{"stage": 1, "metrics": {{"m": {said}}}}}"#);
        let told = [record(b'S', r#"{"stage": 1}"#, b""), record(b'R', &header, b"")].concat();
        assert_eq!(judge(&told, Reply::default()).metrics["m"], metric);
    }
}

#[test]
fn why_it_failed_is_told_by_what_weighs_most() {
    let kind = |reply, hits| {
        let answer = Answer::new(reply, b"").unwrap();
        rules().python(&answer, hits).unwrap().scores.unwrap_err().kind
    };
    let none = Hits::default();
    let memory = Hits { memory: 1, processes: 0 };
    let processes = Hits { memory: 0, processes: 1 };
    assert_eq!(kind(Reply { timed_out: true, ..Reply::default() }, memory), FailureKind::TimedOut);
    assert_eq!(kind(Reply { flooded: true, ..Reply::default() }, none), FailureKind::BadMetrics);
    assert_eq!(kind(Reply::default(), memory), FailureKind::OverLimit);
    assert_eq!(kind(Reply::default(), processes), FailureKind::OverLimit);
    assert_eq!(kind(Reply::default(), none), FailureKind::Crashed);
    let lost = rules().lost(true, 5, none);
    assert_eq!(lost.scores.unwrap_err().kind, FailureKind::TimedOut);
}

#[test]
fn a_candidate_that_was_never_started_is_nobodys_fault() {
    let told = record(b'X', r#"{"text": "no room"}"#, b"");
    let answer = Answer::new(Reply { records: told.len(), ..Reply::default() }, &told).unwrap();
    assert_eq!(rules().python(&answer, Hits::default()), Err(Unready("no room".into())));
    // What its own code says once it runs is not believed.
    let forged = [record(b'S', r#"{"stage": 1}"#, b""), told].concat();
    assert_eq!(judge(&forged, Reply::default()).scores.unwrap_err().kind, FailureKind::Crashed);
    let lie = Reply { records: 1, ..Reply::default() };
    assert!(Answer::new(lie, b"").is_none());
}

#[test]
fn artefacts_are_cut_to_what_is_kept() {
    let header = r#"{"stage": 1, "artifacts": [["a", 1000], ["b", 1000], ["c", 1000]]}"#;
    let told = [record(b'S', r#"{"stage": 1}"#, b""), record(b'R', header, &[7; 3000])].concat();
    let kept: Vec<_> = judge(&told, Reply::default()).artifacts.values().map(Bytes::len).collect();
    assert_eq!(kept, [1000, 24]);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(told: Vec<u8>, flip in 0usize..200, value: u8) {
        let mut fine =
            [record(b'S', r#"{"stage": 1}"#, b""), record(b'R', RESULT, b"onetw")].concat();
        let at = flip % fine.len();
        fine[at] = value;
        for bytes in [told, fine] {
            let reply = Reply { records: bytes.len(), ..Reply::default() };
            let answer = Answer::new(reply, &bytes).unwrap();
            let unready = rules().python(&answer, Hits::default()).is_err();
            prop_assert!(!unready || bytes.starts_with(b"X"));
        }
    }
}
