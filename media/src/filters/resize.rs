//! Another size of the picture.

use crate::error::MediaError;
use crate::options::reduced;
use crate::video::{Extras, FrameSource, MAX_SIDE, VideoInfo, check_size};
use latentbit_codec::Frame;
use latentbit_container::Rational;
use std::str::FromStr;

/// The size to bring pictures to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// Pixels of the short side; the other one follows.
    Short(u32),
    /// Width and height in pixels; none for a side that keeps the shape of the picture.
    To([Option<u32>; 2]),
}

impl FromStr for Resize {
    type Err = String;

    /// Reads `256` for the short side, `W:H`, and `W:-1` or `-1:H` for a side that follows the other one.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "'{text}' is not a size; write the pixels of the short side (256), W:H, or -1 for a side that follows"
            )
        };
        let side = |text: &str| match text.parse::<u32>() {
            Ok(side) if (1..=MAX_SIDE).contains(&side) => Some(side),
            _ => None,
        };
        let Some((width, height)) = text.split_once(':') else {
            return side(text).map(Self::Short).ok_or_else(wrong);
        };
        let given = |text: &str| match text {
            "-1" => Some(None),
            _ => side(text).map(Some),
        };
        match (given(width), given(height)) {
            (Some(None), Some(None)) | (None, _) | (_, None) => Err(wrong()),
            (Some(width), Some(height)) => Ok(Self::To([width, height])),
        }
    }
}

impl Resize {
    /// The size that pictures of `width` by `height` get.
    fn size(self, width: u32, height: u32) -> [u64; 2] {
        let follow = |side: u32, from: u32, of: u32| {
            let (side, from, of) = (u64::from(side), u64::from(from), u64::from(of));
            ((side * of + from / 2) / from.max(1)).max(1)
        };
        match self {
            Self::Short(side) if width <= height => [side.into(), follow(side, width, height)],
            Self::Short(side) => [follow(side, height, width), side.into()],
            Self::To([Some(w), Some(h)]) => [w.into(), h.into()],
            Self::To([Some(w), None]) => [w.into(), follow(w, width, height)],
            Self::To([None, Some(h)]) => [follow(h, height, width), h.into()],
            Self::To([None, None]) => [width.into(), height.into()],
        }
    }

    /// As a filter of libavfilter.
    pub(super) fn to_graph(self) -> String {
        let side = |side: Option<u32>| side.map_or("-1".to_owned(), |side| side.to_string());
        match self {
            Self::Short(short) => {
                format!("scale=w='if(gt(iw,ih),-1,{short})':h='if(gt(iw,ih),{short},-1)'")
            }
            Self::To([width, height]) => format!("scale={}:{}", side(width), side(height)),
        }
    }

    pub(super) fn open(self, place: &str, source: Box<dyn FrameSource>) -> Result<Resized, MediaError> {
        let mut info = source.info().clone();
        let [width, height] = self.size(info.width, info.height);
        check_size(place, width, height)?;
        let scaler = Scaler::new((info.width as usize, info.height as usize), [width, height]);
        info.pixel_aspect = aspect(&info, width, height);
        (info.width, info.height) = (width as u32, height as u32);
        Ok(Resized { source, info, scaler })
    }

    /// A picture in the new size.
    #[must_use]
    pub fn picture(self, frame: &Frame) -> Frame {
        let to = self.size(frame.width as u32, frame.height as u32);
        Scaler::new((frame.width, frame.height), to).resize(frame)
    }
}

/// The aspect of pixels that keeps the shape of the picture.
fn aspect(info: &VideoInfo, width: u64, height: u64) -> Rational {
    let old = info.pixel_aspect;
    // Rounding a side to whole pixels should not change the aspect.
    let off = |a: u64, b: u64| a.abs_diff(b) * 2 <= u64::from(info.width.max(info.height));
    if off(width * u64::from(info.height), height * u64::from(info.width)) {
        return old;
    }
    let num = u128::from(old.num) * u128::from(info.width) * u128::from(height);
    let den = u128::from(old.den) * u128::from(info.height) * u128::from(width);
    reduced(num, den).unwrap_or(old)
}

/// Which samples of a line make up a sample of the new line, and with which weights.
struct Taps {
    /// The first sample, and the weights from there on.
    lines: Vec<(usize, Vec<f32>)>,
}

/// Keys' cubic with a = -0.5, 0 beyond 2.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

impl Taps {
    /// Bicubic; when shrinking, widened to the size of a new sample, so that nothing aliases.
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let wide = scale.max(1.0);
        let lines = (0..to).map(|index| {
            let center = (index as f64 + 0.5) * scale;
            let first = (center - 2.0 * wide).floor().max(0.0) as usize;
            let last = ((center + 2.0 * wide).ceil() as usize).min(from);
            let weights: Vec<f64> = (first..last)
                .map(|sample| cubic((sample as f64 + 0.5 - center) / wide))
                .collect();
            let sum: f64 = weights.iter().sum();
            (
                first,
                weights.iter().map(|weight| (weight / sum) as f32).collect(),
            )
        });
        Self {
            lines: lines.collect(),
        }
    }
}

/// Gives pictures of another size.
pub struct Resized {
    source: Box<dyn FrameSource>,
    info: VideoInfo,
    scaler: Scaler,
}

/// Brings pictures of one size to another.
struct Scaler {
    columns: Taps,
    rows: Taps,
}

impl Scaler {
    fn new((width, height): (usize, usize), [to_width, to_height]: [u64; 2]) -> Self {
        Self {
            columns: Taps::new(width, to_width as usize),
            rows: Taps::new(height, to_height as usize),
        }
    }

    fn resize(&self, frame: &Frame) -> Frame {
        let (width, height) = (self.columns.lines.len(), self.rows.lines.len());
        let mut narrow = Vec::with_capacity(width * frame.height * 3);
        for row in frame.data.chunks_exact(frame.width * 3) {
            for (first, weights) in &self.columns.lines {
                let mut sum = [0.0f32; 3];
                for (pixel, weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                    for (sum, value) in sum.iter_mut().zip(pixel) {
                        *sum += value * weight;
                    }
                }
                narrow.extend_from_slice(&sum);
            }
        }
        let mut data = vec![0.0f32; width * height * 3];
        let line = width * 3;
        for ((first, weights), out) in self.rows.lines.iter().zip(data.chunks_exact_mut(line)) {
            for (row, weight) in narrow[first * line..].chunks_exact(line).zip(weights) {
                for (out, value) in out.iter_mut().zip(row) {
                    *out += value * weight;
                }
            }
            // The cubic overshoots at edges.
            out.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
        }
        Frame { width, height, data }
    }
}

impl FrameSource for Resized {
    fn info(&self) -> &VideoInfo {
        &self.info
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, MediaError> {
        let frame = self.source.next_frame()?;
        Ok(frame.map(|frame| self.scaler.resize(&frame)))
    }

    fn take_extras(&mut self) -> Extras {
        self.source.take_extras()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Given;

    #[test]
    fn forms() {
        assert_eq!("256".parse(), Ok(Resize::Short(256)));
        assert_eq!("640:360".parse(), Ok(Resize::To([Some(640), Some(360)])));
        assert_eq!("640:-1".parse(), Ok(Resize::To([Some(640), None])));
        for bad in [
            "", "0", "-1", "-1:-1", "640:", "640x360", "99999", "640:-2", "6:4:2",
        ] {
            assert!(bad.parse::<Resize>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, from, to) in [
            ("256", (1920, 1080), [455, 256]),
            ("256", (1080, 1920), [256, 455]),
            ("640:-1", (1920, 1080), [640, 360]),
            ("-1:360", (1920, 1080), [640, 360]),
            ("10:20", (1920, 1080), [10, 20]),
            ("1:-1", (16000, 1), [1, 1]),
        ] {
            let resize: Resize = text.parse().unwrap();
            assert_eq!(resize.size(from.0, from.1), to, "{text}");
        }
    }

    fn resized(text: &str, size: (u32, u32), value: impl Fn(usize, usize) -> f32) -> (Frame, VideoInfo) {
        let source = Given::new(size, (25, 1), []);
        let resize: Resize = text.parse().unwrap();
        let resized = resize.open("a", Box::new(source)).unwrap();
        let (width, height) = (size.0 as usize, size.1 as usize);
        let value = &value;
        let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| [value(x, y); 3]));
        let frame = Frame {
            width,
            height,
            data: data.collect(),
        };
        (resized.scaler.resize(&frame), resized.info)
    }

    #[test]
    fn flat_stays_flat_and_a_slope_stays_a_slope() {
        let (flat, _) = resized("7:5", (16, 9), |_, _| 0.3);
        assert!(flat.data.iter().all(|value| (value - 0.3).abs() < 1e-5));
        let (slope, _) = resized("8:8", (16, 16), |x, _| (x as f32 + 0.5) / 16.0);
        for x in 2..6 {
            let expected = (x as f32 + 0.5) / 8.0;
            assert!((slope.data[x * 3] - expected).abs() < 1e-3, "{x}");
        }
    }

    #[test]
    fn fine_patterns_become_their_mean() {
        let (small, _) = resized("8:8", (64, 64), |x, y| ((x + y) % 2) as f32);
        let inside = small.data[(4 * 8 + 4) * 3];
        assert!((inside - 0.5).abs() < 0.02, "{inside}");
    }

    #[test]
    fn the_shape_is_kept() {
        let aspect = |text, size| {
            let Rational { num, den } = resized(text, size, |_, _| 0.0).1.pixel_aspect;
            (num, den)
        };
        assert_eq!(aspect("20:20", (40, 20)), (2, 1));
        assert_eq!(aspect("10", (33, 17)), (1, 1));
    }
}
