//! The tokenizer: patches of the normalised latent, ViT encoder, binary code, ViT decoder.

mod patch;
mod quantizer;

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use latentbit_container::{TokenGrid, Tokens};

pub use quantizer::{Bsq, Lfq, Quantizer};

use crate::bundle::{TokenizerConfig, Weights};
use crate::error::{Error, Result};
use crate::tensor::with_values;
use crate::vit::{Buffers, Vit, VitConfig};
use patch::{patchify, unpatchify};

/// Turns one chunk of normalised latent into tokens and back. Chunks know nothing of each other.
pub struct Tokenizer {
    config: TokenizerConfig,
    encoder: Vit,
    decoder: Vit,
    quantizer: Box<dyn Quantizer>,
    /// Those that no call works in at the moment.
    buffers: Mutex<Vec<Buffers>>,
}

impl Tokenizer {
    pub(crate) fn load(config: &TokenizerConfig, weights: &mut Weights<'_>) -> Self {
        let patch = config.patch.iter().product::<usize>() * config.latent_channels;
        let bits = config.bits;
        let vit_config = VitConfig::from(config);
        let mut vit = |name: &str, sides, layers| Vit::load(weights, name, &vit_config, sides, layers);
        Self {
            encoder: vit("tokenizer.encoder", [patch, bits], config.encoder_layers),
            decoder: vit("tokenizer.decoder", [bits, patch], config.decoder_layers),
            config: config.clone(),
            quantizer: quantizer::quantizer(config.quantizer),
            buffers: Mutex::default(),
        }
    }

    /// Calls `f` with memory to work in, which it leaves for the next call.
    fn with_buffers<R>(&self, f: impl FnOnce(&mut Buffers) -> R) -> R {
        let spare = || self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = spare().pop().unwrap_or_default();
        let result = f(&mut buffers);
        spare().push(buffers);
        result
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
        let size = self.latent_size(latent)?;
        let grid = self.grid_for(size);
        let mut values = vec![0; grid.len()];
        self.run_encoder(latent, size, |encoder, sides, buffers| {
            encoder.forward(sides, buffers, Some(&mut values))
        })?;
        Ok(Tokens {
            grid,
            bits: self.bits(),
            values,
        })
    }

    /// The encoder's outputs before the sign, f32 (tokens, D).
    ///
    /// # Errors
    /// [`Error::Shape`] for a latent that is not (T', h, w, C).
    pub fn encoder_output(&self, latent: &Tensor) -> Result<Tensor> {
        let size = self.latent_size(latent)?;
        let (tokens, bits) = (self.grid_for(size).len(), self.config.bits);
        let outputs = self.run_encoder(latent, size, |encoder, sides, buffers| {
            encoder.forward(sides, buffers, None)?;
            buffers.output(tokens * bits).map(Cow::into_owned)
        })?;
        Ok(Tensor::from_vec(outputs, (tokens, bits), latent.device())?)
    }

    /// (T', h, w) of a latent.
    fn latent_size(&self, latent: &Tensor) -> Result<[usize; 3]> {
        match (latent.dtype(), latent.dims()) {
            (DType::F32, &[t, h, w, c]) if t > 0 && h > 0 && w > 0 && c == self.config.latent_channels => {
                Ok([t, h, w])
            }
            _ => {
                let expected = format!("f32 (n, n, n, {})", self.config.latent_channels);
                Err(Error::shape("latent", latent.dims(), expected))
            }
        }
    }

    /// Memory in bytes that it works in, for a latent of (T', h, w).
    #[must_use]
    pub fn size(&self, latent: [usize; 3]) -> u64 {
        let patch = self.config.patch;
        let tokens: usize = (0..3).map(|axis| latent[axis].div_ceil(patch[axis])).product();
        let patch_values = self.config.latent_channels * patch.iter().product::<usize>();
        // Patches and outputs, of which one are bits and the other latents.
        let ends = patch_values + self.config.bits;
        (tokens * (self.encoder.bytes_per_token() + 4 * ends)) as u64
    }

    /// Calls `run` with the encoder, its grid, and buffers that hold the latent's patches.
    fn run_encoder<R>(
        &self,
        latent: &Tensor,
        size: [usize; 3],
        run: impl FnOnce(&Vit, [usize; 3], &mut Buffers) -> Result<R>,
    ) -> Result<R> {
        let TokenizerConfig {
            patch,
            latent_channels,
            ..
        } = self.config;
        with_values(latent, |values| {
            self.with_buffers(|buffers| {
                patchify(values, size, latent_channels, patch, &mut buffers.patches);
                run(&self.encoder, self.sides(size), buffers)
            })
        })?
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
        let TokenizerConfig {
            bits,
            patch,
            latent_channels,
            ..
        } = self.config;
        let latent = self.with_buffers(|buffers| {
            buffers.patches.clear();
            buffers.patches.resize(tokens.len() * bits, 0.0);
            for (&token, code) in tokens.iter().zip(buffers.patches.chunks_exact_mut(bits)) {
                self.quantizer.code(token, kept_bits.into(), code);
            }
            self.decoder.forward(self.sides(size), buffers, None)?;
            let values = tokens.len() * patch.iter().product::<usize>() * latent_channels;
            let output = buffers.output(values)?;
            Ok::<_, Error>(unpatchify(&output, size, latent_channels, patch))
        })?;
        let [t, h, w] = size;
        Ok(Tensor::from_vec(
            latent,
            (t, h, w, latent_channels),
            &Device::Cpu,
        )?)
    }
}
