//! The two scales that latents come in.

use clap::ValueEnum;
use latentbit_codec::bundle::VaeConfig;
use serde::{Deserialize, Serialize};

/// A scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// As the VAE's encoder gives them: the mean of the posterior.
    Raw,
    /// Less the VAE's mean, over its standard deviation, channel by channel: as diffusion models take them.
    Normalised,
}

/// Between a scale and the one that pipelines have, which is the normalised one.
#[derive(Clone, Debug)]
pub struct Scaling {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Scaling {
    pub fn new(config: &VaeConfig, scale: Scale) -> Self {
        let channels = config.latent_channels;
        let values = |values: &[f32], default| match (scale, values) {
            (Scale::Normalised, _) | (_, []) => vec![default; channels],
            (Scale::Raw, values) => values.to_vec(),
        };
        Self {
            mean: values(&config.latent_mean, 0.0),
            std: values(&config.latent_std, 1.0),
        }
    }

    /// From a pipeline; the channel is the last axis.
    pub fn outward(&self, values: &mut [f32]) {
        self.each(values, |value, mean, std| value * std + mean);
    }

    /// To a pipeline.
    pub fn inward(&self, values: &mut [f32]) {
        self.each(values, |value, mean, std| (value - mean) / std);
    }

    fn each(&self, values: &mut [f32], map: impl Fn(f32, f32, f32) -> f32) {
        for position in values.chunks_exact_mut(self.mean.len()) {
            for ((value, &mean), &std) in position.iter_mut().zip(&self.mean).zip(&self.std) {
                *value = map(*value, mean, std);
            }
        }
    }
}
