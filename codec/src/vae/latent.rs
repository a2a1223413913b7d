//! Between the networks and the normalised latent.

use crate::bundle::{VaeConfig, Weights};

/// A matrix (outputs, inputs) and what is added to each output.
pub(super) struct Affine {
    pub(super) matrix: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Affine {
    /// This map after `inner`, as one map. Empty if one of them is.
    pub(super) fn after(&self, inner: &Self) -> Self {
        let middle = inner.bias.len();
        if middle == 0 || self.matrix.len() != self.bias.len() * middle {
            return Self {
                matrix: Vec::new(),
                bias: Vec::new(),
            };
        }
        let inputs = inner.matrix.len() / middle;
        let mut matrix = Vec::with_capacity(self.bias.len() * inputs);
        let mut bias = Vec::with_capacity(self.bias.len());
        for (row, &b) in self.matrix.chunks_exact(middle).zip(&self.bias) {
            let dot = |value: &dyn Fn(usize) -> f32| {
                let terms = row
                    .iter()
                    .enumerate()
                    .map(|(i, &m)| f64::from(m) * f64::from(value(i)));
                terms.sum::<f64>()
            };
            matrix.extend((0..inputs).map(|column| dot(&|i| inner.matrix[i * inputs + column]) as f32));
            bias.push((dot(&|i| inner.bias[i]) + f64::from(b)) as f32);
        }
        Self { matrix, bias }
    }
}

/// Channels of the encoder's last convolution in the model.
pub(super) fn moments(config: &VaeConfig) -> usize {
    config.latent_channels * if config.moments { 2 } else { 1 }
}

/// A square matrix without extent and its bias; empty if the bundle lacks them.
fn pointwise(weights: &mut Weights<'_>, name: &str, channels: usize) -> Affine {
    Affine {
        matrix: weights.values(&format!("{name}.weight"), &[channels, channels, 1, 1, 1]),
        bias: weights.values(&format!("{name}.bias"), &[channels]),
    }
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
pub(super) fn to_latent(config: &VaeConfig, weights: &mut Weights<'_>) -> Affine {
    let inputs = moments(config);
    let Affine { mut matrix, mut bias } = pointwise(weights, "vae.conv1", inputs);
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
    Affine { matrix, bias }
}

/// h = M·(z · std + mean) + b.
pub(super) fn from_latent(config: &VaeConfig, weights: &mut Weights<'_>) -> Affine {
    let channels = config.latent_channels;
    let Affine { mut matrix, mut bias } = pointwise(weights, "vae.conv2", channels);
    for (row, bias) in matrix.chunks_exact_mut(channels).zip(&mut bias) {
        for (m, (mean, std)) in row.iter_mut().zip(statistics(config)) {
            *bias += *m * mean;
            *m *= std;
        }
    }
    Affine { matrix, bias }
}
