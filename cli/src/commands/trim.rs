//! `latentbit trim`.

use clap::Args;
use latentbit_container::{Limits, WriterOptions, edit};

use crate::args::{OutputArgs, bits};
use crate::exit::Exit;
use crate::overwrite::{self, Decision};
use crate::streaming::lbit_input;
use crate::streaming::lbit_output::{self, Nothing};

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

/// Runs the command.
pub fn run(args: &TrimArgs) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let (place, input) = lbit_input::open_bytes(&args.input)?;
    let output = &args.output.output;
    let (_, summary) = lbit_output::write_file(output, |inner| {
        edit::trim(
            input,
            inner,
            args.bits,
            &Limits::default(),
            WriterOptions::default(),
        )
    })
    .map_err(|error| error.context(place))?;
    lbit_output::print_summary("trim", output, &summary, Nothing {}, args.json)
}
