//! How many planes each token keeps: errors of tokens at each depth, and the choice among them.
//!
//! A depth is worth its bits where it takes enough error away. [`DepthErrors`] says how large the error of each token is
//! at each depth, measured by decoding the chunk with all its tokens cut to that depth; [`Effort`] says how closely. The
//! choice is one Lagrangian rule: each token takes the depth with the least error + λ · bits
//! ([`ElasticChunk::shaped`]).

mod control;
mod errors;
pub(crate) mod sensitivity;
mod shape;
mod size;

pub use control::{Bitrate, DEFAULT_CRF, MAX_CRF, RateControl, Target, best_fitting};
pub use errors::Reshaper;
pub(crate) use errors::{ANCHORS, Meter};
pub use errors::{DepthErrors, Effort, Measure, SourceError};
pub use shape::{Shaped, lambda_of_crf};
pub use size::{KeptFile, KeptItem};

use latentbit_container::{Chunk, VideoStream, layer_costs};

use crate::error::Result;
use crate::model::Bundle;

/// Planes from one depth to the next, unless the caller wants another number: a step costs a bit or less beside the three
/// that it decides about.
pub const DEFAULT_DEPTH_STEP: u8 = 3;

/// Planes from one depth to the next for tokens of a bundle: those that its depth head knows, or [`DEFAULT_DEPTH_STEP`].
#[must_use]
pub fn depth_step(bundle: &Bundle) -> u8 {
    let config = bundle.config.tokenizer.as_ref();
    let step = config.and_then(|config| config.depth_step);
    step.and_then(|step| u8::try_from(step).ok())
        .unwrap_or(DEFAULT_DEPTH_STEP)
}

/// How long the frames of a chunk are shown, in seconds.
#[must_use]
pub fn chunk_seconds(chunk: &Chunk, video: &VideoStream) -> f64 {
    let ticks = match &chunk.times.durations {
        Some(durations) => durations.iter().map(|&ticks| f64::from(ticks)).sum(),
        None => chunk.frame_count.0 as f64 * f64::from(video.frame_duration),
    };
    ticks * f64::from(video.time_base.num) / f64::from(video.time_base.den.max(1))
}

/// A chunk with tokens of all depths to choose from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ElasticChunk {
    /// The chunk; its tokens have all the planes that there are.
    pub chunk: Chunk,
    /// What each depth would cost in quality.
    pub errors: DepthErrors,
    /// What each layer of each token would take in a file, in bits.
    pub costs: Vec<Vec<f32>>,
    /// What is lost before tokens are made, if that was measured.
    pub source: Option<SourceError>,
}

impl ElasticChunk {
    /// Of a chunk and the errors of its tokens.
    ///
    /// # Errors
    /// [`Error::Container`](crate::Error::Container) if its tokens break a rule.
    pub fn new(chunk: Chunk, errors: DepthErrors) -> Result<Self> {
        let costs = layer_costs(&chunk.tokens, errors.step)?;
        Ok(Self {
            chunk,
            errors,
            costs,
            source: None,
        })
    }
}
