//! The hot operators behind one interface: what they compute. How is in the backends' modules.
//!
//! Activations are contiguous f32 with the channels last; there is no batch axis. Each operator is a candle custom op
//! that holds its weights in the order its kernels want, so that a backend is one more method of the op.

mod attention;
mod conv;
mod cpu;
mod linear;
mod norm;
mod shuffle;
#[cfg(test)]
mod tests;

use std::ops::Deref;

use candle_core::{CpuStorage, Layout, Result, Storage, Tensor, bail};

pub(crate) use attention::{Attention, Rotary};
pub(crate) use conv::{Conv, ConvSpec};
pub(crate) use linear::{Activation, Linear};
pub(crate) use norm::{Epsilon, RmsNorm};
pub(crate) use shuffle::{patchify, unpatchify};

/// The values of a contiguous f32 tensor on the CPU.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let CpuStorage::F32(values) = storage else {
        bail!("expected f32, found {:?}", storage_type(storage))
    };
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("expected a contiguous tensor")
    };
    match values.get(start..end) {
        Some(values) => Ok(values),
        None => bail!("a tensor reaches beyond its storage"),
    }
}

fn storage_type(storage: &CpuStorage) -> candle_core::DType {
    use candle_core::backend::BackendStorage;
    storage.dtype()
}

/// Runs `f` on the values of a contiguous f32 tensor on the CPU.
fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match storage.deref() {
        Storage::Cpu(storage) => f(values(storage, layout)?),
        _ => bail!("operands are on different devices"),
    }
}

/// As [`with_values`]; no tensor gives no values.
fn with_optional<R>(tensor: Option<&Tensor>, f: impl FnOnce(Option<&[f32]>) -> Result<R>) -> Result<R> {
    match tensor {
        Some(tensor) => with_values(tensor, |values| f(Some(values))),
        None => f(None),
    }
}
