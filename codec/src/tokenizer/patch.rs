//! Blocks of latent positions to tokens and back.

/// (T, H, W, C), zero-padded at the end of each axis, to (tokens, k_t · k_h · k_w · C).
///
/// Tokens are in (t, h, w) order with w fastest; within a patch the order is (k_t, k_h, k_w, C), C fastest.
pub(super) fn patchify(
    latent: &[f32],
    size: [usize; 3],
    channels: usize,
    patch: [usize; 3],
    out: &mut Vec<f32>,
) {
    out.clear();
    out.resize(values(size, channels, patch), 0.0);
    each(size, patch, |position, place| {
        out[place * channels..][..channels].copy_from_slice(&latent[position * channels..][..channels]);
    });
}

/// The way back of [`patchify`], cropped to a latent of `size` (T, H, W).
pub(super) fn unpatchify(patches: &[f32], size: [usize; 3], channels: usize, patch: [usize; 3]) -> Vec<f32> {
    let mut out = vec![0.0; size.iter().product::<usize>() * channels];
    each(size, patch, |position, place| {
        out[position * channels..][..channels].copy_from_slice(&patches[place * channels..][..channels]);
    });
    out
}

/// Values of all patches.
fn values(size: [usize; 3], channels: usize, patch: [usize; 3]) -> usize {
    let padded = size.iter().zip(patch).map(|(&side, k)| side.next_multiple_of(k));
    padded.product::<usize>() * channels
}

/// Calls `f` with each position of a latent and its place in the order of patches.
fn each(size: [usize; 3], patch: [usize; 3], mut f: impl FnMut(usize, usize)) {
    let [_, kh, kw] = patch;
    let [gh, gw] = [size[1].div_ceil(kh), size[2].div_ceil(kw)];
    let mut position = 0;
    for t in 0..size[0] {
        for h in 0..size[1] {
            for w in 0..size[2] {
                let token = ((t / patch[0]) * gh + h / kh) * gw + w / kw;
                let within = ((t % patch[0]) * kh + h % kh) * kw + w % kw;
                f(position, token * patch.iter().product::<usize>() + within);
                position += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_hold_blocks() {
        let (size, channels, patch) = ([3, 2, 5], 2, [2, 1, 3]);
        let latent: Vec<f32> = (0..3 * 2 * 5 * 2).map(|i| i as f32 + 1.0).collect();
        let mut patches = Vec::new();
        patchify(&latent, size, channels, patch, &mut patches);
        assert_eq!(patches.len(), 4 * 2 * 6 * 2);
        // Token (0, 1, 1): frames 0 and 1, row 1, columns 3 and 4 and a missing one.
        let value = |t: usize, h: usize, w: usize, c: usize| latent[((t * 2 + h) * 5 + w) * 2 + c];
        let token = &patches[3 * 12..4 * 12];
        let expected: Vec<f32> = (0..12)
            .map(|i| {
                let (t, w, c) = (i / 6, 3 + i / 2 % 3, i % 2);
                if w < 5 { value(t, 1, w, c) } else { 0.0 }
            })
            .collect();
        assert_eq!(token, expected);
        assert_eq!(unpatchify(&patches, size, channels, patch), latent);
    }
}
