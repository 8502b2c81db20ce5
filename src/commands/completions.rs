//! `darwin completions`: for the shells, and how the files under `completions/` are made.

use std::{fs, path::Path, path::PathBuf};

use clap::{Args, Command, CommandFactory as _, ValueHint};
use clap_complete::Shell;

use crate::config::args::Args as Daemon;

use super::{Cli, context::Context, error::Failure, man};

/// The shells that completions are made for.
const SHELLS: [Shell; 4] = [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell];

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  darwin completions bash > ~/.local/share/bash-completion/completions/darwin
  darwin completions zsh > ~/.zfunc/_darwin
  darwin completions fish > ~/.config/fish/completions/darwin.fish
  darwin completions powershell >> $PROFILE
  darwin completions --write completions/     # all of them, and the man pages")]
pub struct Completions {
    /// The shell
    #[arg(required_unless_present = "write")]
    shell: Option<Shell>,
    /// Write those of all shells, those of darwind, and the man pages into this directory instead
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "shell")]
    write: Option<PathBuf>,
}

impl Completions {
    pub fn run(self, context: &mut Context) -> Result<(), Failure> {
        if let Some(dir) = self.write {
            return write(&dir);
        }
        match self.shell {
            Some(shell) => context.out.raw(&script(shell, &mut Cli::command(), "darwin")),
            None => Ok(()),
        }
    }
}

fn script(shell: Shell, command: &mut Command, name: &str) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, command, name, &mut script);
    script
}

fn write(dir: &Path) -> Result<(), Failure> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for (mut command, program) in [(Cli::command(), "darwin"), (Daemon::command(), "darwind")] {
        for shell in SHELLS {
            let name = clap_complete::Generator::file_name(&shell, program);
            files.push((dir.join(name), script(shell, &mut command, program)));
        }
    }
    for (name, page) in man::pages()? {
        files.push((dir.join("man").join(name), page));
    }
    for (path, content) in files {
        let written = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = written.and_then(|()| fs::write(&path, content));
        written.map_err(|error| Failure::file("write", &path, &error))?;
    }
    Ok(())
}
