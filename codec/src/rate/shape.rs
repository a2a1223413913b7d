//! The choice of depths.

use latentbit_container::{Chunk, Compression, DepthMap, StoredChunk};

use super::ElasticChunk;
use crate::error::Result;

/// Steps of the rate factor that double λ.
const CRF_OCTAVE: f64 = 6.0;

/// λ at a rate factor of 0, in squared error per bit.
const LAMBDA_OF_CRF_0: f64 = 0.004;

/// The price of a bit at a constant rate factor, in squared error as [`DepthErrors`](super::DepthErrors) has it.
///
/// Rate factors go from 0, with which tokens keep nearly all that helps, to 63, with which they keep a plane or two. λ doubles
/// with six more.
#[must_use]
pub fn lambda_of_crf(crf: f64) -> f64 {
    LAMBDA_OF_CRF_0 * (crf / CRF_OCTAVE).exp2()
}

/// Bits that it takes to say that a token goes on by a layer, about.
const DEPTH_BITS: f64 = 0.3;

/// Chooses depths, chunk after chunk of a stream.
#[derive(Clone, Debug)]
pub struct Shaper {
    compression: Compression,
}

impl Shaper {
    /// For chunks that are stored with `compression`.
    #[must_use]
    pub const fn new(compression: Compression) -> Self {
        Self { compression }
    }

    /// Gives each token the depth with the least error + `lambda` · bits. The chunk keeps as many planes as its deepest token.
    ///
    /// # Errors
    /// [`Error::Container`](crate::Error::Container) if the chunk and its errors do not fit each other.
    pub fn shape(&self, elastic: &ElasticChunk, lambda: f64) -> Result<Chunk> {
        let ElasticChunk { chunk, errors, .. } = elastic;
        let depths = self.depths(elastic, lambda);
        let deepest = depths.iter().copied().max().unwrap_or(0);
        let mut chunk = chunk.clone();
        chunk.tokens = chunk.tokens.with_depths(DepthMap {
            step: errors.step,
            values: depths,
        });
        chunk
            .tokens
            .truncate_bits(deepest.max(errors.step.min(errors.bits)));
        chunk.tokens.validate()?;
        Ok(chunk)
    }

    fn depths(&self, elastic: &ElasticChunk, lambda: f64) -> Vec<u8> {
        let ElasticChunk { errors, costs, .. } = elastic;
        let best = |token: usize| {
            let mut taken = 0.0;
            let mut best = (0, f64::INFINITY);
            for (level, error) in errors.of(token).enumerate() {
                let layer = level
                    .checked_sub(1)
                    .and_then(|layer| costs.get(layer)?.get(token));
                taken += layer.map_or(0.0, |&cost| f64::from(cost) + DEPTH_BITS);
                let price = f64::from(error) + lambda * taken;
                // Of two that are equally good, the one that takes fewer bits.
                if price < best.1 {
                    best = (level, price);
                }
            }
            errors.depth(best.0)
        };
        errors.tokens().map(best).collect()
    }

    /// Packs a shaped chunk.
    ///
    /// # Errors
    /// As for [`StoredChunk::pack`].
    pub fn pack(&self, chunk: &Chunk) -> Result<StoredChunk> {
        Ok(StoredChunk::pack(chunk, self.compression)?)
    }
}
