//! `latentbit tokens`: tokens out of a file, as arrays, and back into one.

mod export;
mod import;

use clap::Subcommand;

use crate::exit::Exit;

use export::TokensExportArgs;
use import::TokensImportArgs;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Write the tokens of a file as an array, with a JSON beside it that says what they are: geometry, order of tokens and
    /// bits, and for each chunk its frames, its steps in the array, and its segment.
    ///
    /// Of a damaged file it writes what is intact; a chunk that is lost has an entry without steps. Two files are written,
    /// so the output can be no pipe.
    Export(TokensExportArgs),
    /// Make a file of an array and its JSON, bit for bit. Sound and subtitles are not part of them.
    ///
    /// Chunks that are lost keep their places, as with `recover`. Ends with code 4 if the array is cut off.
    Import(TokensImportArgs),
}

/// Runs the command.
pub fn run(command: &TokensCommand) -> anyhow::Result<Exit> {
    match command {
        TokensCommand::Export(args) => export::run(args),
        TokensCommand::Import(args) => import::run(args),
    }
}
