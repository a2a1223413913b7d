//! Blocks of latent positions to tokens and back.

use candle_core::{Result, Tensor};

/// (T, H, W, C), zero-padded at the end of each axis, to (tokens, k_t · k_h · k_w · C).
///
/// Tokens are in (t, h, w) order with w fastest; within a patch the order is (k_t, k_h, k_w, C), C fastest.
pub(super) fn patchify(latent: &Tensor, patch: [usize; 3]) -> Result<Tensor> {
    let mut x = latent.clone();
    for (axis, k) in patch.into_iter().enumerate() {
        let missing = x.dim(axis)?.next_multiple_of(k) - x.dim(axis)?;
        if missing > 0 {
            x = x.pad_with_zeros(axis, 0, missing)?;
        }
    }
    let (t, h, w, c) = x.dims4()?;
    let [kt, kh, kw] = patch;
    let (gt, gh, gw) = (t / kt, h / kh, w / kw);
    let x = x
        .reshape(vec![gt, kt, gh, kh, gw, kw, c])?
        .permute(vec![0, 2, 4, 1, 3, 5, 6])?;
    x.contiguous()?.reshape((gt * gh * gw, kt * kh * kw * c))
}

/// The way back of [`patchify`], cropped to a latent of `size` (T, H, W).
pub(super) fn unpatchify(
    x: &Tensor,
    grid: [usize; 3],
    patch: [usize; 3],
    size: [usize; 3],
) -> Result<Tensor> {
    let [kt, kh, kw] = patch;
    let [gt, gh, gw] = grid;
    let c = x.dim(1)? / (kt * kh * kw);
    let x = x
        .reshape(vec![gt, gh, gw, kt, kh, kw, c])?
        .permute(vec![0, 3, 1, 4, 2, 5, 6])?;
    let mut x = x.contiguous()?.reshape((gt * kt, gh * kh, gw * kw, c))?;
    for (axis, length) in size.into_iter().enumerate() {
        x = x.narrow(axis, 0, length)?;
    }
    x.contiguous()
}
