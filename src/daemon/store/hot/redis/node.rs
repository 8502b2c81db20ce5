//! One server: how it is connected to, and its connection, which is made anew when it broke.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, RedisConnectionInfo, RedisError, Value,
    aio::{MultiplexedConnection, PubSub},
};
use rustls::{ProtocolVersion, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Mutex,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::address::{Address, wrong};
use crate::{daemon::store::error::StoreError, resilience::backoff::Backoff};

/// How long a server may take to let a connection in.
pub const CONNECT: Duration = Duration::from_secs(2);
/// How long a server may take to answer.
pub const RESPONSE: Duration = Duration::from_secs(2);
/// How long nobody tries to connect after that failed, at first and at the most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Commands that wait to be sent on a connection.
const WAITING: usize = 1024;

/// Why a server did not do what it was asked for.
pub enum Trouble {
    /// It can't be connected to: nothing was done.
    Away(String),
    /// The connection broke, or no answer came in time: it may have been done.
    Broken(RedisError),
    /// It says so.
    Said(RedisError),
    /// It must not be used, or does not let this daemon in.
    Wrong(StoreError),
}

/// What bytes go over, encrypted or not.
trait Bytes: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytes for T {}

/// A server.
pub struct Node {
    address: Arc<Address>,
    login: RedisConnectionInfo,
    host: String,
    port: u16,
    open: ArcSwapOption<Open>,
    making: Mutex<Making>,
}

/// A connection; whoever uses it keeps it, so that its task lives as long.
struct Open {
    connection: MultiplexedConnection,
    /// Whether it is of no use any more: its task has ended, or an answer did not come.
    closed: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

/// What happened when a connection was made.
struct Making {
    backoff: Backoff,
    failed: Option<(Instant, String)>,
}

impl Node {
    /// A server that is not yet connected to; `known`: with user and password.
    #[must_use]
    pub fn new(address: Arc<Address>, host: &str, port: u16, known: bool) -> Self {
        Self {
            login: address.login(known),
            address,
            host: host.to_owned(),
            port,
            open: ArcSwapOption::empty(),
            making: Mutex::new(Making { backoff: Backoff::new(PAUSE.0, PAUSE.1), failed: None }),
        }
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its host and port, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Sends a command, and waits for the answer; `asking` if another server has sent us here for
    /// this once.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn ask(&self, command: &Cmd, asking: bool) -> Result<Value, Trouble> {
        let open = self.open().await?;
        let mut connection = open.connection.clone();
        let answer = if asking {
            let mut both = redis::Pipeline::with_capacity(2);
            both.cmd("ASKING").ignore().add_command(command.clone());
            let answers = connection.send_packed_commands(&both, 1, 1).await;
            answers.map(|mut answers| answers.pop().unwrap_or(Value::Nil))
        } else {
            connection.send_packed_command(command).await
        };
        answer.and_then(Value::extract_error).map_err(|error| match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => Trouble::Said(error),
            _ => {
                open.closed.cancel();
                Trouble::Broken(error)
            }
        })
    }

    /// The connection, made if need be.
    async fn open(&self) -> Result<Arc<Open>, Trouble> {
        let usable = || self.open.load_full().filter(|open| !open.closed.is_cancelled());
        if let Some(open) = usable() {
            return Ok(open);
        }
        let mut making = self.making.lock().await;
        // Somebody else may have made it meanwhile, or found that it can't be made.
        if let Some(open) = usable() {
            return Ok(open);
        }
        if let Some((until, why)) = &making.failed
            && Instant::now() < *until
        {
            return Err(Trouble::Away(why.clone()));
        }
        match self.connect().await {
            Ok(open) => {
                making.backoff.reset();
                making.failed = None;
                let open = Arc::new(open);
                self.open.store(Some(open.clone()));
                Ok(open)
            }
            Err(trouble) => {
                if let Trouble::Away(why) = &trouble {
                    let pause = making.backoff.next(rand::random());
                    making.failed = Some((Instant::now() + pause, why.clone()));
                }
                Err(trouble)
            }
        }
    }

    async fn connect(&self) -> Result<Open, Trouble> {
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(RESPONSE))
            .set_pipeline_buffer_size(WAITING);
        let made = self.within(async {
            let bytes = self.dial().await?;
            let made = MultiplexedConnection::new_with_config(&self.login, bytes, config).await;
            made.map_err(|error| self.unfit(error))
        });
        let (connection, driver) = made.await?;
        let closed = CancellationToken::new();
        let end = closed.clone().drop_guard();
        let task = tokio::spawn(async move {
            let _end = end;
            driver.await;
        });
        Ok(Open { connection, closed, _task: AbortOnDropHandle::new(task) })
    }

    /// A connection of its own, for subscriptions.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn subscriber(&self) -> Result<PubSub, Trouble> {
        self.within(async {
            let bytes = self.dial().await?;
            PubSub::new(&self.login, bytes).await.map_err(|error| self.unfit(error))
        })
        .await
    }

    async fn within<T>(
        &self,
        made: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let late = |_| Err(Trouble::Away(format!("{} did not answer in time", self.shown())));
        timeout(CONNECT, made).await.unwrap_or_else(late)
    }

    /// Connects, by TLS 1.3 unless the address does without.
    async fn dial(&self) -> Result<Box<dyn Bytes>, Trouble> {
        let away = |error: std::io::Error| Trouble::Away(format!("{}: {error}", self.shown()));
        self.address.allows(&self.host).map_err(Trouble::Wrong)?;
        let tls = self.address.tls().map_err(Trouble::Wrong)?;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        let Some(tls) = tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(self.host.clone())
            .map_err(|error| Trouble::Wrong(wrong(format!("{}: {error}", self.host))))?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(away)?;
        // Nothing else was offered; the check stands for whoever changes that.
        match stream.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Ok(Box::new(stream)),
            other => Err(Trouble::Wrong(wrong(format!(
                "{} speaks {other:?}, not TLS 1.3: set tls-protocols \"TLSv1.3\" there",
                self.shown()
            )))),
        }
    }

    /// That a server does not take this daemon once it is connected.
    fn unfit(&self, error: RedisError) -> Trouble {
        let shown = self.shown();
        match error.kind() {
            ErrorKind::AuthenticationFailed => {
                Trouble::Wrong(wrong(format!("{shown} refuses this daemon's password: {error}")))
            }
            _ => Trouble::Away(format!("{shown}: {error}")),
        }
    }
}
