//! Tokens of lost chunks, by prediction from those around them.

use std::sync::Arc;

use latentbit_container::{Chunk, ChunkHead, LatentFrames, StreamId, Times, Tokens, VideoStream, bit_mask};

use super::LostChunk;
use crate::error::Result;
use crate::maskgit::{FillOptions, Neighbours, Piece, Predictor};

/// How many ways to fill a chunk are decoded. A viewer sees their mean: what is sure stays sharp, and what is not is no
/// guess that is wrong half of the time.
const DRAWS: u32 = 8;

/// A chunk that was filled in, all of it or in part.
#[derive(Debug)]
pub(in crate::pipeline) struct MadeUp {
    /// The likeliest tokens.
    pub(in crate::pipeline) chunk: Chunk,
    /// Tokens as likely as the predictor holds them, [`DRAWS`] times.
    pub(in crate::pipeline) draws: Vec<Vec<u64>>,
    /// Whether a chunk before it came, which it was filled from.
    pub(in crate::pipeline) before: bool,
    /// Whether the chunk after those that are lost came, and follows.
    pub(in crate::pipeline) after: bool,
}

/// Predicts tokens from those that were seen.
pub(super) struct Filler {
    predictor: Arc<Predictor>,
    options: FillOptions,
    video: VideoStream,
    /// Planes that the decoder looks at.
    wanted_bits: u8,
    neighbours: Neighbours,
    /// Of the last chunk that came.
    segment: u32,
    /// Planes of the chunk that had most of them in this segment.
    most_bits: u8,
}

impl Filler {
    pub(super) fn new(
        predictor: &Arc<Predictor>,
        options: &FillOptions,
        video: &VideoStream,
        kept_bits: Option<u8>,
    ) -> Self {
        let grid = video.grid(LatentFrames(1));
        Self {
            predictor: predictor.clone(),
            options: options.clone(),
            video: video.clone(),
            wanted_bits: kept_bits.unwrap_or(u8::MAX).min(video.bits),
            neighbours: Neighbours::new(grid.h, grid.w, predictor.steps()),
            segment: 0,
            most_bits: 0,
        }
    }

    /// Forgets what was seen: so much is lost after it that it tells nothing.
    pub(super) fn forget(&mut self) {
        self.neighbours.clear();
    }

    /// The chunks of a run, filled one after the other: each from those before it, the last from the chunk after it as well.
    /// None if there is nothing to fill them from.
    pub(super) fn fill(&mut self, lost: &[LostChunk], next: Option<&Chunk>) -> Result<Option<Vec<MadeUp>>> {
        // Another segment is another video: a lost chunk is taken for one of the video before it.
        let next = next.filter(|next| self.neighbours.is_empty() || next.segment == self.segment);
        if self.neighbours.is_empty() && next.is_none() {
            return Ok(None);
        }
        let segment = match (self.neighbours.is_empty(), next) {
            (true, Some(next)) => next.segment,
            _ => self.segment,
        };
        let bits = self.video.bits;
        let (before, after) = (!self.neighbours.is_empty(), next.is_some());
        let mut filled = Vec::with_capacity(lost.len());
        for (left, chunk) in (0..lost.len()).rev().zip(lost) {
            let piece_after = next
                .filter(|_| left == 0)
                .map(|next| Piece::of(&next.tokens, next.key));
            let grid = self.video.grid(chunk.latent_frames);
            let piece = Piece::lost(grid.len(), chunk.key);
            let (mut values, draws) = self.predicted(&piece, piece_after.as_ref(), chunk.sequence)?;
            self.neighbours
                .push(Piece::intact(values.clone(), self.video.bundle_bits, chunk.key));
            values.iter_mut().for_each(|value| *value &= bit_mask(bits));
            let chunk = Chunk {
                head: ChunkHead {
                    stream: StreamId(0),
                    sequence: chunk.sequence,
                    first_frame: chunk.first_frame,
                    frame_count: chunk.frame_count,
                    latent_frames: chunk.latent_frames,
                    key: chunk.key,
                    segment,
                },
                times: Times::default(),
                tokens: Tokens::new(grid, bits, values),
            };
            filled.push(MadeUp {
                chunk,
                draws,
                before,
                after,
            });
        }
        Ok(Some(filled))
    }

    /// Takes in a chunk that came. If planes of it are missing, they are predicted; then gives what was drawn.
    pub(super) fn pass(&mut self, chunk: &mut Chunk) -> Result<Option<Vec<Vec<u64>>>> {
        if chunk.segment != self.segment {
            self.neighbours.clear();
            self.segment = chunk.segment;
            self.most_bits = 0;
        }
        let (bits, most) = (chunk.tokens.bits, self.most_bits);
        self.most_bits = most.max(bits);
        // What a token of an elastic stream lacks was left out on purpose.
        let partly = chunk.tokens.depths.is_none() && bits < most.min(self.wanted_bits);
        let mut draws = None;
        if partly {
            let piece = Piece::of(&chunk.tokens, chunk.key);
            let (made_up, drawn) = self.predicted(&piece, None, chunk.sequence)?;
            for (value, made_up) in chunk.tokens.values.iter_mut().zip(made_up) {
                *value |= made_up & bit_mask(most) & !bit_mask(bits);
            }
            chunk.tokens.bits = most;
            draws = Some(drawn);
        }
        self.neighbours.push(Piece::of(&chunk.tokens, chunk.key));
        Ok(draws)
    }

    /// The likeliest tokens of `piece` with all bits, and what was drawn.
    fn predicted(
        &self,
        piece: &Piece,
        after: Option<&Piece>,
        sequence: u64,
    ) -> Result<(Vec<u64>, Vec<Vec<u64>>)> {
        let (mut window, steps) = self.neighbours.window(piece, after)?;
        let options = self.options.for_chunk(sequence);
        let (_, draws) = self.predictor.fill_drawing(&mut window, &options, DRAWS)?;
        let tokens = steps.start * window.step()..steps.end * window.step();
        let draws = draws.iter().map(|draw| draw[tokens.clone()].to_vec()).collect();
        Ok((window.steps(steps).to_vec(), draws))
    }
}
