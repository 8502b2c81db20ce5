//! What the services share.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
};

use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use tracing::Instrument as _;

use crate::{
    code::Code,
    daemon::{
        admin::Vitals,
        evaluator::{Evaluator, Profile},
        hub::Hub,
        manager::{Manager, error::ManagerError},
        registry::{Registry, error::RegistryError},
        store::warm::rows::{AgentRow, RunRow},
        turns::Turns,
    },
    domain::id::{RunId, SessionId},
    link::acceptor::Peer,
    resilience::admission::Admission,
    wire::{
        convert,
        envelope::{IdempotencyKey, Keyed},
        fault::Fault,
        v1,
    },
};

/// What the services share.
pub struct Context {
    /// The daemon's health.
    pub vitals: Arc<Vitals>,
    /// Journals, lineage, scores, sessions.
    pub registry: Registry,
    /// The sandbox.
    pub evaluator: Evaluator,
    /// Runs, and evaluations outside them.
    pub manager: Arc<Manager>,
    /// The data directory.
    pub home: PathBuf,
    /// The admin port.
    pub admin: SocketAddr,
    /// The tiers and their URLs, without passwords.
    pub tiers: [(&'static str, String); 3],
    /// The Python interpreter.
    pub python: PathBuf,
    /// Evaluations at once of a run that doesn't say.
    pub workers: usize,
    /// Whether calls that only read are taken without an envelope.
    pub plain_reads: bool,
    /// Where agents and people talk to each other.
    pub hub: Hub,
    /// The calls that are being made, by sender and key.
    pub turns: Turns<([u8; 32], [u8; 16])>,
    /// Lets calls in.
    pub admission: Admission,
    /// Cancelled as soon as the runs are taken up that were at work before this start: until
    /// then nobody can change or follow a run.
    pub taken_up: CancellationToken,
    /// Ends the daemon.
    pub stop: CancellationToken,
}

impl Context {
    /// The session that a request names by its id, or the user's own; it counts as used now.
    ///
    /// # Errors
    /// If there is none of that id, or it can't be stored.
    pub async fn session(&self, user: &str, id: &[u8]) -> Result<SessionId, Fault> {
        let id = match convert::optional_id("session_id", id)? {
            Some(id) => id,
            None => self.registry.default_session(user).await?,
        };
        self.registry.touch_session(id).await?;
        Ok(id)
    }

    /// The session that a user names by its id, a start of it or what it is called, or the user's
    /// own.
    ///
    /// # Errors
    /// If there is none.
    pub async fn named_session(&self, user: &str, name: &str) -> Result<SessionId, Fault> {
        Ok(match name {
            "" => self.registry.default_session(user).await?,
            name => self.registry.find_session(user, name).await?,
        })
    }

    /// Waits until runs can be changed and followed.
    ///
    /// # Errors
    /// If the daemon ends before.
    pub async fn ready(&self) -> Result<(), Fault> {
        tokio::select! {
            () = self.taken_up.cancelled() => Ok(()),
            () = self.stop.cancelled() => {
                let text = "the daemon is ending; try again when it is back";
                Err(Fault::new(Code::Unavailable, text))
            }
        }
    }

    /// The messages of agents.
    ///
    /// # Errors
    /// If their runs can't be read.
    pub async fn agents(&self, rows: &[AgentRow]) -> Result<Vec<v1::Agent>, Fault> {
        let mut runs: HashMap<RunId, Option<RunRow>> = HashMap::new();
        let mut agents = Vec::with_capacity(rows.len());
        for row in rows {
            let score = match row.run {
                None => self.registry.score(row).await?,
                Some(id) => {
                    let run = match runs.entry(id) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => new.insert(self.registry.run(id).await?),
                    };
                    row.fitness.map(|own| run.as_ref().map_or(own, |run| run.shown(own)))
                }
            };
            agents.push(agent(row, score));
        }
        Ok(agents)
    }
}

/// The message of an agent with this score.
fn agent(row: &AgentRow, score: Option<f64>) -> v1::Agent {
    v1::Agent {
        id: convert::bytes(row.id.as_bytes()),
        run_id: row.run.map(|run| convert::bytes(run.as_bytes())).unwrap_or_default(),
        generation: row.generation,
        slot: row.slot,
        parents: row.parents.iter().map(|parent| convert::bytes(parent.as_bytes())).collect(),
        operators: row.operators.clone(),
        verdict: row.verdict.as_str().to_owned(),
        score,
        head: row.head.to_string(),
        genome: String::new(),
        delta: row.delta,
        shredded: false,
    }
}

/// Who calls.
///
/// # Errors
/// If the transport has no certificate of the caller: a bug.
pub fn peer<T>(request: &Request<T>) -> Result<Peer, Fault> {
    let peer = request.extensions().get::<Peer>().cloned();
    let text = "the connection does not say who calls; please report this";
    peer.ok_or_else(|| Fault::new(Code::Bug, text))
}

/// The request, if its idempotency key is its id: then whoever asks again gets what is there.
///
/// # Errors
/// If it is another one.
pub fn keyed<T: Keyed>(request: Request<T>) -> Result<T, Fault> {
    let key = request.extensions().get::<IdempotencyKey>().copied();
    let request = request.into_inner();
    if key.is_none_or(|key| key.0 == request.id()) || request.id().len() != 16 {
        return Ok(request);
    }
    let text = "the idempotency key of this call is the id of what it makes, and no other";
    Err(Fault::new(Code::InvalidInput, text))
}

/// The profile of that name; the full one if nothing is said.
///
/// # Errors
/// If there is none of that name.
pub fn profile(name: &str) -> Result<Profile, Fault> {
    match name {
        "" => Ok(Profile::Full),
        name => Profile::named(name).ok_or_else(|| {
            let text = format!("“{name}” is no way to contain code; give full or reduced");
            Fault::new(Code::InvalidInput, text)
        }),
    }
}

/// Runs a change to its end, whoever hangs up: a call that is given up drops only the answer.
///
/// # Errors
/// What the change fails with, or that it panicked.
pub async fn to_the_end<T, E>(
    change: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Status>
where
    T: Send + 'static,
    E: Into<Fault> + Send + 'static,
{
    match tokio::spawn(change.in_current_span()).await {
        Ok(result) => result.map_err(|error| Status::from(error.into())),
        Err(error) => {
            tracing::error!(%error, "a call panicked");
            let text = "the daemon made a mistake in this call; please report this with its log";
            Err(Fault::new(Code::Bug, text).into())
        }
    }
}

/// The status of a call that failed.
pub fn refuse(error: impl Into<Fault>) -> Status {
    Status::from(error.into())
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<ManagerError> for Fault {
    fn from(error: ManagerError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_change_runs_to_its_end_though_its_caller_is_gone() {
        let (begin, begun) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let (done, ended) = oneshot::channel();
        let call = tokio::spawn(to_the_end(async move {
            begin.send(()).unwrap();
            may_go_on.await.unwrap();
            done.send(()).unwrap();
            Ok::<_, Fault>(())
        }));
        begun.await.unwrap();
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        go_on.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(10), ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_panic_in_a_change_is_an_error_with_a_code() {
        let change = std::future::poll_fn(|_| -> std::task::Poll<Result<(), Fault>> {
            panic!("as the test wants")
        });
        let status = to_the_end(change).await.unwrap_err();
        assert_eq!(Fault::from(status).code(), Code::Bug);
    }

    #[test]
    fn a_profile_is_full_or_reduced() {
        assert_eq!(profile("").unwrap(), Profile::Full);
        assert_eq!(profile("reduced").unwrap(), Profile::Reduced);
        assert_eq!(profile("none").unwrap_err().code(), Code::InvalidInput);
    }
}
