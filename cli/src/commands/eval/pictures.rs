//! `latentbit eval` of a video or picture that another codec made.

use latentbit_codec::metrics::Meter;
use latentbit_media::path_of;
use serde::Serialize;

use super::frames::{Frames, Measured};
use super::{EvalArgs, ends_early, other_size, table};
use crate::exit::{Exit, usage};
use crate::progress;
use crate::report::{self, QualityReport, bits_per_pixel};
use latentbit_media::{InputOptions, MediaError, open_source};

#[derive(Debug, Serialize)]
struct PicturesReport<'a> {
    schema: &'static str,
    reference: &'a str,
    file: &'a str,
    width: u32,
    height: u32,
    frames: u64,
    bytes: u64,
    bpp: f64,
    quality: QualityReport,
}

pub(super) fn run(args: &EvalArgs, quiet: bool) -> anyhow::Result<Exit> {
    if args.bits.is_some() {
        return usage(format!("{}: --bits is for .lbit files", args.file));
    }
    let reference_options = args.source.input_options(args.model.threads);
    let options = InputOptions::default()
        .with_threads(args.model.threads)
        .with_start(args.file_start)
        .with_frames(reference_options.frames);
    let mut reference = open_source(&args.reference, &reference_options)?;
    let mut source = open_source(&args.file, &options)?;
    let (size, found) = {
        let (a, b) = (reference.info(), source.info());
        ((a.width, a.height), (b.width, b.height))
    };
    if size != found {
        return other_size(&args.reference, size, &args.file, found);
    }
    let mut each = Frames::open(args, None)?;
    let bar = progress::bar(source.info().frame_count, quiet);
    let mut meter = Meter::default();
    while let Some(frame) = source.next_frame()? {
        let Some(original) = reference.next_frame()? else {
            return ends_early(&args.reference, meter.frames(), &args.file);
        };
        let quality = meter.add(&original, &frame)?;
        each.add(&Measured {
            frame: meter.frames() - 1,
            index: None,
            fidelity: None,
            quality: &quality,
        })?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    if reference.next_frame()?.is_some() {
        tracing::warn!("{} goes on after the last frame of {}", args.reference, args.file);
    }
    let Some(quality) = meter.quality() else {
        return usage(format!("{} has no frames", args.file));
    };
    each.finish(&args.file)?;
    let bytes = std::fs::metadata(path_of(&args.file))
        .map_err(|error| MediaError::io(&args.file, "look at", error))?
        .len();
    let frames = meter.frames();
    let report = PicturesReport {
        schema: "latentbit.eval/1",
        reference: &args.reference,
        file: &args.file,
        width: size.0,
        height: size.1,
        frames,
        bytes,
        bpp: bits_per_pixel(bytes, frames, size.0, size.1),
        quality: quality.into(),
    };
    if args.json {
        report::print(&report, false)?;
    } else {
        let rows = table([(String::new(), &report.quality)]);
        let head = format!("{}: {frames} frames, {:.4} bits per pixel", args.file, report.bpp);
        report::print_text(&format!("{head}\n{rows}"))?;
    }
    Ok(Exit::Success)
}
