//! Options of the commands that look at files and mend and cut them, without a model.

use clap::{ArgGroup, Args};

use super::shared::OutputArgs;
use super::values::bits;
use crate::commands::degrade::ChunkRun;
use latentbit_media::Start;

/// Options of `info`.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true, required_unless_present = "device")]
    pub file: Option<String>,

    /// Tell what a device computes with, instead of what a file holds: auto, cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", conflicts_with = "file")]
    pub device: Option<String>,

    /// List every chunk too.
    #[arg(long, conflicts_with = "device")]
    pub chunks: bool,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// .lbit files; - for stdin.
    #[arg(required = true)]
    pub files: Vec<String>,

    /// Print JSON: one line for each file.
    #[arg(long)]
    pub json: bool,
}

/// Options of `recover`.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// .lbit file, damaged or cut off.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `index`.
#[derive(Debug, Args)]
pub struct IndexArgs {
    /// .lbit file.
    pub file: String,

    /// Write to this file instead; the input is changed if there is none.
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<String>,

    /// Overwrite that file if it exists.
    #[arg(short = 'y', long, requires = "output")]
    pub overwrite: bool,
}

/// Options of `trim`.
#[derive(Debug, Args)]
pub struct TrimArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Bits to keep of each token, the most important ones.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: u8,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `cut`.
#[derive(Debug, Args)]
pub struct CutArgs {
    /// .lbit file.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Where to begin: seconds (12.5), HH:MM:SS.ms or a number of frames (40f); the start by default.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Start>,

    /// Where to end, the same way; the end by default.
    #[arg(long, value_name = "TIME")]
    pub to: Option<Start>,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `concat`.
#[derive(Debug, Args)]
pub struct ConcatArgs {
    /// .lbit files, in order.
    #[arg(required = true, num_args = 1..)]
    pub inputs: Vec<String>,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}

/// Options of `degrade`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("chosen").required(true).args(["drop", "loss_rate"]))]
pub struct DegradeArgs {
    /// .lbit file, intact.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Numbers of the chunks to lose, from 0: 3,7-9.
    #[arg(long, value_name = "CHUNKS", value_delimiter = ',')]
    pub drop: Vec<ChunkRun>,

    /// Lose chunks at random: this share of them in the long run, 0 to 1.
    #[arg(long, value_name = "RATE")]
    pub loss_rate: Option<f64>,

    /// Mean length of bursts, in chunks: within a burst every chunk is lost.
    #[arg(long, value_name = "CHUNKS", default_value_t = 1.0, conflicts_with = "drop")]
    pub burst: f64,

    /// What chance begins with: the same seed loses the same chunks on every machine.
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "drop")]
    pub seed: u64,

    /// Hold the places of lost chunks, as `recover` does, instead of leaving their records out of the file.
    #[arg(long, conflicts_with = "planes")]
    pub hold: bool,

    /// Keep this many of the most important bit-planes of the chunks instead of losing all.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub planes: Option<u8>,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
    pub json: bool,
}
