//! Suites of matches: the agent's program plays against those of the suite, each in a sandbox of its
//! own, and the suite's referee, in another one, says what is played and who has won. All that they
//! say goes through a room of the hub.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::{OnceCell, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{
    build::Builds,
    directory::Directory,
    error::EvaluatorError,
    laying::Laying,
    outcome::Rules,
    plan::{Job, Reply},
    ratings::{Tally, pair, rating, ratings},
    score::scores,
    seat::{self, Left, Part},
    workers::Workers,
};
use crate::{
    config::arena::{agent, name},
    daemon::hub::{Hub, HubError, Who},
    domain::{
        evaluation::{Evaluation, Failure, FailureKind, Metric, Usage},
        genome::{Genome, Space},
        id::SessionId,
        suite::{self, Bundle, ELO, Schedule, WIN_RATE},
    },
};

/// The name of the artefact with a line for each match.
const LOG: &str = "matches.jsonl";
/// What the referee is called.
const REFEREE: &str = "referee";

/// A suite of matches, made ready.
#[derive(Debug)]
pub struct Arena {
    /// Where players' programs run.
    pub players: Workers,
    /// Where the referee does.
    pub referees: Workers,
    /// What is built before.
    pub builds: Option<Builds>,
    /// What the suite says.
    pub suite: suite::Arena,
    /// The opponents, in its order.
    pub opponents: Vec<Laying>,
    /// What each opponent has won against each other one, once that was played.
    pub table: OnceCell<Vec<Vec<Tally>>>,
    /// What the evaluation is judged by.
    pub rules: Rules,
    /// The parameters of all genomes.
    pub space: Arc<Space>,
    /// Evaluations that may be at work at once.
    pub free: Semaphore,
    /// Last, so that they go after the workers.
    pub directories: Vec<Directory>,
}

/// How a match ended.
struct Match {
    /// What each player has won, in the order of their seats; or why the referee did not say.
    scores: Result<Vec<f64>, String>,
    /// What each has done, in that order.
    players: Vec<Played>,
}

/// What a player has done in a match.
struct Played {
    usage: Usage,
    /// Why its program left before the end, if it did.
    left: Option<String>,
    /// Whether it said anything that it may.
    spoke: bool,
}

/// What the matches of an agent came to.
struct Record {
    /// Against each opponent.
    tallies: Vec<Tally>,
    /// The sum of what it won, in the referee's points, and the matches.
    points: f64,
    matches: u32,
    usage: Usage,
    /// How often its program left without having played, and why at last.
    left: u32,
    why: String,
    /// Why the referee did not say how a match ended: then nothing more is played.
    failed: Option<String>,
    log: String,
    room: usize,
}

/// What is laid for each opponent of a suite.
///
/// # Errors
/// If one can't be built.
pub async fn opponents(
    suite: &str,
    own: &suite::Arena,
    bundle: &Bundle,
    builds: Option<&Builds>,
) -> Result<Vec<Laying>, EvaluatorError> {
    let mut opponents = Vec::with_capacity(own.opponents.len());
    for opponent in &own.opponents {
        let genome = Genome { files: agent(opponent, bundle), ..Genome::default() };
        let mut laying = Laying::of(&genome, &Space::default());
        if let Some(builds) = builds {
            let built = builds.build(&laying).await?;
            laying.add(built.map_err(|failed| {
                let why = failed.scores.err().map_or_else(String::new, |why| why.reason);
                let reason = format!("the opponent {opponent} can't be built: {why}");
                EvaluatorError::Suite { suite: suite.to_owned(), reason }
            })?);
        }
        opponents.push(laying);
    }
    Ok(opponents)
}

impl Arena {
    /// Evaluates one genome.
    ///
    /// # Errors
    /// If no worker starts, or the referee fails where the agent does not play.
    pub async fn evaluate(&self, genome: &Genome, seed: u64) -> Result<Evaluation, EvaluatorError> {
        let mut agent = Laying::of(genome, &self.space);
        let _turn = self.free.acquire().await.map_err(|_| EvaluatorError::Closed)?;
        if let Some(builds) = &self.builds {
            match builds.build(&agent).await? {
                Ok(built) => agent.add(built),
                Err(failed) => return Ok(*failed),
            }
        }
        let table = self.table.get_or_try_init(|| self.opponents_table()).await?;
        let mut record = Record {
            tallies: vec![Tally::default(); self.opponents.len()],
            points: 0.0,
            matches: 0,
            usage: Usage::default(),
            left: 0,
            why: String::new(),
            failed: None,
            log: String::new(),
            room: usize::try_from(self.rules.limits.output_kib << 10).unwrap_or(usize::MAX),
        };
        match self.suite.schedule {
            Schedule::RoundRobin => {
                for first in 0..self.opponents.len() {
                    self.meet(&agent, first, seed, &mut record).await?;
                }
            }
            Schedule::Swiss => self.swiss(&agent, table, seed, &mut record).await?,
        }
        Ok(self.judge(record, table))
    }

    /// Ends all workers and waits until nothing of them is left.
    pub async fn close(self) {
        self.free.close();
        self.players.close().await;
        self.referees.close().await;
        if let Some(builds) = self.builds {
            builds.close().await;
        }
        drop(self.directories);
    }

    /// What the opponents win against each other: the same whoever plays them, so it is played once.
    async fn opponents_table(&self) -> Result<Vec<Vec<Tally>>, EvaluatorError> {
        let all = self.opponents.len();
        let mut table = vec![vec![Tally::default(); all]; all];
        if self.suite.players > 2 {
            // Between them nothing is played: all are average.
            return Ok(table);
        }
        let pairs = (0..all).flat_map(|first| (first + 1..all).map(move |second| (first, second)));
        for (first, second) in pairs {
            let mut tally = Tally::default();
            for round in 0..self.suite.matches {
                let players = [&self.opponents[first], &self.opponents[second]];
                let played = self.seated(&players, round, round.into()).await?;
                let names = [first, second].map(|at| name(&self.suite.opponents[at]));
                let scores = played.scores.map_err(|why| EvaluatorError::Referee {
                    first: names[0].to_owned(),
                    second: names[1].to_owned(),
                    why,
                })?;
                tally.count(scores[0], scores[1]);
            }
            (table[first][second], table[second][first]) = (tally, tally.turned());
        }
        Ok(table)
    }

    /// Plays the Swiss system: the agent, and the opponents among each other by the table.
    async fn swiss(
        &self,
        agent: &Laying,
        table: &[Vec<Tally>],
        seed: u64,
        record: &mut Record,
    ) -> Result<(), EvaluatorError> {
        // The agent is the first of all.
        let all = self.opponents.len() + 1;
        let (mut points, mut rested) = (vec![0.0; all], vec![false; all]);
        let mut met = vec![vec![false; all]; all];
        for _ in 0..self.suite.rounds.unwrap_or(0) {
            let pairs = pair(&points, &|a, b| met[a][b], &rested);
            for player in 0..all {
                if !pairs.iter().any(|(a, b)| [*a, *b].contains(&player)) {
                    // Whom nobody is left for has won.
                    (rested[player], points[player]) = (true, points[player] + 1.0);
                }
            }
            for (a, b) in pairs {
                (met[a][b], met[b][a]) = (true, true);
                // Of two the agent is the first, if it is one of them.
                let (a, b) = (a.min(b), a.max(b));
                let tally = if a == 0 {
                    self.meet(agent, b - 1, seed, record).await?;
                    record.tallies[b - 1]
                } else {
                    table[a - 1][b - 1]
                };
                if record.failed.is_some() {
                    return Ok(());
                }
                points[a] += tally.won / tally.played;
                points[b] += tally.turned().won / tally.played;
            }
        }
        Ok(())
    }

    /// Has the agent play the opponent of that number, and those after it where more play a match.
    async fn meet(
        &self,
        agent: &Laying,
        first: usize,
        seed: u64,
        record: &mut Record,
    ) -> Result<(), EvaluatorError> {
        let others: Vec<_> = (first..first + self.suite.players as usize - 1)
            .map(|number| number % self.opponents.len())
            .collect();
        let mut players = vec![agent];
        players.extend(others.iter().map(|number| &self.opponents[*number]));
        for round in 0..self.suite.matches {
            if record.failed.is_some() {
                break;
            }
            let played = self.seated(&players, round, seed.wrapping_add(round.into())).await?;
            record.count(&self.suite, &others, played);
        }
        Ok(())
    }

    /// Plays a match with the seats moved on by as many as rounds were played; its scores are in the
    /// order of `players`.
    async fn seated(
        &self,
        players: &[&Laying],
        round: u32,
        seed: u64,
    ) -> Result<Match, EvaluatorError> {
        let by = round as usize % players.len();
        let mut seats = players.to_vec();
        seats.rotate_right(by);
        let mut played = self.play(&seats, seed).await?;
        played.scores.iter_mut().for_each(|scores| scores.rotate_left(by));
        played.players.rotate_left(by);
        Ok(played)
    }

    /// Plays one match, by the players in the order of their seats.
    async fn play(&self, seats: &[&Laying], seed: u64) -> Result<Match, EvaluatorError> {
        let hub = Hub::default();
        let enter = |name: &str| {
            let who = Who { name: name.to_owned(), user: String::new() };
            let entered = hub.enter(SessionId::from_bytes([0; 16]), "match", who);
            entered.map(|(member, _)| member).map_err(|error: HubError| EvaluatorError::Machine {
                what: "seat a player",
                reason: error.to_string(),
            })
        };
        let unmade = |error: std::io::Error| EvaluatorError::Machine {
            what: "start a match",
            reason: error.to_string(),
        };
        // All have come before anybody speaks.
        let referee = enter(REFEREE)?;
        let mut members = Vec::with_capacity(seats.len());
        for at in 0..seats.len() {
            members.push(enter(&at.to_string())?);
        }
        let over = CancellationToken::new();
        let playing = members.into_iter().zip(seats).map(async |(member, laying)| {
            let job = Job::Talk { referees: false };
            let request = laying.request(job, &self.suite.argv, String::new(), seed, &[]);
            let seat = (member, Part::Player { usual: Some(REFEREE), talks: self.suite.talk });
            seat::attend(&self.players, &request.map_err(unmade)?, seat, None, &over).await
        });
        let refereeing = async {
            // However it ends, the match has ended then.
            let _over = over.clone().drop_guard();
            let job = Job::Talk { referees: true };
            let argv = &self.suite.referee;
            let request = Laying::default().request(job, argv, String::new(), seed, &[]);
            let opening = json!({ "players": seats.len(), "seed": seed });
            let seat = (referee, Part::Referee);
            let request = request.map_err(unmade)?;
            seat::attend(&self.referees, &request, seat, Some(opening), &over).await
        };
        let (players, referee) = tokio::join!(futures_util::future::join_all(playing), refereeing);
        let scores = self.scores(referee?, seats.len());
        let players = players.into_iter().map(|left| {
            let left = left?;
            let spoke = left.spoke;
            let (usage, left) = left.told(&self.rules);
            Ok(Played { usage, left, spoke })
        });
        Ok(Match { scores, players: players.collect::<Result<_, EvaluatorError>>()? })
    }

    /// What the referee says that each of so many players has won.
    fn scores(&self, referee: Left, players: usize) -> Result<Vec<f64>, String> {
        Err(match referee.scores.as_deref() {
            Some(scores) if scores.len() == players => {
                if scores.iter().all(|score| score.is_finite()) {
                    return Ok(scores.to_vec());
                }
                "it said scores that are not finite".to_owned()
            }
            Some(scores) => format!("it said {} scores for {players} players", scores.len()),
            None => {
                referee.told(&self.rules).1.unwrap_or_else(|| "it ended without scores".to_owned())
            }
        })
    }

    /// What the matches come to.
    fn judge(&self, record: Record, table: &[Vec<Tally>]) -> Evaluation {
        let mut evaluation = self.rules.blank(&Reply::default());
        evaluation.usage = record.usage;
        let known = ratings(table);
        let results: Vec<_> = known.into_iter().zip(record.tallies.iter().copied()).collect();
        let (won, played) = results
            .iter()
            .fold((0.0, 0.0), |(won, played), (_, tally)| (won + tally.won, played + tally.played));
        let mut put = |name: &str, value: f64| {
            evaluation.metrics.insert(name.to_owned(), Metric::Number(value));
        };
        if record.failed.is_none() {
            put(WIN_RATE, won / played);
            put(ELO, rating(&results));
            put("points", record.points / f64::from(record.matches));
        }
        put("matches", record.matches.into());
        for (opponent, tally) in self.suite.opponents.iter().zip(&record.tallies) {
            if tally.played > 0.0 {
                put(&format!("{WIN_RATE}.{}", name(opponent)), tally.won / tally.played);
            }
        }
        if !record.log.is_empty() {
            evaluation.artifacts.insert(LOG.to_owned(), record.log.into());
        }
        evaluation.scores = if let Some(why) = record.failed {
            let reason = format!("the referee failed: {why}");
            Err(Failure { kind: FailureKind::BadMetrics, reason })
        } else if record.left == record.matches {
            // It has not played at all, whatever the referee made of that.
            Err(Failure { kind: FailureKind::Crashed, reason: record.why })
        } else {
            scores(&self.rules.objectives, &evaluation.metrics, None)
        };
        evaluation
    }
}

impl Record {
    /// Counts a match of the agent, the first of the players, against `others`.
    fn count(&mut self, suite: &suite::Arena, others: &[usize], played: Match) {
        let Match { scores, players } = played;
        let scores = match scores {
            Ok(scores) => scores,
            Err(why) => {
                self.failed = Some(why);
                return;
            }
        };
        for (other, score) in others.iter().zip(&scores[1..]) {
            self.tallies[*other].count(scores[0], *score);
        }
        self.points += scores[0];
        self.matches += 1;
        let mut names = vec!["agent"];
        names.extend(others.iter().map(|other| name(&suite.opponents[*other])));
        let left: serde_json::Map<_, _> = names
            .iter()
            .zip(&players)
            .filter_map(|(name, played)| Some(((*name).to_owned(), played.left.clone()?.into())))
            .collect();
        let mut line = json!({ "match": self.matches, "players": names, "scores": scores });
        if !left.is_empty() {
            line["left"] = left.into();
        }
        let line = format!("{line}\n");
        if line.len() <= self.room {
            self.room -= line.len();
            self.log += &line;
        }
        if let Some(Played { usage, left, spoke }) = players.into_iter().next() {
            self.usage.wall_us += usage.wall_us;
            self.usage.cpu_us += usage.cpu_us;
            self.usage.max_rss = self.usage.max_rss.max(usage.max_rss);
            if let (Some(why), false) = (left, spoke) {
                (self.left, self.why) = (self.left + 1, why);
            }
        }
    }
}
