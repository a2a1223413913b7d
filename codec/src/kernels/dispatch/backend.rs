//! Where operators run.

use crate::error::{Error, Result};
use crate::kernels::cpu::kind::Kind;
use crate::kernels::cpu::words::{Format, Number};
use crate::kernels::cuda::Gpu;
use crate::kernels::spec::Dtype;

/// Where operators run, and the number type of their operands.
#[derive(Clone, Debug)]
pub(crate) enum Backend {
    Cpu(Format),
    Gpu(Gpu),
}

impl Backend {
    /// The CPU, with the kernels that suit it best.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `LATENTBIT_CPU` asks for what this machine lacks, or if the CPU does not have the number
    /// type.
    pub(crate) fn cpu(dtype: Dtype) -> Result<Self> {
        let dtype = match dtype {
            Dtype::F32 => Number::F32,
            Dtype::Bf16 => Number::Bf16,
            Dtype::F16 => {
                return Err(Error::parameter(
                    "dtype",
                    "f16 is for GPUs only; on the CPU use bf16 or f32",
                ));
            }
        };
        let kind = Kind::current()?;
        Ok(Self::Cpu(Format { kind, dtype }))
    }

    pub(crate) fn dtype(&self) -> Dtype {
        match self {
            Self::Cpu(format) => match format.dtype {
                Number::F32 => Dtype::F32,
                Number::Bf16 => Dtype::Bf16,
            },
            Self::Gpu(gpu) => gpu.dtype(),
        }
    }

    /// What computes, for people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Cpu(format) => format.kind.to_string(),
            Self::Gpu(gpu) => gpu.name(),
        }
    }

    /// Bytes of a position of so many channels of an operand.
    pub(crate) fn position_bytes(&self, channels: usize) -> usize {
        match self {
            Self::Cpu(format) => 4 * format.words(channels),
            Self::Gpu(gpu) => gpu.element() * gpu.position(channels),
        }
    }
}

impl Dtype {
    /// The faster one on this machine's CPU.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `LATENTBIT_CPU` asks for what this machine lacks.
    pub fn auto() -> Result<Self> {
        Ok(if Kind::current()?.has_bf16() {
            Self::Bf16
        } else {
            Self::F32
        })
    }
}
