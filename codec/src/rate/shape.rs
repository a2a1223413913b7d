//! The choice of depths.

use latentbit_container::{Chunk, Compression, DepthMap, StoredChunk};

use super::{DepthErrors, ElasticChunk};
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

/// A chunk that was shaped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shaped {
    /// The chunk with the depths of its tokens.
    pub chunk: Chunk,
    /// As it is stored.
    pub stored: StoredChunk,
    /// Bytes of its record in a file.
    pub bytes: u64,
    /// The rate factor that its depths are those of.
    pub crf: f64,
    /// The PSNR of its frames in dB, over red, green and blue, as it follows from the errors that were measured; only where
    /// [`ElasticChunk::source`] is known.
    pub psnr: Option<f64>,
}

impl ElasticChunk {
    /// Gives each token the depth with the least error + λ · bits, for the λ of a rate factor. The chunk keeps as many planes as
    /// its deepest token, and is stored with `compression`.
    ///
    /// # Errors
    /// [`Error::Container`](crate::Error::Container) if the chunk and its errors do not fit each other, or if the coder refuses
    /// its settings.
    pub fn shaped(&self, crf: f64, compression: Compression) -> Result<Shaped> {
        let depths = self.depth_map(crf);
        let deepest = depths.values.iter().copied().max().unwrap_or(0);
        let DepthErrors { step, bits, .. } = self.errors;
        let source = self.source.as_ref();
        let psnr = source.map(|source| source.psnr(crf, self.errors.total(&depths)));
        let mut chunk = self.chunk.clone();
        chunk.tokens = chunk.tokens.with_depths(depths);
        chunk.tokens.truncate_bits(deepest.max(step.min(bits)));
        let stored = StoredChunk::pack(&chunk, compression)?;
        Ok(Shaped {
            bytes: stored.record_len()?,
            chunk,
            stored,
            crf,
            psnr,
        })
    }

    /// The depths for a rate factor.
    pub(super) fn depth_map(&self, crf: f64) -> DepthMap {
        let mut values = self.depths(lambda_of_crf(crf));
        if let Some(own) = &self.chunk.tokens.depths {
            let pairs = values.iter_mut().zip(&own.values);
            pairs.for_each(|(depth, &own)| *depth = own.min(*depth));
        }
        DepthMap {
            step: self.errors.step,
            values,
        }
    }

    fn depths(&self, lambda: f64) -> Vec<u8> {
        let Self { errors, costs, .. } = self;
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
}
