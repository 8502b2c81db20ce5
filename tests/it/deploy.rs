//! What an administrator installs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{home::Home, required::not_run};

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd").join(name)
}

#[test]
fn the_configuration_of_a_server_is_accepted() {
    let home = Home::new();
    let file = deployed("darwind.toml");
    let checked = home.darwind(&["--config", file.to_str().unwrap(), "--check-config"]).output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(fs::read_dir(home.path("")).unwrap().count(), 0, "a check leaves nothing behind");
}

#[test]
fn systemd_accepts_the_unit() {
    let found = Command::new("systemd-analyze").arg("--version").output();
    if !found.as_ref().is_ok_and(|found| found.status.success()) {
        not_run(
            "systemd",
            &format!("there is no systemd-analyze to check the unit with: {found:?}"),
        );
        return;
    }
    let home = Home::new();
    let unit = fs::read_to_string(deployed("darwind.service")).unwrap();
    let installed = "/usr/local/bin/darwind";
    let verify = |unit: &str| {
        let file = home.path("darwind.service");
        // Only the program lies elsewhere here.
        fs::write(&file, unit.replace(installed, env!("CARGO_BIN_EXE_darwind"))).unwrap();
        let checked = Command::new("systemd-analyze").arg("verify").arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        (checked.status.success(), said)
    };
    assert_eq!(unit.matches(&format!("={installed} --config ")).count(), 2);
    assert_eq!(verify(&unit), (true, String::new()));
    // With the keys as credentials, too.
    let credentials = unit.replace("#LoadCredentialEncrypted=", "LoadCredentialEncrypted=");
    for key in ["darwin-master.key", "darwin-signing.key"] {
        assert!(credentials.contains(&format!("\nLoadCredentialEncrypted={key}:")), "{key}");
    }
    assert_eq!(verify(&credentials), (true, String::new()));
    // It would tell.
    let (_, said) = verify(&unit.replace("Delegate=", "Delegat="));
    assert!(said.contains("Unknown key"), "{said}");
}
