//! Measures the quality of a finished clip.

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use image::{DynamicImage, ImageFormat, RgbImage, imageops};
use latentbit_codec::metrics::Meter;
use latentbit_codec::{Bundle, Frame};
use latentbit_container::{ReadMode, VideoStream};

use crate::streaming::decoding::{Decoding, Shown};
use crate::streaming::lbit_input::{self, WantedFrames};
use latentbit_media::{FrameSource, MediaError};

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
    let place = lbit.display().to_string();
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
            picture: side_by_side(&frames)
                .map_err(|error| MediaError::io(&place, "draw", std::io::Error::other(error)))?,
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

fn side_by_side(frames: &[Frame; 2]) -> image::ImageResult<Vec<u8>> {
    let small = frames.each_ref().map(|frame| {
        let bytes = frame
            .data
            .iter()
            .map(|value| (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8);
        let (width, height) = (frame.width as u32, frame.height as u32);
        let picture = RgbImage::from_raw(width, height, bytes.collect()).unwrap_or_default();
        let picture = DynamicImage::ImageRgb8(picture);
        match width.max(height) > LONG_SIDE {
            true => picture.thumbnail(LONG_SIDE, LONG_SIDE).into_rgb8(),
            false => picture.into_rgb8(),
        }
    });
    let (width, height) = small[0].dimensions();
    let mut both = RgbImage::new(2 * width, height);
    imageops::replace(&mut both, &small[0], 0, 0);
    imageops::replace(&mut both, &small[1], i64::from(width), 0);
    let mut png = Vec::new();
    both.write_to(&mut Cursor::new(&mut png), ImageFormat::Png)?;
    Ok(png)
}
