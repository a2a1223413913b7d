//! The Wan family of causal video VAEs, chunk by chunk.

mod layers;
mod network;
mod state;

use candle_core::{DType, Tensor};

pub use state::{DecoderState, EncoderState};

use crate::bundle::{VaeConfig, Weights};
use crate::error::{Error, Result};
use crate::kernels::{Linear, patchify, unpatchify};
use network::{Network, moments};

/// A causal video VAE: frames to latent and back, chunk by chunk with the same result as in one piece.
pub struct WanVae {
    config: VaeConfig,
    encoder: Network,
    /// The encoder's output to the normalised mean: the model's last matrix and the normalisation in one.
    to_latent: Linear,
    /// The normalised latent to the decoder's input, likewise.
    from_latent: Linear,
    decoder: Network,
}

impl WanVae {
    pub(crate) fn load(config: &VaeConfig, weights: &mut Weights<'_>) -> Result<Self> {
        let encoder = Network::encoder(config, weights)?;
        let to_latent = to_latent(config, weights)?;
        let from_latent = from_latent(config, weights)?;
        let decoder = Network::decoder(config, weights)?;
        Ok(Self {
            config: config.clone(),
            encoder,
            to_latent,
            from_latent,
            decoder,
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
        let [time, height, width] = self.strides();
        let fits = match (frames.dtype(), frames.dims()) {
            (DType::F32, &[t, h, w, 3]) => {
                let later = if state.is_fresh() {
                    t.checked_sub(1)
                } else {
                    Some(t)
                };
                let whole = later.is_some_and(|t| t.is_multiple_of(time));
                t > 0 && whole && h > 0 && w > 0 && h.is_multiple_of(height) && w.is_multiple_of(width)
            }
            _ => false,
        };
        if !fits || !state.0.fits(frames) {
            let first = if state.is_fresh() { "1 + " } else { "" };
            let expected = format!(
                "f32 ({first}{time}n, {height}n, {width}n, 3), of the same height and width throughout a group"
            );
            return Err(Error::shape("frames", frames.dims(), expected));
        }
        state.0.remember(frames);
        let x = patchify(frames, self.config.patch)?;
        Ok(self
            .to_latent
            .forward(&self.encoder.forward(&x, &mut state.0)?, None)?)
    }

    /// Normalised latent to frames.
    ///
    /// `latent` is f32 (T', h, w, C) with any T' > 0. Gives (T, H, W, 3), nominally in -1…1 but **not clamped**;
    /// T = 1 + s·(T' - 1) when `state` is fresh and s·T' when it continues a group, for a time stride of s.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes; `state` is then unchanged. After any other error, reset it.
    pub fn decode(&self, latent: &Tensor, state: &mut DecoderState) -> Result<Tensor> {
        let fits = match (latent.dtype(), latent.dims()) {
            (DType::F32, &[t, h, w, c]) => t > 0 && h > 0 && w > 0 && c == self.latent_channels(),
            _ => false,
        };
        if !fits || !state.0.fits(latent) {
            let expected = format!(
                "f32 (n, n, n, {}), of the same height and width throughout a group",
                self.latent_channels()
            );
            return Err(Error::shape("latent", latent.dims(), expected));
        }
        state.0.remember(latent);
        let x = self
            .decoder
            .forward(&self.from_latent.forward(latent, None)?, &mut state.0)?;
        Ok(unpatchify(&x, self.config.patch)?)
    }
}

/// A square matrix without extent and its bias; empty if the bundle lacks them.
fn pointwise(weights: &mut Weights<'_>, name: &str, channels: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let matrix = weights.take(&format!("{name}.weight"), &[channels, channels, 1, 1, 1], |w| w)?;
    let bias = weights.take(&format!("{name}.bias"), &[channels], |b| b)?;
    Ok((matrix.to_vec1()?, bias.to_vec1()?))
}

/// Mean and standard deviation of each latent channel.
fn statistics(config: &VaeConfig) -> impl Iterator<Item = (f32, f32)> {
    let value = |values: &[f32], index: usize, default| values.get(index).copied().unwrap_or(default);
    (0..config.latent_channels).map(move |c| {
        (
            value(&config.latent_mean, c, 0.0),
            value(&config.latent_std, c, 1.0),
        )
    })
}

/// z = (M·h + b - mean) / std, of the mean's channels only.
fn to_latent(config: &VaeConfig, weights: &mut Weights<'_>) -> Result<Linear> {
    let inputs = moments(config);
    let (mut matrix, mut bias) = pointwise(weights, "vae.conv1", inputs)?;
    matrix.truncate(config.latent_channels * inputs);
    bias.truncate(config.latent_channels);
    for ((row, bias), (mean, std)) in matrix
        .chunks_exact_mut(inputs)
        .zip(&mut bias)
        .zip(statistics(config))
    {
        row.iter_mut().for_each(|m| *m /= std);
        *bias = (*bias - mean) / std;
    }
    Ok(Linear::from_matrix(&matrix, bias, weights.device())?)
}

/// h = M·(z · std + mean) + b.
fn from_latent(config: &VaeConfig, weights: &mut Weights<'_>) -> Result<Linear> {
    let channels = config.latent_channels;
    let (mut matrix, mut bias) = pointwise(weights, "vae.conv2", channels)?;
    for (row, bias) in matrix.chunks_exact_mut(channels).zip(&mut bias) {
        for (m, (mean, std)) in row.iter_mut().zip(statistics(config)) {
            *bias += *m * mean;
            *m *= std;
        }
    }
    Ok(Linear::from_matrix(&matrix, bias, weights.device())?)
}
