//! Squares of pixels to channels and back.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{cpu, values};

/// (T, H, W, C) to (T, H / patch, W / patch, C · patch²); the channel index is (c, column in patch, row in patch).
pub(crate) fn patchify(x: &Tensor, patch: usize) -> Result<Tensor> {
    if patch == 1 {
        Ok(x.clone())
    } else {
        x.contiguous()?.apply_op1_no_bwd(&Shuffle { patch, fold: true })
    }
}

/// The way back of [`patchify`].
pub(crate) fn unpatchify(x: &Tensor, patch: usize) -> Result<Tensor> {
    if patch == 1 {
        Ok(x.clone())
    } else {
        x.contiguous()?.apply_op1_no_bwd(&Shuffle { patch, fold: false })
    }
}

struct Shuffle {
    patch: usize,
    fold: bool,
}

impl CustomOp1 for Shuffle {
    fn name(&self) -> &'static str {
        "pixel-shuffle"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        let (t, h, w, c) = layout.shape().dims4()?;
        let p = self.patch;
        let mut out = vec![0.0; x.len()];
        if self.fold {
            if !h.is_multiple_of(p) || !w.is_multiple_of(p) {
                bail!("patches of {p} do not cover {:?}", layout.shape());
            }
            cpu::patchify(x, w, c, p, &mut out);
            Ok((CpuStorage::F32(out), (t, h / p, w / p, c * p * p).into()))
        } else {
            if !c.is_multiple_of(p * p) {
                bail!("channels of {:?} are not those of patches of {p}", layout.shape());
            }
            cpu::unpatchify(x, w * p, c / (p * p), p, &mut out);
            Ok((CpuStorage::F32(out), (t, h * p, w * p, c / (p * p)).into()))
        }
    }
}
