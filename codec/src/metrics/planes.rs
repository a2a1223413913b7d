//! One channel of a picture, and the windows over it.

/// One channel, row by row.
#[derive(Clone)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<f32>,
}

/// Half the extent of SSIM's window.
const RADIUS: usize = 5;
/// Extent of SSIM's window.
pub(super) const WINDOW: usize = 2 * RADIUS + 1;
const SIGMA: f64 = 1.5;

/// Gaussian weights that sum to one.
fn window() -> [f32; WINDOW] {
    let weight = |i: usize| (-(i as f64 - RADIUS as f64).powi(2) / (2.0 * SIGMA * SIGMA)).exp();
    let sum: f64 = (0..WINDOW).map(weight).sum();
    std::array::from_fn(|i| (weight(i) / sum) as f32)
}

impl Plane {
    /// Value by value of two planes of the same size.
    pub(super) fn zip(&self, other: &Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self {
            data: self
                .data
                .iter()
                .zip(&other.data)
                .map(|(&a, &b)| f(a, b))
                .collect(),
            ..*self
        }
    }

    /// Gaussian means over all windows that lie inside: smaller by 10 both ways.
    pub(super) fn blur(&self) -> Self {
        let weights = window();
        let (width, height) = (self.width + 1 - WINDOW, self.height + 1 - WINDOW);
        let mut rows = vec![0.0; width * self.height];
        for (row, out) in self
            .data
            .chunks_exact(self.width)
            .zip(rows.chunks_exact_mut(width))
        {
            for (tap, weight) in weights.iter().enumerate() {
                for (sum, value) in out.iter_mut().zip(&row[tap..]) {
                    *sum += weight * value;
                }
            }
        }
        let mut data = vec![0.0; width * height];
        for (y, out) in data.chunks_exact_mut(width).enumerate() {
            for (tap, weight) in weights.iter().enumerate() {
                for (sum, value) in out.iter_mut().zip(&rows[(y + tap) * width..]) {
                    *sum += weight * value;
                }
            }
        }
        Self { width, height, data }
    }

    /// Means of 2x2 values; an odd last row or column is left out.
    pub(super) fn halve(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut data = Vec::with_capacity(width * height);
        for rows in self.data.chunks_exact(2 * self.width) {
            let (upper, lower) = rows.split_at(self.width);
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            data.extend(pairs.map(|([a, b], [c, d])| (a + b + c + d) / 4.0));
        }
        Self { width, height, data }
    }
}

impl Plane {
    /// Mean of all values.
    pub(super) fn mean(&self) -> f64 {
        self.data.iter().map(|&v| f64::from(v)).sum::<f64>() / self.data.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_a_slope() {
        let (width, height) = (14, 13);
        let data = (0..width * height)
            .map(|i| (i % width + 2 * (i / width)) as f32)
            .collect();
        let blurred = Plane { width, height, data }.blur();
        assert_eq!((blurred.width, blurred.height), (4, 3));
        for (i, value) in blurred.data.iter().enumerate() {
            let expected = (i % 4 + RADIUS + 2 * (i / 4 + RADIUS)) as f32;
            assert!((value - expected).abs() < 1e-4, "{value} at {i}");
        }
    }

    #[test]
    fn halving_drops_odd_edges() {
        let data = (0..15).map(|v| v as f32).collect();
        let half = Plane {
            width: 5,
            height: 3,
            data,
        }
        .halve();
        assert_eq!((half.width, half.height, &half.data[..]), (2, 1, &[3.0, 5.0][..]));
    }
}
