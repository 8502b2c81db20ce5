//! Progress of a run for those who follow it: no more often than they can look, and the last one
//! always.

use std::time::Duration;

use futures_util::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tonic::Status;

use crate::{
    code::Code,
    wire::{fault::Fault, limits::MAX_PROGRESS_RATE, v1::Progress},
};

/// The least time between two messages.
const PAUSE: Duration = Duration::from_millis(1000 / MAX_PROGRESS_RATE as u64);

/// The states as they change, at most one each [`PAUSE`], until one says that the run rests. A run
/// at work of which nobody will tell any more is one of a daemon that is ending.
pub fn follow<S>(
    states: watch::Receiver<S>,
    progress: fn(&S) -> Progress,
) -> impl Stream<Item = Result<Progress, Status>> + Send
where
    S: Send + Sync + 'static,
{
    // When the next one is told, if there is to be one.
    let next = Some((states, Instant::now()));
    stream::unfold(next, move |next| async move {
        let (mut states, due) = next?;
        if due > Instant::now() {
            // What changes within the pause is told together, after it.
            let changed = states.changed().await;
            sleep_until(due).await;
            if changed.is_err() && is_at_work(&progress(&states.borrow())) {
                let ending = Fault::new(Code::Unavailable, "the daemon is ending");
                return Some((Err(ending.into()), None));
            }
        }
        let told = progress(&states.borrow_and_update());
        let next = is_at_work(&told).then(|| (states, Instant::now() + PAUSE));
        Some((Ok(told), next))
    })
}

fn is_at_work(progress: &Progress) -> bool {
    progress.run.as_ref().is_some_and(|run| run.state == "running")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::StreamExt as _;

    use super::*;
    use crate::wire::v1::Run;

    /// A run's count of agents, and whether it is at work.
    type State = (u64, bool);

    fn progress(state: &State) -> Progress {
        let name = if state.1 { "running" } else { "finished" };
        let run = Run { agents: state.0, state: name.to_owned(), ..Default::default() };
        Progress { run: Some(run), rate: 0.0 }
    }

    fn agents(progress: Option<Result<Progress, Status>>) -> u64 {
        progress.unwrap().unwrap().run.unwrap().agents
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_coalesced_and_the_last_state_always_comes() {
        let (sender, states) = watch::channel((0, true));
        let mut told = pin!(follow(states, progress));
        assert_eq!(agents(told.next().await), 0);
        let begun = Instant::now();
        for count in 1..=1000 {
            sender.send_replace((count, true));
        }
        assert_eq!(agents(told.next().await), 1000);
        assert_eq!(begun.elapsed(), PAUSE);
        sender.send_replace((1001, false));
        drop(sender);
        assert_eq!(agents(told.next().await), 1001);
        assert!(told.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_at_rest_is_told_once_and_of_one_at_work_that_nobody_knows_more() {
        let (_, states) = watch::channel((7, false));
        let mut told = pin!(follow(states, progress));
        assert_eq!(agents(told.next().await), 7);
        assert!(told.next().await.is_none());

        let (sender, states) = watch::channel((7, true));
        let mut told = pin!(follow(states, progress));
        assert_eq!(agents(told.next().await), 7);
        drop(sender);
        let ending = Fault::from(told.next().await.unwrap().unwrap_err());
        assert_eq!(ending.code, Code::Unavailable);
        assert!(told.next().await.is_none());
    }
}
