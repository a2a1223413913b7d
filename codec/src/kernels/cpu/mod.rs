//! The operators on the CPU. Work is spread over the caller's rayon pool.

pub(in crate::kernels) mod add;
pub(crate) mod attention;
pub(in crate::kernels) mod conv;
pub(in crate::kernels) mod direct;
pub(in crate::kernels) mod finish;
pub(crate) mod kind;
pub(in crate::kernels) mod micro;
pub(crate) mod operand;
mod over_time;
pub(in crate::kernels) mod scratch;
pub(in crate::kernels) mod shared;
mod shortcut;
pub(in crate::kernels) mod shuffle;
#[cfg(test)]
pub(crate) mod tests;
pub(in crate::kernels) mod vector;
pub(in crate::kernels) mod winograd;
pub(crate) mod words;

pub(crate) use add::add;
pub(crate) use attention::AttentionBuffers;
pub(crate) use conv::Conv;
pub(crate) use operand::{Operand, is_large};
pub(crate) use over_time::over_time;
pub(crate) use shortcut::shortcut;
pub(crate) use shuffle::{fill, fill_patches, unpatchify};
pub(crate) use words::Format;

use super::spec::{self, Buffers, RmsNorm};

/// Buffers on the host.
pub(crate) struct Host;

impl Buffers for Host {
    type Values = [f32];
    type Norm = RmsNorm;
    type Operand = Operand;
}

pub(crate) type Target<'a> = spec::Target<'a, Host>;
pub(crate) type Stream<'a> = spec::Stream<'a, Host>;
pub(crate) type Sink<'a> = spec::Sink<'a, Host>;
