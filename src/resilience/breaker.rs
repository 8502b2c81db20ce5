//! A circuit breaker: whoever fails too often is left alone for a while, then tried carefully.
//! (M. Nygard, *Release It!*, 2nd ed. 2018, section 5.2.)

use std::time::{Duration, Instant};

use super::backoff::Backoff;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long an outcome counts.
    pub window: Duration,
    /// The fewest outcomes in a window by which it is judged.
    pub least: u32,
    /// The share of failures, from 0 to 1, from which on it opens.
    pub share: f64,
    /// How long it stays open the first time; each time in a row twice as long, ...
    pub first: Duration,
    /// ... but not longer than this.
    pub longest: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            least: 5,
            share: 0.5,
            first: Duration::from_millis(250),
            longest: Duration::from_secs(5),
        }
    }
}

/// What a breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It lets all through.
    Closed,
    /// It lets none through.
    Open,
    /// One call is on its way to find out.
    HalfOpen,
}

impl State {
    /// Its name, as metrics and `status` show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// How many parts a window has; outcomes leave it a part at a time.
const PARTS: usize = 10;

/// A breaker for one peer and method.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    /// By part of the window: calls that went well, calls that failed. The last one is at work.
    counts: [(u32, u32); PARTS],
    /// When the last part began.
    since: Instant,
    /// When the next call may go out to find out, if it is not closed, and whether one has.
    until: Option<(Instant, bool)>,
    backoff: Backoff,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let backoff = Backoff::new(settings.first, settings.longest);
        Self { settings, counts: [(0, 0); PARTS], since: now, until: None, backoff }
    }

    /// What it does at the moment.
    #[must_use]
    pub fn state(&self) -> State {
        match self.until {
            None => State::Closed,
            Some((_, false)) => State::Open,
            Some((_, true)) => State::HalfOpen,
        }
    }

    /// Whether a call may go out now. After one that may, [`Self::ended`] must be told how it
    /// ended, or [`Self::unknown`] that nobody knows.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match &mut self.until {
            None => Ok(()),
            Some((at, probing)) if *at <= now => {
                // If nobody ever says how this one ended, another may try after as long again.
                (*at, *probing) = (now + self.settings.longest, true);
                Ok(())
            }
            Some((at, _)) => Err(*at - now),
        }
    }

    /// Whether it would let a call through now.
    #[must_use]
    pub fn would_admit(&self, now: Instant) -> bool {
        self.until.is_none_or(|(at, _)| at <= now)
    }

    /// A call ended: well, or with a failure that says something about the peer. `random` is drawn
    /// from `[0, 1)`.
    pub fn ended(&mut self, well: bool, now: Instant, random: f64) {
        match (self.state(), well) {
            // From before it opened.
            (State::Open, _) => {}
            (State::HalfOpen, true) => {
                self.backoff.reset();
                (self.until, self.counts) = (None, [(0, 0); PARTS]);
            }
            (State::HalfOpen, false) => self.open(now, random),
            (State::Closed, well) => {
                self.turn(now);
                let last = &mut self.counts[PARTS - 1];
                let count = if well { &mut last.0 } else { &mut last.1 };
                *count = count.saturating_add(1);
                let (good, bad) = self.counts.iter().fold((0.0, 0.0), |(good, bad), part| {
                    (good + f64::from(part.0), bad + f64::from(part.1))
                });
                let enough = good + bad >= f64::from(self.settings.least);
                if !well && enough && bad >= self.settings.share * (good + bad) {
                    self.open(now, random);
                }
            }
        }
    }

    /// A call was given up: it says nothing about the peer.
    pub fn unknown(&mut self, now: Instant) {
        if let Some((at, probing @ true)) = &mut self.until {
            (*at, *probing) = (now, false);
        }
    }

    fn open(&mut self, now: Instant, random: f64) {
        self.until = Some((now + self.backoff.next(random), false));
        self.counts = [(0, 0); PARTS];
    }

    /// Forgets what has left the window.
    fn turn(&mut self, now: Instant) {
        let part = self.settings.window / PARTS as u32;
        let passed = now.saturating_duration_since(self.since);
        let parts = passed.as_nanos() / part.as_nanos().max(1);
        let parts = usize::try_from(parts).unwrap_or(usize::MAX);
        if parts == 0 {
            return;
        }
        if parts >= PARTS {
            (self.counts, self.since) = ([(0, 0); PARTS], now);
            return;
        }
        self.counts.rotate_left(parts);
        self.counts[PARTS - parts..].fill((0, 0));
        self.since += part * parts as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn breaker() -> (Breaker, Instant) {
        let now = Instant::now();
        (Breaker::new(Settings::default(), now), now)
    }

    #[test]
    fn it_opens_on_a_share_of_failures_but_not_on_a_few_calls() {
        for (outcomes, state) in [
            // Fewer than five say nothing.
            (&[false, false, false, false][..], State::Closed),
            (&[false, false, false, false, false], State::Open),
            (&[true, true, true, false, false], State::Closed),
            (&[true, true, false, false, true, false], State::Open),
            // Only a failure opens it.
            (&[false, false, false, false, true], State::Closed),
        ] {
            let (mut breaker, now) = breaker();
            for well in outcomes {
                breaker.admit(now).unwrap();
                breaker.ended(*well, now, 0.0);
            }
            assert_eq!(breaker.state(), state, "{outcomes:?}");
        }
    }

    #[test]
    fn outcomes_count_as_long_as_the_window() {
        let (mut breaker, now) = breaker();
        for _ in 0..4 {
            breaker.ended(false, now, 0.0);
        }
        breaker.ended(false, now + 10_001 * MS, 0.0);
        assert_eq!(breaker.state(), State::Closed);
        for _ in 0..4 {
            breaker.ended(false, now + 19_000 * MS, 0.0);
        }
        assert_eq!(breaker.state(), State::Open);
    }

    #[test]
    fn one_call_finds_out_and_the_wait_doubles_until_it_goes_well() {
        let (mut breaker, mut now) = breaker();
        for _ in 0..5 {
            breaker.ended(false, now, 0.0);
        }
        for wait in [250, 500, 1000, 2000, 4000, 5000, 5000] {
            assert_eq!(breaker.admit(now), Err(wait * MS));
            assert_eq!(breaker.admit(now + (wait - 1) * MS), Err(MS));
            now += wait * MS;
            assert_eq!((breaker.admit(now), breaker.state()), (Ok(()), State::HalfOpen));
            // The others wait for it.
            assert!(breaker.admit(now).is_err());
            breaker.ended(false, now, 0.0);
            assert_eq!(breaker.state(), State::Open);
        }
        now += 5000 * MS;
        breaker.admit(now).unwrap();
        breaker.ended(true, now, 0.0);
        assert_eq!((breaker.state(), breaker.admit(now)), (State::Closed, Ok(())));
        for _ in 0..5 {
            breaker.ended(false, now, 0.0);
        }
        assert_eq!(breaker.admit(now), Err(250 * MS), "it begins anew");
    }

    #[test]
    fn a_call_that_was_given_up_lets_another_one_find_out() {
        let (mut breaker, now) = breaker();
        for _ in 0..5 {
            breaker.ended(false, now, 0.0);
        }
        let later = now + 250 * MS;
        breaker.admit(later).unwrap();
        breaker.unknown(later);
        assert_eq!(breaker.admit(later), Ok(()));
        // And one that nobody heard of again holds up the others for a while only.
        assert_eq!(breaker.admit(later + 5000 * MS), Ok(()));
        // What comes back late from before it opened changes nothing.
        let (mut breaker, now) = self::breaker();
        for _ in 0..5 {
            breaker.ended(false, now, 0.0);
        }
        breaker.ended(true, now, 0.0);
        assert_eq!(breaker.state(), State::Open);
    }
}
