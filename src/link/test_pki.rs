//! The authority over the years: what it makes, renews, takes back and hands over.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use rustls::{
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    pki_types::ServerName,
};

use crate::domain::role::Role;

use super::{
    error::LinkError,
    files,
    pki::{Identity, LIFE, Pki, SERVER_NAME, Standing, Usage, public_key, trust, unix},
    tls,
};

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

#[test]
fn the_authority_is_made_once_and_its_files_are_private() {
    let home = tempfile::tempdir().unwrap();
    let pki = Pki::at(home.path().join("pki"));
    assert!(matches!(pki.identity(Usage::Client), Err(LinkError::NoIdentity { .. })));
    assert!(pki.prepare("ada", &[], now()).unwrap());
    let first = pki.identity(Usage::Client).unwrap();
    assert!(!pki.prepare("ada", &[], now()).unwrap());
    assert_eq!(pki.identity(Usage::Client).unwrap().certificate, first.certificate);
    assert_eq!(first.facts().unwrap().name, "ada");
    for (dir, files) in [("pki", 10), ("pki/issued", 3)] {
        let entries = fs::read_dir(home.path().join(dir)).unwrap();
        let modes = entries.map(|entry| entry.unwrap().metadata().unwrap());
        let modes: Vec<_> =
            modes.filter(fs::Metadata::is_file).map(|file| file.mode() & 0o777).collect();
        assert_eq!(modes, vec![0o600; files], "{dir}");
    }
}

#[test]
fn certificates_are_renewed_before_they_end_and_the_authority_stays() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    pki.prepare("ada", &[], now()).unwrap();
    let before = pki.identity(Usage::Server).unwrap();
    // Only the list of the revoked is signed anew that early.
    assert!(pki.prepare("ada", &[], now() + days(59)).unwrap());
    assert_eq!(pki.identity(Usage::Server).unwrap().certificate, before.certificate);
    assert!(pki.prepare("ada", &[], now() + days(61)).unwrap());
    let after = pki.identity(Usage::Server).unwrap();
    assert_ne!(before.certificate, after.certificate);
    assert_eq!(before.authorities, after.authorities);
}

#[test]
fn a_server_with_a_new_name_gets_a_new_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    let names = ["darwin.example".to_owned(), "10.1.2.3".to_owned()];
    assert!(pki.prepare("ada", &names[..1], now()).unwrap());
    assert!(pki.prepare("ada", &names, now()).unwrap());
    assert!(!pki.prepare("ada", &names, now()).unwrap());
    assert!(!pki.prepare("ada", &names[1..], now()).unwrap());
    let error = pki.prepare("ada", &["no name".to_owned()], now()).unwrap_err();
    assert!(error.to_string().contains("“no name”"), "{error}");
}

#[test]
fn a_certificate_of_another_authority_is_replaced() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    Pki::at(one.path()).prepare("ada", &[], now()).unwrap();
    let pki = Pki::at(two.path());
    pki.prepare("ada", &[], now()).unwrap();
    for file in ["client.pem", "client.key"] {
        fs::copy(one.path().join(file), two.path().join(file)).unwrap();
    }
    assert!(pki.prepare("ada", &[], now()).unwrap());
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_replaced_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    pki.prepare("ada", &[], now()).unwrap();
    fs::copy(dir.path().join("server.key"), dir.path().join("client.key")).unwrap();
    assert!(pki.prepare("ada", &[], now()).unwrap());
    assert!(!pki.prepare("ada", &[], now()).unwrap());
}

#[test]
fn a_home_of_the_first_version_is_renewed_without_fuss() {
    // An authority with a key of its own kind, and a pair of the daemon's, as that version made
    // them: without role, record or list.
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Darwin local authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = params.self_signed(&key).unwrap();
    files::write(&dir.path().join("ca.pem"), authority.pem().as_bytes()).unwrap();
    files::write(&dir.path().join("ca.key"), key.serialize_pem().as_bytes()).unwrap();
    let issuer = Issuer::from_ca_cert_der(authority.der(), key).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "ada");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let old = params.signed_by(&key, &issuer).unwrap();
    files::write(&dir.path().join("client.pem"), old.pem().as_bytes()).unwrap();
    files::write(&dir.path().join("client.key"), key.serialize_pem().as_bytes()).unwrap();
    assert_eq!(public_key(old.der()), None);

    let pki = Pki::at(dir.path());
    assert!(pki.prepare("ada", &[], now()).unwrap());
    assert!(!pki.prepare("ada", &[], now()).unwrap());
    let identity = pki.identity(Usage::Client).unwrap();
    assert_eq!(identity.authorities, [authority.der().clone()]);
    let facts = identity.facts().unwrap();
    assert_eq!(facts.role, Some(Role::Operator));
    let key = Ed25519KeyPair::from_pkcs8(identity.key.secret_der()).unwrap();
    assert_eq!(key.public_key().as_ref(), facts.key.unwrap().0);
    assert!(accepted(&pki, &identity, now()));
}

/// Whether a daemon on `pki` as it is now lets that client in.
fn accepted(pki: &Pki, client: &Identity, now: SystemTime) -> bool {
    let verifier = tls::verifier(&pki.identity(Usage::Server).unwrap()).unwrap();
    verifier.verify_client_cert(&client.certificate, &[], unix(now)).is_ok()
}

/// Whether that client trusts the daemon on `pki` as it is now.
fn trusting(pki: &Pki, client: &Identity, now: SystemTime) -> bool {
    let server = pki.identity(Usage::Server).unwrap().certificate;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = trust(&client.authorities).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider).build().unwrap();
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    verifier.verify_server_cert(&server, &[], &name, &[], unix(now)).is_ok()
}

fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

#[test]
fn a_certificate_is_issued_listed_renewed_and_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    pki.prepare("ada", &[], now()).unwrap();
    let bob = pki.issue("bob", Role::Reader, days(7), now()).unwrap();
    let facts = bob.facts().unwrap();
    assert_eq!((facts.role, facts.not_after), (Some(Role::Reader), now() + days(7)));
    assert!(accepted(&pki, &bob, now()) && !accepted(&pki, &bob, now() + days(8)));
    let taken = pki.issue("bob", Role::User, days(7), now()).unwrap_err();
    assert!(taken.to_string().contains(&facts.serial), "{taken}");

    let later = now() + days(1);
    let renewed = pki.renew("bob", days(7), later).unwrap();
    assert_eq!(renewed.facts().unwrap().role, Some(Role::Reader));
    assert_ne!(renewed.facts().unwrap().key, facts.key);
    assert!(accepted(&pki, &bob, later) && accepted(&pki, &renewed, later));
    let listed = pki.list(later).unwrap();
    assert_eq!(listed.certificates.len(), 5);
    assert_eq!(listed.certificates[0], (renewed.facts().unwrap(), Standing::Valid));

    // By serial number, then what is left of the name.
    assert_eq!(pki.revoke(&facts.serial.to_uppercase(), later).unwrap()[0].serial, facts.serial);
    assert!(!accepted(&pki, &bob, later) && accepted(&pki, &renewed, later));
    assert_eq!(pki.revoke("bob", later).unwrap(), [renewed.facts().unwrap()]);
    assert!(!accepted(&pki, &renewed, later));
    for error in [
        pki.revoke("bob", later).unwrap_err(),
        pki.revoke(&facts.serial, later).unwrap_err(),
        pki.renew("bob", days(7), later).unwrap_err(),
    ] {
        assert!(matches!(error, LinkError::AlreadyRevoked { .. }), "{error}");
    }
    let error = pki.revoke("eve", later).unwrap_err();
    assert!(matches!(error, LinkError::NoCertificate { .. }), "{error}");
    let states: Vec<_> = pki.list(later).unwrap().certificates.into_iter().map(|c| c.1).collect();
    assert_eq!(states.iter().filter(|state| **state == Standing::Revoked(later)).count(), 2);
    // The name is free again.
    pki.issue("bob", Role::User, days(7), later).unwrap();
    for name in ["", "a/b", ".hidden", "-o", "a b", &"a".repeat(65)] {
        let error = pki.issue(name, Role::User, days(7), later).unwrap_err();
        assert!(matches!(error, LinkError::BadName(_)), "{error}");
    }
}

#[test]
fn what_the_daemon_itself_uses_is_made_anew_when_it_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    pki.prepare("ada", &[], now()).unwrap();
    for (name, usage) in [("ada", Usage::Client), (SERVER_NAME, Usage::Server)] {
        let before = pki.identity(usage).unwrap();
        pki.revoke(name, now()).unwrap();
        assert!(pki.prepare("ada", &[], now()).unwrap());
        assert_ne!(pki.identity(usage).unwrap().certificate, before.certificate);
        assert!(!pki.prepare("ada", &[], now()).unwrap());
    }
    let own = pki.renew_own(Some("ada"), days(5), now()).unwrap();
    assert_eq!((own.len(), own[0].role), (1, Some(Role::Operator)));
    assert_eq!(pki.identity(Usage::Client).unwrap().facts().unwrap(), own[0]);
    assert_eq!(pki.renew_own(None, days(90), now()).unwrap().len(), 3);
    assert!(!pki.prepare("ada", &[], now()).unwrap());
    assert!(pki.renew_own(Some("bob"), days(5), now()).unwrap().is_empty());
}

#[test]
fn after_a_rotation_old_and_new_clients_are_served_until_the_old_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    pki.prepare("ada", &[], now()).unwrap();
    let old = pki.issue("old", Role::User, days(50), now()).unwrap();
    let new_authority = pki.rotate(now()).unwrap();
    let new = pki.issue("new", Role::User, days(50), now()).unwrap();
    assert_eq!(new.facts().unwrap().issuer, new_authority.subject);
    // The daemon's own is renewed in between, and still one that the old client knows.
    pki.renew_own(Some(SERVER_NAME), LIFE, now()).unwrap();
    let during = now() + days(1);
    pki.prepare("ada", &[], during).unwrap();
    assert_eq!(pki.list(during).unwrap().authorities.len(), 2);
    for client in [&old, &new, &pki.identity(Usage::Client).unwrap()] {
        assert!(accepted(&pki, client, during) && trusting(&pki, client, during));
    }
    // Both authorities' lists are kept.
    pki.revoke("old", during).unwrap();
    assert!(!accepted(&pki, &old, during) && accepted(&pki, &new, during));

    // The last of the old authority's is that of the user, which is renewed in time.
    let after = now() + days(91);
    pki.prepare("ada", &[], now() + days(61)).unwrap();
    pki.prepare("ada", &[], after).unwrap();
    let left = pki.list(after).unwrap().authorities;
    assert_eq!(left, [new_authority]);
    let client = pki.identity(Usage::Client).unwrap();
    assert_eq!(client.authorities.len(), 1);
    assert!(accepted(&pki, &client, after) && trusting(&pki, &client, after));
    assert!(!accepted(&pki, &old, now()), "its authority is trusted no longer");
    assert_eq!(fs::read_to_string(dir.path().join("ca.key")).unwrap().matches("BEGIN").count(), 1);
}

#[test]
fn an_authority_makes_way_before_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    let first = pki.init(now()).unwrap();
    assert!(matches!(pki.init(now()), Err(LinkError::AuthorityExists { .. })));
    pki.prepare("ada", &[], now()).unwrap();
    assert_eq!(pki.list(now()).unwrap().authorities[0], first);
    let late = first.not_after - days(399);
    pki.prepare("ada", &[], late).unwrap();
    let authorities = pki.list(late).unwrap().authorities;
    assert!(!authorities.contains(&first), "{authorities:?}");
    // And records of what has long ended go.
    assert_eq!(pki.list(late).unwrap().certificates.len(), 3);
}

#[test]
fn a_rotation_that_was_cut_off_leaves_an_authority_that_works() {
    let whole = tempfile::tempdir().unwrap();
    let pki = Pki::at(whole.path());
    pki.prepare("ada", &[], now()).unwrap();
    let names = ["ca.key", "crl.pem", "ca.pem"];
    let read = |name: &&str| fs::read(whole.path().join(name)).unwrap();
    let before = names.iter().map(read).collect::<Vec<_>>();
    pki.rotate(now()).unwrap();
    let after = names.iter().map(read).collect::<Vec<_>>();
    for written in 0..=names.len() {
        for (at, name) in names.iter().enumerate() {
            let content = if at < written { &after[at] } else { &before[at] };
            files::write(&whole.path().join(name), content).unwrap();
        }
        pki.prepare("ada", &[], now()).unwrap();
        let client = pki.issue(&format!("c{written}"), Role::User, days(1), now()).unwrap();
        assert!(accepted(&pki, &client, now()) && trusting(&pki, &client, now()), "{written}");
    }
}

#[test]
fn without_the_list_of_the_revoked_nobody_is_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    pki.prepare("ada", &[], now()).unwrap();
    let client = pki.identity(Usage::Client).unwrap();
    // One that was not renewed for too long.
    assert!(accepted(&pki, &client, now() + days(29)));
    assert!(!accepted(&pki, &client, now() + days(31)));
    assert!(pki.prepare("ada", &[], now() + days(31)).unwrap());
    assert!(accepted(&pki, &client, now() + days(31)));
    for content in
        [None, Some("rubbish"), Some("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")]
    {
        let path = dir.path().join("crl.pem");
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = pki.prepare("ada", &[], now()).unwrap_err();
        assert!(error.to_string().contains("crl.pem"), "{error}");
        let made = pki.identity(Usage::Server).and_then(|server| tls::verifier(&server));
        let refuses = made.is_err_and(|error| !error.to_string().is_empty())
            || !accepted(&pki, &client, now());
        assert!(refuses, "{content:?}");
    }
}

#[test]
fn two_who_change_it_at_once_wait_for_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    pki.prepare("ada", &[], now()).unwrap();
    let lock = files::lock(&dir.path().join("lock")).unwrap();
    let begun = Instant::now();
    let other = std::thread::spawn({
        let pki = pki.clone();
        move || pki.issue("bob", Role::User, days(1), now()).map(|_| ())
    });
    while begun.elapsed() < Duration::from_millis(200) && !other.is_finished() {
        std::thread::yield_now();
    }
    assert!(!other.is_finished(), "it did not wait");
    drop(lock);
    other.join().unwrap().unwrap();
    assert_eq!(pki.list(now()).unwrap().certificates.len(), 4);
}

#[test]
fn a_bundle_is_read_where_it_was_written() {
    let (home, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let pki = Pki::at(home.path());
    pki.prepare("ada", &[], now()).unwrap();
    let made = pki.issue("bob", Role::User, days(1), now()).unwrap();
    let dir = away.path().join("bob");
    made.write(&dir).unwrap();
    let read = Pki::at(&dir).identity(Usage::Client).unwrap();
    assert_eq!(
        (&read.certificate, read.key.secret_der(), &read.authorities, &read.revoked),
        (&made.certificate, made.key.secret_der(), &made.authorities, &made.revoked)
    );
    assert_eq!(fs::metadata(dir.join("client.key")).unwrap().mode() & 0o777, 0o600);
    let error = Pki::at(&dir).list(now()).unwrap_err();
    assert!(error.to_string().contains("ca.key"), "it has no authority's key: {error}");
}

#[test]
fn a_lost_or_damaged_authority_is_named_and_never_replaced_silently() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::at(dir.path());
    pki.prepare("ada", &[], now()).unwrap();
    fs::write(dir.path().join("ca.key"), "rubbish").unwrap();
    let error = pki.prepare("ada", &[], now()).unwrap_err();
    assert!(error.to_string().contains("ca.key"), "{error}");
    fs::remove_file(dir.path().join("ca.key")).unwrap();
    let error = pki.prepare("ada", &[], now()).unwrap_err();
    assert!(matches!(error, LinkError::Damaged { .. }), "{error}");
}
