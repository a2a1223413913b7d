//! Places for chunks whose tokens are lost (LBIT §5.4).

use std::ops::Range;

use crate::chunk::ChunkHead;
use crate::ground::StreamId;
use crate::header::VideoStream;
use crate::stored::StoredChunk;
use crate::times::Times;
use crate::units::{PixelFrames, latent_frames_needed};

/// Where a gap borders on a chunk that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Border {
    /// Segment of that chunk.
    pub segment: u32,
    /// When it ends, if it comes before the gap, or begins, if it comes after.
    pub time: i64,
}

/// Chunks that are missing, and what their neighbours tell of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The stream that they belong to.
    pub stream: StreamId,
    /// Their numbers.
    pub chunks: Range<u64>,
    /// The indices of their frames, at least one for each.
    pub frames: Range<u64>,
    /// The chunk before them, if they are not the first ones.
    pub before: Option<Border>,
    /// The chunk after them, if they are not the last ones.
    pub after: Option<Border>,
}

impl Gap {
    /// How many frames are missing.
    #[must_use]
    pub const fn frame_count(&self) -> u64 {
        self.frames.end.saturating_sub(self.frames.start)
    }

    /// A lost chunk for each missing one, made as they are asked for.
    ///
    /// Nobody knows where one ended and the next began: they share the frames and the time evenly. They are of the
    /// segment of the chunk before them.
    pub fn places<'a>(&'a self, video: &'a VideoStream) -> impl Iterator<Item = StoredChunk> + 'a {
        let segment = self.before.or(self.after).map_or(0, |border| border.segment);
        let mut first_frame = self.frames.start;
        self.chunks.clone().map(move |sequence| {
            let left = self.frames.end.saturating_sub(first_frame);
            let count = PixelFrames(left.div_ceil((self.chunks.end - sequence).max(1)));
            let latent_frames = latent_frames_needed(count, video.strides[0], false);
            let head = ChunkHead {
                stream: self.stream,
                sequence,
                first_frame: PixelFrames(first_frame),
                frame_count: count,
                latent_frames,
                key: false,
                segment,
            };
            let times = Times {
                start: self.time(video, first_frame - self.frames.start),
                durations: None,
            };
            let place = StoredChunk::lost(head, times, video.grid(latent_frames));
            first_frame += count.0;
            place
        })
    }

    /// When the frame is shown that comes after `passed` others of the gap.
    fn time(&self, video: &VideoStream, passed: u64) -> i64 {
        let from = self.before.map_or_else(
            || video.constant_times(PixelFrames(self.frames.start)).start,
            |before| before.time,
        );
        match self.after {
            // Where the next chunk begins earlier than the last one ends, it wins (LBIT §5.5).
            Some(after) => between(from.min(after.time), after.time, passed, self.frame_count()),
            None => Times {
                start: from,
                durations: None,
            }
            .of(passed, video.frame_duration),
        }
    }
}

/// The time `part` of `whole` on the way from `from` to `to`.
fn between(from: i64, to: i64, part: u64, whole: u64) -> i64 {
    let way = (i128::from(to) - i128::from(from)) * i128::from(part) / i128::from(whole.max(1));
    i64::try_from(i128::from(from) + way).unwrap_or(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::video;

    fn gap(before: Option<Border>, after: Option<Border>) -> Vec<(u64, u64, u64, i64, u32)> {
        let gap = Gap {
            stream: StreamId(0),
            chunks: 2..5,
            frames: 20..30,
            before,
            after,
        };
        let video = VideoStream {
            frame_duration: 2,
            ..video()
        };
        let places = gap.places(&video).map(|place| {
            assert!(place.is_lost() && !place.key);
            assert!(video.frames_held(place.latent_frames, false) >= place.frame_count);
            assert_eq!(place.grid, video.grid(place.latent_frames));
            let start = place.times.start;
            (
                place.sequence,
                place.first_frame.0,
                place.frame_count.0,
                start,
                place.segment,
            )
        });
        places.collect()
    }

    #[test]
    fn frames_and_times_are_shared_evenly() {
        let border = |segment, time| Some(Border { segment, time });
        let between = gap(border(1, 100), border(3, 200));
        assert_eq!(
            between,
            [(2, 20, 4, 100, 1), (3, 24, 3, 140, 1), (4, 27, 3, 170, 1)]
        );
        // At the end they last as long as frames do, and at the start time began at 0.
        let times =
            |places: Vec<(u64, u64, u64, i64, u32)>| places.iter().map(|place| place.3).collect::<Vec<_>>();
        assert_eq!(times(gap(border(1, 100), None)), [100, 108, 114]);
        assert_eq!(times(gap(None, None)), [40, 48, 54]);
        assert_eq!(gap(None, border(3, 60))[0].4, 3);
        assert_eq!(times(gap(border(1, 100), border(1, 50))), [50, 50, 50]);
    }

    #[test]
    fn times_do_not_overflow() {
        let border = |time| Some(Border { segment: 0, time });
        let places = gap(border(i64::MIN), border(i64::MAX));
        assert_eq!(places[0].3, i64::MIN);
        assert_eq!(gap(border(i64::MAX), None)[2].3, i64::MAX);
    }
}
