//! f32 values of streams and outputs, wherever they are.

use std::borrow::Cow;

use rayon::prelude::*;

use super::Backend;
use crate::error::{Result, elsewhere};
use crate::kernels::cpu::scratch::at_least;
use crate::kernels::cuda::{self, Download};

/// Values that a thread copies at a time.
const PART: usize = 1 << 16;

/// A buffer of f32 values that grows as needed.
#[derive(Debug)]
pub(crate) enum Values {
    Cpu(Vec<f32>),
    Gpu(cuda::Values),
}

impl Default for Values {
    fn default() -> Self {
        Self::Cpu(Vec::new())
    }
}

impl Values {
    /// Makes room for `len` values where the backend is.
    pub(crate) fn reserve(&mut self, backend: &Backend, len: usize) -> Result<()> {
        match backend {
            Backend::Cpu(_) => {
                at_least(self.cpu_mut()?, len);
                Ok(())
            }
            Backend::Gpu(gpu) => self.on(gpu)?.reserve(len),
        }
    }

    /// Writes the first `len` of other values behind the first `at` of these, on the CPU.
    pub(crate) fn append(&mut self, at: usize, from: &Self, len: usize) -> Result<()> {
        let (into, from) = (self.cpu_mut()?, from.cpu()?);
        if let Some(more) = (at + len).checked_sub(into.len()) {
            into.reserve_exact(more);
            into.resize(at + len, 0.0);
        }
        let parts = into[at..at + len].par_chunks_mut(PART);
        parts
            .zip(from[..len].par_chunks(PART))
            .for_each(|(into, from)| into.copy_from_slice(from));
        Ok(())
    }

    /// Values where the backend is.
    #[cfg(test)]
    pub(crate) fn of(backend: &Backend, values: Vec<f32>) -> Result<Self> {
        match backend {
            Backend::Cpu(_) => Ok(Self::Cpu(values)),
            Backend::Gpu(gpu) => Ok(Self::Gpu(cuda::Values::of(gpu, &values)?)),
        }
    }

    /// Brings as many values as there is room for, from the first one on. They are there once the result was waited for.
    pub(crate) fn read(&self, out: &mut [f32]) -> Result<Later> {
        match self {
            Self::Cpu(values) => {
                out.copy_from_slice(&values[..out.len()]);
                Ok(Later(None))
            }
            Self::Gpu(values) => Ok(Later(Some(values.download(out.len())?))),
        }
    }

    /// The first `len` values, on the host.
    pub(crate) fn first(&self, len: usize) -> Result<Cow<'_, [f32]>> {
        if let Self::Cpu(values) = self {
            return Ok(Cow::Borrowed(&values[..len]));
        }
        let mut out = vec![0.0; len];
        self.read(&mut out)?.wait(&mut out)?;
        Ok(Cow::Owned(out))
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Cpu(values) => values.capacity() * 4,
            Self::Gpu(values) => values.bytes(),
        }
    }

    /// A copy with memory of its own.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(match self {
            Self::Cpu(values) => Self::Cpu(values.clone()),
            Self::Gpu(values) => Self::Gpu(values.try_clone()?),
        })
    }

    /// Makes them these, on a GPU.
    pub(crate) fn write(&mut self, gpu: &cuda::Gpu, values: &[f32]) -> Result<()> {
        self.on(gpu)?.write(values)
    }

    pub(super) fn cpu(&self) -> Result<&[f32]> {
        match self {
            Self::Cpu(values) => Ok(values),
            Self::Gpu(_) => Err(elsewhere()),
        }
    }

    pub(super) fn cpu_mut(&mut self) -> Result<&mut Vec<f32>> {
        match self {
            Self::Cpu(values) => Ok(values),
            Self::Gpu(_) => Err(elsewhere()),
        }
    }

    pub(super) fn gpu(&self) -> Result<&cuda::Values> {
        match self {
            Self::Gpu(values) => Ok(values),
            Self::Cpu(_) => Err(elsewhere()),
        }
    }

    pub(super) fn gpu_mut(&mut self) -> Result<&mut cuda::Values> {
        match self {
            Self::Gpu(values) => Ok(values),
            Self::Cpu(_) => Err(elsewhere()),
        }
    }

    /// Makes it one on a GPU.
    pub(super) fn on(&mut self, gpu: &cuda::Gpu) -> Result<&mut cuda::Values> {
        if let Self::Cpu(_) = self {
            *self = Self::Gpu(cuda::Values::new(gpu));
        }
        self.gpu_mut()
    }
}

/// Values that were asked for: there already, or on their way from a GPU.
#[must_use]
pub(crate) struct Later(Option<Box<dyn Download>>);

impl Later {
    /// Values that are there.
    pub(crate) fn now() -> Self {
        Self(None)
    }

    pub(super) fn coming(download: Box<dyn Download>) -> Self {
        Self(Some(download))
    }

    /// Waits for them; `out` is the slice that they were asked for with.
    pub(crate) fn wait(self, out: &mut [f32]) -> Result<()> {
        match self.0 {
            None => Ok(()),
            Some(download) => {
                download.wait(&mut |bytes| bytemuck::cast_slice_mut(out).copy_from_slice(bytes))
            }
        }
    }
}
