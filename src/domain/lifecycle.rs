//! The lives of runs and agents: state × event → state.

use serde::{Deserialize, Serialize};

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// At work, or to be taken up again as soon as a daemon runs.
    Running,
    /// Stopped by its user; can be resumed.
    Stopped,
    /// A stop rule holds.
    Finished,
    /// It can't go on; the reason is recorded.
    Failed,
}

/// What can happen to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEvent {
    /// Its user stops it.
    Stop,
    /// Its user resumes it.
    Resume,
    /// A stop rule holds.
    Finish,
    /// It can't go on.
    Fail,
}

/// An event that cannot happen in that state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run that is {state} cannot {event}", state = .0.as_str(), event = .1.as_str())]
pub struct Impossible(pub RunState, pub RunEvent);

impl RunState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Running, Self::Stopped, Self::Finished, Self::Failed];

    /// The state that follows.
    ///
    /// # Errors
    /// If `event` cannot happen in this state.
    pub fn after(self, event: RunEvent) -> Result<Self, Impossible> {
        match (self, event) {
            (Self::Running, RunEvent::Stop) => Ok(Self::Stopped),
            (Self::Running, RunEvent::Finish) => Ok(Self::Finished),
            (Self::Running, RunEvent::Fail) => Ok(Self::Failed),
            // A finished run may be resumed with a wider budget.
            (Self::Stopped | Self::Failed | Self::Finished, RunEvent::Resume) => Ok(Self::Running),
            (state, event) => Err(Impossible(state, event)),
        }
    }

    /// Its name, as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl RunEvent {
    fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "be stopped",
            Self::Resume => "be resumed",
            Self::Finish => "finish",
            Self::Fail => "fail",
        }
    }
}

/// How an agent was judged (S-L5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It has no score: it failed, or missed a mandatory gate.
    Archived,
    /// Measured; not better than its best parent.
    Scored,
    /// Better than its best parent.
    Improved,
    /// Better than every agent of its run that was scored before its generation was made; in
    /// the first generation there is nobody to beat.
    Champion,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 4] = [Self::Archived, Self::Scored, Self::Improved, Self::Champion];

    /// Judges an agent by its fitness, its best parent's, and the best of its run before its
    /// generation; `None` is one that has no score, or does not exist. So it depends on nothing
    /// that workers or a restart could change.
    #[must_use]
    pub fn of(own: Option<f64>, parent: Option<f64>, best: Option<f64>) -> Self {
        match own {
            None => Self::Archived,
            Some(own) if best.is_some_and(|best| own > best) => Self::Champion,
            Some(own) if parent.is_some_and(|parent| own > parent) => Self::Improved,
            Some(_) => Self::Scored,
        }
    }

    /// Its name, as stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::Scored => "scored",
            Self::Improved => "improved",
            Self::Champion => "champion",
        }
    }

    /// The verdict of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_running_run_stops_and_only_an_ended_one_resumes() {
        for state in RunState::ALL {
            let running = state == RunState::Running;
            assert_eq!(state.after(RunEvent::Stop).is_ok(), running);
            assert_eq!(state.after(RunEvent::Finish).is_ok(), running);
            assert_eq!(state.after(RunEvent::Resume).is_ok(), !running);
            assert_eq!(RunState::named(state.as_str()), Some(state));
        }
    }

    #[test]
    fn a_verdict_compares_with_the_run_and_then_with_the_parents() {
        assert_eq!(Verdict::of(None, Some(1.0), None), Verdict::Archived);
        assert_eq!(Verdict::of(Some(3.5), Some(1.0), Some(3.0)), Verdict::Champion);
        assert_eq!(Verdict::of(Some(2.0), Some(1.0), Some(3.0)), Verdict::Improved);
        assert_eq!(Verdict::of(Some(1.0), Some(1.0), Some(1.0)), Verdict::Scored);
    }

    #[test]
    fn nobody_is_a_champion_who_had_nobody_to_beat() {
        assert_eq!(Verdict::of(Some(1.0), None, None), Verdict::Scored);
        assert_eq!(Verdict::of(Some(2.0), Some(1.0), None), Verdict::Improved);
    }
}
