//! Measures the quality of a finished clip.

use latentbit_media::text_of;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use latentbit_codec::metrics::Meter;
use latentbit_codec::{Bundle, Frame};
use latentbit_container::{ReadMode, VideoStream};

use crate::streaming::decoding::{Decoding, Shown};
use crate::streaming::lbit_input::{self, WantedFrames};
use latentbit_media::{FrameSource, MediaError, Resize, png};

/// Long side of each picture in a report, in pixels.
const LONG_SIDE: u32 = 320;

/// The quality of a clip.
#[derive(Debug)]
pub struct Measured {
    /// Of all its frames, in dB.
    pub psnr: f64,
    /// The frame with the lowest PSNR as PNG: the original beside the decoded one.
    pub picture: Vec<u8>,
}

/// Decodes `lbit` within `memory` bytes, and compares it with `source`, from which it was made.
pub fn measure(
    bundle: &Arc<Bundle>,
    lbit: &Path,
    source: &mut dyn FrameSource,
    threads: usize,
    memory: Option<u64>,
) -> anyhow::Result<Measured> {
    let place = text_of(lbit);
    let input = lbit_input::open(&place, ReadMode::Strict)?;
    let mut decoding = Decoding::new(bundle, input, WantedFrames::default(), Vec::new())?;
    decoding.options.threads = threads;
    decoding.limit_memory(memory.map(|memory| memory.saturating_sub(compared(decoding.video()))))?;
    let mut meter = Meter::default();
    let mut worst: Option<(f64, [Frame; 2])> = None;
    decoding.run(|shown| {
        let Shown::Frame { frame, .. } = shown else {
            return Ok(ControlFlow::Continue(()));
        };
        let Some(reference) = source.next_frame()? else {
            return Ok(ControlFlow::Break(()));
        };
        meter.add(&reference, &frame)?;
        let error = squares(&reference, &frame);
        if worst.as_ref().is_none_or(|(known, _)| error > *known) {
            worst = Some((error, [reference, frame]));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    match (meter.quality(), worst) {
        (Some(quality), Some((_, frames))) => Ok(Measured {
            psnr: quality.psnr,
            picture: side_by_side(&frames)?,
        }),
        _ => anyhow::bail!("{place}: there is no frame to measure"),
    }
}

/// Bytes of the frames that comparing takes: those at hand and the worst, and on either side of them those that the metrics
/// make of them.
fn compared(video: &VideoStream) -> u64 {
    const FRAMES: u64 = 8;
    const PIXEL: u64 = 12;
    FRAMES * PIXEL * u64::from(video.width) * u64::from(video.height)
}

fn squares(a: &Frame, b: &Frame) -> f64 {
    let differences = a.data.iter().zip(&b.data).map(|(a, b)| f64::from(a - b).powi(2));
    differences.sum()
}

fn side_by_side(frames: &[Frame; 2]) -> Result<Vec<u8>, MediaError> {
    let [left, right] = frames.each_ref().map(|frame| {
        let (width, height) = (frame.width as u32, frame.height as u32);
        let side = |shown: bool| shown.then_some(LONG_SIDE);
        match width.max(height) > LONG_SIDE {
            true => Resize::To([side(width >= height), side(width < height)]).picture(frame),
            false => frame.clone(),
        }
    });
    let line = left.width * 3;
    let rows = left.data.chunks_exact(line).zip(right.data.chunks_exact(line));
    png(&Frame {
        width: 2 * left.width,
        height: left.height,
        data: rows
            .flat_map(|(left, right)| [left, right])
            .flatten()
            .copied()
            .collect(),
    })
}
