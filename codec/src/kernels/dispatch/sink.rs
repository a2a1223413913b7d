//! What becomes of an operator's outputs, wherever it runs.

use super::{Backend, Operand, Values};
use crate::error::{Result, elsewhere};
use crate::kernels::spec::{self, Buffers, RmsNorm};
use crate::kernels::{cpu, cuda};

/// Buffers of whichever device.
pub(crate) struct Anywhere;

impl Buffers for Anywhere {
    type Values = Values;
    type Norm = Norm;
    type Operand = Operand;
}

pub(crate) type Target<'a> = spec::Target<'a, Anywhere>;
pub(crate) type Stream<'a> = spec::Stream<'a, Anywhere>;
pub(crate) type Sink<'a> = spec::Sink<'a, Anywhere>;

/// A norm where operators run.
#[derive(Debug)]
pub(crate) enum Norm {
    Cpu(RmsNorm),
    Gpu(cuda::Norm),
    /// No device had room for it: the bundle is refused once all of it was looked at.
    Nowhere,
}

impl Norm {
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if a GPU has no room for it.
    pub(crate) fn new(backend: &Backend, rms: RmsNorm) -> Result<Self> {
        Ok(match backend {
            Backend::Cpu(_) => Self::Cpu(rms),
            Backend::Gpu(gpu) => Self::Gpu(cuda::Norm::new(gpu, &rms)?),
        })
    }

    fn cpu(&self) -> Result<&RmsNorm> {
        match self {
            Self::Cpu(norm) => Ok(norm),
            Self::Gpu(_) | Self::Nowhere => Err(elsewhere()),
        }
    }

    fn gpu(&self) -> Result<&cuda::Norm> {
        match self {
            Self::Gpu(norm) => Ok(norm),
            Self::Cpu(_) | Self::Nowhere => Err(elsewhere()),
        }
    }
}

impl<'a> Sink<'a> {
    /// The same on the CPU, for `len` outputs.
    pub(super) fn cpu(self, len: usize) -> Result<cpu::Sink<'a>> {
        self.on(
            |values| Ok(&mut values.cpu_mut()?[..len]),
            Norm::cpu,
            Operand::cpu_mut,
        )
    }

    /// The same on a GPU.
    pub(super) fn gpu(self) -> Result<cuda::Sink<'a>> {
        self.on(Values::gpu_mut, Norm::gpu, Operand::gpu_mut)
    }

    /// The same with the buffers of one device.
    fn on<B: Buffers>(
        self,
        values: impl FnOnce(&'a mut Values) -> Result<&'a mut B::Values>,
        norm: impl Fn(&'a Norm) -> Result<&'a B::Norm>,
        operand: impl Fn(&'a mut Operand) -> Result<&'a mut B::Operand>,
    ) -> Result<spec::Sink<'a, B>> {
        let stream = self.stream.map(|stream| -> Result<_> {
            Ok(spec::Stream {
                values: values(stream.values)?,
                add: stream.add,
                store: stream.store,
            })
        });
        let [a, b, c] = self.targets.map(|target| {
            target.map(|target| -> Result<_> {
                Ok(spec::Target {
                    norm: target.norm.map(&norm).transpose()?,
                    operand: operand(target.operand)?,
                })
            })
        });
        Ok(spec::Sink {
            stream: stream.transpose()?,
            targets: [a.transpose()?, b.transpose()?, c.transpose()?],
            tokens: self.tokens,
        })
    }
}
