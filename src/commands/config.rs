//! `darwin config`: every value with its origin, and what is wrong with a file.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use serde_json::json;

use super::{
    context::Context,
    error::Failure,
    output::{Side, Tone},
    text::plain,
};

/// Show and check the configuration
#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show every value and where it comes from
    #[command(after_help = "Examples:
  darwin config show
  DARWIN_REGISTRY__GROUP=64 darwin config show --json | jq '.values[\"registry.group\"]'")]
    Show,
    /// Check the configuration, or a file before it is put in place; exits with 78 on a mistake
    #[command(after_help = "Examples:
  darwin config check
  darwin config check ./darwind.toml")]
    Check {
        /// This file in place of the usual one
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
}

impl Config {
    pub fn run(self, context: &mut Context) -> Result<(), Failure> {
        match self.verb {
            Verb::Show => show(context),
            Verb::Check { file } => {
                let shown = match &file {
                    Some(file) => file.clone(),
                    None => Context::paths()?.config_file(),
                };
                let there = shown.exists();
                context.config(file)?;
                if context.out.json() {
                    return context
                        .out
                        .document("config-check", json!({"file": shown, "ok": true}));
                }
                let good = context.out.paint(Tone::Good, "ok");
                let what = if there { "" } else { " (not there: defaults)" };
                context.out.line(format_args!("{good}  {}{what}", shown.display()))
            }
        }
    }
}

fn show(context: &mut Context) -> Result<(), Failure> {
    let values = context.config(None)?.values();
    if context.out.json() {
        let values: serde_json::Map<_, _> = values
            .into_iter()
            .map(|(key, value, origin)| {
                (key, json!({"value": value, "origin": origin.to_string()}))
            })
            .collect();
        return context.out.document("config", json!({"values": values}));
    }
    let rows: Vec<_> = values
        .into_iter()
        .map(|(key, value, origin)| [key, plain(&value), origin.to_string()])
        .collect();
    context.out.table([("KEY", Side::Left), ("VALUE", Side::Left), ("FROM", Side::Left)], &rows)
}
