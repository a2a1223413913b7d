//! `latentbit latents`: the VAE alone, without tokens.

mod compare;
mod decode;
mod encode;

use crate::args::LatentsCommand;
use crate::exit::Exit;

/// Runs the command.
pub fn run(command: &LatentsCommand, quiet: bool) -> anyhow::Result<Exit> {
    match command {
        LatentsCommand::Encode(args) => encode::run(args, quiet),
        LatentsCommand::Decode(args) => decode::run(args, quiet),
        LatentsCommand::Compare(args) => compare::run(args),
    }
}
