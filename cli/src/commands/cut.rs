//! `latentbit cut`.

use anyhow::Context;
use clap::Args;
use latentbit_container::{ChunkInfo, Limits, ReadMode, VideoStream, WriterOptions, edit, scan};
use serde::Serialize;

use crate::args::OutputArgs;
use crate::exit::{Exit, usage};
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
    #[arg(long)]
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
    let limits = Limits::default();
    let place = &args.input;
    let listed =
        scan(lbit_input::open_file(place)?, limits, ReadMode::Strict).with_context(|| place.clone())?;
    if let Some(error) = listed.error {
        return Err(anyhow::Error::from(error).context(format!("{place}: recover it first")));
    }
    let Some((stream, video)) = listed.header.first_video() else {
        anyhow::bail!("{place}: there is no video in this file");
    };
    let mine: Vec<ChunkInfo> = listed
        .chunks
        .iter()
        .filter(|chunk| chunk.stream == stream)
        .copied()
        .collect();
    let frames = mine
        .last()
        .map_or(0, |last| last.first_frame.0 + last.frame_count.0);
    let from = args.from.map_or(0, |start| frame_at(start, &mine, video));
    let to = args
        .to
        .map_or(frames, |end| frame_at(end, &mine, video))
        .min(frames);
    if from >= to {
        return usage(format!(
            "frames {from} to {to} of {frames}: there is nothing between --from and --to"
        ));
    }
    let Some(cut) = edit::plan_cut(&mine, stream, from..to) else {
        return usage(format!(
            "frames {from} to {to} of {frames}: there is no such part"
        ));
    };
    let output = &args.output.output;
    let input = lbit_input::open_file(place)?;
    let (_, summary) = lbit_output::write_file(output, |inner| {
        edit::cut(input, inner, &cut, &mine, &limits, WriterOptions::default())
    })
    .with_context(|| place.clone())?;
    tracing::warn!(
        "{output}: frames {} to {} of {place}, on chunk borders (asked for: {from} to {})",
        cut.frames.start,
        cut.frames.end - 1,
        to - 1
    );
    let about = CutSummary {
        asked: [from, to],
        kept: [cut.frames.start, cut.frames.end],
    };
    lbit_output::print_summary("cut", output, &summary, about, args.json)
}

/// The first frame at or after a point, as near as chunks tell: where the rate varies, frames of a chunk count as evenly
/// spaced.
fn frame_at(point: Start, chunks: &[ChunkInfo], video: &VideoStream) -> u64 {
    let seconds = match point {
        Start::Frames(frames) => return frames,
        Start::Seconds(seconds) => seconds,
    };
    // Neither decimals nor container clocks hit a frame exactly.
    let ticks = (seconds - 1e-6) * f64::from(video.time_base.den) / f64::from(video.time_base.num);
    let after = chunks.partition_point(|chunk| (chunk.start as f64) < ticks);
    let Some(chunk) = after.checked_sub(1).and_then(|at| chunks.get(at)) else {
        return chunks.first().map_or(0, |chunk| chunk.first_frame.0);
    };
    let frames = chunk.frame_count.0 as f64;
    let end = chunks.get(after).map_or_else(
        || chunk.start as f64 + frames * f64::from(video.frame_duration),
        |next| next.start as f64,
    );
    let length = (end - chunk.start as f64).max(1.0);
    let inside = ((ticks - chunk.start as f64) / length * frames).ceil();
    chunk.first_frame.0 + (inside as u64).min(chunk.frame_count.0)
}
