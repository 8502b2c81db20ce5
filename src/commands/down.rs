//! `darwin down`: drains and ends the daemon.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use crate::{code::Code, link::endpoint::process_lives, wire::v1::ShutdownRequest};

use super::{
    context::{Context, Running},
    error::Failure,
};

/// How often the process is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// How much longer than its drain the daemon's end may take.
const SPARE: Duration = Duration::from_secs(10);

/// End this user's daemon: it finishes what it began; runs go on when it is started again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  darwin down
  darwin down && darwin up       # with a new configuration")]
pub struct Down {}

impl Down {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Some(Running { endpoint, link, .. }) = context.running().await? else {
            if context.out.json() {
                return context.out.document("down", json!({"ended": false}));
            }
            context.out.note("no daemon runs");
            return Ok(());
        };
        link.operations().shutdown(ShutdownRequest {}).await?;
        drop(link);
        // Of one on another machine the process can't be seen.
        if let Some(endpoint) = endpoint {
            let drain = Duration::from_secs(context.config(None)?.config.server.drain_seconds);
            let deadline = Instant::now() + drain + SPARE;
            while process_lives(endpoint.pid) {
                if Instant::now() > deadline {
                    let message = format!("darwind (process {}) does not end", endpoint.pid);
                    let log = Context::paths()?.log_file();
                    return Err(Failure::new(Code::Deadline, message)
                        .hint(format!("read {}", log.display())));
                }
                tokio::time::sleep(LOOK).await;
            }
        }
        if context.out.json() {
            return context.out.document("down", json!({"ended": true}));
        }
        context.out.note("darwind has ended");
        Ok(())
    }
}
