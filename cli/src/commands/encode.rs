//! `latentbit encode`.

use latentbit_media::path_of;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use latentbit_codec::Bundle;
use latentbit_codec::bundle::Halves;
use latentbit_codec::rate::depth_step;
use serde::Serialize;

use crate::args::headings;
use crate::args::{
    CarryArgs, CoderArgs, FilterArgs, GroupArgs, MemoryArgs, ModelArgs, OutputArgs, SourceArgs, bits,
};
use crate::exit::{Exit, message, usage};
use crate::overwrite::{self, Decision};
use crate::report::{self, RunReport, bits_per_pixel};
use crate::several::{self, Job};
use crate::streaming::encoding::{Encoding, describe};
use crate::streaming::memory;
use crate::streaming::rate::RateArgs;
use crate::{interrupt, model, progress};
use latentbit_media::{Damage, open_source};

/// Options of `encode`.
#[derive(Debug, Args)]
pub struct EncodeArgs {
    /// Videos and pictures, or - for stdin. Several go to a folder, each under its own name.
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<String>,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub source: SourceArgs,

    #[command(flatten)]
    pub filters: FilterArgs,

    #[command(flatten)]
    pub carry: CarryArgs,

    /// Keep the same bits of all tokens, the N most important ones, instead of those that each is worth.
    #[arg(help_heading = headings::RATE, long, value_name = "N", value_parser = bits)]
    pub bits: Option<u8>,

    #[command(flatten)]
    pub rate: RateArgs,

    #[command(flatten)]
    pub groups: GroupArgs,

    #[command(flatten)]
    pub coder: CoderArgs,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct EncodeReport<'a> {
    schema: &'static str,
    input: &'a str,
    output: &'a str,
    /// Whether a signal ended the input early.
    interrupted: bool,
    chunks: u64,
    bytes: u64,
    bits: u8,
    mean_depth: f64,
    /// Whether the input ended before the end that it states.
    ended_early: bool,
    /// Packets of the input that were damaged and left out, and frames of which the decoder made up a part.
    damaged_packets: u64,
    damaged_frames: u64,
    /// Bits per pixel of the video, and with the sound, subtitles and attachments beside it.
    bpp: f64,
    file_bpp: f64,
    #[serde(flatten)]
    run: RunReport,
}

/// Extensions of files that `decode` writes, and `encode` does not.
const DECODED: [&str; 18] = [
    "apng",
    "avi",
    "flv",
    "gif",
    "jpeg",
    "jpg",
    "m4v",
    "mkv",
    "mov",
    "mp4",
    "mpg",
    "ogv",
    "png",
    "safetensors",
    "ts",
    "webm",
    "webp",
    "y4m",
];

/// Fails for an output that is named like a video, since it would hold tokens.
fn check_name(output: &str) -> anyhow::Result<()> {
    let path = path_of(output);
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    let device = std::fs::metadata(&path).is_ok_and(|about| !about.is_file());
    match extension.filter(|extension| !device && DECODED.contains(&extension.as_str())) {
        Some(extension) => usage(format!(
            "{output}: encode writes tokens, which no player of .{extension} files reads; name it .lbit, and make a \
             .{extension} of that with latentbit decode"
        )),
        None => Ok(()),
    }
}

/// Runs the command.
pub fn run(args: &EncodeArgs, quiet: bool) -> anyhow::Result<Exit> {
    let jobs = several::jobs(&args.inputs, &args.output, |_| "lbit")?;
    let mut loaded = None;
    several::run_each(&jobs, |job| one(args, job, &mut loaded, quiet))
}

/// Encodes one input, with the model that the one before it loaded.
fn one(
    args: &EncodeArgs,
    job: &Job<'_>,
    loaded: &mut Option<Arc<Bundle>>,
    quiet: bool,
) -> anyhow::Result<Exit> {
    let output = &job.output;
    check_name(&output.output)?;
    if overwrite::check(output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let input_options = args
        .source
        .input_options(args.model.threads)
        .with_filters(args.filters.filters())
        .with_packets(!args.carry.no_audio, !args.carry.no_subtitles);
    let mut source = open_source(job.input, &input_options)?;
    let info = source.info().clone();
    let asked = args.rate.clone().or_default(args.bits);
    let halves = match asked.is_given() {
        true => Halves::Both,
        false => Halves::Encoder,
    };
    let bundle = match loaded.take() {
        Some(bundle) => bundle,
        None => model::load(&args.model, halves)?,
    };
    *loaded = Some(bundle.clone());
    let video = describe(&bundle, &info, args.bits)?;
    let rate = asked.rate(&video, args.bits)?;
    let video = rate.describe(video, &bundle);

    let task = memory::Task {
        bundle: &bundle,
        geometry: &(&video).into(),
        work: rate.work(depth_step(&bundle)),
        frames: info.frame_count,
        where_lost: 0,
    };
    let planned = memory::plan(&args.memory, &task, quiet)?;

    let mut warnings = Vec::new();
    interrupt::listen();
    let started = Instant::now();
    let bar = progress::bar(info.frame_count, quiet);
    let encoding = Encoding {
        bundle: &bundle,
        place: job.input,
        output: &output.output,
        options: args
            .groups
            .options()
            .threads(args.model.threads)
            .encoder_plan(Some(planned.plan)),
        writer_options: args.coder.writer_options(),
        rate,
        limited: args.source.range.frames.is_some(),
    };
    let encoded = encoding.run(source.as_mut(), &video, &|frames| bar.inc(frames))?;
    bar.finish_and_clear();
    let summary = &encoded.summary;
    let totals = summary.totals.first().copied().unwrap_or_default();
    let frames = totals.frames.0;

    let early = interrupt::ended_early();
    if early.is_some() {
        let text = format!("interrupted; the first {frames} frames are in {}", encoded.output);
        tracing::error!("{text}");
        warnings.push(text);
    }
    let exit = match &encoded.fault {
        Some(error) => {
            let exit = Exit::of(error);
            let text = format!(
                "{}; the {} frames before it are in {}",
                message(error),
                frames,
                encoded.output
            );
            tracing::error!("{text}");
            warnings.push(text);
            exit
        }
        None => early.unwrap_or(Exit::Success),
    };
    let Damage {
        packets,
        frames: made_up,
        ..
    } = encoded.damage;
    if packets + made_up > 0 {
        // The reader has told the log.
        warnings.push(format!(
            "{}: {packets} damaged packets were left out, and {made_up} damaged frames were made up in part",
            job.input
        ));
    }
    if let Some(text) = encoded.below_psnr(rate, &output.output) {
        tracing::warn!("{text}");
        warnings.push(text);
    }
    let mut run = RunReport::new(&bundle, [video.width, video.height], frames, started, warnings);
    run.estimated_mem_bytes = Some(planned.estimate);
    run.log();
    let video_bytes = summary.bytes.saturating_sub(encoded.bytes_beside);
    let pixels = frames as f64 * f64::from(video.width) * f64::from(video.height);
    let seconds = match video.frame_rate.num {
        0 => 0.0,
        rate => frames as f64 * f64::from(video.frame_rate.den) / f64::from(rate),
    };
    let file_bpp = bits_per_pixel(summary.bytes, frames, video.width, video.height);
    let reached = asked.reached(summary.bytes, video_bytes as f64 * 8.0, pixels, seconds);
    let text = format!(
        "{}: {frames} frames in {:.1} s, {:.1} frames/s; {} bytes, {file_bpp:.4} bits per pixel{}",
        encoded.output,
        run.seconds,
        run.fps,
        summary.bytes,
        reached.map_or_else(String::new, |reached| format!("; {reached}"))
    );
    progress::summary(&text, quiet);
    if args.json {
        let report = EncodeReport {
            schema: "latentbit.encode/1",
            input: job.input,
            output: &encoded.output,
            interrupted: early.is_some(),
            ended_early: encoded.fault.is_some(),
            damaged_packets: encoded.damage.packets,
            damaged_frames: encoded.damage.frames,
            chunks: totals.chunks,
            bytes: summary.bytes,
            bits: video.bits,
            mean_depth: encoded.mean_depth,
            bpp: bits_per_pixel(video_bytes, frames, video.width, video.height),
            file_bpp,
            run,
        };
        report::print(&report, output.output == "-")?;
    }
    Ok(exit)
}
