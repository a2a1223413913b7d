//! `latentbit latents decode`.

use std::time::Instant;

use clap::Args;
use latentbit_codec::bundle::Halves;
use latentbit_codec::pipeline::{self, Geometry, LatentChunk, LatentInput, Options, Work};
use latentbit_codec::{Bundle, Volume};
use latentbit_container::{PixelFrames, Rational};
use serde::Serialize;

use crate::args::headings;
use crate::args::{MemoryArgs, ModelArgs, OutputArgs, SinkArgs};
use crate::exit::{Exit, usage};
use crate::latents::{LATENTS, Scale, Scaling, TensorFile};
use crate::overwrite::{self, Decision};
use crate::report::{self, RunReport};
use crate::streaming::memory;
use crate::streaming::threads::{joined, start};
use crate::{model, progress};
use latentbit_media::{MediaError, MediaErrorKind, MediaKind, VideoInfo, open_sink};

/// Options of `latents decode`.
#[derive(Debug, Args)]
pub struct LatentsDecodeArgs {
    /// File of safetensors with a tensor `latents` [1, C, T, H, W] of f32, f16 or bf16.
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub sink: SinkArgs,

    /// Scale of the latents; what the file says of itself by default, or else raw.
    #[arg(long, value_name = "SCALE", value_enum)]
    pub scale: Option<Scale>,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct LatentsDecodeReport<'a> {
    schema: &'static str,
    input: &'a str,
    output: &'a str,
    #[serde(flatten)]
    run: RunReport,
}

/// Runs the command.
pub fn run(args: &LatentsDecodeArgs, quiet: bool) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let file = TensorFile::open(&args.input)?;
    let bundle = model::load(&args.model, Halves::Decoder)?;
    let (geometry, frames) = geometry(&args.input, &file, &bundle)?;
    let scale = match (args.scale, &file.about) {
        (Some(scale), _) => scale,
        (None, Some(about)) => about.scale,
        (None, None) => Scale::Raw,
    };
    let scaling = Scaling::new(bundle.vae.config(), scale);
    let known = file.about.as_ref().map(|about| about.frame_rate);
    let known = known.filter(|[num, den]| *num > 0 && *den > 0);
    let rate = known.map_or(Rational { num: 25, den: 1 }, |[num, den]| Rational { num, den });
    let task = memory::Task {
        bundle: &bundle,
        geometry: &geometry,
        work: Work::DecodeLatents,
        frames: Some(frames),
        where_lost: 0,
    };
    let planned = memory::plan(&args.memory, &task, quiet)?;
    let mut info = VideoInfo::new(geometry.width, geometry.height, rate);
    info.frame_count = Some(frames);
    if frames == 1 {
        info.kind = MediaKind::StillImage;
    }
    let options = args.sink.options(info).with_threads(args.model.threads);
    let mut sink = open_sink(&args.output.output, &options)?;

    let started = Instant::now();
    let bar = progress::bar(Some(frames), quiet);
    let pipeline_options = Options::default()
        .decoder_plan(Some(planned.plan))
        .threads(args.model.threads);
    let (input, pictures) = pipeline::latent_decoder(&bundle, &geometry, &pipeline_options)?;
    let reading = start("feed", move || read(file, input, &scaling, &geometry, frames))?;
    let mut written = 0;
    for frame in pictures {
        let frame = match frame {
            Ok(frame) => frame,
            // If reading failed, the pipeline only knows that nothing more came.
            Err(error) => return joined(reading.join(), "reading").and(Err(error.into())),
        };
        sink.write_frame(frame, written * i64::from(options.frame_duration))?;
        written += 1;
        bar.inc(1);
    }
    joined(reading.join(), "reading")?;
    sink.finish()?;
    bar.finish_and_clear();
    let size = [geometry.width, geometry.height];
    let mut run = RunReport::new(&bundle, size, written as u64, started, Vec::new());
    run.estimated_mem_bytes = Some(planned.estimate);
    run.log();
    if args.json {
        let report = LatentsDecodeReport {
            schema: "latentbit.latents.decode/1",
            input: &args.input,
            output: &args.output.output,
            run,
        };
        report::print(&report, args.output.output == "-")?;
    }
    Ok(Exit::Success)
}

/// The sizes of the video, and how many frames it has: what the file says, or what its sides say.
fn geometry(place: &str, file: &TensorFile, bundle: &Bundle) -> anyhow::Result<(Geometry, u64)> {
    let invalid = |message: String| MediaError::new(MediaErrorKind::Invalid, place, message);
    if file.key != LATENTS {
        return Err(invalid(format!("expected a tensor '{LATENTS}', found '{}'", file.key)).into());
    }
    let channels = bundle.vae.latent_channels();
    if file.channels != channels {
        return usage(format!(
            "{place}: has {} channels, but latents of the model {:?} have {channels}; give the model that made them \
             with --model",
            file.channels, bundle.id.name
        ));
    }
    let [time, rows, columns] = bundle.vae.strides();
    let most = (file.frames - 1)
        .checked_mul(time as u64)
        .and_then(|n| n.checked_add(1));
    let most = most.ok_or_else(|| invalid(format!("has {} latent frames", file.frames)))?;
    let side = |n: usize, stride: usize| n.checked_mul(stride).and_then(|n| u32::try_from(n).ok());
    let (Some(height), Some(width)) = (side(file.height, rows), side(file.width, columns)) else {
        return Err(invalid(format!("has sides of {:?}", file.shape())).into());
    };
    let whole = Geometry::new(bundle, width, height);
    let Some(about) = &file.about else {
        return Ok((whole, most));
    };
    let geometry = whole.with_size(about.width, about.height);
    let least = most.saturating_sub(time as u64 - 1).max(1);
    if geometry.latent_size() != whole.latent_size() || !(least..=most).contains(&about.frames) {
        return Err(invalid(format!(
            "says that it stands for {} frames of {}x{} pixels, which do not fit its sides {:?}",
            about.frames,
            about.width,
            about.height,
            file.shape()
        ))
        .into());
    }
    if about.model_sha256 != bundle.id.sha256_hex() {
        tracing::warn!(
            "{place}: made with the model {:?} (SHA-256 {}), which is not the one that is used, {:?} (SHA-256 {})",
            about.model,
            about.model_sha256,
            bundle.id.name,
            bundle.id.sha256_hex()
        );
    }
    Ok((geometry, about.frames))
}

/// Pushes all latents.
fn read(
    mut file: TensorFile,
    mut input: LatentInput,
    scaling: &Scaling,
    geometry: &Geometry,
    frames: u64,
) -> anyhow::Result<()> {
    let (time_stride, at_once) = (geometry.strides[0] as u64, geometry.chunk_latent_frames.into());
    let mut first_frame = 0;
    let mut values = Vec::new();
    for (sequence, index) in (0..file.frames).step_by(at_once).enumerate() {
        let steps = (file.frames - index).min(at_once as u64);
        let mut latents = Vec::with_capacity(steps as usize * file.height * file.width * file.channels);
        for step in index..index + steps {
            file.frame(step, &mut values)?;
            latents.extend_from_slice(&values);
        }
        scaling.inward(&mut latents);
        let last = (index + steps - 1) * time_stride + 1;
        let count = last.min(frames) - first_frame;
        let shape = [steps as usize, file.height, file.width, file.channels];
        let latent = Volume::new(&shape, latents)?;
        let pushed = input.push(LatentChunk::new(
            sequence as u64,
            PixelFrames(first_frame),
            PixelFrames(count),
            index == 0,
            latent,
        ));
        match pushed {
            // The receiver of the frames knows why.
            Err(latentbit_codec::Error::Closed) => return Ok(()),
            pushed => pushed?,
        }
        first_frame += count;
    }
    match input.flush() {
        Err(latentbit_codec::Error::Closed) => Ok(()),
        flushed => Ok(flushed?),
    }
}
