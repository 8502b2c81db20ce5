//! `darwin store`: the health of what is stored.

use clap::{Args, Subcommand};

use crate::wire::v1::VerifyStoreRequest;

use super::{context::Context, error::Failure, verify};

/// Check what is stored
#[derive(Debug, Args)]
pub struct Store {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Check every stored block, signature, link, digest and row
    #[command(after_help = "Examples:
  darwin store verify
  darwin store verify --json | jq .sound

Names the first thing that is wrong and exits with 65. Nothing is changed.")]
    Verify,
}

impl Store {
    pub async fn run(self, context: &mut Context) -> Result<(), Failure> {
        let Verb::Verify = self.verb;
        let link = context.link().await?;
        context.out.note("checking everything that is stored…");
        let found = link.operations().verify_store(VerifyStoreRequest {}).await?.into_inner();
        verify::tell(context, "the store", &found)
    }
}
