//! What moves values, with sums at most: frames and latents to operands, channels to frames, shortcuts.

use super::{Backend, Kept, Later, Operand, Sink, Values};
use crate::error::{Result, elsewhere};
use crate::kernels::cpu::scratch::at_least;
use crate::kernels::spec::{Input, ShortcutSpec};
use crate::kernels::{cpu, cuda};

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

/// As [`fill_patches`], with the first `len` of values that are on a GPU already. They become frames of clip `clip` of
/// `clips`.
///
/// # Panics
/// As for [`fill_patches`].
pub(crate) fn fill_clip(
    values: &Values,
    len: usize,
    patch: usize,
    turn: [usize; 2],
    operand: &mut Operand,
) -> Result<()> {
    cuda::fill_clip(values.gpu()?, len, patch, turn, operand.gpu_mut()?)
}

/// (T, H, W, C · patch²) values on the CPU to (T, H · patch, W · patch, C).
///
/// # Panics
/// If lengths do not fit: a mistake of the caller.
pub(crate) fn unpatchify(
    values: &Values,
    width: usize,
    channels: usize,
    patch: usize,
    out: &mut [f32],
) -> Result<()> {
    cpu::unpatchify(&values.cpu()?[..out.len()], width, channels, patch, out);
    Ok(())
}

/// Brings (T, H · patch, W · patch, C) values from a GPU, where they are (T, H, W, C · patch²). Of the values of `clips`
/// clips, whose frames take turns, they are those of clip `clip`.
pub(crate) fn unpatchify_clip(
    values: &Values,
    size: [usize; 3],
    channels: usize,
    patch: usize,
    turn: [usize; 2],
) -> Result<Later> {
    cuda::unpatchify(values.gpu()?, size, channels, patch, turn).map(Later::coming)
}

/// Gives outputs of (T, H, W, C), on the CPU, for the products of `taps` taps in time with (T, H, W) positions, which come
/// as (T, H, W, taps · C). What is pending from the frames before is in `kept`, unless none are `known`.
pub(crate) fn over_time(
    products: &Values,
    size: [usize; 3],
    [taps, channels]: [usize; 2],
    known: bool,
    kept: &mut Kept,
    out: &mut Values,
) -> Result<()> {
    let [_, height, width] = size;
    let len = size.iter().product::<usize>() * channels;
    let out = at_least(out.cpu_mut()?, len);
    let pending = kept.sums(known, taps.saturating_sub(1), height * width * channels)?;
    cpu::over_time(&products.cpu()?[..taps * len], channels, pending, out);
    Ok(())
}

/// Gives (T, H, W, C) values, from value `start` on, to a sink.
///
/// # Panics
/// If the sink has another extent: a mistake of the caller.
pub(crate) fn add(
    backend: &Backend,
    values: &Values,
    start: usize,
    size: [usize; 3],
    channels: usize,
    sink: Sink<'_>,
) -> Result<()> {
    match (backend, values) {
        (Backend::Cpu(format), Values::Cpu(values)) => {
            let len = size.iter().product::<usize>() * channels;
            cpu::add(
                *format,
                &values[start..start + len],
                size,
                channels,
                sink.cpu(len)?,
            );
            Ok(())
        }
        (Backend::Gpu(gpu), Values::Gpu(values)) => {
            cuda::add(gpu, values, start, size, channels, sink.gpu()?)
        }
        _ => Err(elsewhere()),
    }
}

impl ShortcutSpec {
    /// Writes what becomes of (T, H, W, inputs) values to `out`. `first` says whether the step begins a group: its one
    /// frame is averaged with zeros before it, and repeated in space only.
    ///
    /// # Panics
    /// If there are several clips on the CPU: a mistake of the caller.
    pub(crate) fn run(
        &self,
        backend: &Backend,
        first: bool,
        input: Input,
        values: &Values,
        out: &mut Values,
    ) -> Result<()> {
        match (backend, values) {
            (Backend::Cpu(_), Values::Cpu(values)) => {
                assert_eq!(input.clips, 1);
                cpu::shortcut(self, first, input.size, values, out.cpu_mut()?);
                Ok(())
            }
            (Backend::Gpu(gpu), Values::Gpu(values)) => {
                cuda::shortcut(gpu, self, first, input, values, out.on(gpu)?)
            }
            _ => Err(elsewhere()),
        }
    }
}
