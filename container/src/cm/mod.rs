//! The coder `cm`: adaptive arithmetic coding of bit-planes with two mixed predictions (LBIT §6.2).
//!
//! A bit is predicted twice, from its neighbours in the plane and from the earlier bits of its token; both predictions
//! are mixed with weights that adapt, and the bit is coded with the result. All arithmetic is on integers, so every
//! machine finds the same bits.

mod contexts;
mod layers;
mod model;
mod order;
mod range;
mod tables;

use crate::bits::plane_len;
use crate::error::{Broken, Result};
use crate::ground::TokenGrid;
use contexts::Contexts;
pub(crate) use layers::Layers;
use model::Model;
use order::{Learn, Order};
use range::{RangeDecoder, RangeEncoder};

/// Codes the packed planes of a chunk, one after the other in `packed`. None stands for a plane that does not get
/// shorter.
pub(crate) fn encode(grid: TokenGrid, packed: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut contexts = Contexts::new(grid);
    let mut model = Model::new();
    let mut order = Order::new(grid);
    let planes = packed.chunks_exact(plane_len(grid.len()).max(1));
    planes
        .map(|plane| {
            contexts.set_bits(plane);
            let mut encoder = RangeEncoder::new();
            order.code(&mut contexts, &mut model, &mut encoder);
            contexts.end_plane();
            Some(encoder.finish()).filter(|coded| coded.len() < plane.len())
        })
        .collect()
}

/// Reads the planes of a chunk, in order.
pub(crate) struct Decoder {
    contexts: Contexts,
    model: Model,
    order: Order,
}

impl Decoder {
    /// At the first plane of a chunk. Memory for the grid is allocated, which the caller must have checked.
    pub fn new(grid: TokenGrid) -> Self {
        Self {
            contexts: Contexts::new(grid),
            model: Model::new(),
            order: Order::new(grid),
        }
    }

    /// Unpacks the next plane into `plane`, or, if it was not coded, learns from what `plane` holds.
    pub fn decode_plane(&mut self, coded: Option<&[u8]>, plane: &mut [u8]) -> Result<(), Broken> {
        match coded {
            None => {
                self.contexts.set_bits(plane);
                self.order.code(&mut self.contexts, &mut self.model, &mut Learn);
            }
            Some(coded) => {
                let mut decoder = RangeDecoder::new(coded)?;
                self.order.code(&mut self.contexts, &mut self.model, &mut decoder);
                decoder.finish()?;
                self.contexts.get_bits(plane);
            }
        }
        self.contexts.end_plane();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
