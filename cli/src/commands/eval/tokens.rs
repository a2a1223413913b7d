//! `latentbit eval` of a .lbit file: its tokens, and the VAE alone.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use latentbit_codec::bundle::Halves;
use latentbit_codec::metrics::{Meter, Quality};
use latentbit_codec::pipeline::{self, FrameInput, KeyFrames, Options};
use latentbit_codec::{Bundle, Frame};
use latentbit_container::{ReadMode, VideoStream};
use serde::Serialize;

use super::{EvalArgs, ends_early, other_size, table};
use crate::exit::{Exit, usage};
use crate::report::{self, BundleReport, QualityReport, bits_per_pixel};
use crate::streaming::chunk_feed::feed;
use crate::streaming::lbit_input;
use crate::streaming::threads::joined;
use crate::{model, progress};
use latentbit_media::open_source;

#[derive(Debug, Serialize)]
struct TokensReport<'a> {
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
    vae: Option<QualityReport>,
}

pub(super) fn run(args: &EvalArgs, quiet: bool) -> anyhow::Result<Exit> {
    let input = lbit_input::open(&args.file, ReadMode::Strict)?;
    let video = input.video.clone();
    let bundle = model::load(&args.model, Halves::Both)?;
    model::check(&bundle, &video, &input.place)?;
    lbit_input::check_bits(args.bits, &video)?;
    let bits = args.bits.unwrap_or(video.bits);
    let mut source = open_source(&args.reference, &args.source.input_options(args.model.threads))?;
    let info = source.info();
    if (info.width, info.height) != (video.width, video.height) {
        let (size, found) = ((info.width, info.height), (video.width, video.height));
        return other_size(&args.reference, size, &args.file, found);
    }
    let known = lbit_input::known(&args.file, &input);
    let bar = progress::bar(known.frames, quiet);
    // Groups as the file has them; without an index, as the encoder makes them by default.
    let (chunks_per_group, key_frames) = match known.index {
        Some(index) => (0, KeyFrames::At(index.key_frames())),
        None => (pipeline::DEFAULT_CHUNKS_PER_GROUP, KeyFrames::AtCuts),
    };
    let options = Options {
        threads: args.model.threads,
        kept_bits: args.bits,
        chunks_per_group,
        key_frames,
        ..Options::default()
    };

    let bytes = input.bytes.clone();
    let (decoder, decoded) = pipeline::decoder(&bundle, &video, &options)?;
    // Times and packets are of no interest here.
    let (side_data, _) = mpsc::channel();
    let feeding = std::thread::spawn(move || feed(input, 0..u64::MAX, decoder, false, &side_data));
    let mut alone = match args.no_vae {
        true => None,
        false => Some(Alone::start(&bundle, &video, &options)?),
    };

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
            return ends_early(&args.reference, tokens.frames(), &args.file);
        };
        tokens.add(&reference, &frame.frame)?;
        alone = alone.map(|alone| alone.push(reference)).transpose()?;
        bar.inc(1);
    }
    joined(feeding.join(), "reading")?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    let vae = alone.map(Alone::finish).transpose()?;
    bar.finish_and_clear();
    if source.next_frame()?.is_some() {
        tracing::warn!("{} goes on after the last frame of {}", args.reference, args.file);
    }
    let Some(tokens_quality) = tokens.quality() else {
        return usage(format!("{} has no frames", args.file));
    };
    let frames = tokens.frames();
    let bytes = bytes.load(Ordering::Relaxed);
    let report = TokensReport {
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
        vae: vae.flatten().map(Into::into),
    };
    if args.json {
        report::print(&report, false)?;
    } else {
        report::print_text(&text(&report))?;
    }
    Ok(Exit::Success)
}

/// The VAE without quantization, on threads of its own.
struct Alone {
    input: FrameInput,
    references: mpsc::Sender<Frame>,
    measuring: JoinHandle<anyhow::Result<Option<Quality>>>,
}

impl Alone {
    fn start(bundle: &Arc<Bundle>, video: &VideoStream, options: &Options) -> anyhow::Result<Self> {
        let (input, output) = pipeline::vae_only(bundle, &video.into(), options)?;
        let (references, for_vae) = mpsc::channel();
        Ok(Self {
            input,
            references,
            measuring: std::thread::spawn(move || measure(output, &for_vae)),
        })
    }

    fn push(mut self, reference: Frame) -> anyhow::Result<Self> {
        if let Err(error) = self.input.push(&reference) {
            // The measuring thread has heard what ended the VAE's pipeline.
            drop(self.references);
            return joined(self.measuring.join(), "measuring").and(Err(error.into()));
        }
        // The measuring thread only goes away with an error, which `finish` tells.
        let _ = self.references.send(reference);
        Ok(self)
    }

    fn finish(self) -> anyhow::Result<Option<Quality>> {
        self.input.flush()?;
        drop(self.references);
        joined(self.measuring.join(), "measuring")
    }
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

fn text(r: &TokensReport<'_>) -> String {
    let tokens = Some((format!("tokens of {} bits", r.bits), &r.tokens));
    let vae = r.vae.as_ref().map(|vae| ("VAE, not quantized".to_owned(), vae));
    let rows = table(tokens.into_iter().chain(vae));
    format!(
        "{}: {} frames, {:.4} bits per pixel\n{rows}",
        r.file, r.frames, r.bpp
    )
}
