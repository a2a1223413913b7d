//! The operators on the CPU. Work is spread over the caller's rayon pool.

pub(crate) mod add;
pub(in crate::kernels) mod attention;
pub(in crate::kernels) mod direct;
pub(in crate::kernels) mod finish;
pub(crate) mod kind;
pub(in crate::kernels) mod micro;
pub(crate) mod operand;
pub(in crate::kernels) mod scratch;
pub(in crate::kernels) mod shared;
pub(in crate::kernels) mod vector;
pub(in crate::kernels) mod winograd;
pub(crate) mod words;
