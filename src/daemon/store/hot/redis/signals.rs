//! Signals across daemons: everybody subscribes to one channel of the space, and says there what
//! has changed. What can't be said yet waits, each topic once.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use redis::Msg;
use tokio::{
    sync::{Notify, broadcast, watch},
    time::{interval, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::{
    node::{RESPONSE, Trouble},
    scripts::channel,
    servers::{Request, Servers, Verb},
};
use crate::{
    daemon::store::{error::StoreError, hot::topics::Topics},
    resilience::backoff::Backoff,
};

/// The most topics that wait to be said; beyond that, everybody is told that all may have changed.
const WAITING: usize = 4096;
/// How often the subscription's server is asked whether it is still there, and still the right one.
const PING: Duration = Duration::from_secs(2);
/// The waits between attempts, the first and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// What stands before a topic in a message, behind its sender.
const ONE: u8 = 1;
/// That all topics may have changed.
const ALL: u8 = 2;

/// The signals of one daemon.
pub struct Signals {
    shared: Arc<Shared>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

struct Shared {
    topics: Topics,
    servers: Arc<Servers>,
    channel: Vec<u8>,
    /// Who this is: its own messages come back, too.
    own: [u8; 16],
    waiting: Mutex<Waiting>,
    more: Notify,
    subscribed: watch::Sender<bool>,
}

#[derive(Default)]
struct Waiting {
    topics: BTreeSet<String>,
    all: bool,
}

/// What has changed.
enum Change {
    /// Something of this topic.
    One(String),
    /// Possibly everything.
    All,
}

impl Signals {
    /// Starts to say and to hear; ends when it is dropped.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn start(servers: Arc<Servers>) -> Self {
        let shared = Arc::new(Shared {
            topics: Topics::default(),
            channel: channel(&servers.address().space),
            servers,
            own: rand::random(),
            waiting: Mutex::default(),
            more: Notify::new(),
            subscribed: watch::Sender::new(false),
        });
        let (saying, hearing) = (shared.clone(), shared.clone());
        let tasks = [
            tokio::spawn(async move { saying.say().await }),
            tokio::spawn(async move { hearing.hear().await }),
        ];
        Self { shared, _tasks: tasks.map(AbortOnDropHandle::new) }
    }

    /// Wakes those who listen to a topic, here at once and elsewhere soon.
    pub fn signal(&self, topic: &str) {
        self.shared.topics.signal(topic);
        let mut waiting = self.shared.waiting();
        if waiting.topics.len() < WAITING {
            waiting.topics.insert(topic.to_owned());
        } else if !waiting.topics.contains(topic) {
            waiting.all = true;
        }
        drop(waiting);
        self.shared.more.notify_one();
    }

    /// Listens to a topic.
    ///
    /// # Errors
    /// If its name is too long, or there are too many topics.
    pub fn listen(&self, topic: &str) -> Result<broadcast::Receiver<()>, StoreError> {
        self.shared.topics.listen(topic)
    }

    /// Waits until what others say is heard.
    pub async fn subscribed(&self) {
        let mut subscribed = self.shared.subscribed.subscribe();
        // It lives as long as `self`.
        let _now = subscribed.wait_for(|subscribed| *subscribed).await;
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is to be said next.
    fn next(&self) -> Option<Change> {
        let mut waiting = self.waiting();
        if waiting.all {
            // That includes the rest.
            *waiting = Waiting::default();
            return Some(Change::All);
        }
        waiting.topics.pop_first().map(Change::One)
    }

    /// Puts back what could not be said.
    fn keep(&self, change: Change) {
        let mut waiting = self.waiting();
        match change {
            Change::One(topic) => drop(waiting.topics.insert(topic)),
            Change::All => waiting.all = true,
        }
    }

    /// Says what waits, one after the other.
    async fn say(&self) {
        let mut waits = Backoff::new(WAITS.0, WAITS.1);
        loop {
            let Some(change) = self.next() else {
                self.more.notified().await;
                continue;
            };
            let message = match &change {
                Change::One(topic) => [&self.own[..], &[ONE], topic.as_bytes()].concat(),
                Change::All => [&self.own[..], &[ALL]].concat(),
            };
            let request = Request {
                doing: "sending a signal",
                verb: Verb::Plain("PUBLISH"),
                key: &self.channel,
                arguments: &[&message],
                again: true,
            };
            if self.servers.ask(request).await.is_ok() {
                waits.reset();
            } else {
                self.keep(change);
                sleep(waits.next(rand::random())).await;
            }
        }
    }

    /// Hears what others say, for ever.
    async fn hear(&self) {
        let mut waits = Backoff::new(WAITS.0, WAITS.1);
        let mut told = false;
        loop {
            let why = self.subscription(&mut told).await;
            if self.subscribed.send_replace(false) {
                waits.reset();
            }
            self.servers.forget();
            if !told {
                let error = self.servers.error("listening for signals", why);
                tracing::warn!("{error}");
                told = true;
            }
            sleep(waits.next(rand::random())).await;
        }
    }

    /// One subscription, from its beginning to why it ended.
    async fn subscription(&self, told: &mut bool) -> Trouble {
        let broken = |what: &str| Trouble::Away(what.to_owned());
        let node = match self.servers.server(&self.channel).await {
            Ok(node) => node,
            Err(trouble) => return trouble,
        };
        let mut subscriber = match node.subscriber().await {
            Ok(subscriber) => subscriber,
            Err(trouble) => return trouble,
        };
        match timeout(RESPONSE, subscriber.subscribe(&self.channel)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Trouble::Broken(error),
            Err(_) => return broken("it did not answer in time"),
        }
        let (mut sink, mut messages) = subscriber.split();
        if std::mem::take(told) {
            tracing::info!(server = node.shown(), "signals are heard again");
        }
        // Whoever listened before may have missed something.
        self.topics.signal_all();
        self.subscribed.send_replace(true);
        let mut ticks = interval(PING);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.heard(&message),
                    None => return broken("the connection broke"),
                },
                _ = ticks.tick() => {
                    match timeout(RESPONSE, sink.ping::<redis::Value>()).await {
                        Ok(Ok(_)) => {}
                        Ok(Err(error)) => return Trouble::Broken(error),
                        Err(_) => return broken("it did not answer in time"),
                    }
                    // Another may have taken over while this one lives.
                    if let Ok(now) = self.servers.server(&self.channel).await
                        && now.shown() != node.shown()
                    {
                        return broken("another server has taken over");
                    }
                }
            }
        }
    }

    fn heard(&self, message: &Msg) {
        let Some((sender, rest)) = message.get_payload_bytes().split_at_checked(self.own.len())
        else {
            return;
        };
        if sender == self.own {
            return;
        }
        match rest {
            [ALL] => self.topics.signal_all(),
            [ONE, topic @ ..] => {
                if let Ok(topic) = std::str::from_utf8(topic) {
                    self.topics.signal(topic);
                }
            }
            // A newer version may say something else.
            _ => {}
        }
    }
}
