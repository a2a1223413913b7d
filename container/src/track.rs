//! The rules that tie a chunk to its header and to the chunks before it (LBIT §5.4), for writers and readers alike.

use crate::error::Broken;
use crate::header::VideoStream;
use crate::stored::StoredChunk;
use crate::units::PixelFrames;

/// What has gone by of a stream of tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    pub chunks: u64,
    pub frames: PixelFrames,
    /// Whether the last chunk was full, so that its group may go on.
    pub may_continue: bool,
    /// Whether the last chunk is lost, so that nobody knows what may follow it.
    after_lost: bool,
    /// Segment and start of the last chunk.
    last: Option<(u32, i64)>,
}

/// Checks what can be said of a chunk without its neighbours.
pub(crate) fn check_alone(video: &VideoStream, chunk: &StoredChunk) -> Result<(), Broken> {
    let most = u64::from(video.chunk_latent_frames);
    if !(1..=most).contains(&chunk.latent_frames.0) {
        return Err(Broken::new(
            "latent frames of a chunk",
            format!("1 to {most}"),
            chunk.latent_frames,
        ));
    }
    // Of a lost chunk nobody knows whether it started a group.
    let held = video.frames_held(chunk.latent_frames, chunk.key && !chunk.is_lost());
    if !(1..=held.0).contains(&chunk.frame_count.0) {
        return Err(Broken::new(
            "frames of a chunk",
            format!("1 to {held}"),
            chunk.frame_count,
        ));
    }
    if !chunk.is_lost() && !(1..=video.bits).contains(&chunk.bits()) {
        return Err(Broken::new(
            "bits per token",
            format!("1 to {}", video.bits),
            chunk.bits(),
        ));
    }
    if let Some(layers) = chunk
        .layers
        .filter(|layers| Some(layers.step) != video.depth_step)
    {
        let expected = match video.depth_step {
            Some(step) => format!("{step}, as in the header"),
            None => "no depths in a plain stream".to_owned(),
        };
        return Err(Broken::new("step of depths", expected, layers.step));
    }
    let grid = video.grid(chunk.latent_frames);
    if chunk.grid != grid {
        return Err(Broken::new("token grid", grid, chunk.grid));
    }
    chunk.times.check(chunk.frame_count)
}

impl Track {
    /// Checks that `chunk` comes next.
    pub fn check_next(&self, chunk: &StoredChunk) -> Result<(), Broken> {
        if chunk.sequence != self.chunks {
            return Err(Broken::new("chunk number", self.chunks, chunk.sequence));
        }
        if chunk.first_frame != self.frames {
            return Err(Broken::new(
                "first frame of a chunk",
                self.frames,
                chunk.first_frame,
            ));
        }
        let free = chunk.key || chunk.is_lost() || self.after_lost;
        if let Some((segment, start)) = self.last {
            if chunk.times.start < start {
                let expected = format!("at least {start}");
                return Err(Broken::new("start time of a chunk", expected, chunk.times.start));
            }
            if chunk.segment < segment {
                return Err(Broken::new(
                    "segment of a chunk",
                    format!("at least {segment}"),
                    chunk.segment,
                ));
            }
            if chunk.segment > segment && !free {
                let expected = "a key chunk at the start of a segment";
                return Err(Broken::new("chunk", expected, "one that continues a group"));
            }
        }
        if !free && !self.may_continue {
            let expected = match self.chunks {
                0 => "a key chunk at the start",
                _ => "a key chunk after one that is not full",
            };
            return Err(Broken::new("chunk", expected, "one that continues a group"));
        }
        Ok(())
    }

    /// Puts itself right before `chunk`, which comes first because reading began in the middle.
    pub fn join(&mut self, chunk: &StoredChunk) {
        *self = Self {
            chunks: chunk.sequence,
            frames: chunk.first_frame,
            may_continue: false,
            after_lost: true,
            last: None,
        };
    }

    /// Goes past what is missing before `chunk`.
    pub fn skip_to(&mut self, chunk: &StoredChunk) {
        self.chunks = chunk.sequence;
        self.frames = chunk.first_frame;
        self.after_lost = true;
    }

    /// Goes past `chunk`, which could hold `held` frames. Fails if frames can no longer be counted.
    pub fn accept(&mut self, held: PixelFrames, chunk: &StoredChunk) -> Result<(), Broken> {
        let frames = chunk.first_frame.checked_add(chunk.frame_count);
        let chunks = chunk.sequence.checked_add(1);
        let (Some(frames), Some(chunks)) = (frames, chunks) else {
            return Err(Broken::new(
                "first frame of a chunk",
                "less than 2^64 frames in all",
                chunk.first_frame,
            ));
        };
        *self = Self {
            chunks,
            frames,
            may_continue: chunk.frame_count == held,
            after_lost: chunk.is_lost(),
            last: Some((chunk.segment, chunk.times.start)),
        };
        Ok(())
    }
}
