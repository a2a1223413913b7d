//! `latentbit decode`.

use std::sync::mpsc;
use std::time::Instant;

use clap::Args;
use indicatif::ProgressBar;
use latentbit_codec::bundle::Halves;
use latentbit_codec::pipeline::{self, Conceal, DecodedFrame, Geometry, Options, Work};
use latentbit_container::{PacketKind, PixelFrames, Rational, ReadMode, VideoStream};
use serde::Serialize;

use crate::args::{CarryArgs, ConcealArgs, MemoryArgs, ModelArgs, OutputArgs, RangeArgs, SinkArgs, bits};
use crate::exit::{Exit, UsageError};
use crate::overwrite::{self, Decision};
use crate::report::{self, RunReport};
use crate::streaming::chunk_feed::{Feed, feed};
use crate::streaming::lbit_input::{self, Input};
use crate::streaming::loss_report::{FrameTotals, LossReportHead, Losses};
use crate::streaming::presentation::{self, Presentation};
use crate::streaming::threads::joined;
use crate::streaming::{conceal, memory};
use crate::{model, progress};
use latentbit_media::{FrameSink, MediaKind, OutputOptions, VideoInfo, open_sink};

/// Options of `decode`.
#[derive(Debug, Args)]
pub struct DecodeArgs {
    /// .lbit file, or - for stdin.
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub sink: SinkArgs,

    #[command(flatten)]
    pub range: RangeArgs,

    #[command(flatten)]
    pub carry: CarryArgs,

    /// Bits to look at of each token, the most important ones; all by default.
    #[arg(long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    #[command(flatten)]
    pub conceal: ConcealArgs,

    /// End with code 0 where frames were concealed and nothing else is wrong.
    #[arg(long)]
    pub allow_conceal: bool,

    /// Write to this file, as JSON, which frames are exact, affected, concealed and left out.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    pub loss_report: Option<String>,

    /// Stop at the first damage instead of concealing it.
    #[arg(long, conflicts_with_all = ["conceal", "low_delay", "allow_conceal"])]
    pub strict: bool,

    /// Join a running stream in the middle: begin at the first copy of the header and the first key chunk after it.
    #[arg(long, conflicts_with_all = ["strict", "start", "frames"])]
    pub join: bool,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long)]
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
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    if let Some(path) = &args.loss_report {
        overwrite::check_beside(path, &args.output)?;
    }
    let mode = match (args.strict, args.join) {
        (true, _) => ReadMode::Strict,
        (false, true) => ReadMode::Join,
        (false, false) => ReadMode::Resync,
    };
    let input = lbit_input::open(&args.input, mode)?;
    let video = input.video.clone();
    let bundle = model::load(&args.model, Halves::Decoder)?;
    model::check(&bundle, &video, &input.place)?;
    lbit_input::check_bits(args.bits, &video)?;
    let conceal = match args.strict {
        true => Conceal::Off,
        false => conceal::choose(&args.conceal, &bundle)?,
    };
    let range = range(&args.range, video.frame_rate);
    let all = lbit_input::known(&args.input, &input).frames;
    let total = all.map(|total| total.min(range.end).saturating_sub(range.start));
    let geometry = Geometry::from(&video);
    let filling = conceal::memory(&conceal, &video);
    let task = memory::Task {
        bundle: &bundle,
        geometry: &geometry,
        work: Work::Decode,
        // Frames before a range are decoded as well.
        frames: all,
        where_lost: filling,
    };
    let planned = memory::plan(&args.memory, &task, quiet)?;
    let options = Options {
        threads: args.model.threads,
        kept_bits: args.bits,
        conceal,
        low_delay: args.conceal.low_delay,
        decoder_plan: Some(planned.plan),
        ..Options::default()
    };
    let carry = &args.carry;
    let streams = presentation::wanted(input.reader.header(), |stream| match stream.kind {
        PacketKind::Audio => !carry.no_audio,
        PacketKind::Subtitles => !carry.no_subtitles,
        _ => false,
    });
    let mut options_of_sink = output_options(args, &video);
    options_of_sink.packet_streams = streams.iter().map(|(_, stream)| stream.clone()).collect();
    let sink = open_sink(&args.output.output, &options_of_sink)?;
    let (side_data, told) = mpsc::channel();
    let presentation = Presentation::new(told, &video, streams);

    let started = Instant::now();
    let bar = progress::bar(total, quiet);
    let (decoder, frames) = pipeline::decoder(&bundle, &video, &options)?;
    let feeding = Feeding {
        input,
        range,
        decoder,
        keep_going: !args.strict,
        side_data,
    };
    let (losses, feed) = decode(feeding, frames, sink, presentation, &bar)?;
    bar.finish_and_clear();
    feed.damage.iter().for_each(|damage| tracing::error!("{damage}"));
    let output = &args.output.output;
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
    let filled = if totals.concealed > 0 { filling } else { 0 };
    run.estimated_mem_bytes = Some(planned.estimate + filled);
    run.log();
    if let Some(path) = &args.loss_report {
        let head = LossReportHead {
            input: &args.input,
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
            input: &args.input,
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

/// What the command ends with. Damage beside lost chunks, and frames that are left out, weigh more than an end that is cut
/// off, and that weighs more than what could be concealed.
fn exit(feed: Option<Exit>, totals: &FrameTotals, allow_conceal: bool) -> Exit {
    match feed {
        Some(exit) if exit != Exit::Truncated => exit,
        _ if totals.left_out > 0 => Exit::Damaged,
        Some(exit) => exit,
        None if totals.concealed + totals.affected > 0 && !allow_conceal => Exit::Concealed,
        None => Exit::Success,
    }
}

/// The frames that the command line asks for.
pub fn range(args: &RangeArgs, rate: Rational) -> std::ops::Range<u64> {
    let start = args.start.map_or(0, |start| start.frames_at(rate));
    start
        ..args
            .frames
            .map_or(u64::MAX, |frames| start.saturating_add(frames))
}

/// What feeds the decoder.
struct Feeding {
    input: Input,
    range: std::ops::Range<u64>,
    decoder: pipeline::ChunkInput,
    keep_going: bool,
    side_data: mpsc::Sender<presentation::SideData>,
}

/// Feeds the decoder on a thread of its own, writes here.
fn decode(
    feeding: Feeding,
    frames: pipeline::Output<DecodedFrame>,
    mut sink: Box<dyn FrameSink>,
    mut presentation: Presentation,
    bar: &ProgressBar,
) -> anyhow::Result<(Losses, Feed)> {
    let range = feeding.range.clone();
    // Where a stream is joined in the middle, what came before is not lost.
    let mut losses = Losses::new((!feeding.input.joining).then_some(range.start));
    // Not a scoped thread: when writing fails, nobody waits for an input that may never come.
    let feeding = std::thread::spawn(move || {
        feed(
            feeding.input,
            feeding.range,
            feeding.decoder,
            feeding.keep_going,
            &feeding.side_data,
        )
    });
    for decoded in frames {
        let DecodedFrame {
            index: PixelFrames(index),
            fidelity,
            frame,
        } = match decoded {
            Ok(decoded) => decoded,
            // When reading went wrong, the decoder only knows that nothing more came.
            Err(error) => return joined(feeding.join(), "reading").and(Err(error.into())),
        };
        if range.contains(&index) {
            let time = presentation.time(index);
            for (stream, packet) in presentation.packets(Some(time)) {
                sink.write_packet(stream, packet)?;
            }
            sink.write_frame(frame, time)?;
            losses.take(index, fidelity);
            bar.inc(1);
        }
        if index.saturating_add(1) >= range.end {
            break;
        }
    }
    let feed = joined(feeding.join(), "reading")?;
    if losses.totals().written() == 0 {
        let message = match range.start {
            0 => "the stream has no frames",
            _ => "the start point lies after the end of the stream",
        };
        return Err(UsageError(message.to_owned()).into());
    }
    // Where frames were left out at the end, sound ends with the last one.
    let end = (range.end < u64::MAX).then(|| presentation.end());
    for (stream, packet) in presentation.packets(end) {
        sink.write_packet(stream, packet)?;
    }
    sink.finish()?;
    losses.end(feed.end.min(range.end));
    Ok((losses, feed))
}

/// What the header says about the output.
fn output_options(args: &DecodeArgs, video: &VideoStream) -> OutputOptions {
    let still = video.frame_count == Some(PixelFrames(1));
    let frame_rate = match video.frame_rate {
        // A rate only matters where a picture is written as a video.
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
    args.sink
        .options(info)
        .with_times(video.time_base, video.frame_duration)
        .with_threads(args.model.threads)
}
