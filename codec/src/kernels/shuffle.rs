//! Frames and latents to operands, and channels to frames.

use super::operand::{Operand, elsewhere};
use super::values::{Later, Values};
use super::{Backend, cpu, cuda};
use crate::error::Result;

/// Writes (T, H, W, C) values as the last T frames of an operand.
///
/// # Panics
/// If the operand has another extent: a mistake of the caller.
pub(crate) fn fill(backend: &Backend, values: &[f32], operand: &mut Operand) -> Result<()> {
    match backend {
        Backend::Cpu(format) => {
            cpu::fill(*format, values, operand.cpu_mut()?);
            Ok(())
        }
        Backend::Gpu(gpu) => cuda::fill(gpu, values, 1, operand.gpu_mut()?),
    }
}

/// Writes (T, H · patch, W · patch, C) values as the last T frames of an operand, whose channel index is
/// (c, column in patch, row in patch).
///
/// # Panics
/// If the operand has another extent: a mistake of the caller.
pub(crate) fn fill_patches(
    backend: &Backend,
    values: &[f32],
    patch: usize,
    operand: &mut Operand,
) -> Result<()> {
    match backend {
        Backend::Cpu(format) => {
            cpu::fill_patches(*format, values, patch, operand.cpu_mut()?);
            Ok(())
        }
        Backend::Gpu(gpu) => cuda::fill(gpu, values, patch, operand.gpu_mut()?),
    }
}

/// (T, H, W, C · patch²) values to (T, H · patch, W · patch, C), which are there once the result was waited for.
///
/// # Panics
/// If lengths do not fit: a mistake of the caller.
pub(crate) fn unpatchify(
    values: &Values,
    width: usize,
    channels: usize,
    patch: usize,
    out: &mut [f32],
) -> Result<Later> {
    match values {
        Values::Cpu(values) => {
            cpu::unpatchify(&values[..out.len()], width, channels, patch, out);
            Ok(Later::now())
        }
        Values::Gpu(values) => cuda::unpatchify(values, out.len(), width, channels, patch).map(Later::coming),
    }
}

/// Gives (T, H, W, C) values to a sink.
///
/// # Panics
/// If the sink has another extent: a mistake of the caller.
pub(crate) fn add(
    backend: &Backend,
    values: &Values,
    size: [usize; 3],
    channels: usize,
    sink: super::Sink<'_>,
) -> Result<()> {
    match (backend, values) {
        (Backend::Cpu(format), Values::Cpu(values)) => {
            let len = size.iter().product::<usize>() * channels;
            cpu::add(*format, values, size, channels, sink.cpu(len)?);
            Ok(())
        }
        (Backend::Gpu(gpu), Values::Gpu(values)) => cuda::add(gpu, values, size, channels, sink),
        _ => Err(elsewhere()),
    }
}
