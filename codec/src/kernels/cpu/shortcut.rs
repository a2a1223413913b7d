//! What bypasses the layers of a stage of Wan 2.2's VAE.

use rayon::prelude::*;

use crate::kernels::spec::ShortcutSpec;

/// Writes what becomes of (T, H, W, inputs) values to `out`. `first` says whether the step begins a group: its one frame is
/// averaged with zeros before it, and repeated in space only.
pub(crate) fn shortcut(
    spec: &ShortcutSpec,
    first: bool,
    input: [usize; 3],
    values: &[f32],
    out: &mut Vec<f32>,
) {
    let ShortcutSpec {
        inputs,
        outputs,
        time,
        space,
        up,
    } = *spec;
    let [_, h, w] = input;
    let block = time * space * space;
    let [frames, height, width] = spec.output(first, input);
    let row = width * outputs;
    out.resize(frames * height * row, 0.0);
    if row == 0 {
        return;
    }
    let lead = spec.lead(first, input);
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
                        let (dt, dy, dx) = (place / (space * space), place / space % space, place % space);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_of_neighbours() {
        // One channel, 2x2 pixels, halved in space: the mean of all four.
        let mut out = Vec::new();
        let halving = ShortcutSpec::average([1, 1], [1, 2]);
        shortcut(&halving, false, [1, 2, 2], &[1.0, 2.0, 3.0, 6.0], &mut out);
        assert_eq!(out, [3.0]);
        // With four outputs each keeps one of the places: rows first.
        shortcut(
            &ShortcutSpec::average([1, 4], [1, 2]),
            false,
            [1, 2, 2],
            &[1.0, 2.0, 3.0, 6.0],
            &mut out,
        );
        assert_eq!(out, [1.0, 2.0, 3.0, 6.0]);
    }

    #[test]
    fn a_first_frame_is_averaged_with_zeros() {
        let mut out = Vec::new();
        let halving = ShortcutSpec::average([2, 2], [2, 1]);
        shortcut(&halving, true, [1, 1, 1], &[4.0, 6.0], &mut out);
        assert_eq!(out, [2.0, 3.0]);
        shortcut(&halving, false, [2, 1, 1], &[4.0, 6.0, 0.0, 2.0], &mut out);
        assert_eq!(out, [2.0, 4.0]);
    }

    #[test]
    fn repeats_come_in_blocks() {
        let mut out = Vec::new();
        let doubling = ShortcutSpec::repeat([2, 1], [2, 1]);
        // Two channels become the two frames of one.
        shortcut(&doubling, false, [1, 1, 2], &[1.0, 2.0, 3.0, 4.0], &mut out);
        assert_eq!(out, [1.0, 3.0, 2.0, 4.0]);
        // The first frame of a group is the last one of its block.
        shortcut(&doubling, true, [1, 1, 2], &[1.0, 2.0, 3.0, 4.0], &mut out);
        assert_eq!(out, [2.0, 4.0]);
        shortcut(
            &ShortcutSpec::repeat([1, 1], [1, 2]),
            false,
            [1, 1, 1],
            &[5.0],
            &mut out,
        );
        assert_eq!(out, [5.0; 4]);
    }
}
