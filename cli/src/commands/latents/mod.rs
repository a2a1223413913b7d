//! `latentbit latents`: the VAE alone, without tokens.

mod compare;
mod decode;
mod encode;

use clap::Subcommand;

use crate::exit::Exit;

use compare::LatentsCompareArgs;
use decode::LatentsDecodeArgs;
use encode::LatentsEncodeArgs;

/// What to do with latents.
#[derive(Debug, Subcommand)]
pub enum LatentsCommand {
    /// Turn a video or a picture into latents: safetensors with `latents` [1, C, T, H, W] of f32.
    ///
    /// The video is one group: its first latent frame stands for one frame, each later one for four. What is missing to a
    /// whole latent frame at the end is padded with copies of the last frame, and left out again by `decode`.
    Encode(LatentsEncodeArgs),
    /// Turn latents back into a video or a picture; into a tensor `frames` [1, 3, T, H, W] of -1 to 1 if the name of the
    /// output ends in .safetensors.
    Decode(LatentsDecodeArgs),
    /// Tell how far two files of latents or frames are from each other.
    Compare(LatentsCompareArgs),
}

/// Runs the command.
pub fn run(command: &LatentsCommand, quiet: bool) -> anyhow::Result<Exit> {
    match command {
        LatentsCommand::Encode(args) => encode::run(args, quiet),
        LatentsCommand::Decode(args) => decode::run(args, quiet),
        LatentsCommand::Compare(args) => compare::run(args),
    }
}
