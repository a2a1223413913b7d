//! What becomes of an operator's outputs.

use super::operand::Operand;
use crate::kernels::norm::RmsNorm;

/// An operand of a later operator, written where its input is produced.
pub(crate) struct Target<'a> {
    pub(crate) norm: Option<&'a RmsNorm>,
    /// Of the right extent; the outputs are its last frames.
    pub(crate) operand: &'a mut Operand,
}

/// f32 values of the shape of the outputs.
pub(crate) struct Stream<'a> {
    pub(crate) values: &'a mut [f32],
    /// Whether its values are added to the outputs.
    pub(crate) add: bool,
    /// Whether it becomes the outputs.
    pub(crate) store: bool,
}

/// Where outputs go. In this order: bias, activation, addition of the stream, store to the stream, targets, signs.
#[derive(Default)]
pub(crate) struct Sink<'a> {
    pub(crate) stream: Option<Stream<'a>>,
    pub(crate) targets: [Option<Target<'a>>; 3],
    /// One token for each position: bit j is set exactly when channel j is above zero.
    pub(crate) tokens: Option<&'a mut [u64]>,
}
