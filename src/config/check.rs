//! The rules that a run specification must keep, beyond its types.

use std::sync::Arc;

use super::error::SpecError;
use crate::{
    domain::{
        genome::{Genome, Space},
        spec::RunSpec,
        suite::{Bundle, Method, Suite},
    },
    evolution::{engine::Engine, error::EngineError, setup::Setup},
};

/// Whether no file of the agent holds the answers that its suite keeps from it.
///
/// # Errors
/// Names the file.
pub fn hides(suite: &Suite, agent: &Bundle, files: &Bundle) -> Result<(), SpecError> {
    let Method::Cases(cases) = &suite.method else { return Ok(()) };
    for name in cases.files() {
        let answers = files.iter().find(|(path, _)| path.as_str() == name);
        let open = answers
            .and_then(|(_, answers)| agent.iter().find(|(_, own)| own.bytes == answers.bytes));
        if let Some((own, _)) = open {
            let what = format!(
                "“{own}” is the file of cases “{name}”, whose answers the agent must not have; \
                 leave it out"
            );
            return Err(SpecError::new("agent.files", what));
        }
    }
    Ok(())
}

/// Whether an engine can be made for the run: all values in their bounds, something to vary,
/// each operator with something to work on.
///
/// # Errors
/// Names the field and what is wrong with it or missing.
pub fn fits(spec: &RunSpec, space: Space, files: &Bundle) -> Result<(), SpecError> {
    let wrong = |place: &str, what: &str| Err(SpecError::new(place, what));
    if space.params.is_empty() && files.is_empty() {
        let what = "there is nothing to evolve: name files under agent.files, or parameters \
                    under [params]";
        return wrong("agent.files", what);
    }
    if spec.stop.window.is_some() && spec.stop.tau.is_none() {
        return wrong("stop.window", "is the window of tau: give tau too, or leave it out");
    }
    if spec.stop.time.is_some_and(|time| !(time > 0.0 && time.is_finite())) {
        return wrong("stop.time", "give seconds, above 0");
    }
    if let Some(program) = spec.suite.method.program()
        && !files.keys().any(|path| path.as_str() == program)
    {
        let what = format!("there is no file “{program}” among the agent's files");
        return wrong("suite.program", &what);
    }
    let setup = Setup {
        search: spec.search.clone(),
        stop: spec.stop.clone(),
        objectives: spec.suite.objectives(),
        space: Arc::new(space),
        seed: spec.seed.unwrap_or_default(),
        initial: Genome { files: Arc::new(files.clone()), ..Genome::default() },
    };
    Engine::new(setup).map(drop).map_err(|error| match error {
        EngineError::Spec { field, problem } => SpecError::new(field, problem),
        other => SpecError::new("search", other.to_string()),
    })
}
