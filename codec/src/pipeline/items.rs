//! What goes from stage to stage, and what comes out of a decoder.

use latentbit_container::PixelFrames;

use super::conceal::{Fidelity, Gap};
use crate::frame::Frame;
use crate::volume::Volume;

/// The latents of one chunk.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LatentChunk {
    /// Its number in the stream.
    pub sequence: u64,
    /// The first frame that it stands for.
    pub first_frame: PixelFrames,
    /// How many frames it stands for.
    pub frame_count: PixelFrames,
    /// Whether a group begins with it: then its first latent frame stands for one frame.
    pub key: bool,
    /// f32 (T', h, w, C) of about zero mean and unit variance.
    pub latent: Volume,
    /// The frames that it was made of, padded, f32 (T, H, W, 3) in −1…1, if they are kept.
    pub(crate) source: Option<Volume>,
}

impl LatentChunk {
    /// The latents of frames `first_frame` to `first_frame + frame_count`, as chunk `sequence` of a stream.
    #[must_use]
    pub fn new(
        sequence: u64,
        first_frame: PixelFrames,
        frame_count: PixelFrames,
        key: bool,
        latent: Volume,
    ) -> Self {
        Self {
            sequence,
            first_frame,
            frame_count,
            key,
            latent,
            source: None,
        }
    }
}

/// What a VAE decoder takes.
#[derive(Debug)]
pub(super) enum Latents {
    Chunk(LatentChunk),
    Predicted(Predicted),
    Gap(Gap),
}

/// Chunks that were predicted, one after the other, at least one.
#[derive(Debug)]
pub(super) struct Predicted {
    pub(super) chunks: Vec<LatentChunk>,
    /// Whether the frame before them is one that they were predicted from.
    pub(super) before: bool,
    /// What follows them, if that is one that they were predicted from.
    pub(super) next: Option<Next>,
}

/// How a chunk begins that follows others.
#[derive(Debug)]
pub(super) struct Next {
    /// Its first latent frame (1, h, w, C).
    pub(super) latent: Volume,
    /// Whether a group begins with it.
    pub(super) key: bool,
}

impl From<LatentChunk> for Latents {
    fn from(chunk: LatentChunk) -> Self {
        Self::Chunk(chunk)
    }
}

/// A frame, and what it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DecodedFrame {
    /// Its index in the stream.
    pub index: PixelFrames,
    /// Whether it is what the encoder meant.
    pub fidelity: Fidelity,
    /// The picture.
    pub frame: Frame,
}

impl From<DecodedFrame> for Frame {
    fn from(decoded: DecodedFrame) -> Self {
        decoded.frame
    }
}
