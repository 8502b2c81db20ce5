//! Domain values to messages and back. Whatever comes in is checked here.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    code::Code,
    domain::{
        evaluation::{Evaluation, FailureKind, Layers, Metric},
        genome::{File, FilePath, Genome, Kind, MAX_FILES, MAX_GENOME, Param, Space, Value},
        journal::{Evaluated, Event, Judged, Proposed},
        session::{CONTEXT_TEXT, Session},
        suite::Bundle,
    },
};

use super::{fault::Fault, v1};

/// Whole numbers up to this are exact in a double.
const EXACT: i64 = 1 << 53;

/// A message that breaks the protocol's rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message's {field} is wrong: {reason}")]
pub struct BadMessage {
    /// The field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

impl BadMessage {
    /// A fault in that field.
    #[must_use]
    pub fn new(field: &'static str, reason: impl Into<String>) -> Self {
        Self { field, reason: reason.into() }
    }

    /// Its stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        Code::InvalidInput
    }
}

impl From<BadMessage> for Fault {
    fn from(error: BadMessage) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// The identifier in these bytes.
///
/// # Errors
/// If they are not 16 bytes.
pub fn id<'a, T>(field: &'static str, bytes: &'a [u8]) -> Result<T, BadMessage>
where
    T: TryFrom<&'a [u8], Error: std::fmt::Display>,
{
    T::try_from(bytes).map_err(|error| BadMessage::new(field, error.to_string()))
}

/// The identifier in these bytes, if there are any.
///
/// # Errors
/// If there are some, but not 16.
pub fn optional_id<'a, T>(field: &'static str, bytes: &'a [u8]) -> Result<Option<T>, BadMessage>
where
    T: TryFrom<&'a [u8], Error: std::fmt::Display>,
{
    if bytes.is_empty() { Ok(None) } else { id(field, bytes).map(Some) }
}

/// The files of an agent or a suite.
///
/// # Errors
/// If a path leads out of its directory or is there twice, or if they are too many or too large.
pub fn bundle(field: &'static str, files: Vec<v1::File>) -> Result<Bundle, BadMessage> {
    if files.len() > MAX_FILES {
        let reason = format!("{} files; at most {MAX_FILES} are allowed", files.len());
        return Err(BadMessage::new(field, reason));
    }
    let size: usize = files.iter().map(|file| file.content.len()).sum();
    if size > MAX_GENOME {
        let reason = format!("{size} bytes; at most {MAX_GENOME} are allowed");
        return Err(BadMessage::new(field, reason));
    }
    let mut bundle = Bundle::new();
    for file in files {
        let path =
            FilePath::new(&file.path).map_err(|bad| BadMessage::new(field, bad.to_string()))?;
        let value = File { bytes: file.content, executable: file.executable };
        if bundle.insert(path, value).is_some() {
            return Err(BadMessage::new(field, format!("“{}” is there twice", file.path)));
        }
    }
    Ok(bundle)
}

/// The message of a set of files.
#[must_use]
pub fn files(bundle: &BTreeMap<FilePath, File>) -> Vec<v1::File> {
    let file = |(path, file): (&FilePath, &File)| v1::File {
        path: path.as_str().to_owned(),
        content: file.bytes.clone(),
        executable: file.executable,
    };
    bundle.iter().map(file).collect()
}

/// A genome that was given by hand, and the space of its parameters: as wide as their types,
/// since nobody said how far they may vary.
///
/// # Errors
/// If a file or a parameter is wrong.
pub fn genome(message: v1::Genome) -> Result<(Genome, Space), BadMessage> {
    let files = Arc::new(bundle("genome", message.files)?);
    let mut space = Space::default();
    let mut values = Vec::with_capacity(message.params.len().min(MAX_FILES));
    for param in message.params {
        let bad = |reason: &str| BadMessage::new("genome", format!("“{}” {reason}", param.name));
        let (kind, value) = match param.value.clone() {
            Some(v1::param::Value::Real(value)) if value.is_finite() => {
                (Kind::Real { min: f64::MIN, max: f64::MAX, log: false }, value)
            }
            #[expect(clippy::cast_precision_loss, reason = "within ±2⁵³")]
            Some(v1::param::Value::Integer(value)) if (-EXACT..=EXACT).contains(&value) => {
                (Kind::Integer { min: -EXACT, max: EXACT, log: false }, value as f64)
            }
            Some(v1::param::Value::Category(name)) => {
                (Kind::Categorical { choices: vec![name] }, 0.0)
            }
            Some(_) => return Err(bad("is not finite, or beyond ±2⁵³")),
            None => return Err(bad("has no value")),
        };
        if space.params.iter().any(|other| other.name == param.name) {
            return Err(bad("is there twice"));
        }
        space.params.push(Param { name: param.name, kind, init: None });
        values.push(value);
    }
    let named = |name: String| (!name.is_empty()).then(|| name.into());
    let genome = Genome {
        files,
        params: values.into(),
        model: named(message.model),
        template: named(message.template),
    };
    Ok((genome, space))
}

/// The message of a genome.
#[must_use]
pub fn genome_message(genome: &Genome, space: &Space) -> v1::Genome {
    v1::Genome {
        files: files(&genome.files),
        params: params(genome, space),
        model: genome.model.as_deref().unwrap_or_default().to_owned(),
        template: genome.template.as_deref().unwrap_or_default().to_owned(),
    }
}

/// The parameters of a genome with their names and types.
#[must_use]
pub fn params(genome: &Genome, space: &Space) -> Vec<v1::Param> {
    let param = |(param, value): (&Param, &f64)| v1::Param {
        name: param.name.clone(),
        value: Some(match param.kind.typed(*value) {
            Value::Real(value) => v1::param::Value::Real(value),
            Value::Integer(value) => v1::param::Value::Integer(value),
            Value::Category(name) => v1::param::Value::Category(name.to_owned()),
        }),
    };
    space.params.iter().zip(genome.params.iter()).map(param).collect()
}

/// The message of an evaluation; `shown` is the weighted score in the terms of its user.
#[must_use]
pub fn evaluation(evaluation: &Evaluation, shown: Option<f64>) -> v1::Evaluation {
    let (scores, failure, reason) = match &evaluation.scores {
        Ok(scores) => (scores.clone(), String::new(), String::new()),
        Err(failure) => (Vec::new(), failure_name(failure.kind).to_owned(), failure.reason.clone()),
    };
    let metric = |(name, value): (&String, &Metric)| v1::Metric {
        name: name.clone(),
        value: Some(match value {
            Metric::Number(number) => v1::metric::Value::Number(*number),
            Metric::Flag(flag) => v1::metric::Value::Flag(*flag),
            Metric::Text(text) => v1::metric::Value::Text(text.clone()),
        }),
    };
    let artifact = |(name, content): (&String, &bytes::Bytes)| v1::File {
        path: name.clone(),
        content: content.clone(),
        executable: false,
    };
    v1::Evaluation {
        scores,
        fitness: shown,
        failure,
        reason,
        metrics: evaluation.metrics.iter().map(metric).collect(),
        artifacts: evaluation.artifacts.iter().map(artifact).collect(),
        wall_us: evaluation.usage.wall_us,
        cpu_us: evaluation.usage.cpu_us,
        max_rss: evaluation.usage.max_rss,
        isolation: evaluation.isolation.as_str().to_owned(),
        in_process: evaluation.in_process,
        cached: evaluation.cached,
        layers: evaluation.layers.into_iter().flat_map(Layers::names).map(str::to_owned).collect(),
    }
}

/// The name of a class of failure on the wire.
#[must_use]
pub fn failure_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Crashed => "crashed",
        FailureKind::TimedOut => "timed-out",
        FailureKind::OverLimit => "over-limit",
        FailureKind::BadMetrics => "bad-metrics",
        FailureKind::GateMissed => "gate-missed",
    }
}

/// The message of a session, without its runs.
#[must_use]
pub fn session(session: &Session) -> v1::Session {
    let text = (CONTEXT_TEXT.to_owned(), session.context.clone());
    let text = (!session.context.is_empty()).then_some(text);
    v1::Session {
        id: bytes(session.id.as_bytes()),
        name: session.name.clone(),
        user: session.user.clone(),
        closed: session.closed,
        used_ms: session.used_ms,
        context: text.into_iter().collect(),
        runs: Vec::new(),
        shredded: session.shredded,
    }
}

/// The message of a journal's event. `genome` is the digest of the agent's genome.
#[must_use]
pub fn event(event: &Event, genome: &str) -> v1::Event {
    let event = match event {
        Event::Proposed(it) => v1::event::Event::Proposed(proposed(it, genome)),
        Event::Evaluated(it) => v1::event::Event::Evaluated(evaluated(it)),
        Event::Judged(it) => v1::event::Event::Judged(judged(it)),
    };
    v1::Event { event: Some(event) }
}

fn proposed(it: &Proposed, genome: &str) -> v1::Proposed {
    v1::Proposed {
        run_id: it.run.map(|run| bytes(run.as_bytes())).unwrap_or_default(),
        generation: it.generation,
        slot: it.slot,
        operators: it.operators.clone(),
        seed: it.seed,
        parents: it.parents.iter().map(|parent| bytes(parent.as_bytes())).collect(),
        genome: genome.to_owned(),
        params: params(&it.genome, &it.space),
        files: it.genome.files.keys().map(|path| path.as_str().to_owned()).collect(),
    }
}

fn evaluated(it: &Evaluated) -> v1::Evaluated {
    v1::Evaluated {
        suite: it.suite.to_string(),
        seed: it.seed,
        evaluation: Some(evaluation(&it.evaluation, it.shown())),
        at_ms: it.at_ms,
    }
}

fn judged(it: &Judged) -> v1::Judged {
    v1::Judged { verdict: it.verdict.as_str().to_owned(), delta: it.delta }
}

/// An identifier as it is sent.
#[must_use]
pub fn bytes(id: &[u8; 16]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::RunId;

    fn file(path: &str) -> v1::File {
        v1::File { path: path.to_owned(), content: b"x".as_slice().into(), executable: true }
    }

    #[test]
    fn files_come_back_as_they_were_sent() {
        let bundle = bundle("files", vec![file("b/c.py"), file("a.txt")]).unwrap();
        assert_eq!(files(&bundle), vec![file("a.txt"), file("b/c.py")]);
    }

    #[test]
    fn files_outside_or_twice_are_refused() {
        for bad in [vec![file("../a")], vec![file("/etc/passwd")], vec![file("a"), file("a")]] {
            let error = bundle("agent_files", bad).unwrap_err();
            assert_eq!(error.code(), Code::InvalidInput);
            assert!(error.to_string().contains("agent_files"), "{error}");
        }
        let many = (0..=MAX_FILES).map(|i| file(&i.to_string())).collect();
        assert!(bundle("files", many).is_err());
    }

    #[test]
    fn a_genome_keeps_its_values_and_types() {
        use v1::param::Value::{Category, Integer, Real};
        let param = |name: &str, value| v1::Param { name: name.to_owned(), value: Some(value) };
        let message = v1::Genome {
            files: vec![file("p.txt")],
            params: vec![
                param("x", Real(0.5)),
                param("n", Integer(-3)),
                param("mode", Category("fast".to_owned())),
            ],
            model: "small".to_owned(),
            template: String::new(),
        };
        let (genome, space) = genome(message.clone()).unwrap();
        assert!(space.params.iter().zip(genome.params.iter()).all(|(p, v)| p.kind.holds(*v)));
        assert_eq!(genome_message(&genome, &space), message);
    }

    #[test]
    fn parameters_without_sense_are_refused() {
        let param = |value| v1::Param { name: "x".to_owned(), value };
        for params in [
            vec![param(None)],
            vec![param(Some(v1::param::Value::Real(f64::NAN)))],
            vec![param(Some(v1::param::Value::Integer(i64::MAX)))],
            vec![param(Some(v1::param::Value::Real(1.0))); 2],
        ] {
            assert!(genome(v1::Genome { params, ..Default::default() }).is_err());
        }
    }

    #[test]
    fn an_evaluation_has_scores_or_a_reason() {
        let message = evaluation(&Evaluation::of(vec![3.0]), Some(3.0));
        assert_eq!((message.scores, message.fitness), (vec![3.0], Some(3.0)));
        let failed = Evaluation::failed(FailureKind::TimedOut, "took over 3 s");
        let message = evaluation(&failed, None);
        assert_eq!((message.failure.as_str(), message.fitness), ("timed-out", None));
        assert_eq!(message.reason, "took over 3 s");
    }

    #[test]
    fn an_id_is_sixteen_bytes_or_nothing() {
        let run = RunId::new(1, [2; 10]);
        assert_eq!(id::<RunId>("run_id", run.as_bytes()), Ok(run));
        assert!(id::<RunId>("run_id", &[1, 2]).is_err());
        assert_eq!(optional_id::<RunId>("run_id", &[]), Ok(None));
    }
}
