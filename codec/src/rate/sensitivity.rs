//! How strongly the VAE's decoder answers to changes of its latent.

use rayon::prelude::*;

use crate::error::Result;
use crate::vae::{DecoderState, WanVae};
use crate::volume::Volume;

/// How much a change of a latent value by 1 adds to the squared error in pixels, for each channel: of a group's first latent
/// frame, which stands for one frame, and of the others.
#[derive(Clone, Debug)]
pub(crate) struct Sensitivity([Vec<f32>; 2]);

/// Sides of the latent that is disturbed to learn what channels do.
const PROBE: [usize; 2] = [4, 4];

/// Numbers of about zero mean and unit variance that are the same everywhere.
pub(super) fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut uniform = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    (0..len)
        .map(|_| ((0..4).map(|_| uniform()).sum::<f32>() - 2.0) * 1.732)
        .collect()
}

impl Sensitivity {
    /// Decodes a made-up latent with one channel of one latent frame disturbed at a time.
    pub fn of(vae: &WanVae) -> Result<Self> {
        const STEP: f32 = 0.5;
        let channels = vae.latent_channels();
        let [height, width] = PROBE;
        let frame = height * width * channels;
        let latent = noise(2 * frame);
        let decode = |data: Vec<f32>| {
            let latent = Volume::new(&[2, height, width, channels], data)?;
            vae.decode(&latent, &mut DecoderState::default())
        };
        let whole = decode(latent.clone())?;
        let weight = |place: usize, channel: usize| -> Result<f32> {
            let mut changed = latent.clone();
            let values = changed.iter_mut().skip(place * frame + channel).step_by(channels);
            for (at, value) in values.take(height * width).enumerate() {
                *value += if (at / width + at) % 2 == 0 { STEP } else { -STEP };
            }
            let error = squared_difference(decode(changed)?.data(), whole.data());
            Ok(error / (STEP * STEP * (height * width) as f32))
        };
        // So small a latent keeps one core busy at best.
        let weights = |place| -> Result<Vec<f32>> {
            let channels = (0..channels).into_par_iter();
            channels.map(|channel| weight(place, channel)).collect()
        };
        Ok(Self([weights(0)?, weights(1)?]))
    }

    /// The weight of each channel, in a group's first latent frame or in another.
    pub fn weights(&self, first: bool) -> &[f32] {
        let [firsts, others] = &self.0;
        if first { firsts } else { others }
    }
}

pub(super) fn squared_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}
