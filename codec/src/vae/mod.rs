//! The Wan family of causal video VAEs, chunk by chunk.

mod state;

use candle_core::Tensor;

pub use state::{DecoderState, EncoderState};

use crate::bundle::{VaeConfig, Weights};
use crate::error::{Error, Result};

/// A causal video VAE: frames to latent and back, chunk by chunk with the same result as in one piece.
pub struct WanVae {
    config: VaeConfig,
}

impl WanVae {
    pub(crate) fn load(config: &VaeConfig, _weights: &mut Weights<'_>) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
        })
    }

    /// Its config.
    #[must_use]
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Frames and pixels per latent position along time, height and width.
    #[must_use]
    pub fn strides(&self) -> [usize; 3] {
        self.config.strides()
    }

    /// Channels of the latent.
    #[must_use]
    pub fn latent_channels(&self) -> usize {
        self.config.latent_channels
    }

    /// Frames to normalised latent.
    ///
    /// `frames` is f32 (T, H, W, 3) with values in -1…1, H and W multiples of the spatial stride. With a time stride of s,
    /// T is 1 + s·n when `state` is fresh and s·n (n > 0) when it continues a group. Gives (T', H / stride, W / stride, C)
    /// of about zero mean and unit variance, T' = 1 + n or n.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes; `state` is then unchanged. After any other error, reset it.
    pub fn encode(&self, frames: &Tensor, state: &mut EncoderState) -> Result<Tensor> {
        let _ = (frames, state);
        Err(Error::parameter("frames", "not implemented"))
    }

    /// Normalised latent to frames.
    ///
    /// `latent` is f32 (T', h, w, C) with any T' > 0. Gives (T, H, W, 3), nominally in -1…1 but **not clamped**;
    /// T = 1 + s·(T' - 1) when `state` is fresh and s·T' when it continues a group, for a time stride of s.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes; `state` is then unchanged. After any other error, reset it.
    pub fn decode(&self, latent: &Tensor, state: &mut DecoderState) -> Result<Tensor> {
        let _ = (latent, state);
        Err(Error::parameter("latent", "not implemented"))
    }
}
