//! The chunks before the one that a predictor works on. They are unpacked only if a predictor looks at them.

use std::collections::VecDeque;
use std::ops::Range;

use latentbit_codec::maskgit::{Neighbours, Piece, Predictor, TokenWindow};
use latentbit_container::{LatentFrames, StoredChunk, VideoStream};

/// The last chunks, as many as fit into a predictor's window.
pub struct Neighbourhood {
    neighbours: Neighbours,
    /// Chunks after those, not unpacked yet.
    packed: VecDeque<StoredChunk>,
    most: usize,
    unpacked: u64,
}

/// The tokens of a chunk, with all bits that they have known.
pub fn intact(stored: &StoredChunk) -> latentbit_container::Result<Piece> {
    Ok(Piece::of(&stored.unpack()?.tokens, stored.key))
}

impl Neighbourhood {
    /// Starts without chunks.
    pub fn new(video: &VideoStream, predictor: &Predictor) -> Self {
        let grid = video.grid(LatentFrames(1));
        Self {
            neighbours: Neighbours::new(grid.h, grid.w, predictor.steps()),
            packed: VecDeque::new(),
            most: predictor.steps(),
            unpacked: 0,
        }
    }

    /// Adds a chunk without unpacking it.
    pub fn pass(&mut self, stored: StoredChunk) {
        let steps = |stored: &StoredChunk| stored.grid.t as usize;
        self.packed.push_back(stored);
        let mut all: usize = self.packed.iter().map(steps).sum();
        while self.packed.len() > 1 && all > self.most {
            all -= self.packed.pop_front().as_ref().map_or(0, steps);
            // Older chunks no longer adjoin.
            self.neighbours.clear();
        }
    }

    /// Adds an unpacked chunk.
    ///
    /// # Errors
    /// If a chunk before it cannot be unpacked.
    pub fn add(&mut self, piece: Piece) -> latentbit_container::Result<()> {
        self.unpack()?;
        self.neighbours.push(piece);
        Ok(())
    }

    /// Removes all chunks, at a gap or a new segment.
    pub fn clear(&mut self) {
        self.packed.clear();
        self.neighbours.clear();
    }

    /// A window of the chunks before `piece`, `piece`, and the one `after` it; and the steps of `piece` in that window.
    ///
    /// # Errors
    /// If a chunk cannot be unpacked, or is not of whole steps.
    pub fn window(
        &mut self,
        piece: &Piece,
        after: Option<&Piece>,
    ) -> anyhow::Result<(TokenWindow, Range<usize>)> {
        self.unpack()?;
        Ok(self.neighbours.window(piece, after)?)
    }

    /// How many added chunks have been unpacked.
    pub const fn unpacked(&self) -> u64 {
        self.unpacked
    }

    fn unpack(&mut self) -> latentbit_container::Result<()> {
        for stored in self.packed.drain(..) {
            self.neighbours.push(intact(&stored)?);
            self.unpacked += 1;
        }
        Ok(())
    }
}
