//! The tokenizer: patches of the normalised latent, ViT encoder, binary code, ViT decoder.

mod half;
mod patch;
mod quantizer;

use latentbit_container::{TokenGrid, Tokens};

pub use quantizer::{Bsq, Lfq, Quantizer};

use crate::bundle::{Halves, TokenizerConfig, Weights};
use crate::error::{Error, Result};
use crate::vit::VitConfig;
use crate::volume::Volume;
use half::{Half, Spare};
use patch::{patchify, unpatchify};

/// The depths that tokens of `bits` planes may have: 0, `step`, twice that … and `bits`.
pub(crate) fn ladder(step: usize, bits: usize) -> impl Iterator<Item = usize> {
    (0..bits).step_by(step.max(1)).chain([bits])
}

/// Turns one chunk of normalised latent into tokens and back. Chunks know nothing of each other.
pub struct Tokenizer {
    config: TokenizerConfig,
    halves: Halves,
    encoder: Half,
    decoder: Half,
    quantizer: Box<dyn Quantizer>,
}

impl Tokenizer {
    pub(crate) fn load(config: &TokenizerConfig, weights: &mut Weights<'_>) -> Self {
        let patch = config.patch.iter().product::<usize>() * config.latent_channels;
        let bits = config.bits;
        let vit_config = VitConfig::from(config);
        let spare = Spare::default();
        let mut half = |half, name: &str, sides, layers| {
            weights.half(half, |weights| {
                Half::load(weights, name, &vit_config, sides, layers, &spare)
            })
        };
        let mut encoder = half(
            Halves::Encoder,
            "tokenizer.encoder",
            [patch, bits],
            config.encoder_layers,
        );
        let decoder = half(
            Halves::Decoder,
            "tokenizer.decoder",
            [bits, patch],
            config.decoder_layers,
        );
        if let Some(step) = config.depth_step {
            let outputs = ladder(step, config.bits).count();
            encoder = weights.half(Halves::Encoder, |weights| {
                encoder.with_side_head(weights, "tokenizer.depth_head", outputs)
            });
        }
        Self {
            encoder,
            decoder,
            halves: weights.halves(),
            config: config.clone(),
            quantizer: quantizer::quantizer(config.quantizer),
        }
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
    pub fn encode(&self, latent: &Volume) -> Result<Tokens> {
        Ok(self.analyse(latent)?.0)
    }

    /// As [`encode`](Self::encode), and what the depth head expects of them if the bundle has one: for each token the natural
    /// logarithm of the mean squared error that it adds to its pixels (red, green and blue in −1…1) at each of K depths, f32
    /// (tokens, K). The depths are 0, [`depth_step`](TokenizerConfig::depth_step), twice that … and D.
    ///
    /// # Errors
    /// As for [`encode`](Self::encode).
    pub fn analyse(&self, latent: &Volume) -> Result<(Tokens, Option<Volume>)> {
        self.halves.need(Halves::Encoder)?;
        let size = self.latent_size(latent)?;
        let fill = self.patches_of(size);
        let (values, estimates) = self
            .encoder
            .tokens(self.sides(size), |patches| fill(latent.data(), patches))?;
        let depths = self.encoder.vit().side_outputs();
        let estimates = match depths {
            0 => None,
            _ => Some(Volume::new(&[values.len(), depths], estimates)?),
        };
        Ok((Tokens::new(self.grid_for(size), self.bits(), values), estimates))
    }

    /// The encoder's outputs before the sign, f32 (tokens, D).
    ///
    /// # Errors
    /// [`Error::Shape`] for a latent that is not (T', h, w, C).
    pub fn encoder_output(&self, latent: &Volume) -> Result<Volume> {
        self.halves.need(Halves::Encoder)?;
        let size = self.latent_size(latent)?;
        let (tokens, bits) = (self.grid_for(size).len(), self.config.bits);
        let fill = self.patches_of(size);
        let outputs = self
            .encoder
            .values(self.sides(size), |patches| fill(latent.data(), patches))?;
        Volume::new(&[tokens, bits], outputs)
    }

    /// (T', h, w) of a latent.
    pub(crate) fn latent_size(&self, latent: &Volume) -> Result<[usize; 3]> {
        match *latent.shape() {
            [t, h, w, c] if t > 0 && h > 0 && w > 0 && c == self.config.latent_channels => Ok([t, h, w]),
            _ => {
                let expected = format!("f32 (n, n, n, {})", self.config.latent_channels);
                Err(Error::shape("latent", latent.shape(), expected))
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
        (tokens * (self.encoder.vit().bytes_per_token() + 4 * ends)) as u64
    }

    /// Writes the patches of a latent of (T', h, w).
    fn patches_of(&self, size: [usize; 3]) -> impl Fn(&[f32], &mut Vec<f32>) {
        let (patch, channels) = (self.config.patch, self.config.latent_channels);
        move |latent, patches| patchify(latent, size, channels, patch, patches)
    }

    /// The normalised latent, f32 `size` + (C,), of one chunk's tokens (equation 2 of the paper).
    ///
    /// Planes beyond those of `tokens`, and beyond the depth of each token if they have depths, are zero for the decoder.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `tokens` have more than D planes, or are not those of a latent of `size`.
    pub fn decode(&self, tokens: &Tokens, size: [usize; 3]) -> Result<Volume> {
        self.halves.need(Halves::Decoder)?;
        let grid = tokens.grid;
        if tokens.bits > self.bits() {
            return Err(Error::parameter(
                "tokens",
                format!(
                    "have {} planes, but the bundle's have {}",
                    tokens.bits,
                    self.bits()
                ),
            ));
        }
        if grid != self.grid_for(size) || grid.is_empty() {
            return Err(Error::parameter(
                "grid",
                format!("{grid} is not that of a latent of {size:?}"),
            ));
        }
        tokens.validate()?;
        let TokenizerConfig {
            bits,
            patch,
            latent_channels,
            ..
        } = self.config;
        let output = self.decoder.values(self.sides(size), |codes| {
            codes.clear();
            codes.resize(tokens.values.len() * bits, 0.0);
            let depths = tokens
                .depths
                .iter()
                .flat_map(|depths| depths.values.iter().copied());
            let depths = depths.chain(std::iter::repeat(tokens.bits));
            for ((&token, depth), code) in tokens.values.iter().zip(depths).zip(codes.chunks_exact_mut(bits))
            {
                self.quantizer.code(token, depth.into(), code);
            }
        })?;
        let latent = unpatchify(&output, size, latent_channels, patch);
        let [t, h, w] = size;
        Volume::new(&[t, h, w, latent_channels], latent)
    }
}
