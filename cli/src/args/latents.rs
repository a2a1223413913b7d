//! Options of `latents`.

use clap::{Args, Subcommand};

use super::EXIT_CODES;
use super::shared::{MemoryArgs, ModelArgs, OutputArgs, SinkArgs, SourceArgs};
use crate::latents::Scale;

/// What to do with latents.
#[derive(Debug, Subcommand)]
pub enum LatentsCommand {
    /// Turn a video or a picture into latents: safetensors with `latents` [1, C, T, H, W] of f32.
    ///
    /// The video is one group: its first latent frame stands for one frame, each later one for four. What is missing to a
    /// whole latent frame at the end is padded with copies of the last frame, and left out again by `decode`.
    #[command(after_help = EXIT_CODES)]
    Encode(LatentsEncodeArgs),
    /// Turn latents back into a video or a picture; into a tensor `frames` [1, 3, T, H, W] of -1 to 1 if the name of the
    /// output ends in .safetensors.
    #[command(after_help = EXIT_CODES)]
    Decode(LatentsDecodeArgs),
    /// Tell how far two files of latents or frames are from each other.
    #[command(after_help = EXIT_CODES)]
    Compare(LatentsCompareArgs),
}

/// Options of `latents encode`.
#[derive(Debug, Args)]
pub struct LatentsEncodeArgs {
    /// Video or picture, or - for stdin (y4m, PNG, JPEG, or raw video with --raw).
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub source: SourceArgs,

    /// Scale of the latents: raw, the mean of the VAE's posterior as it is; or normalised by the VAE's mean and standard
    /// deviation, as diffusion models take them.
    #[arg(long, value_name = "SCALE", value_enum, default_value_t = Scale::Raw)]
    pub scale: Scale,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `latents decode`.
#[derive(Debug, Args)]
pub struct LatentsDecodeArgs {
    /// File of safetensors with a tensor `latents` [1, C, T, H, W] of f32, f16 or bf16.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub sink: SinkArgs,

    /// Scale of the latents; what the file says of itself by default, or else raw.
    #[arg(long, value_name = "SCALE", value_enum)]
    pub scale: Option<Scale>,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `latents compare`.
#[derive(Debug, Args)]
pub struct LatentsCompareArgs {
    /// File of latents or frames.
    pub a: String,

    /// The file to measure it by.
    pub b: String,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}
