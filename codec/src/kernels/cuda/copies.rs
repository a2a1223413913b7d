//! The frames that operands of single clips keep, to an operand of all of them and back.

use super::driver::{Kernel, THREADS};
use super::{Gpu, Operand, arguments};
use crate::error::Result;

/// Blocks that work on a copy.
const BLOCKS: u32 = 8;

/// Copies that are done together: from, to, bytes.
#[derive(Debug, Default)]
pub(crate) struct Copies(Vec<[u64; 3]>);

impl Copies {
    /// Brings `kept` frames of each clip to the front of an operand of all clips, where clips take turns.
    pub(crate) fn gather<'a>(
        &mut self,
        kept: usize,
        clips: impl ExactSizeIterator<Item = &'a Operand>,
        all: &mut Operand,
    ) -> Result<()> {
        let count = clips.len();
        for (clip, operand) in clips.enumerate() {
            let bytes = operand.front_bytes(kept);
            let to = all.make_room(count * bytes)?;
            if bytes > 0 {
                self.turns(kept, [count, clip], bytes / kept, [operand.at(0)?, to], false);
            }
        }
        Ok(())
    }

    /// The way back: each clip's operand is as if it had been restored.
    pub(crate) fn scatter<'a>(
        &mut self,
        kept: usize,
        all: &Operand,
        clips: impl ExactSizeIterator<Item = &'a mut Operand>,
    ) -> Result<()> {
        let (count, bytes) = (clips.len(), all.front_bytes(kept));
        for (clip, operand) in clips.enumerate() {
            if let Some(memory) = operand.restore_as(bytes)? {
                let places = [memory.address(), all.at(0)?];
                self.turns(kept, [count, clip], bytes / kept, places, true);
            }
        }
        Ok(())
    }

    /// Frames of a clip at `own`, and among those of all clips at `all`.
    fn turns(
        &mut self,
        kept: usize,
        [clips, clip]: [usize; 2],
        frame: usize,
        [own, all]: [u64; 2],
        back: bool,
    ) {
        self.0.extend((0..kept).map(|index| {
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
