//! `darwin agents`: what an agent is, and its files on disk.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand, ValueHint};
use serde_json::{Value, json};

use crate::{
    code::Code,
    domain::genome::PARAMS_FILE,
    wire::{
        convert,
        v1::{Agent, AgentRef, Genome, Param, param},
    },
};

use super::{
    artifacts, consistency,
    context::Context,
    error::Failure,
    json, naming,
    output::Side,
    text::{bytes, gain, id, maybe, plain, plural, score},
};

/// The most parameters that `show` lists for a person.
const SHOWN_PARAMS: usize = 20;

/// Show agents and write them to disk
///
/// An agent may be named by its id or a unique start of it. A run stands for its best agent.
#[derive(Debug, Args)]
pub struct Agents {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show an agent: its score, parents, operators, files and parameters
    #[command(after_help = "Examples:
  darwin agents show 0198c2a4-7f3e-7000-8003
  darwin agents show RUN --json | jq .params")]
    Show {
        /// The agent, or a run for its best
        agent: String,
    },
    /// List an agent's files, or print one
    #[command(after_help = "Examples:
  darwin agents files 0198c2a4-7f3e-7000-8003
  darwin agents files RUN program.py > program.py")]
    Files {
        /// The agent, or a run for its best
        agent: String,
        /// Print this file
        path: Option<String>,
    },
    /// List what an agent's evaluations left beside metrics, or print one, byte for byte
    ///
    /// Artefacts are what its evaluator reported, and where it failed also what it printed. The
    /// evaluations are counted in the order of its journal, from 1.
    #[command(after_help = "Examples:
  darwin agents artifacts 0198c2a4-7f3e-7000-8003
  darwin agents artifacts RUN plot.png > plot.png
  darwin agents artifacts RUN stderr --evaluation 1")]
    Artifacts {
        /// The agent, or a run for its best
        agent: String,
        /// Print this one, of the last evaluation that left one of that name
        name: Option<String>,
        /// Only those of this evaluation
        #[arg(long, value_name = "N")]
        evaluation: Option<usize>,
    },
    /// Write an agent's files into a directory, and its parameters as params.json
    #[command(after_help = "Examples:
  darwin agents export RUN best/             # the best agent of a run
  darwin eval best/ --suite suite.toml       # measures what was written")]
    Export {
        /// The agent, or a run for its best
        agent: String,
        /// The directory; made if it isn't there, else it must be empty
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// Write into a directory that isn't empty, over what is there
        #[arg(long)]
        force: bool,
    },
}

impl Agents {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let link = context.link().await?;
        let (Verb::Show { agent: name }
        | Verb::Files { agent: name, .. }
        | Verb::Artifacts { agent: name, .. }
        | Verb::Export { agent: name, .. }) = &self.verb;
        let agent = naming::agent(context, &link, name).await?;
        if agent.shredded && matches!(self.verb, Verb::Show { .. }) {
            return show(context, &agent, &Genome::default(), None);
        }
        if let Verb::Artifacts { name, evaluation, .. } = &self.verb {
            return artifacts::run(context, &link, &agent, name.as_deref(), *evaluation).await;
        }
        let reference = AgentRef { agent: id(&agent.id) };
        let genome = link.agents().genome(reference).await?.into_inner();
        match self.verb {
            Verb::Show { .. } => {
                let doubt = consistency::recorded(&link, id(&agent.id)).await;
                show(context, &agent, &genome, doubt)
            }
            Verb::Files { path: None, .. } => list(context, &genome),
            Verb::Files { path: Some(path), .. } => print(context, &genome, &path),
            Verb::Export { dir, force, .. } => export(context, &agent, genome, &dir, force),
            // It needs no genome.
            Verb::Artifacts { .. } => Ok(()),
        }
    }
}

fn show(
    context: &mut Context,
    agent: &Agent,
    genome: &Genome,
    doubt: Option<String>,
) -> Result<(), Failure> {
    if context.out.json() {
        let mut fields = json::agent(agent);
        fields["shredded"] = json!(agent.shredded);
        fields["inconsistent"] = json!(doubt.is_some());
        fields["genome"] = if agent.shredded { Value::Null } else { json::genome(genome) };
        return context.out.document("agent", fields);
    }
    let digest = if agent.shredded { naming::SHREDDED.to_owned() } else { plain(&agent.genome) };
    let gain = agent.delta.map(|delta| format!("{} on its best parent", gain(delta)));
    let mut pairs = vec![
        ("agent", id(&agent.id)),
        ("run", id(&agent.run_id)),
        ("place", format!("generation {}, slot {}", agent.generation, agent.slot)),
        ("verdict", plain(&agent.verdict)),
        ("score", maybe(agent.score)),
        ("doubt", doubt.unwrap_or_default()),
        ("gain", gain.unwrap_or_default()),
        ("operators", plain(&agent.operators.join(", "))),
        ("genome", digest),
        ("journal", plain(&agent.head)),
        ("model", plain(&genome.model)),
        ("template", plain(&genome.template)),
    ];
    for (at, parent) in agent.parents.iter().enumerate() {
        pairs.push((if at == 0 { "parents" } else { "" }, id(parent)));
    }
    context.out.pairs(&pairs)?;
    if !genome.params.is_empty() {
        context.out.line("")?;
        let rows: Vec<_> = genome
            .params
            .iter()
            .take(SHOWN_PARAMS)
            .map(|param| [plain(&param.name), value(param)])
            .collect();
        context.out.table([("PARAMETER", Side::Left), ("VALUE", Side::Right)], &rows)?;
        if genome.params.len() > SHOWN_PARAMS {
            let rest = (genome.params.len() - SHOWN_PARAMS) as u64;
            context
                .out
                .note(format_args!("and {} more; --json shows all", plural(rest, "parameter")));
        }
    }
    if !genome.files.is_empty() {
        context.out.line("")?;
        list(context, genome)?;
    }
    Ok(())
}

fn value(param: &Param) -> String {
    match &param.value {
        Some(param::Value::Real(real)) => score(*real),
        Some(param::Value::Integer(integer)) => integer.to_string(),
        Some(param::Value::Category(name)) => plain(name),
        None => String::new(),
    }
}

fn list(context: &mut Context, genome: &Genome) -> Result<(), Failure> {
    if context.out.json() {
        return context.out.document("genome", json::genome(genome));
    }
    if genome.files.is_empty() {
        context.out.note("this agent has no files, only parameters");
        return Ok(());
    }
    let rows: Vec<_> = genome
        .files
        .iter()
        .map(|file| [plain(&file.path), bytes(file.content.len() as u64)])
        .collect();
    context.out.table([("FILE", Side::Left), ("SIZE", Side::Right)], &rows)
}

fn print(context: &mut Context, genome: &Genome, path: &str) -> Result<(), Failure> {
    match genome.files.iter().find(|file| file.path == path) {
        Some(file) => context.out.content(&file.content),
        None => {
            let files: Vec<_> = genome.files.iter().map(|file| plain(&file.path)).collect();
            let message = format!("the agent has no file “{}”", plain(path));
            let hint = match &files[..] {
                [] => "`darwin agents show` shows its parameters: it has no files".to_owned(),
                files => format!("one of: {}", files.join(", ")),
            };
            Err(Failure::new(Code::NotFound, message).hint(hint))
        }
    }
}

fn export(
    context: &mut Context,
    agent: &Agent,
    genome: Genome,
    dir: &Path,
    force: bool,
) -> Result<(), Failure> {
    let taken = |entries: fs::ReadDir| entries.take(1).count() > 0;
    if !force && fs::read_dir(dir).is_ok_and(taken) {
        let message = format!("{} is not empty", dir.display());
        return Err(Failure::usage(message).hint("name a new directory, or add --force"));
    }
    let params = json::params(&genome.params);
    let files = convert::bundle("genome", genome.files)
        .map_err(|error| Failure::new(Code::Corrupt, error.to_string()))?;
    let mut written = 0;
    for (path, file) in &files {
        write(&dir.join(path.as_str()), &file.bytes, file.executable)?;
        written += 1;
    }
    if !genome.params.is_empty() {
        let text = serde_json::to_string_pretty(&params).unwrap_or_default() + "\n";
        write(&dir.join(PARAMS_FILE), text.as_bytes(), false)?;
        written += 1;
    }
    if context.out.json() {
        let fields = json!({"agent": id(&agent.id), "dir": dir, "files": written});
        return context.out.document("export", fields);
    }
    context.out.note(format_args!(
        "wrote {} of agent {} (score {}) to {}",
        plural(written, "file"),
        id(&agent.id),
        maybe(agent.score),
        dir.display()
    ));
    Ok(())
}

fn write(path: &Path, content: &[u8], executable: bool) -> Result<(), Failure> {
    let written = || -> std::io::Result<()> {
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).create(dir)?;
        }
        let mode = if executable { 0o777 } else { 0o666 };
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(path)?;
        file.write_all(content)
    };
    written().map_err(|error| Failure::file("write", path, &error))
}
