//! Operands and f32 values on a device.

use std::borrow::Cow;

use super::arguments::Border;
use super::driver::Kernel;
use super::memory::{Memory, at_least};
use super::{Gpu, lost};
use crate::error::Result;
use crate::kernels::extent::{Extent, Layout};

/// Activations as a convolution reads them: (T, H, W, C) with a border of zeros, and room in front for the frames before.
/// Each position has zeros behind its channels.
#[derive(Debug)]
pub(crate) struct Operand {
    gpu: Gpu,
    memory: Option<Memory>,
    extent: Option<Extent>,
    /// Words that were restored, as long as it has no extent.
    restored: usize,
}

impl Operand {
    pub(in crate::kernels) fn new(gpu: &Gpu) -> Self {
        Self {
            gpu: gpu.clone(),
            memory: None,
            extent: None,
            restored: 0,
        }
    }

    /// Makes it an operand of this extent with a border of zeros. Where `keep`, the frames at its front stay if the size of
    /// frames does; all else is not defined.
    pub(in crate::kernels) fn reshape(&mut self, extent: Extent, keep: bool) -> Result<()> {
        if self.extent == Some(extent) {
            return Ok(());
        }
        self.extent = Some(extent);
        let bytes = self.bytes_of(extent);
        let memory = at_least(&mut self.memory, self.gpu.driver(), bytes, keep)?;
        let [above, left, below, right] = extent.border;
        if extent.border == [0; 4] {
            return Ok(());
        }
        let (rows, columns) = (above + extent.height + below, left + extent.width + right);
        let count = extent.frames * rows * columns;
        let arguments = Border {
            at: memory.address(),
            count: count as u64,
            rows: rows as u64,
            columns: columns as u64,
            position: self.gpu.position(extent.channels) as u64,
            top: above as u64,
            bottom: (above + extent.height) as u64,
            left: left as u64,
            right: (left + extent.width) as u64,
        };
        self.gpu.each(Kernel::Border, &arguments, count)
    }

    fn bytes_of(&self, extent: Extent) -> usize {
        extent.frames * self.layout_of(extent).frame * self.gpu.element()
    }

    fn layout_of(&self, extent: Extent) -> Layout {
        Layout::new(self.gpu.position(extent.channels), extent)
    }

    pub(in crate::kernels) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(in crate::kernels) fn extent(&self) -> Option<Extent> {
        self.extent
    }

    pub(in crate::kernels) fn layout(&self) -> Layout {
        self.extent
            .map_or(Layout::default(), |extent| self.layout_of(extent))
    }

    /// The address of the value at `offset`.
    pub(in crate::kernels) fn at(&self, offset: usize) -> Result<u64> {
        let memory = self.memory.as_ref().ok_or_else(lost)?;
        Ok(memory.address() + (offset * self.gpu.element()) as u64)
    }

    /// Moves the newest `count` frames to the front.
    pub(crate) fn keep_newest(&mut self, count: usize) -> Result<()> {
        let frame = self.layout().frame;
        let frames = self.extent.map_or(0, |extent| extent.frames);
        let start = frames.saturating_sub(count);
        if start == 0 {
            return Ok(());
        }
        // As many frames at a time as do not overlap: each move makes room for the next.
        for index in (0..count).step_by(start) {
            let (from, to) = (self.at((start + index) * frame)?, self.at(index * frame)?);
            let moved = start.min(count - index);
            self.gpu
                .driver()
                .copy(from, to, moved * frame * self.gpu.element())?;
        }
        Ok(())
    }

    /// The words of its first `count` frames; all that there are, if it has been given no extent since they were restored.
    pub(crate) fn front(&self, count: usize) -> Result<Cow<'_, [u32]>> {
        let bytes = self.front_bytes(count);
        if bytes == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        let from = self.at(0)?;
        let mut words = vec![0; bytes / 4];
        let download = self
            .gpu
            .driver()
            .download(bytes, &mut |to| self.gpu.driver().copy(from, to, bytes))?;
        download.wait(&mut |found| bytemuck::cast_slice_mut(&mut words).copy_from_slice(found))?;
        Ok(Cow::Owned(words))
    }

    /// Makes it one that was given no extent yet and whose memory begins with these words.
    pub(crate) fn restore(&mut self, words: &[u32]) -> Result<()> {
        match self.restore_as(4 * words.len())? {
            Some(memory) => memory.write(bytemuck::cast_slice(words)),
            None => Ok(()),
        }
    }

    /// The same for so many bytes that are yet to be written.
    pub(super) fn restore_as(&mut self, bytes: usize) -> Result<Option<&Memory>> {
        self.extent = None;
        self.restored = bytes / 4;
        if bytes == 0 {
            return Ok(None);
        }
        at_least(&mut self.memory, self.gpu.driver(), bytes, false).map(Some)
    }

    /// Room for so many bytes of frames at its front, which [`reshape`](Self::reshape) is to keep.
    pub(super) fn make_room(&mut self, bytes: usize) -> Result<u64> {
        if self.bytes() < bytes {
            // The border is lost with the memory.
            self.extent = None;
        }
        Ok(at_least(&mut self.memory, self.gpu.driver(), bytes, false)?.address())
    }

    /// Bytes of its first `count` frames; all that there are, if it has been given no extent since they were restored.
    pub(super) fn front_bytes(&self, count: usize) -> usize {
        match self.extent {
            Some(_) => count * self.layout().frame * self.gpu.element(),
            None => 4 * self.restored,
        }
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, Memory::bytes)
    }

    /// A copy with memory of its own.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let mut copy = Self::new(&self.gpu);
        copy.extent = self.extent;
        copy.restored = self.restored;
        if let Some(memory) = &self.memory {
            let own = at_least(&mut copy.memory, self.gpu.driver(), memory.bytes(), false)?;
            self.gpu
                .driver()
                .copy(memory.address(), own.address(), memory.bytes())?;
        }
        Ok(copy)
    }
}

/// f32 values, as many as were asked for at most so far.
#[derive(Debug)]
pub(crate) struct Values {
    gpu: Gpu,
    memory: Option<Memory>,
}

impl Values {
    pub(in crate::kernels) fn new(gpu: &Gpu) -> Self {
        Self {
            gpu: gpu.clone(),
            memory: None,
        }
    }

    #[cfg(test)]
    pub(in crate::kernels) fn of(gpu: &Gpu, values: &[f32]) -> Result<Self> {
        Ok(Self {
            gpu: gpu.clone(),
            memory: Some(gpu.exact(values)?),
        })
    }

    /// Makes room for `len` values; those that were there stay.
    pub(in crate::kernels) fn reserve(&mut self, len: usize) -> Result<()> {
        at_least(&mut self.memory, self.gpu.driver(), 4 * len, true)?;
        Ok(())
    }

    pub(in crate::kernels) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub(super) fn memory(&self) -> Result<&Memory> {
        self.memory.as_ref().ok_or_else(lost)
    }

    pub(in crate::kernels) fn address(&self) -> Result<u64> {
        Ok(self.memory()?.address())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, Memory::bytes)
    }

    /// A copy with memory of its own.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let mut copy = Self::new(&self.gpu);
        if let Some(memory) = &self.memory {
            let own = at_least(&mut copy.memory, self.gpu.driver(), memory.bytes(), false)?;
            self.gpu
                .driver()
                .copy(memory.address(), own.address(), memory.bytes())?;
        }
        Ok(copy)
    }
}
