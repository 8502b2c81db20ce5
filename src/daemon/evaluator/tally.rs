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

/// A line for each answer, as far as there is room. Where it is short, outputs are dropped first,
/// then what explains a verdict; whether an answer was right goes last.
#[derive(Debug)]
pub struct Log {
    lines: Vec<Line>,
    room: usize,
    /// Of the shortest forms, the middle ones and the whole ones that are held, in bytes.
    held: [usize; 3],
    left_out: usize,
}

/// An answer in forms of which each says more than the one before.
#[derive(Debug)]
struct Line {
    short: String,
    longer: [Option<String>; 2],
}

impl Log {
    /// One of at most `room` bytes.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self { lines: Vec::new(), room, held: [0; 3], left_out: 0 }
    }

    /// Adds a line. The output is shortened.
    pub fn push(&mut self, id: &str, attempt: u32, verdict: &Verdict, output: &str, wall_us: u64) {
        let mut line = json!({
            "id": id,
            "attempt": attempt,
            "score": verdict.score,
            "pass": verdict.pass,
        });
        let short = format!("{line}\n");
        if self.left_out > 0 || !self.hold(0, short.len()) {
            self.left_out += 1;
            return;
        }
        // What can't fit, however little room others take, is not kept until the end.
        line["why"] = json!(verdict.why);
        line["wall_us"] = json!(wall_us);
        let middle = format!("{line}\n");
        let middle = self.hold(1, middle.len()).then_some(middle);
        line["output"] = json!(shown(output));
        let whole = format!("{line}\n");
        let whole = self.hold(2, whole.len()).then_some(whole);
        self.lines.push(Line { short, longer: [middle, whole] });
    }

    fn hold(&mut self, form: usize, bytes: usize) -> bool {
        let fits = self.held[form] + bytes + LAST <= self.room;
        self.held[form] += if fits { bytes } else { 0 };
        fits
    }

    /// All lines; if some were left out, the last one tells how many.
    #[must_use]
    pub fn end(mut self) -> Vec<u8> {
        let mut spare = self.room.saturating_sub(self.held[0] + LAST);
        for form in 0..2 {
            for line in &mut self.lines {
                let Some(longer) = line.longer[form].take() else { continue };
                let more = longer.len().saturating_sub(line.short.len());
                if more <= spare {
                    spare -= more;
                    line.short = longer;
                }
            }
        }
        let mut text: String = self.lines.into_iter().map(|line| line.short).collect();
        if self.left_out > 0 {
            text += &format!("{}\n", json!({ "left_out": self.left_out }));
        }
        text.into_bytes()
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

    /// What a log of that room holds of four answers, parsed.
    fn logged(room: usize, output: &str) -> Vec<serde_json::Value> {
        let mut log = Log::new(room);
        for id in ["a", "b", "c", "d"] {
            log.push(id, 1, &Verdict::wrong("\x1b[31mno"), output, 7);
        }
        let text = String::from_utf8(log.end()).unwrap();
        assert!(text.len() <= room && !text.contains('\x1b') && text.ends_with("}\n"), "{text}");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_log_that_is_short_of_room_drops_outputs_first_and_scores_last() {
        let output = "é\n".repeat(400);
        let count = |lines: &[serde_json::Value], field: &str| {
            lines.iter().filter(|line| line.get(field).is_some()).count()
        };
        let forms = |room| {
            let lines = logged(room, &output);
            ["pass", "why", "output", "left_out"].map(|field| count(&lines, field))
        };
        assert_eq!(forms(20_000), [4, 4, 4, 0]);
        assert_eq!(forms(2_000), [4, 4, 1, 0]);
        assert_eq!(forms(500), [4, 4, 0, 0]);
        assert_eq!(forms(320), [4, 2, 0, 0]);
        assert_eq!(forms(250), [4, 0, 0, 0]);
        assert_eq!(forms(150), [2, 0, 0, 1]);
        assert_eq!(logged(150, &output)[2]["left_out"], 2);
        let whole = &logged(20_000, &output)[0];
        assert_eq!(whole["output"].as_str().unwrap().chars().count(), SHOWN + 1);
        assert_eq!((&whole["pass"], &whole["score"]), (&false.into(), &0.0.into()));
    }

    #[test]
    fn a_log_holds_no_more_than_it_may_say() {
        let mut log = Log::new(4096);
        for _ in 0..10_000 {
            log.push("id", 1, &Verdict::of(Ok(())), &"x".repeat(500), 7);
        }
        assert!(log.held.iter().all(|held| *held <= 4096) && log.lines.len() < 100);
        assert!(log.end().len() <= 4096);
    }
}
