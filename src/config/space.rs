//! The parameters of a run: `count` expanded, initial values checked, and those that a
//! builtin function implies.

use std::collections::BTreeMap;

use toml::Value;

use super::{error::SpecError, suite::MAX_PARAMS};
use crate::{
    domain::{
        genome::{Kind, Param, Space},
        spec::{ParamSpec, RunSpec},
        suite::{Method, Suite},
    },
    evolution::functions::Function,
};

/// Whole numbers beyond this are not exact as `f64`.
const EXACT: i64 = 1 << 53;

/// The parameters that every genome of the run has.
///
/// # Errors
/// Names the parameter and what to do.
pub fn space(spec: &RunSpec) -> Result<Space, SpecError> {
    let mut params = Vec::new();
    for (name, param) in &spec.params {
        let place = format!("params.{name}");
        expand(name, param, &mut params).map_err(|what| SpecError::new(place, what))?;
    }
    if let Method::Builtin { function, dimensions } = &spec.suite.method {
        builtin(&spec.suite, function, *dimensions, &mut params)?;
    }
    let mut names: Vec<_> = params.iter().map(|param| param.name.as_str()).collect();
    names.sort_unstable();
    if let Some([name, _]) = names.array_windows().find(|[one, next]| one == next) {
        let what = format!("the name “{name}” is made twice; rename one");
        return Err(SpecError::new("params", what));
    }
    Ok(Space { params })
}

fn expand(name: &str, spec: &ParamSpec, params: &mut Vec<Param>) -> Result<(), String> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 128 || !name.chars().all(plain) {
        return Err("a name has 1 to 128 letters, digits, _, - or .".to_owned());
    }
    bounds(&spec.kind)?;
    let count = spec.count.map(|count| count as usize);
    if count == Some(0) || params.len() + count.unwrap_or(1) > MAX_PARAMS {
        return Err(format!("count: give 1 to {MAX_PARAMS}, over all parameters"));
    }
    let init = |at: usize| match (&spec.init, count) {
        (None, _) => Ok(None),
        (Some(Value::Array(values)), Some(count)) if values.len() == count => {
            value(&spec.kind, &values[at]).map(Some)
        }
        (Some(Value::Array(values)), _) => Err(format!(
            "init: holds {} values for {} parameters",
            values.len(),
            count.unwrap_or(1)
        )),
        (Some(one), _) => value(&spec.kind, one).map(Some),
    };
    for at in 0..count.unwrap_or(1) {
        let name = if count.is_some() { format!("{name}{at}") } else { name.to_owned() };
        params.push(Param { name, kind: spec.kind.clone(), init: init(at)? });
    }
    Ok(())
}

fn bounds(kind: &Kind) -> Result<(), String> {
    match kind {
        Kind::Real { min, max, log } => {
            if !(min.is_finite() && max.is_finite() && min < max && (max - min).is_finite()) {
                return Err(format!("min {min} and max {max}: give finite bounds, min below max"));
            }
            positive(*log, *min > 0.0)
        }
        Kind::Integer { min, max, log } => {
            if !(-EXACT <= *min && min < max && *max <= EXACT) {
                return Err(format!(
                    "min {min} and max {max}: give bounds within ±2⁵³, min below max"
                ));
            }
            positive(*log, *min > 0)
        }
        Kind::Categorical { choices } => {
            let unique: std::collections::BTreeSet<_> = choices.iter().collect();
            if choices.is_empty() || choices.len() > 10_000 || unique.len() < choices.len() {
                return Err("choices: give 1 to 10000 names, no two alike".to_owned());
            }
            Ok(())
        }
    }
}

fn positive(log: bool, positive: bool) -> Result<(), String> {
    if log && !positive { Err("log: needs a min above 0".to_owned()) } else { Ok(()) }
}

/// `value` as a genome holds it.
fn value(kind: &Kind, value: &Value) -> Result<f64, String> {
    #[expect(clippy::cast_precision_loss, reason = "bounds lie within ±2⁵³")]
    let number = match (kind, value) {
        (Kind::Categorical { choices }, Value::String(name)) => {
            choices.iter().position(|choice| choice == name).map(|at| at as f64)
        }
        (Kind::Real { .. }, Value::Float(number)) => Some(*number),
        (Kind::Real { .. } | Kind::Integer { .. }, Value::Integer(number)) => Some(*number as f64),
        _ => None,
    };
    number.filter(|number| kind.holds(*number)).ok_or_else(|| {
        format!("init: {value} is not a value of this parameter; keep to its bounds")
    })
}

/// A builtin function takes real parameters: those that are given, else some of its own.
fn builtin(
    suite: &Suite,
    name: &str,
    dimensions: u32,
    params: &mut Vec<Param>,
) -> Result<(), SpecError> {
    let function = Function::named(name).ok_or_else(|| {
        let known: Vec<_> = Function::ALL.iter().map(|function| function.name).collect();
        let hint = super::text::hint(name, &known);
        SpecError::new("suite.function", format!("there is no function “{name}”; {hint}"))
    })?;
    let wanted = dimensions as usize;
    if wanted < function.min_dimensions {
        let what = format!("“{name}” takes at least {}", function.min_dimensions);
        return Err(SpecError::new("suite.dimensions", what));
    }
    if params.is_empty() {
        let (min, max) = function.bounds;
        let kind = Kind::Real { min, max, log: false };
        *params = (0..wanted)
            .map(|at| Param { name: format!("x{at}"), kind: kind.clone(), init: None })
            .collect();
    }
    if params.len() != wanted {
        let what = format!(
            "suite “{}” takes {wanted} parameters and there are {}; make suite.dimensions equal, \
             or leave [params] out",
            suite.name,
            params.len()
        );
        return Err(SpecError::new("params", what));
    }
    match params.iter().find(|param| !matches!(param.kind, Kind::Real { .. })) {
        None => Ok(()),
        Some(param) => Err(SpecError::new(
            format!("params.{}", param.name),
            "a builtin function takes real parameters only; give type = \"real\"",
        )),
    }
}

/// Reads the table `params`.
pub(super) fn params(table: toml::Table) -> Result<BTreeMap<String, ParamSpec>, SpecError> {
    let mut params = BTreeMap::new();
    for (name, value) in table {
        let place = format!("params.{name}");
        let param = super::table::as_table(value, &place)?;
        let own: &[&str] = match param.get("type").and_then(Value::as_str) {
            Some("real" | "integer") => &["min", "max", "log"],
            Some("categorical") => &["choices"],
            _ => {
                let what = "give “real”, “integer” or “categorical”";
                return Err(SpecError::new(format!("{place}.type"), what));
            }
        };
        super::table::known(&param, &place, &[&["type", "init", "count"], own].concat())?;
        params.insert(name, super::table::typed(&param, &place)?);
    }
    Ok(params)
}
