//! `latentbit recover`.

use anyhow::Context;
use clap::Args;
use latentbit_container::{Lost, Problems, WriterOptions, edit};
use serde::Serialize;

use crate::args::OutputArgs;
use crate::args::headings;
use crate::exit::Exit;
use crate::limits::limits;
use crate::overwrite::{self, Decision};
use crate::report::more_problems;
use crate::streaming::{lbit_input, lbit_output};

/// Options of `recover`.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// .lbit file, damaged or cut off.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct RecoverFacts {
    recovered_chunks: u64,
    lost_chunks: u64,
    lost_frames: u64,
    truncated: bool,
    /// The header was damaged and a copy of it was used.
    header_copy: bool,
    problems: Vec<String>,
}

/// What could not be read, in words.
fn told(lost: &Problems<Lost>) -> Vec<String> {
    let first = lost.iter().map(|lost| lost.reason.to_string());
    first.chain(more_problems(lost.more())).collect()
}

/// Runs the command.
pub fn run(args: &RecoverArgs) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let input = lbit_input::open_file(&args.input)?;
    let output = &args.output.output;
    let (_, recovered) = lbit_output::write_file(output, |inner| {
        edit::recover(input, inner, &limits(), WriterOptions::default())
    })
    .with_context(|| args.input.clone())?;
    let more = RecoverFacts {
        recovered_chunks: recovered.chunks,
        lost_chunks: recovered.lost_chunks,
        lost_frames: recovered.lost_frames,
        truncated: recovered.truncated,
        header_copy: recovered.header_copy,
        problems: told(&recovered.lost),
    };
    for problem in &more.problems {
        tracing::warn!("{}: {problem}", args.input);
    }
    if more.header_copy {
        tracing::warn!("{}: its header is damaged; a copy of it was used", args.input);
    }
    if more.truncated {
        tracing::error!("{}: it is cut off; what came after is not known", args.input);
    }
    if more.lost_chunks > 0 {
        tracing::error!(
            "{}: {} chunks with {} frames are lost; their places are held",
            args.input,
            more.lost_chunks,
            more.lost_frames
        );
    }
    tracing::warn!("{} chunks are in {output}", more.recovered_chunks);
    let exit = match (more.lost_chunks, more.truncated, more.problems.is_empty()) {
        (0, true, _) => Exit::Truncated,
        (0, false, true) => Exit::Success,
        _ => Exit::Damaged,
    };
    lbit_output::print_summary("recover", output, &recovered.summary, more, args.json)?;
    Ok(exit)
}
