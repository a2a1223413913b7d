//! The tokenizer: patches of the normalised latent, ViT encoder, binary code, ViT decoder.

use candle_core::Tensor;
use latentbit_container::{TokenGrid, Tokens};

use crate::bundle::{TokenizerConfig, Weights};
use crate::error::{Error, Result};

/// Turns one chunk of normalised latent into tokens and back. Chunks know nothing of each other.
pub struct Tokenizer {
    config: TokenizerConfig,
}

impl Tokenizer {
    pub(crate) fn load(config: &TokenizerConfig, _weights: &mut Weights<'_>) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
        })
    }

    /// Its config.
    #[must_use]
    pub fn config(&self) -> &TokenizerConfig {
        &self.config
    }

    /// Bits per token (D), 1 to 64.
    #[must_use]
    pub fn bits(&self) -> u8 {
        u8::try_from(self.config.bits).unwrap_or(64)
    }

    /// The tokens of a latent of `size` (T', h, w).
    #[must_use]
    pub fn grid_for(&self, size: [usize; 3]) -> TokenGrid {
        let side =
            |axis: usize| u32::try_from(size[axis].div_ceil(self.config.patch[axis])).unwrap_or(u32::MAX);
        TokenGrid {
            t: side(0),
            h: side(1),
            w: side(2),
        }
    }

    /// The tokens of one chunk of normalised latent, f32 (T', h, w, C): bit j of a token is set exactly when output j of
    /// the encoder is above zero (equation 1 of the paper).
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes.
    pub fn encode(&self, latent: &Tensor) -> Result<Tokens> {
        let _ = self.encoder_output(latent)?;
        Err(Error::parameter("latent", "not implemented"))
    }

    /// The encoder's outputs before the sign, f32 (tokens, D).
    ///
    /// # Errors
    /// [`Error::Shape`] for a latent that is not (T', h, w, C).
    pub fn encoder_output(&self, latent: &Tensor) -> Result<Tensor> {
        let _ = latent;
        Err(Error::parameter("latent", "not implemented"))
    }

    /// The normalised latent, f32 `size` + (C,), of one chunk's tokens (equation 2 of the paper).
    ///
    /// Only the `kept_bits` most important planes count, the decoder sees zero for the others; bits above them are ignored.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `kept_bits` is above D or `grid` is not that of `size` and `tokens`.
    pub fn decode(&self, tokens: &[u64], grid: TokenGrid, kept_bits: u8, size: [usize; 3]) -> Result<Tensor> {
        let _ = (tokens, grid, kept_bits, size);
        Err(Error::parameter("tokens", "not implemented"))
    }
}
