//! The servers behind the tier: who has a key now, and how a request gets there while servers
//! fall out and others take over.
//!
//! The library's own clients for clusters and sentinels are not used: they offer TLS 1.2 as well,
//! and send a command again whose answer did not come, so that it may be done twice. Here it is
//! sent again only if it was not done for sure, or if twice is the same as once.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use redis::{Cmd, ErrorKind, RedisError, Script, ServerErrorKind, Value};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout_at},
};

use super::{
    address::{Address, Kind, wrong},
    node::{CONNECT, Node, RESPONSE, Trouble},
    slots::{Place, Slots, most, redirection, slot, text},
};
use crate::{daemon::store::error::StoreError, resilience::backoff::Backoff};

/// How long a request is tried, with all that it takes.
const PATIENCE: Duration = CONNECT.saturating_add(RESPONSE);
/// The waits between attempts, the first and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));
/// Nobody asks again sooner who has what.
const LOOK: Duration = Duration::from_millis(50);
/// How often in a row a request follows from server to server without a wait.
const HOPS: u32 = 4;
/// The last slot.
const LAST: u16 = u16::MAX;

/// What a server is to do.
#[derive(Clone, Copy)]
pub enum Verb {
    /// A command.
    Plain(&'static str),
    /// A script.
    Run(&'static LazyLock<Script>, &'static str),
}

impl Verb {
    /// The command's name, or the text of the script.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Plain(text) | Self::Run(_, text) => text,
        }
    }
}

/// A request: for the server that has the key.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What is being done, for messages.
    pub doing: &'static str,
    /// What to do.
    pub verb: Verb,
    /// With which key.
    pub key: &'a [u8],
    /// And what else.
    pub arguments: &'a [&'a [u8]],
    /// Whether twice is the same as once.
    pub again: bool,
}

impl Request<'_> {
    /// As it is sent; `whole`: with the text of the script.
    fn command(&self, whole: bool) -> Cmd {
        let mut command = Cmd::new();
        match self.verb {
            Verb::Plain(verb) => {
                command.arg(verb);
            }
            verb @ Verb::Run(..) if whole => {
                command.arg("EVAL").arg(verb.text()).arg(1);
            }
            Verb::Run(script, _) => {
                command.arg("EVALSHA").arg(script.get_hash()).arg(1);
            }
        }
        command.arg(self.key).arg(self.arguments);
        command
    }
}

/// Who has what.
struct Table {
    /// The last slot of each range, and who has it, in order.
    ranges: Vec<(u16, Arc<Node>)>,
    replicas: Vec<Arc<Node>>,
}

/// The servers.
pub struct Servers {
    address: Arc<Address>,
    /// Those that the address names, without a password and with it.
    named: Vec<[Arc<Node>; 2]>,
    /// Those that were met.
    met: StdMutex<HashMap<Place, Arc<Node>>>,
    table: ArcSwapOption<Table>,
    looked: Mutex<Option<Instant>>,
}

/// Why the last of several servers did not answer.
#[derive(Default)]
struct Why(StdMutex<String>);

impl Why {
    fn keep(&self, answer: Result<Value, Trouble>) -> Option<Value> {
        let why = match answer {
            Ok(value) => return Some(value),
            Err(Trouble::Away(why)) => why,
            Err(Trouble::Wrong(error)) => error.to_string(),
            Err(Trouble::Broken(error) | Trouble::Said(error)) => error.to_string(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
        None
    }

    fn trouble(&self, what: &str) -> Trouble {
        let why = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let colon = if why.is_empty() { "" } else { ": " };
        Trouble::Away(format!("{what}{colon}{why}"))
    }
}

/// What is to be done about a trouble.
enum Next {
    /// Tell it.
    Fail(StoreError),
    /// Ask that server; `true`: for this once.
    Hop(Place, bool),
    /// Send the text of the script, too.
    Whole,
    /// Look who has the key, after a while.
    Look(String),
}

impl Servers {
    /// Those at an address; none is connected to yet.
    #[must_use]
    pub fn new(address: Address) -> Self {
        let address = Arc::new(address);
        let named = address.servers.iter().map(|(host, port)| {
            [false, true].map(|known| Arc::new(Node::new(address.clone(), host, *port, known)))
        });
        let named = named.collect();
        Self {
            address,
            named,
            met: StdMutex::default(),
            table: ArcSwapOption::empty(),
            looked: Mutex::default(),
        }
    }

    /// Where they are.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Has a request done, and gives the answer.
    ///
    /// # Errors
    /// If no server can be reached in time, or one refuses.
    pub async fn ask(&self, request: Request<'_>) -> Result<Value, StoreError> {
        let deadline = Instant::now() + PATIENCE;
        let mut waits = Backoff::new(WAITS.0, WAITS.1);
        let mut command = request.command(false);
        let (mut hop, mut hops) = (None, 0);
        loop {
            let attempt = async {
                let (node, asking) = match hop.take() {
                    Some((place, asking)) => (self.meet(&place), asking),
                    None => (self.holder(request.key).await?, false),
                };
                node.ask(&command, asking).await.map_err(|trouble| (trouble, Some(node)))
            };
            let why = match timeout_at(deadline, attempt).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err((trouble, node))) => match self.next(&request, trouble, node.as_deref()) {
                    Next::Fail(error) => return Err(error),
                    Next::Whole => {
                        command = request.command(true);
                        continue;
                    }
                    Next::Hop(place, asking) => {
                        hop = Some((place, asking));
                        hops += 1;
                        if hops % HOPS != 0 {
                            continue;
                        }
                        "the servers send each other the request".to_owned()
                    }
                    Next::Look(why) => why,
                },
                Err(_) => "it did not answer in time".to_owned(),
            };
            let wait = waits.next(rand::random());
            if Instant::now() + wait >= deadline {
                return Err(self.unreachable(request.doing, why.into()));
            }
            sleep(wait).await;
        }
    }

    fn next(&self, request: &Request<'_>, trouble: Trouble, node: Option<&Node>) -> Next {
        let error = match trouble {
            Trouble::Wrong(error) => return Next::Fail(error),
            Trouble::Away(why) => {
                self.forget();
                return Next::Look(why);
            }
            Trouble::Broken(error) => {
                self.forget();
                if request.again {
                    return Next::Look(error.to_string());
                }
                return Next::Fail(self.unreachable(request.doing, error.into()));
            }
            Trouble::Said(error) => error,
        };
        let host = node.map_or("", Node::host);
        let place = error.detail().and_then(|detail| redirection(detail, host));
        match (error.kind(), error.code(), place) {
            (ErrorKind::Server(ServerErrorKind::NoScript), ..) => Next::Whole,
            (ErrorKind::Server(ServerErrorKind::Moved), _, Some(place)) => {
                self.forget();
                Next::Hop(place, false)
            }
            (ErrorKind::Server(ServerErrorKind::Ask), _, Some(place)) => Next::Hop(place, true),
            (
                ErrorKind::Server(
                    ServerErrorKind::ReadOnly
                    | ServerErrorKind::ClusterDown
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::TryAgain,
                ),
                ..,
            )
            | (_, Some("NOREPLICAS"), _) => {
                self.forget();
                Next::Look(error.to_string())
            }
            _ => Next::Fail(self.refused(request.doing, error)),
        }
    }

    /// The server that has a key.
    async fn holder(&self, key: &[u8]) -> Result<Arc<Node>, (Trouble, Option<Arc<Node>>)> {
        let table = self.look().await.map_err(|trouble| (trouble, None))?;
        // Where there are no slots, one server has them all.
        let slot = slot(key);
        let at = table.ranges.partition_point(|(last, _)| *last < slot);
        let found = table.ranges.get(at).map(|(_, node)| node.clone());
        found.ok_or_else(|| (Trouble::Away("no server has the key".to_owned()), None))
    }

    /// The server that has a key, for what is not a request.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn server(&self, key: &[u8]) -> Result<Arc<Node>, Trouble> {
        self.holder(key).await.map_err(|(trouble, _)| trouble)
    }

    /// All servers that take writes.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn masters(&self) -> Result<Vec<Arc<Node>>, Trouble> {
        let table = self.look().await?;
        let mut masters: Vec<Arc<Node>> = Vec::new();
        for (_, node) in &table.ranges {
            if !masters.iter().any(|known| Arc::ptr_eq(known, node)) {
                masters.push(node.clone());
            }
        }
        Ok(masters)
    }

    /// That who has what may not be so any more.
    pub fn forget(&self) {
        if self.address.kind != Kind::Alone {
            self.table.store(None);
        }
    }

    /// Who has what, found out if need be.
    async fn look(&self) -> Result<Arc<Table>, Trouble> {
        if let Some(table) = self.table.load_full() {
            return Ok(table);
        }
        let mut looked = self.looked.lock().await;
        if let Some(table) = self.table.load_full() {
            return Ok(table);
        }
        if let Some(at) = *looked {
            tokio::time::sleep_until(at + LOOK).await;
        }
        let found = match &self.address.kind {
            Kind::Alone => Ok(Table {
                ranges: self.named.iter().map(|[_, node]| (LAST, node.clone())).collect(),
                replicas: Vec::new(),
            }),
            Kind::Sentinel(master) => self.ask_sentinels(master).await,
            Kind::Cluster => self.ask_cluster().await,
        };
        *looked = Some(Instant::now());
        let table = Arc::new(found?);
        self.table.store(Some(table.clone()));
        Ok(table)
    }

    /// Who is the master, as most sentinels say, and he himself does.
    async fn ask_sentinels(&self, master: &str) -> Result<Table, Trouble> {
        let mut command = redis::cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        let command = &command;
        let why = &Why::default();
        let voices = self.named.iter().map(|[open, known]| async move {
            let answer = match open.ask(command, false).await {
                Err(Trouble::Said(error)) if error.code() == Some("NOAUTH") => {
                    known.ask(command, false).await
                }
                answer => answer,
            };
            match why.keep(answer)? {
                Value::Array(parts) => {
                    let [host, port] = &parts[..] else { return None };
                    Some((text(host)?, text(port)?.parse().ok()?))
                }
                _ => None,
            }
        });
        let place: Place = most(voices).await.ok_or_else(|| {
            let what = format!("no sentinel answers that knows the master “{master}”");
            why.trouble(&what)
        })?;
        let node = self.meet(&place);
        let role = node.ask(&redis::cmd("ROLE"), false).await?;
        let role = match &role {
            Value::Array(parts) => parts.first().and_then(text),
            _ => None,
        };
        if role.as_deref() != Some("master") {
            return Err(Trouble::Away(format!("{} is no master any more", node.shown())));
        }
        Ok(Table { ranges: vec![(LAST, node)], replicas: Vec::new() })
    }

    /// Who has which slots, as most servers of the cluster say.
    async fn ask_cluster(&self) -> Result<Table, Trouble> {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SLOTS");
        let command = &command;
        for (host, port) in &self.address.servers {
            self.meet(&(host.clone(), *port));
        }
        let why = &Why::default();
        let met: Vec<_> = self.met().values().cloned().collect();
        let voices = met.iter().map(|node| async move {
            let answer = why.keep(node.ask(command, false).await)?;
            Slots::read(answer, node.host())
        });
        let slots = most(voices).await;
        let slots = slots.ok_or_else(|| why.trouble("no server knows who has all slots"))?;
        let ranges = slots.ranges.iter().map(|(last, place)| (*last, self.meet(place))).collect();
        let replicas = slots.replicas.iter().map(|place| self.meet(place)).collect();
        let table = Table { ranges, replicas };
        // Who has left the cluster is not asked any more.
        let named = |place: &Place| self.address.servers.contains(place);
        let members = || table.ranges.iter().map(|(_, node)| node).chain(&table.replicas);
        self.met().retain(|place, node| {
            named(place) || members().any(|member| Arc::ptr_eq(member, node))
        });
        Ok(table)
    }

    fn met(&self) -> std::sync::MutexGuard<'_, HashMap<Place, Arc<Node>>> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A server, the same each time.
    fn meet(&self, place: &Place) -> Arc<Node> {
        let mut met = self.met();
        let new = || Arc::new(Node::new(self.address.clone(), &place.0, place.1, true));
        met.entry(place.clone()).or_insert_with(new).clone()
    }

    /// That no server can be reached.
    #[must_use]
    pub fn unreachable(
        &self,
        doing: &'static str,
        source: Box<dyn std::error::Error + Send + Sync>,
    ) -> StoreError {
        let server = format!("Redis at {}", self.address.shown());
        StoreError::Unreachable { doing, server, source }
    }

    /// That a server refused.
    #[must_use]
    pub fn refused(&self, doing: &'static str, error: RedisError) -> StoreError {
        match error.code() {
            Some("OOM") => {
                StoreError::Exhausted { what: format!("{doing}: Redis is full ({error})") }
            }
            Some("NOAUTH" | "WRONGPASS" | "NOPERM") => {
                wrong(format!("{} refuses this daemon: {error}", self.address.shown()))
            }
            _ => StoreError::Server { doing, source: error.into() },
        }
    }

    /// What a trouble is to callers.
    #[must_use]
    pub fn error(&self, doing: &'static str, trouble: Trouble) -> StoreError {
        match trouble {
            Trouble::Wrong(error) => error,
            Trouble::Away(why) => self.unreachable(doing, why.into()),
            Trouble::Broken(error) => self.unreachable(doing, error.into()),
            Trouble::Said(error) => self.refused(doing, error),
        }
    }
}
