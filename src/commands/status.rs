//! `darwin status`: how the daemon stands.

use clap::Args;

use crate::{
    link::{select::Way, switch::Report},
    resilience::breaker::State,
    wire::v1::StatusRequest,
};

use super::{
    context::{Context, Running},
    error::Failure,
    json,
    output::Tone,
    text::{bytes, count, plain, span},
};

/// Show the daemon's state; exits with 69 if none runs
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  darwin status
  darwin status --json | jq '.tiers[].healthy'")]
pub struct Status {}

impl Status {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Running { address, link, .. } = context.link_to_running().await?;
        let status = link.operations().status(StatusRequest {}).await?.into_inner();
        let ways = link.ways();
        if context.out.json() {
            return context.out.document("status", json::status(&status, &address, &ways));
        }
        let mut pairs = vec![
            ("darwind", format!("{}, process {}", plain(&status.version), status.pid)),
            ("up for", span(status.uptime_ms)),
            ("address", address),
            ("admin", plain(&status.admin)),
            ("data", plain(&status.home)),
            ("memory", bytes(status.resident_bytes)),
            ("workers", status.workers.to_string()),
            ("runs at work", status.running.to_string()),
            ("agents", count(status.agents)),
        ];
        for tier in &status.tiers {
            let (tone, state) = if tier.healthy { (Tone::Good, "ok") } else { (Tone::Bad, "down") };
            let state = context.out.paint(tone, state);
            let detail = plain(&tier.detail);
            let line = format!("{state}  {}  {detail}", plain(&tier.url));
            pairs.push((tier.name.as_str(), line.trim_end().to_owned()));
        }
        for way in &ways {
            pairs.push((way.way.as_str(), seen(context, way)));
        }
        context.out.pairs(&pairs)
    }
}

/// How a way to the daemon does, as far as this command has used it.
fn seen(context: &Context, report: &Report) -> String {
    let tone = if report.state == State::Closed { Tone::Good } else { Tone::Bad };
    let state = if report.state == State::Closed { "ok" } else { "down" };
    let latency = match report.latency {
        Some(latency) => format!("answers in {:.1} ms", latency.as_secs_f64() * 1e3),
        None => "not used".to_owned(),
    };
    let whom = match report.way {
        Way::Line => "for what somebody waits for",
        Way::Http2 => "for the rest",
    };
    format!("{}  {latency}  {whom}", context.out.paint(tone, state))
}
