//! Who listens to what in this process: the part of signals that every back end has.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::broadcast;

use super::{SIGNALS, fits, room};
use crate::daemon::store::error::StoreError;

/// The topics that somebody listens to.
#[derive(Default)]
pub struct Topics {
    topics: Mutex<HashMap<String, broadcast::Sender<()>>>,
}

impl Topics {
    fn topics(&self) -> MutexGuard<'_, HashMap<String, broadcast::Sender<()>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who listen to a topic.
    pub fn signal(&self, topic: &str) {
        let mut topics = self.topics();
        // The last listener may be gone: then so is the topic.
        if topics.get(topic).is_some_and(|sender| sender.send(()).is_err()) {
            topics.remove(topic);
        }
    }

    /// Wakes everybody.
    pub fn signal_all(&self) {
        self.topics().retain(|_, sender| sender.send(()).is_ok());
    }

    /// Listens to a topic.
    ///
    /// # Errors
    /// If its name is too long, or there are too many topics.
    pub fn listen(&self, topic: &str) -> Result<broadcast::Receiver<()>, StoreError> {
        fits(topic.as_bytes())?;
        let mut topics = self.topics();
        if let Some(sender) = topics.get(topic) {
            return Ok(sender.subscribe());
        }
        topics.retain(|_, sender| sender.receiver_count() > 0);
        room(&topics, "topics")?;
        let (sender, receiver) = broadcast::channel(SIGNALS);
        topics.insert(topic.to_owned(), sender);
        Ok(receiver)
    }
}
