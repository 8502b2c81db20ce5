//! Who is let in when there is more to do than can be done: a bounded number at work, a bounded
//! queue, and the rest turned away at once. Interactive calls go first.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use crate::wire::access::Class;

/// How much is taken on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Calls at work at once.
    pub at_work: usize,
    /// Of these at the most, interactive ones and batch ones. More interactive ones would only wait
    /// for each other; more batch ones would hold up all others.
    pub most: [usize; 2],
    /// Calls of each class that wait.
    pub waiting: usize,
    /// How long one of each class waits at most before it is turned away.
    pub patience: [Duration; 2],
}

impl Limits {
    /// Those of a door that lets in so many.
    #[must_use]
    pub fn of(at_work: usize) -> Self {
        Self {
            at_work,
            most: [(at_work / 4).max(1), (at_work * 3 / 4).max(1)],
            waiting: 2 * at_work,
            // An interactive answer is of no use much later.
            patience: [Duration::from_millis(25), Duration::from_millis(500)],
        }
    }
}

/// Turned away; when to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the daemon has too much to do; try again in {after:?}")]
pub struct Shed {
    /// How long to wait.
    pub after: Duration,
}

/// What whoever is turned away is told: a queue has emptied by then.
pub const SHED: Shed = Shed { after: Duration::from_millis(500) };

/// The door. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// At work, by class.
    at_work: [usize; 2],
    /// Waiting, by class; the first has waited longest.
    waiting: [VecDeque<oneshot::Sender<Place>>; 2],
}

/// A place at work; it is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    /// None once it was taken back.
    inner: Option<Arc<Inner>>,
    class: Class,
}

impl Admission {
    /// With these limits.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner { limits, state: Mutex::default() }))
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// If the queue is full, or no place becomes free in time.
    pub async fn enter(&self, class: Class) -> Result<Place, Shed> {
        let inner = &self.0;
        let answer = {
            let mut state = inner.state();
            if state.waiting[class as usize].is_empty() && inner.room(&state, class) {
                state.at_work[class as usize] += 1;
                return Ok(Place { inner: Some(inner.clone()), class });
            }
            let waiting = &mut state.waiting[class as usize];
            // Who has gone makes room.
            waiting.retain(|place| !place.is_closed());
            if waiting.len() >= inner.limits.waiting {
                return Err(SHED);
            }
            let (place, answer) = oneshot::channel();
            waiting.push_back(place);
            answer
        };
        match tokio::time::timeout(inner.limits.patience[class as usize], answer).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(SHED),
        }
    }

    /// Whether one more would be turned away.
    #[must_use]
    pub fn full(&self, class: Class) -> bool {
        let state = self.0.state();
        let waiting = &state.waiting[class as usize];
        waiting.len() >= self.0.limits.waiting && waiting.iter().all(|place| !place.is_closed())
    }

    /// How many calls of that class are at work, and how many wait.
    #[must_use]
    pub fn depth(&self, class: Class) -> (usize, usize) {
        let state = self.0.state();
        let waiting = state.waiting[class as usize].iter().filter(|place| !place.is_closed());
        (state.at_work[class as usize], waiting.count())
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements that hold the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, state: &State, class: Class) -> bool {
        let [interactive, batch] = state.at_work;
        let free = interactive + batch < self.limits.at_work;
        free && state.at_work[class as usize] < self.limits.most[class as usize]
    }

    /// Gives the free places to who waits. A place that its caller has no use for any more comes
    /// back.
    fn hand_on(self: &Arc<Self>) {
        loop {
            let next = {
                let mut state = self.state();
                let classes = [Class::Interactive, Class::Batch];
                let next = classes.into_iter().find_map(|class| {
                    if !self.room(&state, class) {
                        return None;
                    }
                    Some((class, state.waiting[class as usize].pop_front()?))
                });
                if let Some((class, _)) = &next {
                    state.at_work[*class as usize] += 1;
                }
                next
            };
            let Some((class, waiting)) = next else { return };
            let place = Place { inner: Some(self.clone()), class };
            if let Err(mut place) = waiting.send(place) {
                // Not by its drop, which would come back here, one deeper each time.
                place.inner = None;
                self.state().at_work[class as usize] -= 1;
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            inner.state().at_work[self.class as usize] -= 1;
            inner.hand_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const LIMITS: Limits = Limits {
        at_work: 3,
        most: [3, 2],
        waiting: 4,
        patience: [Duration::from_millis(100), Duration::from_millis(700)],
    };

    #[tokio::test(start_paused = true)]
    async fn batch_calls_leave_a_place_for_interactive_ones() {
        let door = Admission::new(LIMITS);
        let mut batch = Vec::new();
        for _ in 0..2 {
            batch.push(door.enter(Class::Batch).await.unwrap());
        }
        assert!(door.enter(Class::Batch).now_or_never().is_none());
        let interactive = door.enter(Class::Interactive).await.unwrap();
        assert!(door.enter(Class::Interactive).now_or_never().is_none());
        drop(interactive);
        let _next = door.enter(Class::Interactive).now_or_never().unwrap().unwrap();
        assert_eq!((door.depth(Class::Batch), door.depth(Class::Interactive)), ((2, 0), (1, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn interactive_calls_go_first_and_each_class_in_its_order() {
        let door = Admission::new(Limits { at_work: 1, ..LIMITS });
        let first = door.enter(Class::Batch).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for (name, class) in [
            ("b1", Class::Batch),
            ("b2", Class::Batch),
            ("i1", Class::Interactive),
            ("i2", Class::Interactive),
        ] {
            let (own, order) = (door.clone(), order.clone());
            tasks.push(tokio::spawn(async move {
                let _place = own.enter(class).await.unwrap();
                order.lock().unwrap().push(name);
            }));
            tokio::task::yield_now().await;
        }
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), ["i1", "i2", "b1", "b2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_room_is_turned_away_at_once_or_in_time() {
        let door = Admission::new(Limits { at_work: 1, ..LIMITS });
        let place = door.enter(Class::Interactive).await.unwrap();
        let begun = tokio::time::Instant::now();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let door = door.clone();
                tokio::spawn(async move { door.enter(Class::Interactive).await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        assert_eq!(door.depth(Class::Interactive), (1, 4));
        let shed = door.enter(Class::Interactive).now_or_never().unwrap().unwrap_err();
        assert_eq!(shed, SHED);
        for task in waiting {
            assert_eq!(task.await.unwrap(), Err(shed));
        }
        assert_eq!(begun.elapsed(), LIMITS.patience[0]);
        drop(place);
        assert_eq!(door.depth(Class::Interactive), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn places_of_callers_that_left_are_given_to_others() {
        let door = Admission::new(Limits { at_work: 1, waiting: 1000, ..LIMITS });
        let place = door.enter(Class::Interactive).await.unwrap();
        let mut gone = Vec::new();
        for _ in 0..1000 {
            let mut waiting = Box::pin(door.enter(Class::Interactive));
            assert!((&mut waiting).now_or_never().is_none());
            gone.push(waiting);
        }
        let last = gone.pop().unwrap();
        drop(gone);
        drop(place);
        assert!(last.now_or_never().unwrap().is_ok());
        assert_eq!(door.depth(Class::Interactive), (0, 0));
    }
}
