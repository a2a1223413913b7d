//! Activations as a convolution reads them: words, with a border of zeros, and room in front for the frames before.

use super::shared::Shared;
use super::words::Format;

/// Extents of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Those in front included.
    pub(in crate::kernels) frames: usize,
    pub(in crate::kernels) height: usize,
    pub(in crate::kernels) width: usize,
    pub(in crate::kernels) channels: usize,
    /// Rows above, columns to the left, rows below, columns to the right.
    pub(in crate::kernels) border: [usize; 4],
}

/// A buffer of words that keeps its memory from one use to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operand {
    shape: Option<(Format, Extent)>,
    words: Vec<u32>,
}

impl Operand {
    /// Makes it an operand of this extent with a border of zeros; what is within is not defined.
    pub(in crate::kernels) fn reshape(&mut self, format: Format, extent: Extent) {
        if self.shape == Some((format, extent)) {
            return;
        }
        self.shape = Some((format, extent));
        let layout = Layout::new(format, extent);
        self.words.resize(extent.frames * layout.frame, 0);
        let [above, left, below, right] = extent.border;
        if extent.border == [0; 4] {
            return;
        }
        for frame in self.words.chunks_exact_mut(layout.frame) {
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
        let frame = Layout::new(format, extent).frame as u64;
        (extent.frames as u64 * frame, frame)
    }

    /// An operand whose memory holds these words before it is given an extent.
    #[cfg(test)]
    pub(in crate::kernels) fn of_words(words: Vec<u32>) -> Self {
        Self { shape: None, words }
    }

    pub(in crate::kernels) fn extent(&self) -> Option<Extent> {
        self.shape.map(|(_, extent)| extent)
    }

    /// Where things are in [`Operand::words`].
    pub(in crate::kernels) fn layout(&self) -> Layout {
        self.shape
            .map_or(Layout::default(), |(format, extent)| Layout::new(format, extent))
    }

    pub(in crate::kernels) fn words(&self) -> &[u32] {
        &self.words
    }

    pub(in crate::kernels) fn shared(&mut self) -> Shared<'_, u32> {
        Shared::new(&mut self.words)
    }

    /// Moves the newest `count` frames to the front.
    pub(crate) fn keep_newest(&mut self, count: usize) {
        let frame = self.layout().frame;
        let start = self.words.len().saturating_sub(count * frame);
        self.words.copy_within(start.., 0);
    }

    /// The words of its first `count` frames; all that there are, if it has been given no extent since they were restored.
    pub(crate) fn front(&self, count: usize) -> &[u32] {
        let len = match self.shape {
            Some(_) => (count * self.layout().frame).min(self.words.len()),
            None => self.words.len(),
        };
        &self.words[..len]
    }

    /// Makes it one that was given no extent yet and whose memory begins with these words.
    pub(crate) fn restore(&mut self, words: &[u32]) {
        self.shape = None;
        self.words.clear();
        self.words.extend_from_slice(words);
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * 4
    }
}

/// Distances in words.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kernels) struct Layout {
    pub(in crate::kernels) position: usize,
    pub(in crate::kernels) row: usize,
    pub(in crate::kernels) frame: usize,
    border: [usize; 4],
}

impl Layout {
    fn new(format: Format, extent: Extent) -> Self {
        let [above, left, below, right] = extent.border;
        let position = format.words(extent.channels);
        let row = (left + extent.width + right) * position;
        Self {
            position,
            row,
            frame: (above + extent.height + below) * row,
            border: extent.border,
        }
    }

    /// The layout of as many positions of frames of another extent, without a border.
    pub(in crate::kernels) fn flat(self, height: usize, width: usize) -> Self {
        Self {
            row: width * self.position,
            frame: height * width * self.position,
            ..self
        }
    }

    /// Where a position begins; row and column count from the border's edge.
    pub(in crate::kernels) fn bordered(&self, frame: usize, row: usize, column: usize) -> usize {
        frame * self.frame + row * self.row + column * self.position
    }

    /// Where a position begins; row and column count without the border.
    pub(in crate::kernels) fn inner(&self, frame: usize, row: usize, column: usize) -> usize {
        self.bordered(frame, row + self.border[0], column + self.border[1])
    }
}
