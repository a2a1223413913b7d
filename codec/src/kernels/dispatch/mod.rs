//! Operators for networks: each runs on the CPU or on a GPU, as its [`Backend`] says.
//!
//! Buffers are of one device from their first use on. That one device's buffers are given to another is found here, and
//! nowhere below: [`cpu`](super::cpu) and [`cuda`](super::cuda) take only their own types.

mod attention;
mod backend;
mod conv;
mod kept;
mod operand;
mod shuffle;
mod sink;
mod values;

pub(crate) use attention::{Attention, Rotary, frame_bytes};
pub(crate) use backend::Backend;
pub(crate) use conv::Conv;
pub(crate) use kept::Kept;
pub(crate) use operand::Operand;
pub(crate) use shuffle::{add, fill, fill_clip, fill_patches, over_time, unpatchify, unpatchify_clip};
pub(crate) use sink::{Norm, Sink, Stream, Target};
pub(crate) use values::{Later, Values};
