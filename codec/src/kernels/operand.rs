//! Activations as an operator reads them, wherever they are.

use std::borrow::Cow;

use super::{cpu, cuda};
use crate::error::{Error, Result};

/// Activations as an operator reads them. Its memory stays from one use to the next; which device that is on is settled
/// when it is first given an extent.
#[derive(Debug)]
pub(crate) enum Operand {
    Cpu(cpu::Operand),
    Gpu(cuda::Operand),
}

impl Default for Operand {
    fn default() -> Self {
        Self::Cpu(cpu::Operand::default())
    }
}

impl Operand {
    /// Moves the newest `count` frames to the front.
    pub(crate) fn keep_newest(&mut self, count: usize) -> Result<()> {
        match self {
            Self::Cpu(operand) => {
                operand.keep_newest(count);
                Ok(())
            }
            Self::Gpu(operand) => operand.keep_newest(count),
        }
    }

    /// The words of its first `count` frames; all that there are, if it has been given no extent since they were restored.
    pub(crate) fn front(&self, count: usize) -> Result<Cow<'_, [u32]>> {
        match self {
            Self::Cpu(operand) => Ok(Cow::Borrowed(operand.front(count))),
            Self::Gpu(operand) => operand.front(count),
        }
    }

    /// Makes it one that was given no extent yet and whose memory begins with these words.
    pub(crate) fn restore(&mut self, words: &[u32]) -> Result<()> {
        match self {
            Self::Cpu(operand) => {
                operand.restore(words);
                Ok(())
            }
            Self::Gpu(operand) => operand.restore(words),
        }
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Cpu(operand) => operand.bytes(),
            Self::Gpu(operand) => operand.bytes(),
        }
    }

    /// A copy with memory of its own.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(match self {
            Self::Cpu(operand) => Self::Cpu(operand.clone()),
            Self::Gpu(operand) => Self::Gpu(operand.try_clone()?),
        })
    }

    pub(super) fn cpu(&self) -> Result<&cpu::Operand> {
        match self {
            Self::Cpu(operand) => Ok(operand),
            Self::Gpu(_) => Err(elsewhere()),
        }
    }

    pub(super) fn cpu_mut(&mut self) -> Result<&mut cpu::Operand> {
        match self {
            Self::Cpu(operand) => Ok(operand),
            Self::Gpu(_) => Err(elsewhere()),
        }
    }

    pub(crate) fn gpu(&self) -> Result<&cuda::Operand> {
        match self {
            Self::Gpu(operand) => Ok(operand),
            Self::Cpu(_) => Err(elsewhere()),
        }
    }

    pub(super) fn gpu_mut(&mut self) -> Result<&mut cuda::Operand> {
        match self {
            Self::Gpu(operand) => Ok(operand),
            Self::Cpu(_) => Err(elsewhere()),
        }
    }

    /// Makes it one on a GPU, with the words that were restored to it before.
    pub(crate) fn on(&mut self, gpu: &cuda::Gpu) -> Result<&mut cuda::Operand> {
        if let Self::Cpu(restored) = self {
            let mut operand = cuda::Operand::new(gpu);
            operand.restore(restored.words())?;
            *self = Self::Gpu(operand);
        }
        self.gpu_mut()
    }
}

/// The error for buffers that another device has filled.
pub(super) fn elsewhere() -> Error {
    Error::device("a state of a network belongs to the device that it was first used on")
}
