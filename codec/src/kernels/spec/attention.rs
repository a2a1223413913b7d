//! Self-attention within windows of a (time, height, width) grid.

use super::Extent;

/// Cosines and sines of the rotary positions along the three axes.
#[derive(Debug)]
pub(crate) struct RotaryTables {
    /// For each axis: how many pairs of a head turn with it, and their cosines and sines at each position.
    pub(in crate::kernels) axes: [(usize, Vec<f32>, Vec<f32>); 3],
}

impl RotaryTables {
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
        }
    }

    /// Writes cosines and sines of all pairs of a head at a position.
    pub(in crate::kernels) fn at(&self, position: [usize; 3], cosines: &mut [f32], sines: &mut [f32]) {
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

/// Which positions see each other.
#[derive(Debug)]
pub(crate) struct AttentionSpec {
    /// Positions along time, height and width.
    pub(crate) grid: [usize; 3],
    /// How many such grids lie one after the other. Above 1 on GPUs only.
    pub(crate) clips: usize,
    pub(crate) heads: usize,
    /// Extents of a window, at most those of the grid, and by how much windows are shifted.
    pub(in crate::kernels) window: [usize; 3],
    pub(in crate::kernels) shift: [usize; 3],
    /// For each axis its runs (start, length); a position sees those of the same three runs.
    runs: [Vec<(usize, usize)>; 3],
}

impl AttentionSpec {
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

    pub(in crate::kernels) fn runs(&self) -> &[Vec<(usize, usize)>; 3] {
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
