//! What a check of the record found.

use crate::{code::Code, wire::v1::VerifyResponse};

use super::{
    context::Context,
    error::Failure,
    json,
    output::Tone,
    text::{plain, plural},
};

/// Tells what the check of `what` found.
///
/// # Errors
/// If something is wrong: the first thing that is.
pub fn tell(context: &mut Context, what: &str, found: &VerifyResponse) -> Result<(), Failure> {
    if context.out.json() {
        context.out.document("verification", json::verified(found))?;
    }
    if !found.fault.is_empty() {
        return Err(Failure::new(Code::Corrupt, format!("{what}: {}", plain(&found.fault))));
    }
    if context.out.json() {
        return Ok(());
    }
    let counts = format!(
        "{}, {}, {}",
        plural(found.agents, "agent"),
        plural(found.entries, "signed entry").replace("entrys", "entries"),
        plural(found.blocks, "block")
    );
    let sound = context.out.paint(Tone::Good, "sound");
    let contents = if found.contents { "contents checked" } else { "contents not checked" };
    context.out.line(format_args!("{sound}  {what}: {counts}; {contents}"))?;
    if !found.contents {
        context.out.note("the contents are sealed; their key is not at hand");
    }
    Ok(())
}
