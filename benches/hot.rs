//! The hot tier in Redis, beside the same in this process and beside the bare libraries in the same
//! run.
//!
//! `cargo bench --bench hot` prints p50 and p99 of one operation at a time. Servers are those
//! that `scripts/services up` starts; without them, what needs them is left out, and said so.

#![allow(clippy::expect_used, clippy::cast_precision_loss, reason = "a benchmark")]

use std::time::{Duration, Instant};

use darwin::daemon::store::hot::{
    HotBackend, Rate,
    memory::MemoryHot,
    redis::{
        RedisHot,
        scripts::{COUNT, KEPT_MS, LOCK, LONGEST_MS, Of, PUT, SPARE_MS, TAKE, UNLOCK, key},
    },
};
use redis::{Client, ClientTlsConfig, Script, TlsCertificates, aio::MultiplexedConnection};

/// Operations of each kind, in rounds by turns, so that whatever else the machine does hits all.
const ROUNDS: usize = 20;
const EACH: usize = 250;
/// Members of the set that the best are read from.
const MEMBERS: u32 = 10_000;
const RATE: Rate = Rate { capacity: 1e9, per_second: 1e9 };
const HOLDER: [u8; 16] = [7; 16];
/// The goals: p99, and how much slower than the bare library.
const GOAL: (Duration, f64) = (Duration::from_millis(1), 1.15);

fn main() {
    // `cargo test --benches` runs this, too.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(hot());
}

/// What is measured.
const OPERATIONS: [&str; 5] = ["put", "best(10)", "count", "lock, unlock", "take"];

/// The hot tier.
async fn hot() {
    println!("hot tier, {} operations of each kind, one at a time:", ROUNDS * EACH);
    let memory = MemoryHot::default();
    fill(&memory).await;
    let mut all = Times::default();
    for _ in 0..ROUNDS {
        all.backend(&memory).await;
    }
    all.print("in memory", None);
    let Ok(url) = std::env::var("DARWIN_TEST_REDIS") else {
        println!("  NOT MEASURED: DARWIN_TEST_REDIS names no Redis (scripts/services up redis)");
        return;
    };
    let name = format!("bench{:x}", rand::random::<u64>());
    let tier = RedisHot::at(&format!("{url}&name={name}")).expect("a URL");
    tier.subscribed().await;
    fill(&tier).await;
    // With keys of its own: the same work, on the same amount of data.
    let other = RedisHot::at(&format!("{url}&name={name}-bare")).expect("a URL");
    fill(&other).await;
    let mut bare = Bare::new(&url, &format!("{name}-bare")).await;
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        ours.backend(&tier).await;
        theirs.bare(&mut bare).await;
    }
    theirs.print("Redis over TLS 1.3, the bare library", None);
    ours.print("Redis over TLS 1.3, this tier", Some(&theirs));
    for name in ["set", "n", "l", "b"] {
        tier.forget(name).await.expect("forgotten");
        other.forget(name).await.expect("forgotten");
    }
}

async fn fill(hot: &impl HotBackend) {
    for member in 0..MEMBERS {
        let score = f64::from(member.wrapping_mul(2_654_435_761) >> 8);
        hot.put("set", &member.to_be_bytes(), score).await.expect("it is put");
    }
}

/// How long each operation took, by kind.
#[derive(Default)]
struct Times([Vec<Duration>; OPERATIONS.len()]);

/// Does something some times, and keeps how long each took.
macro_rules! timed {
    ($times:expr, $turn:ident, $done:expr) => {
        for $turn in 0..EACH as u32 {
            let begun = Instant::now();
            $done;
            $times.push(begun.elapsed());
        }
    };
}

impl Times {
    async fn backend(&mut self, hot: &impl HotBackend) {
        let [put, best, count, lock, take] = &mut self.0;
        timed!(put, turn, {
            let done = hot.put("set", &turn.to_be_bytes(), f64::from(turn)).await;
            done.expect("it is put");
        });
        timed!(best, _turn, {
            assert_eq!(hot.best("set", 10).await.expect("the best").len(), 10);
        });
        timed!(count, _turn, {
            hot.count("n", 1).await.expect("counted");
        });
        timed!(lock, turn, {
            let lease = hot.lock("l", HOLDER, 1000, u64::from(turn)).await.expect("asked");
            lease.expect("locked");
            assert!(hot.unlock("l", HOLDER).await.expect("asked"));
        });
        timed!(take, turn, {
            assert_eq!(hot.take("b", RATE, 1.0, u64::from(turn)).await.expect("taken"), 0);
        });
    }

    /// The same by the bare library: what the tier sends, byte for byte.
    async fn bare(&mut self, bare: &mut Bare) {
        let [put, best, count, lock, take] = &mut self.0;
        let Bare { connection, space, scripts } = bare;
        let key = |name, of| key(space, name, of);
        let [put_script, count_script, lock_script, unlock_script, take_script] = &*scripts;
        timed!(put, turn, {
            let mut call = put_script.key(key("set", Of::Set));
            let call = call.arg(-f64::from(turn)).arg(&turn.to_be_bytes()[..]).arg(KEPT_MS);
            let _: () = call.invoke_async(connection).await.expect("it is put");
        });
        timed!(best, _turn, {
            let mut command = redis::cmd("ZRANGE");
            command.arg(key("set", Of::Set)).arg(0).arg(9).arg("WITHSCORES");
            let found: Vec<(Vec<u8>, f64)> =
                command.query_async(connection).await.expect("the best");
            assert_eq!(found.len(), 10);
        });
        timed!(count, _turn, {
            let mut call = count_script.key(key("n", Of::Counter));
            let call = call.arg(1).arg(KEPT_MS).arg(i64::MAX);
            let _: i64 = call.invoke_async(connection).await.expect("counted");
        });
        timed!(lock, turn, {
            let mut call = lock_script.key(key("l", Of::Lock));
            let call = call.arg(&HOLDER[..]).arg(format!("{turn:020}"));
            let call = call.arg(format!("{:020}", turn + 1000)).arg(KEPT_MS).arg(turn);
            let _: u64 = call.invoke_async(connection).await.expect("locked");
            let mut call = unlock_script.key(key("l", Of::Lock));
            let gone: u64 = call.arg(&HOLDER[..]).invoke_async(connection).await.expect("asked");
            assert_eq!(gone, 1);
        });
        timed!(take, turn, {
            let mut call = take_script.key(key("b", Of::Bucket));
            let call = call.arg(RATE.capacity).arg(RATE.per_second).arg(1).arg(turn);
            let call = call.arg(SPARE_MS).arg(LONGEST_MS);
            let left: Option<f64> = call.invoke_async(connection).await.expect("taken");
            assert_eq!(left, None);
        });
    }

    /// Prints them, and how they compare.
    fn print(&mut self, what: &str, beside: Option<&Self>) {
        println!("  {what}:");
        for (at, name) in OPERATIONS.iter().enumerate() {
            self.0[at].sort_unstable();
            let [p50, p99] = [50, 99].map(|part| quantile(&self.0[at], part));
            let (micros, tail) = (p50.as_secs_f64() * 1e6, p99.as_secs_f64() * 1e6);
            print!("    {name:<14} p50 {micros:8.1} µs   p99 {tail:8.1} µs");
            if let Some(beside) = beside {
                let theirs = quantile(&beside.0[at], 50);
                let factor = p50.as_secs_f64() / theirs.as_secs_f64();
                let good = p99 < GOAL.0 && factor <= GOAL.1;
                print!(
                    "   {factor:.2} × the bare library's p50{}",
                    if good { "" } else { "   MISSED" }
                );
            }
            println!();
        }
    }
}

fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// The library by itself: one connection with the same certificates.
struct Bare {
    connection: MultiplexedConnection,
    space: String,
    scripts: [Script; 5],
}

impl Bare {
    async fn new(url: &str, space: &str) -> Self {
        let (place, query) = url.split_once('?').expect("a query");
        let file = |key: &str| {
            let named = query.split('&').find_map(|pair| pair.strip_prefix(key));
            std::fs::read(named.expect("a file is named")).expect("a file")
        };
        let certificates = TlsCertificates {
            client_tls: Some(ClientTlsConfig {
                client_cert: file("sslcert="),
                client_key: file("sslkey="),
            }),
            root_cert: Some(file("sslrootcert=")),
        };
        let client = Client::build_with_tls(place, certificates).expect("a client");
        let connection = client.get_multiplexed_async_connection().await.expect("a connection");
        let scripts = [PUT, COUNT, LOCK, UNLOCK, TAKE].map(|verb| Script::new(verb.text()));
        Self { connection, space: space.to_owned(), scripts }
    }
}
