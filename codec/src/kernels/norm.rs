//! RMS normalisation over channels.

use crate::bundle::Weights;

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

impl RmsNorm {
    /// Takes `name.gamma`.
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        channels: usize,
        epsilon: Epsilon,
        silu: bool,
    ) -> Self {
        Self {
            gain: weights.values(&format!("{name}.gamma"), &[channels]),
            epsilon,
            silu,
        }
    }
}
