//! Shortcuts without weights around the stages of Wan 2.2's VAE.

use rayon::prelude::*;

use super::operand::elsewhere;
use super::values::Values;
use super::{Backend, Input, cuda};
use crate::error::Result;

/// Averages groups of neighbouring values on the way down, or repeats values on the way up.
///
/// The values of a block of (time, height, width) positions are ordered by channel first, then by place in the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShortcutSpec {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// Extents of a block in time and in space.
    pub(super) time: usize,
    pub(super) space: usize,
    pub(super) up: bool,
}

impl ShortcutSpec {
    /// From `inputs` to `outputs` channels of a resolution that is lower by the factors of time and space.
    pub(crate) fn average([inputs, outputs]: [usize; 2], [time, space]: [usize; 2]) -> Self {
        Self {
            inputs,
            outputs,
            time,
            space,
            up: false,
        }
    }

    /// From `inputs` to `outputs` channels of a resolution that is higher by the factors of time and space.
    pub(crate) fn repeat([inputs, outputs]: [usize; 2], [time, space]: [usize; 2]) -> Self {
        Self {
            up: true,
            ..Self::average([inputs, outputs], [time, space])
        }
    }

    /// Values that become of (T, H, W) positions in a step that does not begin a group.
    pub(crate) fn len(&self, input: [usize; 3]) -> usize {
        self.output(false, input).iter().product::<usize>() * self.outputs
    }

    /// (T, H, W) of what becomes of (T, H, W) positions. `first` says whether the step begins a group.
    pub(super) fn output(&self, first: bool, [t, h, w]: [usize; 3]) -> [usize; 3] {
        let (time, space) = (self.time, self.space);
        match (self.up, first) {
            (true, true) => [(t * time).saturating_sub(time - 1), h * space, w * space],
            (true, false) => [t * time, h * space, w * space],
            (false, _) => [t.div_ceil(time), h / space, w / space],
        }
    }

    /// Frames of the input or the output that come before the first one of a group.
    pub(super) fn lead(&self, first: bool, [t, ..]: [usize; 3]) -> usize {
        match (self.up, first) {
            (true, true) => self.time - 1,
            (true, false) => 0,
            (false, _) => t.div_ceil(self.time) * self.time - t,
        }
    }

    /// Writes what becomes of (T, H, W, inputs) values to `out`. `first` says whether the step begins a group: its one
    /// frame is averaged with zeros before it, and repeated in space only.
    ///
    /// # Panics
    /// If there are several clips on the CPU: a mistake of the caller.
    pub(crate) fn run(
        &self,
        backend: &Backend,
        first: bool,
        input: Input,
        values: &Values,
        out: &mut Values,
    ) -> Result<()> {
        match (backend, values) {
            (Backend::Cpu(_), Values::Cpu(values)) => {
                assert_eq!(input.clips, 1);
                self.compute(first, input.size, values, out.cpu_mut()?);
                Ok(())
            }
            (Backend::Gpu(gpu), Values::Gpu(values)) => {
                cuda::shortcut(gpu, self, first, input, values, out.on(gpu)?)
            }
            _ => Err(elsewhere()),
        }
    }

    /// The same on the CPU.
    fn compute(&self, first: bool, input: [usize; 3], values: &[f32], out: &mut Vec<f32>) {
        let Self {
            inputs,
            outputs,
            time,
            space,
            up,
        } = *self;
        let [_, h, w] = input;
        let block = time * space * space;
        let [frames, height, width] = self.output(first, input);
        let row = width * outputs;
        out.resize(frames * height * row, 0.0);
        if row == 0 {
            return;
        }
        let lead = self.lead(first, input);
        let at = |frame: usize, y: usize, x: usize| ((frame * h + y) * w + x) * inputs;
        out.par_chunks_exact_mut(row).enumerate().for_each(|(line, row)| {
            let (frame, y) = (line / height, line % height);
            for (x, into) in row.chunks_exact_mut(outputs).enumerate() {
                if up {
                    let frame = frame + lead;
                    let from = at(frame / time, y / space, x / space);
                    let place = (frame % time * space + y % space) * space + x % space;
                    let repeats = outputs * block / inputs;
                    for (channel, value) in into.iter_mut().enumerate() {
                        *value = values[from + (channel * block + place) / repeats];
                    }
                } else {
                    let group = inputs * block / outputs;
                    for (channel, value) in into.iter_mut().enumerate() {
                        let mut sum = 0.0;
                        for index in channel * group..(channel + 1) * group {
                            let (input, place) = (index / block, index % block);
                            let (dt, dy, dx) =
                                (place / (space * space), place / space % space, place % space);
                            if let Some(frame) = (frame * time + dt).checked_sub(lead) {
                                sum += values[at(frame, y * space + dy, x * space + dx) + input];
                            }
                        }
                        *value = sum / group as f32;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_of_neighbours() {
        // One channel, 2x2 pixels, halved in space: the mean of all four.
        let mut out = Vec::new();
        let halving = ShortcutSpec::average([1, 1], [1, 2]);
        halving.compute(false, [1, 2, 2], &[1.0, 2.0, 3.0, 6.0], &mut out);
        assert_eq!(out, [3.0]);
        // With four outputs each keeps one of the places: rows first.
        ShortcutSpec::average([1, 4], [1, 2]).compute(false, [1, 2, 2], &[1.0, 2.0, 3.0, 6.0], &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0, 6.0]);
    }

    #[test]
    fn a_first_frame_is_averaged_with_zeros() {
        let mut out = Vec::new();
        let halving = ShortcutSpec::average([2, 2], [2, 1]);
        halving.compute(true, [1, 1, 1], &[4.0, 6.0], &mut out);
        assert_eq!(out, [2.0, 3.0]);
        halving.compute(false, [2, 1, 1], &[4.0, 6.0, 0.0, 2.0], &mut out);
        assert_eq!(out, [2.0, 4.0]);
    }

    #[test]
    fn repeats_come_in_blocks() {
        let mut out = Vec::new();
        let doubling = ShortcutSpec::repeat([2, 1], [2, 1]);
        // Two channels become the two frames of one.
        doubling.compute(false, [1, 1, 2], &[1.0, 2.0, 3.0, 4.0], &mut out);
        assert_eq!(out, [1.0, 3.0, 2.0, 4.0]);
        // The first frame of a group is the last one of its block.
        doubling.compute(true, [1, 1, 2], &[1.0, 2.0, 3.0, 4.0], &mut out);
        assert_eq!(out, [2.0, 4.0]);
        ShortcutSpec::repeat([1, 1], [1, 2]).compute(false, [1, 1, 1], &[5.0], &mut out);
        assert_eq!(out, [5.0; 4]);
    }
}
