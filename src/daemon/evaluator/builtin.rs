//! The built-in suites: numeric functions, computed in the daemon. No code of an agent runs.

use super::{error::EvaluatorError, score};
use crate::domain::{
    evaluation::{Evaluation, FailureKind, Metric},
    genome::{Genome, Kind, Space},
    objective::Objective,
};
use crate::evolution::functions::Function;

/// A numeric function and what is asked of it.
#[derive(Debug)]
pub struct Builtin {
    function: &'static Function,
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
        let function = Function::named(name).ok_or_else(|| {
            let names: Vec<_> = Function::ALL.iter().map(|function| function.name).collect();
            wrong(format!(
                "there is no built-in function “{name}”; choose one of {}",
                names.join(", ")
            ))
        })?;
        let dimensions = dimensions as usize;
        let least = function.min_dimensions.max(1);
        if dimensions < least {
            return Err(wrong(format!(
                "{name} needs at least {least} dimensions; change suite.dimensions"
            )));
        }
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
        let score = self.function.at(&genome.params);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::genome::Param;

    fn space(count: usize) -> Space {
        let param = |i| Param {
            name: format!("x{i}"),
            kind: Kind::Real { min: -5.0, max: 5.0, log: false },
            init: None,
        };
        Space { params: (0..count).map(param).collect() }
    }

    fn builtin(name: &str, dimensions: u32) -> Result<Builtin, EvaluatorError> {
        let score = Objective::new("score", crate::domain::objective::Goal::Minimize);
        Builtin::new("test", name, dimensions, &space(3), vec![score])
    }

    #[test]
    fn a_function_scores_the_parameters() {
        let genome = Genome { params: Arc::new([1.0, 2.0, 3.0]), ..Genome::default() };
        let sphere = builtin("sphere", 3).unwrap();
        assert_eq!(sphere.evaluate(&genome).scores, Ok(vec![14.0]));
        let short = Genome { params: Arc::new([1.0]), ..Genome::default() };
        assert!(sphere.evaluate(&short).scores.is_err());
    }

    #[test]
    fn what_is_not_finite_is_a_failure() {
        let genome = Genome { params: Arc::new([f64::MAX, 1.0, 1.0]), ..Genome::default() };
        let failed = builtin("sphere", 3).unwrap().evaluate(&genome);
        assert!(failed.scores.unwrap_err().reason.contains("inf"));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_choices() {
        assert!(builtin("spheer", 3).unwrap_err().to_string().contains("rastrigin"));
        assert!(builtin("sphere", 2).unwrap_err().to_string().contains("3 parameters"));
        assert!(builtin("sphere", 0).is_err());
    }
}
