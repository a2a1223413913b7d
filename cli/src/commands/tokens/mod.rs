//! `latentbit tokens`: tokens out of a file, as arrays, and back into one.

mod export;
mod import;

use crate::args::TokensCommand;
use crate::exit::Exit;

/// Runs the command.
pub fn run(command: &TokensCommand) -> anyhow::Result<Exit> {
    match command {
        TokensCommand::Export(args) => export::run(args),
        TokensCommand::Import(args) => import::run(args),
    }
}
