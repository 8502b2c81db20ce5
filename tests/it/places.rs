//! Where things lie without DARWIN_HOME, and the daemon that `client.address` names.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{home::until, shell::Shell};

const SPHERE: &str = "[suite]\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 2\n";

/// Starts a daemon, has it evolve, and ends it; gives the files that lie below the working
/// directory while it runs, without what stands in the stores and each certificate issued.
fn used(shell: &Shell) -> Vec<PathBuf> {
    let said = shell.run("evolve spec.toml --max-generations 1");
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(said.err.contains("started darwind"), "{}", said.err);
    let mut found = Vec::new();
    files(&shell.path(""), Path::new(""), &mut found);
    found.sort();
    for dir in [shell.paths().data_dir, shell.paths().run_dir] {
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700, "{}", dir.display());
    }
    shell.good("down");
    assert!(shell.daemon().is_none() && !shell.paths().endpoint().exists());
    shell.fails("status", 69, &[]);
    found
}

fn files(base: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(base.join(below)).unwrap() {
        let path = below.join(entry.unwrap().file_name());
        let kind = base.join(&path);
        if kind.is_dir() && !path.ends_with("store") && !path.ends_with("issued") {
            files(base, &path, found);
        } else {
            found.push(path);
        }
    }
}

/// The files of an installation, whose directories lie there.
fn expected(config: &str, data: &str, state: &str, run: &str) -> Vec<PathBuf> {
    let keys = ["keys/master.key", "keys/signing.key", "keys/trusted.keys"];
    let pki = ["ca.key", "ca.pem", "client.key", "client.pem", "crl.pem", "issued", "lock"];
    let pki =
        pki.into_iter().chain(["server-ecdsa.key", "server-ecdsa.pem", "server.key", "server.pem"]);
    let mut expected = vec![
        PathBuf::from("spec.toml"),
        PathBuf::from(config).join("darwind.toml"),
        PathBuf::from(state).join("darwind.log"),
        PathBuf::from(run).join("endpoint.json"),
        PathBuf::from(data).join("darwind.lock"),
        PathBuf::from(data).join("store"),
    ];
    expected.extend(keys.map(|name| PathBuf::from(data).join(name)));
    expected.extend(pki.map(|name| PathBuf::from(data).join("pki").join(name)));
    expected.sort();
    expected
}

/// What `config show` says of the origin of the one value that a file sets.
fn origin(shell: &Shell) -> String {
    let shown = shell.json("config show");
    shown["values"]["registry.group"]["origin"].as_str().unwrap().to_owned()
}

#[test]
fn files_land_in_the_xdg_directories() {
    let shell = Shell::with(&[
        ("XDG_CONFIG_HOME", "c"),
        ("XDG_DATA_HOME", "d"),
        ("XDG_STATE_HOME", "s"),
        ("XDG_RUNTIME_DIR", "r"),
        ("HOME", "nobody-lives-here"),
    ]);
    shell.write("spec.toml", SPHERE);
    let file = shell.write("c/darwin/darwind.toml", "[registry]\ngroup = 64\n");
    assert_eq!(origin(&shell), file.display().to_string());
    assert_eq!(used(&shell), expected("c/darwin", "d/darwin", "s/darwin", "r/darwin"));
}

#[test]
fn a_home_alone_is_enough() {
    let shell = Shell::with(&[("HOME", "ada")]);
    shell.write("spec.toml", SPHERE);
    let file = shell.write("ada/.config/darwin/darwind.toml", "[registry]\ngroup = 64\n");
    assert_eq!(origin(&shell), file.display().to_string());
    let state = "ada/.local/state/darwin";
    let expected =
        expected("ada/.config/darwin", "ada/.local/share/darwin", state, &format!("{state}/run"));
    assert_eq!(used(&shell), expected);
}

#[test]
fn without_any_home_it_says_what_to_set() {
    let shell = Shell::new();
    for line in ["status", "up", "config show"] {
        let mut command = shell.command(line.split(' '));
        let said = command.env_remove("DARWIN_HOME").output().unwrap();
        assert_eq!(said.status.code(), Some(78), "{line}");
        let text = String::from_utf8(said.stderr).unwrap();
        assert!(text.contains("set DARWIN_HOME to the directory"), "{line}: {text}");
    }
}

/// An address at which nothing listens.
fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_configured_daemon_that_is_not_there_is_not_replaced_by_another() {
    let shell = Shell::new();
    shell.write("spec.toml", SPHERE);
    let file = shell.path("home/darwind.toml").display().to_string();
    let address = nowhere();
    let lines =
        ["status", "up", "down", "session list", "evolve spec.toml", "session list --no-start"];
    let configure = |address: &str| {
        shell.write("home/darwind.toml", format!("[client]\naddress = \"{address}\"\n"))
    };
    // With nothing to show who calls, that is what is missing.
    configure(&address);
    for line in lines {
        shell.fails(line, 69, &["client.address: ", &address, "no certificate", "home/data/pki"]);
    }
    fs::remove_file(&file).unwrap();
    shell.good("up");
    shell.good("down");
    configure(&address);
    for line in lines {
        let parts = ["client.address: no daemon answers at", &address, "start the daemon there"];
        shell.fails(line, 69, &parts);
        shell.fails(line, 69, &[&file, "without client.address, `darwin up`"]);
    }
    let said = shell.run("up --json");
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.status, &json["code"]), (69, &"unavailable".into()));
    configure("no-such-host.invalid:7437");
    shell.fails("status", 69, &["client.address: can't find no-such-host.invalid:7437", &file]);
    configure("nonsense");
    shell.fails("status", 78, &["client.address", "“nonsense” is not host:port", &file]);
    assert!(shell.daemon().is_none(), "one was started");
}

#[test]
fn a_configured_daemon_serves_who_has_its_certificate() {
    let (server, client) = (Shell::new(), Shell::new());
    server.good("up");
    let address = server.daemon().unwrap().address.to_string();
    client.write("home/darwind.toml", format!("[client]\naddress = \"{address}\"\n"));
    client.write("spec.toml", SPHERE);
    fs::create_dir_all(client.paths().pki()).unwrap();
    for name in ["ca.pem", "client.pem", "client.key"] {
        fs::copy(server.paths().pki().join(name), client.paths().pki().join(name)).unwrap();
    }
    let up = client.json("up");
    assert_eq!((&up["kind"], &up["started"]), (&"up".into(), &false.into()));
    assert_eq!((&up["address"], &up["pid"]), (&address.clone().into(), &serde_json::Value::Null));
    assert!(client.run("up").err.contains(&format!("the daemon at {address} answers")));
    assert!(client.good("status").contains(&address));
    let run = client.json("evolve spec.toml --max-generations 1");
    assert_eq!(server.json("runs list")["runs"][0]["id"], run["id"]);
    assert!(client.daemon().is_none(), "it started one of its own");

    // Somebody else's certificate is none.
    let stranger = Shell::new();
    stranger.good("up");
    stranger.good("down");
    stranger.write("home/darwind.toml", format!("[client]\naddress = \"{address}\"\n"));
    stranger.fails("status", 77, &[&address, "is not this user's daemon"]);
    client.good("down");
    until("the daemon has ended", || server.daemon().is_none().then_some(()));
}

#[test]
fn a_daemon_that_says_nothing_is_not_taken_for_none() {
    let shell = Shell::new();
    shell.good("up");
    let endpoint = shell.daemon().unwrap();
    let signal = |signal| {
        let pid = Pid::from_raw(i32::try_from(endpoint.pid).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    };
    signal(Signal::STOP);
    let process = format!("(process {})", endpoint.pid);
    for line in ["status", "session list", "up"] {
        shell.fails(line, 75, &[&process, "says nothing for 5 s", "(code deadline;"]);
    }
    signal(Signal::CONT);
    assert_eq!(shell.json("status")["pid"], endpoint.pid);
}
