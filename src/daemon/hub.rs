//! Rooms in which agents, and the people who work with them, talk to each other: whoever is in one
//! sends to another by name, or to all. Nothing is kept; who is not there hears nothing.
//!
//! Each member has a mailbox of bounded size, and each of the others a share of it. Who does not read
//! theirs gets no more, and its senders are told so; nobody waits for it, and nobody's messages crowd
//! out another's.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::domain::id::SessionId;

/// What may wait in a mailbox, in bytes, in shares of those who may send to it.
pub const MAILBOX: usize = 256 << 10;
/// What a message takes of it beside its content.
const EACH: usize = 64;
/// The most members of a room.
pub const MEMBERS: usize = 64;
/// The most rooms.
const ROOMS: usize = 1024;
/// The longest name of a room or a member, in bytes.
pub const NAME: usize = 64;

/// Who is in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// What the others call it.
    pub name: String,
    /// Whose it is.
    pub user: String,
}

/// What a member hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Somebody has come.
    Joined(Who),
    /// Somebody has left.
    Left(String),
    /// Somebody says something.
    Said {
        /// Who.
        from: String,
        /// What.
        content: Bytes,
    },
}

/// Why somebody does not get in, or a message to its receiver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HubError {
    /// It is no name.
    #[error(
        "“{0}” is no name of a room or a member: use 1 to 64 letters, digits, dots, dashes and \
         underscores"
    )]
    Name(String),
    /// Another member has it.
    #[error("somebody in the room is called {0} already; take another name")]
    Taken(String),
    /// There are too many.
    #[error("there are {limit} {what} already; wait until one is left")]
    Many {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// There is no such member.
    #[error("nobody in the room is called {0}")]
    Nobody(String),
    /// It does not read.
    #[error("{0} does not take its messages off; too many wait for it")]
    Full(String),
    /// This member did not read.
    #[error("the room was left, as too many messages waited to be read; enter it again")]
    Out,
}

/// All rooms. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Hub(Arc<Mutex<Rooms>>);

type Key = (SessionId, String);
type Rooms = HashMap<Key, BTreeMap<String, Mailbox>>;

/// The way to a member.
#[derive(Debug)]
struct Mailbox {
    who: Who,
    way: mpsc::UnboundedSender<Heard>,
    held: Arc<Held>,
}

/// What waits in a mailbox, in bytes, of each sender; of the room itself, under no name.
#[derive(Debug, Default)]
struct Held(Mutex<HashMap<String, usize>>);

impl Hub {
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        // Whole between any two statements that hold the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a room of a session, and tells who is there; the first to come makes it.
    ///
    /// # Errors
    /// If the name is none or taken, or there is no room for another.
    pub fn enter(
        &self,
        session: SessionId,
        room: &str,
        who: Who,
    ) -> Result<(Member, Vec<Who>), HubError> {
        let name = who.name.clone();
        for name in [room, &name] {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            if name.is_empty() || name.len() > NAME || !name.bytes().all(fits) {
                let name = name.chars().take(NAME).collect();
                return Err(HubError::Name(name));
            }
        }
        let key = (session, room.to_owned());
        let mut rooms = self.rooms();
        if !rooms.contains_key(&key) && rooms.len() >= ROOMS {
            return Err(HubError::Many { what: "rooms", limit: ROOMS });
        }
        let members = rooms.entry(key.clone()).or_default();
        if members.contains_key(&name) {
            return Err(HubError::Taken(name));
        }
        if members.len() >= MEMBERS {
            return Err(HubError::Many { what: "members of the room", limit: MEMBERS });
        }
        let there = members.values().map(|mailbox| mailbox.who.clone()).collect();
        tell(members, &Heard::Joined(who.clone()));
        let (way, inbox) = mpsc::unbounded_channel();
        let held = Arc::<Held>::default();
        members.insert(name.clone(), Mailbox { who, way, held: held.clone() });
        let place = Place { hub: self.clone(), key, name, held: held.clone() };
        Ok((Member { place, inbox: Inbox { inbox, held } }, there))
    }

    /// The rooms of a session, by name, and who is in them.
    #[must_use]
    pub fn list(&self, session: SessionId) -> BTreeMap<String, Vec<Who>> {
        let rooms = self.rooms();
        let own = rooms.iter().filter(|((of, _), _)| *of == session);
        let who = |members: &BTreeMap<String, Mailbox>| {
            members.values().map(|mailbox| mailbox.who.clone()).collect()
        };
        own.map(|((_, room), members)| (room.clone(), who(members))).collect()
    }
}

/// Tells all of `members`; of who has no room for it the mailbox is closed: what it hears would no
/// longer be true.
fn tell(members: &mut BTreeMap<String, Mailbox>, heard: &Heard) {
    let mut lost = Vec::new();
    members.retain(|name, mailbox| {
        let told = mailbox.held.by("") <= MAILBOX;
        if told {
            mailbox.put(heard.clone());
        } else {
            lost.push(name.clone());
        }
        told
    });
    for name in lost {
        tell(members, &Heard::Left(name));
    }
}

impl Mailbox {
    fn put(&self, heard: Heard) {
        self.held.add(&heard);
        // Its reader may be about to leave.
        let _ = self.way.send(heard);
    }
}

impl Held {
    fn shares(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn by(&self, sender: &str) -> usize {
        self.shares().get(sender).copied().unwrap_or(0)
    }

    fn add(&self, heard: &Heard) {
        *self.shares().entry(heard.sender().to_owned()).or_default() += heard.size();
    }

    fn take(&self, heard: &Heard) {
        let mut shares = self.shares();
        if let Some(share) = shares.get_mut(heard.sender()) {
            *share -= heard.size();
            if *share == 0 {
                shares.remove(heard.sender());
            }
        }
    }
}

impl Heard {
    /// Who says it; nobody, if it is the room.
    fn sender(&self) -> &str {
        match self {
            Self::Said { from, .. } => from,
            Self::Joined(_) | Self::Left(_) => "",
        }
    }

    /// What it takes of a mailbox, in bytes.
    fn size(&self) -> usize {
        match self {
            Self::Said { content, .. } => EACH + content.len(),
            Self::Joined(_) | Self::Left(_) => EACH,
        }
    }
}

/// A place in a room: its member leaves when it goes.
#[derive(Debug)]
pub struct Member {
    /// To say something.
    pub place: Place,
    /// To hear.
    pub inbox: Inbox,
}

/// From where a member speaks.
#[derive(Debug)]
pub struct Place {
    hub: Hub,
    key: Key,
    name: String,
    /// That of its own mailbox, which tells it from one that has its name later.
    held: Arc<Held>,
}

/// What a member has not read yet.
#[derive(Debug)]
pub struct Inbox {
    inbox: mpsc::UnboundedReceiver<Heard>,
    held: Arc<Held>,
}

impl Place {
    /// Sends to the member of that name, or to all others without one; of those, it gives who did
    /// not get it.
    ///
    /// # Errors
    /// If there is no such member, or it does not read; or if this one was put out.
    pub fn say(&self, to: Option<&str>, content: &Bytes) -> Result<Vec<String>, HubError> {
        let rooms = self.hub.rooms();
        let members = rooms.get(&self.key).filter(|members| self.is_in(members));
        let members = members.ok_or(HubError::Out)?;
        let said = Heard::Said { from: self.name.clone(), content: content.clone() };
        // One larger message than its share passes alone.
        let share = (MAILBOX / (members.len() - 1).max(1)).max(said.size());
        let full = |mailbox: &Mailbox| mailbox.held.by(&self.name) + said.size() > share;
        if let Some(to) = to {
            let mailbox = members.get(to).ok_or_else(|| HubError::Nobody(to.to_owned()))?;
            if full(mailbox) {
                return Err(HubError::Full(to.to_owned()));
            }
            mailbox.put(said);
            return Ok(Vec::new());
        }
        let others = members.iter().filter(|(name, _)| **name != self.name);
        let (missed, reached): (Vec<_>, Vec<_>) = others.partition(|(_, mailbox)| full(mailbox));
        reached.into_iter().for_each(|(_, mailbox)| mailbox.put(said.clone()));
        Ok(missed.into_iter().map(|(name, _)| name.clone()).collect())
    }
}

impl Place {
    fn is_in(&self, members: &BTreeMap<String, Mailbox>) -> bool {
        members.get(&self.name).is_some_and(|own| Arc::ptr_eq(&own.held, &self.held))
    }
}

impl Inbox {
    /// The next thing; none when its member was put out, because it did not read.
    pub async fn hear(&mut self) -> Option<Heard> {
        let heard = self.inbox.recv().await?;
        self.held.take(&heard);
        Some(heard)
    }

    /// What came already, if anything did.
    pub fn heard(&mut self) -> Option<Heard> {
        let heard = self.inbox.try_recv().ok()?;
        self.held.take(&heard);
        Some(heard)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut rooms = self.hub.rooms();
        let Some(members) = rooms.get_mut(&self.key) else { return };
        if self.is_in(members) {
            members.remove(&self.name);
            tell(members, &Heard::Left(self.name.clone()));
        }
        if members.is_empty() {
            rooms.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionId {
        SessionId::from_bytes([7; 16])
    }

    fn enter(hub: &Hub, name: &str) -> (Member, Vec<Who>) {
        let who = Who { name: name.to_owned(), user: "ada".to_owned() };
        hub.enter(session(), "play", who).unwrap()
    }

    fn said(from: &str, content: &'static str) -> Heard {
        Heard::Said { from: from.to_owned(), content: content.into() }
    }

    #[tokio::test]
    async fn who_is_in_a_room_hears_who_comes_speaks_and_leaves() {
        let hub = Hub::default();
        let (mut ann, there) = enter(&hub, "ann");
        assert_eq!(there, []);
        let (mut bob, there) = enter(&hub, "bob");
        assert_eq!(there.iter().map(|who| &*who.name).collect::<Vec<_>>(), ["ann"]);
        let who = Who { name: "bob".to_owned(), user: "ada".to_owned() };
        assert_eq!(ann.inbox.hear().await, Some(Heard::Joined(who)));
        let (mut eve, _) = enter(&hub, "eve");
        ann.inbox.hear().await.unwrap();
        bob.inbox.hear().await.unwrap();

        ann.place.say(Some("bob"), &"for you".into()).unwrap();
        ann.place.say(None, &"for all".into()).unwrap();
        assert_eq!(bob.inbox.hear().await, Some(said("ann", "for you")));
        assert_eq!(bob.inbox.hear().await, Some(said("ann", "for all")));
        assert_eq!(eve.inbox.hear().await, Some(said("ann", "for all")));
        drop(ann);
        assert_eq!(bob.inbox.hear().await, Some(Heard::Left("ann".to_owned())));
        let nobody = bob.place.say(Some("ann"), &"gone?".into());
        assert_eq!(nobody, Err(HubError::Nobody("ann".to_owned())));
        assert_eq!(hub.list(session())["play"].len(), 2);
        drop((bob, eve));
        assert!(hub.list(session()).is_empty(), "a room goes with the last of its members");
    }

    #[tokio::test]
    async fn who_does_not_read_holds_up_nobody_and_costs_a_mailbox() {
        let hub = Hub::default();
        let (ann, _) = enter(&hub, "ann");
        let (mut bob, _) = enter(&hub, "bob");
        let (mut deaf, _) = enter(&hub, "deaf");
        bob.inbox.hear().await.unwrap();
        let content = Bytes::from(vec![7; 10_000]);
        let mut missed = 0;
        for _ in 0..1000 {
            missed += usize::from(ann.place.say(None, &content).unwrap() == ["deaf"]);
            assert!(matches!(bob.inbox.hear().await, Some(Heard::Said { .. })));
        }
        let kept = 1000 - missed;
        assert!((10..=MAILBOX / 2 / 10_000).contains(&kept), "{kept} wait");
        let full = ann.place.say(Some("deaf"), &content);
        assert_eq!(full, Err(HubError::Full("deaf".to_owned())));
        // Another's share is its own, whoever has used up theirs.
        bob.place.say(Some("deaf"), &"hear me".into()).unwrap();
        // When it reads again, it gets what waited, and then what is said.
        for _ in 0..kept {
            assert!(matches!(deaf.inbox.hear().await, Some(Heard::Said { .. })));
        }
        assert_eq!(deaf.inbox.hear().await, Some(said("bob", "hear me")));
        ann.place.say(Some("deaf"), &"there?".into()).unwrap();
        assert_eq!(deaf.inbox.hear().await, Some(said("ann", "there?")));
    }

    #[tokio::test]
    async fn who_misses_who_is_there_is_put_out() {
        let hub = Hub::default();
        let (mut deaf, _) = enter(&hub, "deaf");
        let mut rounds = 0;
        while hub.list(session()).contains_key("play") {
            drop(enter(&hub, "ann"));
            rounds += 1;
            assert!(rounds <= MAILBOX / EACH, "its mailbox grows on");
        }
        assert_eq!(deaf.place.say(None, &"still here".into()), Err(HubError::Out));
        // Who takes its name is somebody else.
        let (_again, _) = enter(&hub, "deaf");
        while deaf.inbox.hear().await.is_some() {}
        drop(deaf);
        assert_eq!(hub.list(session())["play"].len(), 1);
    }

    #[test]
    fn names_are_told_apart_and_rooms_are_bounded() {
        let hub = Hub::default();
        let (_ann, _) = enter(&hub, "ann");
        let who = |name: &str| Who { name: name.to_owned(), user: "eve".to_owned() };
        let taken = hub.enter(session(), "play", who("ann")).unwrap_err();
        assert_eq!(taken, HubError::Taken("ann".to_owned()));
        for bad in ["", "a b", "é", "\x1b[2J", &"x".repeat(65)] {
            let refused = hub.enter(session(), "play", who(bad)).unwrap_err();
            assert!(matches!(refused, HubError::Name(_)), "{bad}: {refused}");
            assert!(hub.enter(session(), bad, who("ann")).is_err());
        }
        // Another session's room of that name is another room.
        hub.enter(SessionId::from_bytes([8; 16]), "play", who("ann")).unwrap();
        let all: Vec<_> = (1..MEMBERS).map(|n| enter(&hub, &format!("m{n}"))).collect();
        let full = hub.enter(session(), "play", who("late")).unwrap_err();
        assert_eq!(full, HubError::Many { what: "members of the room", limit: MEMBERS });
        drop(all);
        hub.enter(session(), "play", who("late")).unwrap();
    }
}
