//! `darwin pki`: the authority whose certificates open the daemon's port.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand, ValueHint, builder::PossibleValuesParser};
use serde_json::{Value, json};

use crate::{
    domain::role::Role,
    link::{
        certificate::Facts,
        files,
        pki::{self, Listing, Standing},
    },
};

use super::{
    context::Context,
    error::Failure,
    output::Side,
    text::{plain, utc},
};

/// Issue, renew and revoke the certificates that open the daemon's port
///
/// Works on the authority's own files, so it takes no daemon, but the right to write there. A
/// daemon that runs on them takes every change up within seconds, without a restart.
#[derive(Debug, Args)]
pub struct Pki {
    /// Where the authority lies [default: pki/ in the data directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, global = true)]
    pki: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make an authority, before a daemon does on its first start
    #[command(after_help = "Examples:
  darwin pki init
  darwin pki init --pki /srv/darwin/pki")]
    Init,
    /// Issue a certificate to somebody: a directory with certificate, key and authority
    #[command(after_help = "Examples:
  darwin pki issue bob --role user
  darwin pki issue ci --role reader --days 7 --out ci-identity
  darwin --address darwin.example:7437 --identity bob status    # how bob uses it

Roles: an operator may everything; a user evolves, evaluates and exports; a reader looks on; a
worker takes evaluations and nothing else. Who holds the key is the name: send it over a safe way.")]
    Issue {
        /// Whom it names: letters, digits, “.”, “_”, “@”, “-”
        name: String,
        /// What its holder may do
        #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::name)))]
        role: String,
        #[command(flatten)]
        made: Made,
    },
    /// Issue a new certificate to whom has one; the old one stays good until it ends
    #[command(after_help = "Examples:
  darwin pki renew bob --days 30
  darwin pki renew              # this home's own: the daemon's and its user's, in place")]
    Renew {
        /// Whose [default: the daemon's and its user's own]
        name: Option<String>,
        #[command(flatten)]
        made: Made,
    },
    /// Take certificates back: their holders are refused, and cut off where they are connected
    #[command(after_help = "Examples:
  darwin pki revoke bob
  darwin pki revoke 5f0c6d1e8a9b4c3d2e1f00112233445566778899")]
    Revoke {
        /// A name, for all its certificates, or a serial number
        #[arg(value_name = "NAME|SERIAL")]
        what: String,
    },
    /// List what was issued, the newest first, and how each stands
    #[command(after_help = "Examples:
  darwin pki list
  darwin pki list --json | jq '.certificates[] | select(.state == \"valid\") | .name'")]
    List,
    /// Have a new authority sign from now on; the old one is trusted until its last certificate ends
    #[command(after_help = "Examples:
  darwin pki rotate && darwin pki renew bob

Nobody is cut off: who has a certificate of the old authority uses it until it ends, and gets one
of the new authority when it is renewed. Revoke what should end earlier.")]
    Rotate,
}

/// How a certificate is made, and where it goes.
#[derive(Debug, Args)]
struct Made {
    /// How many days it is good for
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=365))]
    days: u64,
    /// Where to write it [default: a directory of that name]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: Option<PathBuf>,
}

impl Made {
    fn life(&self) -> Duration {
        Duration::from_secs(self.days * 86_400)
    }
}

impl Pki {
    pub fn run(self, context: &mut Context) -> Result<(), Failure> {
        let dir = match self.pki {
            Some(dir) => dir,
            None => Context::paths()?.pki(),
        };
        let (pki, now) = (pki::Pki::at(&dir), SystemTime::now());
        match self.verb {
            Verb::Init => authority(context, "made", &pki.init(now)?),
            Verb::Rotate => authority(context, "signs from now on", &pki.rotate(now)?),
            Verb::List => list(context, &pki.list(now)?),
            Verb::Revoke { what } => {
                let revoked = pki.revoke(&what, now)?;
                let all = revoked.iter().map(|facts| (facts, Standing::Revoked(now)));
                show(context, &pki.list(now)?.authorities, all.collect())
            }
            Verb::Issue { name, role, made } => {
                let role = Role::named(&role).unwrap_or(Role::Reader);
                let out = made.out.clone().unwrap_or_else(|| PathBuf::from(&name));
                if out.join("client.key").exists() {
                    let message = format!("{} holds an identity already", out.display());
                    return Err(Failure::usage(message).hint("name another place with --out DIR"));
                }
                // Before anything is on record.
                files::make_dir(&out)?;
                let identity = pki.issue(&name, role, made.life(), now)?;
                bundle(context, &pki, &identity, out)
            }
            Verb::Renew { name, made } => {
                if made.out.is_none() {
                    let own = pki.renew_own(name.as_deref(), made.life(), now)?;
                    if !own.is_empty() {
                        let own = own.iter().map(|facts| (facts, Standing::Valid));
                        return show(context, &pki.list(now)?.authorities, own.collect());
                    }
                }
                let Some(name) = name else {
                    let message = format!("{} holds no certificate of its own", dir.display());
                    return Err(Failure::usage(message).hint("darwin pki renew NAME --out DIR"));
                };
                let identity = pki.renew(&name, made.life(), now)?;
                bundle(context, &pki, &identity, made.out.unwrap_or_else(|| PathBuf::from(&name)))
            }
        }
    }
}

/// Writes an identity down and says how it is used.
fn bundle(
    context: &mut Context,
    pki: &pki::Pki,
    identity: &pki::Identity,
    dir: PathBuf,
) -> Result<(), Failure> {
    identity.write(&dir)?;
    let facts = identity.facts()?;
    if context.out.json() {
        let authorities = pki.list(SystemTime::now())?.authorities;
        let mut fields = certificate(&facts, Standing::Valid, &authorities);
        fields["dir"] = json!(dir);
        return context.out.document("certificate", fields);
    }
    context.out.line(dir.display())?;
    context.out.note(format_args!(
        "{}: {}, until {}; used with `darwin --address HOST:PORT --identity {}`",
        plain(&facts.name),
        role(&facts),
        utc(millis(facts.not_after)),
        dir.display()
    ));
    Ok(())
}

fn authority(context: &mut Context, what: &str, facts: &Facts) -> Result<(), Failure> {
    if context.out.json() {
        return context.out.document("authority", own(facts));
    }
    let until = utc(millis(facts.not_after));
    context.out.note(format_args!("{} {what}; good until {until}", plain(&facts.name)));
    Ok(())
}

fn list(context: &mut Context, listing: &Listing) -> Result<(), Failure> {
    for facts in &listing.authorities {
        let until = utc(millis(facts.not_after));
        context.out.note(format_args!("{}, good until {until}", plain(&facts.name)));
    }
    let all = listing.certificates.iter().map(|(facts, standing)| (facts, *standing));
    show(context, &listing.authorities, all.collect())
}

/// A table of certificates, or their document.
fn show(
    context: &mut Context,
    authorities: &[Facts],
    all: Vec<(&Facts, Standing)>,
) -> Result<(), Failure> {
    if context.out.json() {
        let all =
            all.into_iter().map(|(facts, standing)| certificate(facts, standing, authorities));
        let all: Vec<_> = all.collect();
        let authorities: Vec<_> = authorities.iter().map(own).collect();
        let fields = json!({"authorities": authorities, "certificates": all});
        return context.out.document("certificates", fields);
    }
    let rows: Vec<_> = all
        .into_iter()
        .map(|(facts, standing)| {
            let until = utc(millis(facts.not_after));
            let (name, state) = (plain(&facts.name), state(standing).to_owned());
            [facts.serial.clone(), name, role(facts).to_owned(), until, state]
        })
        .collect();
    let head = ["SERIAL", "NAME", "ROLE", "UNTIL", "STATE"].map(|title| (title, Side::Left));
    context.out.table(head, &rows)
}

fn own(facts: &Facts) -> Value {
    json!({
        "serial": facts.serial,
        "name": facts.name,
        "not_before_ms": millis(facts.not_before),
        "not_after_ms": millis(facts.not_after),
    })
}

fn certificate(facts: &Facts, standing: Standing, authorities: &[Facts]) -> Value {
    let authority = authorities.iter().find(|own| facts.is_issued_by(own));
    let revoked = match standing {
        Standing::Revoked(at) => Some(millis(at)),
        _ => None,
    };
    let mut fields = own(facts);
    fields["role"] = json!(role(facts));
    fields["state"] = json!(state(standing));
    fields["revoked_ms"] = json!(revoked);
    fields["key"] = json!(facts.key.map(|key| key.id().to_string()));
    fields["authority"] = json!(authority.map(|authority| &authority.serial));
    fields
}

fn role(facts: &Facts) -> &'static str {
    match facts.role {
        Some(role) => role.name(),
        None if facts.server => "server",
        None => "none",
    }
}

fn state(standing: Standing) -> &'static str {
    match standing {
        Standing::Valid => "valid",
        Standing::Expired => "expired",
        Standing::Revoked(_) => "revoked",
        Standing::Untrusted => "untrusted",
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
