//! The hot operators behind one interface: what they compute. How is in [`cpu`].
//!
//! Activations are channels last, without a batch axis, in buffers that a stream keeps from one call to the next, so
//! that nothing is allocated while it runs. An operator reads an [`Operand`]: values rounded to the number type of the
//! networks, with the zeros around them and the frames before them in place. It writes to a [`Sink`], which applies
//! bias, activation, residual and norm while sums are in cache, and makes the operands of the operators that follow.

mod attention;
mod conv;
pub(crate) mod cpu;
mod dtype;
mod norm;
mod shuffle;
mod sink;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use attention::{Attention, Rotary};
pub(crate) use conv::{Conv, ConvSpec};
pub(crate) use cpu::add::add;
pub(crate) use cpu::attention::AttentionBuffers;
pub(crate) use cpu::kind::Kind;
pub(crate) use cpu::operand::Operand;
pub(crate) use cpu::words::Format;
pub use dtype::Dtype;
pub(crate) use norm::{Epsilon, RmsNorm};
pub(crate) use shuffle::{fill, fill_patches, unpatchify};
pub(crate) use sink::{Activation, Sink, Stream, Target};
