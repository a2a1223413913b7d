//! Sizes that a VAE works with.

use latentbit_container::VideoStream;

use crate::error::{Error, Result};
use crate::model::Bundle;

/// Sizes of a video, of its latent, and of chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Geometry {
    /// Width of a frame in pixels, above 0.
    pub width: u32,
    /// Height of a frame in pixels, above 0.
    pub height: u32,
    /// Frames and pixels per latent position along time, height and width.
    pub strides: [usize; 3],
    /// Latent frames of a full chunk, above 0.
    pub chunk_latent_frames: u16,
}

impl Geometry {
    /// Latent frames of a chunk of a bundle that has no tokenizer to say it.
    pub const CHUNK_LATENT_FRAMES: u16 = 4;

    /// For frames of this size and the VAE of a bundle.
    #[must_use]
    pub fn new(bundle: &Bundle, width: u32, height: u32) -> Self {
        let frames = bundle.tokenizer.as_ref().and_then(|tokenizer| {
            // A longer one cannot be written to a file either.
            tokenizer.config().chunk_latent_frames.try_into().ok()
        });
        Self {
            width,
            height,
            strides: bundle.vae.strides(),
            chunk_latent_frames: frames.unwrap_or(Self::CHUNK_LATENT_FRAMES),
        }
    }

    /// The same for frames of another size.
    #[must_use]
    pub fn with_size(self, width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            ..self
        }
    }

    /// Height and width of the latent of a frame.
    #[must_use]
    pub fn latent_size(&self) -> [usize; 2] {
        let [_, rows, columns] = self.strides;
        [
            (self.height as usize).div_ceil(rows),
            (self.width as usize).div_ceil(columns),
        ]
    }

    /// # Errors
    /// [`Error::Parameter`] if it is not one of the bundle's VAE.
    pub(super) fn check(&self, bundle: &Bundle) -> Result<()> {
        let strides = bundle.vae.strides();
        if self.strides != strides {
            let reason = format!(
                "has strides {:?}, but those of the bundle are {strides:?}",
                self.strides
            );
            return Err(Error::parameter("geometry", reason));
        }
        if self.width == 0 || self.height == 0 || self.chunk_latent_frames == 0 {
            let reason = format!(
                "has frames of {}x{} pixels and chunks of {} latent frames, but must have some of each",
                self.width, self.height, self.chunk_latent_frames
            );
            return Err(Error::parameter("geometry", reason));
        }
        Ok(())
    }
}

impl From<&VideoStream> for Geometry {
    fn from(stream: &VideoStream) -> Self {
        Self {
            width: stream.width,
            height: stream.height,
            strides: stream.strides.map(usize::from),
            chunk_latent_frames: stream.chunk_latent_frames,
        }
    }
}
