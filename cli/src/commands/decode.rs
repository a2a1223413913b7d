//! `latentbit decode`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use latentbit_codec::Bundle;
use latentbit_codec::bundle::Halves;
use latentbit_codec::pipeline::{Conceal, Options};
use latentbit_container::{PixelFrames, Rational, ReadMode, VideoStream, rescale};
use serde::Serialize;

use crate::args::headings;
use crate::args::{
    CarryArgs, ConcealArgs, FilterArgs, MemoryArgs, ModelArgs, OutputArgs, RangeArgs, SinkArgs, bits,
};
use crate::exit::{Exit, usage};
use crate::overwrite::{self, Decision};
use crate::report::{self, RunReport};
use crate::several::{self, Job};
use crate::streaming::decoding::{Decoded, Decoding, Shown, concealment, concealment_memory};
use crate::streaming::depth_view::DepthView;
use crate::streaming::lbit_input::{self, AFTER_THE_END};
use crate::streaming::loss_report::{FrameTotals, LossReportHead};
use crate::streaming::presentation::packet_streams;
use crate::{model, progress};
use latentbit_media::{MediaKind, OutputOptions, Start, VideoInfo, open_sink};

/// Options of `decode`.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// .lbit files, or - for stdin. Several go to a folder, each under its own name: pictures as PNG, videos as MP4 (as y4m
    /// by a build without libav).
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<String>,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub sink: SinkArgs,

    #[command(flatten)]
    pub filters: FilterArgs,

    #[command(flatten)]
    pub range: RangeArgs,

    #[command(flatten)]
    pub carry: CarryArgs,

    /// Bits to look at of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    /// Colour the pictures by the depths of their tokens: dark where few bits are kept, bright where many are.
    #[arg(help_heading = headings::SINK, long)]
    pub show_depth: bool,

    #[command(flatten)]
    pub conceal: ConcealArgs,

    /// Exit with 0 if frames were concealed and nothing else is wrong.
    #[arg(help_heading = headings::LOSSES, long)]
    pub allow_conceal: bool,

    /// Write to this file, as JSON, which frames are exact, affected, concealed and left out.
    #[arg(help_heading = headings::LOSSES, long, value_name = "FILE", allow_hyphen_values = true)]
    pub loss_report: Option<String>,

    /// Stop at the first damage instead of concealing it.
    #[arg(help_heading = headings::LOSSES, long, conflicts_with_all = ["conceal", "low_delay", "allow_conceal"])]
    pub strict: bool,

    /// Join a running stream: start at the first copy of the header and the first key chunk after it.
    #[arg(help_heading = headings::LOSSES, long, conflicts_with_all = ["strict", "start", "frames"])]
    pub join: bool,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct DecodeReport<'a> {
    schema: &'static str,
    input: &'a str,
    output: &'a str,
    /// Frames of chunks that are lost, and how many of them were concealed.
    lost_frames: u64,
    concealed_frames: u64,
    /// Frames that followed a lost chunk in its group.
    affected_frames: u64,
    #[serde(flatten)]
    run: RunReport,
}

/// Runs the command.
pub fn run(args: &DecodeArgs, quiet: bool) -> anyhow::Result<Exit> {
    if args.loss_report.is_some() && args.inputs.len() > 1 {
        return usage("--loss-report: it is about one file; decode one at a time");
    }
    let jobs = several::jobs(&args.inputs, &args.output, |input| extension(args, input))?;
    let mut loaded = None;
    several::run_each(&jobs, |job| one(args, job, &mut loaded, quiet))
}

/// The extension of an output that is named after its input.
fn extension(args: &DecodeArgs, input: &str) -> &'static str {
    // An input that cannot be read tells why when its turn comes.
    let frames = || Some(lbit_input::open(input, ReadMode::Resync).ok()?.frames);
    match &args.sink.raw {
        Some(layout) if layout.ffmpeg_name().starts_with("yuv") => "yuv",
        Some(layout) if layout.ffmpeg_name().contains("rgb") => "rgb",
        Some(_) => "raw",
        None if frames() == Some(Some(1)) => "png",
        None if cfg!(feature = "libav") => "mp4",
        None => "y4m",
    }
}

/// Decodes one input, with the model that the one before it loaded.
fn one(
    args: &DecodeArgs,
    job: &Job<'_>,
    loaded: &mut Option<Arc<Bundle>>,
    quiet: bool,
) -> anyhow::Result<Exit> {
    if overwrite::check(&job.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    if let Some(path) = &args.loss_report {
        overwrite::check_beside(path, &job.output)?;
    }
    let mode = match (args.strict, args.join) {
        (true, _) => ReadMode::Strict,
        (false, true) => ReadMode::Join,
        (false, false) => ReadMode::Resync,
    };
    let mut input = lbit_input::open(job.input, mode)?;
    let notes = input.notes();
    let video = input.video.clone();
    let before = loaded.take();
    let bundle = model::load_next_for(&args.model, Halves::Decoder, &video, &input.place, before)?;
    *loaded = Some(bundle.clone());
    lbit_input::check_bits(args.bits, &video)?;
    let streams = packet_streams(input.source.header(), |stream| args.carry.keeps(stream.kind));
    let mut options_of_sink = output_options(args, &video);
    options_of_sink.info.along = notes.along(input.stream, &streams, skipped(args.range.start, &video));
    options_of_sink.packet_streams = streams.iter().map(|(_, stream)| stream.clone()).collect();
    let mut decoding = Decoding::new(&bundle, input, args.range.wanted(), streams)?;
    decoding.keep_going = !args.strict;
    decoding.depth_view = args.show_depth.then(|| DepthView::new(&video));
    decoding.options = Options::default()
        .threads(args.model.threads)
        .kept_bits(args.bits)
        .conceal(match args.strict {
            true => Conceal::Off,
            false => concealment(&args.conceal, &bundle)?,
        })
        .low_delay(args.conceal.low_delay);
    let options = decoding.options.clone();
    let planned = decoding.plan_memory(&args.memory, quiet)?;
    let mut sink = open_sink(&job.output.output, &options_of_sink)?;

    let started = Instant::now();
    let bar = progress::bar(decoding.frames(), quiet);
    let Decoded {
        losses,
        feed,
        end,
        from_start,
    } = decoding.run(|shown| {
        match shown {
            Shown::Packet(stream, packet) => sink.write_packet(stream, packet)?,
            Shown::Frame { frame, time, .. } => {
                sink.write_frame(frame, time)?;
                bar.inc(1);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if losses.totals().written() == 0 {
        return no_frames(from_start);
    }
    sink.end_at(end)?;
    sink.finish()?;
    bar.finish_and_clear();
    feed.damage.iter().for_each(|damage| tracing::error!("{damage}"));
    let output = &job.output.output;
    let totals = losses.totals();
    losses.log(output);
    if feed.exit.is_some() {
        tracing::error!("{} frames are in {output}", totals.written());
    }
    let mut run = RunReport::new(
        &bundle,
        [video.width, video.height],
        totals.written(),
        started,
        feed.damage,
    );
    let filled = match totals.concealed {
        0 => 0,
        _ => concealment_memory(&options.conceal, &video),
    };
    run.estimated_mem_bytes = Some(planned.estimate + filled);
    run.log();
    let written = std::fs::metadata(output).ok().filter(std::fs::Metadata::is_file);
    let written = written.map_or_else(String::new, |about| format!("; {} bytes", about.len()));
    let text = format!(
        "{output}: {} frames in {:.1} s, {:.1} frames/s{written}",
        run.frames, run.seconds, run.fps
    );
    progress::summary(&text, quiet);
    if let Some(path) = &args.loss_report {
        let head = LossReportHead {
            input: job.input,
            output,
            bundle: &bundle.id,
            conceal: &options.conceal,
            low_delay: options.low_delay,
            seconds: run.seconds,
        };
        losses.write(path, &head)?;
    }
    if args.json {
        let report = DecodeReport {
            schema: "latentbit.decode/1",
            input: job.input,
            output,
            lost_frames: totals.concealed + totals.left_out,
            concealed_frames: totals.concealed,
            affected_frames: totals.affected,
            run,
        };
        report::print(&report, output == "-")?;
    }
    Ok(exit(feed.exit, totals, args.allow_conceal))
}

/// Says why no frame was shown.
pub fn no_frames<T>(from_start: bool) -> anyhow::Result<T> {
    match from_start {
        true => usage("the stream has no frames"),
        false => usage(AFTER_THE_END),
    }
}

/// The exit code. Damage other than lost chunks, and frames left out, outrank truncation; that outranks concealment.
pub fn exit(feed: Option<Exit>, totals: &FrameTotals, allow_conceal: bool) -> Exit {
    match feed {
        Some(exit) if exit != Exit::Truncated => exit,
        _ if totals.left_out > 0 => Exit::Damaged,
        Some(exit) => exit,
        None if totals.concealed + totals.affected > 0 && !allow_conceal => Exit::Concealed,
        None => Exit::Success,
    }
}

/// Nanoseconds of a video before a start.
pub fn skipped(start: Option<Start>, video: &VideoStream) -> u64 {
    let time = match start {
        None => 0,
        Some(Start::Seconds(seconds)) => (seconds * 1e9) as i64,
        Some(Start::Frames(frames)) => {
            let ticks = frames.saturating_mul(u64::from(video.frame_duration));
            let ticks = i64::try_from(ticks).unwrap_or(i64::MAX);
            rescale(ticks, video.time_base, Rational::NANOSECONDS)
        }
    };
    u64::try_from(time).unwrap_or(0)
}

/// The video that the header describes, for an output.
pub fn output_info(video: &VideoStream) -> VideoInfo {
    let still = video.frame_count == Some(PixelFrames(1));
    let frame_rate = match video.frame_rate {
        // The rate only matters for a picture that is written as a video.
        Rational { num: 0, .. } if still => Rational { num: 25, den: 1 },
        rate => rate,
    };
    let mut info = VideoInfo::new(video.width, video.height, frame_rate);
    info.pixel_aspect = video.pixel_aspect;
    info.color = video.color;
    info.chroma = video.chroma;
    info.chroma_location = video.chroma_location;
    info.bit_depth = video.bit_depth.max(8);
    info.frame_count = video.frame_count.map(PixelFrames::into);
    if still {
        info.kind = MediaKind::StillImage;
    }
    info
}

fn output_options(args: &DecodeArgs, video: &VideoStream) -> OutputOptions {
    args.sink
        .options(output_info(video))
        .with_filters(args.filters.filters())
        .with_times(video.time_base, video.frame_duration)
        .with_threads(args.model.threads)
}
