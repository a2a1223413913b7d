//! Models on disk: the config, the weights and where they come from.
//!
//! A bundle is one safetensors file whose metadata holds the config, or the official weights of a Wan VAE.
//! [`Bundle`](crate::Bundle) makes networks of them.

mod config;
mod official;
mod source;
mod weights;

pub use config::{BundleConfig, FORMAT, Kernel, QuantizerKind, StageConfig, TokenizerConfig, VaeConfig};
pub(crate) use official::{Naming, config_name, config_of_pth, read_diffusers_config, weights_name};
#[cfg(fuzzing)]
pub use source::fuzzing;
pub(crate) use source::{PthFile, SafetensorsBytes, SafetensorsFile, Source};
pub use weights::Halves;
pub(crate) use weights::Weights;
