//! From what an evaluator reported to the scores that the suite asks for, or to why not.

use std::collections::BTreeMap;

use crate::domain::{
    evaluation::{Failure, FailureKind, Metric},
    objective::Objective,
};

/// The metric that stands for all others where an evaluator follows `OpenEvolve`.
pub const COMBINED: &str = "combined_score";

/// What is shown of a metric that is no number.
const SHOWN: usize = 60;

/// The scores of `objectives`, in their order. All must be there, finite, and pass their gates.
///
/// With `mean_over`, a missing `combined_score` is the mean of the numeric metrics that are
/// not named there: `OpenEvolve`'s rule.
///
/// # Errors
/// Names the first objective that has no usable score.
pub fn scores(
    objectives: &[Objective],
    metrics: &BTreeMap<String, Metric>,
    mean_over: Option<&[String]>,
) -> Result<Vec<f64>, Failure> {
    let mut found = Vec::with_capacity(objectives.len());
    for objective in objectives {
        found.push(match (metrics.get(&objective.name), mean_over) {
            (Some(metric), _) => number(&objective.name, metric)?,
            (None, Some(except)) if objective.name == COMBINED => mean(metrics, except)?,
            (None, _) => return Err(bad(missing(&objective.name, metrics))),
        });
    }
    gates(objectives, &found)?;
    Ok(found)
}

/// Whether `scores` pass all gates.
///
/// # Errors
/// Names the first gate that is missed.
pub fn gates(objectives: &[Objective], scores: &[f64]) -> Result<(), Failure> {
    for (objective, score) in objectives.iter().zip(scores) {
        if !objective.passes(*score) {
            let gate = objective.gate.unwrap_or_default();
            let reason = format!("“{}” is {score}, which misses its gate {gate}", objective.name);
            return Err(Failure { kind: FailureKind::GateMissed, reason });
        }
    }
    Ok(())
}

fn number(name: &str, metric: &Metric) -> Result<f64, Failure> {
    match metric {
        Metric::Number(number) if number.is_finite() => Ok(*number),
        Metric::Number(number) => Err(bad(format!("“{name}” is {number}, not a finite number"))),
        Metric::Flag(flag) => Err(bad(format!("“{name}” is {flag}, not a number"))),
        Metric::Text(text) => {
            let short: String = text.chars().take(SHOWN).collect();
            let more = if short.len() < text.len() { "…" } else { "" };
            Err(bad(format!("“{name}” is {}{more}, not a finite number", short.escape_debug())))
        }
    }
}

fn mean(metrics: &BTreeMap<String, Metric>, except: &[String]) -> Result<f64, Failure> {
    let (mut sum, mut count) = (0.0, 0.0);
    for (name, metric) in metrics.iter().filter(|(name, _)| !except.contains(name)) {
        match metric {
            Metric::Number(number) => {
                sum += number;
                count += 1.0;
            }
            // An infinite metric makes an infinite mean; NaN, flags and texts do not count.
            Metric::Text(text) if matches!(text.as_str(), "inf" | "-inf") => {
                return Err(bad(format!("“{name}” is {text}, so the mean is not a finite number")));
            }
            Metric::Flag(_) | Metric::Text(_) => {}
        }
    }
    let mean = sum / count;
    if count == 0.0 {
        return Err(bad(missing(COMBINED, metrics)));
    }
    if mean.is_finite() { Ok(mean) } else { Err(bad("the mean of the metrics overflows".into())) }
}

fn missing(name: &str, metrics: &BTreeMap<String, Metric>) -> String {
    if metrics.is_empty() {
        return format!("the evaluator reported no metrics, so “{name}” is missing");
    }
    let there: Vec<_> =
        metrics.keys().take(8).map(|name| name.escape_debug().to_string()).collect();
    format!("“{name}” is missing; the evaluator reported {}", there.join(", "))
}

fn bad(reason: String) -> Failure {
    Failure { kind: FailureKind::BadMetrics, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::objective::Goal;

    fn metrics(list: &[(&str, Metric)]) -> BTreeMap<String, Metric> {
        list.iter().map(|(name, metric)| ((*name).to_owned(), metric.clone())).collect()
    }

    fn combined() -> Vec<Objective> {
        vec![Objective::new(COMBINED, Goal::Maximize)]
    }

    #[test]
    fn the_combined_score_counts_and_else_the_mean_of_the_numbers() {
        let both = metrics(&[(COMBINED, Metric::Number(2.0)), ("x", Metric::Number(9.0))]);
        assert_eq!(scores(&combined(), &both, Some(&[])), Ok(vec![2.0]));
        let mixed = metrics(&[
            ("a", Metric::Number(1.0)),
            ("b", Metric::Number(2.0)),
            ("complexity", Metric::Number(100.0)),
            ("flag", Metric::Flag(true)),
            ("nan", Metric::Text("nan".into())),
            ("word", Metric::Text("fine".into())),
        ]);
        let except = ["complexity".to_owned()];
        assert_eq!(scores(&combined(), &mixed, Some(&except)), Ok(vec![1.5]));
        assert!(scores(&combined(), &mixed, None).is_err());
    }

    #[test]
    fn whatever_is_no_finite_number_is_a_failure_with_a_reason() {
        for (metric, said) in [
            (Metric::Number(f64::NAN), "NaN"),
            (Metric::Text("inf".into()), "inf"),
            (Metric::Flag(true), "true"),
            (Metric::Text("{\"a\": 1}".into()), "a"),
        ] {
            let failure =
                scores(&combined(), &metrics(&[(COMBINED, metric)]), Some(&[])).unwrap_err();
            assert_eq!(failure.kind, FailureKind::BadMetrics);
            assert!(failure.reason.contains(said), "{}", failure.reason);
        }
        for nothing in [metrics(&[]), metrics(&[("ok", Metric::Flag(true))])] {
            assert!(scores(&combined(), &nothing, Some(&[])).is_err());
        }
        let infinite = metrics(&[("a", Metric::Text("-inf".into())), ("b", Metric::Number(1.0))]);
        assert!(scores(&combined(), &infinite, Some(&[])).is_err());
    }

    #[test]
    fn a_missed_gate_is_named() {
        let mut gated = combined();
        gated[0].gate = Some(3.0);
        let low = metrics(&[(COMBINED, Metric::Number(2.0))]);
        let failure = scores(&gated, &low, None).unwrap_err();
        assert_eq!(failure.kind, FailureKind::GateMissed);
        assert!(failure.reason.contains(COMBINED) && failure.reason.contains('3'));
    }
}
