//! Self-attention within windows, wherever it is computed.

use super::{Backend, Operand};
use crate::error::Result;
use crate::kernels::cpu::{self, AttentionBuffers};
use crate::kernels::cuda;
use crate::kernels::spec::{AttentionSpec, RotaryTables};

/// Cosines and sines of the rotary positions, where operators run.
#[derive(Debug)]
pub(crate) enum Rotary {
    Cpu(RotaryTables),
    Gpu(cuda::Tables),
}

impl Rotary {
    /// See [`RotaryTables::new`].
    pub(crate) fn new(backend: &Backend, grid: [usize; 3], head: usize, theta: f64) -> Result<Self> {
        let tables = RotaryTables::new(grid, head, theta);
        Ok(match backend {
            Backend::Cpu(_) => Self::Cpu(tables),
            Backend::Gpu(gpu) => Self::Gpu(cuda::Tables::new(gpu, &tables)?),
        })
    }

    fn cpu(&self) -> Option<&RotaryTables> {
        match self {
            Self::Cpu(tables) => Some(tables),
            Self::Gpu(_) => None,
        }
    }

    fn gpu(&self) -> Option<&cuda::Tables> {
        match self {
            Self::Gpu(tables) => Some(tables),
            Self::Cpu(_) => None,
        }
    }
}

/// Which positions see each other, and how heads turn.
#[derive(Debug)]
pub(crate) struct Attention<'a> {
    spec: AttentionSpec,
    rotary: Option<&'a Rotary>,
}

impl<'a> Attention<'a> {
    /// See [`AttentionSpec::windowed`].
    pub(crate) fn windowed(grid: [usize; 3], window: [usize; 3], shift: [usize; 3]) -> Self {
        Self {
            spec: AttentionSpec::windowed(grid, window, shift),
            rotary: None,
        }
    }

    pub(crate) fn heads(mut self, heads: usize, rotary: &'a Rotary) -> Self {
        self.spec.heads = heads;
        self.rotary = Some(rotary);
        self
    }

    pub(crate) fn clips(mut self, clips: usize) -> Self {
        self.spec.clips = clips;
        self
    }

    /// Makes `operand` one for queries, keys and values of `width` channels each.
    pub(crate) fn shape(&self, backend: &Backend, width: usize, operand: &mut Operand) -> Result<()> {
        let extent = self.spec.extent(width);
        match backend {
            Backend::Cpu(format) => {
                operand.cpu_mut()?.reshape(*format, extent, 0);
                Ok(())
            }
            Backend::Gpu(gpu) => operand.on(gpu)?.reshape(extent),
        }
    }

    /// Queries, keys and values (T, H, W, 3 · width), each of them heads side by side, to an operand of as many
    /// positions of `width` channels without a border. Heads have an even number of channels. What queries and keys are
    /// afterwards is not defined.
    ///
    /// # Panics
    /// If operands are not those of the grid, or there are several grids on the CPU: a mistake of the caller.
    pub(crate) fn run(
        &self,
        backend: &Backend,
        qkv: &mut Operand,
        buffers: &mut AttentionBuffers,
        out: &mut Operand,
    ) -> Result<()> {
        let spec = &self.spec;
        if spec.grid.contains(&0) {
            return Ok(());
        }
        match backend {
            Backend::Cpu(format) => {
                assert_eq!(spec.clips, 1);
                let rotary = self.rotary.and_then(Rotary::cpu);
                cpu::attention::run(spec, rotary, *format, qkv.cpu()?, buffers, out.cpu_mut()?);
                Ok(())
            }
            Backend::Gpu(_) => {
                let tables = self.rotary.and_then(Rotary::gpu);
                cuda::attention(spec, tables, qkv.gpu_mut()?, out.gpu_mut()?)
            }
        }
    }
}

/// Bytes that one head of so many channels over each of T frames of (H, W) positions works in.
pub(crate) fn frame_bytes(backend: &Backend, size: [usize; 3], channels: usize) -> u64 {
    match backend {
        Backend::Cpu(format) => 4 * AttentionBuffers::words(*format, size, channels),
        Backend::Gpu(gpu) => cuda::frame_bytes(gpu, [size[1], size[2]], channels),
    }
}
