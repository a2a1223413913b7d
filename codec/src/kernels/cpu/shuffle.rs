//! Pixel shuffles, one row of patches for each task.

use rayon::prelude::*;

/// Rows of `width` pixels of `c` channels to rows of patches.
pub(in crate::kernels) fn patchify(x: &[f32], width: usize, c: usize, p: usize, out: &mut [f32]) {
    let band = (width * c * p).max(1);
    out.par_chunks_exact_mut(band)
        .zip(x.par_chunks_exact(band))
        .for_each(|(patches, pixels)| {
            each(width, c, p, |pixel, channel| patches[channel] = pixels[pixel]);
        });
}

/// Rows of patches to rows of `width` pixels of `c` channels.
pub(in crate::kernels) fn unpatchify(x: &[f32], width: usize, c: usize, p: usize, out: &mut [f32]) {
    let band = (width * c * p).max(1);
    out.par_chunks_exact_mut(band)
        .zip(x.par_chunks_exact(band))
        .for_each(|(pixels, patches)| {
            each(width, c, p, |pixel, channel| pixels[pixel] = patches[channel]);
        });
}

/// Calls `f` with the two places of every value of a band of `p` rows: among pixels and among patches.
fn each(width: usize, c: usize, p: usize, mut f: impl FnMut(usize, usize)) {
    for patch in 0..width / p {
        for row in 0..p {
            for column in 0..p {
                for channel in 0..c {
                    let pixel = (row * width + patch * p + column) * c + channel;
                    f(pixel, patch * p * p * c + (channel * p + column) * p + row);
                }
            }
        }
    }
}
