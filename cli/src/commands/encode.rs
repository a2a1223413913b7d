//! `latentbit encode`.

use std::sync::Arc;
use std::time::Instant;

use indicatif::ProgressBar;
use latentbit_codec::Bundle;
use latentbit_codec::pipeline::{self, FrameInput, Options};
use latentbit_container::{Chunk, PixelFrames, Rational, Summary, VideoStream};
use serde::Serialize;

use crate::args::EncodeArgs;
use crate::exit::{Exit, message, usage};
use crate::interrupt;
use crate::join::joined;
use crate::lbit_output::Output;
use crate::media::{FrameSource, MediaError, MediaErrorKind, MediaKind, VideoInfo, open_source};
use crate::model;
use crate::overwrite::{self, Decision};
use crate::progress;
use crate::report::{self, RunReport, bits_per_pixel};

#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    input: &'a str,
    output: &'a str,
    chunks: u64,
    bytes: u64,
    bits: u8,
    bpp: f64,
    #[serde(flatten)]
    run: RunReport,
}

/// Runs the command.
pub fn run(args: &EncodeArgs, quiet: bool) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let mut source = open_source(&args.input, &args.source.input_options(args.model.threads))?;
    let info = source.info().clone();
    let bundle = model::load(&args.model)?;
    let video = describe(&bundle, &info, args.bits)?;

    let mut warnings = Vec::new();
    if info.has_audio {
        warnings.push(format!(
            "{}: its sound is dropped; only the video is kept",
            args.input
        ));
    }
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    interrupt::listen();
    let started = Instant::now();
    let bar = progress::bar(info.frame_count, quiet);
    let (summary, fault) = encode(args, source.as_mut(), &bundle, &video, &bar)?;
    bar.finish_and_clear();
    let totals = summary.totals.first().copied().unwrap_or_default();
    let frames = totals.frames.0;

    let exit = match fault {
        Some(error) => {
            let exit = Exit::of(&error);
            let text = format!(
                "{}; the {} frames before it are in {}",
                message(&error),
                frames,
                args.output.output
            );
            tracing::error!("{text}");
            warnings.push(text);
            exit
        }
        None => Exit::Success,
    };
    let run = RunReport::new(&bundle, &video, frames, started, warnings);
    run.log();
    if args.json {
        let report = Report {
            schema: "latentbit.encode/1",
            input: &args.input,
            output: &args.output.output,
            chunks: totals.chunks,
            bytes: summary.bytes,
            bits: video.bits,
            bpp: bits_per_pixel(summary.bytes, frames, video.width, video.height),
            run,
        };
        report::print(&report, args.output.output == "-")?;
    }
    Ok(exit)
}

/// What the header says of the source.
fn describe(bundle: &Bundle, info: &VideoInfo, bits: Option<u8>) -> anyhow::Result<VideoStream> {
    let still = info.kind == MediaKind::StillImage;
    let mut video = pipeline::video_stream_for(bundle, info.width, info.height)?;
    if let Some(bits) = bits {
        if bits > video.bundle_bits {
            return usage(format!(
                "--bits {bits}: tokens of the bundle {:?} have {}",
                bundle.id.name, video.bundle_bits
            ));
        }
        video.bits = bits;
    }
    let rate = match still {
        true => Rational { num: 0, den: 1 },
        false => info.frame_rate,
    };
    Ok(VideoStream {
        pixel_aspect: info.pixel_aspect,
        color: info.color,
        chroma: info.chroma,
        chroma_location: info.chroma_location,
        bit_depth: info.bit_depth,
        // Of a video the count is only known at its end.
        frame_count: still.then_some(PixelFrames(1)),
        ..video.with_constant_rate(rate)
    })
}

/// Reads here, writes on a thread of its own. Gives the error that ended the input early, if the frames before it are
/// worth keeping.
fn encode(
    args: &EncodeArgs,
    source: &mut dyn FrameSource,
    bundle: &Arc<Bundle>,
    video: &VideoStream,
    bar: &ProgressBar,
) -> anyhow::Result<(Summary, Option<anyhow::Error>)> {
    let options = Options {
        threads: args.model.threads,
        chunks_per_group: args.group,
        kept_bits: None,
    };
    let writer_options = args.coder.writer_options();
    let mut output = Output::create(&args.output.output, &video.clone().into(), writer_options)?;
    let (input, chunks) = pipeline::encoder(bundle, video, &options)?;
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || -> anyhow::Result<Output> {
            for chunk in chunks {
                let chunk: Chunk = chunk?;
                output.write(|writer| writer.write_chunk(&chunk))?;
                bar.inc(chunk.frame_count.0);
            }
            Ok(output)
        });
        let reading = read(&args.input, source, input);
        let written = joined(writing.join(), "writing");
        match (reading, written) {
            // A pipeline that closed early is a consequence; the cause is on the other side.
            (Err(error), _) if !is_closed(&error) => Err(error),
            (_, Err(error)) | (Err(error), Ok(_)) => Err(error),
            (Ok(fault), Ok(output)) => Ok((output.finish()?, fault)),
        }
    })
}

fn is_closed(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(latentbit_codec::Error::Closed))
}

/// Pushes all frames; gives the error that ended them early after at least one.
fn read(
    place: &str,
    source: &mut dyn FrameSource,
    mut input: FrameInput,
) -> anyhow::Result<Option<anyhow::Error>> {
    let mut frames = 0u64;
    let fault = loop {
        if interrupt::interrupted() {
            break None;
        }
        match source.next_frame() {
            Ok(Some(frame)) => {
                input.push(&frame)?;
                frames += 1;
            }
            Ok(None) => break None,
            Err(error) => {
                let kept = matches!(
                    error.kind(),
                    MediaErrorKind::Truncated { .. } | MediaErrorKind::Invalid
                );
                if kept && frames > 0 {
                    break Some(error.into());
                }
                // The input half is dropped without a flush, so no half-done file gets its name.
                return Err(error.into());
            }
        }
    };
    if frames == 0 {
        let message = "there is no frame to encode";
        return Err(MediaError::new(MediaErrorKind::Invalid, place, message).into());
    }
    input.flush()?;
    Ok(fault)
}
