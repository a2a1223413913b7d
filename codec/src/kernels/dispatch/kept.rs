//! Frames that a convolution wants to see again in the step that follows.

use super::Operand;
use crate::error::{Result, elsewhere};
use crate::kernels::cuda;

/// The newest frames of an operand, with the border that they have in it. Only these need memory of their own from one
/// step to the next; operands can be shared. On the CPU they are handed over, not copied.
#[derive(Debug)]
pub(crate) enum Kept {
    /// Frames, or what a GPU is to hold.
    Cpu(Vec<Vec<u32>>),
    Gpu(cuda::Kept),
}

impl Default for Kept {
    fn default() -> Self {
        Self::Cpu(Vec::new())
    }
}

impl Kept {
    /// What [`Kept::stow`] gave.
    pub(crate) fn of(frames: Vec<Vec<u32>>) -> Self {
        Self::Cpu(frames)
    }

    /// Keeps the newest `count` frames of an operand, which needs an extent before it is used again.
    pub(crate) fn take(&mut self, operand: &mut Operand, count: usize) -> Result<()> {
        match operand {
            Operand::Cpu(operand) => {
                let Self::Cpu(frames) = self else {
                    return Err(elsewhere());
                };
                *frames = operand.take_newest(count);
                Ok(())
            }
            Operand::Gpu(operand) => self.on(operand.gpu())?.take(operand, count),
        }
    }

    /// Makes them the frames of an operand before those of the step, of which `known` count.
    pub(crate) fn put(&mut self, operand: &mut Operand, known: usize) -> Result<()> {
        match (self, operand) {
            (Self::Cpu(frames), Operand::Cpu(operand)) => operand
                .recall(std::mem::take(frames), known)
                .then_some(())
                .ok_or_else(elsewhere),
            (_, Operand::Gpu(_)) if known == 0 => Ok(()),
            (Self::Cpu(frames), Operand::Gpu(operand)) => {
                operand.write_front(frames.first().map_or(&[], |words| words))
            }
            (Self::Gpu(kept), Operand::Gpu(operand)) => kept.put(operand),
            (Self::Gpu(_), Operand::Cpu(_)) => Err(elsewhere()),
        }
    }

    /// Sums of the next `frames` frames, of so many values each, as bits of f32, on the CPU. They are zeros if none are
    /// known.
    pub(crate) fn sums(&mut self, known: bool, frames: usize, len: usize) -> Result<&mut Vec<Vec<u32>>> {
        let Self::Cpu(sums) = self else {
            return Err(elsewhere());
        };
        if !known {
            sums.resize_with(frames, Vec::new);
            for sums in sums.iter_mut() {
                sums.clear();
                sums.resize(len, 0);
            }
        }
        let fits = sums.len() == frames && sums.iter().all(|sums| sums.len() == len);
        fits.then_some(sums).ok_or_else(elsewhere)
    }

    /// Takes them out of the network's memory, as parts of words on the host.
    pub(crate) fn stow(&mut self) -> Result<Vec<Vec<u32>>> {
        match self {
            Self::Cpu(frames) => Ok(std::mem::take(frames)),
            Self::Gpu(kept) => Ok(vec![kept.words()?]),
        }
    }

    /// Gives back memory that only frames of the same size would use again.
    pub(crate) fn trim(&mut self) {
        if let Self::Cpu(frames) = self {
            frames.clear();
        }
    }

    /// Memory that they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Cpu(frames) => 4 * frames.iter().map(Vec::capacity).sum::<usize>(),
            Self::Gpu(kept) => kept.room(),
        }
    }

    /// A copy with memory of its own.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(match self {
            Self::Cpu(frames) => Self::Cpu(frames.clone()),
            Self::Gpu(kept) => Self::Gpu(kept.try_clone()?),
        })
    }

    /// The same on a GPU.
    pub(crate) fn on(&mut self, gpu: &cuda::Gpu) -> Result<&mut cuda::Kept> {
        if let Self::Cpu(frames) = self {
            let words = frames.first().map_or(&[][..], |words| words);
            *self = Self::Gpu(cuda::Kept::holding(gpu, words)?);
        }
        match self {
            Self::Gpu(kept) => Ok(kept),
            Self::Cpu(_) => Err(elsewhere()),
        }
    }
}
