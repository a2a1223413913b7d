//! `latentbit cut`.

use anyhow::Context;
use clap::Args;
use latentbit_container::{File, PixelFrames, WriterOptions, edit, ticks_of};
use serde::Serialize;

use crate::args::OutputArgs;
use crate::args::headings;
use crate::exit::{Exit, usage};
use crate::limits::limits;
use crate::overwrite::{self, Decision};
use crate::streaming::{lbit_input, lbit_output};
use latentbit_media::Start;

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
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct CutSummary {
    /// Frames of the input that were asked for: the first, and the first after them.
    asked: [u64; 2],
    /// Frames of the input that were kept.
    kept: [u64; 2],
}

/// Runs the command.
pub fn run(args: &CutArgs) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let limits = limits();
    let place = &args.input;
    let file = File::open(lbit_input::open_file(place)?, limits).with_context(|| place.clone())?;
    let mut file = file
        .intact()
        .with_context(|| format!("{place}: recover it first"))?;
    let Some((stream, video)) = file.first_video() else {
        anyhow::bail!("{place}: there is no video in this file");
    };
    let (time_base, PixelFrames(frames)) = (video.time_base, file.frames(stream));
    let mut frame_at = |point: Start| match point {
        Start::Frames(frames) => Ok(frames),
        Start::Seconds(seconds) => file
            .frame_at(stream, ticks_of(seconds, time_base))
            .map(PixelFrames::into),
    };
    let from = args.from.map_or(Ok(0), &mut frame_at)?;
    let to = args.to.map_or(Ok(frames), &mut frame_at)?.min(frames);
    let Some(needed) = file.chunks_for(stream, PixelFrames(from)..PixelFrames(to)) else {
        return usage(format!(
            "frames {from} to {to} of {frames}: there is nothing between --from and --to"
        ));
    };
    let end = file
        .chunks(stream)
        .get(needed.end)
        .map_or(frames, |next| next.first_frame.0);
    let kept = [needed.decoded_from.0, end];
    let output = &args.output.output;
    let (_, summary) = lbit_output::write_file(output, |inner| {
        edit::cut(file, inner, &needed, WriterOptions::default())
    })
    .with_context(|| place.clone())?;
    tracing::warn!(
        "{output}: frames {} to {} of {place}, on chunk borders (asked for: {from} to {})",
        kept[0],
        kept[1] - 1,
        to - 1
    );
    let about = CutSummary {
        asked: [from, to],
        kept,
    };
    lbit_output::print_summary("cut", output, &summary, about, args.json)
}
