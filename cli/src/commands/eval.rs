//! `latentbit eval`.

use std::sync::atomic::Ordering;
use std::sync::mpsc;

use latentbit_codec::Frame;
use latentbit_codec::metrics::{Meter, Quality};
use latentbit_codec::pipeline::{self, Options};
use latentbit_container::{PixelFrames, ReadMode};
use serde::Serialize;

use crate::args::EvalArgs;
use crate::chunk_feed::feed;
use crate::exit::{Exit, usage};
use crate::join::joined;
use crate::lbit_input::{self, Index};
use crate::media::open_source;
use crate::model;
use crate::progress;
use crate::report::{self, BundleReport, QualityReport, bits_per_pixel};

#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    reference: &'a str,
    file: &'a str,
    width: u32,
    height: u32,
    frames: u64,
    bytes: u64,
    bits: u8,
    bpp: f64,
    bundle: BundleReport,
    tokens: QualityReport,
    vae: QualityReport,
}

/// Runs the command.
pub fn run(args: &EvalArgs, quiet: bool) -> anyhow::Result<Exit> {
    if args.reference == "-" && args.file == "-" {
        return usage("only one of reference and file can be stdin");
    }
    let input = lbit_input::open(&args.file, ReadMode::Strict)?;
    let video = input.video.clone();
    let bundle = model::load(&args.model)?;
    model::check(&bundle, &video, &input.place)?;
    lbit_input::check_bits(args.bits, &video)?;
    let bits = args.bits.unwrap_or(video.bits);
    let mut source = open_source(&args.reference, &args.source.input_options(args.model.threads))?;
    let info = source.info();
    if (info.width, info.height) != (video.width, video.height) {
        return usage(format!(
            "{} has pictures of {}x{}, {} of {}x{}; compare it with the video that it was made of",
            args.reference, info.width, info.height, args.file, video.width, video.height
        ));
    }
    let index = lbit_input::index(&args.file, input.stream);
    let total = index
        .as_ref()
        .and_then(Index::frame_count)
        .or(video.frame_count.map(PixelFrames::into));
    let bar = progress::bar(total, quiet);
    // Groups as the file has them; without an index, as the encoder makes them by default.
    let options = Options {
        threads: args.model.threads,
        kept_bits: args.bits,
        chunks_per_group: index
            .and_then(|index| index.chunks_per_group())
            .unwrap_or(pipeline::DEFAULT_CHUNKS_PER_GROUP),
    };

    let bytes = input.bytes.clone();
    let (decoder, decoded) = pipeline::decoder(&bundle, &video, &options)?;
    // Times and packets are of no interest here.
    let (along, _) = mpsc::channel();
    let feeding = std::thread::spawn(move || feed(input, 0..u64::MAX, decoder, false, |_| (), &along));
    let (mut vae_input, vae_output) = pipeline::vae_only(&bundle, &video, &options)?;
    let (references, for_vae) = mpsc::channel::<Frame>();
    let measuring = std::thread::spawn(move || measure(vae_output, &for_vae));

    let mut tokens = Meter::default();
    let mut failed = None;
    for frame in decoded {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        let Some(reference) = source.next_frame()? else {
            return usage(format!(
                "{} ends after {} frames, {} goes on; compare it with the video that it was made of",
                args.reference,
                tokens.frames(),
                args.file
            ));
        };
        tokens.add(&reference, &frame)?;
        if let Err(error) = vae_input.push(&reference) {
            // The measuring thread has heard what ended the VAE's pipeline.
            drop(references);
            return joined(measuring.join(), "measuring").and(Err(error.into()));
        }
        // The measuring thread only goes away with an error, which it tells below.
        let _ = references.send(reference);
        bar.inc(1);
    }
    joined(feeding.join(), "reading")?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    vae_input.flush()?;
    drop(references);
    let vae = joined(measuring.join(), "measuring")?;
    bar.finish_and_clear();
    if source.next_frame()?.is_some() {
        tracing::warn!("{} goes on after the last frame of {}", args.reference, args.file);
    }
    let (Some(tokens_quality), Some(vae_quality)) = (tokens.quality(), vae) else {
        return usage(format!("{} has no frames", args.file));
    };
    let frames = tokens.frames();
    let bytes = bytes.load(Ordering::Relaxed);
    let report = Report {
        schema: "latentbit.eval/1",
        reference: &args.reference,
        file: &args.file,
        width: video.width,
        height: video.height,
        frames,
        bytes,
        bits,
        bpp: bits_per_pixel(bytes, frames, video.width, video.height),
        bundle: (&bundle.id).into(),
        tokens: tokens_quality.into(),
        vae: vae_quality.into(),
    };
    if args.json {
        report::print(&report, false)?;
    } else {
        report::print_text(&text(&report))?;
    }
    Ok(Exit::Success)
}

/// Compares what comes out of the VAE alone with what went in.
fn measure(
    output: pipeline::Output<Frame>,
    references: &mpsc::Receiver<Frame>,
) -> anyhow::Result<Option<Quality>> {
    let mut meter = Meter::default();
    for frame in output {
        let frame = frame?;
        let Ok(reference) = references.recv() else { break };
        meter.add(&reference, &frame)?;
    }
    Ok(meter.quality())
}

fn text(r: &Report<'_>) -> String {
    let row = |label: &str, q: &QualityReport| {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4}"));
        format!(
            "{label:<22}{:>9.2} {:>8} {:>8}",
            q.psnr,
            number(q.ssim),
            number(q.ms_ssim)
        )
    };
    [
        format!("{}: {} frames, {:.4} bits per pixel", r.file, r.frames, r.bpp),
        format!("{:<22}{:>9} {:>8} {:>8}", "", "PSNR dB", "SSIM", "MS-SSIM"),
        row(&format!("tokens of {} bits", r.bits), &r.tokens),
        row("VAE, not quantized", &r.vae),
    ]
    .join("\n")
}
