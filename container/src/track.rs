//! The rules that tie a chunk to its header and to the chunks before it (LBIT §5.4), for writers and readers alike.

use crate::error::Broken;
use crate::header::Header;
use crate::stored::StoredChunk;
use crate::units::PixelFrames;

/// What has gone by of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Track {
    pub chunks: u64,
    pub frames: PixelFrames,
    /// Whether the last chunk was full, so that its group may go on.
    pub may_continue: bool,
}

/// Checks what can be said of a chunk without its neighbours.
pub(crate) fn check_alone(header: &Header, chunk: &StoredChunk) -> Result<(), Broken> {
    let most = u64::from(header.chunk_latent_frames);
    if !(1..=most).contains(&chunk.latent_frames.0) {
        return Err(Broken::new(
            "latent frames of a chunk",
            format!("1 to {most}"),
            chunk.latent_frames,
        ));
    }
    let held = header.frames_held(chunk.latent_frames, chunk.key);
    if !(1..=held.0).contains(&chunk.frame_count.0) {
        return Err(Broken::new(
            "frames of a chunk",
            format!("1 to {held}"),
            chunk.frame_count,
        ));
    }
    if !(1..=header.bits).contains(&chunk.bits()) {
        return Err(Broken::new(
            "bits per token",
            format!("1 to {}", header.bits),
            chunk.bits(),
        ));
    }
    let grid = header.grid(chunk.latent_frames);
    if chunk.grid != grid {
        return Err(Broken::new("token grid", grid, chunk.grid));
    }
    Ok(())
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
        if !chunk.key && !self.may_continue {
            let expected = match self.chunks {
                0 => "a key chunk at the start",
                _ => "a key chunk after one that is not full",
            };
            return Err(Broken::new("chunk", expected, "one that continues a group"));
        }
        Ok(())
    }

    /// Goes past `chunk`. Fails if frames can no longer be counted.
    pub fn accept(&mut self, header: &Header, chunk: &StoredChunk) -> Result<(), Broken> {
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
            may_continue: chunk.frame_count == header.frames_held(chunk.latent_frames, chunk.key),
        };
        Ok(())
    }
}
