//! Frames that convolutions want to see again, and copies of many of them at once.

use super::driver::{Kernel, THREADS};
use super::memory::{Memory, at_least};
use super::{Gpu, Operand, arguments, lost};
use crate::error::{Result, elsewhere};

/// Blocks that work on a copy.
const BLOCKS: u32 = 8;

/// See `dispatch::Kept`.
#[derive(Debug)]
pub(crate) struct Kept {
    gpu: Gpu,
    memory: Option<Memory>,
    bytes: usize,
}

impl Kept {
    /// Frames of these words.
    pub(crate) fn holding(gpu: &Gpu, words: &[u32]) -> Result<Self> {
        let mut kept = Self {
            gpu: gpu.clone(),
            memory: None,
            bytes: 0,
        };
        if !words.is_empty() {
            kept.reserve(4 * words.len())?;
            kept.memory()?.write(bytemuck::cast_slice(words))?;
        }
        Ok(kept)
    }

    fn memory(&self) -> Result<&Memory> {
        self.memory.as_ref().ok_or_else(lost)
    }

    /// Makes it hold so many bytes, which are yet to be written.
    fn reserve(&mut self, bytes: usize) -> Result<u64> {
        self.bytes = bytes;
        Ok(at_least(&mut self.memory, self.gpu.driver(), bytes, false)?.address())
    }

    /// See `dispatch::Kept::take`.
    pub(crate) fn take(&mut self, operand: &Operand, count: usize) -> Result<()> {
        let (frame, frames) = operand.frames();
        let (bytes, from) = (count * frame, operand.at_frame(frames.saturating_sub(count))?);
        let to = self.reserve(bytes)?;
        self.gpu.driver().copy(from, to, bytes)
    }

    /// See `dispatch::Kept::put`.
    pub(crate) fn put(&self, operand: &Operand) -> Result<()> {
        let (frame, frames) = operand.frames();
        if self.bytes > frame * frames {
            return Err(elsewhere());
        }
        let (from, to) = (self.memory()?.address(), operand.at_frame(0)?);
        self.gpu.driver().copy(from, to, self.bytes)
    }

    /// Their words.
    pub(crate) fn words(&self) -> Result<Vec<u32>> {
        let (driver, bytes) = (self.gpu.driver(), self.bytes);
        let mut words = vec![0; bytes / 4];
        if bytes > 0 {
            let from = self.memory()?.address();
            let download = driver.download(bytes, &mut |to| driver.copy(from, to, bytes))?;
            download.wait(&mut |found| bytemuck::cast_slice_mut(&mut words).copy_from_slice(found))?;
        }
        Ok(words)
    }

    /// Bytes of memory that it has.
    pub(crate) fn room(&self) -> usize {
        self.memory.as_ref().map_or(0, Memory::bytes)
    }

    /// A copy with memory of its own.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        let mut copy = Self::holding(&self.gpu, &[])?;
        if self.bytes > 0 {
            let (from, to) = (self.memory()?.address(), copy.reserve(self.bytes)?);
            self.gpu.driver().copy(from, to, self.bytes)?;
        }
        Ok(copy)
    }
}

/// Copies that are done together: from, to, bytes.
#[derive(Debug, Default)]
pub(crate) struct Copies(Vec<[u64; 3]>);

impl Copies {
    /// Brings what each clip keeps of a convolution together, where clips take turns, a frame each. Each has as many.
    pub(crate) fn gather(&mut self, frames: usize, clips: &[&Kept], all: &mut Kept) -> Result<()> {
        let Some(first) = clips.first() else {
            return Ok(());
        };
        let frame = first.bytes / frames;
        let to = all.reserve(clips.len() * first.bytes)?;
        for (index, clip) in clips.iter().enumerate() {
            let from = clip.memory()?.address();
            self.turns(frames, [clips.len(), index], frame, [from, to], false);
        }
        Ok(())
    }

    /// The way back.
    pub(crate) fn scatter(&mut self, frames: usize, all: &Kept, clips: &mut [&mut Kept]) -> Result<()> {
        let count = clips.len();
        let bytes = all.bytes / count.max(1);
        let from = all.memory()?.address();
        for (index, clip) in clips.iter_mut().enumerate() {
            let to = clip.reserve(bytes)?;
            self.turns(frames, [count, index], bytes / frames, [to, from], true);
        }
        Ok(())
    }

    /// Frames of a clip at `own`, and among those of all clips at `all`.
    fn turns(
        &mut self,
        frames: usize,
        [clips, clip]: [usize; 2],
        frame: usize,
        [own, all]: [u64; 2],
        back: bool,
    ) {
        self.0.extend((0..frames).map(|index| {
            let own = own + (index * frame) as u64;
            let all = all + ((index * clips + clip) * frame) as u64;
            let [from, to] = if back { [all, own] } else { [own, all] };
            [from, to, frame as u64]
        }));
    }

    /// Queues them.
    pub(crate) fn run(&self, gpu: &Gpu) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        gpu.driver().upload(bytemuck::cast_slice(&self.0), &mut |list| {
            let arguments = arguments::Copies {
                list,
                blocks: BLOCKS.into(),
            };
            let blocks = [self.0.len() as u32, BLOCKS, 1];
            gpu.launch(Kernel::Copies, 0, blocks, THREADS, &arguments)
        })
    }
}
