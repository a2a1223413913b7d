//! Options of `models`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::EXIT_CODES;

/// What to do with models.
#[derive(Debug, Subcommand)]
pub enum ModelsCommand {
    /// List the built-in model and those that are kept on this machine.
    #[command(after_help = EXIT_CODES)]
    List(ModelsListArgs),
    /// Keep a model that is on this machine already, under a name.
    ///
    /// PATH is a LatentBit bundle (.safetensors), an official VAE of Wan (.pth), or the folder of a diffusers VAE or
    /// pipeline.
    #[command(after_help = EXIT_CODES)]
    Add(ModelsAddArgs),
    /// Fetch a model from the Hugging Face hub.
    ///
    /// NAME is wan2.1-vae, wan2.1-vae-diffusers or wan2.2-vae; OWNER/REPO/FILE; or OWNER/REPO, if it is clear which file in
    /// it is the model. A pull that was interrupted goes on where it stopped, and what comes is checked against the SHA-256
    /// that the hub tells. HF_ENDPOINT names a mirror, HF_TOKEN a token, HTTPS_PROXY a proxy; with HF_HUB_OFFLINE=1
    /// nothing is fetched.
    #[command(after_help = EXIT_CODES)]
    Pull(ModelsPullArgs),
    /// Compute the SHA-256 of every file anew and compare. Ends with code 3 if one is damaged.
    #[command(after_help = EXIT_CODES)]
    Verify(ModelsVerifyArgs),
    /// Print the path of a model, for --model or other programs.
    #[command(after_help = EXIT_CODES)]
    Path(ModelsPathArgs),
}

/// Options of `models list`.
#[derive(Debug, Args)]
pub struct ModelsListArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What a new model is called.
#[derive(Debug, Args)]
pub struct ModelNameArgs {
    /// Name to keep it under, instead of one made of where it is from.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Replace a model that has this name.
    #[arg(short = 'y', long)]
    pub overwrite: bool,
}

/// Options of `models add`.
#[derive(Debug, Args)]
pub struct ModelsAddArgs {
    /// File or folder.
    pub path: PathBuf,

    #[command(flatten)]
    pub name: ModelNameArgs,

    /// Link to the files instead of copying them.
    #[arg(long)]
    pub link: bool,

    /// Print what was added as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `models pull`.
#[derive(Debug, Args)]
pub struct ModelsPullArgs {
    /// Known name, OWNER/REPO or OWNER/REPO/FILE.
    #[arg(value_name = "NAME")]
    pub model: String,

    /// Branch, tag or commit.
    #[arg(long, value_name = "REVISION", default_value = "main")]
    pub revision: String,

    #[command(flatten)]
    pub name: ModelNameArgs,

    /// Fetch nothing: end well if the model is there already.
    #[arg(long)]
    pub offline: bool,

    /// Print what was pulled as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `models verify`.
#[derive(Debug, Args)]
pub struct ModelsVerifyArgs {
    /// Model to check; all of them by default.
    pub name: Option<String>,

    /// Print JSON: one line for each model.
    #[arg(long)]
    pub json: bool,
}

/// Options of `models path`.
#[derive(Debug, Args)]
pub struct ModelsPathArgs {
    /// Name of the model.
    pub name: String,
}
