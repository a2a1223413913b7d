//! Frames and latents to operands, and channels to frames.

use rayon::prelude::*;

use super::operand::Operand;
use super::scratch::{at_least, with_scratch};
use super::shared::Shared;
use super::words::Format;

/// Writes (T, H, W, C) values as the last T frames of an operand.
///
/// # Panics
/// If the operand has another extent: a mistake of the caller.
pub(crate) fn fill(format: Format, values: &[f32], operand: &mut Operand) {
    let channels = operand.extent().map_or(0, |extent| extent.channels);
    rows(format, values.len(), operand, |index, _, into| {
        into.copy_from_slice(&values[index * channels..][..channels]);
    });
}

/// Writes (T, H · patch, W · patch, C) values as the last T frames of an operand, whose channel index is
/// (c, column in patch, row in patch).
///
/// # Panics
/// If the operand has another extent: a mistake of the caller.
pub(crate) fn fill_patches(format: Format, values: &[f32], patch: usize, operand: &mut Operand) {
    let Some(extent) = operand.extent() else { return };
    let c = extent.channels / (patch * patch);
    let line = extent.width * patch * c;
    let offsets: Vec<usize> = offsets(patch, c, line).collect();
    rows(format, values.len(), operand, |index, _, into| {
        let (row, column) = (index / extent.width, index % extent.width);
        let pixels = &values[row * patch * line + column * patch * c..];
        for (value, &offset) in into.iter_mut().zip(&offsets) {
            *value = pixels[offset];
        }
    });
}

/// Where each channel of a patch is, from the patch's first pixel on.
fn offsets(patch: usize, c: usize, line: usize) -> impl Iterator<Item = usize> {
    (0..c * patch * patch).map(move |channel| {
        let (row, column) = (channel % patch, channel / patch % patch);
        row * line + column * c + channel / (patch * patch)
    })
}

/// Writes every position of the last frames of an operand: `values` of all of them in one row-major sequence.
fn rows(format: Format, len: usize, operand: &mut Operand, write: impl Fn(usize, usize, &mut [f32]) + Sync) {
    let Some(extent) = operand.extent() else { return };
    let (height, width, channels) = (extent.height, extent.width, extent.channels);
    let frame = (height * width * channels).max(1);
    let frames = len / frame;
    assert!(len.is_multiple_of(frame) && frames <= extent.frames);
    let lead = extent.frames - frames;
    let layout = operand.layout();
    let into = operand.frames_from(lead);
    (0..frames * height).into_par_iter().for_each(|line| {
        let (t, y) = (line / height, line % height);
        with_scratch(|scratch| {
            let values = at_least(&mut scratch.spare, channels);
            for x in 0..width {
                write(line * width + x, x, values);
                let at = layout.inner(y, x);
                // SAFETY: tasks have rows of their own.
                let words = unsafe { into.part(lead + t, at..at + layout.position) };
                format.write(values, words);
            }
        });
    });
}

/// (T, H, W, C · patch²) values to (T, H · patch, W · patch, C).
///
/// # Panics
/// If lengths do not fit: a mistake of the caller.
pub(crate) fn unpatchify(values: &[f32], width: usize, channels: usize, patch: usize, out: &mut [f32]) {
    let c = channels / (patch * patch);
    let line = width * patch * c;
    assert_eq!(values.len(), out.len());
    let offsets: Vec<usize> = offsets(patch, c, line).collect();
    let out = Shared::new(out);
    values
        .par_chunks_exact(width * channels)
        .enumerate()
        .for_each(|(row, patches)| {
            let band = patch * line;
            // SAFETY: rows of patches become rows of pixels of their own.
            let pixels = unsafe { out.part(row * band..(row + 1) * band) };
            for (x, values) in patches.chunks_exact(channels).enumerate() {
                let pixels = &mut pixels[x * patch * c..];
                for (&value, &offset) in values.iter().zip(&offsets) {
                    pixels[offset] = value;
                }
            }
        });
}
