//! The rules that a run specification must keep, beyond its types.

use super::error::SpecError;
use crate::domain::{
    genome::{Kind, Space},
    spec::{Operator, RunSpec, Search, Selection, Stop},
    suite::{Bundle, Method},
};

/// The marker that opens a region which evolution may change.
const MARKER: &[u8] = b"EVOLVE-BLOCK-START";

/// The largest population.
const MAX_POPULATION: u32 = 100_000;

fn wrong<T>(place: &str, what: impl Into<String>) -> Result<T, SpecError> {
    Err(SpecError::new(place, what))
}

fn within(place: &str, value: f64, fine: bool, bounds: &str) -> Result<(), SpecError> {
    if fine && value.is_finite() {
        Ok(())
    } else {
        wrong(place, format!("{value} is out of bounds; give {bounds}"))
    }
}

/// Whether the values of `search` are in their bounds.
///
/// # Errors
/// Names the field and its bounds.
pub fn search(search: &Search) -> Result<(), SpecError> {
    let Search { population, elitism, selection, operators, mode: _ } = search;
    if !(2..=MAX_POPULATION).contains(population) {
        let what = format!("{population} is out of bounds; give 2 to {MAX_POPULATION}");
        return wrong("search.population", what);
    }
    within("search.elitism", *elitism, (0.0..1.0).contains(elitism), "0 up to, not including, 1")?;
    match selection {
        Selection::Tournament { size } if !(1..=*population).contains(size) => {
            return wrong("search.selection.size", "give 1 up to the population's size");
        }
        Selection::Rank { pressure } => {
            let fine = (1.0..=2.0).contains(pressure);
            within("search.selection.pressure", *pressure, fine, "1 to 2")?;
        }
        Selection::Tournament { .. } | Selection::Roulette => {}
    }
    if operators.len() > 64 {
        return wrong("search.operators", "give at most 64");
    }
    for (at, spec) in operators.iter().enumerate() {
        let place = |name: &str| format!("search.operators[{at}].{name}");
        within(&place("weight"), spec.weight, spec.weight >= 0.0, "a number of at least 0")?;
        operator(&spec.operator, &place)?;
        let de = matches!(spec.operator, Operator::DifferentialEvolution { .. });
        if de && *population < 4 {
            return wrong("search.population", "differential-evolution needs at least 4");
        }
    }
    if !operators.is_empty() && operators.iter().all(|spec| spec.weight == 0.0) {
        return wrong("search.operators", "all have weight 0; give one a weight above 0");
    }
    Ok(())
}

fn operator(operator: &Operator, place: &dyn Fn(&str) -> String) -> Result<(), SpecError> {
    let chance = |name: &str, value: Option<f64>| {
        let value = value.unwrap_or(1.0);
        within(&place(name), value, value > 0.0 && value <= 1.0, "above 0, up to 1")
    };
    let above = |name: &str, value: f64, max: f64| {
        let bounds = format!("above 0, up to {max}");
        within(&place(name), value, value > 0.0 && value <= max, &bounds)
    };
    match operator {
        Operator::Gaussian { sigma, rate } => {
            above("sigma", *sigma, 10.0)?;
            chance("rate", *rate)
        }
        Operator::Polynomial { eta, rate } => {
            above("eta", *eta, 1e4)?;
            chance("rate", *rate)
        }
        Operator::DifferentialEvolution { f, cr, .. } => {
            above("f", f.unwrap_or(1.0), 2.0)?;
            within(&place("cr"), *cr, (0.0..=1.0).contains(cr), "0 to 1")
        }
        Operator::ConstantTweak { sigma } => above("sigma", *sigma, 10.0),
        Operator::OnePoint | Operator::TwoPoint | Operator::Uniform | Operator::PromptSplice => {
            Ok(())
        }
    }
}

/// Whether the values of `stop` are in their bounds.
///
/// # Errors
/// Names the field and its bounds.
pub fn stop(stop: &Stop) -> Result<(), SpecError> {
    let Stop { generations: _, evaluations, time, target, tau, window } = stop;
    if *evaluations == Some(0) {
        return wrong("stop.evaluations", "give at least 1");
    }
    if let Some(time) = time {
        within("stop.time", *time, *time > 0.0, "seconds above 0")?;
    }
    if let Some(target) = target {
        within("stop.target", *target, true, "a finite number")?;
    }
    if let Some(tau) = tau {
        within("stop.tau", *tau, *tau >= 0.0, "a number of at least 0")?;
    }
    match (window, tau) {
        (Some(0), _) => wrong("stop.window", "give at least 1 generation"),
        (Some(_), None) => {
            wrong("stop.window", "is the window of tau: give tau too, or leave it out")
        }
        _ => Ok(()),
    }
}

/// Whether there is something to vary, and each operator has something to work on.
///
/// # Errors
/// Names the field and what is missing.
pub fn fits(spec: &RunSpec, space: &Space, files: &Bundle) -> Result<(), SpecError> {
    if space.params.is_empty() && files.is_empty() {
        let what = "there is nothing to evolve: name files under agent.files, or parameters \
                    under [params]";
        return wrong("agent.files", what);
    }
    let marked =
        files.values().any(|file| file.bytes.windows(MARKER.len()).any(|window| window == MARKER));
    for (at, operator) in spec.search.operators.iter().enumerate() {
        let place = format!("search.operators[{at}].name");
        match operator.operator {
            Operator::Gaussian { .. }
            | Operator::Polynomial { .. }
            | Operator::DifferentialEvolution { .. }
                if space.params.is_empty() =>
            {
                return wrong(&place, "varies parameters and there are none; add [params]");
            }
            Operator::DifferentialEvolution { .. }
                if space
                    .params
                    .iter()
                    .all(|param| matches!(param.kind, Kind::Categorical { .. })) =>
            {
                return wrong(&place, "varies numbers and all parameters are categorical");
            }
            Operator::ConstantTweak { .. } if !marked => {
                return wrong(
                    &place,
                    "no file of the agent has an EVOLVE-BLOCK-START … EVOLVE-BLOCK-END region; \
                     put these markers, in comments, around what may change",
                );
            }
            Operator::PromptSplice if files.is_empty() => {
                return wrong(
                    &place,
                    "works on text files and there are none; name some under agent.files",
                );
            }
            _ => {}
        }
    }
    if let Method::Python { program: Some(program), .. } = &spec.suite.method
        && !files.keys().any(|path| path.as_str() == program)
    {
        let what = format!("there is no file “{program}” among the agent's files");
        return wrong("suite.program", what);
    }
    Ok(())
}
