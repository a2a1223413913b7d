//! The folder of a VAE as the library diffusers writes it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Family, statistics};
use crate::bundle::config::VaeConfig;
use crate::error::{Error, Result};

/// The class of the models that can be read.
const CLASS: &str = "AutoencoderKLWan";

/// The fields of `config.json` that say something of the architecture, with the defaults of the class.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(rename = "_class_name")]
    class: Option<String>,
    base_dim: usize,
    decoder_base_dim: Option<usize>,
    z_dim: usize,
    dim_mult: Vec<usize>,
    num_res_blocks: usize,
    attn_scales: Vec<f32>,
    temperal_downsample: Vec<bool>,
    latents_mean: Option<Vec<f32>>,
    latents_std: Option<Vec<f32>>,
    is_residual: bool,
    patch_size: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            class: None,
            base_dim: 96,
            decoder_base_dim: None,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            attn_scales: Vec::new(),
            temperal_downsample: vec![false, true, true],
            latents_mean: None,
            latents_std: None,
            is_residual: false,
            patch_size: None,
        }
    }
}

/// The config in a folder, or in the `vae` folder of a whole pipeline.
pub(crate) fn config_name(folder: &Path) -> Option<PathBuf> {
    let vae = folder.join("vae").join("config.json");
    let own = folder.join("config.json");
    [vae, own].into_iter().find(|path| path.is_file())
}

/// The weights beside a config.
pub(crate) fn weights_name(config: &Path) -> PathBuf {
    config.with_file_name("diffusion_pytorch_model.safetensors")
}

/// Reads a `config.json`.
///
/// # Errors
/// [`Error::Bundle`] if it is of another class, or asks for what the family does not have.
pub(crate) fn read_config(text: &str) -> Result<VaeConfig> {
    let config: Config =
        serde_json::from_str(text).map_err(|error| Error::bundle(format!("its config.json: {error}")))?;
    if config.class.as_deref() != Some(CLASS) {
        return Err(Error::bundle(format!(
            "its config.json is of the class {:?}, but must be of {CLASS}",
            config.class.unwrap_or_default()
        )));
    }
    if !config.attn_scales.is_empty() {
        return Err(Error::bundle(
            "its config.json has attn_scales, but attention between stages is not supported",
        ));
    }
    if config.dim_mult.len() > 16 {
        return Err(Error::bundle(format!(
            "its config.json has a dim_mult of {} stages",
            config.dim_mult.len()
        )));
    }
    let (mean, std) = statistics::of(config.z_dim);
    Ok(Family {
        base: config.base_dim,
        decoder_base: config.decoder_base_dim.unwrap_or(config.base_dim),
        latent_channels: config.z_dim,
        multipliers: config.dim_mult,
        blocks: config.num_res_blocks,
        down_time: config.temperal_downsample,
        patch: config.patch_size.unwrap_or(1),
        shortcuts: config.is_residual,
        latent_mean: config.latents_mean.unwrap_or(mean),
        latent_std: config.latents_std.unwrap_or(std),
    }
    .config())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_wan_2_1() {
        let config = read_config(r#"{"_class_name": "AutoencoderKLWan", "unknown": 1}"#).unwrap();
        assert_eq!(config.strides(), [4, 8, 8]);
        assert_eq!(config.stages.len(), 4);
        assert_eq!(config.stages[3].channels, 384);
        assert_eq!(config.latent_mean.len(), 16);
        assert!(!config.shortcuts);
    }

    #[test]
    fn the_config_of_wan_2_2() {
        let text = r#"{"_class_name": "AutoencoderKLWan", "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48,
            "is_residual": true, "patch_size": 2, "in_channels": 12, "out_channels": 12}"#;
        let config = read_config(text).unwrap();
        assert_eq!(config.strides(), [4, 16, 16]);
        assert_eq!(config.stages[1].channels, 320);
        assert_eq!(config.stages[1].decoder_channels(), 512);
        assert_eq!((config.latent_std.len(), config.shortcuts), (48, true));
    }

    #[test]
    fn other_classes_are_refused() {
        for text in ["{}", "[]", r#"{"_class_name": "AutoencoderKL"}"#] {
            assert!(read_config(text).is_err(), "{text}");
        }
        let more = r#"{"_class_name": "AutoencoderKLWan", "attn_scales": [0.5]}"#;
        assert!(read_config(more).unwrap_err().to_string().contains("attn_scales"));
    }
}
