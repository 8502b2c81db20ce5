//! `darwin up`: starts the daemon by hand.

use clap::Args;
use serde_json::json;

use super::{
    context::{Context, Running},
    error::Failure,
    start,
};

/// Start this user's daemon, if it isn't there
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  darwin up
  darwin up && darwin status

Other commands do this by themselves. On a server, let systemd do it: see deploy/systemd/.")]
pub struct Up {}

impl Up {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let (endpoint, new) = match context.running().await? {
            Some(Running { endpoint: Some(endpoint), .. }) => (endpoint, false),
            Some(Running { address, .. }) => {
                if context.out.json() {
                    let fields = json!({
                        "pid": null, "address": address, "admin": null, "started": false,
                    });
                    return context.out.document("up", fields);
                }
                context.out.note(format_args!(
                    "the daemon at {address} answers, which client.address names"
                ));
                return Ok(());
            }
            None => (start::start(&Context::paths()?, &context.target.identity()?).await?.0, true),
        };
        if context.out.json() {
            return context.out.document(
                "up",
                json!({
                    "pid": endpoint.pid,
                    "address": endpoint.address,
                    "admin": endpoint.admin,
                    "started": new,
                }),
            );
        }
        let state = if new { "started" } else { "runs already" };
        context.out.note(format_args!(
            "darwind (process {}) {state} at {}; log in {}",
            endpoint.pid,
            endpoint.address,
            Context::paths()?.log_file().display()
        ));
        Ok(())
    }
}
