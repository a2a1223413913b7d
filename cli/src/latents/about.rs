//! What a file says of its latents.

use latentbit_codec::Bundle;
use latentbit_codec::pipeline::Geometry;
use latentbit_container::Rational;
use serde::{Deserialize, Serialize};

use super::Scale;

/// In the metadata of the file, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    pub schema: String,
    /// Whether values are those of the VAE or normalised by its mean and standard deviation.
    pub scale: Scale,
    /// Name of the VAE's model, for people.
    pub model: String,
    /// SHA-256 of its file, for programs.
    pub model_sha256: String,
    /// Of a frame, in pixels; the latent may stand for more.
    pub width: u32,
    pub height: u32,
    /// How many frames there were; the last latent frame may stand for more.
    pub frames: u64,
    /// Frames and pixels per latent position along time, height and width.
    pub strides: [usize; 3],
    /// Numerator and denominator of the frames per second; a numerator of 0 if they are not known.
    pub frame_rate: [u32; 2],
}

impl About {
    /// The schema that this version writes and reads.
    pub const SCHEMA: &str = "latentbit.latents/1";

    /// The key in the file's metadata.
    pub const KEY: &str = "latentbit.latents";

    /// Of so many frames and their latents.
    pub fn new(bundle: &Bundle, geometry: &Geometry, scale: Scale, frames: u64, rate: Rational) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            scale,
            model: bundle.id.name.clone(),
            model_sha256: bundle.id.sha256_hex(),
            width: geometry.width,
            height: geometry.height,
            frames,
            strides: geometry.strides,
            frame_rate: [rate.num, rate.den],
        }
    }
}
