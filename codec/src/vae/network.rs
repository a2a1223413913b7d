//! Encoder and decoder: the order of their layers.

use candle_core::{Result, Tensor};

use super::layers::{
    AttentionBlock, CausalConv, Downsample, Halving, Layer, ResidualBlock, Upsample, norm_silu,
};
use super::state::Cache;
use crate::bundle::{StageConfig, VaeConfig, Weights};
use crate::kernels::{ConvSpec, RmsNorm};

/// A convolution, layers, a norm and a last convolution: the frame of both networks.
pub(super) struct Network {
    first: CausalConv,
    layers: Vec<Layer>,
    norm: RmsNorm,
    last: CausalConv,
}

impl Network {
    /// (T, H, W, 3 · patch²) to (T', H', W', moments).
    pub(super) fn encoder(config: &VaeConfig, weights: &mut Weights<'_>) -> Result<Self> {
        let mut channels = config.stages.first().map_or(0, |s| s.channels);
        let first = ConvSpec::new(3 * config.patch * config.patch, channels, config.io_kernel);
        let first = CausalConv::load(weights, "encoder.conv1", first)?;
        let mut layers = Vec::new();
        for stage in &config.stages {
            for _ in 0..stage.encoder_blocks {
                let name = format!("encoder.downsamples.{}", layers.len());
                let block = ResidualBlock::load(weights, &name, [channels, stage.channels], stage.kernels)?;
                layers.push(Layer::Residual(block));
                channels = stage.channels;
            }
            if let Some(halving) = halving(stage) {
                let name = format!("encoder.downsamples.{}", layers.len());
                layers.push(Layer::Down(Downsample::load(weights, &name, channels, halving)?));
            }
        }
        layers.extend(middle("encoder", config, channels, weights)?);
        let norm = norm_silu(weights, "encoder.head.0", channels)?;
        let last = ConvSpec::new(channels, moments(config), config.io_kernel);
        let last = CausalConv::load(weights, "encoder.head.2", last)?;
        Ok(Self {
            first,
            layers,
            norm,
            last,
        })
    }

    /// (T', H', W', C) to (T, H, W, 3 · patch²).
    pub(super) fn decoder(config: &VaeConfig, weights: &mut Weights<'_>) -> Result<Self> {
        let mut channels = config.stages.last().map_or(0, |s| s.channels);
        let first = ConvSpec::new(config.latent_channels, channels, config.io_kernel);
        let first = CausalConv::load(weights, "decoder.conv1", first)?;
        let mut layers = middle("decoder", config, channels, weights)?;
        let before = layers.len();
        for (index, stage) in config.stages.iter().enumerate().rev() {
            for _ in 0..stage.decoder_blocks {
                let name = format!("decoder.upsamples.{}", layers.len() - before);
                let block = ResidualBlock::load(weights, &name, [channels, stage.channels], stage.kernels)?;
                layers.push(Layer::Residual(block));
                channels = stage.channels;
            }
            let above = index.checked_sub(1).and_then(|above| config.stages.get(above));
            if let Some(halving) = above.and_then(halving) {
                let name = format!("decoder.upsamples.{}", layers.len() - before);
                let outputs = if halving.space { channels / 2 } else { channels };
                layers.push(Layer::Up(Upsample::load(
                    weights,
                    &name,
                    [channels, outputs],
                    halving,
                )?));
                channels = outputs;
            }
        }
        let norm = norm_silu(weights, "decoder.head.0", channels)?;
        let last = ConvSpec::new(channels, 3 * config.patch * config.patch, config.io_kernel);
        let last = CausalConv::load(weights, "decoder.head.2", last)?;
        Ok(Self {
            first,
            layers,
            norm,
            last,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let mut x = self.first.forward(x, None, cache)?;
        for layer in &self.layers {
            x = layer.forward(&x, cache)?;
        }
        let x = self.last.forward(&self.norm.forward(&x)?, None, cache)?;
        cache.started = true;
        Ok(x)
    }
}

/// Channels of the encoder's output.
pub(super) fn moments(config: &VaeConfig) -> usize {
    config.latent_channels * if config.moments { 2 } else { 1 }
}

fn halving(stage: &StageConfig) -> Option<Halving> {
    (stage.down_space || stage.down_time).then_some(Halving {
        space: stage.down_space,
        time: stage.down_time,
    })
}

fn middle(
    network: &str,
    config: &VaeConfig,
    channels: usize,
    weights: &mut Weights<'_>,
) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    let kernels = config.stages.last().map_or([[1; 3]; 2], |s| s.kernels);
    for block in 0..config.mid_blocks {
        if block == 1 && config.mid_attention {
            layers.push(attention(network, layers.len(), channels, weights)?);
        }
        let name = format!("{network}.middle.{}", layers.len());
        layers.push(Layer::Residual(ResidualBlock::load(
            weights,
            &name,
            [channels; 2],
            kernels,
        )?));
    }
    if config.mid_blocks == 1 && config.mid_attention {
        layers.push(attention(network, layers.len(), channels, weights)?);
    }
    Ok(layers)
}

fn attention(network: &str, index: usize, channels: usize, weights: &mut Weights<'_>) -> Result<Layer> {
    let block = AttentionBlock::load(weights, &format!("{network}.middle.{index}"), channels)?;
    Ok(Layer::Attention(block))
}
