//! How close frames are to those of a reference: PSNR of R, G, B and of luma, SSIM, MS-SSIM.
//!
//! All look at R, G and B rounded to 8 bits, as a viewer would get them.

mod ssim;

use crate::error::Result;
use crate::frame::Frame;
use ssim::Plane;

/// The highest PSNR that is reported, in dB; frames that are equal have it.
pub const MAX_PSNR: f64 = 100.0;

/// Weights of R, G and B in luma by BT.709, and the range of luma in video (16 to 235) over that of R, G and B.
const LUMA: [f32; 3] = [0.2126, 0.7152, 0.0722];
const LUMA_RANGE: f32 = 219.0 / 255.0;

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Quality {
    /// Peak signal-to-noise ratio in dB of the mean squared error of R, G and B over all frames, at most [`MAX_PSNR`].
    pub psnr: f64,
    /// The same of luma (BT.709, 16 to 235), which is what video codecs are mostly compared by: as ffmpeg's filter `psnr`
    /// prints it for `y`, but without the rounding of luma.
    pub psnr_y: f64,
    /// Mean over frames of the structural similarity (Gaussian window of 11 pixels, σ 1.5), at most 1; none for frames
    /// of less than 11 pixels a side.
    pub ssim: Option<f64>,
    /// Mean over frames of the multi-scale SSIM (5 scales), 0 to 1; none for frames of less than 176 pixels a side.
    pub ms_ssim: Option<f64>,
}

/// Compares frames one pair after the other.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    frames: u64,
    squares: f64,
    values: u64,
    luma_squares: f64,
    pixels: u64,
    ssim: f64,
    /// Frames that were large enough for `ssim`.
    ssim_frames: u64,
    ms_ssim: f64,
    ms_ssim_frames: u64,
}

impl Meter {
    /// Takes in a frame and what it should be, and tells the quality of this one.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if they are of different sizes.
    pub fn add(&mut self, reference: &Frame, frame: &Frame) -> Result<Quality> {
        reference.check_size(reference.width, reference.height)?;
        frame.check_size(reference.width, reference.height)?;
        let pairs: [_; 3] = std::array::from_fn(|c| [Plane::of(reference, c), Plane::of(frame, c)]);
        let (mut ssim, mut ms_ssim) = (Some(0.0), Some(0.0));
        let mut squares = 0.0;
        let mut luma = vec![0.0; reference.width * reference.height];
        for ([a, b], weight) in pairs.iter().zip(LUMA) {
            for ((a, b), luma) in a.values.iter().zip(&b.values).zip(&mut luma) {
                let error = a - b;
                squares += f64::from(error).powi(2);
                *luma += error * weight * LUMA_RANGE;
            }
            let add = |sum: Option<f64>, value: Option<f64>| Some(sum? + value? / 3.0);
            let scales = ssim::scales(a, b);
            ssim = add(ssim, scales.first().map(ssim::Scale::ssim));
            ms_ssim = add(ms_ssim, ssim::multi_scale(&scales));
        }
        let one = Self {
            frames: 1,
            squares,
            values: reference.data.len() as u64,
            luma_squares: luma.iter().map(|error| f64::from(*error).powi(2)).sum(),
            pixels: luma.len() as u64,
            ssim: ssim.unwrap_or(0.0),
            ssim_frames: ssim.is_some().into(),
            ms_ssim: ms_ssim.unwrap_or(0.0),
            ms_ssim_frames: ms_ssim.is_some().into(),
        };
        self.join(&one);
        Ok(one.all())
    }

    fn join(&mut self, other: &Self) {
        self.frames += other.frames;
        self.squares += other.squares;
        self.values += other.values;
        self.luma_squares += other.luma_squares;
        self.pixels += other.pixels;
        self.ssim += other.ssim;
        self.ssim_frames += other.ssim_frames;
        self.ms_ssim += other.ms_ssim;
        self.ms_ssim_frames += other.ms_ssim_frames;
    }

    /// Pairs so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// The quality of all pairs so far; none before the first.
    #[must_use]
    pub fn quality(&self) -> Option<Quality> {
        (self.frames > 0).then(|| self.all())
    }

    fn all(&self) -> Quality {
        let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
        let psnr = |error: Option<f64>| error.map_or(MAX_PSNR, |error| (-10.0 * error.log10()).min(MAX_PSNR));
        Quality {
            psnr: psnr(mean(self.squares, self.values)),
            psnr_y: psnr(mean(self.luma_squares, self.pixels)),
            ssim: mean(self.ssim, self.ssim_frames),
            ms_ssim: mean(self.ms_ssim, self.ms_ssim_frames),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: usize, height: usize, value: impl Fn(usize, usize, usize) -> f32) -> Frame {
        let value = &value;
        let rows =
            (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| value(x, y, c))));
        Frame {
            width,
            height,
            data: rows.collect(),
        }
    }

    /// Bytes, so that other programs can make the same picture.
    fn pattern(x: usize, y: usize, c: usize) -> f32 {
        ((x * 7 + y * 13 + x * y / 5 + c * 40) % 256) as f32 / 255.0
    }

    fn disturbed(x: usize, y: usize, c: usize) -> f32 {
        let noise = (x * 31 + y * 17 + c * 7) % 23;
        ((pattern(x, y, c) * 255.0).round() as usize * 9 / 10 + noise) as f32 / 255.0
    }

    // scikit-image 0.26 (`structural_similarity` with `gaussian_weights=True, sigma=1.5, use_sample_covariance=False`)
    // and pytorch-msssim 1.0 (`ms_ssim`) on the same two pictures.
    const GOLDEN_PSNR: f64 = 27.981_506_9;
    const GOLDEN_SSIM: f64 = 0.988_389_36;
    const GOLDEN_MS_SSIM: f64 = 0.995_248_14;

    fn compare(reference: &Frame, other: &Frame) -> Quality {
        let mut meter = Meter::default();
        meter.add(reference, other).unwrap();
        meter.quality().unwrap()
    }

    #[test]
    fn equal_frames() {
        let reference = frame(192, 180, pattern);
        let quality = compare(&reference, &reference);
        assert_eq!((quality.psnr, quality.psnr_y), (MAX_PSNR, MAX_PSNR));
        assert!((quality.ssim.unwrap() - 1.0).abs() < 1e-6 && (quality.ms_ssim.unwrap() - 1.0).abs() < 1e-6);
        assert_eq!(Meter::default().quality(), None);
    }

    #[test]
    fn flat_frames_follow_the_formula() {
        let (a, b) = (51.0 / 255.0, 102.0 / 255.0);
        let quality = compare(&frame(16, 16, |_, _, _| a), &frame(16, 16, |_, _, _| b));
        let (a, b) = (f64::from(a), f64::from(b));
        let expected = (2.0 * a * b + 1e-4) / (a * a + b * b + 1e-4);
        // Of flat planes the variance is the difference of two equal sums, so all of it is rounding.
        assert!(
            (quality.ssim.unwrap() - expected).abs() < 1e-4,
            "{quality:?} {expected}"
        );
        assert!((quality.psnr - -20.0 * (b - a).log10()).abs() < 1e-4);
        // Gray has the same error in luma, in a smaller range.
        let range = 20.0 * f64::from(LUMA_RANGE).log10();
        assert!(
            (quality.psnr_y - (quality.psnr - range)).abs() < 1e-4,
            "{quality:?}"
        );
        assert_eq!(quality.ms_ssim, None);
    }

    #[test]
    fn values_agree_with_other_programs() {
        let quality = compare(&frame(192, 176, pattern), &frame(192, 176, disturbed));
        assert!((quality.psnr - GOLDEN_PSNR).abs() < 1e-4, "{quality:?}");
        assert!((quality.ssim.unwrap() - GOLDEN_SSIM).abs() < 1e-5, "{quality:?}");
        assert!(
            (quality.ms_ssim.unwrap() - GOLDEN_MS_SSIM).abs() < 1e-4,
            "{quality:?}"
        );
    }

    #[test]
    fn several_frames_are_averaged() {
        let black = frame(4, 4, |_, _, _| 0.0);
        let mut meter = Meter::default();
        let first = meter.add(&black, &black).unwrap();
        let second = meter.add(&black, &frame(4, 4, |_, _, _| 1.0)).unwrap();
        assert_eq!(first.psnr, MAX_PSNR);
        assert!(second.psnr.abs() < 1e-6);
        let quality = meter.quality().unwrap();
        assert!((quality.psnr - 3.0103).abs() < 1e-3);
        assert_eq!((quality.ssim, quality.ms_ssim, meter.frames()), (None, None, 2));
        assert!(meter.add(&black, &frame(4, 5, |_, _, _| 0.0)).is_err());
    }
}
