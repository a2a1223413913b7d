//! Options of `tokens`.

use clap::{Args, Subcommand};

use super::EXIT_CODES;
use super::shared::{CoderArgs, OutputArgs};
use super::values::bits;
use crate::tokens::{ArrayFormat, Columns};

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Write the tokens of a file as an array, with a JSON beside it that says what they are: geometry, order of tokens and
    /// bits, and for each chunk its frames, its steps in the array, and its segment.
    ///
    /// Of a damaged file it writes what is intact; a chunk that is lost has an entry without steps. Two files are written,
    /// so the output can be no pipe.
    #[command(after_help = EXIT_CODES)]
    Export(TokensExportArgs),
    /// Make a file of an array and its JSON, bit for bit. Sound and subtitles are not part of them.
    ///
    /// Chunks that are lost keep their places, as with `recover`. Ends with code 4 if the array is cut off.
    #[command(after_help = EXIT_CODES)]
    Import(TokensImportArgs),
}

/// Options of `tokens export`.
#[derive(Debug, Args)]
pub struct TokensExportArgs {
    /// .lbit file.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Format of the array; the name of the output says it by default (.npy, .safetensors, .bin).
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<ArrayFormat>,

    /// Split each token into columns of 16 or 32 bits, a last axis of the array. Otherwise a token is one number, of the
    /// smallest of 16, 32 and 64 bits that holds it (raw: always 64).
    #[arg(long, value_name = "TYPE", value_enum)]
    pub columns: Option<Columns>,

    /// Bits to keep of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    /// Print a summary as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `tokens import`.
#[derive(Debug, Args)]
pub struct TokensImportArgs {
    /// Array of tokens, as `tokens export` writes it; - for stdin, with --format and --sidecar.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Format of the array; its name says it by default (.npy, .safetensors, .bin).
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: Option<ArrayFormat>,

    /// The JSON that belongs to the array; by default what safetensors say of themselves, or else its name with .json.
    #[arg(long, value_name = "FILE")]
    pub sidecar: Option<String>,

    #[command(flatten)]
    pub coder: CoderArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}
