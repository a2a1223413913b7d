//! Causal convolution over (time, height, width), wherever it is computed.

use std::ops::Range;

use super::{Backend, Operand, Sink};
use crate::error::Result;
use crate::kernels::spec::{ConvSpec, Input};
use crate::kernels::{cpu, cuda};

/// A convolution with its weights. A linear layer is one whose extents are 1.
pub(crate) struct Conv {
    spec: ConvSpec,
    device: On,
}

enum On {
    Cpu(cpu::Conv),
    Gpu(cuda::Conv),
    /// No device had room for it: the bundle is refused once all of it was looked at.
    Nowhere,
}

impl Conv {
    /// From a weight (phases · outputs, inputs, extents). A weight of another length, which stands for a missing one, gives
    /// a convolution that must not be run.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if a GPU has no room for it.
    pub(crate) fn new(backend: &Backend, spec: ConvSpec, weight: &[f32], bias: Vec<f32>) -> Result<Self> {
        let device = match backend {
            Backend::Cpu(format) => On::Cpu(cpu::Conv::new(*format, spec, weight, bias)),
            Backend::Gpu(gpu) => On::Gpu(cuda::Conv::new(gpu, spec, weight, &bias)?),
        };
        Ok(Self { spec, device })
    }

    /// Stands for one that no device had room for. Running it does nothing.
    pub(crate) fn nowhere(spec: ConvSpec) -> Self {
        Self {
            spec,
            device: On::Nowhere,
        }
    }

    pub(crate) fn spec(&self) -> &ConvSpec {
        &self.spec
    }

    /// Bytes of an operand for an input of (T, H, W), and of one of its frames.
    pub(crate) fn operand_bytes(&self, input: [usize; 3]) -> (u64, u64) {
        match &self.device {
            On::Cpu(conv) => {
                let (all, frame) = conv.operand_words(input);
                (4 * all, 4 * frame)
            }
            On::Gpu(conv) => conv.operand_bytes(input),
            On::Nowhere => (0, 0),
        }
    }

    /// Bytes that are needed between the product and what follows it, for an input of (T, H, W).
    pub(crate) fn sums_bytes(&self, input: [usize; 3]) -> u64 {
        match &self.device {
            On::Gpu(conv) => conv.sums_bytes(input),
            // They stay in cache.
            On::Cpu(_) | On::Nowhere => 0,
        }
    }

    /// Makes `operand` one that this convolution takes for an input.
    ///
    /// # Panics
    /// If there are several clips on the CPU: a mistake of the caller.
    pub(crate) fn shape(&self, operand: &mut Operand, input: impl Into<Input>) -> Result<()> {
        let input = input.into();
        match &self.device {
            On::Cpu(conv) => {
                assert_eq!(input.clips, 1);
                conv.shape(operand.cpu_mut()?, input.size);
                Ok(())
            }
            On::Gpu(conv) => conv.shape(operand.on(conv.gpu())?, input),
            On::Nowhere => Ok(()),
        }
    }

    /// Runs it over an input, which `operand` holds behind [`ConvSpec::lead`] frames of each clip; of those the newest
    /// `known` count, the others are taken as zeros.
    ///
    /// # Panics
    /// If operand or sink have other extents, or there are several clips on the CPU: a mistake of the caller.
    pub(crate) fn run(
        &self,
        operand: &Operand,
        known: usize,
        input: impl Into<Input>,
        sink: Sink<'_>,
    ) -> Result<()> {
        let input = input.into();
        match &self.device {
            On::Cpu(conv) => {
                assert_eq!(input.clips, 1);
                let len = self.spec.output(input.size).iter().product::<usize>() * self.spec.outputs;
                conv.run(operand.cpu()?, known, input.size, sink.cpu(len)?);
                Ok(())
            }
            On::Gpu(conv) => conv.run(operand.gpu()?, known, input, sink.gpu()?),
            On::Nowhere => Ok(()),
        }
    }

    /// Runs a linear layer over the positions `from` of an operand of `all[0]` positions; outputs go to as many positions
    /// of a sink of `all[1]`, from `to` on.
    ///
    /// # Panics
    /// If operand or sink have other extents, or this is no linear layer: a mistake of the caller.
    pub(crate) fn run_part(
        &self,
        operand: &Operand,
        from: Range<usize>,
        to: usize,
        all: [usize; 2],
        sink: Sink<'_>,
    ) -> Result<()> {
        match &self.device {
            On::Cpu(conv) => {
                let len = all[1] * self.spec.outputs;
                conv.run_part(operand.cpu()?, from, to, all, sink.cpu(len)?);
                Ok(())
            }
            On::Gpu(conv) => conv.run_part(operand.gpu()?, from, to, all, sink.gpu()?),
            On::Nowhere => Ok(()),
        }
    }
}
