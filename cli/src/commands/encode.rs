//! `latentbit encode`.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use indicatif::ProgressBar;
use latentbit_codec::Bundle;
use latentbit_codec::pipeline::{self, FrameInput, KeyFrames, MemoryPlan, Options, Work};
use latentbit_container::metadata::key;
use latentbit_container::{
    Chunk, Header, Metadata, PixelFrames, Rational, Stream, StreamId, Summary, VideoStream,
};
use serde::Serialize;

use crate::along::Along;
use crate::args::EncodeArgs;
use crate::exit::{Exit, message, usage};
use crate::interrupt;
use crate::join::joined;
use crate::lbit_output::Output;
use crate::media::{
    FrameSource, InputOptions, MediaError, MediaErrorKind, MediaKind, Packet, VideoInfo, open_source,
};
use crate::memory;
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
    let input_options = InputOptions {
        audio: !args.carry.no_audio,
        subtitles: !args.carry.no_subtitles,
        ..args.source.input_options(args.model.threads)
    };
    let mut source = open_source(&args.input, &input_options)?;
    let info = source.info().clone();
    let bundle = model::load(&args.model)?;
    let video = describe(&bundle, &info, args.bits)?;

    let planned = memory::plan(&args.memory, &bundle, &(&video).into(), Work::Encode, 0, quiet)?;

    let mut warnings = Vec::new();
    interrupt::listen();
    let started = Instant::now();
    let bar = progress::bar(info.frame_count, quiet);
    let (summary, fault) = encode(args, source.as_mut(), &bundle, &video, planned.plan, &bar)?;
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
    let mut run = RunReport::new(&bundle, [video.width, video.height], frames, started, warnings);
    run.estimated_mem_bytes = Some(planned.estimate);
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
    let video = match still {
        true => video.with_constant_rate(Rational { num: 0, den: 1 }),
        false => {
            let along = Along::new(info);
            VideoStream {
                frame_rate: info.frame_rate,
                time_base: along.time_base,
                frame_duration: along.frame_duration,
                ..video
            }
        }
    };
    Ok(VideoStream {
        pixel_aspect: info.pixel_aspect,
        color: info.color,
        chroma: info.chroma,
        chroma_location: info.chroma_location,
        bit_depth: info.bit_depth,
        // Of a video the count is only known at its end.
        frame_count: still.then_some(PixelFrames(1)),
        ..video
    })
}

/// Reads here, writes on a thread of its own. Gives the error that ended the input early, if the frames before it are
/// worth keeping.
fn encode(
    args: &EncodeArgs,
    source: &mut dyn FrameSource,
    bundle: &Arc<Bundle>,
    video: &VideoStream,
    plan: MemoryPlan,
    bar: &ProgressBar,
) -> anyhow::Result<(Summary, Option<anyhow::Error>)> {
    let options = Options {
        threads: args.model.threads,
        chunks_per_group: args.group,
        key_frames: match args.no_scene_cuts {
            true => KeyFrames::None,
            false => KeyFrames::AtCuts,
        },
        encoder_plan: Some(plan),
        ..Options::default()
    };
    let writer_options = args.coder.writer_options();
    let info = source.info();
    let packets = info.packet_streams.iter().cloned().map(Stream::Packets);
    let header = Header {
        streams: std::iter::once(Stream::Video(video.clone()))
            .chain(packets)
            .collect(),
    };
    let mut output = Output::create(&args.output.output, &header, writer_options)?;
    let metadata = metadata(&args.input);
    output.write(|writer| writer.write_metadata(&metadata))?;
    let along = Mutex::new(Along::new(info));
    let (input, chunks) = pipeline::encoder(bundle, video, &options)?;
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| -> anyhow::Result<Output> {
            for chunk in chunks {
                let mut chunk: Chunk = chunk?;
                let packets = {
                    let mut along = locked(&along);
                    chunk.times = along.times(chunk.frame_count.0);
                    let end = along.end();
                    along.packets(Some(end))
                };
                write_packets(&mut output, &packets)?;
                output.write(|writer| writer.write_chunk(&chunk))?;
                bar.inc(chunk.frame_count.0);
            }
            Ok(output)
        });
        let limited = args.source.range.frames.is_some();
        let reading = read(&args.input, source, input, &along, limited);
        let written = joined(writing.join(), "writing");
        match (reading, written) {
            // A pipeline that closed early is a consequence; the cause is on the other side.
            (Err(error), _) if !is_closed(&error) => Err(error),
            (_, Err(error)) | (Err(error), Ok(_)) => Err(error),
            (Ok(read), Ok(mut output)) => {
                let mut along = locked(&along);
                // Where the pictures were cut off, the sound ends with them.
                let end = (!read.to_the_end).then_some(along.end());
                write_packets(&mut output, &along.packets(end))?;
                Ok((output.finish()?, read.fault))
            }
        }
    })
}

fn locked(along: &Mutex<Along>) -> MutexGuard<'_, Along> {
    // Whoever panicked while holding it is reported when its thread is joined.
    along.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write_packets(output: &mut Output, packets: &[(StreamId, Vec<Packet>)]) -> anyhow::Result<()> {
    for (stream, packets) in packets {
        output.write(|writer| writer.write_packets(*stream, packets))?;
    }
    Ok(())
}

/// Where the file comes from, and what wrote it. Nothing that changes from run to run: the same input gives the same file.
fn metadata(input: &str) -> Metadata {
    let encoder = format!("latentbit {}", env!("CARGO_PKG_VERSION"));
    let name = Path::new(input).file_name().filter(|_| input != "-");
    let name = name.map(|name| (key::ORIGINAL_NAME.to_owned(), name.to_string_lossy().into_owned()));
    let entries = [(key::ENCODER.to_owned(), encoder)].into_iter().chain(name);
    Metadata {
        stream: StreamId::NONE,
        entries: entries.collect(),
    }
}

/// What came of reading.
struct Read {
    /// The error that ended it early after at least one frame.
    fault: Option<anyhow::Error>,
    /// Whether there was nothing left to read.
    to_the_end: bool,
}

fn is_closed(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(latentbit_codec::Error::Closed))
}

/// Pushes all frames, and keeps what comes with them.
fn read(
    place: &str,
    source: &mut dyn FrameSource,
    mut input: FrameInput,
    along: &Mutex<Along>,
    limited: bool,
) -> anyhow::Result<Read> {
    let mut frames = 0u64;
    let mut to_the_end = false;
    let fault = loop {
        if interrupt::interrupted() {
            break None;
        }
        match source.next_frame() {
            Ok(Some(frame)) => {
                locked(along).take(source.take_extras(), true);
                input.push(&frame)?;
                frames += 1;
            }
            Ok(None) => {
                locked(along).take(source.take_extras(), false);
                to_the_end = !limited;
                break None;
            }
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
    Ok(Read { fault, to_the_end })
}
