//! What the network does: connections that break, and such that seem to be there.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use darwin::{
    domain::id::{RunId, SessionId},
    link::endpoint::Endpoint,
    wire::{envelope::Keyed as _, v1},
};
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

use crate::{
    home::{Home, PATIENCE},
    shell::SPHERE,
};

/// What the network does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weather {
    /// It carries everything.
    Fair,
    /// Connections are reset, and none are made.
    Down,
    /// So many connections, the first ones, are there still, but carry nothing.
    Holes(usize),
}

/// A network between clients and a daemon, and how many connections it carried.
struct Network {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    made: watch::Receiver<usize>,
}

impl Network {
    async fn to(daemon: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, sees) = watch::channel(Weather::Fair);
        let (count, made) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *sees.borrow() == Weather::Down {
                    continue;
                }
                let number = *count.borrow();
                count.send_replace(number + 1);
                if let Ok(far) = TcpStream::connect(daemon).await {
                    tokio::spawn(carry(near, far, sees.clone(), number));
                }
            }
        });
        Self { address, weather, made }
    }

    fn is(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

/// Carries a connection, as the weather allows.
async fn carry(near: TcpStream, far: TcpStream, mut sees: watch::Receiver<Weather>, number: usize) {
    let (mut up, mut to_near) = near.into_split();
    let (mut down, mut to_far) = far.into_split();
    let (mut sent, mut came) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        let flows = !matches!(*sees.borrow(), Weather::Holes(first) if number < first);
        tokio::select! {
            changed = sees.changed() => {
                if changed.is_err() || *sees.borrow() == Weather::Down {
                    return;
                }
            }
            read = up.read(&mut sent), if flows => match read {
                Ok(size @ 1..) if to_far.write_all(&sent[..size]).await.is_ok() => {}
                _ => return,
            },
            read = down.read(&mut came), if flows => match read {
                Ok(size @ 1..) if to_near.write_all(&came[..size]).await.is_ok() => {}
                _ => return,
            },
        }
    }
}

/// A run without an end, at work.
fn endless(id: RunId) -> v1::StartRequest {
    v1::StartRequest {
        run_id: id.as_bytes().to_vec().into(),
        spec_toml: format!("{SPHERE}\n[stop]\ngenerations = 1000000000\n"),
        sandbox: "full".to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_flaps_loses_nothing_and_recovers_at_once() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let network = Network::to(endpoint.address).await;
    let link = home.link(&Endpoint { address: network.address, ..endpoint }).await;
    let run = RunId::new(1_700_000_000_000, [3; 10]);
    link.runs().start(endless(run).keyed()).await.unwrap();
    let mut progress = link.watch(&run.to_string()).await.unwrap();
    let mut seen = 0;
    let mut hear = async |seen: &mut u64| {
        let told = timeout(PATIENCE, progress.next()).await.unwrap().unwrap().unwrap();
        let run = told.run.unwrap();
        assert!(run.agents >= *seen, "{} after {seen}", run.agents);
        *seen = run.agents;
        run.state
    };
    for flap in 0..8_u64 {
        for _ in 0..5 {
            assert_eq!(hear(&mut seen).await, "running");
        }
        network.is(Weather::Down);
        // What is asked for meanwhile is made once, by the id that its caller chose.
        let id = SessionId::new(flap, [4; 10]);
        let create = v1::CreateSessionRequest {
            session_id: id.as_bytes().to_vec().into(),
            name: format!("session {flap}"),
        };
        let mut sessions = link.sessions();
        let asked = tokio::spawn(async move {
            while sessions.create(create.clone().keyed()).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        sleep(Duration::from_millis(100 * (flap % 4 + 1))).await;
        network.is(Weather::Fair);
        let back = Instant::now();
        assert_eq!(hear(&mut seen).await, "running");
        // What was on its way before comes first; this is newer than the break.
        let at_break = seen;
        while seen == at_break {
            hear(&mut seen).await;
        }
        assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
        timeout(PATIENCE, asked).await.unwrap().unwrap();
    }
    let listed = link.sessions().list(v1::ListSessionsRequest::default()).await.unwrap();
    let names: Vec<_> = listed.into_inner().sessions.into_iter().map(|it| it.name).collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("session ")).count(), 8, "{names:?}");
    link.runs().stop(v1::RunRef { run: run.to_string() }).await.unwrap();
    while hear(&mut seen).await == "running" {}
    let made = *network.made.borrow();
    assert!(made > 8, "{made} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_only_seems_to_be_there_is_replaced() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let network = Network::to(endpoint.address).await;
    let link = home.link(&Endpoint { address: network.address, ..endpoint }).await;
    let other = home.link(&endpoint).await;
    let run = RunId::new(1_700_000_000_000, [3; 10]);
    link.runs().start(endless(run).keyed()).await.unwrap();
    let mut progress = link.watch(&run.to_string()).await.unwrap();
    progress.next().await.unwrap().unwrap();
    let hole = || {
        network.is(Weather::Holes(*network.made.borrow()));
        Instant::now()
    };
    let recovered = |what, begun: Instant| {
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{what} after {took:?}");
    };
    // Who listens goes on, on a new connection: what was on its way before comes first.
    for _ in 0..2 {
        let begun = hole();
        while begun.elapsed() < Duration::from_secs(1) {
            timeout(PATIENCE, progress.next()).await.unwrap().unwrap().unwrap();
        }
        recovered("a stream", begun);
    }
    // Who asks is answered, and so is who asks for what takes its time, over HTTP/2.
    let begun = hole();
    let status = link.operations().status(v1::StatusRequest {}).await.unwrap();
    assert!(status.into_inner().agents > 0);
    recovered("a call over the line", begun);
    let tree = v1::PageRequest { of: run.to_string(), limit: 1, ..Default::default() };
    link.lineage().tree(tree.clone()).await.unwrap();
    let begun = hole();
    link.lineage().tree(tree).await.unwrap();
    recovered("a call over HTTP/2", begun);
    // Nobody else was held up.
    let begun = Instant::now();
    other.operations().status(v1::StatusRequest {}).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
