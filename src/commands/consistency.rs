//! Scores that differ although genome, suite and seed do not: what the user is told.

use crate::{
    domain::repeats::{INCONSISTENT, SEED_SPREAD},
    link::client::Link,
    wire::v1::{Evaluation, JournalRequest, event::Event, metric::Value},
};

use super::text::{plain, score};

/// That an evaluation is inconsistent, and how far apart its scores lie; `None` if it is not.
pub fn words(evaluation: &Evaluation) -> Option<String> {
    let metrics = &evaluation.metrics;
    let flagged = |name: &str, value: &Option<Value>| {
        name == INCONSISTENT && matches!(value, Some(Value::Flag(true)))
    };
    metrics.iter().find(|it| flagged(&it.name, &it.value))?;
    let spread =
        metrics.iter().filter_map(|it| match (it.name.strip_suffix(SEED_SPREAD), &it.value) {
            (Some(name), Some(Value::Number(spread))) => {
                Some(format!("; {} by a standard deviation of {}", plain(name), score(*spread)))
            }
            _ => None,
        });
    let spread: String = spread.collect();
    Some(format!(
        "inconsistent: evaluated again by the same suite with the same seed, it gave something else{spread}"
    ))
}

/// The same of what is recorded of an agent: its last evaluation that is flagged.
pub async fn recorded(link: &Link, agent: String) -> Option<String> {
    let request = JournalRequest { of: agent, limit: 100, ..JournalRequest::default() };
    let answer = link.journals().read(request).await.ok()?.into_inner();
    let events = answer.entries.into_iter().flat_map(|entry| entry.events);
    let evaluations = events.filter_map(|event| match event.event {
        Some(Event::Evaluated(evaluated)) => evaluated.evaluation,
        _ => None,
    });
    evaluations.filter_map(|evaluation| words(&evaluation)).last()
}
