//! The daemon with its rows in PostgreSQL, on a real server: `scripts/services up postgres`.

#![expect(clippy::expect_used, reason = "a test that cannot go on should stop")]

#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/required.rs"]
mod required;
mod support;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use darwin::{
    domain::id::{RunId, SessionId},
    link::client::Link,
    wire::{envelope::Keyed as _, v1},
};
use postgres::Postgres;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use support::{Home, PATIENCE, finished, results, show, start_request};

/// How often the server or the daemon is killed.
const KILLS: usize = 50;
/// The schedule of the kills; printed when the test fails.
const SEED: u64 = 20_261_127;

fn spec(seed: usize, agents: usize) -> String {
    format!(
        "name = \"served\"\nseed = {seed}\n[search]\npopulation = 32\n\
         [stop]\nevaluations = {agents}\n[suite]\nname = \"rastrigin\"\nkind = \"builtin\"\n\
         function = \"rastrigin\"\ndimensions = 60\n"
    )
}

fn id(n: usize) -> RunId {
    RunId::new(1_700_000_000_000 + n as u64, [7 + u8::try_from(n).unwrap_or(0); 10])
}

/// A home whose rows are on that server.
fn home(server: &Postgres) -> Home {
    home_at(&server.url())
}

fn home_at(url: &str) -> Home {
    let home = Home::new();
    let text = format!("[store]\nwarm = \"{url}\"\n");
    std::fs::write(home.path().join("darwind.toml"), text).expect("a configuration");
    home
}

/// What a daemon says that can't start there.
fn refused(home: &Home) -> String {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_darwind"));
    let said = daemon.env("DARWIN_HOME", home.path()).output().expect("darwind runs");
    assert!(!said.status.success(), "it started");
    String::from_utf8_lossy(&said.stderr).into_owned()
}

async fn start(link: &Link, id: RunId, spec: &str) {
    link.runs().start(start_request(id, spec).keyed()).await.expect("the run starts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evolution_is_the_same_wherever_its_rows_are() {
    let Some(server) = Postgres::new("") else { return };
    let (mut here, mut there) = (Home::new(), home(&server));
    let links = [here.start().await, there.start().await];
    for link in &links {
        start(link, id(0), &spec(1, 3000)).await;
    }
    let mut found = Vec::new();
    for link in &links {
        let run = finished(link, id(0), PATIENCE).await;
        found.push((run.state, run.best, run.agents, results(link, id(0)).await));
    }
    assert_eq!(found[0].0, "finished", "{}", there.log());
    assert!(found[0] == found[1], "{:?} and {:?}", found[0].1, found[1].1);
    // The same after a restart, and nothing is wrong with it.
    there.kill();
    let link = there.start().await;
    assert!(results(&link, id(0)).await == found[0].3);
    let checked = link.operations().verify_store(v1::VerifyStoreRequest {}).await;
    let checked = checked.expect("the store is checked").into_inner();
    assert!(checked.fault.is_empty(), "{:?}", checked.fault);
}

/// Runs, sessions that are made meanwhile, and a server and a daemon that die again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_nothing_acknowledged_is_lost_and_runs_go_on() {
    let Some(mut server) = Postgres::new("checkpoint_timeout = '30s'") else { return };
    let mut chaos = ChaCha8Rng::seed_from_u64(SEED);
    let (mut calm, mut stormy) = (Home::new(), home(&server));
    let (undisturbed, mut link) = (calm.start().await, stormy.start().await);
    let (mut kills, mut runs, mut midway) = (0, 0, 0);
    let mut told: Vec<SessionId> = Vec::new();
    while kills < KILLS {
        let (run, spec) = (id(runs), spec(runs, 20_000));
        start(&undisturbed, run, &spec).await;
        start(&link, run, &spec).await;
        while kills < KILLS {
            let pause = Duration::from_micros(chaos.random_range(0..300_000));
            let until = Instant::now() + pause;
            while Instant::now() < until {
                let session = SessionId::new(1_700_000_000_000 + told.len() as u64, chaos.random());
                let request = v1::CreateSessionRequest {
                    session_id: session.as_bytes().to_vec().into(),
                    name: format!("session {}", told.len()),
                };
                if link.sessions().create(request.keyed()).await.is_ok() {
                    told.push(session);
                }
            }
            let before = show(&link, run).await;
            if before.state != "running" {
                break;
            }
            kills += 1;
            midway += usize::from(before.agents > 0);
            if chaos.random_bool(0.6) {
                server.kill();
                server.start();
            } else {
                stormy.kill();
                link = stormy.start().await;
            }
            let now = again(&link, run).await;
            assert!(now.agents >= before.agents, "kill {kills}, seed {SEED}");
        }
        let expected = finished(&undisturbed, run, PATIENCE).await;
        let found = tokio::time::timeout(PATIENCE, finished(&link, run, 2 * PATIENCE)).await;
        let found = found.unwrap_or_else(|_| panic!("run {runs} does not end\n{}", stormy.log()));
        assert_eq!(
            (&found.state, found.best, found.agents),
            (&expected.state, expected.best, expected.agents),
            "run {runs} after {kills} kills, seed {SEED}: {}\n{}",
            found.reason,
            stormy.log()
        );
        let (expected, found) = (results(&undisturbed, run).await, results(&link, run).await);
        assert!(expected == found, "run {runs} after {kills} kills, seed {SEED}");
        runs += 1;
    }
    for session in &told {
        let session = v1::SessionRef { session: session.to_string() };
        let found = link.sessions().show(session.clone()).await;
        assert!(found.is_ok(), "{session:?} was acknowledged and is gone, seed {SEED}");
    }
    assert!(told.len() > KILLS && midway > KILLS / 3, "{} told, {midway} midway", told.len());
    let checked = link.operations().verify_store(v1::VerifyStoreRequest {}).await;
    let checked = checked.expect("the store is checked").into_inner();
    assert!(checked.fault.is_empty(), "{:?}\n{}", checked.fault, stormy.log());
}

/// The run, as soon as the daemon can tell again.
async fn again(link: &Link, id: RunId) -> v1::Run {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match link.runs().show(v1::RunRef { run: id.to_string() }).await {
            Ok(run) => return run.into_inner(),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A server that dies for good, and its standby in its place: no restart, nothing lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_takes_over_and_runs_go_on() {
    let Some(mut server) = Postgres::new("") else { return };
    let standby = server.standby();
    let (mut calm, mut stormy) = (Home::new(), home_at(&server.url_with(&standby)));
    let (undisturbed, link) = (calm.start().await, stormy.start().await);
    let spec = spec(3, 20_000);
    start(&undisturbed, id(0), &spec).await;
    start(&link, id(0), &spec).await;
    let deadline = Instant::now() + PATIENCE;
    let before = loop {
        let run = show(&link, id(0)).await;
        if run.agents > 2000 {
            break run;
        }
        assert!(Instant::now() < deadline, "{run:?}\n{}", stormy.log());
    };
    assert_eq!(before.state, "running", "it was too quick");
    server.kill();
    standby.promote();
    let now = again(&link, id(0)).await;
    assert!(now.agents >= before.agents, "{} told, {} left", before.agents, now.agents);
    let expected = finished(&undisturbed, id(0), PATIENCE).await;
    let found = finished(&link, id(0), PATIENCE).await;
    assert_eq!((&found.state, found.best), (&expected.state, expected.best), "{}", stormy.log());
    assert!(results(&undisturbed, id(0)).await == results(&link, id(0)).await);
    assert!(!stormy.log().contains("panicked"), "{}", stormy.log());
}

/// The raw files of the server hold names and scores, and nothing of a prompt, a program, a value
/// or a key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_secret_stands_in_clear_in_any_file_of_the_server() {
    let Some(mut server) = Postgres::new("checkpoint_timeout = '30s'") else { return };
    let mut home = home(&server);
    let link = home.start().await;
    let secret = "Zinnober-Quastenflosser-4711";
    let spec = "name = \"openly-named-run\"\nseed = 7\n[agent]\nfiles = [\"program.py\"]\n\
                [search]\npopulation = 4\n[stop]\nevaluations = 24\n[suite]\nname = \"s\"\n\
                kind = \"python\"\nevaluator = \"evaluator.py\"\n";
    let file = |path: &str, content: String| v1::File {
        path: path.to_owned(),
        content: content.into(),
        executable: false,
    };
    let evaluator = format!(
        "import runpy\ndef evaluate(path):  # {secret}\n    found = runpy.run_path(path)\n    \
         return {{'combined_score': -abs(found['X'])}}\n"
    );
    let request = v1::StartRequest {
        agent_files: vec![file("program.py", format!("X = 1.0  # {secret}\n"))],
        suite_files: vec![file("evaluator.py", evaluator)],
        ..start_request(id(0), spec)
    };
    link.runs().start(request.keyed()).await.expect("the run starts");
    assert_eq!(finished(&link, id(0), PATIENCE).await.state, "finished", "{}", home.log());
    home.kill();
    server.sql("postgres", "CHECKPOINT");
    std::fs::write(home.path().join("dump"), server.dump()).expect("a dump");
    server.kill();
    let key = |name: &str| {
        let keys = walk(home.path()).into_iter().find(|path| path.ends_with(name));
        std::fs::read(keys.expect("a key file")).expect("a key")
    };
    let hidden = [secret.as_bytes().to_vec(), key("master.key"), key("signing.key")];
    let mut named = 0;
    for path in walk(server.path()).into_iter().chain([home.path().join("dump")]) {
        let bytes = std::fs::read(&path).expect("a file");
        let has = |what: &[u8]| bytes.windows(what.len()).any(|window| window == what);
        named += usize::from(has(b"openly-named-run"));
        for hidden in &hidden {
            assert!(!has(&hidden[..16.min(hidden.len())]), "{}", path.display());
        }
    }
    assert!(named >= 3, "the table, the log and the dump name the run: {named}");
}

/// All files below a directory.
fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries =
        std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry"));
    let below = |entry: std::fs::DirEntry| match entry.file_type().expect("a type") {
        kind if kind.is_dir() => walk(&entry.path()),
        kind if kind.is_file() => vec![entry.path()],
        _ => Vec::new(),
    };
    entries.flat_map(below).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_has_one_daemon_at_a_time() {
    let Some(server) = Postgres::new("") else { return };
    let (mut first, second) = (home(&server), home(&server));
    let link = first.start().await;
    start(&link, id(0), &spec(1, 500)).await;
    let said = refused(&second);
    assert!(said.contains("in use by another daemon"), "{said}");
    assert_eq!(finished(&link, id(0), PATIENCE).await.state, "finished");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_or_another_program_is_refused_and_left_alone() {
    let Some(server) = Postgres::new("") else { return };
    let mut home = home(&server);
    home.start().await;
    home.kill();
    let darwin = "SET ROLE darwin; ";
    let table = "CREATE TABLE theirs (x int)";
    for (sql, expected) in [
        ("INSERT INTO meta.schema_version VALUES (99, 'later', 0)".to_owned(), "version 99"),
        (
            "UPDATE meta.schema_version SET version = 7, name = 'another' WHERE version = 99"
                .to_owned(),
            "version 7",
        ),
        (format!("DROP SCHEMA meta CASCADE; DROP TABLE agent; {table}"), "another program"),
    ] {
        server.sql("darwin", &format!("{darwin}{sql}"));
        let said = refused(&home);
        assert!(said.contains(expected), "{said}");
    }
    server.sql("darwin", "SELECT x FROM theirs; SELECT node FROM session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plaintext_is_only_what_was_asked_for_and_the_doctor_warns_of_it() {
    let Some(server) = Postgres::new("") else { return };
    for (url, warned) in [(server.plaintext_url(), 1), (server.url(), 0)] {
        let mut home = home_at(&url);
        let link = home.start().await;
        let found = link.operations().doctor(v1::DoctorRequest {}).await.expect("checks");
        let found = found.into_inner().checks;
        let warns =
            |check: &&v1::Check| check.state == "warning" && check.detail.contains("not encrypted");
        assert_eq!(found.iter().filter(warns).count(), warned, "{url}: {found:?}");
    }
}

#[test]
fn a_server_that_is_not_safe_enough_is_not_used() {
    let unsafe_ones = [
        ("ssl_min_protocol_version = 'TLSv1.2'\nssl_max_protocol_version = 'TLSv1.2'", "TLS 1.3"),
        ("synchronous_commit = off", "synchronous_commit"),
        ("ssl = off", "can't be reached"),
    ];
    for (configuration, expected) in unsafe_ones {
        let Some(server) = Postgres::new(configuration) else { return };
        let said = refused(&home(&server));
        assert!(said.contains(expected), "{configuration}: {said}");
    }
    // Nor is one reached without a certificate, or with another's authority.
    let Some(server) = Postgres::new("") else { return };
    let said = refused(&home_at(&server.url().replace("/ca.pem", "/client.pem")));
    assert!(said.contains("can't be reached") && said.contains("ertificate"), "{said}");
}
