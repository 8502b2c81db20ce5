//! From what a sandbox reported to an evaluation. Nothing that it says is trusted.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;

use super::{
    cgroup::Hits,
    metrics::{MAX_METRICS, object},
    plan::{Reply, Status},
    results::{self, CORRECT, METRICS, Measured},
    score::scores,
};
use crate::domain::{
    evaluation::{Evaluation, Failure, FailureKind, Isolation, Layers, Metric, Usage},
    objective::Objective,
    suite::Limits,
};

/// What an evaluation is judged by.
#[derive(Debug)]
pub struct Rules {
    /// What is measured.
    pub objectives: Vec<Objective>,
    /// What it may use.
    pub limits: Limits,
    /// For Python: the metrics that are not in the mean.
    pub features: Option<Vec<String>>,
    /// Whether the evaluator has stages.
    pub staged: bool,
    /// Seconds that stages may take, in turn, where that is not what the limits say.
    pub times: Vec<f64>,
    /// What the results are stamped with.
    pub isolation: Isolation,
    /// And with these layers.
    pub layers: Layers,
    /// Whether candidate and scorer share a process, or a place without walls.
    pub in_process: bool,
}

/// The parts of a sandbox's answer.
#[derive(Debug)]
pub struct Answer<'a> {
    reply: Reply,
    records: &'a [u8],
    stdout: &'a [u8],
    stderr: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Takes the body apart; `None` if it is not as the header says.
    #[must_use]
    pub fn new(reply: Reply, body: &'a [u8]) -> Option<Self> {
        let (records, rest) = body.split_at_checked(reply.records)?;
        let (stdout, rest) = rest.split_at_checked(reply.stdout)?;
        let (stderr, rest) = rest.split_at_checked(reply.stderr)?;
        rest.is_empty().then_some(Self { reply, records, stdout, stderr })
    }
}

/// What the harness itself could not do for a candidate, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Unready(pub String);

impl Rules {
    /// What a Python evaluator's answer comes to. `hits` are the limits hit meanwhile.
    ///
    /// # Errors
    /// If the candidate was never started.
    pub fn python(&self, answer: &Answer<'_>, hits: Hits) -> Result<Evaluation, Unready> {
        let told = Told::read(answer.records);
        if let Some(reason) = told.unready {
            return Err(Unready(reason));
        }
        let mut evaluation = self.blank(&answer.reply);
        evaluation.metrics = told.metrics;
        evaluation.artifacts = told.artifacts;
        let failed = (told.started != told.finished || told.started == 0).then(|| {
            if answer.reply.timed_out {
                return self.late(told.started);
            }
            self.fault(answer, hits, told.error.as_ref())
        });
        let stage = told.started.max(1);
        if let Some(failure) = &failed {
            if let Some(error) = &told.error {
                evaluation
                    .artifacts
                    .insert("traceback".into(), Bytes::copy_from_slice(error.trace));
            }
            self.keep_output(&mut evaluation, answer);
            let late = failure.kind == FailureKind::TimedOut;
            if self.staged {
                let name = format!("stage{stage}_passed");
                evaluation.metrics.insert(name, Metric::Number(0.0));
            }
            if stage == 1 && (self.staged || late) {
                evaluation.metrics.insert("error".into(), Metric::Number(0.0));
            }
            if late {
                evaluation.metrics.insert("timeout".into(), Metric::Flag(true));
            }
        }
        evaluation.scores = match failed {
            // What earlier stages measured counts, as in OpenEvolve.
            Some(failure) if stage == 1 => Err(failure),
            _ => scores(&self.objectives, &evaluation.metrics, self.features.as_deref()),
        };
        self.trim(&mut evaluation);
        Ok(evaluation)
    }

    /// What the files of a script come to. `hits` are the limits hit meanwhile.
    ///
    /// # Errors
    /// If the candidate was never started.
    pub fn script(&self, answer: &Answer<'_>, hits: Hits) -> Result<Evaluation, Unready> {
        let told = Told::read(answer.records);
        if let Some(reason) = told.unready {
            return Err(Unready(reason));
        }
        let mut evaluation = self.blank(&answer.reply);
        let file = |name| match told.files.get(name) {
            Some(Ok(content)) => Ok(*content),
            Some(Err(why)) => Err(why.as_str()),
            None => Err("is missing"),
        };
        let measured = results::measured(file(METRICS));
        let verdict = results::verdict(file(CORRECT));
        if let Ok(Measured { metrics, feedback }) = &measured {
            evaluation.metrics.clone_from(metrics);
            evaluation.artifacts.insert("text_feedback".into(), feedback.clone().into());
        }
        evaluation.scores = match (told.status, verdict) {
            (Some(_), Ok(())) => measured
                .map_err(bad)
                .and_then(|_| scores(&self.objectives, &evaluation.metrics, None)),
            (Some(Status::Exited(0)), Err(failure)) if hits == Hits::default() => Err(failure),
            (Some(_), Err(failure)) if failure.kind == FailureKind::GateMissed => Err(failure),
            // It left no verdict: what became of it says more than that.
            (status, _) => {
                let status = status.unwrap_or(answer.reply.status);
                let reply = Reply { status, ..answer.reply.clone() };
                Err(self.fault(&Answer { reply, ..*answer }, hits, None))
            }
        };
        if let Err(failure) = &mut evaluation.scores {
            failure.reason = one_line(&failure.reason);
            self.keep_output(&mut evaluation, answer);
        }
        self.trim(&mut evaluation);
        Ok(evaluation)
    }

    /// What a program's answer comes to.
    #[must_use]
    pub fn command(&self, answer: &Answer<'_>, hits: Hits) -> Evaluation {
        let mut evaluation = self.blank(&answer.reply);
        let clean = answer.reply.status == Status::Exited(0) && !answer.reply.timed_out;
        evaluation.scores = if !clean {
            Err(self.fault(answer, hits, None))
        } else if answer.reply.stdout_cut {
            let most = self.limits.output_kib;
            Err(bad(format!("the program printed more than {most} KiB instead of its metrics")))
        } else {
            let metrics = object(answer.stdout);
            metrics.map_err(|what| bad(format!("it printed {what}"))).and_then(|metrics| {
                evaluation.metrics = metrics;
                scores(&self.objectives, &evaluation.metrics, None)
            })
        };
        if evaluation.scores.is_err() {
            self.keep_output(&mut evaluation, answer);
        }
        self.trim(&mut evaluation);
        evaluation
    }

    /// The evaluation of an agent that took its whole sandbox down, or outlived its time
    /// and the harness's patience.
    #[must_use]
    pub fn lost(&self, timed_out: bool, wall_us: u64, hits: Hits) -> Evaluation {
        let reply = Reply { timed_out, wall_us, status: Status::Killed(9), ..Reply::default() };
        let answer = Answer { reply, records: &[], stdout: &[], stderr: &[] };
        let mut evaluation = self.blank(&answer.reply);
        evaluation.scores = Err(self.fault(&answer, hits, None));
        evaluation
    }

    /// An evaluation that has measured nothing yet.
    #[must_use]
    pub fn blank(&self, reply: &Reply) -> Evaluation {
        Evaluation {
            usage: Usage { wall_us: reply.wall_us, cpu_us: reply.cpu_us, max_rss: reply.max_rss },
            isolation: self.isolation,
            layers: Some(self.layers),
            in_process: self.in_process,
            ..Evaluation::of(Vec::new())
        }
    }

    /// The evaluation of an agent whose program gave no result, with what it said.
    #[must_use]
    pub fn unanswered(&self, answer: &Answer<'_>, hits: Hits) -> Evaluation {
        let mut evaluation = self.blank(&answer.reply);
        evaluation.scores = Err(self.fault(answer, hits, None));
        self.keep_output(&mut evaluation, answer);
        self.trim(&mut evaluation);
        evaluation
    }

    /// Why a program gave no answer.
    #[must_use]
    pub fn reason(&self, answer: &Answer<'_>, hits: Hits) -> Failure {
        self.fault(answer, hits, None)
    }

    /// That a stage, counted from 1, took too long; 0: that all did.
    fn late(&self, stage: u32) -> Failure {
        let own = stage.checked_sub(1).and_then(|at| self.times.get(at as usize));
        let own = own.filter(|_| self.staged).unwrap_or(&self.limits.time);
        let reason = format!("it did not end within {own} s");
        Failure { kind: FailureKind::TimedOut, reason }
    }

    /// Why an evaluation ended without a result.
    fn fault(&self, answer: &Answer<'_>, hits: Hits, error: Option<&StageError<'_>>) -> Failure {
        let limits = &self.limits;
        let over = |what: String| Failure { kind: FailureKind::OverLimit, reason: what };
        let memory = || over(format!("it wanted more than {} MiB of memory", limits.memory_mib));
        let crashed = |reason| Failure { kind: FailureKind::Crashed, reason };
        if answer.reply.timed_out {
            return self.late(0);
        }
        if answer.reply.flooded {
            return bad(format!("it reported far more than {} KiB", limits.output_kib));
        }
        if hits.memory > 0 {
            return memory();
        }
        let disk = || over(format!("it wanted to write more than {} MiB", limits.disk_mib));
        if answer.reply.status == Status::Killed(libc::SIGXFSZ) {
            return disk();
        }
        if let Some(error) = error {
            return match error.over.as_str() {
                "memory" => memory(),
                "disk" => disk(),
                _ if error.unusable => bad(one_line(&error.text)),
                _ if hits.processes > 0 => {
                    over(format!("it wanted more than {} processes", limits.processes))
                }
                _ => crashed(one_line(&format!("{}: {}", error.kind, error.text))),
            };
        }
        if hits.processes > 0 {
            return over(format!("it wanted more than {} processes", limits.processes));
        }
        let said = String::from_utf8_lossy(answer.stderr);
        let said = said.lines().rfind(|line| !line.trim().is_empty());
        let said = said.map_or_else(String::new, |line| format!(": {}", one_line(line)));
        crashed(match answer.reply.status {
            Status::Exited(0) => format!("it ended without a result{said}"),
            Status::Exited(status) => format!("it ended with status {status}{said}"),
            Status::Killed(signal) => format!("it was killed by signal {signal}{said}"),
        })
    }

    /// What it printed, for whoever wants to know why it failed.
    fn keep_output(&self, evaluation: &mut Evaluation, answer: &Answer<'_>) {
        for (name, text) in [("stdout", answer.stdout), ("stderr", answer.stderr)] {
            if !text.is_empty() {
                let text = Bytes::copy_from_slice(text);
                evaluation.artifacts.entry(name.to_owned()).or_insert(text);
            }
        }
    }

    /// Cuts the artefacts to what is kept of them all.
    fn trim(&self, evaluation: &mut Evaluation) {
        let kib = usize::try_from(self.limits.output_kib).unwrap_or(usize::MAX);
        let mut room = kib.saturating_mul(1 << 10);
        evaluation.artifacts.retain(|_, content| {
            content.truncate(room);
            room -= content.len();
            !content.is_empty()
        });
    }
}

/// What a Python candidate reported.
#[derive(Default)]
struct Told<'a> {
    /// The last stage that began, from 1.
    started: u32,
    /// The last stage that gave a result.
    finished: u32,
    metrics: BTreeMap<String, Metric>,
    artifacts: BTreeMap<String, Bytes>,
    error: Option<StageError<'a>>,
    unready: Option<String>,
    /// What a script left, and how it ended.
    files: BTreeMap<String, Result<&'a [u8], String>>,
    status: Option<Status>,
}

struct StageError<'a> {
    kind: String,
    text: String,
    over: String,
    unusable: bool,
    trace: &'a [u8],
}

/// The headers of all records, as one.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Header {
    stage: u32,
    metrics: BTreeMap<String, Reported>,
    artifacts: Vec<(String, usize)>,
    kind: String,
    text: String,
    over: String,
    unusable: bool,
    name: String,
    status: Option<Status>,
}

/// A metric with its type; numbers come as text, so that none of their digits is lost.
#[derive(Deserialize)]
#[serde(untagged)]
enum Reported {
    Text(String, String),
    Flag(String, bool),
}

impl<'a> Told<'a> {
    /// Reads as far as the records make sense.
    fn read(mut rest: &'a [u8]) -> Self {
        let mut told = Self::default();
        while let Some((tag, header, body, after)) = record(rest) {
            rest = after;
            if told.take(tag, header, body).is_none() {
                break;
            }
        }
        told
    }

    fn take(&mut self, tag: u8, header: Header, body: &'a [u8]) -> Option<()> {
        match tag {
            b'S' if header.stage == self.started + 1 => self.started = header.stage,
            b'R' if header.stage == self.started && self.finished + 1 == self.started => {
                if header.metrics.len() + self.metrics.len() > MAX_METRICS {
                    return None;
                }
                let metrics =
                    header.metrics.into_iter().map(|(name, value)| (name, value.metric()));
                self.metrics.extend(metrics);
                let mut rest = body;
                for (name, length) in header.artifacts {
                    let (content, after) = rest.split_at_checked(length)?;
                    rest = after;
                    self.artifacts.insert(name, Bytes::copy_from_slice(content));
                }
                self.finished = header.stage;
            }
            b'E' => {
                let Header { kind, text, over, unusable, .. } = header;
                self.error = Some(StageError { kind, text, over, unusable, trace: body });
            }
            b'F' if self.started > 0 => {
                let content = if header.text.is_empty() { Ok(body) } else { Err(header.text) };
                self.files.insert(header.name, content);
            }
            b'D' if self.started > 0 => self.status = header.status,
            // Once a stage began, the candidate's code may have written it.
            b'X' if self.started == 0 => self.unready = Some(header.text),
            _ => return None,
        }
        Some(())
    }
}

impl Reported {
    fn metric(self) -> Metric {
        match self {
            Self::Flag(kind, flag) if kind == "flag" => Metric::Flag(flag),
            Self::Flag(kind, flag) => Metric::Text(format!("{kind} {flag}")),
            Self::Text(kind, text) => match text.parse::<f64>() {
                Ok(number) if kind == "number" && number.is_finite() => Metric::Number(number),
                _ => Metric::Text(text),
            },
        }
    }
}

/// The next record: its tag, header, body, and what follows it.
fn record(bytes: &[u8]) -> Option<(u8, Header, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (size, rest) = prefixed(rest)?;
    let (record, after) = rest.split_at_checked(size)?;
    let (size, rest) = prefixed(record)?;
    let (header, body) = rest.split_at_checked(size)?;
    Some((*tag, serde_json::from_slice(header).ok()?, body, after))
}

fn prefixed(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (size, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*size) as usize, rest))
}

fn bad(reason: String) -> Failure {
    Failure { kind: FailureKind::BadMetrics, reason }
}

/// The first line, shortened, without anything that a terminal would act on.
#[must_use]
pub fn one_line(text: &str) -> String {
    const MOST: usize = 300;
    let line = text.trim().lines().next().unwrap_or_default();
    let clean: String =
        line.chars().map(|c| if c.is_control() { '�' } else { c }).take(MOST).collect();
    if clean.len() < line.len() && line.chars().count() > MOST { clean + "…" } else { clean }
}

#[cfg(test)]
mod tests;
