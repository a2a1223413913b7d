//! Which chunks are lost, as far as the number of their frames and the chunks around them tell.

use latentbit_container::units::{frames_held, latent_frames_needed};
use latentbit_container::{Chunk, LatentFrames, PixelFrames, VideoStream};

use super::{LostChunk, LostRun};
use crate::pipeline::DEFAULT_CHUNKS_PER_GROUP;

/// Where a stream stands in its groups.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    time_stride: u8,
    /// Latent frames of a full chunk.
    full: LatentFrames,
    now: Place,
    /// Chunks of a usual group; those that writers make by default until one has been seen.
    usual: u64,
    /// Whether the place in the group was seen, and not guessed.
    seen: bool,
}

/// A place between two chunks.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Chunks of the group so far; none if nobody knows.
    in_group: Option<u64>,
    /// Whether the group may go on: its last chunk is full.
    open: bool,
}

impl Place {
    /// The start of a stream.
    const START: Self = Self {
        in_group: Some(0),
        open: false,
    };

    fn after(self, key: bool, full: bool) -> Self {
        Self {
            in_group: match key {
                true => Some(1),
                false => self.in_group.map(|chunks| chunks.saturating_add(1)),
            },
            open: full,
        }
    }

    /// How strange it would be if the next chunk were a key chunk, or none; no answer if it cannot be.
    fn strangeness(self, key: bool, usual: u64) -> Option<u32> {
        match (key, self.open) {
            (true, false) => Some(0),
            (false, false) => None,
            _ => Some(u32::from(key != (self.in_group == Some(usual)))),
        }
    }
}

impl Groups {
    pub(super) fn new(video: &VideoStream) -> Self {
        Self {
            time_stride: video.strides[0],
            full: LatentFrames(video.chunk_latent_frames.into()),
            now: Place {
                in_group: None,
                open: true,
            },
            usual: DEFAULT_CHUNKS_PER_GROUP.into(),
            seen: false,
        }
    }

    fn held(&self, key: bool) -> u64 {
        frames_held(self.full, self.time_stride, key).0
    }

    /// Goes past a chunk that is there.
    pub(super) fn pass(&mut self, chunk: &Chunk) {
        if chunk.key {
            if let (true, true, Some(chunks @ 1..)) = (self.seen, self.now.open, self.now.in_group) {
                self.usual = chunks;
            }
            self.seen = true;
        } else if self.now.in_group == Some(self.usual) {
            // Longer than groups were so far.
            self.usual = u64::MAX;
        }
        let held = frames_held(chunk.latent_frames, self.time_stride, chunk.key);
        let full = chunk.latent_frames == self.full && chunk.frame_count == held;
        self.now = self.now.after(chunk.key, full);
    }

    /// Goes past lost chunks of which nothing is said.
    pub(super) fn lose(&mut self) {
        self.now.in_group = None;
        self.now.open = true;
        self.seen = false;
    }

    /// The chunks of `run`, and goes past them. `next_is_key` is what is known of the chunk after them.
    ///
    /// Chunks are full unless a group ends early, and groups are as long as usual unless a scene cuts. Of all ways to share
    /// the frames of the run among its chunks that hold to the format, the one with the fewest exceptions is taken.
    pub(super) fn plan(&mut self, run: &LostRun, next_is_key: Option<bool>) -> Vec<LostChunk> {
        if run.chunks.start == 0 {
            self.now = Place::START;
        }
        let shares = self.best(run, next_is_key).unwrap_or_else(|| self.even(run));
        let mut first_frame = run.frames.start;
        let mut chunks = Vec::with_capacity(shares.len());
        for (sequence, share) in run.chunks.clone().zip(shares) {
            chunks.push(LostChunk {
                sequence,
                first_frame: PixelFrames(first_frame),
                frame_count: PixelFrames(share.frames),
                latent_frames: latent_frames_needed(PixelFrames(share.frames), self.time_stride, share.key),
                key: share.key,
            });
            first_frame += share.frames;
            self.now = self.now.after(share.key, share.frames == self.held(share.key));
        }
        self.seen = false;
        chunks
    }

    fn best(&self, run: &LostRun, next_is_key: Option<bool>) -> Option<Vec<Share>> {
        let count = u32::try_from(run.chunk_count()).ok()?;
        let frames = run.frames.end.saturating_sub(run.frames.start);
        let mut best: Option<(u32, Vec<Share>)> = None;
        for keys in 0..1u32.checked_shl(count)? {
            let full = |index: u32| Share {
                key: keys >> index & 1 == 1,
                frames: self.held(keys >> index & 1 == 1),
            };
            let whole: Vec<Share> = (0..count).map(full).collect();
            let sum: u64 = whole.iter().map(|share| share.frames).sum();
            let Some(less) = sum.checked_sub(frames) else {
                continue;
            };
            // All are full, or one of them makes up for the difference.
            let shorter = (0..whole.len()).filter(|_| less > 0).map(Some);
            for short in shorter.chain((less == 0).then_some(None)) {
                let mut shares = whole.clone();
                if let Some(share) = short.and_then(|index| shares.get_mut(index)) {
                    if share.frames <= less {
                        continue;
                    }
                    share.frames -= less;
                }
                let Some(cost) = self.cost(&shares, next_is_key) else {
                    continue;
                };
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, shares));
                }
            }
        }
        best.map(|(_, shares)| shares)
    }

    /// How many exceptions there are; none if the format forbids it.
    fn cost(&self, shares: &[Share], next_is_key: Option<bool>) -> Option<u32> {
        let mut place = self.now;
        let mut cost = 0;
        for (index, share) in shares.iter().enumerate() {
            let full = share.frames == self.held(share.key);
            let last = index + 1 == shares.len();
            // At the end of a video chunks are as short as they come.
            let ends = last && next_is_key.is_none();
            let short = !full && !ends;
            cost += place.strangeness(share.key, self.usual)? + u32::from(short);
            place = place.after(share.key, full);
        }
        let next = next_is_key.map_or(Some(0), |key| place.strangeness(key, self.usual))?;
        Some(cost + next)
    }

    /// For what no writer makes: equal shares.
    fn even(&self, run: &LostRun) -> Vec<Share> {
        let mut left = run.frames.end.saturating_sub(run.frames.start);
        let mut shares = Vec::new();
        for after in (0..run.chunk_count()).rev() {
            let frames = left.div_ceil(after + 1);
            let key = shares.is_empty() && !self.now.open && frames <= self.held(true);
            shares.push(Share { key, frames });
            left -= frames;
        }
        shares
    }
}

/// What a chunk has of the frames of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    key: bool,
    frames: u64,
}

#[cfg(test)]
mod tests {
    use latentbit_container::{BundleId, ChunkPlan, TokenLayout};

    use super::*;

    fn video() -> VideoStream {
        let bundle = BundleId {
            name: "test".to_owned(),
            sha256: [0; 32],
        };
        let layout = TokenLayout {
            bits: 4,
            patch: [1, 1, 1],
            strides: [4, 8, 8],
        };
        VideoStream::new([16, 16], bundle, layout)
    }

    fn chunks(frames: u64, per_group: u32) -> Vec<Chunk> {
        let video = video();
        ChunkPlan::new(PixelFrames(frames), 4, per_group, 4)
            .map(|planned| planned.with_tokens(&video, vec![0; video.grid(planned.latent_frames).len()]))
            .collect()
    }

    fn describe(chunk: &Chunk) -> LostChunk {
        LostChunk {
            sequence: chunk.sequence,
            first_frame: chunk.first_frame,
            frame_count: chunk.frame_count,
            latent_frames: chunk.latent_frames,
            key: chunk.key,
        }
    }

    /// What the plan makes of the loss of `lost`, after the chunks before them went by.
    fn planned(chunks: &[Chunk], lost: std::ops::Range<usize>, knows_next: bool) -> Vec<LostChunk> {
        let mut groups = Groups::new(&video());
        chunks[..lost.start].iter().for_each(|chunk| groups.pass(chunk));
        let end = chunks[lost.end - 1].first_frame + chunks[lost.end - 1].frame_count;
        let run = LostRun {
            chunks: lost.start as u64..lost.end as u64,
            frames: chunks[lost.start].first_frame.0..end.0,
        };
        let next = chunks.get(lost.end).filter(|_| knows_next).map(|next| next.key);
        groups.plan(&run, next)
    }

    /// In a stream of equal groups every loss is found out, once a group has been seen or if it has the default length.
    #[test]
    fn regular_streams_are_found_out() {
        for (per_group, seen) in [(8, 0), (1, 2), (2, 3), (3, 4), (0, 1)] {
            let all = chunks(500, per_group);
            for start in seen..all.len() {
                for end in start + 1..=all.len().min(start + 4) {
                    let expected: Vec<LostChunk> = all[start..end].iter().map(describe).collect();
                    assert_eq!(
                        planned(&all, start..end, true),
                        expected,
                        "{per_group} chunks a group, {start}..{end} lost"
                    );
                }
            }
        }
    }

    #[test]
    fn the_past_alone_is_enough_for_regular_streams() {
        let all = chunks(500, 8);
        for lost in 0..all.len() - 1 {
            let expected: Vec<LostChunk> = vec![describe(&all[lost])];
            assert_eq!(planned(&all, lost..lost + 1, false), expected, "{lost}");
        }
    }

    /// A cut ends a group in the middle of a chunk that is lost.
    #[test]
    fn cuts_are_found_out() {
        let mut all = chunks(13 + 16 + 7, 8);
        let second: Vec<Chunk> = chunks(61, 8)
            .into_iter()
            .map(|mut chunk| {
                chunk.sequence += 3;
                chunk.first_frame += PixelFrames(36);
                chunk
            })
            .collect();
        all.extend(second);
        let find = |lost: std::ops::Range<usize>| {
            let expected: Vec<LostChunk> = all[lost.clone()].iter().map(describe).collect();
            assert_eq!(planned(&all, lost.clone(), true), expected, "{lost:?}");
        };
        find(2..3);
        find(3..4);
        find(1..3);
        find(2..4);
    }

    /// Whatever a file claims, the chunks hold their frames and are no longer than chunks may be.
    #[test]
    fn every_claim_gets_a_plan() {
        for before in 0..3 {
            for count in 1..=4 {
                for frames in count..=16 * count {
                    for next in [None, Some(false), Some(true)] {
                        let mut groups = Groups::new(&video());
                        chunks(40, 2)[..before]
                            .iter()
                            .for_each(|chunk| groups.pass(chunk));
                        let run = LostRun {
                            chunks: 5..5 + count,
                            frames: 77..77 + frames,
                        };
                        let plan = groups.plan(&run, next);
                        assert_eq!(plan.len() as u64, count);
                        let mut at = 77;
                        for chunk in plan {
                            assert_eq!(chunk.first_frame.0, at);
                            at += chunk.frame_count.0;
                            assert!((1..=4).contains(&chunk.latent_frames.0), "{chunk:?}");
                            let held = frames_held(chunk.latent_frames, 4, chunk.key);
                            assert!((1..=held.0).contains(&chunk.frame_count.0), "{chunk:?}");
                        }
                        assert_eq!(at, 77 + frames);
                    }
                }
            }
        }
    }
}
