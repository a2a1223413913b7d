//! Self-attention within windows of a (time, height, width) grid.

use super::cpu::attention::{AttentionBuffers, attention};
use super::cpu::operand::Operand;
use super::cpu::words::Format;

/// Cosines and sines of the rotary positions along the three axes.
#[derive(Debug)]
pub(crate) struct Rotary {
    /// For each axis: how many pairs of a head turn with it, and (cosine, sine) for each position and pair.
    pub(super) axes: [(usize, Vec<(f32, f32)>); 3],
}

impl Rotary {
    /// Tables for heads of width `head`: a quarter of its pairs turn with time, half of the rest each with row and
    /// column. Pair i of an axis' n turns by position · theta^(-i/n).
    pub(crate) fn new(grid: [usize; 3], head: usize, theta: f64) -> Self {
        let pairs = head / 2;
        let time = pairs / 4;
        let rows = (pairs - time) / 2;
        let counts = [time, rows, pairs - time - rows];
        Self {
            axes: std::array::from_fn(|axis| (counts[axis], table(grid[axis], counts[axis], theta))),
        }
    }
}

fn table(positions: usize, count: usize, theta: f64) -> Vec<(f32, f32)> {
    let frequencies: Vec<f64> = (0..count)
        .map(|i| theta.powf(-(i as f64) / count as f64))
        .collect();
    let angles = (0..positions).flat_map(|p| frequencies.iter().map(move |f| p as f64 * f));
    angles
        .map(|angle| (angle.cos() as f32, angle.sin() as f32))
        .collect()
}

/// Which positions see each other, and how heads turn.
#[derive(Debug)]
pub(crate) struct Attention<'a> {
    /// Positions along time, height and width.
    pub(crate) grid: [usize; 3],
    pub(crate) heads: usize,
    /// For each axis its runs (start, length); a position sees those of the same three runs.
    runs: [Vec<(usize, usize)>; 3],
    pub(crate) rotary: Option<&'a Rotary>,
}

impl<'a> Attention<'a> {
    /// Every position sees every other one of its window.
    ///
    /// Position i of an axis belongs to window (i + window - shift) / window. An axis that one window covers is not
    /// shifted.
    pub(crate) fn windowed(grid: [usize; 3], window: [usize; 3], shift: [usize; 3]) -> Self {
        let runs = std::array::from_fn(|axis| runs(grid[axis], window[axis], shift[axis]));
        Self {
            grid,
            heads: 1,
            runs,
            rotary: None,
        }
    }

    pub(crate) fn heads(mut self, heads: usize, rotary: &'a Rotary) -> Self {
        (self.heads, self.rotary) = (heads, Some(rotary));
        self
    }

    /// (positions, 3 · width) of queries, keys and values, each of them heads side by side, to an operand of as many
    /// positions of `width` channels without a border.
    ///
    /// # Panics
    /// If values or operand are not those of the grid: a mistake of the caller.
    pub(crate) fn run(&self, format: Format, qkv: &[f32], buffers: &mut AttentionBuffers, out: &mut Operand) {
        let positions: usize = self.grid.iter().product();
        if positions == 0 {
            return;
        }
        let width = qkv.len() / (3 * positions);
        assert!(width * 3 * positions == qkv.len() && width.is_multiple_of(self.heads));
        assert_eq!(out.words().len(), positions * format.words(width));
        attention(self, format, qkv, width, buffers, out);
    }

    pub(super) fn runs(&self) -> &[Vec<(usize, usize)>; 3] {
        &self.runs
    }
}

fn runs(length: usize, window: usize, shift: usize) -> Vec<(usize, usize)> {
    if length <= window {
        return vec![(0, length)];
    }
    let mut runs = Vec::new();
    let mut start = 0;
    while start < length {
        let end = ((start + window - shift) / window * window + shift).min(length);
        runs.push((start, end - start));
        start = end;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_the_windows_of_the_formula() {
        for length in 1..40 {
            for window in 1..10 {
                for shift in 0..window {
                    let shift = if length <= window { 0 } else { shift };
                    let mut expected: Vec<(usize, usize)> = Vec::new();
                    let tag = |i: usize| (i + window - shift) / window;
                    for i in 0..length {
                        match expected.last_mut() {
                            Some((start, len)) if tag(*start) == tag(i) => *len += 1,
                            _ => expected.push((i, 1)),
                        }
                    }
                    assert_eq!(runs(length, window, shift), expected, "{length} {window} {shift}");
                }
            }
        }
    }
}
