//! Convolution as products of shifted views.
//!
//! A tile of input, zeros around it included, is copied into a buffer that stays in cache. With the channels last, the
//! `kw` taps of one output position are contiguous there, so each (time, row) pair of taps is one product with a matrix
//! whose rows overlap. Rows of the tile follow each other without a gap: the products also compute the positions between
//! two rows, which are dropped.

use rayon::prelude::*;

use super::gemm::{View, gemm};
use super::rows_per_task;
use super::simd::vectorize;
use crate::kernels::ConvSpec;

/// Output columns of a tile, at most.
const TILE_COLUMNS: usize = 64;
/// Output positions of a tile, about.
const TILE: usize = 320;

/// What a convolution reads.
pub(in crate::kernels) struct ConvOperands<'a> {
    /// (T, H, W, inputs).
    pub(in crate::kernels) x: &'a [f32],
    /// T, H, W.
    pub(in crate::kernels) input: [usize; 3],
    /// Whole frames that go before `x`.
    pub(in crate::kernels) history: &'a [f32],
    /// (taps · inputs, phases · outputs).
    pub(in crate::kernels) weight: &'a [f32],
    pub(in crate::kernels) bias: &'a [f32],
    /// Of the output's shape.
    pub(in crate::kernels) residual: Option<&'a [f32]>,
}

impl<'a> ConvOperands<'a> {
    fn frame_len(&self, spec: &ConvSpec) -> usize {
        self.input[1] * self.input[2] * spec.inputs
    }

    /// Input frame `index - lead`; none if it is zero.
    fn frame(&self, spec: &ConvSpec, index: usize) -> Option<&'a [f32]> {
        let len = self.frame_len(spec);
        let known = self.history.len() / len;
        let (frames, index) = match index.checked_sub(spec.lead()) {
            Some(index) => (self.x, index),
            None => (self.history, (index + known).checked_sub(spec.lead())?),
        };
        frames.get(index * len..(index + 1) * len)
    }
}

/// Buffers of one task.
#[derive(Default)]
struct Scratch {
    tile: Vec<f32>,
    sums: Vec<f32>,
}

pub(in crate::kernels) fn conv(spec: &ConvSpec, operands: &ConvOperands<'_>, out: &mut [f32]) {
    let [_, height, width] = spec.output(operands.input);
    let row = width * spec.outputs;
    if out.is_empty() || operands.x.is_empty() {
        return;
    }
    let most = (TILE / width.min(TILE_COLUMNS)).max(1);
    let total = out.len() / (height * row);
    let rows = rows_per_task(total * height * width, most * width)
        .div_ceil(width)
        .min(most);
    let frames = out.par_chunks_mut(height * row).enumerate();
    let tasks = frames.flat_map(|(frame, out)| {
        let bands = out.par_chunks_mut(rows * row).enumerate();
        bands.map(move |(band, out)| (frame, band * rows, out))
    });
    tasks.for_each_init(Scratch::default, |scratch, (frame, top, out)| {
        let band = Band {
            spec,
            operands,
            frame,
            top,
            width,
            rows: out.len() / row,
        };
        if spec.kernel[1] == 1 && spec.kernel[2] == 1 && spec.stride_space == 1 && !spec.upsample {
            band.pointwise(out);
        } else {
            for left in (0..width).step_by(TILE_COLUMNS) {
                band.tile(scratch, left, (width - left).min(TILE_COLUMNS), out);
            }
        }
    });
}

/// Some whole rows of one output frame.
struct Band<'a> {
    spec: &'a ConvSpec,
    operands: &'a ConvOperands<'a>,
    frame: usize,
    top: usize,
    /// Columns of the output.
    width: usize,
    rows: usize,
}

impl Band<'_> {
    /// The input frames that count, and which temporal tap each meets.
    fn taps(&self) -> impl Iterator<Item = (usize, &[f32])> {
        let first = self.frame / self.spec.phases * self.spec.stride_time;
        (0..self.spec.kernel[0]).filter_map(move |dt| Some((dt, self.operands.frame(self.spec, first + dt)?)))
    }

    /// The weights of temporal tap `dt`, row `dh` and all columns.
    fn weight(&self, dt: usize, dh: usize) -> View<'_> {
        let spec = self.spec;
        let [_, kh, kw] = spec.kernel;
        let outputs = spec.phases * spec.outputs;
        let phase = self.frame % spec.phases;
        let start = (dt * kh + dh) * kw * spec.inputs * outputs + phase * spec.outputs;
        View::rows(&self.operands.weight[start..], outputs)
    }

    fn bias(&self) -> &[f32] {
        let start = self.frame % self.spec.phases * self.spec.outputs;
        &self.operands.bias[start..start + self.spec.outputs]
    }

    /// Where this band begins in the output.
    fn start(&self) -> usize {
        let height = self.spec.output(self.operands.input)[1];
        (self.frame * height + self.top) * self.width * self.spec.outputs
    }

    /// A convolution in time only, straight from the input.
    fn pointwise(&self, out: &mut [f32]) {
        let (inputs, outputs) = (self.spec.inputs, self.spec.outputs);
        let positions = self.rows * self.width;
        let mut accumulate = false;
        for (dt, frame) in self.taps() {
            let x = View::rows(&frame[self.top * self.width * inputs..], inputs);
            gemm(
                [positions, outputs, inputs],
                x,
                self.weight(dt, 0),
                out,
                outputs,
                accumulate,
            );
            accumulate = true;
        }
        let residual = self.operands.residual.map(|r| &r[self.start()..]);
        vectorize(
            #[inline(always)]
            || {
                for out in out.chunks_exact_mut(outputs) {
                    out.iter_mut().zip(self.bias()).for_each(|(o, b)| *o += b);
                }
                if let Some(residual) = residual {
                    out.iter_mut().zip(residual).for_each(|(o, r)| *o += r);
                }
            },
        );
    }

    fn tile(&self, scratch: &mut Scratch, left: usize, columns: usize, out: &mut [f32]) {
        let spec = self.spec;
        let stride = spec.stride_space;
        let [_, kh, kw] = spec.kernel;
        let tile_rows = (self.rows - 1) * stride + kh;
        let tile_columns = ((columns - 1) * stride + kw).next_multiple_of(stride);
        // Rows of the tile are grouped by their place in a stride, so that those under one tap follow each other.
        let group = tile_rows.div_ceil(stride);
        let tile_row = tile_columns * spec.inputs;
        let place = |row: usize| (row % stride * group + row / stride) * tile_row;
        scratch.tile.resize(group * stride * tile_row, 0.0);
        let pitch = tile_columns / stride;
        let positions = (self.rows - 1) * pitch + columns;
        scratch.sums.resize(positions * spec.outputs, 0.0);

        let mut accumulate = false;
        for (dt, frame) in self.taps() {
            for row in 0..tile_rows {
                let into = &mut scratch.tile[place(row)..][..tile_row];
                self.copy_row(frame, self.top * stride + row, left * stride, into);
            }
            for dh in 0..kh {
                let x = View::rows(&scratch.tile[place(dh)..], stride * spec.inputs);
                let shape = [positions, spec.outputs, kw * spec.inputs];
                gemm(
                    shape,
                    x,
                    self.weight(dt, dh),
                    &mut scratch.sums,
                    spec.outputs,
                    accumulate,
                );
                accumulate = true;
            }
        }
        let sums = &scratch.sums;
        vectorize(
            #[inline(always)]
            || self.finish(sums, pitch, left, columns, out),
        );
    }

    /// A row of padded input, from padded column `left` on.
    fn copy_row(&self, frame: &[f32], row: usize, left: usize, into: &mut [f32]) {
        let c = self.spec.inputs;
        let [_, height, width] = self.spec.source(self.operands.input);
        let [pad_top, pad_left] = self.spec.pad();
        let Some(y) = row.checked_sub(pad_top).filter(|&y| y < height) else {
            into.fill(0.0);
            return;
        };
        let columns = into.len() / c;
        let zeros = pad_left.saturating_sub(left).min(columns);
        let start = (left + zeros).saturating_sub(pad_left);
        let count = width.saturating_sub(start).min(columns - zeros);
        let (before, rest) = into.split_at_mut(zeros * c);
        let (inside, after) = rest.split_at_mut(count * c);
        before.fill(0.0);
        after.fill(0.0);
        if self.spec.upsample {
            let row = &frame[y / 2 * (width / 2) * c..][..width / 2 * c];
            for (x, pixel) in inside.chunks_exact_mut(c).enumerate() {
                let source = (start + x) / 2 * c;
                pixel.copy_from_slice(&row[source..source + c]);
            }
        } else {
            let source = (y * width + start) * c;
            inside.copy_from_slice(&frame[source..source + count * c]);
        }
    }

    #[inline(always)]
    fn finish(&self, sums: &[f32], pitch: usize, left: usize, columns: usize, out: &mut [f32]) {
        let outputs = self.spec.outputs;
        let bias = self.bias();
        for row in 0..self.rows {
            let sums = sums[row * pitch * outputs..].chunks_exact(outputs);
            let at = (row * self.width + left) * outputs;
            let out = out[at..at + columns * outputs].chunks_exact_mut(outputs);
            if let Some(residual) = self.operands.residual {
                let residual = residual[self.start() + at..].chunks_exact(outputs);
                for ((out, sums), residual) in out.zip(sums).zip(residual) {
                    for (((o, s), b), r) in out.iter_mut().zip(sums).zip(bias).zip(residual) {
                        *o = s + b + r;
                    }
                }
            } else {
                for (out, sums) in out.zip(sums) {
                    for ((o, s), b) in out.iter_mut().zip(sums).zip(bias) {
                        *o = s + b;
                    }
                }
            }
        }
    }
}
