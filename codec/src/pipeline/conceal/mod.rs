//! What a decoder makes of chunks that are lost.
//!
//! ```text
//! push chunks ─▶ Concealer ─▶ ViT decoder ─▶ VAE decoder ─▶ pull frames
//! ```
//!
//! The [`Concealer`] finds out which chunks are lost and what is to be done about them. What needs tokens is done there;
//! latents and pixels are filled in by the VAE's stage, which has them.

mod blend;
mod fill;
mod plan;
mod stage;

use std::ops::Range;
use std::sync::Arc;

use latentbit_container::{Chunk, LatentFrames, PixelFrames};

pub(super) use blend::{Way, blended_latents};
pub(super) use fill::MadeUp;
pub(super) use stage::Concealer;

use crate::maskgit::{FillOptions, Predictor};

/// Lost chunks in a row that are filled in otherwise than by [`Conceal::Freeze`], at most.
///
/// Further from what is known, nothing that is made up is likely to be right; and what waits for the chunk after the lost
/// ones waits no longer than this.
pub const MAX_CONCEALED_CHUNKS: u64 = 4;

/// What a decoder puts in the place of lost chunks.
#[derive(Clone, Debug, Default)]
pub enum Conceal {
    /// Nothing: their frames are left out, and the others keep their numbers.
    Off,
    /// Copies of the last good frame before them; black, if there is none.
    #[default]
    Freeze,
    /// Frames between the good one before and the good one after them, mixed in pixels; as [`Freeze`](Self::Freeze) where
    /// one of the two is missing.
    Blend,
    /// Latents between the good one before and the good one after them, which the VAE turns into frames, so that its cache
    /// goes on; copies of one of the two where the other is missing.
    Latent,
    /// Tokens that a predictor finds likely between those before and after them, decoded as all others are; their frames are
    /// mixed with those of [`Blend`](Self::Blend), or with the one good frame beside them. Of a chunk that has fewer planes
    /// than another one before it in its segment, those that it lacks are predicted too, and nothing is mixed.
    MaskGit {
        /// The predictor, which must be one for the bundle of the stream.
        predictor: Arc<Predictor>,
        /// How it fills.
        fill: FillOptions,
    },
}

impl Conceal {
    /// What it is, without its settings; none for [`Off`](Self::Off).
    #[must_use]
    pub fn method(&self) -> Option<Method> {
        match self {
            Self::Off => None,
            Self::Freeze => Some(Method::Freeze),
            Self::Blend => Some(Method::Blend),
            Self::Latent => Some(Method::Latent),
            Self::MaskGit { .. } => Some(Method::MaskGit),
        }
    }
}

/// How a frame was filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// As [`Conceal::Freeze`] does it.
    Freeze,
    /// As [`Conceal::Blend`] does it.
    Blend,
    /// As [`Conceal::Latent`] does it.
    Latent,
    /// As [`Conceal::MaskGit`] does it.
    MaskGit,
}

impl Method {
    /// Its name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Blend => "blend",
            Self::Latent => "latent",
            Self::MaskGit => "maskgit",
        }
    }
}

/// What a decoded frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fidelity {
    /// All that it is made of came intact.
    Exact,
    /// Its own tokens came intact, but the VAE's cache holds something else than it did when they were made: a chunk before
    /// it, since the last intact key chunk, is lost.
    Affected,
    /// Its tokens are lost, all or some of them, and it was filled in.
    Concealed(Method),
}

/// Chunks that are lost one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LostRun {
    pub(super) chunks: Range<u64>,
    pub(super) frames: Range<u64>,
}

impl LostRun {
    fn chunk_count(&self) -> u64 {
        self.chunks.end.saturating_sub(self.chunks.start)
    }
}

/// A chunk that is lost, as far as its neighbours tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LostChunk {
    pub(super) sequence: u64,
    pub(super) first_frame: PixelFrames,
    pub(super) frame_count: PixelFrames,
    pub(super) latent_frames: LatentFrames,
    pub(super) key: bool,
}

/// What the ViT's decoder takes.
#[derive(Debug)]
pub(super) enum Part {
    Chunk(Chunk),
    MadeUp(MadeUp),
    Gap(Gap),
}

/// Lost frames that are filled in without tokens.
#[derive(Debug)]
pub(super) struct Gap {
    pub(super) frames: Range<u64>,
    pub(super) cover: Cover,
}

/// What covers a gap.
#[derive(Debug)]
pub(super) enum Cover {
    Nothing,
    Freeze,
    /// Waits for the next frame.
    Blend,
    /// Blended latents in these chunks; if asked, they wait for the next latent.
    Latent(Vec<LostChunk>, Wait),
}

/// Whether what comes after a gap is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    ForNext,
    No,
}
