//! How far the networks see, so that tiles can have margins that make no difference.

use super::WanVae;
use crate::bundle::{StageConfig, VaeConfig};

impl WanVae {
    /// Latent positions on either side that the latent of a position may depend on; none if it depends on all, through
    /// attention.
    #[must_use]
    pub fn encoder_reach(&self) -> Option<usize> {
        (!self.config().mid_attention).then(|| encoder(self.config()))
    }

    /// Latent positions on either side of those of a pixel that it may depend on; none if it depends on all.
    #[must_use]
    pub fn decoder_reach(&self) -> Option<usize> {
        (!self.config().mid_attention).then(|| decoder(self.config()))
    }
}

/// On either side of a convolution's output, in height or width, whichever is more.
fn half([_, rows, columns]: [usize; 3]) -> usize {
    rows.max(columns) / 2
}

fn blocks(stage: &StageConfig, count: usize) -> usize {
    count * stage.kernels.iter().map(|&kernel| half(kernel)).sum::<usize>()
}

fn middle(config: &VaeConfig) -> usize {
    config
        .stages
        .last()
        .map_or(0, |stage| blocks(stage, config.mid_blocks))
}

fn encoder(config: &VaeConfig) -> usize {
    // From the latent to pixels, in positions of the resolution at hand.
    let mut reach = half(config.io_kernel) + middle(config);
    for stage in config.stages.iter().rev() {
        if stage.down_space {
            // Position p is made of 2p to 2p + 2.
            reach = 2 * reach + 2;
        }
        reach += blocks(stage, stage.encoder_blocks);
    }
    reach += half(config.io_kernel);
    let stride = config.strides()[1] / config.patch;
    reach.div_ceil(stride)
}

fn decoder(config: &VaeConfig) -> usize {
    // From pixels to the latent.
    let mut reach = half(config.io_kernel);
    for (index, stage) in config.stages.iter().enumerate() {
        if index > 0 && config.stages[index - 1].down_space {
            // A convolution of 3 taps on positions that were repeated twice.
            reach = (reach + 1).div_ceil(2);
        }
        reach += blocks(stage, stage.decoder_blocks);
    }
    reach + middle(config) + half(config.io_kernel)
}
