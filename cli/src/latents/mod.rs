//! Latents and frames as files of safetensors: `latents` and `frames`, each [1, C, T, H, W].

mod about;
mod read;
mod scale;

pub use about::About;
pub use read::TensorFile;
pub use scale::{Scale, Scaling};

/// The name of a tensor of latents.
pub const LATENTS: &str = "latents";
