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
pub(in crate::kernels) mod shuffle;
pub(in crate::kernels) mod sink;
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
pub(crate) use shuffle::{fill, fill_patches, unpatchify};
pub(crate) use sink::{Sink, Stream, Target};
pub(crate) use words::Format;
