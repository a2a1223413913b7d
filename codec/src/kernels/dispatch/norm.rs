//! RMS normalisation over channels.

use super::Backend;
use super::cuda::Memory;
use super::operand::elsewhere;
use crate::error::Result;

/// What keeps the root away from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Epsilon {
    /// At least 1e-12 for the L2 norm, as in the VAE.
    Clamp,
    /// 1e-6 added to the mean square, as in the ViT.
    Add,
}

/// Unit RMS over channels times a learned gain, then SiLU if wanted. It is applied where its input is produced.
#[derive(Clone, Debug)]
pub(crate) struct RmsNorm {
    pub(crate) gain: Vec<f32>,
    pub(crate) epsilon: Epsilon,
    pub(crate) silu: bool,
}

/// A norm where operators run.
#[derive(Debug)]
pub(crate) struct Norm {
    pub(super) rms: RmsNorm,
    /// The gain on a GPU.
    gain: Option<Memory>,
}

impl Norm {
    pub(crate) fn new(backend: &Backend, rms: RmsNorm) -> Result<Self> {
        let gain = match backend {
            Backend::Cpu(_) => None,
            Backend::Gpu(gpu) => Some(gpu.exact(&rms.gain)?),
        };
        Ok(Self { rms, gain })
    }

    /// Stands for one that no device had room for. It must not be used.
    pub(crate) fn nowhere(rms: RmsNorm) -> Self {
        Self { rms, gain: None }
    }

    pub(super) fn gain(&self) -> Result<&Memory> {
        self.gain.as_ref().ok_or_else(elsewhere)
    }
}
