//! Self-attention within windows of a (time, height, width) grid.

use super::cpu::AttentionBuffers;
use super::extent::Extent;
use super::operand::Operand;
use super::{Backend, cpu, cuda};
use crate::error::Result;

/// Cosines and sines of the rotary positions along the three axes.
#[derive(Debug)]
pub(crate) struct Rotary {
    /// For each axis: how many pairs of a head turn with it, and their cosines and sines at each position.
    axes: [(usize, Vec<f32>, Vec<f32>); 3],
    /// The same on a GPU.
    tables: Option<cuda::Tables>,
}

impl Rotary {
    /// Tables for heads of width `head`: a quarter of its pairs turn with time, half of the rest each with row and
    /// column. Pair i of an axis' n turns by position · theta^(-i/n).
    pub(crate) fn new(grid: [usize; 3], head: usize, theta: f64) -> Self {
        let pairs = head / 2;
        let time = pairs / 4;
        let rows = (pairs - time) / 2;
        let counts = [time, rows, pairs - time - rows];
        let axis = |axis: usize| {
            let angles: Vec<f64> = angles(grid[axis], counts[axis], theta).collect();
            let table = |f: fn(f64) -> f64| angles.iter().map(|&angle| f(angle) as f32).collect();
            (counts[axis], table(f64::cos), table(f64::sin))
        };
        Self {
            axes: [axis(0), axis(1), axis(2)],
            tables: None,
        }
    }

    /// The same where operators run.
    pub(crate) fn on(mut self, backend: &Backend) -> Result<Self> {
        if let Backend::Gpu(gpu) = backend {
            self.tables = Some(cuda::Tables::new(gpu, &self.axes)?);
        }
        Ok(self)
    }

    /// Writes cosines and sines of all pairs of a head at a position.
    pub(super) fn at(&self, position: [usize; 3], cosines: &mut [f32], sines: &mut [f32]) {
        let mut start = 0;
        for ((count, cos, sin), p) in self.axes.iter().zip(position) {
            let from = p * count..(p + 1) * count;
            cosines[start..start + count].copy_from_slice(&cos[from.clone()]);
            sines[start..start + count].copy_from_slice(&sin[from]);
            start += count;
        }
    }
}

fn angles(positions: usize, count: usize, theta: f64) -> impl Iterator<Item = f64> {
    (0..positions)
        .flat_map(move |p| (0..count).map(move |i| p as f64 * theta.powf(-(i as f64) / count as f64)))
}

/// Which positions see each other, and how heads turn.
#[derive(Debug)]
pub(crate) struct Attention<'a> {
    /// Positions along time, height and width.
    pub(crate) grid: [usize; 3],
    /// How many such grids lie one after the other. Above 1 on GPUs only.
    pub(crate) clips: usize,
    pub(crate) heads: usize,
    /// Extents of a window, at most those of the grid, and by how much windows are shifted.
    pub(super) window: [usize; 3],
    pub(super) shift: [usize; 3],
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
        let whole = |axis: usize| grid[axis] <= window[axis];
        Self {
            grid,
            clips: 1,
            heads: 1,
            window: std::array::from_fn(|axis| window[axis].min(grid[axis])),
            shift: std::array::from_fn(|axis| if whole(axis) { 0 } else { shift[axis] }),
            runs,
            rotary: None,
        }
    }

    pub(crate) fn heads(mut self, heads: usize, rotary: &'a Rotary) -> Self {
        (self.heads, self.rotary) = (heads, Some(rotary));
        self
    }

    pub(crate) fn clips(self, clips: usize) -> Self {
        Self { clips, ..self }
    }

    /// Makes `operand` one for queries, keys and values of `width` channels each.
    pub(crate) fn shape(&self, backend: &Backend, width: usize, operand: &mut Operand) -> Result<()> {
        let extent = self.extent(width);
        match backend {
            Backend::Cpu(format) => {
                operand.cpu_mut()?.reshape(*format, extent, 0);
                Ok(())
            }
            Backend::Gpu(gpu) => operand.on(gpu)?.reshape(extent),
        }
    }

    pub(crate) fn extent(&self, width: usize) -> Extent {
        let [frames, height, columns] = self.grid;
        Extent {
            frames: frames * self.clips,
            height,
            width: columns,
            channels: 3 * width,
            border: [0; 4],
        }
    }

    /// Queries, keys and values (T, H, W, 3 · width), each of them heads side by side, to an operand of as many
    /// positions of `width` channels without a border. Heads have an even number of channels. What queries and keys are
    /// afterwards is not defined.
    ///
    /// # Panics
    /// If operands are not those of the grid, or there are several grids on the CPU: a mistake of the caller.
    pub(crate) fn run(
        &self,
        backend: &Backend,
        qkv: &mut Operand,
        buffers: &mut AttentionBuffers,
        out: &mut Operand,
    ) -> Result<()> {
        if self.grid.contains(&0) {
            return Ok(());
        }
        match backend {
            Backend::Cpu(format) => {
                assert_eq!(self.clips, 1);
                cpu::attention::run(self, *format, qkv.cpu()?, buffers, out.cpu_mut()?);
                Ok(())
            }
            Backend::Gpu(_) => {
                let tables = self.rotary.and_then(|rotary| rotary.tables.as_ref());
                cuda::attention(self, tables, qkv.gpu_mut()?, out)
            }
        }
    }

    pub(super) fn runs(&self) -> &[Vec<(usize, usize)>; 3] {
        &self.runs
    }
}

/// Bytes that one head of so many channels over each of T frames of (H, W) positions works in.
pub(crate) fn frame_bytes(backend: &Backend, size: [usize; 3], channels: usize) -> u64 {
    match backend {
        Backend::Cpu(format) => 4 * AttentionBuffers::words(*format, size, channels),
        Backend::Gpu(gpu) => cuda::frame_bytes(gpu, [size[1], size[2]], channels),
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
