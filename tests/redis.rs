//! The hot tier in Redis while things go wrong, on servers of its own: `scripts/services up redis`.

#![expect(clippy::expect_used, reason = "a test that cannot go on should stop")]

#[path = "support/redis.rs"]
mod servers;
#[path = "support/required.rs"]
mod required;
mod support;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use darwin::{
    code::Code,
    daemon::store::{
        error::StoreError,
        hot::{HotBackend as _, Rate, redis::RedisHot},
    },
    domain::id::RunId,
    wire::{envelope::Keyed as _, v1::DoctorRequest},
};
use servers::{DATA, Group, Redis};
use support::{Home, PATIENCE, finished, start_request};
use tokio::{
    sync::broadcast::error::TryRecvError,
    time::{sleep, timeout},
};

const ANN: [u8; 16] = [1; 16];
const BOB: [u8; 16] = [2; 16];
const RATE: Rate = Rate { capacity: 10.0, per_second: 1.0 };
/// How long the tier may be away when a server is lost.
const RECOVERY: Duration = Duration::from_secs(15);
/// How long one operation may take, whatever happens: connecting and answering, and some spare.
const LONGEST: Duration = Duration::from_secs(5);

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time");
    u64::try_from(now.as_millis()).expect("a time")
}

async fn tier(url: &str) -> RedisHot {
    let tier = RedisHot::at(url).expect("a URL");
    timeout(RECOVERY, tier.subscribed()).await.expect("it hears signals");
    tier
}

/// An operation, which must end in time.
async fn in_time<T>(operation: impl Future<Output = T>) -> T {
    timeout(LONGEST, operation).await.expect("an operation ends in time")
}

fn unavailable<T>(result: Result<T, StoreError>) -> String {
    let error = result.err().expect("an error");
    assert_eq!(error.code(), Code::Unavailable, "{error}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_everything_is_lost_it_starts_from_nothing() {
    let Some(server) = Redis::new(DATA) else { return };
    let hot = tier(&server.url()).await;
    for (name, score) in [("a", 1.0), ("b", 2.0)] {
        hot.put("set", name.as_bytes(), score).await.expect("it is put");
    }
    assert_eq!(hot.count("n", 41).await.expect("counted"), 41);
    assert_eq!(hot.take("b", RATE, 10.0, 0).await.expect("taken"), 0);
    let before = hot.lock("l", ANN, 60_000, now_ms()).await.expect("asked").expect("locked");
    for lost in [&["FLUSHALL"][..], &["SCRIPT", "FLUSH"]] {
        assert_eq!(server.says(lost), "OK");
    }
    assert_eq!(hot.size("set").await.expect("a size"), 0);
    assert_eq!(hot.count("n", 1).await.expect("counted"), 1);
    assert_eq!(hot.take("b", RATE, 10.0, 0).await.expect("taken"), 0);
    let after = hot.lock("l", BOB, 60_000, now_ms()).await.expect("asked").expect("locked");
    // Clocks go on, so fences do.
    assert!(after.fence > before.fence, "{before:?} and {after:?}");
    assert!(!hot.unlock("l", ANN).await.expect("asked"));
    hot.put("set", b"c", 3.0).await.expect("it is put");
    assert_eq!(hot.best("set", 9).await.expect("the best"), [(b"c".to_vec(), 3.0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_each_is_done_once_and_one_has_the_lock() {
    let (alone, cluster) = (Redis::new(DATA), Group::cluster());
    let (alone, cluster) = (alone.map(|one| (one.url(), one)), cluster.map(|all| (all.url(), all)));
    let urls = alone.iter().map(|it| &it.0).chain(cluster.iter().map(|it| &it.0));
    for url in urls {
        let hot = Arc::new(tier(url).await);
        let others = (0..100_u8).map(|turn| {
            let hot = hot.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    hot.count(&format!("n{}", number % 10), 1).await.expect("counted");
                }
                let lease = hot.lock("l", [turn; 16], 60_000, now_ms()).await.expect("asked");
                let taken = hot.take("b", RATE, 1.0, 0).await.expect("asked");
                (usize::from(lease.is_some()), usize::from(taken == 0))
            })
        });
        let (mut locked, mut taken) = (0, 0);
        for other in others.collect::<Vec<_>>() {
            let done = other.await.expect("it ends");
            locked += done.0;
            taken += done.1;
        }
        assert_eq!((locked, taken), (1, 10), "{url}");
        for number in 0..10 {
            assert_eq!(hot.count(&format!("n{number}"), 0).await.expect("counted"), 500);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_keep_all_their_digits_and_end_where_those_in_memory_do() {
    let Some(server) = Redis::new(DATA) else { return };
    let hot = tier(&server.url()).await;
    let large = i64::MAX - 5;
    assert_eq!(hot.count("n", large).await.expect("counted"), large);
    assert_eq!(hot.count("n", 2).await.expect("counted"), large + 2);
    assert_eq!(hot.count("n", 9).await.expect("counted"), i64::MAX);
    assert_eq!(hot.count("m", i64::MIN).await.expect("counted"), i64::MIN);
    assert_eq!(hot.count("m", -1).await.expect("counted"), i64::MIN);
    assert_eq!(hot.count("m", i64::MAX).await.expect("counted"), -1);
    let scores = [f64::INFINITY, f64::MAX, 0.1 + 0.2, f64::MIN_POSITIVE, 5e-324, -1e-300, f64::MIN];
    for (at, score) in (0_u8..).zip(scores) {
        hot.put("set", &[at], score).await.expect("it is put");
    }
    let best = hot.best("set", usize::MAX).await.expect("the best");
    assert_eq!(best.iter().map(|(_, score)| *score).collect::<Vec<_>>(), scores);
    // A lock that never ends, and times beyond all clocks.
    let lease = hot.lock("l", ANN, u64::MAX, 7).await.expect("asked").expect("locked");
    assert_eq!(lease.until_ms, u64::MAX);
    assert_eq!(hot.lock("l", BOB, 1, u64::MAX - 1).await.expect("asked"), None);
    let second = hot.lock("l", BOB, 1, u64::MAX).await.expect("asked").expect("locked");
    let third = hot.lock("l", ANN, 1, u64::MAX).await.expect("asked").expect("locked");
    assert!(lease.fence < second.fence && second.fence < third.fence);
    // A name is bytes, and members are too.
    hot.put("a}b {c\n", &[0, 255, b'\r', b'\n'], 1.0).await.expect("it is put");
    assert_eq!(hot.best("a}b {c\n", 1).await.expect("the best")[0].0, [0, 255, b'\r', b'\n']);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_ends_by_itself_and_no_kind_is_taken_for_another() {
    let Some(server) = Redis::new(DATA) else { return };
    let hot = tier(&format!("{}&name=lab", server.url())).await;
    let never = Rate { per_second: 0.0, ..RATE };
    hot.put("x", b"m", 1.0).await.expect("it is put");
    hot.count("x", 1).await.expect("counted");
    hot.lock("x", ANN, 1000, now_ms()).await.expect("asked").expect("locked");
    hot.take("x", RATE, 1.0, now_ms()).await.expect("taken");
    hot.take("never full", never, 1.0, now_ms()).await.expect("taken");
    hot.lock("for ever", ANN, u64::MAX, 0).await.expect("asked").expect("locked");
    let keys = server.says(&["KEYS", "*"]);
    let keys: Vec<_> = keys.lines().collect();
    assert_eq!(keys.len(), 6, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("darwin:{lab:"), "{key}");
        let left: i64 = server.says(&["PTTL", key]).parse().expect("a number");
        assert!(left > 60_000, "{key} ends in {left} ms");
    }
    hot.forget("x").await.expect("forgotten");
    assert_eq!(server.says(&["KEYS", "darwin:{lab:x}:*"]), "darwin:{lab:x}:lock");
    assert!(!hot.unlock("x", ANN).await.expect("asked"), "nobody holds it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_certificate_of_the_authority_is_refused_by_both() {
    let Some(server) = Redis::new(DATA) else { return };
    let done = server.command(false, &["PING"]).output().expect("redis-cli");
    assert!(!String::from_utf8_lossy(&done.stdout).contains("PONG"));
    assert_eq!(server.says(&["PING"]), "PONG");
    // Somebody else's, as the client's certificate and as the authority.
    let stranger =
        rcgen::generate_simple_self_signed(["darwin".to_owned()]).expect("a certificate");
    let dir = tempfile::tempdir().expect("a directory");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    fs::write(&cert, stranger.cert.pem()).expect("a file");
    fs::write(&key, stranger.signing_key.serialize_pem()).expect("a file");
    let (cert, key, pki) = (cert.display(), key.display(), server.pki().display());
    let place = format!("rediss://127.0.0.1:{}/?sslrootcert=", server.port);
    for (query, what) in [
        (format!("{pki}/ca.pem&sslcert={cert}&sslkey={key}"), "UnknownCA"),
        (format!("{cert}&sslcert={pki}/client.pem&sslkey={pki}/client.key"), "UnknownIssuer"),
    ] {
        let hot = RedisHot::at(&(place.clone() + &query)).expect("a URL");
        let said = unavailable(in_time(hot.count("n", 1)).await);
        assert!(said.contains(what), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_tls_1_2_is_not_spoken_with() {
    let Some(server) = Redis::old() else { return };
    // The server is well: OpenSSL speaks with it.
    assert_eq!(server.says(&["PING"]), "PONG");
    let hot = RedisHot::at(&server.url()).expect("a URL");
    let said = unavailable(in_time(hot.count("n", 1)).await);
    assert!(said.contains("ProtocolVersion") || said.contains("protocol version"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tls_only_with_the_word_and_a_password_where_one_is_set() {
    let Some(server) = Redis::new(DATA) else { return };
    assert_eq!(server.says(&["CONFIG", "SET", "requirepass", "secret"]), "OK");
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("password");
    fs::write(&file, "secret\n").expect("a file");
    let url = server.url();
    let hot = tier(&format!("{url}&password_file={}", file.display())).await;
    assert_eq!(hot.count("n", 1).await.expect("counted"), 1);
    for url in [url.replacen("://", "://:wrong@", 1), url] {
        let hot = RedisHot::at(&url).expect("a URL");
        let error = in_time(hot.count("n", 1)).await.expect_err("no password");
        assert_eq!(error.code(), Code::Config, "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    let Some((_server, port)) = Redis::plain() else { return };
    let hot = tier(&format!("redis://127.0.0.1:{port}/?plaintext=loopback")).await;
    assert_eq!(hot.count("n", 1).await.expect("counted"), 1);
    let way = hot.findings().await.into_iter().find(|found| found.about == "hot tier: way");
    assert!(way.expect("told").found.is_err_and(|(what, _)| what.contains("not encrypted")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_would_lose_is_told() {
    let Some(server) = Redis::new(DATA) else { return };
    let hot = tier(&server.url()).await;
    let found = hot.findings().await;
    assert!(found.len() == 3 && found.iter().all(|one| one.found.is_ok()), "{found:?}");
    assert!(found[0].found.as_ref().is_ok_and(|text| text.starts_with("Redis ")), "{found:?}");
    server.says(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let found = hot.findings().await;
    let (what, hint) = found[1].found.clone().expect_err("a warning");
    assert!(what.contains("allkeys-lru") && hint.contains("noeviction"), "{what}: {hint}");
    server.says(&["CONFIG", "SET", "maxmemory", "1"]);
    server.says(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let full = hot.count("n", 1).await.expect_err("it is full");
    assert_eq!(full.code(), Code::Exhausted, "{full}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_silent_or_away_holds_nobody_up_for_long() {
    let Some(mut server) = Redis::new(DATA) else { return };
    let hot = tier(&server.url()).await;
    assert_eq!(hot.count("n", 1).await.expect("counted"), 1);
    server.freeze(true);
    let begun = Instant::now();
    hot.signal("run");
    assert!(begun.elapsed() < Duration::from_millis(100), "a signal waits for nobody");
    // It may have been counted: that is not tried again.
    unavailable(in_time(hot.count("n", 1)).await);
    unavailable(in_time(hot.size("set")).await);
    server.freeze(false);
    let counted = in_time(hot.count("n", 1)).await.expect("counted");
    assert!(counted == 2 || counted == 3, "{counted}");
    // What it could not answer may have been done only now; and it is written down every second.
    sleep(Duration::from_secs(3)).await;
    let counted = in_time(hot.count("n", 0)).await.expect("counted");
    server.kill();
    let said = unavailable(in_time(hot.count("n", 1)).await);
    assert!(said.contains("can't be reached"), "{said}");
    assert!(hot.findings().await[0].found.is_err());
    server.start();
    let again = in_time(hot.count("n", 1)).await.expect("counted");
    assert_eq!(again, counted + 1, "what was written is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_reach_other_daemons_and_nobody_sleeps_over_a_restart() {
    let Some(mut server) = Redis::new(DATA) else { return };
    let (one, two) = (tier(&server.url()).await, tier(&server.url()).await);
    let stranger = tier(&format!("{}&name=other", server.url())).await;
    let (mut here, mut there) =
        (one.listen("run").expect("ears"), two.listen("run").expect("ears"));
    let mut nothing = [two.listen("r").expect("ears"), stranger.listen("run").expect("ears")];
    one.signal("run");
    timeout(RECOVERY, there.recv()).await.expect("in time").expect("a signal");
    here.try_recv().expect("at once");
    // It hears its own message no second time.
    two.signal("far");
    sleep(Duration::from_millis(200)).await;
    assert!(here.try_recv().is_err() && nothing.iter_mut().all(|ears| ears.try_recv().is_err()));
    // What is said while the server is away is heard when it is back.
    server.kill();
    for turn in 0..10_000 {
        one.signal(&format!("topic {turn}"));
    }
    here.try_recv().expect_err("another topic");
    server.start();
    for mut ears in [here, there] {
        timeout(RECOVERY, ears.recv()).await.expect("in time").expect("it may have missed one");
    }
    timeout(RECOVERY, two.subscribed()).await.expect("it hears signals");
    let mut there = two.listen("late").expect("ears");
    one.signal("late");
    timeout(RECOVERY, there.recv()).await.expect("in time").expect("a signal");
}

/// What happens to a master.
#[derive(Clone, Copy)]
enum Loss {
    /// It is killed.
    Killed,
    /// It says nothing any more.
    Silent,
}

/// Writes, while a master is lost: how long none was done, at the longest.
async fn fail_over(mut group: Group, loss: Loss) -> Duration {
    let url = group.url();
    let (hot, other) = (tier(&url).await, tier(&url).await);
    let mut ears = other.listen("run").expect("ears");
    let (mut fences, mut counted, mut failed) = (Vec::new(), 0, 0);
    let (begun, mut last, mut longest) = (Instant::now(), Instant::now(), Duration::ZERO);
    let mut killed = None;
    while killed.is_none_or(|at: Instant| at.elapsed() < RECOVERY) {
        if killed.is_none() && begun.elapsed() > Duration::from_secs(1) {
            let master = group.master("darwin:{darwin:l}:lock");
            match loss {
                Loss::Killed => master.kill(),
                Loss::Silent => master.freeze(true),
            }
            killed = Some(Instant::now());
        }
        for holder in [ANN, BOB] {
            let mut errors = Vec::new();
            match in_time(hot.lock("l", holder, 60_000, now_ms())).await {
                // The other one could not give it back, or it is not known whether he did.
                Ok(None) => {}
                Ok(Some(lease)) => fences.push((holder, lease.fence)),
                Err(error) => errors.push(error),
            }
            errors.extend(in_time(hot.unlock("l", holder)).await.err());
            match in_time(hot.count("n", 1)).await {
                Ok(_) => {
                    counted += 1;
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
                Err(error) => errors.push(error),
            }
            failed += errors.len();
            for error in errors {
                assert_eq!(error.code(), Code::Unavailable, "{error}");
            }
        }
        hot.signal("run");
        sleep(Duration::from_millis(2)).await;
    }
    assert!(last.elapsed() < Duration::from_secs(1), "it has not come back");
    for pair in fences.windows(2) {
        let ((first, before), (second, after)) = (pair[0], pair[1]);
        assert!(before < after || (before == after && first == second), "{before}, then {after}");
    }
    let locks = fences.len();
    println!("{locks} locks, {counted} counted, {failed} failed, away for {longest:?}");
    // And signals are heard.
    while !matches!(ears.try_recv(), Err(TryRecvError::Empty)) {}
    hot.signal("run");
    timeout(RECOVERY, ears.recv()).await.expect("in time").expect("a signal");
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_sentinels_may_be_killed() {
    let Some(group) = Group::sentinels() else { return };
    let longest = fail_over(group, Loss::Killed).await;
    assert!(longest < RECOVERY, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_cluster_may_be_killed() {
    let Some(group) = Group::cluster() else { return };
    let longest = fail_over(group, Loss::Killed).await;
    assert!(longest < RECOVERY, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_may_fall_silent_too() {
    for group in [Group::sentinels(), Group::cluster()].into_iter().flatten() {
        let longest = fail_over(group, Loss::Silent).await;
        assert!(longest < RECOVERY, "{longest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_may_move_while_it_is_used_and_nothing_is_done_twice() {
    let Some(mut group) = Group::cluster() else { return };
    let hot = tier(&group.url()).await;
    let key = "darwin:{darwin:n}:count";
    let slot = group.slot(key);
    for number in 1..=3 {
        assert_eq!(hot.count("n", 1).await.expect("counted"), number);
    }
    let from = group.master(key).port;
    let roles = group.servers.iter().map(|server| server.says(&["ROLE"]).starts_with("master"));
    let roles: Vec<_> = roles.collect();
    let masters = group.servers.iter().zip(roles).filter(|(_, master)| *master);
    let masters: Vec<_> = masters.map(|(server, _)| server).collect();
    let from = masters.iter().find(|server| server.port == from).expect("it");
    let to = masters.iter().find(|server| server.port != from.port).expect("another");
    let [from_id, to_id] = [from, to].map(|server| server.says(&["CLUSTER", "MYID"]));
    let set = |server: &Redis, state, id: &str| {
        assert_eq!(server.says(&["CLUSTER", "SETSLOT", &slot, state, id]), "OK");
    };
    set(to, "IMPORTING", &from_id);
    set(from, "MIGRATING", &to_id);
    // What is still there, and what would be new.
    assert_eq!(hot.count("n", 1).await.expect("counted"), 4);
    let first = hot.lock("n", ANN, 60_000, now_ms()).await.expect("asked").expect("locked");
    hot.put("n", b"a", 1.0).await.expect("it is put");
    let port = to.port.to_string();
    let moved = from.says(&["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS", key]);
    assert_eq!(moved, "OK");
    assert_eq!(hot.count("n", 1).await.expect("counted"), 5);
    assert_eq!(hot.lock("n", BOB, 60_000, now_ms()).await.expect("asked"), None);
    for server in [to, from] {
        set(server, "NODE", &to_id);
    }
    assert_eq!(hot.count("n", 1).await.expect("counted"), 6);
    assert!(hot.unlock("n", ANN).await.expect("asked"));
    let second = hot.lock("n", BOB, 60_000, now_ms()).await.expect("asked").expect("locked");
    assert!(second.fence > first.fence);
    assert_eq!(hot.size("n").await.expect("a size"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_that_is_shipped_suffices_and_its_user_may_do_what_is_needed() {
    let Some(mut server) = Redis::deployed(|text| text) else { return };
    let hot = tier(&server.url()).await;
    let found = hot.findings().await;
    assert!(found.len() == 3 && found.iter().all(|one| one.found.is_ok()), "{found:?}");
    server.kill();
    let Some(server) = Redis::deployed(|text| {
        let text = text.replace("#user ", "user ");
        text.replace("#<SHA-256 of the password>", ">secret")
    }) else {
        return;
    };
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("password");
    fs::write(&file, "secret\n").expect("a file");
    let hot = tier(&format!("{}&user=darwin&password_file={}", server.url(), file.display())).await;
    let found = hot.findings().await;
    assert!(found.iter().all(|one| one.found.is_ok()), "{found:?}");
    hot.put("x", b"a", 1.0).await.expect("it is put");
    assert_eq!(hot.best("x", 1).await.expect("the best").len(), 1);
    assert_eq!(hot.size("x").await.expect("a size"), 1);
    assert!(hot.remove("x", b"a").await.expect("asked"));
    assert_eq!(hot.count("x", 1).await.expect("counted"), 1);
    assert!(hot.lock("x", ANN, 1000, now_ms()).await.expect("asked").is_some());
    assert!(hot.unlock("x", ANN).await.expect("asked"));
    assert_eq!(hot.take("x", RATE, 1.0, now_ms()).await.expect("taken"), 0);
    hot.forget("x").await.expect("forgotten");
    // And nothing else.
    let may = |command: &[&str]| {
        let who = ["--no-auth-warning", "--user", "darwin", "--pass", "secret"];
        !server.says(&[&who, command].concat()).contains("NOPERM")
    };
    assert!(may(&["GET", "darwin:x"]));
    for command in [&["GET", "other"][..], &["FLUSHALL"], &["CONFIG", "SET", "maxmemory", "1"]] {
        assert!(!may(command), "{command:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_works_with_it_and_goes_on_without_it() {
    let Some(mut server) = Redis::new(DATA) else { return };
    let mut home = Home::new();
    let text = format!("[store]\nhot = \"{}\"\n", server.url());
    fs::write(home.path().join("darwind.toml"), text).expect("a configuration");
    let spec = "name = \"sphere\"\nseed = 1\n[search]\npopulation = 16\n\
                [stop]\nevaluations = 200\n[suite]\nname = \"sphere\"\nkind = \"builtin\"\n\
                function = \"sphere\"\ndimensions = 3\n";
    let mut link = home.start().await;
    for turn in 0..3 {
        let answer = link.operations().doctor(DoctorRequest {}).await.expect("an answer");
        let checks = answer.into_inner().checks;
        let told = checks.iter().filter(|check| check.name.starts_with("hot tier"));
        let states: Vec<_> = told.map(|check| check.state.as_str()).collect();
        let expected = if turn == 0 { &["ok", "ok", "ok"][..] } else { &["warning"] };
        assert_eq!(states, expected, "{checks:?}");
        let id = RunId::new(1_700_000_000_000, [turn; 10]);
        link.runs().start(start_request(id, spec).keyed()).await.expect("the run starts");
        let run = finished(&link, id, PATIENCE).await;
        assert_eq!(run.state, "finished", "{}", home.log());
        match turn {
            // Away while the daemon runs, and when it starts.
            0 => server.kill(),
            1 => {
                home.kill();
                link = home.start().await;
            }
            _ => {}
        }
    }
    assert!(home.log().contains("can't be reached"), "{}", home.log());
}
