//! Shortcuts without weights around the stages of Wan 2.2's VAE.

use rayon::prelude::*;

/// Averages groups of neighbouring values on the way down, or repeats values on the way up.
///
/// The values of a block of (time, height, width) positions are ordered by channel first, then by place in the block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shortcut {
    inputs: usize,
    outputs: usize,
    /// Extents of a block in time and in space.
    time: usize,
    space: usize,
    up: bool,
}

impl Shortcut {
    /// From `inputs` to `outputs` channels of a resolution that is lower by the factors of time and space.
    pub(super) fn average([inputs, outputs]: [usize; 2], [time, space]: [usize; 2]) -> Self {
        Self {
            inputs,
            outputs,
            time,
            space,
            up: false,
        }
    }

    /// From `inputs` to `outputs` channels of a resolution that is higher by the factors of time and space.
    pub(super) fn repeat([inputs, outputs]: [usize; 2], [time, space]: [usize; 2]) -> Self {
        Self {
            up: true,
            ..Self::average([inputs, outputs], [time, space])
        }
    }

    /// Values that become of (T, H, W) positions in a step that does not begin a group.
    pub(super) fn len(&self, [t, h, w]: [usize; 3]) -> usize {
        let (time, space) = (self.time, self.space);
        let positions = match self.up {
            true => t * time * h * space * w * space,
            false => t.div_ceil(time) * (h / space) * (w / space),
        };
        positions * self.outputs
    }

    /// Writes what becomes of (T, H, W, inputs) values to `out`. `first` says whether the step begins a group: its one
    /// frame is averaged with zeros before it, and repeated in space only.
    pub(super) fn run(&self, first: bool, [t, h, w]: [usize; 3], values: &[f32], out: &mut Vec<f32>) {
        let Self {
            inputs,
            outputs,
            time,
            space,
            up,
        } = *self;
        let block = time * space * space;
        let (height, width) = match up {
            true => (h * space, w * space),
            false => (h / space, w / space),
        };
        let frames = match (up, first) {
            (true, true) => (t * time).saturating_sub(time - 1),
            (true, false) => t * time,
            (false, _) => t.div_ceil(time),
        };
        let row = width * outputs;
        out.resize(frames * height * row, 0.0);
        if row == 0 {
            return;
        }
        // Frames of the input or the output that come before the first one of a group.
        let lead = match (up, first) {
            (true, true) => time - 1,
            (true, false) => 0,
            (false, _) => frames * time - t,
        };
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
        let halving = Shortcut::average([1, 1], [1, 2]);
        halving.run(false, [1, 2, 2], &[1.0, 2.0, 3.0, 6.0], &mut out);
        assert_eq!(out, [3.0]);
        // With four outputs each keeps one of the places: rows first.
        Shortcut::average([1, 4], [1, 2]).run(false, [1, 2, 2], &[1.0, 2.0, 3.0, 6.0], &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0, 6.0]);
    }

    #[test]
    fn a_first_frame_is_averaged_with_zeros() {
        let mut out = Vec::new();
        let halving = Shortcut::average([2, 2], [2, 1]);
        halving.run(true, [1, 1, 1], &[4.0, 6.0], &mut out);
        assert_eq!(out, [2.0, 3.0]);
        halving.run(false, [2, 1, 1], &[4.0, 6.0, 0.0, 2.0], &mut out);
        assert_eq!(out, [2.0, 4.0]);
    }

    #[test]
    fn repeats_come_in_blocks() {
        let mut out = Vec::new();
        let doubling = Shortcut::repeat([2, 1], [2, 1]);
        // Two channels become the two frames of one.
        doubling.run(false, [1, 1, 2], &[1.0, 2.0, 3.0, 4.0], &mut out);
        assert_eq!(out, [1.0, 3.0, 2.0, 4.0]);
        // The first frame of a group is the last one of its block.
        doubling.run(true, [1, 1, 2], &[1.0, 2.0, 3.0, 4.0], &mut out);
        assert_eq!(out, [2.0, 4.0]);
        Shortcut::repeat([1, 1], [1, 2]).run(false, [1, 1, 1], &[5.0], &mut out);
        assert_eq!(out, [5.0; 4]);
    }
}
