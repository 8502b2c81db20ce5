//! The command line: one file per verb, its arguments beside the function that runs it.

mod error;
mod text;
mod output;
mod start;
mod context;
mod trace;
mod json;
mod view;
mod consistency;
mod watch;
mod naming;
mod evolve;
mod rooms;
mod session;
mod transfer;
mod blob;
mod runs;
mod report;
mod eval;
mod artifacts;
mod agents;
mod tree;
mod diff;
mod verify;
mod export;
mod lineage;
mod markdown;
mod journal;
mod store;
mod pki;
mod status;
mod doctor;
mod config;
mod up;
mod down;
mod explain;
mod man;
mod completions;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand, ValueHint, error::ErrorKind};
use tracing::Instrument as _;

use crate::code::Code;

use context::Context;
use error::Failure;
use output::Output;
use trace::Trace;

const EXAMPLES: &str = "\
Examples:
  darwin evolve examples/circle-packing      evolve, and see it live
  darwin runs list                           what ran, and how well
  darwin agents export RUN best/             the best agent's files
  darwin lineage verify RUN                  check the best agent's signed ancestry

Exit status:
  0 success · 1 bar missed or nothing found · 64 wrong usage or input · 65 damaged data ·
  69 no daemon · 70 a bug · 75 try again · 77 denied · 78 configuration · 130 Ctrl-C
  `darwin explain CODE` tells what an error means and what to do.

A daemon, darwind, does the work; it is started when it is needed. Everything lies in the
XDG directories, or under DARWIN_HOME if that is set.";

/// Evolves agents and programs, and keeps a signed journal of each.
#[derive(Debug, Parser)]
#[command(name = "darwin", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(arg_required_else_help = true, disable_help_subcommand = false)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags that all commands share.
#[derive(Debug, Args)]
struct Global {
    /// Print data as JSON ("format": "darwin/1"): one document, or one a line
    #[arg(long, global = true, display_order = 900, help_heading = "Everywhere")]
    json: bool,
    /// Say nothing on stderr but warnings and errors
    #[arg(long, short, global = true, display_order = 901, help_heading = "Everywhere")]
    quiet: bool,
    /// Do not start a daemon if none runs
    #[arg(long, global = true, display_order = 902, help_heading = "Everywhere")]
    no_start: bool,
    /// Talk to the daemon at this address (client.address)
    #[arg(long, global = true, display_order = 903, help_heading = "Everywhere")]
    #[arg(value_name = "HOST:PORT", value_hint = ValueHint::Other)]
    address: Option<String>,
    /// Show the daemon the certificate in this directory (client.identity)
    #[arg(long, global = true, display_order = 904, help_heading = "Everywhere")]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    identity: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Evolve(Box<evolve::Evolve>),
    Runs(runs::Runs),
    Eval(eval::Eval),
    Agents(agents::Agents),
    Lineage(lineage::Lineage),
    Journal(journal::Journal),
    Session(session::Session),
    #[command(name = "blob")]
    Blobs(blob::Blobs),
    Store(store::Store),
    Pki(pki::Pki),
    Status(status::Status),
    Doctor(doctor::Doctor),
    Config(config::Config),
    Up(up::Up),
    Down(down::Down),
    Explain(explain::Explain),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Runs the command that the arguments of this process name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            Output::clap(&error, std::env::args_os().any(|arg| arg == "--json"));
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return ExitCode::from(if asked { 0 } else { Code::Usage.exit() });
        }
    };
    let mut context = Context::new(&cli.global);
    let result = cli.verb.run(&mut context).and_then(|()| context.out.flush());
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            context.out.failure(&failure);
            ExitCode::from(failure.exit())
        }
    }
}

impl Verb {
    fn run(self, context: &mut Context) -> Result<(), Failure> {
        // What needs no daemon needs no runtime.
        match self {
            Self::Pki(verb) => return verb.run(context),
            Self::Config(verb) => return verb.run(context),
            Self::Explain(verb) => return verb.run(context),
            Self::Completions(verb) => return verb.run(context),
            Self::Man(verb) => return verb.run(context),
            _ => {}
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(Code::Exhausted, format!("can't start: {error}")))?;
        let trace = Trace::begin(self.name(), context);
        let span = trace.span();
        let run = async {
            match self {
                Self::Evolve(verb) => verb.run(context).await,
                Self::Runs(verb) => verb.run(context).await,
                Self::Eval(verb) => verb.run(context).await,
                Self::Agents(verb) => verb.run(context).await,
                Self::Lineage(verb) => verb.run(context).await,
                Self::Journal(verb) => verb.run(context).await,
                Self::Session(verb) => verb.run(context).await,
                Self::Blobs(verb) => verb.run(context).await,
                Self::Store(verb) => verb.run(context).await,
                Self::Status(verb) => verb.run(context).await,
                Self::Doctor(verb) => verb.run(context).await,
                Self::Up(verb) => verb.run(context).await,
                Self::Down(verb) => verb.run(context).await,
                Self::Pki(_)
                | Self::Config(_)
                | Self::Explain(_)
                | Self::Completions(_)
                | Self::Man(_) => Ok(()),
            }
        };
        let result = runtime.block_on(run.instrument(span));
        trace.end(&result, context);
        result
    }

    /// The verb, as users write it.
    fn name(&self) -> &'static str {
        match self {
            Self::Evolve(_) => "evolve",
            Self::Runs(_) => "runs",
            Self::Eval(_) => "eval",
            Self::Agents(_) => "agents",
            Self::Lineage(_) => "lineage",
            Self::Journal(_) => "journal",
            Self::Session(_) => "session",
            Self::Blobs(_) => "blob",
            Self::Store(_) => "store",
            Self::Pki(_) => "pki",
            Self::Status(_) => "status",
            Self::Doctor(_) => "doctor",
            Self::Config(_) => "config",
            Self::Up(_) => "up",
            Self::Down(_) => "down",
            Self::Explain(_) => "explain",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// Every verb and sub-verb, with its path.
    fn all(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            found.push((path.clone(), sub.clone()));
            all(sub, &path, found);
        }
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_examples() {
        let mut commands = Vec::new();
        all(&Cli::command(), "darwin", &mut commands);
        assert!(commands.len() > 30);
        for (path, command) in commands {
            assert!(command.get_about().is_some(), "{path}: no help");
            if command.has_subcommands() {
                continue;
            }
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.starts_with("Examples:\n"), "{path}: no examples");
            assert!(examples.contains(&path), "{path}: its examples show something else");
        }
    }
}
