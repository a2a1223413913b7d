//! Activations as a convolution reads them: words, with a border of zeros, and room in front for the frames before.

use super::shared::Shared;
use super::words::Format;
use crate::kernels::extent::{Extent, Layout};

/// A buffer of words that keeps its memory from one use to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operand {
    shape: Option<(Format, Extent)>,
    /// As many as the largest extent so far wanted: growing again would clear them.
    words: Vec<u32>,
    /// How many of them count.
    len: usize,
}

impl Operand {
    /// Makes it an operand of this extent with a border of zeros; what is within is not defined.
    pub(crate) fn reshape(&mut self, format: Format, extent: Extent) {
        if self.shape == Some((format, extent)) {
            return;
        }
        self.shape = Some((format, extent));
        let layout = layout(format, extent);
        self.len = extent.frames * layout.frame;
        if self.words.len() < self.len {
            self.words.resize(self.len, 0);
        }
        let [above, left, below, right] = extent.border;
        if extent.border == [0; 4] {
            return;
        }
        for frame in self.words[..self.len].chunks_exact_mut(layout.frame) {
            frame[..above * layout.row].fill(0);
            let end = frame.len() - below * layout.row;
            frame[end..].fill(0);
            for row in frame[above * layout.row..end].chunks_exact_mut(layout.row) {
                row[..left * layout.position].fill(0);
                let end = row.len() - right * layout.position;
                row[end..].fill(0);
            }
        }
    }

    /// Words of an operand of this extent, and of one of its frames.
    pub(in crate::kernels) fn words_of(format: Format, extent: Extent) -> (u64, u64) {
        let frame = layout(format, extent).frame as u64;
        (extent.frames as u64 * frame, frame)
    }

    /// An operand whose memory holds these words before it is given an extent.
    #[cfg(test)]
    pub(in crate::kernels) fn of_words(words: Vec<u32>) -> Self {
        let len = words.len();
        Self {
            shape: None,
            words,
            len,
        }
    }

    pub(in crate::kernels) fn extent(&self) -> Option<Extent> {
        self.shape.map(|(_, extent)| extent)
    }

    /// Where things are in [`Operand::words`].
    pub(in crate::kernels) fn layout(&self) -> Layout {
        self.shape
            .map_or(Layout::default(), |(format, extent)| layout(format, extent))
    }

    pub(in crate::kernels) fn words(&self) -> &[u32] {
        &self.words[..self.len]
    }

    pub(in crate::kernels) fn shared(&mut self) -> Shared<'_, u32> {
        Shared::new(&mut self.words[..self.len])
    }

    /// The words of its newest `count` frames.
    pub(in crate::kernels) fn newest(&self, count: usize) -> &[u32] {
        let start = self.len.saturating_sub(count * self.layout().frame);
        &self.words[start..self.len]
    }

    /// Its first `len` words; none, if it has less.
    pub(in crate::kernels) fn front_mut(&mut self, len: usize) -> Option<&mut [u32]> {
        self.words[..self.len].get_mut(..len)
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * 4
    }
}

fn layout(format: Format, extent: Extent) -> Layout {
    Layout::new(format.words(extent.channels), extent)
}
