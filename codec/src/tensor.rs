//! The values behind tensors.

use candle_core::{DType, Storage, Tensor};

use crate::error::{Error, Result};

/// Runs `f` on the values of an f32 tensor on the CPU, in row-major order.
///
/// # Errors
/// [`Error::Shape`] for a tensor of another type or on another device.
pub(crate) fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    if let (Storage::Cpu(storage), DType::F32, Some((start, end))) =
        (&*storage, tensor.dtype(), layout.contiguous_offsets())
        && let Some(values) = storage.as_slice::<f32>()?.get(start..end)
    {
        return Ok(f(values));
    }
    Err(Error::shape("tensor", tensor.dims(), "f32 on the CPU"))
}
