//! `latentbit concat`.

use latentbit_media::path_of;
use std::fs::File;

use anyhow::Context;
use clap::Args;
use latentbit_container::{Error, WriterOptions, edit};

use crate::args::OutputArgs;
use crate::args::headings;
use crate::exit::Exit;
use crate::limits::limits;
use crate::overwrite::{self, Decision};
use crate::streaming::lbit_input;
use crate::streaming::lbit_output::{self, Nothing};

/// Options of `concat`.
#[derive(Debug, Args)]
pub struct ConcatArgs {
    /// .lbit files, in order.
    #[arg(required = true, num_args = 1..)]
    pub inputs: Vec<String>,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

/// Runs the command.
pub fn run(args: &ConcatArgs) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    // Find wrong names before anything is written.
    for input in &args.inputs {
        lbit_input::open_file(input)?;
    }
    let output = &args.output.output;
    let mut current = 0;
    let open = |number: usize| {
        current = number;
        let path = args.inputs.get(number).map_or("", String::as_str);
        File::open(path_of(path)).map_err(|source| Error::Io {
            action: "read",
            offset: 0,
            source,
        })
    };
    let joined = lbit_output::write_file(output, |inner| {
        let count = args.inputs.len();
        edit::concat(count, open, inner, &limits(), WriterOptions::default())
    });
    let (_, summary) = joined.with_context(|| args.inputs[current.min(args.inputs.len() - 1)].clone())?;
    lbit_output::print_summary("concat", output, &summary, Nothing {}, args.json)
}
