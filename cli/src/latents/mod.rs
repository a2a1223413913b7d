//! Latents and frames as files of safetensors: `latents` and `frames`, each [1, C, T, H, W].

mod about;
mod read;
mod scale;
mod write;

pub use about::About;
pub use read::TensorFile;
pub use scale::{Scale, Scaling};
pub use write::TensorWriter;

/// The name of a tensor of latents.
pub const LATENTS: &str = "latents";

/// The name of a tensor of frames, whose values are -1 to 1.
pub const FRAMES: &str = "frames";
