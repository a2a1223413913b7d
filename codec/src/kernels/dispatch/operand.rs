//! Activations as an operator reads them, wherever they are.

use crate::error::{Result, elsewhere};
use crate::kernels::{cpu, cuda};

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
    /// Gives back what lies idle and is large, so that there is room for another operand.
    pub(crate) fn make_room_for(&mut self, other: &Self) {
        if let (Self::Cpu(operand), Self::Cpu(other)) = (self, other) {
            operand.make_room_for(other);
        }
    }

    /// It was read for the last time; it needs an extent before it is used again.
    pub(crate) fn finish(&mut self) {
        if let Self::Cpu(operand) = self {
            operand.finish();
        }
    }

    /// Gives back memory that only frames of the same size would use again.
    pub(crate) fn trim(&mut self) {
        if let Self::Cpu(operand) = self {
            operand.trim();
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

    pub(super) fn gpu(&self) -> Result<&cuda::Operand> {
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

    /// Makes it one on a GPU.
    pub(super) fn on(&mut self, gpu: &cuda::Gpu) -> Result<&mut cuda::Operand> {
        if let Self::Cpu(_) = self {
            *self = Self::Gpu(cuda::Operand::new(gpu));
        }
        self.gpu_mut()
    }
}
