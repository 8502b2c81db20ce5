//! `darwin lineage`: where agents come from, and whether the record of it is sound.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use serde_json::json;

use crate::{
    link::client::Link,
    wire::v1::{Agent, AgentRef, PageRequest, RunRef},
};

use super::{
    context::Context,
    diff,
    error::Failure,
    export::{self, Format},
    json, naming,
    output::Side,
    text::{count, id, maybe, plain, plural},
    tree, verify,
};

/// The most agents of one page.
const PAGE: u32 = 1000;

/// Show, compare, verify and export where agents come from
///
/// An agent may be named by its id or a unique start of it. A run stands for its best agent.
#[derive(Debug, Args)]
pub struct Lineage {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Draw a run's agents as a tree: those that were the best in their time, or all
    ///
    /// Each stands under its first parent, or under the nearest of those drawn before it.
    #[command(after_help = "Examples:
  darwin lineage tree 0198c2a4-7f3e
  darwin lineage tree 0198c2a4-7f3e --all | less")]
    Tree {
        /// The run
        run: String,
        /// Draw every agent
        #[arg(long)]
        all: bool,
        /// Look at no more than this many agents, the oldest first
        #[arg(long, value_name = "N", default_value_t = 100_000)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// List an agent's ancestors, the nearest first
    #[command(after_help = "Examples:
  darwin lineage ancestors RUN                # of the run's best agent
  darwin lineage ancestors 0198c2a4-7f3e-7000-8003 --limit 1000 --json")]
    Ancestors(Walk),
    /// List an agent's descendants, the nearest first
    #[command(after_help = "Examples:
  darwin lineage descendants 0198c2a4-7f3e-7000-8003")]
    Descendants(Walk),
    /// Show how one agent's files and parameters differ from another's
    #[command(after_help = "Examples:
  darwin lineage diff PARENT CHILD
  darwin lineage diff 0198c2a4-7f3e-7000-8003 RUN      # from that agent to the run's best")]
    Diff {
        /// The older agent
        a: String,
        /// The newer agent
        b: String,
    },
    /// Check every signature, link, digest and score record of an agent's ancestry
    #[command(after_help = "Examples:
  darwin lineage verify RUN
  darwin lineage verify lineage.car --trust 4f6c…     # no daemon, only the file

Names the first thing that is wrong and exits with 65. A file is checked against the keys
that you name with --trust, else against this home's own; never against a key found in it.")]
    Verify {
        /// The agent, a run for its best, or an exported CAR file
        #[arg(value_name = "AGENT|FILE", value_hint = ValueHint::FilePath)]
        what: String,
        /// Of a file: trust the signing key of this fingerprint (may be repeated)
        #[arg(long, value_name = "FINGERPRINT")]
        trust: Vec<String>,
    },
    /// Write an agent's ancestry to a file: a CAR to verify anywhere, or JSON
    #[command(after_help = "Examples:
  darwin lineage export RUN -o lineage.car
  darwin lineage export RUN --format json | jq '.agents[].score'

A CAR holds the signed and sealed blocks as they are stored. Without --disclose whoever has it
can verify the lineage, but not read prompts, code or metrics.")]
    Export {
        /// The agent, or a run for its best
        agent: String,
        /// The form
        #[arg(long, value_enum, default_value_t = Format::Car)]
        format: Format,
        /// The file; - or nothing: stdout
        #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
        /// Put the session's key into the CAR, so that whoever has it can read the contents
        #[arg(long)]
        disclose: bool,
    },
}

#[derive(Debug, Args)]
struct Walk {
    /// The agent, or a run for its best
    agent: String,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
}

impl Lineage {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        if let Verb::Verify { what, trust } = &self.verb {
            let file = Path::new(what);
            if file.is_file() || file.extension().is_some_and(|extension| extension == "car") {
                return verify::file(context, file, trust);
            }
            if !trust.is_empty() {
                return Err(Failure::usage(format!(
                    "--trust is for a file, and there is no file {what}"
                )));
            }
        }
        let link = context.link().await?;
        match self.verb {
            Verb::Tree { run, all, limit } => draw(context, &link, &run, all, limit).await,
            Verb::Ancestors(walk) => walk.list(context, &link, Way::Ancestors).await,
            Verb::Descendants(walk) => walk.list(context, &link, Way::Descendants).await,
            Verb::Diff { a, b } => {
                let a = naming::agent(context, &link, &a).await?;
                let b = naming::agent(context, &link, &b).await?;
                diff::show(context, &link, &a, &b).await
            }
            Verb::Verify { what, .. } => {
                let agent = id(&naming::agent(context, &link, &what).await?.id);
                let answer = link.lineage().verify(AgentRef { agent: agent.clone() }).await?;
                verify::tell(context, &format!("agent {agent}"), &answer.into_inner())
            }
            Verb::Export { agent, format, output, disclose } => {
                let agent = naming::agent(context, &link, &agent).await?;
                match format {
                    Format::Car => {
                        export::car(context, &link, &agent, output.as_deref(), disclose).await
                    }
                    Format::Json => {
                        let (mut agents, _) =
                            pages(&link, Way::Ancestors, &id(&agent.id), u32::MAX).await?;
                        agents.insert(0, agent);
                        export::json(context, &agents, output.as_deref())
                    }
                }
            }
        }
    }
}

/// Which agents to list.
#[derive(Debug, Clone, Copy)]
enum Way {
    Tree,
    Ancestors,
    Descendants,
}

/// Up to `limit` agents, and whether there are more.
async fn pages(link: &Link, way: Way, of: &str, limit: u32) -> Result<(Vec<Agent>, bool), Failure> {
    let mut lineage = link.lineage();
    let mut agents: Vec<Agent> = Vec::new();
    let mut cursor = bytes::Bytes::new();
    loop {
        let missing = limit - u32::try_from(agents.len()).unwrap_or(limit);
        let request = PageRequest { of: of.to_owned(), limit: missing.min(PAGE), cursor };
        let answer = match way {
            Way::Tree => lineage.tree(request).await?,
            Way::Ancestors => lineage.ancestors(request).await?,
            Way::Descendants => lineage.descendants(request).await?,
        };
        let page = answer.into_inner();
        let empty = page.agents.is_empty();
        agents.extend(page.agents);
        let more = !page.cursor.is_empty();
        if !more || empty || agents.len() >= limit as usize {
            return Ok((agents, more));
        }
        cursor = page.cursor;
    }
}

async fn draw(
    context: &mut Context,
    link: &Link,
    run: &str,
    all: bool,
    limit: u32,
) -> Result<(), Failure> {
    let run = link.runs().show(RunRef { run: run.to_owned() }).await?.into_inner();
    let (agents, more) = pages(link, Way::Tree, &id(&run.id), limit).await?;
    if context.out.json() {
        let agents: Vec<_> = agents.iter().map(json::agent).collect();
        let fields = json!({"run": id(&run.id), "agents": agents, "more": more});
        return context.out.document("tree", fields);
    }
    let drawn = if all { agents.clone() } else { tree::champions(&agents, run.maximize) };
    let lines = tree::draw(&drawn, &|tone, text| context.out.paint(tone, text));
    for line in lines {
        context.out.line(line)?;
    }
    if drawn.len() < agents.len() {
        let (few, many) = (count(drawn.len() as u64), plural(agents.len() as u64, "agent"));
        context
            .out
            .note(format_args!("these {few} of {many} led to new bests; --all draws every one"));
    }
    if more {
        let rest = run.agents.saturating_sub(agents.len() as u64);
        context.out.note(format_args!(
            "{} not looked at; --limit takes more",
            plural(rest, "younger agent")
        ));
    }
    Ok(())
}

impl Walk {
    async fn list(self, context: &mut Context, link: &Link, way: Way) -> Result<(), Failure> {
        let agent = naming::agent(context, link, &self.agent).await?;
        let (agents, more) = pages(link, way, &id(&agent.id), self.limit).await?;
        if context.out.json() {
            let agents: Vec<_> = agents.iter().map(json::agent).collect();
            let kind = match way {
                Way::Descendants => "descendants",
                _ => "ancestors",
            };
            let fields = json!({"agent": id(&agent.id), "agents": agents, "more": more});
            return context.out.document(kind, fields);
        }
        if agents.is_empty() {
            let none = match way {
                Way::Descendants => "it has no descendants",
                _ => "it is an initial agent: it has no ancestors",
            };
            context.out.note(none);
            return Ok(());
        }
        let rows: Vec<_> = agents
            .iter()
            .map(|agent| {
                [
                    id(&agent.id),
                    agent.generation.to_string(),
                    maybe(agent.score),
                    plain(&agent.verdict),
                    plain(&agent.operators.join("+")),
                ]
            })
            .collect();
        let head = [
            ("AGENT", Side::Left),
            ("GEN", Side::Right),
            ("SCORE", Side::Right),
            ("VERDICT", Side::Left),
            ("MADE BY", Side::Left),
        ];
        context.out.table(head, &rows)?;
        if more {
            context.out.note("and more; --limit shows them");
        }
        Ok(())
    }
}
