//! Checks of the record: of a file without a daemon, and what any check found.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use serde_json::json;

use crate::{
    code::Code,
    config::Paths,
    domain::digest::Digest,
    provenance::{
        export::{Export, ImportError},
        sign::{KeyId, KeyRing, PublicKey},
    },
    wire::v1::VerifyResponse,
};

use super::{
    context::Context,
    error::Failure,
    json,
    output::Tone,
    text::{count, plain, plural, utc},
};

/// The public keys that this home trusts, one a line in hexadecimal, its own last.
const TRUSTED: &str = "trusted.keys";
/// The longest such list, in bytes.
const MAX_TRUSTED: u64 = 1 << 20;

/// Checks the export in the file `path` with the keys of these fingerprints, else with those
/// that this home trusts; without a daemon.
///
/// # Errors
/// If something is wrong with it: the first thing that is; or nobody is trusted.
pub fn file(context: &mut Context, path: &Path, trust: &[String]) -> Result<(), Failure> {
    let mut pinned = KeyRing::new();
    for fingerprint in trust {
        let id: KeyId = fingerprint.parse().map_err(|_| {
            let message = format!("--trust {}: expected 64 hexadecimal digits", plain(fingerprint));
            Failure::usage(message)
        })?;
        pinned.pin(id);
    }
    if trust.is_empty() {
        let own = own_keys(&Context::paths()?)?;
        if own.is_empty() {
            return Err(Failure::new(Code::Denied, "no key is trusted in this home").hint(
                "ask whoever made the file for the fingerprint, then add --trust FINGERPRINT",
            ));
        }
        for key in own {
            pinned.trust(key).map_err(|error| Failure::new(error.code(), error.to_string()))?;
        }
    }
    let input = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    let shown = path.display().to_string();
    let fault = |error: ImportError| Failure::new(error.code(), format!("{shown}: {error}"));
    let mut export = Export::open(input, &pinned).map_err(fault)?;
    let report = export.verify(&mut |_| None).map_err(fault)?;
    let found = VerifyResponse {
        agents: report.agents,
        entries: report.entries,
        blocks: report.blocks,
        fault: String::new(),
        contents: report.entries > 0 && report.opened == report.entries,
        shredded: 0,
    };
    let statement = export.statement();
    if context.out.json() {
        let agents = statement.agents.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut fields = json::verified(&found);
        fields["of"] = json!(agents);
        fields["signer"] = json!(statement.signer.to_string());
        fields["exported_ms"] = json!(statement.at_ms);
        return context.out.document("verification", fields);
    }
    tell(context, &shown, &found)?;
    let agents: Vec<_> = statement.agents.iter().map(std::string::ToString::to_string).collect();
    context.out.pairs(&[
        ("file", shown),
        ("of agent", agents.join(", ")),
        ("exported", utc(statement.at_ms)),
        ("signed by", statement.signer.to_string()),
    ])
}

/// The fingerprint of the key with which this home signs now, as far as it can be told.
pub fn own_fingerprint(paths: &Paths) -> Option<KeyId> {
    own_keys(paths).ok()?.last().map(PublicKey::id)
}

/// The public keys that this home trusts; none if it has none yet.
fn own_keys(paths: &Paths) -> Result<Vec<PublicKey>, Failure> {
    let path = paths.keys().join(TRUSTED);
    let mut text = String::new();
    match File::open(&path).and_then(|file| file.take(MAX_TRUSTED).read_to_string(&mut text)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Failure::file("read", &path, &error)
                .hint("name the key that you trust: --trust FINGERPRINT"));
        }
        Ok(_) => {}
    }
    let key = |line: &str| {
        line.parse().map(|Digest(bytes)| PublicKey(bytes)).map_err(|_| {
            let message = format!("{}: “{}” is not a public key", path.display(), plain(line));
            Failure::new(Code::Config, message)
        })
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(key).collect()
}

/// Tells what the check of `what` found.
///
/// # Errors
/// If something is wrong: the first thing that is.
pub fn tell(context: &mut Context, what: &str, found: &VerifyResponse) -> Result<(), Failure> {
    if context.out.json() {
        context.out.document("verification", json::verified(found))?;
    }
    if !found.fault.is_empty() {
        let message = format!("{what}: {}", plain(&found.fault));
        return Err(Failure::new(Code::Corrupt, message)
            .hint("restore it from a backup; nothing was changed or dropped"));
    }
    if context.out.json() {
        return Ok(());
    }
    let entries = match found.entries {
        1 => "1 signed entry".to_owned(),
        many => format!("{} signed entries", count(many)),
    };
    let counts =
        format!("{}, {entries}, {}", plural(found.agents, "agent"), plural(found.blocks, "block"));
    let sound = context.out.paint(Tone::Good, "sound");
    let contents = match (found.contents, found.shredded) {
        (true, _) => "contents checked".to_owned(),
        (false, 0) => "contents not checked".to_owned(),
        (false, many) => {
            format!("contents not checked in {}", plural(many, "shredded session"))
        }
    };
    context.out.line(format_args!("{sound}  {counts}; {contents}"))?;
    if found.shredded > 0 {
        context.out.note(
            "the keys of shredded sessions are destroyed: only signatures, links and \
                          digests of their journals can be checked",
        );
    } else if !found.contents && found.entries > 0 {
        context.out.note("the contents are sealed, and their key is not at hand");
    }
    Ok(())
}
