//! The wire's messages as JSON: the format that `--json` speaks. Ids are texts, times are
//! milliseconds since the Unix epoch, what is missing is null.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Map, Value, json};

use crate::{
    link::switch::Report,
    wire::v1::{
        Agent, Check, Evaluation, File, Genome, JournalEntry, Metric, Param, Progress, Run,
        Session, StatusResponse, VerifyResponse, event, metric, param,
    },
};

use super::text::id;

/// A run.
pub fn run(run: &Run) -> Value {
    json!({
        "id": id(&run.id),
        "name": run.name,
        "session": id(&run.session_id),
        "state": run.state,
        "reason": run.reason,
        "waiting": run.waiting,
        "generation": run.generation,
        "agents": run.agents,
        "failed": run.failed,
        "best": run.best,
        "best_agent": some_id(&run.best_agent),
        "objective": run.objective,
        "goal": if run.maximize { "maximize" } else { "minimize" },
        "seed": run.seed,
        "started_ms": run.started_ms,
        "elapsed_ms": run.elapsed_ms,
        "origin": some_id(&run.origin),
        "origin_generation": (!run.origin.is_empty()).then_some(run.origin_generation),
    })
}

/// How a run stands.
pub fn progress(progress: &Progress) -> Value {
    let mut fields = progress.run.as_ref().map_or_else(|| json!({}), run);
    fields["rate"] = json!(progress.rate);
    fields
}

/// An agent.
pub fn agent(agent: &Agent) -> Value {
    json!({
        "id": id(&agent.id),
        "run": some_id(&agent.run_id),
        "generation": agent.generation,
        "slot": agent.slot,
        "parents": agent.parents.iter().map(|parent| id(parent)).collect::<Vec<_>>(),
        "operators": agent.operators,
        "verdict": agent.verdict,
        "score": agent.score,
        "delta": agent.delta,
        "head": agent.head,
        "genome_digest": some_text(&agent.genome),
    })
}

/// What an agent is made of, without its files' content.
pub fn genome(genome: &Genome) -> Value {
    json!({
        "files": genome.files.iter().map(file).collect::<Vec<_>>(),
        "params": params(&genome.params),
        "model": some_text(&genome.model),
        "template": some_text(&genome.template),
    })
}

fn file(file: &File) -> Value {
    json!({"path": file.path, "size": file.content.len(), "executable": file.executable})
}

/// Parameters by name, as a program finds them in `params.json`.
pub fn params(params: &[Param]) -> Value {
    let value = |param: &Param| match &param.value {
        Some(param::Value::Real(real)) => json!(real),
        Some(param::Value::Integer(integer)) => json!(integer),
        Some(param::Value::Category(name)) => json!(name),
        None => Value::Null,
    };
    Value::Object(params.iter().map(|param| (param.name.clone(), value(param))).collect())
}

/// Bytes: as a text where they are one in UTF-8, else `{"base64": …}`, so that none is lost.
pub fn content(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!({"base64": BASE64.encode(bytes)}),
    }
}

/// The result of an evaluation; its scores by the names of `objectives`.
pub fn evaluation(evaluation: &Evaluation, objectives: &[String]) -> Value {
    let scores: Map<_, _> = objectives
        .iter()
        .zip(&evaluation.scores)
        .map(|(name, score)| (name.clone(), json!(score)))
        .collect();
    let artifact = |file: &File| (file.path.clone(), content(&file.content));
    json!({
        "scores": scores,
        "fitness": evaluation.fitness,
        "failure": some_text(&evaluation.failure),
        "reason": some_text(&evaluation.reason),
        "metrics": evaluation.metrics.iter().map(metric).collect::<Map<_, _>>(),
        "artifacts": evaluation.artifacts.iter().map(artifact).collect::<Map<_, _>>(),
        "wall_us": evaluation.wall_us,
        "cpu_us": evaluation.cpu_us,
        "max_rss": evaluation.max_rss,
        "isolation": evaluation.isolation,
        "layers": evaluation.layers,
        "in_process": evaluation.in_process,
        "cached": evaluation.cached,
    })
}

fn metric(metric: &Metric) -> (String, Value) {
    let value = match &metric.value {
        Some(metric::Value::Number(number)) => json!(number),
        Some(metric::Value::Flag(flag)) => json!(flag),
        Some(metric::Value::Text(text)) => json!(text),
        None => Value::Null,
    };
    (metric.name.clone(), value)
}

/// An entry of a journal.
pub fn entry(entry: &JournalEntry) -> Value {
    let events = entry.events.iter().filter_map(|event| event.event.as_ref()).map(event);
    json!({
        "agent": id(&entry.agent_id),
        "seq": entry.seq,
        "cid": entry.cid,
        "signer": entry.signer,
        "shredded": entry.shredded,
        "events": events.collect::<Vec<_>>(),
    })
}

fn event(event: &event::Event) -> Value {
    match event {
        event::Event::Proposed(proposed) => json!({
            "kind": "proposed",
            "run": some_id(&proposed.run_id),
            "generation": proposed.generation,
            "slot": proposed.slot,
            "operators": proposed.operators,
            "seed": proposed.seed,
            "parents": proposed.parents.iter().map(|parent| id(parent)).collect::<Vec<_>>(),
            "genome": proposed.genome,
            "params": params(&proposed.params),
            "files": proposed.files,
        }),
        event::Event::Evaluated(evaluated) => {
            let result = evaluated.evaluation.as_ref();
            let mut fields = result.map_or_else(|| json!({}), |result| evaluation(result, &[]));
            fields["scores"] = json!(result.map(|result| &result.scores));
            fields["kind"] = json!("evaluated");
            fields["suite"] = json!(evaluated.suite);
            fields["seed"] = json!(evaluated.seed);
            fields["at_ms"] = json!(evaluated.at_ms);
            fields
        }
        event::Event::Judged(judged) => {
            json!({"kind": "judged", "verdict": judged.verdict, "delta": judged.delta})
        }
    }
}

/// A session with its runs.
pub fn session(session: &Session) -> Value {
    json!({
        "id": id(&session.id),
        "name": session.name,
        "user": session.user,
        "closed": session.closed,
        "used_ms": session.used_ms,
        "shredded": session.shredded,
        "context": session.context,
        "runs": session.runs.iter().map(run).collect::<Vec<_>>(),
    })
}

/// What a check of signatures, links and digests found.
pub fn verified(answer: &VerifyResponse) -> Value {
    json!({
        "sound": answer.fault.is_empty(),
        "fault": some_text(&answer.fault),
        "agents": answer.agents,
        "entries": answer.entries,
        "blocks": answer.blocks,
        "contents_checked": answer.contents,
        "shredded": answer.shredded,
    })
}

/// How the daemon stands.
pub fn status(status: &StatusResponse, address: &str, ways: &[Report]) -> Value {
    let ways = ways.iter().map(|report| {
        json!({
            "name": report.way.as_str(),
            "state": report.state.as_str(),
            "latency_ms": report.latency.map(|latency| latency.as_secs_f64() * 1e3),
            "calls": report.calls,
        })
    });
    let tiers = status.tiers.iter().map(|tier| {
        json!({
            "name": tier.name,
            "url": tier.url,
            "healthy": tier.healthy,
            "detail": tier.detail,
        })
    });
    json!({
        "version": status.version,
        "pid": status.pid,
        "uptime_ms": status.uptime_ms,
        "resident_bytes": status.resident_bytes,
        "home": status.home,
        "address": address,
        "admin": status.admin,
        "running": status.running,
        "agents": status.agents,
        "workers": status.workers,
        "tiers": tiers.collect::<Vec<_>>(),
        "transports": ways.collect::<Vec<_>>(),
    })
}

/// One of doctor's checks.
pub fn check(check: &Check) -> Value {
    json!({
        "name": check.name,
        "state": check.state,
        "detail": check.detail,
        "hint": some_text(&check.hint),
    })
}

fn some_id(bytes: &[u8]) -> Value {
    some_text(&id(bytes))
}

fn some_text(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}
