//! Activations as a convolution reads them: words, with a border of zeros, and the frames before in front.
//!
//! Frames that a convolution sees again in the next step have memory of their own each, so that they can be kept by
//! handing them over instead of copying them. All others lie one after the other.

use std::ops::Range;

use super::shared::Shared;
use super::words::Format;
use crate::kernels::spec::{Extent, Layout};

/// Bytes from which on memory is given back where it lies idle, because nobody has much of it. Below, it stays for the
/// next use.
const LARGE: u64 = 16 << 20;

/// Whether so many bytes are too many to lie idle.
pub(crate) fn is_large(bytes: u64) -> bool {
    bytes >= LARGE
}

/// Activations whose memory stays from one use to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operand {
    shape: Option<Shape>,
    /// All frames one after the other, if there are none before. As many words as the largest extent so far wanted:
    /// growing again would clear them.
    whole: Vec<u32>,
    /// What `whole` has the border of.
    bordered: Option<Shape>,
    /// Else each frame by itself; those that are not there are empty.
    frames: Vec<Vec<u32>>,
    /// Frames that nobody needs any more, with the border that they have.
    spare: Vec<(Shape, Vec<u32>)>,
    /// What new memory is full of.
    #[cfg(test)]
    stale: u32,
}

/// What an operand is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    format: Format,
    extent: Extent,
    /// How many of its frames come before the step's.
    lead: usize,
}

impl Shape {
    fn layout(&self) -> Layout {
        layout(self.format, self.extent)
    }

    /// The shape of one frame of it.
    fn frame(self) -> Self {
        let extent = Extent {
            frames: 1,
            ..self.extent
        };
        Self {
            extent,
            lead: 0,
            ..self
        }
    }

    /// Sets the borders of frames to zero.
    fn clear_border(&self, words: &mut [u32]) {
        let layout = self.layout();
        let [above, left, below, right] = self.extent.border;
        if self.extent.border == [0; 4] {
            return;
        }
        for frame in words.chunks_exact_mut(layout.frame) {
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
}

impl Operand {
    /// Makes it an operand of this extent with a border of zeros, whose first `lead` frames are those before the step;
    /// what is within is not defined.
    pub(crate) fn reshape(&mut self, format: Format, extent: Extent, lead: usize) {
        let shape = Shape { format, extent, lead };
        self.retire();
        self.shape = Some(shape);
        if lead > 0 {
            self.frames.resize_with(extent.frames, Vec::new);
        }
        self.make_room(shape);
        if lead > 0 {
            return;
        }
        if self.bordered == Some(shape) {
            return;
        }
        self.bordered = Some(shape);
        let len = extent.frames * shape.layout().frame;
        if self.whole.len() < len {
            // What was there need not be copied, nor be there at the same time.
            self.whole = Vec::new();
            self.whole = vec![self.stale(); len];
        }
        shape.clear_border(&mut self.whole[..len]);
    }

    /// Words of an operand of this extent, and of one of its frames.
    pub(in crate::kernels) fn words_of(format: Format, extent: Extent) -> (u64, u64) {
        let frame = layout(format, extent).frame as u64;
        (extent.frames as u64 * frame, frame)
    }

    #[cfg(test)]
    fn stale(&self) -> u32 {
        self.stale
    }

    #[cfg(not(test))]
    fn stale(&self) -> u32 {
        0
    }

    /// An operand whose memory holds this word wherever nothing was written yet.
    #[cfg(test)]
    pub(in crate::kernels) fn full_of(stale: u32) -> Self {
        Self {
            stale,
            ..Self::default()
        }
    }

    pub(in crate::kernels) fn extent(&self) -> Option<Extent> {
        self.shape.map(|shape| shape.extent)
    }

    /// Where things are in a frame.
    pub(in crate::kernels) fn layout(&self) -> Layout {
        self.shape.map_or(Layout::default(), |shape| shape.layout())
    }

    fn is_split(&self) -> bool {
        self.shape.is_some_and(|shape| shape.lead > 0)
    }

    /// The words of a frame; none if it is not there.
    #[inline]
    pub(in crate::kernels) fn frame(&self, index: usize) -> &[u32] {
        if self.is_split() {
            return &self.frames[index];
        }
        let len = self.layout().frame;
        &self.whole[index * len..(index + 1) * len]
    }

    /// The words of all frames.
    ///
    /// # Panics
    /// If there may be frames before them: a mistake of the caller.
    pub(in crate::kernels) fn words(&self) -> &[u32] {
        assert!(!self.is_split());
        let frames = self.extent().map_or(0, |extent| extent.frames);
        &self.whole[..frames * self.layout().frame]
    }

    /// Its frames from `first` on, to be written.
    pub(in crate::kernels) fn frames_from(&mut self, first: usize) -> Frames<'_> {
        let Some(shape) = self.shape else {
            return Frames::default();
        };
        if !self.is_split() {
            return self.flat(shape.layout().frame);
        }
        for index in first..self.frames.len() {
            if self.frames[index].is_empty() {
                self.frames[index] = self.empty_frame(shape.frame());
            }
        }
        Frames {
            parts: self
                .frames
                .iter_mut()
                .map(|frame| Shared::new(&mut frame[..]))
                .collect(),
            frame: None,
        }
    }

    /// Its words as frames of so many each, to be written.
    ///
    /// # Panics
    /// If there may be frames before them: a mistake of the caller.
    pub(in crate::kernels) fn flat(&mut self, frame: usize) -> Frames<'_> {
        assert!(!self.is_split());
        let frames = self.extent().map_or(0, |extent| extent.frames);
        let len = frames * self.layout().frame;
        Frames {
            parts: vec![Shared::new(&mut self.whole[..len])],
            frame: Some(frame),
        }
    }

    /// A frame of this shape whose border is zero.
    fn empty_frame(&mut self, shape: Shape) -> Vec<u32> {
        if let Some(index) = self.spare.iter().position(|(known, _)| *known == shape) {
            return self.spare.swap_remove(index).1;
        }
        let mut words = vec![self.stale(); shape.layout().frame];
        if self.stale() != 0 {
            shape.clear_border(&mut words);
        }
        words
    }

    /// Takes its newest frames out, at most `count` and not those that are not there. It must be given an extent before it
    /// is used again.
    pub(in crate::kernels) fn take_newest(&mut self, count: usize) -> Vec<Vec<u32>> {
        let there = self.frames.iter().position(|frame| !frame.is_empty());
        let first = there.unwrap_or(self.frames.len());
        let newest = self
            .frames
            .split_off(first.max(self.frames.len().saturating_sub(count)));
        self.retire();
        newest
    }

    /// Makes the newest `known` of some frames, which an operand of this shape gave, those before the step. False if
    /// they do not fit.
    pub(in crate::kernels) fn recall(&mut self, mut frames: Vec<Vec<u32>>, known: usize) -> bool {
        let Some(shape) = self.shape else {
            return false;
        };
        let len = shape.layout().frame;
        if known > frames.len() || known > shape.lead || frames.iter().any(|frame| frame.len() != len) {
            return false;
        }
        let newest = frames.split_off(frames.len() - known);
        let before = &mut self.frames[shape.lead - known..shape.lead];
        before
            .iter_mut()
            .zip(newest)
            .for_each(|(before, frame)| *before = frame);
        self.spare
            .extend(frames.into_iter().map(|frame| (shape.frame(), frame)));
        true
    }

    /// Leaves frames to those that come next.
    fn retire(&mut self) {
        if let Some(shape) = self.shape.take() {
            let there = self.frames.drain(..).filter(|frame| !frame.is_empty());
            self.spare.extend(there.map(|frame| (shape.frame(), frame)));
        }
    }

    /// Gives back what lies idle and is large, but for frames of an operand of this shape.
    fn make_room(&mut self, wanted: Shape) {
        let wanted = (wanted.lead > 0).then(|| wanted.frame());
        self.spare
            .retain(|(shape, frame)| Some(*shape) == wanted || !is_large(4 * frame.len() as u64));
    }

    /// Gives back what lies idle and is large, so that there is room for another operand.
    pub(in crate::kernels) fn make_room_for(&mut self, other: &Self) {
        if let Some(shape) = other.shape {
            self.make_room(shape);
        }
    }

    /// It was read for the last time: gives back what is large, but for frames by themselves.
    pub(in crate::kernels) fn finish(&mut self) {
        if !self.is_split() && is_large(4 * self.whole.len() as u64) {
            *self = Self {
                spare: std::mem::take(&mut self.spare),
                #[cfg(test)]
                stale: self.stale,
                ..Self::default()
            };
        }
    }

    /// Gives back memory that only frames of the same size would use again.
    pub(in crate::kernels) fn trim(&mut self) {
        self.shape = None;
        self.frames.clear();
        self.spare.clear();
    }

    /// Memory that it holds, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let spare = self.spare.iter().map(|(_, frame)| frame);
        let words = self.frames.iter().chain(spare).chain([&self.whole]);
        4 * words.map(Vec::capacity).sum::<usize>()
    }
}

/// Frames that tasks write to side by side, each in places of its own.
#[derive(Default)]
pub(in crate::kernels) struct Frames<'a> {
    parts: Vec<Shared<'a, u32>>,
    /// Words from frame to frame, if they are all in one part.
    frame: Option<usize>,
}

impl<'a> Frames<'a> {
    /// Words of a frame.
    ///
    /// # Safety
    /// No two parts that live at the same time overlap.
    ///
    /// # Panics
    /// If they are not within the frame: a mistake of the caller.
    #[inline]
    pub(in crate::kernels) unsafe fn part(&self, frame: usize, words: Range<usize>) -> &'a mut [u32] {
        let (part, at) = match self.frame {
            Some(len) => (0, frame * len),
            None => (frame, 0),
        };
        // SAFETY: the caller vouches that nobody else has these words.
        unsafe { self.parts[part].part(at + words.start..at + words.end) }
    }
}

fn layout(format: Format, extent: Extent) -> Layout {
    Layout::new(format.words(extent.channels), extent)
}
