//! `latentbit latents encode`.

use std::time::Instant;

use clap::Args;
use indicatif::ProgressBar;
use latentbit_codec::bundle::Halves;
use latentbit_codec::pipeline::{self, Geometry, LatentChunk, Options, Output, Work};
use serde::Serialize;

use crate::args::headings;
use crate::args::{MemoryArgs, ModelArgs, OutputArgs, SourceArgs};
use crate::exit::{Exit, message};
use crate::latents::{About, LATENTS, Scale, Scaling};
use crate::overwrite::{self, Decision};
use crate::report::{self, RunReport};
use crate::streaming::frame_feed::feed;
use crate::streaming::memory;
use crate::streaming::threads::{both, joined, start_scoped};
use crate::{interrupt, model, progress};
use latentbit_media::{TensorWriter, open_source};

/// Options of `latents encode`.
#[derive(Debug, Args)]
pub struct LatentsEncodeArgs {
    /// Video or picture, or - for stdin (y4m, PNG, JPEG, or raw video with --raw).
    #[arg(allow_hyphen_values = true)]
    pub input: String,

    #[command(flatten)]
    pub output: OutputArgs,

    #[command(flatten)]
    pub source: SourceArgs,

    /// Scale of the latents: raw, the mean of the VAE's posterior as it is; or normalised by the VAE's mean and standard
    /// deviation, as diffusion models take them.
    #[arg(long, value_name = "SCALE", value_enum, default_value_t = Scale::Raw)]
    pub scale: Scale,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    /// Print a summary as JSON on stdout (on stderr when stdout carries the output).
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct LatentsEncodeReport<'a> {
    schema: &'static str,
    input: &'a str,
    output: &'a str,
    /// Whether a signal ended the input early.
    interrupted: bool,
    shape: [u64; 5],
    latents: &'a About,
    #[serde(flatten)]
    run: RunReport,
}

/// Runs the command.
pub fn run(args: &LatentsEncodeArgs, quiet: bool) -> anyhow::Result<Exit> {
    if overwrite::check(&args.output)? == Decision::Skip {
        return Ok(Exit::Success);
    }
    let mut source = open_source(&args.input, &args.source.input_options(args.model.threads))?;
    let info = source.info().clone();
    let bundle = model::load(&args.model, Halves::Encoder)?;
    let geometry = Geometry::new(&bundle, info.width, info.height);
    let task = memory::Task {
        bundle: &bundle,
        geometry: &geometry,
        work: Work::EncodeLatents,
        frames: info.frame_count,
        where_lost: 0,
    };
    let planned = memory::plan(&args.memory, &task, quiet)?;
    let options = Options::default()
        .encoder_plan(Some(planned.plan))
        .threads(args.model.threads)
        // Readers expect a single group.
        .chunks_per_group(0);
    let scaling = Scaling::new(bundle.vae.config(), args.scale);
    let writer = TensorWriter::new(
        &args.output.output,
        LATENTS,
        bundle.vae.latent_channels(),
        geometry.latent_size(),
    )?;

    interrupt::listen();
    let started = Instant::now();
    let bar = progress::bar(info.frame_count, quiet);
    let (input, latents) = pipeline::latent_encoder(&bundle, &geometry, &options)?;
    let (writer, frames, fault) = std::thread::scope(|scope| -> anyhow::Result<_> {
        let writing = start_scoped(scope, "write", || write(latents, writer, &scaling, &bar))?;
        let reading = feed(&args.input, source.as_mut(), input, |_, _| {});
        let written = joined(writing.join(), "writing");
        let (fault, (writer, frames)) = both(reading, written)?;
        Ok((writer, frames, fault))
    })?;
    bar.finish_and_clear();
    let about = About::new(&bundle, &geometry, args.scale, frames, info.frame_rate);
    let shape = writer.shape();
    let early = interrupt::ended_early();
    let output = writer.finish(
        Some((About::KEY, serde_json::to_string(&about)?)),
        early.is_some(),
    )?;

    let mut warnings = Vec::new();
    if early.is_some() {
        let text = format!("interrupted; the latents of the first {frames} frames are in {output}");
        tracing::error!("{text}");
        warnings.push(text);
    }
    let exit = fault.map_or(early.unwrap_or(Exit::Success), |error| {
        let text = format!(
            "{}; the latents of the {frames} frames before it are in {output}",
            message(&error)
        );
        tracing::error!("{text}");
        warnings.push(text);
        Exit::of(&error)
    });
    let mut run = RunReport::new(&bundle, [info.width, info.height], frames, started, warnings);
    run.estimated_mem_bytes = Some(planned.estimate);
    run.log();
    if args.json {
        let report = LatentsEncodeReport {
            schema: "latentbit.latents.encode/1",
            input: &args.input,
            output: &output,
            interrupted: early.is_some(),
            shape,
            latents: &about,
            run,
        };
        report::print(&report, args.output.output == "-")?;
    }
    Ok(exit)
}

fn write(
    latents: Output<LatentChunk>,
    mut writer: TensorWriter,
    scaling: &Scaling,
    bar: &ProgressBar,
) -> anyhow::Result<(TensorWriter, u64)> {
    let mut frames = 0;
    for chunk in latents {
        let chunk = chunk?;
        let mut values = chunk.latent.into_data();
        scaling.outward(&mut values);
        writer.push(&values)?;
        frames += chunk.frame_count.0;
        bar.inc(chunk.frame_count.0);
    }
    Ok((writer, frames))
}
