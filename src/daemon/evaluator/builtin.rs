//! The built-in suites: numeric functions, computed in the daemon. No code of an agent runs.

use super::{error::EvaluatorError, score};
use crate::domain::{
    evaluation::{Evaluation, FailureKind, Metric},
    genome::{Genome, Kind, Space},
    objective::Objective,
};

/// A numeric function and what is asked of it.
#[derive(Debug)]
pub struct Builtin {
    function: fn(&[f64]) -> f64,
    dimensions: usize,
    objectives: Vec<Objective>,
}

impl Builtin {
    /// The function of that name, for genomes of `space`.
    ///
    /// # Errors
    /// If there is no such function, or the space does not fit it.
    pub fn new(
        suite: &str,
        name: &str,
        dimensions: u32,
        space: &Space,
        objectives: Vec<Objective>,
    ) -> Result<Self, EvaluatorError> {
        let wrong = |reason| EvaluatorError::Suite { suite: suite.to_owned(), reason };
        let function =
            named(name).ok_or_else(|| wrong(format!("there is no built-in function “{name}”")))?;
        let dimensions = dimensions as usize;
        let real = space.params.iter().all(|param| !matches!(param.kind, Kind::Categorical { .. }));
        if space.params.len() != dimensions || !real {
            return Err(wrong(format!(
                "{name} takes {dimensions} numeric parameters, and the spec has {} parameters{}; \
                 change suite.dimensions or [params]",
                space.params.len(),
                if real { "" } else { ", not all numeric" },
            )));
        }
        if let Some(other) = objectives.iter().find(|objective| objective.name != "score") {
            return Err(wrong(format!(
                "a built-in function measures “score” only; remove the objective “{}”",
                other.name
            )));
        }
        Ok(Self { function, dimensions, objectives })
    }

    /// The function's value at the genome's parameters.
    #[must_use]
    pub fn evaluate(&self, genome: &Genome) -> Evaluation {
        if genome.params.len() != self.dimensions {
            return Evaluation::failed(
                FailureKind::BadMetrics,
                format!("{} parameters, expected {}", genome.params.len(), self.dimensions),
            );
        }
        let score = (self.function)(&genome.params);
        if !score.is_finite() {
            let mut failed = Evaluation::failed(
                FailureKind::BadMetrics,
                format!("“score” is {score}, not a finite number"),
            );
            failed.metrics.insert("score".to_owned(), Metric::Text(score.to_string()));
            return failed;
        }
        let scores = vec![score; self.objectives.len()];
        match score::gates(&self.objectives, &scores) {
            Ok(()) => Evaluation::of(scores),
            Err(missed) => Evaluation::failed(missed.kind, missed.reason),
        }
    }
}

fn named(name: &str) -> Option<fn(&[f64]) -> f64> {
    (name == "sphere").then_some(|point: &[f64]| point.iter().map(|x| x * x).sum())
}
