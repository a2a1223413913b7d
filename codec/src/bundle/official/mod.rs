//! Official weights of the Wan family: their names, and what their files say of the architecture.

mod diffusers;
mod names;
mod pth;
mod statistics;

pub(crate) use names::Naming;

use super::config::{Kernel, StageConfig, VaeConfig};

pub(crate) use diffusers::{config_name, read_config as read_diffusers_config, weights_name};
pub(crate) use pth::config_of as config_of_pth;

const FULL: Kernel = [3; 3];

/// What tells the members of the family apart.
struct Family {
    base: usize,
    decoder_base: usize,
    latent_channels: usize,
    multipliers: Vec<usize>,
    blocks: usize,
    down_time: Vec<bool>,
    patch: usize,
    shortcuts: bool,
    latent_mean: Vec<f32>,
    latent_std: Vec<f32>,
}

impl Family {
    fn config(self) -> VaeConfig {
        let last = self.multipliers.len().saturating_sub(1);
        let stages = self.multipliers.iter().enumerate().map(|(index, &multiplier)| {
            let channels = self.base.saturating_mul(multiplier);
            let decoder = self.decoder_base.saturating_mul(multiplier);
            StageConfig {
                channels,
                decoder_channels: (decoder != channels).then_some(decoder),
                encoder_blocks: self.blocks,
                decoder_blocks: self.blocks.saturating_add(1),
                kernels: [FULL; 2],
                down_space: index < last,
                down_time: index < last && self.down_time.get(index).copied().unwrap_or(false),
            }
        });
        VaeConfig {
            stages: stages.collect(),
            patch: self.patch,
            latent_channels: self.latent_channels,
            moments: true,
            io_kernel: FULL,
            mid_blocks: 2,
            mid_attention: true,
            latent_mean: self.latent_mean,
            latent_std: self.latent_std,
            shortcuts: self.shortcuts,
        }
    }
}
