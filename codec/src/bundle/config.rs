//! The config in a bundle's metadata, with the field names of the training recipe.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The only bundle format that this version reads.
pub const FORMAT: &str = "latentbit.bundle/1";

/// Extents along time, height and width.
pub type Kernel = [usize; 3];

/// All that a bundle's metadata says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BundleConfig {
    /// Name for people.
    pub name: String,
    /// Always [`FORMAT`].
    pub format: String,
    /// The VAE.
    pub vae: VaeConfig,
    /// The tokenizer; a bundle without one only encodes to and from latents.
    pub tokenizer: Option<TokenizerConfig>,
    /// Free notes on how the weights were made.
    #[serde(default)]
    pub training: serde_json::Map<String, serde_json::Value>,
}

/// A member of the Wan VAE family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VaeConfig {
    /// Resolutions, from pixels to latent.
    pub stages: Vec<StageConfig>,
    /// Side of the square of pixels that is folded into channels before the first convolution.
    pub patch: usize,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Whether the encoder's head gives mean and log-variance instead of the mean alone.
    pub moments: bool,
    /// Extent of the first and last convolution of encoder and decoder.
    pub io_kernel: Kernel,
    /// Residual blocks at the lowest resolution.
    pub mid_blocks: usize,
    /// Whether self-attention over each frame follows the first of them.
    pub mid_attention: bool,
    /// Mean of each latent channel; empty for zero.
    pub latent_mean: Vec<f32>,
    /// Standard deviation of each latent channel; empty for one.
    pub latent_std: Vec<f32>,
    /// Whether shortcuts without weights lead around each stage: averages on the way down, repeats on the way up (Wan 2.2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shortcuts: bool,
}

/// One resolution of the VAE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct StageConfig {
    /// Channels of the activations.
    pub channels: usize,
    /// Channels of the decoder's activations, if they are others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_channels: Option<usize>,
    /// Residual blocks of the encoder.
    pub encoder_blocks: usize,
    /// Residual blocks of the decoder.
    pub decoder_blocks: usize,
    /// Extents of the two convolutions of each residual block.
    pub kernels: [Kernel; 2],
    /// Whether height and width are halved between this stage and the next one.
    pub down_space: bool,
    /// Whether time is halved between this stage and the next one.
    pub down_time: bool,
}

impl StageConfig {
    /// Channels of the decoder's activations.
    #[must_use]
    pub fn decoder_channels(&self) -> usize {
        self.decoder_channels.unwrap_or(self.channels)
    }

    /// By how much (time, height and width) are divided between this stage and the next one.
    pub(crate) fn factors(&self) -> [usize; 2] {
        [1 + usize::from(self.down_time), 1 + usize::from(self.down_space)]
    }
}

/// The ViT on the VAE's latent and its binary quantizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenizerConfig {
    /// Bits of a token, 1 to 64.
    pub bits: usize,
    /// Latent positions of a token along time, height and width.
    pub patch: Kernel,
    /// Channels of the latent.
    pub latent_channels: usize,
    /// Width of the transformer.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Hidden width of the MLP over `width`.
    pub mlp_ratio: usize,
    /// Attention window in tokens; none: every token of the chunk sees every other one.
    pub window: Option<Kernel>,
    /// By how much the windows of odd layers are shifted, in tokens; each less than the window.
    pub shift: Kernel,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Which quantizer turns outputs into bits.
    pub quantizer: QuantizerKind,
    /// Latent frames of a full chunk.
    pub chunk_latent_frames: usize,
    /// Planes between the depths whose error a head of the encoder estimates for each token; none: there is no such head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth_step: Option<usize>,
}

/// The quantizers that a bundle can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum QuantizerKind {
    /// Lookup-free: codes are ±1.
    Lfq,
    /// Binary spherical: codes have unit length.
    Bsq,
}

/// Bounds that keep a hostile config from asking for absurd work; the largest known models are far below them.
mod bound {
    pub(super) const STAGES: usize = 8;
    pub(super) const BLOCKS: usize = 32;
    pub(super) const CHANNELS: usize = 4096;
    pub(super) const EXTENT: usize = 7;
    pub(super) const PATCH: usize = 16;
    pub(super) const WIDTH: usize = 8192;
    pub(super) const LAYERS: usize = 128;
    pub(super) const MLP_RATIO: usize = 16;
    pub(super) const WINDOW: usize = 256;
    pub(super) const CHUNK: usize = 1024;
    pub(super) const NAME: usize = latentbit_container::MAX_BUNDLE_NAME;
}

fn check(holds: bool, rule: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::bundle(rule())) }
}

fn within(what: &str, value: usize, low: usize, high: usize) -> Result<()> {
    check((low..=high).contains(&value), || {
        format!("{what} is {value}, but must be {low} to {high}")
    })
}

impl BundleConfig {
    /// Reads the JSON that the training recipe writes.
    ///
    /// # Errors
    /// [`Error::Bundle`] for another format, for fields that are missing or unknown, and for values out of range.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Tag {
            format: String,
        }
        let tag: Tag = serde_json::from_str(text).map_err(|e| Error::bundle(format!("its config: {e}")))?;
        check(tag.format == FORMAT, || {
            format!(
                "its format is {:?}, but this version reads {FORMAT:?} only",
                tag.format
            )
        })?;
        let config: Self =
            serde_json::from_str(text).map_err(|e| Error::bundle(format!("its config: {e}")))?;
        config.validate()?;
        Ok(config)
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`Error::Bundle`] names the first value that is out of range.
    pub fn validate(&self) -> Result<()> {
        within("length of its name in bytes", self.name.len(), 1, bound::NAME)?;
        check(!self.name.chars().any(char::is_control), || {
            "its name has control characters".to_owned()
        })?;
        self.vae.validate()?;
        if let Some(tokenizer) = &self.tokenizer {
            tokenizer.validate()?;
            check(tokenizer.latent_channels == self.vae.latent_channels, || {
                format!(
                    "the tokenizer takes {} latent channels, but the VAE gives {}",
                    tokenizer.latent_channels, self.vae.latent_channels
                )
            })?;
        }
        Ok(())
    }
}

fn check_kernel(what: &str, kernel: Kernel) -> Result<()> {
    for extent in kernel {
        within(what, extent, 1, bound::EXTENT)?;
    }
    check(kernel[1] % 2 == 1 && kernel[2] % 2 == 1, || {
        format!("{what} must be odd in height and width")
    })
}

impl VaeConfig {
    /// Pixels per latent position along (time, height, width).
    #[must_use]
    pub fn strides(&self) -> [usize; 3] {
        let time = self.stages.iter().filter(|s| s.down_time).count();
        let space = self.stages.iter().filter(|s| s.down_space).count();
        [1 << time, self.patch << space, self.patch << space]
    }

    fn validate(&self) -> Result<()> {
        within("number of VAE stages", self.stages.len(), 1, bound::STAGES)?;
        within("vae.patch", self.patch, 1, bound::PATCH)?;
        within("vae.latent_channels", self.latent_channels, 1, bound::CHANNELS)?;
        check_kernel("vae.io_kernel", self.io_kernel)?;
        // The attention block follows the first middle block, so there must be one.
        within(
            "vae.mid_blocks",
            self.mid_blocks,
            usize::from(self.mid_attention),
            bound::BLOCKS,
        )?;
        for stage in &self.stages {
            within("channels of a VAE stage", stage.channels, 1, bound::CHANNELS)?;
            within(
                "decoder_channels of a VAE stage",
                stage.decoder_channels(),
                1,
                bound::CHANNELS,
            )?;
            within(
                "encoder_blocks of a VAE stage",
                stage.encoder_blocks,
                1,
                bound::BLOCKS,
            )?;
            within(
                "decoder_blocks of a VAE stage",
                stage.decoder_blocks,
                1,
                bound::BLOCKS,
            )?;
            stage
                .kernels
                .iter()
                .try_for_each(|&k| check_kernel("kernels of a VAE stage", k))?;
        }
        if let Some(last) = self.stages.last() {
            check(!last.down_space && !last.down_time, || {
                "the last VAE stage halves nothing".to_owned()
            })?;
        }
        let lowest = self.stages.last();
        check(
            !self.mid_attention
                || lowest.is_none_or(|s| s.channels % 2 == 0 && s.decoder_channels() % 2 == 0),
            || "mid_attention needs an even number of channels".to_owned(),
        )?;
        for pair in self.stages.windows(2) {
            let even = pair[1].decoder_channels() % 2 == 0;
            check(self.shortcuts || !pair[0].down_space || even, || {
                "a VAE stage after a spatial halving must have an even number of channels".to_owned()
            })?;
        }
        if self.shortcuts {
            self.validate_shortcuts()?;
        }
        for (what, values) in [
            ("latent_mean", &self.latent_mean),
            ("latent_std", &self.latent_std),
        ] {
            check(values.is_empty() || values.len() == self.latent_channels, || {
                format!(
                    "vae.{what} has {} values for {} channels",
                    values.len(),
                    self.latent_channels
                )
            })?;
            check(values.iter().all(|v| v.is_finite()), || {
                format!("vae.{what} has values that are not finite")
            })?;
        }
        check(self.latent_std.iter().all(|&v| v > 0.0), || {
            "vae.latent_std must be above zero".to_owned()
        })
    }
}

impl VaeConfig {
    /// Averages and repeats must come out even.
    fn validate_shortcuts(&self) -> Result<()> {
        let odd = |stage: usize| {
            format!(
                "the channels of VAE stage {stage} do not let its shortcut come out even; choose multiples"
            )
        };
        let mut channels = self.stages.first().map_or(0, |stage| stage.channels);
        for (index, stage) in self.stages.iter().enumerate() {
            let [time, space] = stage.factors();
            let averaged = channels * time * space * space;
            check(averaged.is_multiple_of(stage.channels), || odd(index))?;
            channels = stage.channels;
        }
        let mut channels = self.stages.last().map_or(0, StageConfig::decoder_channels);
        for (index, stage) in self.stages.iter().enumerate().rev() {
            let outputs = stage.decoder_channels();
            if let Some(above) = index.checked_sub(1).and_then(|above| self.stages.get(above)) {
                let [time, space] = above.factors();
                check(
                    (outputs * time * space * space).is_multiple_of(channels) && time * space > 1,
                    || odd(index),
                )?;
            }
            channels = outputs;
        }
        Ok(())
    }
}

impl TokenizerConfig {
    fn validate(&self) -> Result<()> {
        within("tokenizer.bits", self.bits, 1, 64)?;
        for side in self.patch {
            within("tokenizer.patch", side, 1, bound::PATCH)?;
        }
        within(
            "tokenizer.latent_channels",
            self.latent_channels,
            1,
            bound::CHANNELS,
        )?;
        within("tokenizer.width", self.width, 2, bound::WIDTH)?;
        within("tokenizer.heads", self.heads, 1, self.width / 2)?;
        check(self.width.is_multiple_of(self.heads * 2), || {
            format!(
                "width {} does not give {} heads of even width",
                self.width, self.heads
            )
        })?;
        within("tokenizer.encoder_layers", self.encoder_layers, 0, bound::LAYERS)?;
        within("tokenizer.decoder_layers", self.decoder_layers, 0, bound::LAYERS)?;
        within("tokenizer.mlp_ratio", self.mlp_ratio, 1, bound::MLP_RATIO)?;
        if let Some(window) = self.window {
            for (w, s) in window.into_iter().zip(self.shift) {
                within("tokenizer.window", w, 1, bound::WINDOW)?;
                within("tokenizer.shift", s, 0, w - 1)?;
            }
        }
        check(self.rope_theta.is_finite() && self.rope_theta >= 1.0, || {
            format!(
                "tokenizer.rope_theta is {}, but must be at least 1",
                self.rope_theta
            )
        })?;
        if let Some(step) = self.depth_step {
            within("tokenizer.depth_step", step, 1, self.bits)?;
        }
        within(
            "tokenizer.chunk_latent_frames",
            self.chunk_latent_frames,
            1,
            bound::CHUNK,
        )
    }
}
