//! The daemon's life: start, health, reload, drain, and what a second one or a killed one means.

use std::{
    fs::{self, File},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        net::UnixDatagram,
        process::ExitStatusExt as _,
    },
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use darwin::{
    code::Code,
    link::endpoint::{Endpoint, process_lives},
    wire::{envelope::Keyed as _, fault::Fault, v1},
};
use rustix::process::Signal;

use crate::{
    home::{Home, PATIENCE, get, until},
    shell::Shell,
};

#[test]
fn it_answers_health_checks_and_ends_cleanly_on_sigterm() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    assert_eq!(get(endpoint.admin, "/livez"), (200, "ok\n".to_owned()));
    assert_eq!(get(endpoint.admin, "/readyz"), (200, "ok\n".to_owned()));
    let (status, metrics) = get(endpoint.admin, "/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("\ndarwin_uptime_seconds "), "{metrics}");
    assert_eq!(get(endpoint.admin, "/").0, 404);
    let mode = fs::metadata(home.paths().endpoint()).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o600);

    home.signal(Signal::TERM);
    assert_eq!(home.wait().code(), Some(0), "{}", home.log());
    assert!(!home.paths().endpoint().exists());
}

/// Removes a directory in which somebody may still write.
fn remove(dir: &Path) {
    until("the directory is gone", || {
        let _ = fs::remove_dir_all(dir);
        (!dir.exists()).then_some(())
    });
}

#[test]
fn it_ends_by_itself_when_its_home_is_removed() {
    let home = Home::new();
    let below = home.path("below");
    let mut command = home.darwind(&["--own-session"]);
    let log = File::create(home.path("log")).unwrap();
    let mut child = command.env("DARWIN_HOME", &below).stderr(log).spawn().unwrap();
    let paths = darwin::config::Paths::under(&below);
    until("the daemon is ready", || Endpoint::read(&paths.run_dir).unwrap());
    remove(&below);
    let status = until("the daemon ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0), "{}", home.log());
    assert!(home.log().contains("the home was removed"), "{}", home.log());
    assert!(!below.exists(), "something was made anew in it");
}

#[test]
fn a_daemon_at_work_that_darwin_started_ends_with_its_home() {
    let shell = Shell::new();
    shell
        .write("spec.toml", "[suite]\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 2\n");
    shell.good("evolve spec.toml --max-generations 1000000000 --detach");
    let pid = shell.daemon().unwrap().pid;
    remove(&shell.path("home"));
    until("the daemon ends", || (!process_lives(pid)).then_some(()));
    assert!(!shell.path("home").exists(), "something was made anew in it");
}

/// Names the file in which the test that is killed tells what it left.
const FOUND: &str = "DARWIN_TEST_FOUND";

/// The half of the test below that is killed; by itself it has nothing to do.
#[test]
fn a_test_that_is_killed() {
    let Some(file) = std::env::var_os(FOUND) else { return };
    let shell = Shell::new();
    shell.good("up");
    let found = format!("{} {}", shell.daemon().unwrap().pid, shell.paths().data_dir.display());
    fs::write(file, found).unwrap();
    std::thread::park();
}

#[test]
fn what_a_killed_test_leaves_is_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("found");
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "daemon::a_test_that_is_killed"])
        .env(FOUND, &file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let found = until("its daemon runs", || {
        let found = fs::read_to_string(&file).ok()?;
        let (pid, home) = found.split_once(' ')?;
        Some((pid.parse().unwrap(), home.to_owned()))
    });
    test.kill().unwrap();
    test.wait().unwrap();
    until("the home is gone", || (!Path::new(&found.1).exists()).then_some(()));
    until("the daemon ends", || (!process_lives(found.0)).then_some(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_user_calls_it_and_ends_it() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let link = home.link(&endpoint).await;
    let status = link.operations().status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.pid, endpoint.pid);
    assert_eq!(status.admin, endpoint.admin.to_string());
    assert!(status.resident_bytes > 1 << 20 && status.workers > 0, "{status:?}");

    link.operations().shutdown(v1::ShutdownRequest {}).await.unwrap();
    assert_eq!(home.wait().code(), Some(0), "{}", home.log());
    assert!(home.log().contains("user=ada"), "{}", home.log());
}

#[test]
fn a_second_one_on_the_same_home_is_refused() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let second = home.darwind(&[]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains(&format!("(process {})", endpoint.pid)), "{said}");
    assert!(said.contains("darwin down"), "{said}");
    // The first is not disturbed.
    assert_eq!(Endpoint::read(&home.paths().run_dir).unwrap(), Some(endpoint));
    assert_eq!(get(endpoint.admin, "/readyz").0, 200);
}

#[test]
fn after_a_kill_the_file_is_stale_and_the_next_one_starts() {
    let mut home = Home::new();
    let first = home.start(&[]);
    let authority = fs::read(home.paths().pki().join("ca.pem")).unwrap();
    home.signal(Signal::KILL);
    assert_eq!(home.wait().signal(), Some(9));
    assert!(home.paths().endpoint().exists());
    assert_eq!(Endpoint::read(&home.paths().run_dir).unwrap(), None);

    let second = home.start(&[]);
    assert_ne!(second.pid, first.pid);
    assert_eq!(fs::read(home.paths().pki().join("ca.pem")).unwrap(), authority);
}

#[test]
fn sighup_reads_the_configuration_again() {
    let mut home = Home::new();
    let file = home.paths().config_file();
    fs::write(&file, "[log]\nlevel = \"info\"\n").unwrap();
    home.start(&[]);
    let pki = home.paths().pki().join("server.pem");
    let before = fs::read(&pki).unwrap();
    let mut count = 0;
    let mut reload = |text: &str, home: &Home| {
        fs::write(&file, text).unwrap();
        home.signal(Signal::HUP);
        count += 1;
        until("it has read the configuration", || {
            let log = home.log();
            let read = log.matches("configuration").count() >= count;
            read.then_some(log)
        })
    };
    let log = reload("[server]\nnames = [\"darwin.example\"]\n", &home);
    assert!(log.contains("read the configuration again"), "{log}");
    assert_ne!(fs::read(&pki).unwrap(), before);
    let log = reload("[server]\nlisten = \"127.0.0.1:9\"\n", &home);
    assert!(log.contains("needs a restart"), "{log}");
    let log = reload("[log]\nlevle = \"debug\"\n", &home);
    assert!(log.contains("kept the old configuration") && log.contains("levle"), "{log}");
    home.signal(Signal::TERM);
    assert_eq!(home.wait().code(), Some(0));
}

#[test]
fn a_mistake_in_the_configuration_is_named_and_the_status_is_78() {
    let home = Home::new();
    fs::write(home.paths().config_file(), "[server]\nlisten = \"nowhere\"\n").unwrap();
    for args in [&["--check-config"][..], &[]] {
        let output = home.darwind(args).output().unwrap();
        assert_eq!(output.status.code(), Some(78));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("darwind.toml") && said.contains("server.listen"), "{said}");
    }
    fs::write(home.paths().config_file(), "[registry]\ngroup = 64\n").unwrap();
    let output = home.darwind(&["--check-config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let output = home.darwind(&["--log-level", ",,=", "--check-config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8(output.stderr).unwrap().contains("log.level"));
    assert_eq!(home.darwind(&["--bogus"]).output().unwrap().status.code(), Some(64));
}

#[test]
fn an_address_that_is_taken_is_named() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = home.darwind(&["--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&address) && said.contains("server.listen"), "{said}");
}

#[test]
fn systemd_hears_of_start_life_reload_and_end() {
    let mut home = Home::new();
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = String::new();
    let mut hear = |wanted: &str| {
        while !heard.contains(wanted) {
            let mut buffer = [0; 4096];
            let count = socket.recv(&mut buffer).unwrap();
            heard.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        heard = heard.split_off(heard.find(wanted).unwrap() + wanted.len());
    };
    let mut command = home.darwind(&[]);
    command.env("NOTIFY_SOCKET", home.path("notify")).env("WATCHDOG_USEC", "200000");
    home.spawn(command);
    hear("READY=1");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    home.signal(Signal::HUP);
    hear("RELOADING=1");
    hear("MONOTONIC_USEC=");
    hear("READY=1");
    home.signal(Signal::TERM);
    hear("STOPPING=1");
    assert_eq!(home.wait().code(), Some(0));
}

#[test]
fn systemd_hears_nothing_while_the_writer_is_stuck() {
    let mut home = Home::new();
    let socket = UnixDatagram::bind(home.path("notify")).unwrap();
    let mut command = home.darwind(&[]);
    command.env("NOTIFY_SOCKET", home.path("notify")).env("WATCHDOG_USEC", "1000000");
    let endpoint = home.spawn(command);
    // How many signs of life came until a while went by, or until `enough` have.
    let signs = |span: Duration, enough: usize| {
        let (until, mut signs) = (Instant::now() + span, 0);
        while signs < enough {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            socket.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 4096];
            let heard = socket.recv(&mut buffer).map(|count| &buffer[..count]);
            signs += usize::from(heard.is_ok_and(|heard| heard.starts_with(b"WATCHDOG=1")));
        }
        signs
    };
    assert_eq!(signs(PATIENCE, 3), 3);
    // Another program holds the database, so that a write gets no further. Nothing else is wrong.
    let database = rusqlite::Connection::open(home.paths().store().join("warm.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(signs(PATIENCE, 3), 3, "a writer without work is well");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let link = runtime.block_on(home.link(&endpoint));
    let request =
        v1::CreateSessionRequest { session_id: vec![3; 16].into(), name: "one".to_owned() };
    let making = runtime.spawn(async move { link.sessions().create(request.keyed()).await });
    until("it is missed", || home.log().contains("took longer than 500ms").then_some(()));
    while signs(Duration::from_millis(1), 1) > 0 {}
    assert_eq!(signs(Duration::from_secs(3), 1), 0, "{}", home.log());
    assert!(!making.is_finished());
    assert_eq!(get(endpoint.admin, "/livez").0, 200, "its threads turn all the time");
    database.execute_batch("ROLLBACK").unwrap();
    assert_eq!(signs(PATIENCE, 3), 3);
    assert_eq!(runtime.block_on(making).unwrap().unwrap().into_inner().name, "one");
    home.signal(Signal::TERM);
    assert_eq!(home.wait().code(), Some(0));
}

/// What the daemon's doctor says of the keys.
fn keys_found(home: &Home, endpoint: &Endpoint) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let link = home.link(endpoint).await;
        let found = link.operations().doctor(v1::DoctorRequest {}).await.unwrap().into_inner();
        let keys = found.checks.into_iter().filter(|check| check.name.ends_with(" key"));
        keys.map(|check| format!("{} {} {}", check.name, check.state, check.detail)).collect()
    })
}

#[test]
fn keys_come_from_systemds_credentials_where_it_has_them() {
    let mut home = Home::new();
    let (given, keys) = (home.path("credentials"), home.paths().keys());
    fs::create_dir(&given).unwrap();
    let credential = |name: &str, bytes: &[u8]| {
        let path = given.join(name);
        fs::write(&path, bytes).unwrap();
        // As systemd's access control list shows.
        fs::set_permissions(path, fs::Permissions::from_mode(0o440)).unwrap();
    };
    credential("darwin-master.key", &[7; 32]);
    let with = |home: &Home| {
        let mut command = home.darwind(&[]);
        command.env("CREDENTIALS_DIRECTORY", &given);
        command
    };
    let command = with(&home);
    let endpoint = home.spawn(command);
    let found = keys_found(&home, &endpoint);
    let master = format!("master key ok from the systemd credential {}", given.display());
    assert!(found[0].starts_with(&master), "{found:?}");
    assert!(found[1].starts_with("signing key ok from the file "), "{found:?}");
    assert!(!keys.join("master.key").exists() && keys.join("signing.key").exists());
    assert!(!given.join("darwin-signing.key").exists());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let session = v1::SessionRef { session: "mine".to_owned() };
    runtime.block_on(async {
        let mut sessions = home.link(&endpoint).await.sessions();
        let request =
            v1::CreateSessionRequest { session_id: vec![3; 16].into(), name: "mine".to_owned() };
        sessions.create(request.keyed()).await.unwrap();
        let (session, text) = (session.session.clone(), "sealed".to_owned());
        sessions.set_context(v1::SetContextRequest { session, text }).await.unwrap();
    });
    let end = |home: &mut Home| {
        home.signal(Signal::TERM);
        assert_eq!(home.wait().code(), Some(0));
    };
    end(&mut home);
    // Without it, with another or a short one, nothing is made in its place.
    let refused = |mut command: std::process::Command, part: &str| {
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains(part), "{said}");
    };
    refused(home.darwind(&[]), "master.key: it is missing");
    credential("darwin-master.key", &[8; 32]);
    refused(with(&home), "it is not the master key of this store");
    credential("darwin-master.key", &[7; 31]);
    refused(with(&home), "the credential does not hold 32 bytes");
    assert!(!keys.join("master.key").exists());
    // And the right one, with a signing key beside it, reads what it sealed.
    credential("darwin-master.key", &[7; 32]);
    credential("darwin-signing.key", &[9; 32]);
    let command = with(&home);
    let endpoint = home.spawn(command);
    let found = keys_found(&home, &endpoint);
    assert!(found.iter().all(|found| found.contains(" the systemd credential ")), "{found:?}");
    let shown = runtime.block_on(async {
        home.link(&endpoint).await.sessions().show(session).await.unwrap().into_inner()
    });
    assert_eq!(shown.context["text"], "sealed");
    end(&mut home);
}

#[test]
fn the_log_suits_journald_and_machines() {
    let mut home = Home::new();
    let log = File::create(home.path("log")).unwrap().metadata().unwrap();
    let mut command = home.darwind(&[]);
    command.env("JOURNAL_STREAM", format!("{}:{}", log.dev(), log.ino()));
    home.spawn(command);
    home.signal(Signal::TERM);
    home.wait();
    let text = home.log();
    assert!(!text.is_empty() && text.lines().all(|line| line.starts_with("<6>")), "{text}");
    assert!(!text.contains("INFO") && !text.contains("Z "), "{text}");

    fs::remove_file(home.path("log")).unwrap();
    home.start(&["--log-format", "json"]);
    home.signal(Signal::TERM);
    home.wait();
    let text = home.log();
    let parsed = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
    assert!(!text.is_empty() && text.lines().all(|line| parsed(line)["level"] == "INFO"));
}

/// Starts an evaluation that takes longer than any test, and waits until it is at work.
async fn long_evaluation(home: &mut Home, drain_seconds: &str) -> tokio::task::JoinHandle<Fault> {
    let mut command = home.darwind(&[]);
    command.env("DARWIN_SERVER__DRAIN_SECONDS", drain_seconds);
    let endpoint = home.spawn(command);
    let link = home.link(&endpoint).await;
    let suite = "name = \"slow\"\nkind = \"command\"\nargv = [\"sleep\", \"1000\"]\n\
                 [[objectives]]\nname = \"score\"\n";
    let request = v1::EvaluateRequest {
        suite_toml: suite.to_owned(),
        what: Some(v1::evaluate_request::What::Genome(v1::Genome::default())),
        sandbox: "reduced".to_owned(),
        ..Default::default()
    };
    let call =
        tokio::spawn(async move { link.evaluations().evaluate(request).await.unwrap_err().into() });
    until("the evaluation is at work", || {
        assert!(!call.is_finished(), "{}", home.log());
        get(endpoint.admin, "/metrics").1.contains("\ndarwin_calls_open 1\n").then_some(())
    });
    call
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_has_a_deadline() {
    let mut home = Home::new();
    let call = long_evaluation(&mut home, "1").await;
    home.signal(Signal::TERM);
    assert_eq!(home.wait().code(), Some(0), "{}", home.log());
    assert!(home.log().contains("did not end in time"), "{}", home.log());
    assert_eq!(call.await.unwrap().code(), Code::Unavailable);
    assert!(!home.paths().run_dir.join("endpoint.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_is_final() {
    let mut home = Home::new();
    let call = long_evaluation(&mut home, "3600").await;
    home.signal(Signal::TERM);
    until("it drains", || home.log().contains("draining").then_some(()));
    home.signal(Signal::INT);
    assert_eq!(home.wait().code(), Some(143), "{}", home.log());
    assert_eq!(call.await.unwrap().code(), Code::Unavailable);
}
