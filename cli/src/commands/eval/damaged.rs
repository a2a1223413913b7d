//! `latentbit eval --conceal`: the quality of a damaged .lbit file, by kind of frame.

use std::ops::ControlFlow;

use latentbit_codec::bundle::Halves;
use latentbit_codec::metrics::{Meter, Quality};
use latentbit_codec::pipeline::{Fidelity, Options};
use latentbit_container::ReadMode;
use serde::Serialize;

use super::frames::{Frames, Measured};
use super::{EvalArgs, ends_early, other_size, table};
use crate::exit::{Exit, usage};
use crate::report::{self, BundleReport, QualityReport};
use crate::streaming::decoding::{Decoded, Decoding, Shown, concealment};
use crate::streaming::lbit_input;
use crate::{model, progress};
use latentbit_media::open_source;

#[derive(Debug, Serialize)]
struct ConcealmentReport<'a> {
    schema: &'static str,
    reference: &'a str,
    file: &'a str,
    width: u32,
    height: u32,
    method: &'static str,
    low_delay: bool,
    bundle: BundleReport,
    /// Frames that are as encoded.
    exact: FramesOfKind,
    /// Intact frames after lost ones, up to the next key chunk.
    affected: FramesOfKind,
    /// Frames that were filled in.
    concealed: FramesOfKind,
    /// Lost frames that were not filled in.
    left_out: u64,
}

/// Frames of one kind.
#[derive(Debug, Serialize)]
struct FramesOfKind {
    frames: u64,
    /// None if there are no frames.
    quality: Option<QualityReport>,
}

impl From<&Meter> for FramesOfKind {
    fn from(meter: &Meter) -> Self {
        Self {
            frames: meter.frames(),
            quality: meter.quality().map(|quality: Quality| quality.into()),
        }
    }
}

pub(super) fn run(args: &EvalArgs, quiet: bool) -> anyhow::Result<Exit> {
    let input = lbit_input::open(&args.file, ReadMode::Resync)?;
    let video = input.video.clone();
    let bundle = model::load_for(&args.model, Halves::Both, &video, &input.place)?;
    lbit_input::check_bits(args.bits, &video)?;
    let mut source = open_source(&args.reference, &args.source.input_options(args.model.threads))?;
    let info = source.info();
    if (info.width, info.height) != (video.width, video.height) {
        let (size, found) = ((info.width, info.height), (video.width, video.height));
        return other_size(&args.reference, size, &args.file, found);
    }
    let bar = progress::bar(info.frame_count, quiet);
    let conceal = concealment(&args.conceal, &bundle)?;
    let chunks = input.chunks();
    let mut decoding = Decoding::new(&bundle, input, args.of_file(), Vec::new())?;
    decoding.keep_going = true;
    decoding.options = Options::default()
        .threads(args.model.threads)
        .kept_bits(args.bits)
        .conceal(conceal.clone())
        .low_delay(args.conceal.low_delay);
    let mut each = Frames::open(args, chunks)?;
    let [mut exact, mut affected, mut concealed] = [(); 3].map(|()| Meter::default());
    let mut read = 0;
    let Decoded { losses, feed, .. } = decoding.run(|shown| {
        let Shown::Frame {
            index,
            offset,
            fidelity,
            frame,
            ..
        } = shown
        else {
            return Ok(ControlFlow::Continue(()));
        };
        let mut reference = None;
        while read <= offset {
            reference = source.next_frame()?;
            if reference.is_none() {
                return ends_early(&args.reference, read, &args.file);
            }
            read += 1;
            bar.inc(1);
        }
        let meter = match fidelity {
            Fidelity::Exact => &mut exact,
            Fidelity::Affected => &mut affected,
            Fidelity::Concealed(_) => &mut concealed,
        };
        if let Some(reference) = reference {
            let quality = meter.add(&reference, &frame)?;
            each.add(&Measured {
                frame: offset,
                index: Some(index),
                fidelity: Some(fidelity),
                quality: &quality,
            })?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    bar.finish_and_clear();
    feed.damage.iter().for_each(|damage| tracing::warn!("{damage}"));
    let measured = exact.frames() + affected.frames() + concealed.frames();
    if measured == 0 {
        return usage(format!("{} has no frames", args.file));
    }
    each.finish(&args.file)?;
    let report = ConcealmentReport {
        schema: "latentbit.eval-conceal/1",
        reference: &args.reference,
        file: &args.file,
        width: video.width,
        height: video.height,
        method: conceal.method().map_or("off", |method| method.name()),
        low_delay: args.conceal.low_delay,
        bundle: (&bundle.id).into(),
        exact: (&exact).into(),
        affected: (&affected).into(),
        concealed: (&concealed).into(),
        left_out: losses.totals().left_out,
    };
    if args.json {
        report::print(&report, false)?;
    } else {
        report::print_text(&text(&report))?;
    }
    Ok(Exit::Success)
}

fn text(report: &ConcealmentReport<'_>) -> String {
    let parts = [
        ("exact", &report.exact),
        ("affected", &report.affected),
        ("concealed", &report.concealed),
    ];
    let rows = parts.into_iter().filter_map(|(name, part)| {
        let label = format!("{} frames {name}", part.frames);
        part.quality.as_ref().map(|quality| (label, quality))
    });
    format!("{}: {}\n{}", report.file, report.method, table(rows))
}
