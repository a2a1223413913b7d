//! Frames that a convolution wants to see again in the step that follows.

use std::borrow::Cow;

use rayon::prelude::*;

use super::cuda;
use super::operand::{Operand, elsewhere};
use crate::error::Result;

/// Words that a thread copies at a time.
const PART: usize = 1 << 16;

/// The newest frames of an operand, with the border that they have in it. Only these need memory of their own from one
/// step to the next; operands can be shared.
#[derive(Debug)]
pub(crate) enum Kept {
    Cpu(Vec<u32>),
    Gpu(cuda::Kept),
}

impl Default for Kept {
    fn default() -> Self {
        Self::Cpu(Vec::new())
    }
}

fn copy(from: &[u32], to: &mut [u32]) {
    let parts = to.par_chunks_mut(PART).zip(from.par_chunks(PART));
    parts.for_each(|(to, from)| to.copy_from_slice(from));
}

impl Kept {
    /// From words that [`Kept::words`] gave.
    pub(crate) fn of(words: &[u32]) -> Self {
        Self::Cpu(words.to_vec())
    }

    /// Keeps the newest `count` frames of an operand.
    pub(crate) fn take(&mut self, operand: &Operand, count: usize) -> Result<()> {
        match operand {
            Operand::Cpu(operand) => {
                let Self::Cpu(words) = self else {
                    return Err(elsewhere());
                };
                let newest = operand.newest(count);
                words.resize(newest.len(), 0);
                copy(newest, words);
                Ok(())
            }
            Operand::Gpu(operand) => self.on(operand.gpu())?.take(operand, count),
        }
    }

    /// Makes them the first frames of an operand.
    pub(crate) fn put(&self, operand: &mut Operand) -> Result<()> {
        match (self, operand) {
            (Self::Cpu(words), Operand::Cpu(operand)) => {
                copy(words, operand.front_mut(words.len()).ok_or_else(elsewhere)?);
                Ok(())
            }
            (Self::Cpu(words), Operand::Gpu(operand)) => operand.write_front(words),
            (Self::Gpu(kept), Operand::Gpu(operand)) => kept.put(operand),
            (Self::Gpu(_), Operand::Cpu(_)) => Err(elsewhere()),
        }
    }

    /// Their words.
    pub(crate) fn words(&self) -> Result<Cow<'_, [u32]>> {
        match self {
            Self::Cpu(words) => Ok(Cow::Borrowed(words)),
            Self::Gpu(kept) => kept.words().map(Cow::Owned),
        }
    }

    /// Memory that they take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Cpu(words) => 4 * words.capacity(),
            Self::Gpu(kept) => kept.room(),
        }
    }

    /// A copy with memory of its own.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(match self {
            Self::Cpu(words) => Self::Cpu(words.clone()),
            Self::Gpu(kept) => Self::Gpu(kept.try_clone()?),
        })
    }

    /// The same on a GPU.
    pub(crate) fn on(&mut self, gpu: &cuda::Gpu) -> Result<&mut cuda::Kept> {
        if let Self::Cpu(words) = self {
            *self = Self::Gpu(cuda::Kept::holding(gpu, words)?);
        }
        match self {
            Self::Gpu(kept) => Ok(kept),
            Self::Cpu(_) => Err(elsewhere()),
        }
    }
}
