//! The convolution that the vendor computes in place of one whose input is doubled.
//!
//! Where the input is doubled in space, the four outputs that a position becomes meet sums of weights at a few positions
//! of the input as it is. These are so many more channels of one convolution without doubling.

use super::Gpu;
use crate::kernels::spec::ConvSpec;

/// The convolution that is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Folded {
    /// Extents along time, height and width.
    pub(super) kernel: [usize; 3],
    /// Rows, then columns: where the outputs of either place begin, for a doubled input.
    pub(super) first: [[usize; 2]; 2],
    /// Channels of one phase and place, with zeros behind them.
    pub(super) block: usize,
    pub(super) blocks: usize,
}

impl Folded {
    pub(super) fn new(gpu: &Gpu, spec: &ConvSpec) -> Self {
        let mut kernel = spec.kernel;
        let mut first = [[0; 2]; 2];
        if spec.upsample {
            for axis in [1, 2] {
                let last = spec.kernel[axis] - 1;
                first[axis - 1] = [0, 1].map(|place| spec.doubled(axis, place, 0));
                let side = |place: usize| spec.doubled(axis, place, last) - first[axis - 1][place] + 1;
                kernel[axis] = side(0).max(side(1));
            }
        }
        Self {
            kernel,
            first,
            block: gpu.position(spec.outputs),
            blocks: spec.phases * spec.zoom() * spec.zoom(),
        }
    }

    /// The weight (blocks · block, extents, inputs with zeros behind them).
    pub(super) fn weight(&self, spec: &ConvSpec, inputs: usize, weight: &[f32]) -> Vec<f32> {
        let zoom = spec.zoom();
        let [kt, kh, kw] = spec.kernel;
        let [_, rows, columns] = self.kernel;
        let taps = self.kernel.iter().product::<usize>();
        let mut folded = vec![0.0; self.blocks * self.block * taps * inputs];
        for block in 0..self.blocks {
            let (phase, places) = (block / (zoom * zoom), [block / zoom % zoom, block % zoom]);
            let side = |axis: usize, tap: usize| match spec.upsample {
                true => spec.doubled(axis, places[axis - 1], tap) - self.first[axis - 1][places[axis - 1]],
                false => tap,
            };
            for output in 0..spec.outputs {
                let from = (phase * spec.outputs + output) * spec.inputs * kt * kh * kw;
                let to = (block * self.block + output) * taps * inputs;
                for tap in 0..kt * kh * kw {
                    let (t, y, x) = (tap / (kh * kw), side(1, tap / kw % kh), side(2, tap % kw));
                    let to = to + ((t * rows + y) * columns + x) * inputs;
                    for input in 0..spec.inputs {
                        folded[to + input] += weight[from + input * kt * kh * kw + tap];
                    }
                }
            }
        }
        folded
    }
}
