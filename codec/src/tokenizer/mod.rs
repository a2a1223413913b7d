//! The tokenizer: patches of the normalised latent, ViT encoder, binary code, ViT decoder.

mod patch;
mod quantizer;
mod vit;

use candle_core::{DType, Device, Tensor};
use latentbit_container::{TokenGrid, Tokens};

pub use quantizer::{Bsq, Lfq, Quantizer};

use crate::bundle::{TokenizerConfig, Weights};
use crate::error::{Error, Result};
use patch::{patchify, unpatchify};
use vit::Vit;

/// Turns one chunk of normalised latent into tokens and back. Chunks know nothing of each other.
pub struct Tokenizer {
    config: TokenizerConfig,
    encoder: Vit,
    decoder: Vit,
    quantizer: Box<dyn Quantizer>,
    device: Device,
}

impl Tokenizer {
    pub(crate) fn load(config: &TokenizerConfig, weights: &mut Weights<'_>) -> Result<Self> {
        let patch = config.patch.iter().product::<usize>() * config.latent_channels;
        let bits = config.bits;
        let encoder = Vit::load(
            weights,
            "tokenizer.encoder",
            config,
            [patch, bits],
            config.encoder_layers,
        )?;
        let decoder = Vit::load(
            weights,
            "tokenizer.decoder",
            config,
            [bits, patch],
            config.decoder_layers,
        )?;
        Ok(Self {
            config: config.clone(),
            encoder,
            decoder,
            quantizer: quantizer::quantizer(config.quantizer),
            device: weights.device().clone(),
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

    fn sides(&self, size: [usize; 3]) -> [usize; 3] {
        std::array::from_fn(|axis| size[axis].div_ceil(self.config.patch[axis]))
    }

    /// The tokens of a latent of `size` (T', h, w).
    #[must_use]
    pub fn grid_for(&self, size: [usize; 3]) -> TokenGrid {
        let [t, h, w] = self
            .sides(size)
            .map(|side| u32::try_from(side).unwrap_or(u32::MAX));
        TokenGrid { t, h, w }
    }

    /// The tokens of one chunk of normalised latent, f32 (T', h, w, C): bit j of a token is set exactly when output j of
    /// the encoder is above zero (equation 1 of the paper).
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes.
    pub fn encode(&self, latent: &Tensor) -> Result<Tokens> {
        let outputs = self.encoder_output(latent)?.flatten_all()?.to_vec1::<f32>()?;
        let (t, h, w, _) = latent.dims4()?;
        let values = outputs
            .chunks_exact(self.config.bits)
            .map(|u| self.quantizer.token(u))
            .collect();
        Ok(Tokens {
            grid: self.grid_for([t, h, w]),
            bits: self.bits(),
            values,
        })
    }

    /// The encoder's outputs before the sign, f32 (tokens, D).
    ///
    /// # Errors
    /// [`Error::Shape`] for a latent that is not (T', h, w, C).
    pub fn encoder_output(&self, latent: &Tensor) -> Result<Tensor> {
        match (latent.dtype(), latent.dims()) {
            (DType::F32, &[t, h, w, c]) if t > 0 && h > 0 && w > 0 && c == self.config.latent_channels => {
                let x = patchify(latent, self.config.patch)?;
                Ok(self.encoder.forward(&x, self.sides([t, h, w]))?)
            }
            _ => {
                let expected = format!("f32 (n, n, n, {})", self.config.latent_channels);
                Err(Error::shape("latent", latent.dims(), expected))
            }
        }
    }

    /// The normalised latent, f32 `size` + (C,), of one chunk's tokens (equation 2 of the paper).
    ///
    /// Only the `kept_bits` most important planes count, the decoder sees zero for the others; bits above them are ignored.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `kept_bits` is above D or `grid` is not that of `size` and `tokens`.
    pub fn decode(&self, tokens: &[u64], grid: TokenGrid, kept_bits: u8, size: [usize; 3]) -> Result<Tensor> {
        if kept_bits > self.bits() {
            return Err(Error::parameter(
                "kept_bits",
                format!("is {kept_bits}, but tokens have {}", self.bits()),
            ));
        }
        if grid != self.grid_for(size) || grid.is_empty() {
            return Err(Error::parameter(
                "grid",
                format!("{grid} is not that of a latent of {size:?}"),
            ));
        }
        if grid.len() != tokens.len() {
            return Err(Error::parameter(
                "tokens",
                format!("there are {}, but the grid is {grid}", tokens.len()),
            ));
        }
        let bits = self.config.bits;
        let mut codes = vec![0.0; tokens.len() * bits];
        for (&token, code) in tokens.iter().zip(codes.chunks_exact_mut(bits)) {
            self.quantizer.code(token, kept_bits.into(), code);
        }
        let codes = Tensor::from_vec(codes, (tokens.len(), bits), &self.device)?;
        let sides = self.sides(size);
        Ok(unpatchify(
            &self.decoder.forward(&codes, sides)?,
            sides,
            self.config.patch,
            size,
        )?)
    }
}
