//! A program in a room: it hears what is said to it there, a line each, and its own lines are said
//! there.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    error::EvaluatorError,
    outcome::{Answer, Rules, one_line},
    plan::{Reply, Status},
    words::{self, Line},
    workers::{Ended, Lost, Workers},
};
use crate::{
    daemon::hub::{Heard, HubError, Member, Place},
    domain::evaluation::Usage,
};

/// Lines on their way to a program that waits for none.
const AHEAD: usize = 16;

/// What a program is in its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// It talks to all players, hears who has left and who is late, and says how it ended.
    Referee,
    /// It talks to this one, and, if it may, to others that it names.
    Player {
        /// To whom it talks; none: to all.
        usual: Option<&'a str>,
        /// Whether it may talk to others.
        talks: bool,
    },
}

/// How it left.
#[derive(Debug)]
pub struct Left {
    /// What its sandbox says.
    pub end: Ended,
    /// Whether it said anything that it may.
    pub spoke: bool,
    /// What it said that it may not.
    pub wrong: Option<String>,
    /// What each player has won, if it said so.
    pub scores: Option<Vec<f64>>,
}

impl Left {
    /// What it used, and why it left before the end, if it did.
    #[must_use]
    pub fn told(self, rules: &Rules) -> (Usage, Option<String>) {
        let (usage, why) = match self.end {
            Ok((reply, errors, hits)) => {
                let Reply { wall_us, cpu_us, max_rss, .. } = reply;
                // Who ends well after its last word may have heard that it was over, or not: by
                // chance.
                let well = self.spoke && reply.status == Status::Exited(0);
                let gone = reply.ended && !well || reply.timed_out || reply.flooded;
                let why = Answer::new(reply, &errors)
                    .filter(|_| gone)
                    .map(|answer| rules.reason(&answer, hits).reason);
                (Usage { wall_us, cpu_us, max_rss }, why)
            }
            Err(Lost { late, wall_us, hits }) => {
                let lost = rules.lost(late, wall_us, hits);
                (lost.usage, lost.scores.err().map(|failure| failure.reason))
            }
        };
        (usage, self.wrong.map(|why| one_line(&why)).or(why))
    }
}

/// A program at its place.
struct Seat<'a> {
    part: Part<'a>,
    place: Place,
    /// What it was not told yet.
    news: VecDeque<Vec<u8>>,
    /// By when members must answer.
    due: HashMap<String, Instant>,
    spoke: bool,
    wrong: Option<String>,
    scores: Option<Vec<f64>>,
}

/// Has the program of `request` be `member`, first told `opening`, until it ends, says the scores, or
/// `over` is cancelled.
///
/// # Errors
/// If no sandbox starts.
pub async fn attend(
    workers: &Workers,
    request: &[u8],
    (member, part): (Member, Part<'_>),
    opening: Option<Value>,
    over: &CancellationToken,
) -> Result<Left, EvaluatorError> {
    let Member { place, mut inbox } = member;
    let (lines, hears) = mpsc::channel(AHEAD);
    let (said, mut says) = mpsc::unbounded_channel();
    let talking = workers.talk(request, hears, |line| {
        // Somebody listens as long as it talks.
        let _ = said.send(line.to_vec());
    });
    let mut talking = std::pin::pin!(talking);
    let news = opening.iter().map(words::line).collect();
    let mut seat =
        Seat { part, place, news, due: HashMap::new(), spoke: false, wrong: None, scores: None };
    let (mut lines, mut hears_more) = (Some(lines), true);
    let end = loop {
        let is_over = over.is_cancelled() || seat.wrong.is_some() || seat.scores.is_some();
        if is_over {
            // It is ended then.
            (lines, hears_more) = (None, false);
        }
        let next_due = seat.due.values().min().copied();
        tokio::select! {
            biased;
            end = &mut talking => break end?,
            line = says.recv() => if let (Some(line), false) = (line, is_over) {
                seat.says(&line);
            },
            () = over.cancelled(), if !is_over => {}
            room = reserve(lines.as_ref()), if hears_more && !seat.news.is_empty() => {
                let next = room.zip(seat.news.pop_front());
                hears_more = next.map(|(room, next)| room.send(next)).is_some();
            }
            heard = inbox.hear(), if seat.news.is_empty() && !is_over => match heard {
                Some(heard) => seat.hears(&heard),
                None => seat.wrong = Some("it did not take its messages off".to_owned()),
            },
            () = wait(next_due), if !is_over => {
                // What has come in time is not late because the program has yet to read more.
                while let Some(heard) = inbox.heard() {
                    seat.hears(&heard);
                }
                seat.looks_for_late();
            }
        }
    };
    // What it said before its end came before the end.
    while let Ok(line) = says.try_recv() {
        if seat.wrong.is_none() && seat.scores.is_none() && !over.is_cancelled() {
            seat.says(&line);
        }
    }
    Ok(Left { end, spoke: seat.spoke, wrong: seat.wrong, scores: seat.scores })
}

async fn reserve(lines: Option<&mpsc::Sender<Vec<u8>>>) -> Option<mpsc::Permit<'_, Vec<u8>>> {
    lines?.reserve().await.ok()
}

async fn wait(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl Seat<'_> {
    /// Says in the room what the program says.
    fn says(&mut self, line: &[u8]) {
        let (to, content, within) = match (words::read(line), self.part) {
            (Ok(Line::Say { to, content, within }), _) => (to, content, within),
            (Ok(Line::Scores(scores)), Part::Referee) => {
                self.scores = Some(scores);
                return;
            }
            (Ok(Line::Scores(_)), Part::Player { .. }) => {
                self.wrong = Some("it said scores, as only the referee may".to_owned());
                return;
            }
            (Err(why), _) => {
                self.wrong = Some(why);
                return;
            }
        };
        let to = match (to, self.part) {
            (Some(to), Part::Player { usual, talks: false }) if Some(&*to) != usual => {
                self.wrong = Some(format!("it may talk to the {} only", usual.unwrap_or("room")));
                return;
            }
            (Some(to), _) => Some(to),
            (None, Part::Player { usual, .. }) => usual.map(str::to_owned),
            (None, Part::Referee) => None,
        };
        self.spoke = true;
        let missed = match (self.place.say(to.as_deref(), &content.into()), self.part) {
            (Ok(missed), _) => missed,
            (Err(HubError::Full(name)), Part::Player { usual, .. }) if Some(&*name) == usual => {
                self.wrong = Some(format!("it said more than the {name} takes off"));
                return;
            }
            // Who is not there, or does not read, has left for the referee, which is told so.
            (Err(_), _) => to.iter().cloned().collect(),
        };
        if let (Part::Referee, Some(within)) = (self.part, within)
            && let Some(to) = to
            && !missed.contains(&to)
        {
            self.due.insert(to, Instant::now() + Duration::from_secs_f64(within));
        }
        if self.part == Part::Referee {
            self.news.extend(missed.iter().map(|name| words::line(&json!({ "left": name }))));
        }
    }

    /// Notes what is heard in the room, for the program.
    fn hears(&mut self, heard: &Heard) {
        match heard {
            Heard::Said { from, content } => {
                self.due.remove(from);
                self.news.push_back(words::heard(from, content));
            }
            Heard::Left(name) if self.part == Part::Referee => {
                self.due.remove(name);
                self.news.push_back(words::line(&json!({ "left": name })));
            }
            Heard::Left(_) | Heard::Joined(_) => {}
        }
    }

    fn looks_for_late(&mut self) {
        let now = Instant::now();
        let late = self.due.extract_if(|_, due| *due <= now).map(|(name, _)| name);
        let mut late: Vec<_> = late.collect();
        late.sort();
        self.news.extend(late.iter().map(|name| words::line(&json!({ "late": name }))));
    }
}
