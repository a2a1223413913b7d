//! Operands and f32 values on a device.

use super::arguments::Border;
use super::driver::Kernel;
use super::memory::{Memory, at_least};
use super::{Gpu, lost};
use crate::error::{Result, elsewhere};
use crate::kernels::spec::{Extent, Layout};

/// Activations as a convolution reads them: (T, H, W, C) with a border of zeros, and room in front for the frames before.
/// Each position has zeros behind its channels.
#[derive(Debug)]
pub(crate) struct Operand {
    gpu: Gpu,
    memory: Option<Memory>,
    extent: Option<Extent>,
}

impl Operand {
    pub(in crate::kernels) fn new(gpu: &Gpu) -> Self {
        Self {
            gpu: gpu.clone(),
            memory: None,
            extent: None,
        }
    }

    /// Makes it an operand of this extent with a border of zeros; what is within is not defined.
    pub(in crate::kernels) fn reshape(&mut self, extent: Extent) -> Result<()> {
        if self.extent == Some(extent) {
            return Ok(());
        }
        self.extent = Some(extent);
        let bytes = self.bytes_of(extent);
        let memory = at_least(&mut self.memory, self.gpu.driver(), bytes, false)?;
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

    /// Bytes of a frame with its border, and how many there are.
    pub(super) fn frames(&self) -> (usize, usize) {
        let frames = self.extent.map_or(0, |extent| extent.frames);
        (self.layout().frame * self.gpu.element(), frames)
    }

    /// The address of a frame with its border.
    pub(super) fn at_frame(&self, index: usize) -> Result<u64> {
        self.at(index * self.layout().frame)
    }

    /// Makes these words its beginning.
    pub(crate) fn write_front(&self, words: &[u32]) -> Result<()> {
        let (frame, frames) = self.frames();
        if 4 * words.len() > frame * frames {
            return Err(elsewhere());
        }
        self.memory
            .as_ref()
            .ok_or_else(lost)?
            .write(bytemuck::cast_slice(words))
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.memory.as_ref().map_or(0, Memory::bytes)
    }

    /// A copy with memory of its own.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let mut copy = Self::new(&self.gpu);
        copy.extent = self.extent;
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
