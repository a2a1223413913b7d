//! Structural similarity (Wang, Bovik, Sheikh, Simoncelli 2004) and its multi-scale form (Wang, Simoncelli, Bovik 2003).

use crate::frame::Frame;

const WINDOW: usize = 11;
const SIGMA: f64 = 1.5;
/// (0.01 · L)² and (0.03 · L)² for values in 0…1.
const C1: f32 = 1e-4;
const C2: f32 = 9e-4;
/// The exponents of the scales, finest first.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// Similarity at one scale.
pub(super) struct Scale {
    ssim: f64,
    /// Contrast and structure alone.
    contrast: f64,
}

impl Scale {
    pub(super) fn ssim(&self) -> f64 {
        self.ssim
    }
}

/// Similarity at each scale: all five of planes that are large enough for them, the first of smaller ones, none of
/// planes smaller than a window.
pub(super) fn scales(a: &Plane, b: &Plane) -> Vec<Scale> {
    let window = gaussian();
    let mut pair = [a.clone(), b.clone()];
    let count = match a.min_side() {
        side if side >= WINDOW << (WEIGHTS.len() - 1) => WEIGHTS.len(),
        side => usize::from(side >= WINDOW),
    };
    let mut scales = Vec::with_capacity(count);
    for index in 0..count {
        if index > 0 {
            pair = pair.map(|plane| plane.halved());
        }
        scales.push(compare(&pair[0], &pair[1], &window));
    }
    scales
}

/// The product over scales; none unless there are all.
pub(super) fn multi_scale(scales: &[Scale]) -> Option<f64> {
    if scales.len() < WEIGHTS.len() {
        return None;
    }
    let last = scales.len() - 1;
    let factor = |(index, (scale, weight)): (usize, (&Scale, &f64))| {
        let value = if index == last { scale.ssim } else { scale.contrast };
        value.max(0.0).powf(*weight)
    };
    Some(scales.iter().zip(&WEIGHTS).enumerate().map(factor).product())
}

fn gaussian() -> [f32; WINDOW] {
    let weight = |i: usize| (-((i as f64 - (WINDOW / 2) as f64) / SIGMA).powi(2) / 2.0).exp();
    let sum: f64 = (0..WINDOW).map(weight).sum();
    std::array::from_fn(|i| (weight(i) / sum) as f32)
}

fn compare(a: &Plane, b: &Plane, window: &[f32]) -> Scale {
    let [mean_a, mean_b] = [a, b].map(|plane| plane.filter(window));
    let moment = |x: &Plane, y: &Plane| x.combine(y, |x, y| x * y).filter(window);
    let (aa, bb, ab) = (moment(a, a), moment(b, b), moment(a, b));
    let spread = aa.combine(&bb, |aa, bb| aa + bb);
    let means = mean_a.combine(&mean_b, |a, b| a * b);
    let squares = mean_a.combine(&mean_b, |a, b| a * a + b * b);
    let covariance = ab.combine(&means, |ab, means| ab - means);
    let variance = spread.combine(&squares, |spread, squares| spread - squares);
    let contrast = covariance.combine(&variance, |c, v| (2.0 * c + C2) / (v + C2));
    let luminance = means.combine(&squares, |m, s| (2.0 * m + C1) / (s + C1));
    Scale {
        ssim: luminance.combine(&contrast, |l, c| l * c).mean(),
        contrast: contrast.mean(),
    }
}

/// One channel, rounded to steps of 1/255.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<f32>,
}

impl Plane {
    pub(super) fn of(frame: &Frame, channel: usize) -> Self {
        let values = frame.data.iter().skip(channel).step_by(3);
        Self {
            width: frame.width,
            height: frame.height,
            values: values
                // As files are written: half up, after rounding to f32.
                .map(|v| (v.clamp(0.0, 1.0) * 255.0 + 0.5).floor() / 255.0)
                .collect(),
        }
    }

    pub(super) fn min_side(&self) -> usize {
        self.width.min(self.height)
    }

    /// `f` of the values of two planes of one size.
    pub(super) fn combine(&self, other: &Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let values = self.values.iter().zip(&other.values);
        Self {
            values: values.map(|(&a, &b)| f(a, b)).collect(),
            ..*self
        }
    }

    /// Weighted means over windows that lie within the plane; it must be as large as the window.
    pub(super) fn filter(&self, window: &[f32]) -> Self {
        let (width, height) = (self.width + 1 - window.len(), self.height + 1 - window.len());
        let mut rows = Vec::with_capacity(width * self.height);
        for row in self.values.chunks_exact(self.width) {
            let means = row.windows(window.len());
            rows.extend(means.map(|values| values.iter().zip(window).map(|(v, w)| v * w).sum::<f32>()));
        }
        let mut values = vec![0.0; width * height];
        for (y, out) in values.chunks_exact_mut(width).enumerate() {
            for (row, weight) in rows[y * width..].chunks_exact(width).zip(window) {
                out.iter_mut().zip(row).for_each(|(o, v)| *o += v * weight);
            }
        }
        Self {
            width,
            height,
            values,
        }
    }

    /// Half the size: means of squares of four; an odd last row or column is left out.
    pub(super) fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut values = Vec::with_capacity(width * height);
        for rows in self.values.chunks_exact(self.width * 2).take(height) {
            let (upper, lower) = rows.split_at(self.width);
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            values.extend(pairs.map(|([a, b], [c, d])| (a + b + c + d) / 4.0));
        }
        Self {
            width,
            height,
            values,
        }
    }

    pub(super) fn mean(&self) -> f64 {
        self.values.iter().map(|&v| f64::from(v)).sum::<f64>() / self.values.len() as f64
    }
}
