//! How many planes each token keeps: errors of tokens at each depth, and the choice among them.
//!
//! A depth is worth its bits where it takes enough error away. [`DepthErrors`] says how large the error of each token is
//! at each depth, measured by decoding the chunk with all its tokens cut to that depth; [`Effort`] says how closely. The
//! choice is one Lagrangian rule: each token takes the depth with the least error + λ · bits
//! ([`ElasticChunk::shaped`]).

mod control;
mod errors;
mod shape;

pub use control::{Bitrate, MAX_CRF, RateControl, Target, best_fitting};
pub use errors::{DepthErrors, Effort};
pub(crate) use errors::{Meter, Sensitivity};
pub use shape::{Shaped, lambda_of_crf};

use latentbit_container::{Chunk, layer_costs};

use crate::error::Result;

/// Planes from one depth to the next, unless the caller wants another number: a step costs a bit or less beside the three
/// that it decides about.
pub const DEFAULT_DEPTH_STEP: u8 = 3;

/// A chunk with tokens of all depths to choose from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ElasticChunk {
    /// The chunk; its tokens have all their planes.
    pub chunk: Chunk,
    /// What each depth would cost in quality.
    pub errors: DepthErrors,
    /// What each layer of each token would take in a file, in bits.
    pub costs: Vec<Vec<f32>>,
}

impl ElasticChunk {
    /// Of a chunk and the errors of its tokens.
    ///
    /// # Errors
    /// [`Error::Container`](crate::Error::Container) if its tokens break a rule.
    pub fn new(chunk: Chunk, errors: DepthErrors) -> Result<Self> {
        let costs = layer_costs(&chunk.tokens, errors.step)?;
        Ok(Self { chunk, errors, costs })
    }
}
