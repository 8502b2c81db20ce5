//! `darwin man`: the manual pages.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use clap::{Args, CommandFactory as _};

use crate::{code::Code, config::args::Args as Daemon};

use super::{Cli, context::Context, error::Failure};

/// Show the manual page of darwin, of one of its commands, or of darwind
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  darwin man
  darwin man lineage verify
  darwin man darwind
  darwin man evolve > darwin-evolve.1        # in a pipe: its source")]
pub struct Man {
    /// The command, or darwind [default: darwin itself]
    command: Vec<String>,
}

impl Man {
    pub fn run(self, context: &mut Context) -> Result<(), Failure> {
        let command = self.command.join("-");
        let name = match command.as_str() {
            "" => "darwin.1".to_owned(),
            "darwind" => "darwind.1".to_owned(),
            command => format!("darwin-{command}.1"),
        };
        let mut pages = pages()?;
        let at = pages.iter().position(|(page, _)| *page == name).ok_or_else(|| {
            Failure::usage(format!("there is no page {name}")).hint("darwin --help")
        })?;
        let page = pages.swap_remove(at).1;
        if context.out.data_tty() && typeset(&page) {
            return Ok(());
        }
        context.out.raw(&page)
    }
}

/// Shows `page` with the system's `man`, if there is one.
fn typeset(page: &[u8]) -> bool {
    let show = || -> std::io::Result<bool> {
        let mut man = Command::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn()?;
        let written = man.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(page));
        let ended = man.wait()?;
        // A reader that left before the end has seen what it wanted.
        Ok(ended.success() && written.is_ok())
    };
    show().unwrap_or(false)
}

/// All pages, by their file's name.
///
/// # Errors
/// If one can't be rendered.
pub fn pages() -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut pages = Vec::new();
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut waiting = vec![(root, "darwin".to_owned()), (Daemon::command(), "darwind".to_owned())];
    while let Some((command, name)) = waiting.pop() {
        for sub in command.get_subcommands() {
            waiting.push((sub.clone(), format!("{name}-{}", sub.get_name())));
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .title(&name)
            .date("")
            .render(&mut page)
            .map_err(|error| Failure::new(Code::Bug, format!("can't render {name}: {error}")))?;
        pages.push((name + ".1", page));
    }
    Ok(pages)
}
