//! Clients that share no code with Darwin: written from `doc/messages.md` alone, gRPC's own library, and
//! a scanner of TLS ports.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use darwin::{
    link::endpoint::Endpoint,
    provenance::sign::Signer,
    wire::{
        envelope::{self, Place},
        methods, v1,
    },
};
use prost::Message as _;

use crate::{
    home::{Home, PATIENCE},
    required::not_run,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// What the clients import; scripts/setup knows the packages.
const MODULES: &str =
    "import cryptography, google.protobuf, grpc, h2, lz4.block, OpenSSL, websockets";

/// Debian's own Python, for which it has the modules as packages.
fn python() -> Command {
    let own = Path::new("/usr/bin/python3");
    Command::new(if own.exists() { own } else { Path::new("python3") })
}

/// Whether there is all that the clients need here.
fn clients_can_run() -> bool {
    let found = python().args(["-c", MODULES]).output();
    let found = found.expect("python3 is needed to run the tests");
    if !found.status.success() {
        not_run("clients", &text(&found));
    }
    found.status.success()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// What a client in `tests/clients` says.
fn client(name: &str, home: &Home, endpoint: &Endpoint, more: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(python().get_program());
    command.arg("-B").arg(format!("{ROOT}/tests/clients/{name}.py"));
    command.arg(endpoint.address.to_string()).arg(home.paths().pki()).args(more);
    text(&command.output().unwrap())
}

#[test]
fn clients_written_from_the_documentation_read_and_write_over_both_transports() {
    if !clients_can_run() {
        return;
    }
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    assert_eq!(client("grpc_signed", &home, &endpoint, &[]), "signed over gRPC\n");
    assert_eq!(client("line", &home, &endpoint, &[]), "signed over a line\n");
}

#[test]
fn grpcs_own_library_reads_if_the_operator_says_so_and_never_writes() {
    if !clients_can_run() {
        return;
    }
    for (allowed, word) in [(false, "forbidden"), (true, "allowed")] {
        let mut home = Home::new();
        let mut command = home.darwind(&[]);
        command.env("DARWIN_SERVER__PLAIN_READS", allowed.to_string());
        let endpoint = home.spawn(command);
        assert_eq!(client("grpc_plain", &home, &endpoint, &[word]), "plain over gRPC\n");
    }
}

#[test]
fn the_example_of_the_documentation_is_what_both_make_of_it() {
    let page = std::fs::read_to_string(format!("{ROOT}/doc/messages.md")).unwrap();
    let part = |name: &str| {
        let (_, rest) = page.split_once(&format!("\n{name}:\n\n")).unwrap();
        let lines = rest.lines().take_while(|line| line.starts_with("    "));
        lines.map(str::trim).collect::<String>()
    };
    let place = Place {
        clusters: [[3; 32]].into(),
        session: [4; 32],
        method: methods::at("/darwin.v1.Runs/Show").unwrap(),
        stream: Some(1),
        sequence: 0,
        answers: None,
        error: false,
    };
    let signer = Signer::from_seed(&[1; 32]).unwrap();
    let payload = v1::RunRef { run: "1".to_owned() }.encode_to_vec();
    let sealed =
        envelope::seal(&signer, &place, ([5; 16], true, None), 1_700_000_000_000, &payload);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(part("envelope"), hex(&[&sealed[..], &payload].concat()));
    assert_eq!(part("sender"), hex(&signer.id().0));
    if clients_can_run() {
        let mut command = python();
        command.arg("-B").arg(format!("{ROOT}/tests/clients/example.py"));
        let said = command.arg(format!("{ROOT}/doc/messages.md")).output().unwrap();
        assert_eq!(text(&said), "the example holds\n");
    }
}

#[test]
fn a_scanner_finds_tls_1_3_and_nothing_older_or_weak() {
    let mut home = Home::new();
    let address = home.start(&[]).address.to_string();
    let file = home.path("found.json");
    let mut command = Command::new("testssl");
    command.args(["--quiet", "--warnings", "off", "--color", "0", "--nodns", "none"]);
    command.args(["--protocols", "--std", "--server-defaults", "--jsonfile"]);
    command.arg(&file).arg(&address).current_dir(home.path("")).stdin(Stdio::null());
    let said = match command.output() {
        Ok(said) => text(&said),
        Err(error) => return not_run("testssl", &format!("it can't be started: {error}")),
    };
    let found = std::fs::read(&file).unwrap_or_else(|error| panic!("{error}\n{said}"));
    let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
    let finding = |id: &str| {
        let all = found.as_array().unwrap();
        let one = all.iter().find(|one| one["id"] == id);
        one.unwrap_or_else(|| panic!("nothing of {id}\n{found}"))["finding"].as_str().unwrap()
    };
    for old in ["SSLv2", "SSLv3", "TLS1", "TLS1_1", "TLS1_2"] {
        assert_eq!(finding(old), "not offered", "{old}");
    }
    assert_eq!(finding("TLS1_3"), "offered with final");
    for weak in ["NULL", "aNULL", "EXPORT", "LOW", "3DES_IDEA", "AVERAGE"] {
        assert_eq!(finding(&format!("cipherlist_{weak}")), "not offered", "{weak}");
    }
    assert_eq!((finding("ALPN_HTTP2"), finding("ALPN")), ("h2", "http/1.1"));
    // Early data takes a ticket of an earlier session.
    assert!(finding("TLS_session_ticket").starts_with("no "), "{found}");
    assert_eq!(finding("sessionresumption_ticket"), "not supported");
}
