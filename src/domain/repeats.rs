//! What several evaluations of one agent come to.

use super::{
    evaluation::{Evaluation, Failure, FailureKind, Metric, Usage},
    objective::Objective,
};

/// The metric that tells how many evaluations were put together.
pub const REPEATS: &str = "repeats";
/// The metric that tells that the same seed gave different scores, or a failure once only.
pub const INCONSISTENT: &str = "inconsistent";
/// What ends the name of the metric that tells how far apart those of an objective lie: their
/// sample standard deviation; of several such seeds, the largest.
pub const SEED_SPREAD: &str = ".seed_sd";

/// The most evaluations that may be asked for of one agent. Even if all but one fail and are
/// tried again, an entry of its journal holds them.
pub const MOST: u32 = 500;

/// An evaluation and the seed that it was given.
pub type Seeded = (u64, Evaluation);

/// The evaluations that count: of several with the same seed the last.
pub fn counting(runs: &[Seeded]) -> impl Iterator<Item = &Seeded> {
    let last = |at: usize| runs[at + 1..].iter().all(|(seed, _)| *seed != runs[at].0);
    (0..runs.len()).filter(move |at| last(*at)).map(|at| &runs[at])
}

/// Whether evaluations with `seed` differ in their scores, or in that they have some.
#[must_use]
pub fn differ(runs: &[Seeded], seed: u64) -> bool {
    let mut same = runs.iter().filter(|run| run.0 == seed).map(|(_, run)| run.scores.as_ref().ok());
    same.next().is_some_and(|first| same.any(|other| other != first))
}

/// The evaluations of one agent, each with its seed, as one: scores and numeric metrics are their
/// means, `NAME.sd` is the sample standard deviation of an objective. Of several with the same
/// seed the last counts; one that counts and failed fails the whole.
///
/// One evaluation alone is what it is. Empty `runs` give a failure.
#[must_use]
pub fn together(objectives: &[Objective], runs: &[Seeded]) -> Evaluation {
    if let [(_, only)] = runs {
        return only.clone();
    }
    let counting: Vec<_> = counting(runs).map(|(_, run)| run).collect();
    let Some(first) = counting.first() else {
        return Evaluation::failed(FailureKind::Crashed, "it was not evaluated");
    };
    let mut whole = (*first).clone();
    whole.cached = counting.iter().all(|run| run.cached);
    whole.usage = Usage {
        wall_us: runs.iter().map(|(_, run)| run.usage.wall_us).sum(),
        cpu_us: runs.iter().map(|(_, run)| run.usage.cpu_us).sum(),
        max_rss: runs.iter().map(|(_, run)| run.usage.max_rss).max().unwrap_or_default(),
    };
    for (name, metric) in &mut whole.metrics {
        let numbers = counting.iter().map(|run| match run.metrics.get(name) {
            Some(Metric::Number(number)) => Some(*number),
            _ => None,
        });
        if let Some(numbers) = numbers.collect::<Option<Vec<f64>>>() {
            *metric = Metric::Number(mean(&numbers));
        }
    }
    whole.scores = scores(objectives, &counting);
    if whole.scores.is_ok() {
        for (at, objective) in objectives.iter().enumerate() {
            let spread = deviation(&measured(at, counting.iter().copied()));
            whole.metrics.insert(format!("{}.sd", objective.name), Metric::Number(spread));
        }
    }
    whole.metrics.insert(REPEATS.to_owned(), Metric::Number(counting.len() as f64));
    flag(objectives, runs, &mut whole);
    whole
}

/// Flags `evaluation` if any of `runs` with the same seed differ, and tells how far.
pub fn flag(objectives: &[Objective], runs: &[Seeded], evaluation: &mut Evaluation) {
    let differing: Vec<u64> =
        counting(runs).map(|(seed, _)| *seed).filter(|seed| differ(runs, *seed)).collect();
    if differing.is_empty() {
        return;
    }
    evaluation.metrics.insert(INCONSISTENT.to_owned(), Metric::Flag(true));
    for (at, objective) in objectives.iter().enumerate() {
        let spread = |seed: &u64| {
            let same = runs.iter().filter(|run| run.0 == *seed).map(|(_, run)| run);
            deviation(&measured(at, same))
        };
        let largest = differing.iter().map(spread).fold(0.0, f64::max);
        let name = format!("{}{SEED_SPREAD}", objective.name);
        evaluation.metrics.insert(name, Metric::Number(largest));
    }
}

/// The scores on the objective at that place, of those that have some.
fn measured<'a>(at: usize, runs: impl Iterator<Item = &'a Evaluation>) -> Vec<f64> {
    runs.filter_map(|run| run.scores.as_ref().ok()?.get(at).copied()).collect()
}

fn scores(objectives: &[Objective], runs: &[&Evaluation]) -> Result<Vec<f64>, Failure> {
    let mut all = Vec::with_capacity(runs.len());
    for run in runs {
        match &run.scores {
            Ok(scores) => all.push(scores),
            Err(Failure { kind, reason }) => {
                let failed = runs.iter().filter(|run| run.scores.is_err()).count();
                let reason = format!("{failed} of {} evaluations failed: {reason}", runs.len());
                return Err(Failure { kind: *kind, reason });
            }
        }
    }
    let of =
        |at: usize| all.iter().filter_map(|scores| scores.get(at).copied()).collect::<Vec<_>>();
    let means: Vec<f64> = (0..objectives.len()).map(|at| mean(&of(at))).collect();
    for (objective, mean) in objectives.iter().zip(&means) {
        if !objective.passes(*mean) {
            let reason =
                format!("“{}” is {mean} on average, which misses its gate", objective.name);
            return Err(Failure { kind: FailureKind::GateMissed, reason });
        }
    }
    Ok(means)
}

/// The mean; halves of a huge sum do not overflow, and equal numbers are their own mean.
fn mean(numbers: &[f64]) -> f64 {
    let Some((first, rest)) = numbers.split_first() else { return 0.0 };
    // Welford (1962): exact where all are equal.
    let step = |(count, mean): (f64, f64), number: &f64| {
        (count + 1.0, mean + (number / (count + 1.0) - mean / (count + 1.0)))
    };
    rest.iter().fold((1.0, *first), step).1
}

/// The sample standard deviation; 0 of a single number.
fn deviation(numbers: &[f64]) -> f64 {
    let center = mean(numbers);
    let largest = numbers.iter().map(|number| (number - center).abs()).fold(0.0, f64::max);
    if largest == 0.0 || !largest.is_finite() || numbers.len() < 2 {
        return 0.0;
    }
    let squares: f64 = numbers.iter().map(|number| ((number - center) / largest).powi(2)).sum();
    largest * (squares / (numbers.len() - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::objective::Goal;

    fn objectives() -> Vec<Objective> {
        vec![Objective::new("score", Goal::Maximize)]
    }

    fn scored(score: f64) -> Evaluation {
        let mut one = Evaluation::of(vec![score]);
        one.metrics.insert("score".to_owned(), Metric::Number(score));
        one.usage.wall_us = 10;
        one
    }

    #[test]
    fn one_evaluation_is_what_it_is() {
        assert_eq!(together(&objectives(), &[(1, scored(0.1))]), scored(0.1));
        assert!(together(&objectives(), &[]).scores.is_err());
    }

    #[test]
    fn several_are_their_mean_and_their_spread_is_told() {
        let whole =
            together(&objectives(), &[(1, scored(1.0)), (2, scored(2.0)), (3, scored(6.0))]);
        assert_eq!(whole.scores, Ok(vec![3.0]));
        assert_eq!(whole.metrics["score"], Metric::Number(3.0));
        assert_eq!(whole.metrics[REPEATS], Metric::Number(3.0));
        assert_eq!(whole.usage.wall_us, 30);
        let Metric::Number(spread) = whole.metrics["score.sd"] else { panic!("{whole:?}") };
        assert!((spread - 7f64.sqrt()).abs() < 1e-12);
        assert!(!whole.metrics.contains_key(INCONSISTENT));
    }

    #[test]
    fn equal_scores_stay_the_same_to_the_last_bit() {
        for score in [0.1, 1e308, -3.3e-300] {
            let runs: Vec<_> = (0..7).map(|seed| (seed, scored(score))).collect();
            let whole = together(&objectives(), &runs);
            assert_eq!(whole.scores, Ok(vec![score]));
            assert_eq!(whole.metrics["score.sd"], Metric::Number(0.0));
        }
    }

    #[test]
    fn a_failure_that_does_not_come_again_is_flagged_and_one_that_does_fails_all() {
        let failed = Evaluation::failed(FailureKind::Crashed, "boom");
        let mut runs = vec![(1, scored(1.0)), (2, failed.clone()), (2, scored(3.0))];
        let whole = together(&objectives(), &runs);
        assert_eq!(whole.scores, Ok(vec![2.0]));
        assert_eq!(whole.metrics[INCONSISTENT], Metric::Flag(true));
        runs[2].1 = failed;
        let whole = together(&objectives(), &runs);
        assert_eq!(whole.scores.unwrap_err().reason, "1 of 2 evaluations failed: boom");
        assert!(!whole.metrics.contains_key(INCONSISTENT), "it fails whenever it is tried");
    }

    #[test]
    fn one_seed_that_gives_two_scores_is_flagged_with_their_spread() {
        let mut runs = vec![(1, scored(1.0)), (2, scored(9.0)), (1, scored(1.0))];
        assert!(!differ(&runs, 1));
        assert!(!together(&objectives(), &runs).metrics.contains_key(INCONSISTENT));
        runs.extend([(1, scored(4.0)), (1, scored(2.0))]);
        assert!(differ(&runs, 1) && !differ(&runs, 2));
        let whole = together(&objectives(), &runs);
        assert_eq!(whole.scores, Ok(vec![5.5]), "the last of each seed counts");
        assert_eq!(whole.metrics[INCONSISTENT], Metric::Flag(true));
        // Of 1, 1, 4 and 2.
        assert_eq!(whole.metrics["score.seed_sd"], Metric::Number(2f64.sqrt()));
        assert_eq!(whole.metrics[REPEATS], Metric::Number(2.0));
    }

    #[test]
    fn a_mean_must_pass_the_gate() {
        let mut gated = objectives();
        gated[0].gate = Some(2.5);
        let whole = together(&gated, &[(1, scored(1.0)), (2, scored(3.0))]);
        assert_eq!(whole.scores.unwrap_err().kind, FailureKind::GateMissed);
    }
}
