//! How a video of known length is cut into chunks (LBIT §5.7).

use crate::chunk::{Chunk, ChunkHead, Tokens};
use crate::ground::StreamId;
use crate::header::VideoStream;
use crate::units::{LatentFrames, PixelFrames, frames_held, latent_frames_needed};

/// One chunk of a [`ChunkPlan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedChunk {
    /// Stream-wide number, from 0.
    pub sequence: u64,
    /// Index of its first frame.
    pub first_frame: PixelFrames,
    /// Frames of the video in it; fewer than it holds only in the last chunk.
    pub frames: PixelFrames,
    /// Latent frames in it.
    pub latent_frames: LatentFrames,
    /// Whether it starts a group.
    pub key: bool,
}

impl PlannedChunk {
    /// The chunk with its tokens, for a file whose first stream is `video`: `values` in the order of the grid that
    /// [`VideoStream::grid`] gives, each of [`VideoStream::bits`] bits. It belongs to the first segment, and its frames
    /// are shown at the stream's constant rate.
    #[must_use]
    pub fn with_tokens(&self, video: &VideoStream, values: Vec<u64>) -> Chunk {
        Chunk {
            head: ChunkHead {
                stream: StreamId(0),
                segment: 0,
                sequence: self.sequence,
                first_frame: self.first_frame,
                frame_count: self.frames,
                latent_frames: self.latent_frames,
                key: self.key,
            },
            times: video.constant_times(self.first_frame),
            tokens: Tokens::new(video.grid(self.latent_frames), video.bits, values),
        }
    }
}

/// The chunks of a video, in order (LBIT §5.7).
///
/// All chunks have the same number of latent frames, but for the last, which has the fewest that hold what is left.
///
/// ```
/// use latentbit_container::{ChunkPlan, PixelFrames};
/// let sizes: Vec<u64> = ChunkPlan::new(PixelFrames(45), 4, 2, 4).map(|chunk| chunk.frames.0).collect();
/// assert_eq!(sizes, [13, 16, 13, 3]);
/// ```
#[derive(Clone, Debug)]
pub struct ChunkPlan {
    left: PixelFrames,
    next_frame: PixelFrames,
    sequence: u64,
    in_group: u32,
    chunk_latent_frames: u16,
    chunks_per_group: u32,
    time_stride: u8,
}

impl ChunkPlan {
    /// A plan for `frames` frames. `chunks_per_group` of 0 makes one group of the whole stream; a
    /// `chunk_latent_frames` of 0 counts as 1, and so does a `time_stride` of 0.
    #[must_use]
    pub const fn new(
        frames: PixelFrames,
        chunk_latent_frames: u16,
        chunks_per_group: u32,
        time_stride: u8,
    ) -> Self {
        Self {
            left: frames,
            next_frame: PixelFrames(0),
            sequence: 0,
            in_group: 0,
            chunk_latent_frames: if chunk_latent_frames == 0 {
                1
            } else {
                chunk_latent_frames
            },
            chunks_per_group,
            time_stride,
        }
    }
}

impl Iterator for ChunkPlan {
    type Item = PlannedChunk;

    fn next(&mut self) -> Option<PlannedChunk> {
        if self.left == PixelFrames(0) {
            return None;
        }
        let key = self.in_group == 0;
        let full = LatentFrames(u64::from(self.chunk_latent_frames));
        let frames = self.left.min(frames_held(full, self.time_stride, key));
        let planned = PlannedChunk {
            sequence: self.sequence,
            first_frame: self.next_frame,
            frames,
            latent_frames: latent_frames_needed(frames, self.time_stride, key),
            key,
        };
        self.left = self.left.saturating_sub(frames);
        // Cannot overflow: the sum stays within the frame count given to `new`.
        self.next_frame += frames;
        self.sequence += 1;
        // With one group for the whole stream the counter only has to stay away from zero.
        self.in_group = match self.chunks_per_group {
            0 => 1,
            n => (self.in_group + 1) % n,
        };
        Some(planned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn planned(sequence: u64, first_frame: u64, frames: u64, latent_frames: u64, key: bool) -> PlannedChunk {
        PlannedChunk {
            sequence,
            first_frame: PixelFrames(first_frame),
            frames: PixelFrames(frames),
            latent_frames: LatentFrames(latent_frames),
            key,
        }
    }

    #[test]
    fn two_groups_and_a_rest() {
        let plan: Vec<_> = ChunkPlan::new(PixelFrames(60), 4, 2, 4).collect();
        assert_eq!(
            plan,
            [
                planned(0, 0, 13, 4, true),
                planned(1, 13, 16, 4, false),
                planned(2, 29, 13, 4, true),
                planned(3, 42, 16, 4, false),
                planned(4, 58, 2, 2, true),
            ]
        );
    }

    #[test]
    fn still_image_and_nothing() {
        let plan: Vec<_> = ChunkPlan::new(PixelFrames(1), 4, 8, 4).collect();
        assert_eq!(plan, [planned(0, 0, 1, 1, true)]);
        assert_eq!(ChunkPlan::new(PixelFrames(0), 4, 8, 4).count(), 0);
    }

    #[test]
    fn one_group_has_one_key_chunk() {
        let keys = ChunkPlan::new(PixelFrames(500), 4, 0, 4)
            .filter(|chunk| chunk.key)
            .count();
        assert_eq!(keys, 1);
    }

    proptest! {
        #[test]
        fn covers_every_frame_once(frames in 0u64..2000, latent in 0u16..6, group in 0u32..5, stride in 0u8..6) {
            let mut next = 0;
            for (number, chunk) in ChunkPlan::new(PixelFrames(frames), latent, group, stride).enumerate() {
                prop_assert_eq!(chunk.sequence, number as u64);
                prop_assert_eq!(chunk.first_frame.0, next);
                prop_assert!(chunk.frames.0 > 0);
                prop_assert!(chunk.frames <= frames_held(chunk.latent_frames, stride, chunk.key));
                next += chunk.frames.0;
            }
            prop_assert_eq!(next, frames);
        }
    }
}
