//! Suites of cases: the agent's program answers in its sandbox, and the answers are scored
//! here, or by a program of the suite in another sandbox. Neither sees the other's files.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    build::Builds,
    cgroup::Hits,
    directory::Directory,
    error::EvaluatorError,
    laying::Laying,
    outcome::{self, Rules},
    plan::{Job, Reply, Status},
    rpc,
    score::scores,
    tally::{self, Log, Tried, Verdict, accuracy, shown},
    workers::{Lost, Workers},
};
use crate::{
    config::cases::{Case, CaseSet},
    domain::{
        answer::{Answer, Check},
        evaluation::{Evaluation, Metric, Usage},
        genome::{Genome, Space},
        suite::{self, HELD_OUT, Protocol},
    },
};

/// The name of the artefact with a line for each answer.
const LOG: &str = "cases.jsonl";
/// The most of answers that are held at once, for a program to score, in bytes.
const MAX_HELD: usize = 64 << 20;

/// A suite of cases, made ready.
#[derive(Debug)]
pub struct Cases {
    /// Where agents' programs answer within the limits of the suite.
    pub common: Runner,
    /// The same of each stage that has limits of its own.
    pub runners: Vec<Option<Runner>>,
    /// Where the suite's programs judge, if there are any.
    pub judges: Option<Workers>,
    /// What is built before.
    pub builds: Option<Builds>,
    /// What the suite says.
    pub suite: suite::Cases,
    /// The cases.
    pub set: CaseSet,
    /// What the evaluation is judged by.
    pub rules: Rules,
    /// The parameters of all genomes.
    pub space: Arc<Space>,
    /// Evaluations that may be at work at once.
    pub free: Semaphore,
    /// Last, so that they go after the workers.
    pub directories: Vec<Directory>,
}

/// Where agents' programs answer, and what their answers are judged by.
#[derive(Debug)]
pub struct Runner {
    /// The sandboxes.
    pub workers: Workers,
    /// The limits, above all.
    pub rules: Rules,
}

/// How one case was answered.
struct Turn {
    /// Its worth; `None` as long as a program is to tell.
    verdict: Option<Verdict>,
    /// The answer, if a program is to judge it.
    answer: Option<Answer>,
    output: String,
    wall_us: u64,
}

impl Turn {
    fn missing(why: &str) -> Self {
        let verdict = Some(Verdict::wrong(why));
        Self { verdict, answer: None, output: String::new(), wall_us: 0 }
    }
}

/// What a program of the suite prints of an answer.
#[derive(Deserialize)]
struct Judged {
    score: Option<f64>,
    pass: Option<bool>,
    #[serde(default)]
    why: String,
}

impl Cases {
    /// Evaluates one genome.
    ///
    /// # Errors
    /// If no worker starts.
    pub async fn evaluate(&self, genome: &Genome, seed: u64) -> Result<Evaluation, EvaluatorError> {
        let mut laying = Laying::of(genome, &self.space);
        let _turn = self.free.acquire().await.map_err(|_| EvaluatorError::Closed)?;
        if let Some(builds) = &self.builds {
            match builds.build(&laying).await? {
                Ok(built) => laying.add(built),
                Err(failed) => return Ok(*failed),
            }
        }
        let mut evaluation = self.rules.blank(&Reply::default());
        let usage = &mut evaluation.usage;
        let room = usize::try_from(self.rules.limits.output_kib << 10).unwrap_or(usize::MAX);
        let mut log = Log::new(room);
        let (mut all, mut reached) = (Vec::new(), true);
        for ((cases, threshold), own) in self.set.stages.iter().zip(&self.runners) {
            let runner = own.as_ref().unwrap_or(&self.common);
            let tried = if reached {
                self.group(runner, &laying, cases, seed, usage, Some(&mut log)).await?
            } else {
                untried(cases)
            };
            reached = reached && accuracy(&tried) >= *threshold;
            all.extend(tried);
        }
        evaluation.metrics = tally::metrics(&all, self.suite.attempts);
        if !self.set.held_out.is_empty() {
            // Last, and in places of their own: nothing that is shown comes from a program
            // that has seen them.
            let tried = if reached {
                self.group(&self.common, &laying, &self.set.held_out, seed, usage, None).await?
            } else {
                untried(&self.set.held_out)
            };
            evaluation.metrics.insert(HELD_OUT.to_owned(), Metric::Number(accuracy(&tried)));
        }
        evaluation.artifacts.insert(LOG.to_owned(), log.end().into());
        evaluation.scores = scores(&self.rules.objectives, &evaluation.metrics, None);
        Ok(evaluation)
    }

    /// Ends all workers and waits until nothing of them is left.
    pub async fn close(self) {
        self.free.close();
        for runner in self.runners.into_iter().flatten().chain([self.common]) {
            runner.workers.close().await;
        }
        if let Some(judges) = self.judges {
            judges.close().await;
        }
        if let Some(builds) = self.builds {
            builds.close().await;
        }
        drop(self.directories);
    }

    /// Tries each of `cases` as often as the suite says.
    async fn group(
        &self,
        runner: &Runner,
        laying: &Laying,
        cases: &[Case],
        seed: u64,
        usage: &mut Usage,
        mut log: Option<&mut Log>,
    ) -> Result<Vec<Tried>, EvaluatorError> {
        let mut all = untried(cases);
        for attempt in 0..self.suite.attempts {
            let seed = seed.wrapping_add(u64::from(attempt));
            let mut turns = self.turns(runner, laying, cases, seed, usage).await?;
            self.judge(cases, &mut turns, seed).await?;
            for ((tried, case), turn) in all.iter_mut().zip(cases).zip(turns) {
                let verdict = turn.verdict.unwrap_or_else(|| Verdict::wrong("it was not scored"));
                if let Some(log) = log.as_deref_mut() {
                    log.push(&case.id, attempt + 1, &verdict, &turn.output, turn.wall_us);
                }
                tried.verdicts.push(verdict);
            }
        }
        Ok(all)
    }

    /// Has the agent's program answer all `cases` once, in a place of its own.
    async fn turns(
        &self,
        runner: &Runner,
        laying: &Laying,
        cases: &[Case],
        seed: u64,
        usage: &mut Usage,
    ) -> Result<Vec<Turn>, EvaluatorError> {
        let lines = self.suite.protocol == Protocol::JsonRpc;
        let input = |(at, case): (usize, &Case)| match (&case.input, lines) {
            (input, true) => rpc::request(at + 1, input),
            (serde_json::Value::String(text), false) => text.clone().into_bytes(),
            (input, false) => format!("{input}\n").into_bytes(),
        };
        let inputs: Vec<_> = cases.iter().enumerate().map(input).collect();
        let request = request(laying, &self.suite.argv, seed, &inputs, lines, false)?;
        let (mut turns, mut held) = (Vec::<Turn>::with_capacity(cases.len()), 0);
        let each = |reply: Reply, body: &[u8], hits| {
            let Some(case) = cases.get(turns.len()) else { return };
            let wall_us = reply.wall_us;
            let said = body.get(..reply.stdout.min(4 << 10)).unwrap_or_default();
            let output = shown(&String::from_utf8_lossy(said));
            let id = lines.then(|| turns.len() + 1);
            let (verdict, answer) = match runner.rules.answer(reply, body, hits, id) {
                Err(why) => (Some(Verdict::wrong(why)), None),
                Ok(answer) => match case.check.judge(&answer) {
                    Some(result) => (Some(Verdict::of(result)), None),
                    None => {
                        held += body.len();
                        let over = "all its answers together are more than 64 MiB";
                        let verdict = (held > MAX_HELD).then(|| Verdict::wrong(over));
                        let answer = verdict.is_none().then_some(answer);
                        (verdict, answer)
                    }
                },
            };
            turns.push(Turn { verdict, answer, output, wall_us });
        };
        let last = |reply: Reply, body: &[u8], hits| {
            usage.wall_us += reply.wall_us;
            usage.cpu_us += reply.cpu_us;
            usage.max_rss = usage.max_rss.max(reply.max_rss);
            Ok(runner.rules.why(reply, body, hits))
        };
        let told = runner.workers.ask(&request, each, last).await?;
        let why = told.unwrap_or_else(|lost| {
            usage.wall_us += lost.wall_us;
            runner.rules.took_down(lost)
        });
        turns.resize_with(cases.len(), || Turn::missing(&why));
        Ok(turns)
    }

    /// Has the suite's programs score those answers that are theirs to score.
    async fn judge(
        &self,
        cases: &[Case],
        turns: &mut [Turn],
        seed: u64,
    ) -> Result<(), EvaluatorError> {
        let Some(judges) = &self.judges else { return Ok(()) };
        let mut programs: BTreeMap<&[String], Vec<(usize, Vec<u8>)>> = BTreeMap::new();
        for (at, (case, turn)) in cases.iter().zip(turns.iter_mut()).enumerate() {
            if let (Check::Command { argv, expected }, Some(answer)) =
                (&case.check, turn.answer.take())
            {
                let output = match answer {
                    Answer::Text(text) => text.into(),
                    Answer::Json(value) => value,
                };
                let given = json!({ "input": case.input, "expected": expected, "output": output });
                let input = format!("{given}\n").into_bytes();
                programs.entry(argv).or_default().push((at, input));
            }
        }
        for (argv, all) in programs {
            let (places, inputs): (Vec<_>, Vec<_>) = all.into_iter().unzip();
            let request = request(&Laying::default(), argv, seed, &inputs, false, true)?;
            let mut verdicts = Vec::with_capacity(places.len());
            let each = |reply: Reply, body: &[u8], hits| {
                verdicts.push(self.rules.verdict(reply, body, hits).unwrap_or_else(unscored));
            };
            let last = |reply, body: &[u8], hits| Ok(self.rules.why(reply, body, hits));
            let why = judges.ask(&request, each, last).await?;
            let why = why.unwrap_or_else(|lost| self.rules.took_down(lost));
            verdicts.resize_with(places.len(), || unscored(why.clone()));
            for (at, verdict) in places.into_iter().zip(verdicts) {
                if let Some(turn) = turns.get_mut(at) {
                    turn.verdict = Some(verdict);
                }
            }
        }
        Ok(())
    }
}

impl Rules {
    /// The answer in a reply, or why there is none; `id` is that of the request, in JSON-RPC.
    fn answer(
        &self,
        reply: Reply,
        body: &[u8],
        hits: Hits,
        id: Option<usize>,
    ) -> Result<Answer, String> {
        if reply.early {
            return Err("it wrote more than one line for the case before".to_owned());
        }
        if reply.stdout_cut {
            return Err(format!("it answered more than {} KiB", self.limits.output_kib));
        }
        let cut_off = id.is_some() && reply.ended;
        if cut_off || reply.timed_out || reply.status != Status::Exited(0) {
            return Err(self.why(reply, body, hits));
        }
        let said = body.get(..reply.stdout).unwrap_or_default();
        let text = std::str::from_utf8(said).map_err(|_| "its answer is no UTF-8 text")?;
        Ok(match id {
            Some(id) => Answer::Json(rpc::answer(text, id).map_err(|why| outcome::one_line(&why))?),
            None => Answer::Text(text.to_owned()),
        })
    }

    /// What a program of the suite said of an answer.
    fn verdict(&self, reply: Reply, body: &[u8], hits: Hits) -> Result<Verdict, String> {
        if reply.timed_out || reply.stdout_cut || reply.status != Status::Exited(0) {
            return Err(self.why(reply, body, hits));
        }
        let said = body.get(..reply.stdout).unwrap_or_default();
        let judged: Judged = serde_json::from_slice(said).map_err(|error| error.to_string())?;
        let pass = judged.pass;
        let score = judged.score.or(pass.map(|pass| f64::from(u8::from(pass))));
        let score = score.ok_or("it printed neither score nor pass")?;
        if !(0.0..=1.0).contains(&score) {
            return Err(format!("it gave the score {score}, which is not from 0 to 1"));
        }
        let why = outcome::one_line(&judged.why);
        Ok(Verdict { score, pass: pass.unwrap_or(score == 1.0), why })
    }

    /// Why a program gave no answer, in words.
    fn why(&self, reply: Reply, body: &[u8], hits: Hits) -> String {
        match outcome::Answer::new(reply, body) {
            Some(answer) => self.reason(&answer, hits).reason,
            None => "its sandbox gave no answer".to_owned(),
        }
    }

    /// The same of one that took its sandbox down.
    fn took_down(&self, lost: Lost) -> String {
        let evaluation = self.lost(lost.late, lost.wall_us, lost.hits);
        evaluation.scores.map_or_else(|failure| failure.reason, |_| String::new())
    }
}

/// The cases as long as nothing was tried.
fn untried(cases: &[Case]) -> Vec<Tried> {
    cases.iter().map(|case| Tried { weight: case.weight, verdicts: Vec::new() }).collect()
}

/// The worth of an answer of which the suite's program did not tell it.
fn unscored(why: String) -> Verdict {
    Verdict::wrong(format!("the suite's scorer failed: {}", outcome::one_line(&why)))
}

fn request(
    laying: &Laying,
    argv: &[String],
    seed: u64,
    inputs: &[Vec<u8>],
    lines: bool,
    judges: bool,
) -> Result<Vec<u8>, EvaluatorError> {
    let sizes = inputs.iter().map(Vec::len).collect();
    let job = Job::Answer { lines, judges, inputs: sizes };
    laying.request(job, argv, String::new(), seed, inputs).map_err(|error| {
        EvaluatorError::Machine { what: "ask for answers", reason: error.to_string() }
    })
}
