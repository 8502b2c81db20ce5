//! What `darwin` does without a run: help, usage, configuration, the daemon by hand.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Instant};

use insta::assert_snapshot;

use crate::shell::{Shell, cut_off};

#[test]
fn completions_and_manual_pages_are_those_that_are_committed() {
    let shell = Shell::new();
    let made = shell.path("made");
    shell.good(&format!("completions --write {}", made.display()));
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions");
    let names = |dir: &Path| {
        let mut names: Vec<_> = ["", "man"]
            .iter()
            .flat_map(|sub| fs::read_dir(dir.join(sub)).unwrap())
            .map(|entry| entry.unwrap().path().strip_prefix(dir).unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&made), names(&committed), "run: darwin completions --write completions");
    assert!(["man/darwind.1", "_darwind"].iter().all(|name| made.join(name).is_file()));
    for name in names(&made).iter().filter(|name| made.join(name).is_file()) {
        let same = fs::read(made.join(name)).unwrap() == fs::read(committed.join(name)).unwrap();
        assert!(same, "{}: run: darwin completions --write completions", name.display());
    }
    let bash = fs::read_to_string(made.join("darwin.bash")).unwrap();
    assert_eq!(shell.good("completions bash"), bash);
    let page = fs::read_to_string(made.join("man/darwin-lineage-verify.1")).unwrap();
    assert_eq!(shell.good("man lineage verify"), page);
    let page = fs::read_to_string(made.join("man/darwind.1")).unwrap();
    assert_eq!(shell.good("man darwind"), page);
    assert!(page.contains("check\\-config") && page.contains("SIGHUP"), "{page}");
}

#[test]
fn help_is_quick() {
    let shell = Shell::new();
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            let begun = Instant::now();
            shell.good("--help");
            begun.elapsed().as_millis()
        })
        .collect();
    times.sort_unstable();
    assert!(times[4] < 30, "the median of {times:?} ms");
}

#[test]
fn wrong_usage_exits_with_64_and_says_what_is_right() {
    let shell = Shell::new();
    assert_snapshot!(shell.transcript(&[
        "evolv x",
        "evolve",
        "evolve x --max-time soon",
        "evolve x --max-evaluations=-1",
        "evolve nowhere",
        "explain nonsense",
        "man nothing",
        "journal x --only unknown",
    ]));
    assert_eq!(shell.run("").status, 64);
    assert!(shell.daemon().is_none(), "none of these needs a daemon");
}

#[test]
fn wrong_names_are_answered_with_right_ones() {
    let shell = Shell::new();
    for (line, status, parts) in [
        ("explain unavailble", 64, ["'unavailble'", "a similar value exists: 'unavailable'"]),
        ("explain 69", 64, ["'69'", "possible values: usage, invalid-input, config"]),
        ("config chek", 64, ["'chek'", "a similar subcommand exists: 'check'"]),
        ("config check nowhere.toml", 78, ["nowhere.toml: cannot be read", "(code config;"]),
        ("man lineage verfy", 64, ["darwin-lineage-verfy.1", "darwin --help"]),
    ] {
        shell.fails(line, status, &parts);
    }
    for (name, parts) in [
        ("DARWIN_REGISTRY__GRUOP", ["no key “registry.gruop”", "did you mean “group”?"]),
        ("DARWIN_REGISTRI__GROUP", ["no section “registri”", "did you mean “registry”?"]),
        ("DARWIN_REGISTRY__GROUP", ["registry.group: “x”", "not of type integer"]),
    ] {
        for line in ["config show", "config check", "up"] {
            shell.run_with(&[(name, "x")], line).failed(line, 78, &[name, parts[0], parts[1]]);
        }
    }
    assert!(shell.daemon().is_none());
}

#[test]
fn codes_are_explained() {
    let shell = Shell::new();
    assert_snapshot!(shell.transcript(&["explain", "explain exhausted", "explain sandbox --json"]));
}

#[test]
fn the_configuration_is_shown_with_its_origins_and_checked() {
    let shell = Shell::new();
    shell.write("home/darwind.toml", "[registry]\ngroup = 64\n");
    let shown = shell.good("config show");
    let line = shown.lines().find(|line| line.starts_with("registry.group")).unwrap();
    assert!(line.contains("64") && line.ends_with("home/darwind.toml"), "{line}");
    let json = shell.json("config show");
    assert_eq!(json["format"], "darwin/1");
    assert_eq!(json["values"]["registry.flush_ms"]["origin"], "default");
    shell.write("wrong.toml", "[registry]\ngrop = 64\n");
    assert_snapshot!(shell.transcript(&["config check", "config check wrong.toml"]));
    // What the file breaks is not started.
    shell.write("home/darwind.toml", "[registry]\ngroup = \"many\"\n");
    let said = shell.run("up");
    assert_eq!(said.status, 78, "{}", said.err);
    assert!(said.err.contains("registry.group"), "{}", said.err);
}

#[test]
fn the_daemon_is_started_once_shown_and_ended() {
    let shell = Shell::new();
    assert_snapshot!(shell.transcript(&["status", "down", "session list --no-start"]));
    assert_snapshot!(shell.transcript(&["up", "up"]));
    let endpoint = shell.daemon().unwrap();
    let status = shell.json("status");
    assert_eq!(status["kind"], "status");
    assert_eq!(status["pid"], endpoint.pid);
    assert!(shell.good("status").contains(&endpoint.address.to_string()));
    // It has left our terminal's session.
    let stat = fs::read_to_string(format!("/proc/{}/stat", endpoint.pid)).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, endpoint.pid.to_string());
    assert_snapshot!(shell.transcript(&["down", "down"]));
    assert!(shell.daemon().is_none());
}

#[test]
fn one_that_was_killed_is_started_again() {
    let shell = Shell::new();
    shell.good("up");
    let first = shell.daemon().unwrap();
    shell.kill_daemon();
    assert_eq!(shell.run("status").status, 69);
    let said = shell.run("doctor");
    assert!(said.err.starts_with("started darwind (process "), "{}", said.err);
    assert_ne!(shell.daemon().unwrap().pid, first.pid);
}

#[test]
fn many_at_once_start_one_daemon() {
    let shell = Shell::new();
    let going: Vec<_> = (0..4).map(|_| shell.start("up --json")).collect();
    let mut pids: Vec<_> = going
        .into_iter()
        .map(|going| {
            let said = going.end();
            assert_eq!(said.status, 0, "{}", said.err);
            let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
            json["pid"].as_u64().unwrap()
        })
        .collect();
    pids.dedup();
    assert_eq!(pids.len(), 1);
}

#[test]
fn one_that_cannot_start_is_quoted() {
    let shell = Shell::new();
    // Its data directory can't be made: a file is in its place.
    shell.write("home/data", "");
    let said = shell.run("up");
    assert_ne!(said.status, 0);
    assert!(said.err.contains("darwind did not start: "), "{}", said.err);
    assert!(said.err.contains("home/data"), "{}", said.err);
    assert!(said.err.contains("state/darwind.log"), "{}", said.err);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let shell = Shell::new();
    for line in ["completions zsh", "config show", "man evolve"] {
        let said = cut_off(shell.command(line.split(' ')), 16);
        assert_eq!((said.status, said.err.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn errors_are_json_too_where_json_is_asked_for() {
    let shell = Shell::new();
    let said = shell.run("status --json");
    assert_eq!(said.status, 69);
    let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (json["kind"].as_str(), json["code"].as_str()),
        (Some("error"), Some("unavailable"))
    );
    assert_eq!(json["hints"][0], "darwin up");
    for (line, message) in [
        ("explain unavailble --json", "invalid value 'unavailble' for '[CODE]'"),
        ("evolv x --json", "unrecognized subcommand 'evolv'"),
        ("--json", "'darwin' requires a subcommand but one was not provided"),
    ] {
        let said = shell.run(line);
        assert_eq!(said.status, 64);
        let json: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!((&json["code"], &json["message"]), (&"usage".into(), &message.into()));
        assert!(!json["hints"].as_array().unwrap().is_empty(), "{json}");
    }
}

#[test]
fn doctor_sees_what_others_can_read() {
    let shell = Shell::new();
    shell.good("up");
    let keys = shell.paths().pki();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o755)).unwrap();
    let said = shell.run("doctor");
    assert_eq!(said.status, 78);
    assert!(said.out.contains("✗ keys"), "{}", said.out);
    assert!(said.out.contains("→ chmod 700"), "{}", said.out);
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(shell.run("doctor").out.contains("✓ keys"));
}

#[test]
fn every_exit_status_is_documented() {
    let shell = Shell::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("doc/json.md")).unwrap();
    let help = shell.good("--help");
    let listed = shell.json("explain");
    let codes = listed["codes"].as_array().unwrap();
    let exit = |name: &str| codes.iter().find(|code| code["code"] == name).unwrap()["exit"].clone();
    assert_eq!([exit("bug"), exit("denied"), exit("exhausted")], [70, 77, 75]);
    for code in codes {
        let exit = code["exit"].as_u64().unwrap();
        assert!(page.contains(&format!("\n| {exit} | ")), "doc/json.md does not tell of {exit}");
        assert!(help.contains(&format!("{exit} ")), "--help does not tell of {exit}");
    }
}

#[test]
fn every_kind_of_document_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("doc/json.md")).unwrap();
    let kind = regex::Regex::new(r#"document\(\s*"([a-z-]+)""#).unwrap();
    let mut kinds = Vec::new();
    for entry in fs::read_dir(root.join("src/commands")).unwrap() {
        let source = fs::read_to_string(entry.unwrap().path()).unwrap();
        kinds.extend(kind.captures_iter(&source).map(|found| found[1].to_owned()));
    }
    assert!(kinds.len() > 20, "{kinds:?}");
    for kind in kinds {
        assert!(page.contains(&format!("`{kind}`")), "doc/json.md does not tell of {kind}");
    }
}
