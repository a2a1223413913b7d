//! The hot operators behind one interface: what they compute. How is in [`cpu`] and [`cuda`].
//!
//! Activations are channels last, without a batch axis, in buffers that a stream keeps from one call to the next, so
//! that nothing small is allocated while it runs; on the CPU, what is large is given back where it lies idle. An operator
//! reads an [`Operand`]: values rounded to the number type of the networks, with the zeros around them and the frames
//! before them in place. It writes to a [`Sink`], which applies bias, activation, residual and norm while sums are at
//! hand, and makes the operands of the operators that follow.
//!
//! A [`Backend`] says where that happens. Networks are lists of operators that are the same for all of them.

mod allocator;
mod attention;
mod backend;
mod conv;
pub(crate) mod cpu;
// Without the feature there is no driver, and what only drivers look at is not looked at.
#[cfg_attr(not(any(test, feature = "cuda")), expect(dead_code))]
mod cuda;
mod dtype;
mod extent;
mod kept;
mod norm;
mod operand;
mod shortcut;
mod shuffle;
mod sink;
mod spec;
mod values;

pub use allocator::return_large_blocks;
pub(crate) use attention::{Attention, Rotary, frame_bytes};
pub(crate) use backend::Backend;
pub(crate) use conv::Conv;
pub(crate) use cpu::kind::Kind;
pub(crate) use cpu::{AttentionBuffers, is_large};
#[cfg(test)]
pub(crate) use cuda::Emulator;
#[cfg(feature = "cuda")]
pub(crate) use cuda::Nvidia;
pub use cuda::OperatorTime;
pub(crate) use cuda::{Copies, Driver, Gpu, Profiler};
pub use dtype::Dtype;
pub(crate) use kept::Kept;
pub(crate) use norm::{Epsilon, Norm, RmsNorm};
pub(crate) use operand::Operand;
pub(crate) use shortcut::ShortcutSpec;
pub(crate) use shuffle::{add, fill, fill_clip, fill_patches, over_time, unpatchify, unpatchify_clip};
pub(crate) use sink::{Sink, Stream, Target};
pub(crate) use spec::{Activation, ConvSpec, Input};
pub(crate) use values::{Later, Values};
