//! What the answers to cases come to: accuracy, pass@k, and a line for each.

use std::collections::BTreeMap;

use serde_json::json;

use crate::domain::{evaluation::Metric, suite::ACCURACY};

/// What is shown of an output, in characters.
const SHOWN: usize = 500;
/// The last line, should others be left out.
const LAST: usize = 40;

/// What one answer is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// From 0 to 1.
    pub score: f64,
    /// Whether the case is passed.
    pub pass: bool,
    /// Why not, if not.
    pub why: String,
}

impl Verdict {
    /// A wrong answer, or none.
    #[must_use]
    pub fn wrong(why: impl Into<String>) -> Self {
        Self { score: 0.0, pass: false, why: why.into() }
    }

    /// Right, or not for a reason.
    #[must_use]
    pub fn of(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self { score: 1.0, pass: true, why: String::new() },
            Err(why) => Self::wrong(why),
        }
    }
}

/// A case's share and what all attempts at it came to; one that was not reached has none.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Its share in the accuracy.
    pub weight: f64,
    /// One a finished attempt.
    pub verdicts: Vec<Verdict>,
}

/// The weighted mean of the cases' scores; a case that was not tried has 0.
#[must_use]
pub fn accuracy(cases: &[Tried]) -> f64 {
    let mean = |tried: &Tried| {
        let count = tried.verdicts.len().max(1) as f64;
        tried.verdicts.iter().map(|verdict| verdict.score).sum::<f64>() / count
    };
    weighted(cases, mean)
}

/// The metrics of `cases`, of which each was tried `attempts` times at most.
#[must_use]
pub fn metrics(cases: &[Tried], attempts: u32) -> BTreeMap<String, Metric> {
    let passed = |tried: &Tried| tried.verdicts.iter().filter(|verdict| verdict.pass).count();
    let total = cases.len() * attempts as usize;
    let mut metrics = BTreeMap::from([
        (ACCURACY.to_owned(), Metric::Number(accuracy(cases))),
        ("passed".to_owned(), Metric::Number(cases.iter().map(passed).sum::<usize>() as f64)),
        ("total".to_owned(), Metric::Number(total as f64)),
    ]);
    for k in 1..=if attempts > 1 { attempts } else { 0 } {
        let value = weighted(cases, |tried| pass_at(k, attempts, passed(tried) as u32));
        metrics.insert(format!("pass@{k}"), Metric::Number(value));
    }
    metrics
}

fn weighted(cases: &[Tried], value: impl Fn(&Tried) -> f64) -> f64 {
    let all: f64 = cases.iter().map(|tried| tried.weight).sum();
    let sum: f64 = cases.iter().map(|tried| tried.weight * value(tried)).sum();
    if all > 0.0 { sum / all } else { 0.0 }
}

/// The chance that one of `k` attempts passes, estimated without bias from `n` of which `c`
/// did: 1 − C(n−c, k) / C(n, k), multiplied out so that nothing overflows (Chen et al.,
/// "Evaluating Large Language Models Trained on Code", 2021, arXiv:2107.03374, section 2.1).
#[must_use]
pub fn pass_at(k: u32, n: u32, c: u32) -> f64 {
    let c = c.min(n);
    if n - c < k {
        return 1.0;
    }
    1.0 - (n - c + 1..=n).map(|i| 1.0 - f64::from(k) / f64::from(i)).product::<f64>()
}

/// A line for each answer, as far as there is room.
#[derive(Debug)]
pub struct Log {
    lines: Vec<u8>,
    room: usize,
    left_out: usize,
}

impl Log {
    /// One of at most `room` bytes.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { lines: Vec::new(), room, left_out: 0 }
    }

    /// Adds a line. The output is shortened.
    pub fn push(&mut self, id: &str, attempt: u32, verdict: &Verdict, output: &str, wall_us: u64) {
        let line = json!({
            "id": id,
            "attempt": attempt,
            "score": verdict.score,
            "pass": verdict.pass,
            "why": verdict.why,
            "output": shown(output),
            "wall_us": wall_us,
        })
        .to_string();
        if self.left_out == 0 && self.lines.len() + line.len() + 1 + LAST <= self.room {
            self.lines.extend_from_slice(line.as_bytes());
            self.lines.push(b'\n');
        } else {
            self.left_out += 1;
        }
    }

    /// All lines; if some were left out, the last one tells how many.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        if self.left_out > 0 {
            let line = format!("{}\n", json!({ "left_out": self.left_out }));
            self.lines.extend_from_slice(line.as_bytes());
        }
        self.lines
    }
}

/// What is shown of an output.
#[must_use]
pub fn shown(output: &str) -> String {
    let short: String = output.chars().take(SHOWN).collect();
    if short.len() < output.len() { short + "…" } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(weight: f64, scores: &[f64]) -> Tried {
        let verdict =
            |score: &f64| Verdict { score: *score, pass: *score == 1.0, why: String::new() };
        Tried { weight, verdicts: scores.iter().map(verdict).collect() }
    }

    #[test]
    fn accuracy_is_the_weighted_mean_and_what_was_not_reached_counts() {
        let cases = [tried(1.0, &[1.0, 0.0]), tried(3.0, &[0.5, 0.5]), tried(1.0, &[])];
        assert_eq!(accuracy(&cases), (0.5 + 1.5) / 5.0);
        let all = metrics(&cases, 2);
        assert_eq!(all["passed"], Metric::Number(1.0));
        assert_eq!(all["total"], Metric::Number(6.0));
        assert_eq!(all["pass@2"], Metric::Number(1.0 / 5.0));
        assert!(!metrics(&cases, 1).contains_key("pass@1"));
    }

    #[test]
    fn pass_at_k_is_the_share_of_draws_that_hold_a_pass() {
        // Against all draws of k of n, counted.
        for n in 1..=6u32 {
            for c in 0..=n {
                for k in 1..=n {
                    let draws: Vec<u32> =
                        (0..1 << n).filter(|d: &u32| d.count_ones() == k).collect();
                    let hits = draws.iter().filter(|draw| *draw & ((1 << c) - 1) != 0).count();
                    let share = hits as f64 / draws.len() as f64;
                    assert!((pass_at(k, n, c) - share).abs() < 1e-12, "{k} of {n}, {c} passed");
                }
            }
        }
        assert_eq!(pass_at(100, 100, 0), 0.0);
    }

    #[test]
    fn a_log_is_whole_lines_and_says_what_is_missing() {
        let mut log = Log::new(400);
        for id in ["a", "b", "c", "d"] {
            log.push(id, 1, &Verdict::wrong("\x1b[31mno"), &"é\n".repeat(400), 7);
        }
        assert!(log.lines.is_empty());
        let text = String::from_utf8(log.end()).unwrap();
        assert_eq!(text, "{\"left_out\":4}\n");
        let mut log = Log::new(300);
        for id in ["a", "b", "c", "d"] {
            log.push(id, 1, &Verdict::of(Ok(())), "out\x1b", 7);
        }
        let text = String::from_utf8(log.end()).unwrap();
        assert!(text.len() <= 300 && !text.contains('\x1b') && text.ends_with("}\n"));
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.len() > 1 && lines[0]["pass"] == true);
        assert!(lines.last().unwrap()["left_out"].as_u64() > Some(0));
    }
}
