//! Frames and latents to operands, channels to frames, and what bypasses the layers of a stage.

use super::arguments::{Fill, Shortcut, Unpatchify};
use super::driver::{Download, Kernel};
use super::{Gpu, Operand, Values, lost};
use crate::error::Result;
use crate::kernels::spec::{Input, ShortcutSpec};

/// Writes (T, H · patch, W · patch, C) values as the last T frames of an operand, whose channel index is
/// (c, column in patch, row in patch).
///
/// # Panics
/// If the operand has another extent: a mistake of the caller.
pub(crate) fn fill(gpu: &Gpu, values: &[f32], patch: usize, operand: &mut Operand) -> Result<()> {
    let (mut arguments, count) = filling(operand, values.len(), patch, [1, 0])?;
    gpu.driver().upload(bytemuck::cast_slice(values), &mut |at| {
        arguments.values = at;
        gpu.each(Kernel::Fill, &arguments, count)
    })
}

/// As [`fill`], with the first `len` values on the device, which become frames of clip `clip` of `clips`.
pub(crate) fn fill_clip(
    values: &Values,
    len: usize,
    patch: usize,
    [clips, clip]: [usize; 2],
    operand: &mut Operand,
) -> Result<()> {
    let (mut arguments, count) = filling(operand, len, patch, [clips, clip])?;
    arguments.values = values.address()?;
    values.gpu().each(Kernel::Fill, &arguments, count)
}

fn filling(operand: &Operand, len: usize, patch: usize, [clips, clip]: [usize; 2]) -> Result<(Fill, usize)> {
    let extent = operand.extent().ok_or_else(lost)?;
    let frame = (extent.height * extent.width * extent.channels).max(1);
    let frames = len / frame;
    assert!(len.is_multiple_of(frame) && frames * clips <= extent.frames);
    let layout = operand.layout();
    let count = frames * extent.height * extent.width * layout.position;
    let arguments = Fill {
        values: 0,
        at: operand.at((extent.frames - frames * clips + clip) * layout.frame + layout.inner(0, 0))?,
        count: count as u64,
        frame: (clips * layout.frame) as u64,
        row: layout.row as u64,
        position: layout.position as u64,
        height: extent.height as u64,
        width: extent.width as u64,
        channels: extent.channels as u64,
        patch: patch as u64,
    };
    Ok((arguments, count))
}

/// Brings (T, H, W, C · patch²) values of clip `clip` of `clips` to the host as (T, H · patch, W · patch, C).
pub(crate) fn unpatchify(
    values: &Values,
    [frames, height, width]: [usize; 3],
    channels: usize,
    patch: usize,
    [clips, clip]: [usize; 2],
) -> Result<Box<dyn Download>> {
    let gpu = values.gpu();
    let from = values.address()?;
    let len = frames * height * width * channels;
    gpu.driver().download(4 * len, &mut |out| {
        let arguments = Unpatchify {
            values: from,
            out,
            count: len as u64,
            height: height as u64,
            width: width as u64,
            channels: channels as u64,
            patch: patch as u64,
            clips: clips as u64,
            clip: clip as u64,
        };
        gpu.each(Kernel::Unpatchify, &arguments, len)
    })
}

impl Values {
    /// Makes them these.
    pub(crate) fn write(&mut self, values: &[f32]) -> Result<()> {
        self.reserve(values.len())?;
        self.memory()?.write(bytemuck::cast_slice(values))
    }

    /// Brings the first `len` values to the host.
    pub(crate) fn download(&self, len: usize) -> Result<Box<dyn Download>> {
        let (driver, from) = (self.gpu().driver(), self.address()?);
        driver.download(4 * len, &mut |to| driver.copy(from, to, 4 * len))
    }
}

/// See [`ShortcutSpec::run`].
pub(crate) fn shortcut(
    gpu: &Gpu,
    spec: &ShortcutSpec,
    first: bool,
    input: Input,
    values: &Values,
    out: &mut Values,
) -> Result<()> {
    let Input { clips, size } = input;
    let [frames, height, width] = input.with(spec.output(first, size)).all();
    let count = frames * height * width * spec.outputs;
    out.reserve(count)?;
    let arguments = Shortcut {
        values: values.address()?,
        out: out.address()?,
        count: count as u64,
        inputs: spec.inputs as u64,
        outputs: spec.outputs as u64,
        height: height as u64,
        width: width as u64,
        from_height: size[1] as u64,
        from_width: size[2] as u64,
        time: spec.time as u64,
        space: spec.space as u64,
        up: u64::from(spec.up),
        lead: spec.lead(first, size) as u64,
        clips: clips as u64,
    };
    gpu.each(Kernel::Shortcut, &arguments, count)
}
