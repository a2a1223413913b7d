//! One channel of a frame, and the filters that the metrics need.

use crate::frame::Frame;

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
