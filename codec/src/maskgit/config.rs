//! The config in a predictor's metadata, with the field names of the training recipe.

use serde::{Deserialize, Serialize};

use crate::bundle::Kernel;
use crate::error::{Error, Result};
use crate::vit::VitConfig;

/// The only predictor format that this version reads.
pub const FORMAT: &str = "latentbit.predictor/1";

/// All that a predictor's metadata says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PredictorFileConfig {
    /// Name for people.
    pub name: String,
    /// Always [`FORMAT`].
    pub format: String,
    /// SHA-256 of the bundle whose tokens it predicts, as 64 hexadecimal digits.
    pub bundle: String,
    /// The network.
    pub predictor: PredictorConfig,
    /// Free notes on how the weights were made.
    #[serde(default)]
    pub training: serde_json::Map<String, serde_json::Value>,
}

/// The transformer over the tokens of some chunks in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PredictorConfig {
    /// Bits of a token, 1 to 64.
    pub bits: usize,
    /// Width of the transformer.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
    /// Hidden width of the MLP over `width`.
    pub mlp_ratio: usize,
    /// Attention window in tokens; none: every token of a window of chunks sees every other one.
    pub window: Option<Kernel>,
    /// By how much the windows of odd layers are shifted, in tokens; each less than the window.
    pub shift: Kernel,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How many tokens in a row in time it was trained on, at most.
    pub steps: usize,
}

impl From<&PredictorConfig> for VitConfig {
    fn from(config: &PredictorConfig) -> Self {
        Self {
            width: config.width,
            heads: config.heads,
            mlp_ratio: config.mlp_ratio,
            window: config.window,
            shift: config.shift,
            rope_theta: config.rope_theta,
        }
    }
}

/// The largest values that make sense; they keep a hostile config from asking for absurd work.
mod bound {
    pub(super) const WIDTH: usize = 8192;
    pub(super) const LAYERS: usize = 128;
    pub(super) const MLP_RATIO: usize = 16;
    pub(super) const WINDOW: usize = 256;
    pub(super) const STEPS: usize = 1024;
}

fn check(holds: bool, rule: impl FnOnce() -> String) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::predictor(rule()))
    }
}

fn within(what: &str, value: usize, low: usize, high: usize) -> Result<()> {
    check((low..=high).contains(&value), || {
        format!("{what} is {value}, but must be {low} to {high}")
    })
}

impl PredictorFileConfig {
    /// Reads the JSON that the training recipe writes.
    ///
    /// # Errors
    /// [`Error::Predictor`] for another format, for fields that are missing or unknown, and for values out of range.
    pub fn from_json(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Tag {
            format: String,
        }
        let json = |error: serde_json::Error| Error::predictor(format!("its config: {error}"));
        let tag: Tag = serde_json::from_str(text).map_err(json)?;
        check(tag.format == FORMAT, || {
            format!(
                "its format is {:?}, but this version reads {FORMAT:?} only",
                tag.format
            )
        })?;
        let config: Self = serde_json::from_str(text).map_err(json)?;
        config.predictor.validate()?;
        Ok(config)
    }
}

impl PredictorConfig {
    fn validate(&self) -> Result<()> {
        within("predictor.bits", self.bits, 1, 64)?;
        within("predictor.width", self.width, 2, bound::WIDTH)?;
        within("predictor.heads", self.heads, 1, self.width / 2)?;
        check(self.width.is_multiple_of(self.heads * 2), || {
            format!(
                "width {} does not give {} heads of even width",
                self.width, self.heads
            )
        })?;
        within("predictor.layers", self.layers, 0, bound::LAYERS)?;
        within("predictor.mlp_ratio", self.mlp_ratio, 1, bound::MLP_RATIO)?;
        if let Some(window) = self.window {
            for (w, s) in window.into_iter().zip(self.shift) {
                within("predictor.window", w, 1, bound::WINDOW)?;
                within("predictor.shift", s, 0, w - 1)?;
            }
        }
        check(self.rope_theta.is_finite() && self.rope_theta >= 1.0, || {
            format!(
                "predictor.rope_theta is {}, but must be at least 1",
                self.rope_theta
            )
        })?;
        within("predictor.steps", self.steps, 1, bound::STEPS)
    }
}
