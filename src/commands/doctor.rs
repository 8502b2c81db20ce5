//! `darwin doctor`: what this machine has, and what it lacks.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Args;
use serde_json::json;

use crate::{
    code::Code,
    domain::role::Role,
    link::pki::{Pki, Usage},
    wire::v1::{Check, DoctorRequest},
};

use super::{
    context::Context,
    error::Failure,
    json,
    output::Tone,
    start,
    text::{plain, plural, utc},
};

/// Check this machine: configuration, daemon, stores, sandbox, Python
///
/// Starts the daemon if it isn't there. Exits with 78 if something that is needed is missing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  darwin doctor
  darwin doctor --json | jq '.checks[] | select(.state != \"ok\")'")]
pub struct Doctor {}

impl Doctor {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let mut checks = vec![configuration(context)];
        checks.extend(private());
        checks.extend(certificate(context));
        let program = start::program();
        checks.push(check("darwin", Ok(env!("CARGO_PKG_VERSION").to_owned()), ""));
        match context.link().await {
            Ok(link) => {
                let detail = format!("answers; program {}", program.display());
                checks.push(check("darwind", Ok(detail), ""));
                match link.operations().doctor(DoctorRequest {}).await.map_err(Failure::from) {
                    Ok(answer) => checks.extend(answer.into_inner().checks),
                    Err(failure) => {
                        checks.push(check("daemon's own checks", Err(failure.to_string()), ""));
                    }
                }
            }
            Err(failure) => {
                let hint = match &failure {
                    Failure::Fault { hints, .. } => hints.join("; "),
                    _ => String::new(),
                };
                checks.push(check("darwind", Err(failure.to_string()), &hint));
            }
        }
        show(context, &checks)?;
        match checks.iter().filter(|check| check.state == "missing").count() as u64 {
            0 => Ok(()),
            missing => {
                let verb = if missing == 1 { "fails" } else { "fail" };
                let message = format!("{} {verb}", plural(missing, "check"));
                Err(Failure::new(Code::Config, message))
            }
        }
    }
}

fn check(name: &str, found: Result<String, String>, hint: &str) -> Check {
    let (state, detail) = match found {
        Ok(detail) => ("ok", detail),
        Err(detail) => ("missing", detail),
    };
    let hint = if state == "ok" { "" } else { hint };
    Check { name: name.to_owned(), state: state.to_owned(), detail, hint: hint.to_owned() }
}

fn configuration(context: &Context) -> Check {
    let found = context.config(None).and_then(|_| Context::paths());
    let found = found.map(|paths| match paths.config_file() {
        file if file.exists() => file.display().to_string(),
        _ => "defaults".to_owned(),
    });
    check("configuration", found.map_err(|failure| failure.to_string()), "darwin config check")
}

/// Whether keys and certificates are out of others' reach.
fn private() -> Option<Check> {
    let paths = Context::paths().ok()?;
    let dirs = [paths.keys(), paths.pki()];
    let open =
        dirs.iter().find(|dir| fs::metadata(dir).is_ok_and(|found| found.mode() & 0o077 != 0));
    Some(match open {
        Some(dir) => {
            let hint = format!("chmod 700 {}", dir.display());
            check("keys", Err(format!("others can read {}", dir.display())), &hint)
        }
        None => check("keys", Ok(format!("private, in {}", paths.data_dir.display())), ""),
    })
}

/// The certificate that this user shows, if he has one yet.
fn certificate(context: &Context) -> Option<Check> {
    let dir = context.target.identity().ok()?;
    let facts = Pki::at(&dir).identity(Usage::Client).and_then(|identity| identity.facts()).ok()?;
    let until = facts.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
    let until = utc(u64::try_from(until.as_millis()).unwrap_or(u64::MAX));
    let role = facts.role.map_or("no role", Role::name);
    let detail = format!("{}, {role}, until {until}", facts.name);
    let good = facts.not_after > SystemTime::now();
    let found = if good { Ok(detail) } else { Err(format!("{detail}: it has expired")) };
    Some(check("certificate", found, "have it renewed: darwin pki renew NAME"))
}

fn show(context: &mut Context, checks: &[Check]) -> Result<(), Failure> {
    if context.out.json() {
        let checks: Vec<_> = checks.iter().map(json::check).collect();
        return context.out.document("doctor", json!({"checks": checks}));
    }
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    for check in checks {
        let (tone, sign) = match check.state.as_str() {
            "ok" => (Tone::Good, "✓"),
            "warning" => (Tone::Warn, "!"),
            _ => (Tone::Bad, "✗"),
        };
        let sign = context.out.paint(tone, sign);
        let (name, detail) = (plain(&check.name), plain(&check.detail));
        context.out.line(format_args!("{sign} {name:width$}  {detail}"))?;
        if !check.hint.is_empty() {
            let hint = format!("  {:width$}  → {}", "", plain(&check.hint));
            let hint = context.out.paint(Tone::Dim, &hint);
            context.out.line(hint)?;
        }
    }
    Ok(())
}
