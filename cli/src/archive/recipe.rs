//! What is made of each clip.

use latentbit_codec::pipeline::Options;
use latentbit_container::WriterOptions;

use latentbit_media::Filters;

use super::shard::Full;

/// How clips are made, whichever they are.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub full: Full,
    /// Whether tokens are wanted as arrays of numpy, too.
    pub npy: bool,
    /// Bits of each token to keep; all by default.
    pub bits: Option<u8>,
    /// Latent frames of a chunk; what the bundle has by default.
    pub chunk: Option<u16>,
    pub options: Options,
    pub writer_options: WriterOptions,
    pub filters: Filters,
    pub audio: bool,
    pub subtitles: bool,
    /// Frames that a clip must have.
    pub min_frames: u64,
    /// Pixels that the short side of its pictures must have.
    pub min_size: u32,
    /// Measure the quality of every so many clips; 0 for none.
    pub quality_sample: u64,
    /// Bytes of memory that a clip in the making may take.
    pub memory: Option<u64>,
}
