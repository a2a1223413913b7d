//! `latentbit models`: models that are kept on this machine.

mod add;
mod list;
mod pull;
mod report;
mod verify;

use clap::Subcommand;

use crate::exit::Exit;

use add::ModelsAddArgs;
use list::{ModelsListArgs, ModelsPathArgs};
use pull::ModelsPullArgs;
use verify::ModelsVerifyArgs;

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the built-in model and those that are kept on this machine.
    List(ModelsListArgs),
    /// Keep a model that is on this machine already, under a name.
    ///
    /// PATH is a LatentBit bundle (.safetensors), an official VAE of Wan (.pth), or the folder of a diffusers VAE or
    /// pipeline.
    Add(ModelsAddArgs),
    /// Fetch a model from the Hugging Face hub.
    ///
    /// NAME is wan2.1-vae, wan2.1-vae-diffusers or wan2.2-vae; OWNER/REPO/FILE; or OWNER/REPO, if it is clear which file in
    /// it is the model. A pull that was interrupted goes on where it stopped, and what comes is checked against the SHA-256
    /// that the hub tells. HF_ENDPOINT names a mirror, HF_TOKEN a token, HTTPS_PROXY a proxy; with HF_HUB_OFFLINE=1
    /// nothing is fetched.
    Pull(ModelsPullArgs),
    /// Compute the SHA-256 of every file anew and compare. Ends with code 3 if one is damaged.
    Verify(ModelsVerifyArgs),
    /// Print the path of a model, for --model or other programs.
    Path(ModelsPathArgs),
}

/// Runs the command.
pub fn run(command: &ModelsCommand, quiet: bool) -> anyhow::Result<Exit> {
    match command {
        ModelsCommand::List(args) => list::run(args),
        ModelsCommand::Add(args) => add::run(args, quiet),
        ModelsCommand::Pull(args) => pull::run(args, quiet),
        ModelsCommand::Verify(args) => verify::run(args, quiet),
        ModelsCommand::Path(args) => list::path(args),
    }
}
