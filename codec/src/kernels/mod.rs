//! The hot operators, in layers: [`spec`] says what they compute, [`cpu`] and [`cuda`] how, [`dispatch`] where.
//!
//! Activations are channels last, without a batch axis, in buffers that a stream keeps from one call to the next, so
//! that nothing small is allocated while it runs; on the CPU, what is large is given back where it lies idle. An operator
//! reads an [`Operand`]: values rounded to the number type of the networks, with the zeros around them and the frames
//! before them in place. It writes to a [`Sink`], which applies bias, activation, residual and norm while sums are at
//! hand, and makes the operands of the operators that follow.
//!
//! Networks are lists of operators that are the same wherever they run.

mod allocator;
pub(crate) mod cpu;
// Without the feature there is no driver, and what only drivers look at is not looked at.
#[cfg_attr(not(any(test, feature = "cuda")), expect(dead_code))]
mod cuda;
mod dispatch;
mod spec;
mod streams;

pub use allocator::{EndingAllocator, return_large_blocks};
pub(crate) use cpu::kind::Kind;
pub(crate) use cpu::{AttentionBuffers, is_large};
#[cfg(test)]
pub(crate) use cuda::Emulator;
#[cfg(feature = "cuda")]
pub(crate) use cuda::Nvidia;
pub use cuda::OperatorTime;
pub(crate) use cuda::{Copies, Driver, Gpu, Profiler};
pub(crate) use dispatch::{
    Attention, Backend, Conv, Kept, Later, Norm, Operand, Rotary, Sink, Stream, Target, Values, add, fill,
    fill_clip, fill_patches, frame_bytes, over_time, unpatchify, unpatchify_clip,
};
pub use spec::Dtype;
pub(crate) use spec::{
    Activation, AttentionSpec, ConvSpec, Epsilon, Input, RmsNorm, RotaryTables, ShortcutSpec,
};
pub use streams::stdout_is_closed;
