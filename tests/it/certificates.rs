//! Who may call the daemon, and for how long: `darwin pki`, roles, revocation, renewal and
//! rotation, with real daemons and clients.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use darwin::{
    code::Code,
    domain::{id::RunId, role::Role},
    link::{
        client::Link,
        endpoint::Endpoint,
        error::LinkError,
        pki::{Identity, Pki, SERVER_NAME, Usage},
        tls,
    },
    wire::{access, convert, envelope::Keyed as _, fault::Fault, methods::DESCRIPTORS, v1},
};
use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::{
    Request, Status,
    body::Body,
    client::{Grpc, GrpcService},
    transport::Channel,
};

use crate::{
    home::{Home, PATIENCE, get, until},
    required::not_run,
    shell::Shell,
};

const SPHERE: &str = "[suite]\nkind = \"builtin\"\nfunction = \"sphere\"\ndimensions = 2\n";
const DAY: Duration = Duration::from_secs(86_400);
/// How soon a revocation counts, at the latest.
const SOON: Duration = Duration::from_secs(60);

/// The path of every method of every service, as the descriptors have them.
fn methods() -> Vec<String> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).unwrap();
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            let of = |method: &str| format!("/{name}/{method}");
            paths.extend(service.method.iter().map(|method| of(method.name())));
        }
    }
    assert!(paths.len() > 20, "{paths:?}");
    paths
}

/// Calls a method by its path with an empty message.
async fn call<C>(channel: C, path: &str) -> Result<(), Status>
where
    C: GrpcService<Body>,
    C::Error: std::fmt::Display,
    C::ResponseBody: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = tonic_prost::ProstCodec::<v1::StatusRequest, v1::ShutdownResponse>::default();
    let request = Request::new(v1::StatusRequest {});
    grpc.unary(request, path.parse().unwrap(), codec).await.map(|_| ())
}

/// A channel that connects anew for the first call, with that TLS configuration.
fn channel(endpoint: &Endpoint, config: ClientConfig) -> Channel {
    let (address, config) = (endpoint.address, Arc::new(config));
    let connect = tower::service_fn(move |_| {
        let config = config.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let name = SERVER_NAME.try_into().unwrap();
            TlsConnector::from(config).connect(name, stream).await.map(TokioIo::new)
        }
    });
    let target = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    target.connect_with_connector_lazy(connect)
}

/// How many calls the daemon has seen, and how many connections it let in and cut off.
fn seen(endpoint: &Endpoint) -> (u64, u64, u64) {
    let (_, metrics) = get(endpoint.admin, "/metrics");
    let sum = |name: &str| {
        let lines = metrics.lines().filter(|line| line.starts_with(name));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    };
    (
        sum("darwin_calls_total"),
        sum("darwin_connections_total{result=\"grpc\"}"),
        sum("darwin_connections_closed_total"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_method_is_reached_without_a_certificate_that_is_good() {
    let mut home = Home::new();
    // So that a call needs nothing else to get through.
    let mut command = home.darwind(&[]);
    command.env("DARWIN_SERVER__PLAIN_READS", "true");
    let endpoint = home.spawn(command);
    let pki = Pki::at(home.paths().pki());
    let (now, before) = (SystemTime::now(), SystemTime::now() - 3 * DAY);
    let good = pki.issue("good", Role::Operator, DAY, now).unwrap();
    let expired = pki.issue("expired", Role::Operator, DAY, before).unwrap();
    let revoked = pki.issue("revoked", Role::Operator, DAY, now).unwrap();
    pki.revoke("revoked", now).unwrap();
    until("the revocation counts", || {
        let log = home.log();
        log.contains("took up changed certificates").then_some(())
    });
    let other = Home::new();
    let others = Pki::at(other.paths().pki());
    others.init(now).unwrap();
    let stranger = others.issue("good", Role::Operator, DAY, now).unwrap();
    let wrong = Identity { authorities: good.authorities.clone(), revoked: Vec::new(), ..stranger };
    let none = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])
    .unwrap()
    .with_root_certificates({
        let mut roots = rustls::RootCertStore::empty();
        roots.add(good.authorities[0].clone()).unwrap();
        roots
    })
    .with_no_client_auth();
    let with = |identity: &Identity| tls::client(identity, tls::H2).unwrap();

    // With the same means, one whose certificate is good gets through.
    call(channel(&endpoint, with(&good)), "/darwin.v1.Operations/Status").await.unwrap();
    let calls = seen(&endpoint).0;
    let bad = [
        ("none", {
            let mut none = none;
            none.alpn_protocols = vec![tls::H2.to_vec()];
            none
        }),
        ("wrong authority", with(&wrong)),
        ("expired", with(&expired)),
        ("revoked", with(&revoked)),
    ];
    for (what, config) in bad {
        for path in methods() {
            let status = call(channel(&endpoint, config.clone()), &path).await.unwrap_err();
            let code = Fault::from(status.clone()).code();
            assert_eq!(code, Code::Unavailable, "{what}: {path}: {status}");
        }
    }
    assert_eq!(seen(&endpoint).0, calls, "a call went through\n{}", home.log());
    for (identity, reason) in [(&expired, "expired"), (&revoked, "revoked")] {
        let error = Link::connect(&endpoint, identity).await.unwrap_err();
        assert!(matches!(error, LinkError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.code(), Code::Denied);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_is_refused_to_a_role_that_does_not_suffice() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let pki = Pki::at(home.paths().pki());
    let mut refused = 0;
    for role in Role::ALL {
        let identity = pki.issue(role.name(), role, DAY, SystemTime::now()).unwrap();
        let link = Link::connect(&endpoint, &identity).await.unwrap();
        for path in methods() {
            let needed = access::method(&path).unwrap();
            if role.may(needed) {
                continue;
            }
            let status = call(link.channel(), &path).await.unwrap_err();
            assert_eq!(status.code(), tonic::Code::PermissionDenied, "{role}: {path}: {status}");
            let (service, method) = path.rsplit('.').next().unwrap().split_once('/').unwrap();
            for part in [&format!("role {role}"), &format!("{service}.{method}"), needed.name()] {
                assert!(status.message().contains(part), "{status}");
            }
            refused += 1;
        }
        // What it may, it can; and follow a run only those who may read.
        let listed = link.runs().list(v1::ListRunsRequest::default()).await;
        assert_eq!(listed.is_ok(), role != Role::Worker, "{role}");
        let error = link.watch("0198").await.err().unwrap();
        let expected = if role == Role::Worker { Code::Denied } else { Code::NotFound };
        assert_eq!(error.code(), expected, "{role}: {error}");
    }
    // A worker none at all, a reader and a user no more than they may.
    assert!(refused > methods().len() + 5, "{refused}");
}

/// A run that goes on until it is stopped.
async fn endless(link: &Link) -> String {
    let id = RunId::new(1_700_000_000_000, [1; 10]);
    let request = v1::StartRequest {
        run_id: convert::bytes(id.as_bytes()),
        spec_toml: format!("name = \"bowl\"\nseed = 7\n[stop]\nevaluations = 100000000\n{SPHERE}"),
        workers: 1,
        ..Default::default()
    };
    link.runs().start(request.keyed()).await.unwrap();
    id.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_certificate_ends_is_cut_off_and_nobody_else() {
    let mut home = Home::new();
    let endpoint = home.start(&[]);
    let pki = Pki::at(home.paths().pki());
    let ada = home.link(&endpoint).await;
    let run = endless(&ada).await;
    let mut stays = ada.watch(&run).await.unwrap();
    let client = async |name: &str, life| {
        let identity = pki.issue(name, Role::User, life, SystemTime::now()).unwrap();
        let link = Link::connect(&endpoint, &identity).await.unwrap();
        link.runs().list(v1::ListRunsRequest::default()).await.unwrap();
        let events = link.watch(&run).await.unwrap();
        (identity, link, events)
    };
    let short = client("short", Duration::from_secs(4)).await;
    let revoked = client("revoked", DAY).await;
    let (_, connections, _) = seen(&endpoint);
    let begun = Instant::now();
    pki.revoke("revoked", SystemTime::now()).unwrap();
    // The authority changes hands in the same moment, to no harm.
    pki.rotate(SystemTime::now()).unwrap();

    for (identity, link, mut events) in [revoked, short] {
        let broken = loop {
            match tokio::time::timeout(SOON, events.next()).await.unwrap().unwrap() {
                Ok(progress) => assert_eq!(progress.run.unwrap().state, "running"),
                Err(error) => break error,
            }
        };
        assert_eq!(broken.code(), Code::Denied, "{broken}");
        let refused = Link::connect(&endpoint, &identity).await.unwrap_err();
        assert!(matches!(refused, LinkError::Refused { .. }), "{refused}");
        link.runs().list(v1::ListRunsRequest::default()).await.unwrap_err();
    }
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    // Two connections each. The first user's are those of before.
    until("four connections are closed", || (seen(&endpoint).2 == 4).then_some(()));
    let progress = tokio::time::timeout(PATIENCE, stays.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(progress.run.unwrap().state, "running");
    ada.runs().stop(v1::RunRef { run }).await.unwrap();
    assert_eq!(seen(&endpoint).1, connections, "somebody had to connect again");
}

#[test]
fn an_operator_issues_renews_and_revokes_and_the_daemon_takes_it_up_at_once() {
    let (server, client) = (Shell::new(), Shell::new());
    server.good("up");
    let daemon = server.daemon().unwrap();
    let pki = server.json("pki list");
    assert_eq!(pki["authorities"].as_array().unwrap().len(), 1);
    let roles: Vec<_> =
        pki["certificates"].as_array().unwrap().iter().map(|c| &c["role"]).collect();
    assert!(roles.contains(&&"server".into()) && roles.contains(&&"operator".into()), "{roles:?}");

    // A user, by flags, from another home.
    let issued = server.json("pki issue bob --role user --days 7");
    assert_eq!((&issued["name"], &issued["state"]), (&"bob".into(), &"valid".into()));
    assert_eq!(issued["key"].as_str().unwrap().len(), 64);
    let to = |name: &str| {
        format!("--address {} --identity {}", daemon.address, server.path(name).display())
    };
    client.write("spec.toml", SPHERE);
    let bob = to("bob");
    client.good(&format!("evolve spec.toml --max-generations 1 {bob}"));
    assert_eq!(server.json("runs list")["runs"].as_array().unwrap().len(), 1);
    client.fails(
        &format!("down {bob}"),
        77,
        &["role user", "Operations.Shutdown", "(code denied;"],
    );

    // A reader, by the configuration.
    server.good("pki issue eve --role reader --out eves");
    let (address, eves) = (daemon.address, server.path("eves"));
    client.write(
        "home/darwind.toml",
        format!("[client]\naddress = \"{address}\"\nidentity = \"{}\"\n", eves.display()),
    );
    client.good("runs list");
    let parts = ["role reader may not call Runs.Start", "needs user", "darwin pki issue"];
    client.fails("evolve spec.toml", 77, &parts);
    assert!(client.daemon().is_none(), "it started one of its own");

    // Mistakes.
    server.fails("pki issue bob --role user --out x", 1, &["“bob”", "pki renew bob"]);
    server.fails("pki issue b/ob --role user", 64, &["no name"]);
    server.fails("pki issue carl --role user --out bob", 64, &["holds an identity already"]);
    server.fails("pki issue carl --role king", 64, &["operator", "reader"]);
    server.fails("pki issue carl --role user --days 366", 64, &["1..=365"]);
    server.fails("pki revoke carl", 1, &["“carl”", "pki list"]);
    server.fails("pki init", 1, &["already", "pki rotate"]);
    client.fails("pki list", 1, &["no certificate authority", "home/data/pki", "pki init"]);

    // Renewed in place, the old one is good too; revoked, none is.
    let old = std::fs::read(server.path("bob/client.pem")).unwrap();
    let renewed = server.json("pki renew bob --days 9");
    assert_ne!(std::fs::read(server.path("bob/client.pem")).unwrap(), old);
    client.good(&format!("runs list {bob}"));
    let serial = renewed["serial"].as_str().unwrap();
    let revoked = server.json(&format!("pki revoke {serial}"));
    assert_eq!(revoked["certificates"][0]["state"], "revoked");
    let begun = Instant::now();
    let said = until("bob is refused", || {
        let said = client.run(&format!("runs list {bob}"));
        // Unless it is cut off just then.
        (said.status == 77).then_some(said)
    });
    said.failed("runs list", 77, &["it was revoked", "pki issue"]);
    assert!(begun.elapsed() < SOON);
    let table = server.good("pki list");
    assert!(table.contains("revoked") && table.contains(serial), "{table}");
    client.good("runs list");

    // A new authority: old and new certificates are good, and so is the operator's own.
    server.good("pki rotate");
    server.good("pki issue carl --role user");
    let begun = Instant::now();
    until("carl is let in", || {
        (client.run(&format!("runs list {}", to("carl"))).status == 0).then_some(())
    });
    assert!(begun.elapsed() < SOON);
    client.good("runs list");
    server.good("status");
    // The operator's own is renewed in place.
    server.good("pki renew");
    until("the operator is let in", || (server.run("status").status == 0).then_some(()));
    assert_eq!(server.json("status")["pid"], daemon.pid, "the daemon was not restarted");
    let listed = server.json("pki list");
    assert_eq!(listed["authorities"].as_array().unwrap().len(), 2);
    let of = |name: &str| {
        let all = listed["certificates"].as_array().unwrap();
        all.iter().find(|c| c["name"] == name).unwrap()["authority"].clone()
    };
    assert_eq!(of("carl"), listed["authorities"][0]["serial"]);
    assert_eq!(of("eve"), listed["authorities"][1]["serial"]);
}

#[test]
fn an_authority_made_by_hand_is_the_daemons() {
    let shell = Shell::new();
    let made = shell.json("pki init");
    let first = shell.json("pki issue ops --role operator");
    assert_eq!(first["authority"], made["serial"]);
    shell.good("up");
    assert_eq!(shell.json("pki list")["authorities"][0]["serial"], made["serial"]);
    let ops = shell.path("ops");
    shell.good(&format!("down --identity {}", ops.display()));
    // One elsewhere is another.
    shell.good("pki init --pki elsewhere");
    assert_ne!(shell.json("pki list --pki elsewhere")["authorities"][0]["serial"], made["serial"]);
}

/// What OpenSSL's command says, given `input`; nothing if there is no such command here.
fn openssl(args: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let spawned = command.spawn();
    let Ok(mut child) = spawned else {
        not_run("openssl", &format!("there is none to look at the port from outside: {spawned:?}"));
        return None;
    };
    // It may have ended before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn an_outside_client_finds_tls_1_3_and_nothing_older() {
    let mut home = Home::new();
    let address = home.start(&[]).address.to_string();
    let pki = home.paths().pki();
    let file = |name: &str| pki.join(name).display().to_string();
    let (ca, pem, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let own = ["s_client", "-connect", &address, "-CAfile", &ca, "-cert", &pem, "-key", &key];
    let websocket = ["-alpn", "http/1.1", "-ign_eof"];
    let request = "GET / HTTP/1.1\r\nhost: darwind\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let Some(newest) = openssl(&[&own[..], &websocket[..], &["-tls1_3"]].concat(), request) else {
        return;
    };
    for part in ["Verify return code: 0 (ok)", "TLSv1.3", "HTTP/1.1 404"] {
        assert!(newest.contains(part), "{part}\n{newest}");
    }
    assert!(newest.contains("Early data was not sent") && !newest.contains("Session Ticket"));
    for version in ["-tls1_2", "-tls1_1"] {
        let said = openssl(&[&own[..], &[version]].concat(), "").unwrap();
        assert!(said.contains("alert") && !said.contains("HTTP/1.1"), "{version}\n{said}");
        assert!(said.contains("Cipher is (NONE)"), "{version}\n{said}");
    }
    // To whom knows no Ed25519 the daemon answers with ECDSA.
    assert!(newest.to_lowercase().contains("peer signature type: ed25519"), "{newest}");
    let older = [&own[..5], &["-tls1_3", "-sigalgs", "ECDSA+SHA256"]].concat();
    let said = openssl(&older, "").unwrap();
    for part in ["Verify return code: 0 (ok)", "peer signature type: ecdsa"] {
        assert!(said.to_lowercase().contains(&part.to_lowercase()), "{part}\n{said}");
    }
    let nobody = [&own[..5], &websocket[..], &["-tls1_3"]].concat();
    let said = openssl(&nobody, request).unwrap();
    assert!(said.contains("certificate required") && !said.contains("HTTP/1.1 404"), "{said}");
}

#[test]
fn openssl_reads_certificates_and_the_list_of_the_revoked_as_we_do() {
    let home = Home::new();
    let dir = home.path("pki");
    let pki = Pki::at(&dir);
    pki.init(SystemTime::now()).unwrap();
    let bob = pki.issue("bob", Role::User, DAY, SystemTime::now()).unwrap();
    bob.write(&home.path("bob")).unwrap();
    assert_eq!(Pki::at(home.path("bob")).identity(Usage::Client).unwrap().key, bob.key);
    let file = |name: &str| dir.join(name).display().to_string();
    let (ca, crl, pem) = (file("ca.pem"), file("crl.pem"), home.path("bob/client.pem"));
    let pem = pem.display().to_string();
    let verify = ["verify", "-crl_check", "-purpose", "sslclient", "-CAfile", &ca, "-CRLfile"];
    let verify = [&verify[..], &[&crl, &pem]].concat();
    let Some(said) = openssl(&verify, "") else { return };
    assert!(said.contains("client.pem: OK"), "{said}");
    pki.revoke("bob", SystemTime::now()).unwrap();
    let said = openssl(&verify, "").unwrap();
    assert!(said.contains("certificate revoked"), "{said}");
    let text = openssl(&["x509", "-in", &pem, "-noout", "-text"], "").unwrap();
    for part in ["ED25519", "URI:darwin:role:user", "TLS Web Client Authentication", "CN = bob"] {
        assert!(text.replace("CN=bob", "CN = bob").contains(part), "{part}\n{text}");
    }
}
