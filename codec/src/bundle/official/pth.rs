//! What the shapes of an official checkpoint say of its architecture.

use super::{Family, statistics};
use crate::bundle::config::VaeConfig;
use crate::bundle::source::Source;
use crate::error::{Error, Result};

/// The config of `Wan2.1_VAE.pth` or `Wan2.2_VAE.pth`, or of a model of the same layout with other widths.
///
/// # Errors
/// [`Error::Bundle`] if the tensors that tell them apart are missing. All others are checked when they are loaded.
pub(crate) fn config_of(source: &dyn Source) -> Result<VaeConfig> {
    let shape = |name: &str| {
        let shape = source.shape(name);
        shape.ok_or_else(|| {
            Error::bundle(format!(
                "there is no {name}, so it is not the VAE of Wan 2.1 or 2.2 in the official layout; if it is of \
                 diffusers, give the folder with its config.json"
            ))
        })
    };
    let side = |shape: &[usize], axis: usize| shape.get(axis).copied().unwrap_or(0);
    let first = shape("encoder.conv1.weight")?;
    let last = shape("decoder.head.2.weight")?;
    let latent_channels = side(&shape("conv2.weight")?, 0);
    let shortcuts = source
        .shape("encoder.downsamples.0.downsamples.0.residual.2.weight")
        .is_some();
    let patch = (1..=16)
        .find(|patch| 3 * patch * patch == side(&first, 1))
        .ok_or_else(|| {
            Error::bundle(format!(
                "encoder.conv1.weight takes {} channels, which are no squares of RGB pixels",
                side(&first, 1)
            ))
        })?;
    let (latent_mean, latent_std) = statistics::of(latent_channels);
    Ok(Family {
        base: side(&first, 0),
        decoder_base: side(&last, 1),
        latent_channels,
        multipliers: vec![1, 2, 4, 4],
        blocks: 2,
        down_time: vec![false, true, true],
        patch,
        shortcuts,
        latent_mean,
        latent_std,
    }
    .config())
}
