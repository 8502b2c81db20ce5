//! The body of a journal entry in clear: its events, in DAG-CBOR.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use crate::domain::{
    digest::Digest,
    evaluation::{Evaluation, Failure, FailureKind, Isolation, Layers, Metric, Usage},
    genome::{File, FilePath, Genome, MAX_FILES, MAX_GENOME, Space},
    id::{AgentId, RunId},
    journal::{Evaluated, Event, EventKind, Judged, Proposed},
    lifecycle::Verdict,
};

use super::{
    blob::{BlobRef, Content, Sink, read},
    cbor::{Kind, Reader, Writer, key_order},
    digest::sha256,
    error::{Error, Result},
    manifest::{FileFacts, check_size, manifest, name},
    seal::BlobKind,
    space,
};

/// The number of this format.
pub const FORMAT: u64 = 1;
/// The largest body, in bytes, contents beside it excepted.
pub const MAX_BODY: usize = 16 << 20;
const WHAT: &str = "journal entry's content";

/// Writes `events`; returns the body and the digest of the genome that it proposes, if any.
pub(super) fn encode(events: &[Event], sink: &mut Sink<'_>) -> Result<(Vec<u8>, Option<Digest>)> {
    let mut out = Writer::with_capacity(1024);
    let mut genome = None;
    out.map(2);
    out.text("v");
    out.uint(FORMAT);
    out.text("events");
    out.array(events.len());
    for event in events {
        out.map(1);
        out.text(event.kind().as_str());
        match event {
            Event::Proposed(event) => genome = Some(proposed(&mut out, event, sink)?),
            Event::Evaluated(event) => evaluated(&mut out, event, sink)?,
            Event::Judged(event) => judged(&mut out, event)?,
        }
    }
    if out.len() > MAX_BODY {
        let (size, limit) = (out.len() as u64, MAX_BODY as u64);
        return Err(Error::TooLarge { what: WHAT, size, limit });
    }
    Ok((out.into_bytes(), genome))
}

fn proposed(out: &mut Writer, event: &Proposed, sink: &mut Sink<'_>) -> Result<Digest> {
    check_size(&event.genome)?;
    out.map(8);
    out.text("run");
    match event.run {
        Some(run) => out.bytes(run.as_bytes()),
        None => out.null(),
    }
    out.text("seed");
    out.uint(event.seed);
    out.text("slot");
    out.uint(u64::from(event.slot));
    out.text("space");
    space::write(out, &event.space, sink)?;
    out.text("genome");
    let digest = genome(out, &event.genome, &event.space, sink)?;
    out.text("parents");
    out.array(event.parents.len());
    event.parents.iter().for_each(|parent| out.bytes(parent.as_bytes()));
    out.text("operators");
    out.array(event.operators.len());
    event.operators.iter().for_each(|operator| out.text(operator));
    out.text("generation");
    out.uint(event.generation);
    Ok(digest)
}

fn genome(out: &mut Writer, own: &Genome, space: &Space, sink: &mut Sink<'_>) -> Result<Digest> {
    let mut files: Vec<_> = own.files.iter().collect();
    files.sort_unstable_by(|(a, _), (b, _)| key_order(a.as_str(), b.as_str()));
    let mut facts = Vec::with_capacity(files.len());
    out.map(5);
    out.text("files");
    out.map(files.len());
    for (path, file) in files {
        out.text(path.as_str());
        out.array(2);
        out.bool(file.executable);
        let digest = sink.put(out, BlobKind::File, &file.bytes)?;
        let (path, size) = (path.as_str(), file.bytes.len() as u64);
        facts.push(FileFacts { path, executable: file.executable, size, digest });
    }
    out.text("model");
    name(out, own.model.as_deref());
    out.text("digest");
    let digest = sha256(&manifest(facts, own, space)?);
    out.bytes(&digest.0);
    out.text("params");
    out.array(own.params.len());
    for value in own.params.iter() {
        out.float(*value, || "a parameter".to_owned())?;
    }
    out.text("template");
    name(out, own.template.as_deref());
    Ok(digest)
}

fn evaluated(out: &mut Writer, event: &Evaluated, sink: &mut Sink<'_>) -> Result<()> {
    let Evaluation { scores, metrics, artifacts, usage, isolation, layers, in_process, cached } =
        &event.evaluation;
    out.map(11 + usize::from(layers.is_some()));
    out.text("at");
    out.uint(event.at_ms);
    out.text("seed");
    out.uint(event.seed);
    out.text("suite");
    out.bytes(&event.suite.0);
    out.text("usage");
    out.array(3);
    [usage.wall_us, usage.cpu_us, usage.max_rss].into_iter().for_each(|used| out.uint(used));
    out.text("cached");
    out.bool(*cached);
    if let Some(layers) = layers {
        out.text("layers");
        out.array(layers.names().count());
        layers.names().for_each(|name| out.text(name));
    }
    out.text("scores");
    match scores {
        Ok(scores) => {
            out.array(scores.len());
            for score in scores {
                out.float(*score, || "a score".to_owned())?;
            }
        }
        Err(failure) => {
            out.map(2);
            out.text("kind");
            out.text(failure_name(failure.kind));
            out.text("reason");
            out.text(&failure.reason);
        }
    }
    out.text("fitness");
    number(out, event.fitness, "the fitness")?;
    out.text("metrics");
    out.map(metrics.len());
    for (key, metric) in sorted(metrics) {
        out.text(key);
        match metric {
            Metric::Number(value) => out.float(*value, || format!("the metric “{key}”"))?,
            Metric::Flag(value) => out.bool(*value),
            Metric::Text(value) => out.text(value),
        }
    }
    out.text("artifacts");
    out.map(artifacts.len());
    for (key, content) in sorted(artifacts) {
        out.text(key);
        sink.put(out, BlobKind::Artifact, content)?;
    }
    out.text("isolation");
    out.text(isolation.as_str());
    out.text("in_process");
    out.bool(*in_process);
    Ok(())
}

fn judged(out: &mut Writer, event: &Judged) -> Result<()> {
    out.map(2);
    out.text("delta");
    number(out, event.delta, "the difference to the parents")?;
    out.text("verdict");
    out.text(event.verdict.as_str());
    Ok(())
}

fn number(out: &mut Writer, value: Option<f64>, what: &str) -> Result<()> {
    match value {
        Some(value) => out.float(value, || what.to_owned()),
        None => {
            out.null();
            Ok(())
        }
    }
}

fn sorted<V>(map: &BTreeMap<String, V>) -> Vec<(&str, &V)> {
    let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.as_str(), value)).collect();
    entries.sort_unstable_by(|(a, _), (b, _)| key_order(a, b));
    entries
}

/// What gives a content that does not ride in the body; none leaves a file or an artefact
/// empty, for a reader who does not need it.
pub(super) type Fetch<'a, E> = dyn FnMut(&BlobRef) -> std::result::Result<Option<Bytes>, E> + 'a;

/// Reads what [`encode`] writes, and checks the genome against its digest.
pub(super) fn decode<E: From<Error>>(
    body: &[u8],
    fetch: &mut Fetch<'_, E>,
) -> std::result::Result<Vec<Event>, E> {
    let mut from = Reader::new(body, WHAT);
    let from = &mut from;
    let fields = from.map()?;
    from.key("v")?;
    match from.uint()? {
        FORMAT if fields == 2 => {}
        FORMAT => return Err(from.fault("fields are missing or unknown").into()),
        format => return Err(Error::Newer { what: WHAT, format }.into()),
    }
    from.key("events")?;
    let count = from.array()?;
    let mut events = Vec::new();
    for _ in 0..count {
        from.map_of(1)?;
        let kind = from.text()?;
        let kind = EventKind::ALL.into_iter().find(|known| known.as_str() == kind);
        events.push(match kind.ok_or_else(|| from.fault("an event of unknown kind"))? {
            EventKind::Proposed => Event::Proposed(read_proposed(from, fetch)?),
            EventKind::Evaluated => Event::Evaluated(read_evaluated(from, fetch)?),
            EventKind::Judged => Event::Judged(read_judged(from)?),
        });
    }
    if from.left() > 0 {
        return Err(from.fault("more than belongs here").into());
    }
    Ok(events)
}

fn content<E: From<Error>>(
    content: Content<'_>,
    fetch: &mut Fetch<'_, E>,
) -> std::result::Result<Bytes, E> {
    match content {
        Content::Inline(bytes) => Ok(Bytes::copy_from_slice(bytes)),
        Content::Stored(blob) => Ok(fetch(&blob)?.unwrap_or_default()),
    }
}

fn read_proposed<E: From<Error>>(
    from: &mut Reader<'_>,
    fetch: &mut Fetch<'_, E>,
) -> std::result::Result<Proposed, E> {
    from.map_of(8)?;
    from.key("run")?;
    let run = from.option(Reader::byte_array)?.map(RunId::from_bytes);
    from.key("seed")?;
    let seed = from.uint()?;
    from.key("slot")?;
    let slot = u32::try_from(from.uint()?).map_err(|_| from.fault("a slot beyond 32 bits"))?;
    from.key("space")?;
    let space = space::read(from, fetch)?;
    from.key("genome")?;
    let genome = read_genome(from, &space, fetch)?;
    from.key("parents")?;
    let parents = list(from, |from| from.byte_array().map(AgentId::from_bytes))?;
    from.key("operators")?;
    let operators = list(from, |from| from.text().map(str::to_owned))?;
    from.key("generation")?;
    let generation = from.uint()?;
    let space = Arc::new(space);
    Ok(Proposed { run, generation, slot, operators, seed, parents, genome, space })
}

fn read_genome<E: From<Error>>(
    from: &mut Reader<'_>,
    space: &Space,
    fetch: &mut Fetch<'_, E>,
) -> std::result::Result<Genome, E> {
    from.map_of(5)?;
    from.key("files")?;
    let mut found = Vec::new();
    from.entries(|from, path| {
        from.array_of(2)?;
        let executable = from.bool()?;
        found.push((path, executable, read(from, BlobKind::File, path)?));
        Ok(())
    })?;
    let mut facts = Vec::with_capacity(found.len());
    for (path, executable, content) in &found {
        let (size, digest) = match content {
            Content::Inline(bytes) => (bytes.len() as u64, sha256(bytes)),
            Content::Stored(blob) => (blob.size, blob.digest),
        };
        facts.push(FileFacts { path, executable: *executable, size, digest });
    }
    let size: u64 = facts.iter().map(|file| file.size).sum();
    if facts.len() > MAX_FILES || size > MAX_GENOME as u64 {
        return Err(from.fault("a genome that is too large").into());
    }
    from.key("model")?;
    let model = from.option(|from| from.text().map(Arc::from))?;
    from.key("digest")?;
    let digest = Digest(from.byte_array()?);
    from.key("params")?;
    let params = list(from, Reader::float)?.into();
    from.key("template")?;
    let template = from.option(|from| from.text().map(Arc::from))?;
    let mut genome = Genome { files: Arc::default(), params, model, template };
    if sha256(&manifest(facts, &genome, space)?) != digest {
        return Err(Error::Digest { what: "the genome".to_owned() }.into());
    }
    let mut files = BTreeMap::new();
    for (path, executable, stored) in found {
        let path = FilePath::new(path).map_err(|bad| Error::Mismatch(bad.to_string()))?;
        files.insert(path, File { bytes: content(stored, fetch)?, executable });
    }
    genome.files = Arc::new(files);
    Ok(genome)
}

fn read_evaluated<E: From<Error>>(
    from: &mut Reader<'_>,
    fetch: &mut Fetch<'_, E>,
) -> std::result::Result<Evaluated, E> {
    let fields = from.map()?;
    if !(11..=12).contains(&fields) {
        return Err(from.fault("fields are missing or unknown").into());
    }
    from.key("at")?;
    let at_ms = from.uint()?;
    from.key("seed")?;
    let seed = from.uint()?;
    from.key("suite")?;
    let suite = Digest(from.byte_array()?);
    from.key("usage")?;
    from.array_of(3)?;
    let usage = Usage { wall_us: from.uint()?, cpu_us: from.uint()?, max_rss: from.uint()? };
    from.key("cached")?;
    let cached = from.bool()?;
    let layers = if fields == 12 { Some(read_layers(from)?) } else { None };
    from.key("scores")?;
    let scores = read_scores(from)?;
    from.key("fitness")?;
    let fitness = from.option(Reader::float)?;
    from.key("metrics")?;
    let mut metrics = BTreeMap::new();
    from.entries(|from, key| {
        let metric = match from.kind()? {
            Kind::Float => Metric::Number(from.float()?),
            Kind::Bool => Metric::Flag(from.bool()?),
            _ => Metric::Text(from.text()?.to_owned()),
        };
        metrics.insert(key.to_owned(), metric);
        Ok(())
    })?;
    from.key("artifacts")?;
    let mut stored = Vec::new();
    from.entries(|from, key| {
        stored.push((key.to_owned(), read(from, BlobKind::Artifact, key)?));
        Ok(())
    })?;
    from.key("isolation")?;
    let text = from.text()?;
    let isolation = ISOLATION.into_iter().find(|known| known.as_str() == text);
    let isolation = isolation.ok_or_else(|| from.fault("an unknown isolation"))?;
    from.key("in_process")?;
    let in_process = from.bool()?;
    let mut artifacts = BTreeMap::new();
    for (key, found) in stored {
        artifacts.insert(key, content(found, fetch)?);
    }
    let evaluation =
        Evaluation { scores, metrics, artifacts, usage, isolation, layers, in_process, cached };
    Ok(Evaluated { suite, seed, evaluation, fitness, at_ms })
}

/// Written in one order only, so that equal events have equal bytes.
fn read_layers(from: &mut Reader<'_>) -> Result<Layers> {
    from.key("layers")?;
    let names = list(from, |from| from.text().map(str::to_owned))?;
    let layers = names.iter().try_fold(Layers::default(), |found, name| found.with(name));
    let layers = layers.filter(|layers| layers.names().eq(names.iter().map(String::as_str)));
    layers.ok_or_else(|| from.fault("an unknown layer, or layers in another order"))
}

fn read_scores(from: &mut Reader<'_>) -> Result<std::result::Result<Vec<f64>, Failure>> {
    if from.kind()? == Kind::Array {
        return list(from, Reader::float).map(Ok);
    }
    from.map_of(2)?;
    from.key("kind")?;
    let text = from.text()?;
    let kind = FAILURES.into_iter().find(|known| failure_name(*known) == text);
    let kind = kind.ok_or_else(|| from.fault("an unknown class of failure"))?;
    from.key("reason")?;
    Ok(Err(Failure { kind, reason: from.text()?.to_owned() }))
}

fn read_judged(from: &mut Reader<'_>) -> Result<Judged> {
    from.map_of(2)?;
    from.key("delta")?;
    let delta = from.option(Reader::float)?;
    from.key("verdict")?;
    let verdict = Verdict::named(from.text()?).ok_or_else(|| from.fault("an unknown verdict"))?;
    Ok(Judged { verdict, delta })
}

fn list<'a, T>(
    from: &mut Reader<'a>,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    (0..from.array()?).map(|_| item(from)).collect()
}

const FAILURES: [FailureKind; 5] = [
    FailureKind::Crashed,
    FailureKind::TimedOut,
    FailureKind::OverLimit,
    FailureKind::BadMetrics,
    FailureKind::GateMissed,
];
fn failure_name(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Crashed => "crashed",
        FailureKind::TimedOut => "timed-out",
        FailureKind::OverLimit => "over-limit",
        FailureKind::BadMetrics => "bad-metrics",
        FailureKind::GateMissed => "gate-missed",
    }
}

const ISOLATION: [Isolation; 3] = [Isolation::NoCode, Isolation::Full, Isolation::Reduced];
