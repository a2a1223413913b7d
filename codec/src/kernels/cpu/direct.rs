//! Convolution as sums over taps: each tap is a segment of one product whose rows are positions of the operand.

use rayon::prelude::*;

use super::finish::{Finish, Place};
use super::micro::{Product, product};
use super::operand::Operand;
use super::scratch::{Scratch, at_least, with_scratch};
use super::words::{Format, PANEL, Packed};
use crate::kernels::spec::ConvSpec;

/// Output positions of a task, at most.
const POSITIONS: usize = 64;

/// Where a tap reads, from the bordered position of an output on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tap {
    frame: usize,
    row: usize,
    column: usize,
}

/// How many columns come before those that are computed, in the operand and among the outputs.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kernels) struct Shift {
    pub(in crate::kernels) operand: usize,
    pub(in crate::kernels) output: usize,
}

/// Outputs with weights of their own: those of one phase in time and, where the input is doubled, one of the four
/// places that a value is repeated to. Repeated values meet sums of weights there, so that they are read only once.
struct Phase {
    /// Among the output frames of a step in time, and the rows and columns of an input position.
    place: [usize; 3],
    /// Ordered by frame.
    taps: Vec<Tap>,
    weight: Packed,
}

pub(in crate::kernels) struct Direct {
    format: Format,
    spec: ConvSpec,
    phases: Vec<Phase>,
}

impl Direct {
    /// From a weight (phases · outputs, inputs, extents), or none.
    pub(in crate::kernels) fn new(format: Format, spec: &ConvSpec, weight: &[f32]) -> Self {
        let mut phases = Vec::new();
        for time in 0..spec.phases {
            for row in 0..spec.zoom() {
                for column in 0..spec.zoom() {
                    let place = [time, row, column];
                    phases.push(Phase::new(format, spec, weight, place));
                }
            }
        }
        Self {
            format,
            spec: *spec,
            phases,
        }
    }

    pub(in crate::kernels) fn run(
        &self,
        operand: &Operand,
        missing: usize,
        output: [usize; 3],
        bias: &[f32],
        finish: &Finish<'_>,
        shift: Shift,
    ) {
        let spec = &self.spec;
        let zoom = spec.zoom();
        let [frames, rows, columns] = [output[0] / spec.phases, output[1] / zoom, output[2] / zoom];
        let blocks = columns.div_ceil(POSITIONS);
        let tasks = frames * self.phases.len() * rows * blocks;
        (0..tasks).into_par_iter().for_each(|task| {
            let (rest, block) = (task / blocks, task % blocks);
            let (rest, row) = (rest / rows, rest % rows);
            let (frame, phase) = (rest / self.phases.len(), rest % self.phases.len());
            let phase = &self.phases[phase];
            let first = columns * block / blocks;
            let count = columns * (block + 1) / blocks - first;
            let bias = &bias[phase.place[0] * spec.outputs..][..spec.outputs];
            let place = Place {
                frame: frame * spec.phases + phase.place[0],
                row: row * zoom + phase.place[1],
                column: shift.output + first * zoom + phase.place[2],
                step: zoom,
            };
            with_scratch(|scratch| {
                let stride = phase.weight.panels * PANEL;
                let from = [
                    frame * spec.stride_time,
                    row * spec.stride_space,
                    shift.operand + first * spec.stride_space,
                ];
                self.product(phase, operand, missing, from, count, scratch);
                let Scratch { sums, spare, .. } = scratch;
                let spare = at_least(spare, spec.outputs);
                // SAFETY: tasks have outputs of their own.
                unsafe { finish.run(&mut sums[..count * stride], stride, bias, place, spare) }
            });
        });
    }

    /// The sums of `count` positions, from the bordered position `from` on.
    fn product(
        &self,
        phase: &Phase,
        operand: &Operand,
        missing: usize,
        [frame, row, column]: [usize; 3],
        count: usize,
        scratch: &mut Scratch,
    ) {
        let layout = operand.layout();
        let sums = &mut scratch.sums;
        // Taps on frames that are not there come first.
        let skipped = phase.taps.partition_point(|tap| frame + tap.frame < missing);
        let segment = |tap: &Tap| {
            &operand.frame(frame + tap.frame)[layout.bordered(row + tap.row, column + tap.column)..]
        };
        let segments: Vec<&[u32]> = phase.taps[skipped..].iter().map(segment).collect();
        let stride = phase.weight.panels * PANEL;
        product(
            self.format.kind,
            self.format.dtype,
            Product {
                segments: &segments,
                a_stride: layout.position * self.spec.stride_space,
                steps: layout.position,
                b: &phase.weight.words[skipped * layout.position * PANEL..],
                b_stride: phase.weight.stride,
                c: at_least(sums, count * stride),
                c_stride: stride,
                rows: count,
                panels: phase.weight.panels,
                accumulate: false,
            },
        );
    }
}

impl Phase {
    fn new(format: Format, spec: &ConvSpec, weight: &[f32], place: [usize; 3]) -> Self {
        // Which taps of the kernel meet which place of the input.
        let [kt, kh, kw] = spec.kernel;
        let mut meetings = Vec::new();
        for tap in 0..kt * kh * kw {
            let (frame, row, column) = (tap / (kh * kw), tap / kw % kh, tap % kw);
            let source = |axis: usize, tap: usize| {
                if spec.upsample {
                    spec.doubled(axis, place[axis], tap)
                } else {
                    tap
                }
            };
            let at = Tap {
                frame,
                row: source(1, row),
                column: source(2, column),
            };
            meetings.push((at, tap));
        }
        let mut taps: Vec<Tap> = meetings.iter().map(|(at, _)| *at).collect();
        taps.sort_unstable();
        taps.dedup();
        let met: Vec<Vec<usize>> = taps
            .iter()
            .map(|at| {
                meetings
                    .iter()
                    .filter(|(other, _)| other == at)
                    .map(|(_, tap)| *tap)
                    .collect()
            })
            .collect();
        let extents = kt * kh * kw;
        let first = place[0] * spec.outputs;
        let shape = [taps.len(), format.words(spec.inputs), spec.outputs];
        let packed = if weight.is_empty() {
            Packed::default()
        } else {
            Packed::new(format, shape, |segment, input, output| {
                if input >= spec.inputs {
                    return 0.0;
                }
                let at = ((first + output) * spec.inputs + input) * extents;
                met[segment].iter().map(|tap| weight[at + tap]).sum()
            })
        };
        Self {
            place,
            taps,
            weight: packed,
        }
    }
}
