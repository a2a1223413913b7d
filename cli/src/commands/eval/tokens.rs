//! `latentbit eval` of a .lbit file: its tokens, and the VAE alone.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use latentbit_codec::bundle::Halves;
use latentbit_codec::metrics::{Meter, Quality};
use latentbit_codec::pipeline::{self, Fidelity, FrameInput, KeyFrames, Options};
use latentbit_codec::{Bundle, Frame};
use latentbit_container::{PixelFrames, ReadMode, VideoStream};
use serde::Serialize;

use super::frames::{Frames, Measured};
use super::{EvalArgs, ends_early, other_size, table};
use crate::exit::{Exit, usage};
use crate::report::{self, BundleReport, QualityReport, beside_pictures, bits_per_pixel};
use crate::streaming::decoding::{Decoding, Shown};
use crate::streaming::lbit_input;
use crate::streaming::threads::{joined, start};
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
    /// Bits per pixel of the video, and of the whole file; none for a part of it.
    bpp: f64,
    file_bpp: Option<f64>,
    bundle: BundleReport,
    tokens: QualityReport,
    vae: Option<QualityReport>,
}

pub(super) fn run(args: &EvalArgs, quiet: bool) -> anyhow::Result<Exit> {
    let input = lbit_input::open(&args.file, ReadMode::Strict)?;
    let video = input.video.clone();
    let bundle = model::load_for(&args.model, Halves::Both, &video, &input.place)?;
    lbit_input::check_bits(args.bits, &video)?;
    let bits = args.bits.unwrap_or(video.bits);
    let mut source = open_source(&args.reference, &args.source.input_options(args.model.threads))?;
    let info = source.info();
    if (info.width, info.height) != (video.width, video.height) {
        let (size, found) = ((info.width, info.height), (video.width, video.height));
        return other_size(&args.reference, size, &args.file, found);
    }
    // Groups as in the file; without an index, the encoder's default.
    let (chunks_per_group, key_frames) = match input.key_frames() {
        Some(keys) => (0, keys),
        None => (pipeline::DEFAULT_CHUNKS_PER_GROUP, Vec::new()),
    };
    let chunks = input.chunks();
    let (read, beside) = (input.bytes.clone(), input.beside.clone());
    let mut decoding = Decoding::new(&bundle, input, args.of_file(), Vec::new())?;
    decoding.options = Options::default()
        .threads(args.model.threads)
        .kept_bits(args.bits)
        .chunks_per_group(chunks_per_group);
    let mut each = Frames::open(args, chunks)?;
    let mut vae_options = decoding.options.clone();
    let bar = progress::bar(decoding.frames(), quiet);
    let chunk_bytes = decoding.chunk_bytes();
    let mut alone = None;
    let mut tokens = Meter::default();
    decoding.run(|shown| {
        let Shown::Frame { index, frame, .. } = shown else {
            return Ok(ControlFlow::Continue(()));
        };
        let Some(reference) = source.next_frame()? else {
            return ends_early(&args.reference, tokens.frames(), &args.file);
        };
        let quality = tokens.add(&reference, &frame)?;
        each.add(&Measured {
            frame: tokens.frames() - 1,
            index: Some(index),
            fidelity: Some(Fidelity::Exact),
            quality: &quality,
        })?;
        if !args.no_vae {
            let begun = match alone.take() {
                Some(alone) => alone,
                None => {
                    // It counts from the first frame compared.
                    vae_options.key_frames = match key_frames.is_empty() {
                        true => KeyFrames::AtCuts,
                        false => KeyFrames::At(counted_from(index, &key_frames)),
                    };
                    Alone::start(&bundle, &video, &vae_options)?
                }
            };
            alone = Some(begun.push(reference)?);
        }
        bar.inc(1);
        Ok(ControlFlow::Continue(()))
    })?;
    let vae = alone.map(Alone::finish).transpose()?;
    bar.finish_and_clear();
    if source.next_frame()?.is_some() {
        tracing::warn!("{} goes on after the last frame of {}", args.reference, args.file);
    }
    let Some(tokens_quality) = tokens.quality() else {
        return usage(format!("{} has no frames", args.file));
    };
    each.finish(&args.file)?;
    let frames = tokens.frames();
    let bytes = chunk_bytes.unwrap_or_else(|| read.load(Ordering::Relaxed));
    let bpp = |bytes| bits_per_pixel(bytes, frames, video.width, video.height);
    let (of_video, of_file) = match chunk_bytes {
        Some(bytes) => (bpp(bytes), None),
        None => {
            let beside = beside.load(Ordering::Relaxed);
            (bpp(bytes.saturating_sub(beside)), Some(bpp(bytes)))
        }
    };
    let report = TokensReport {
        schema: "latentbit.eval/1",
        reference: &args.reference,
        file: &args.file,
        width: video.width,
        height: video.height,
        frames,
        bytes,
        bits,
        bpp: of_video,
        file_bpp: of_file,
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

/// The key frames from frame `first` on, relative to it.
fn counted_from(first: u64, keys: &[PixelFrames]) -> Vec<PixelFrames> {
    let later = keys.iter().filter_map(|key| key.0.checked_sub(first));
    later.map(PixelFrames).collect()
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
            measuring: start("measure", move || measure(output, &for_vae))?,
        })
    }

    fn push(mut self, reference: Frame) -> anyhow::Result<Self> {
        if let Err(error) = self.input.push(&reference) {
            // The measuring thread knows what ended the VAE's pipeline.
            drop(self.references);
            return joined(self.measuring.join(), "measuring").and(Err(error.into()));
        }
        // The measuring thread only ends early with an error, which `finish` returns.
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
    let file = r.file_bpp.filter(|&file| file > r.bpp);
    let file = file.map_or_else(String::new, beside_pictures);
    format!(
        "{}: {} frames, {:.4} bits per pixel{file}\n{rows}",
        r.file, r.frames, r.bpp
    )
}
