//! RMS normalisation over channels.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{cpu, values, with_values};
use crate::bundle::Weights;

/// What keeps the root away from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epsilon {
    /// At least 1e-12 for the L2 norm, as in the VAE.
    Clamp,
    /// 1e-6 added to the mean square, as in the ViT.
    Add,
}

/// Unit RMS over the last axis times a learned gain, then SiLU if wanted.
pub(crate) struct RmsNorm {
    channels: usize,
    gamma: Tensor,
    epsilon: Epsilon,
    silu: bool,
}

impl RmsNorm {
    /// Takes `name.gamma`.
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        channels: usize,
        epsilon: Epsilon,
        silu: bool,
    ) -> Result<Self> {
        let gamma = weights.take(&format!("{name}.gamma"), &[channels], |g| g)?;
        Ok(Self {
            channels,
            gamma,
            epsilon,
            silu,
        })
    }

    /// (…, channels) to the same shape.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.apply_op1_no_bwd(&NormOp(self))
    }
}

struct NormOp<'a>(&'a RmsNorm);

impl CustomOp1 for NormOp<'_> {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = values(storage, layout)?;
        if layout.dims().last() != Some(&self.0.channels) {
            bail!(
                "a norm of {} channels cannot take {:?}",
                self.0.channels,
                layout.shape()
            );
        }
        let mut out = vec![0.0; x.len()];
        with_values(&self.0.gamma, |gamma| {
            cpu::rms_norm(x, gamma, self.0.epsilon, self.0.silu, &mut out);
            Ok(())
        })?;
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}
